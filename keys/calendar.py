"""Which daily prekeys there are: made ahead, picked by date, destroyed on time. No secrets here.

A key is used on one UTC day and kept for a notice's longest life plus a day, then its secret
is destroyed: what was sealed to it can never be opened again. There are no one-time keys.
"""

from __future__ import annotations

from collections.abc import Sequence

from protocol.documents import Prekey
from protocol.notice import MAX_LIFE_MS
from protocol.text import format_utc

DAY_MS = 24 * 3600 * 1000
DAYS_AHEAD = 14
REFRESH_BELOW_DAYS = 7
KEEP_MS = MAX_LIFE_MS + DAY_MS


def day_of(time_ms: int) -> str:
    """Return the UTC day of a time in milliseconds, as in ``2026-11-25``."""
    return format_utc(time_ms)[:10]


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
