"""Daily prekeys are made here, with their secret halves; when and how many says ``keys.calendar``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from keys.calendar import DAY_MS, KEEP_MS
from keys.opening import RecipientKey
from protocol.documents import Prekey

Randomness = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class SecretPrekey:
    """One day's key: what is published, and the seed that must not leave the node."""

    public: Prekey
    seed: bytes = field(repr=False)


def make_prekeys(first_day_ms: int, days: int, randomness: Randomness) -> tuple[SecretPrekey, ...]:
    """Make one key for each of ``days`` UTC days.

    Args:
        first_day_ms: Any time on the first day, milliseconds UTC.
        days: How many days.
        randomness: Returns that many fresh random bytes.
    """
    start = first_day_ms - first_day_ms % DAY_MS
    return tuple(_make_prekey(start + day * DAY_MS, randomness) for day in range(days))


def _make_prekey(day_ms: int, randomness: Randomness) -> SecretPrekey:
    seed = randomness(32)
    until = day_ms + DAY_MS
    public = Prekey(
        public=RecipientKey(seed).public,
        use_from_ms=day_ms,
        use_until_ms=until,
        keep_until_ms=until + KEEP_MS,
    )
    return SecretPrekey(public=public, seed=seed)
