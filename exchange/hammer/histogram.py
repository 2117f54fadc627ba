"""Times in buckets that grow with the value: any percentile within one percent, in little memory.

As HdrHistogram (Tene): a bucket is named by the position of a value's highest bit and the bits behind it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

PRECISION_BITS = 7
"""Bits behind the highest: buckets are 1/128 of their value wide."""


class Histogram:
    """Times of one kind, recorded in seconds and kept in microseconds."""

    def __init__(self, seconds: Iterable[float] = ()) -> None:
        self._buckets: Counter[int] = Counter()
        self._count = 0
        self._sum = 0
        self._most = 0
        for one in seconds:
            self.record(one)

    def __len__(self) -> int:
        return self._count

    def record(self, seconds: float) -> None:
        """Add one time; one that a clock has made negative counts as zero."""
        value = max(0, round(seconds * 1e6))
        self._buckets[_lowest(value)] += 1
        self._count += 1
        self._sum += value
        self._most = max(self._most, value)

    def add(self, other: Histogram) -> None:
        """Add all that another has recorded."""
        self._buckets += other._buckets
        self._count += other._count
        self._sum += other._sum
        self._most = max(self._most, other._most)

    @property
    def mean(self) -> float:
        """The mean in seconds; 0 if nothing was recorded."""
        return self._sum / self._count / 1e6 if self._count else 0.0

    @property
    def most(self) -> float:
        """The largest in seconds, exactly."""
        return self._most / 1e6

    def percentile(self, percent: float) -> float:
        """Return a time in seconds that so many percent of all do not exceed by more than one percent.

        0 if nothing was recorded.
        """
        if percent >= 100:
            return self.most
        wanted, passed = self._count * percent / 100, 0
        for lowest in sorted(self._buckets):
            passed += self._buckets[lowest]
            if passed >= wanted:
                return min(_highest(lowest), self._most) / 1e6
        return 0.0


def _lowest(value: int) -> int:
    """Return the least value of a value's bucket, which names it."""
    spare = max(0, value.bit_length() - 1 - PRECISION_BITS)
    return value >> spare << spare


def _highest(lowest: int) -> int:
    """Return the greatest value of a bucket."""
    spare = max(0, lowest.bit_length() - 1 - PRECISION_BITS)
    return lowest + (1 << spare) - 1
