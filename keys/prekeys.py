"""Daily prekeys: made ahead, published in a signed list, picked by date, destroyed on time.

A key is used on one UTC day and kept for a notice's longest life plus a day, then its secret
is destroyed: what was sealed to it can never be opened again. There are no one-time keys.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from keys.wrap import RecipientKey
from protocol.documents import Prekey
from protocol.notice import MAX_LIFE_MS

Randomness = Callable[[int], bytes]

DAY_MS = 24 * 3600 * 1000
DAYS_AHEAD = 14
REFRESH_BELOW_DAYS = 7
KEEP_MS = MAX_LIFE_MS + DAY_MS


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


def days_missing(published: Sequence[Prekey], now_ms: int) -> tuple[int, int]:
    """Return the first day (ms UTC) without a key and how many days to make to be 14 ahead.

    Nothing is missing, and the count is 0, while at least :data:`REFRESH_BELOW_DAYS` whole days
    are published ahead.
    """
    today = now_ms - now_ms % DAY_MS
    last = max((key.use_until_ms for key in published), default=today)
    first = max(last, today)
    ahead = (first - today) // DAY_MS
    return first, 0 if ahead >= REFRESH_BELOW_DAYS else DAYS_AHEAD - ahead


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
