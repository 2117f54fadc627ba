"""What the unsealer does: opens what was sealed to a day, makes days, destroys days.

A request names one prekey by id and brings its locked seed. No other key is tried, and none at all
where the seed does not belong to the id.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Iterable, Sequence

from exchange.unsealer.daykeys import DayKeys
from exchange.unsealer.messages import BoundWrap, MadeKey
from keys.calendar import day_of
from keys.opening import RecipientKey
from keys.prekeys import make_prekeys
from protocol.digest import tag
from protocol.errors import CannotOpen

KEYS_KEPT = 8


class Opener:
    """Holds the keys of days, and a few of the last used prekeys.

    Args:
        days: The wrapping keys of days.
    """

    def __init__(self, days: DayKeys) -> None:
        self._days = days
        self._kept: OrderedDict[bytes, RecipientKey] = OrderedDict()

    def open_wrap(self, prekey_id: bytes, day: str, locked: bytes, wrap: bytes, info: bytes) -> bytes:
        """Return the 72 bytes of one wrap.

        Raises:
            CannotOpen: the day was destroyed, the seed is not this prekey's, or the wrap does not open.
            StoreFailed: the day's key cannot be reached now.
        """
        return self._key(prekey_id, day, locked).unwrap(wrap, _bound(info, "wrap"))

    def open_wraps(
        self, prekey_id: bytes, day: str, locked: bytes, wraps: Sequence[BoundWrap]
    ) -> tuple[bytes | None, ...]:
        """Return what is in each wrap, in order; None for one that does not open.

        Raises:
            CannotOpen, StoreFailed: as :meth:`open_wrap`, where it concerns the key of them all.
        """
        key = self._key(prekey_id, day, locked)
        return tuple(_unwrapped(key, one) for one in wraps)

    def open_note(self, prekey_id: bytes, day: str, locked: bytes, sealed: bytes, info: bytes) -> bytes:
        """Return what an officer's note seals, still padded; raises as :meth:`open_wrap`."""
        return self._key(prekey_id, day, locked).open_sealed(sealed, _bound(info, "detail"))

    def make_days(self, first_ms: int, days: int) -> tuple[MadeKey, ...]:
        """Make prekeys for so many days; the keys of those days are durable when this returns.

        A crash before their locked seeds are stored costs nothing: the same days can be made again.

        Raises:
            StoreFailed: the keys of days cannot be written.
        """
        made = make_prekeys(first_ms, days, secrets.token_bytes)
        for one in made:
            self._days.make(day_of(one.public.use_from_ms))
        return tuple(
            MadeKey(public=one.public, day=day, locked=self._days.lock(day, one.seed))
            for one in made
            for day in (day_of(one.public.use_from_ms),)
        )

    def destroy_before(self, before: str, keep: Iterable[str]) -> tuple[str, ...]:
        """Destroy the keys of all days before one but for some, and return the days.

        Raises:
            StoreFailed: not all could be destroyed; what was is gone.
        """
        over = tuple(day for day in self._days.days() if day < before and day not in frozenset(keep))
        if over:
            self._kept.clear()
        for day in over:
            self._days.destroy(day)
        return over

    def _key(self, prekey_id: bytes, day: str, locked: bytes) -> RecipientKey:
        if prekey_id in self._kept:
            self._kept.move_to_end(prekey_id)
            return self._kept[prekey_id]
        key = RecipientKey(self._days.unlock(day, locked))
        if key.key_id != prekey_id:
            raise CannotOpen("the stored seed is not that of the key which is named")
        self._kept[prekey_id] = key
        if len(self._kept) > KEYS_KEPT:
            self._kept.popitem(last=False)
        return key


def _unwrapped(key: RecipientKey, one: BoundWrap) -> bytes | None:
    try:
        return key.unwrap(one.wrap, _bound(one.info, "wrap"))
    except CannotOpen:
        return None


def _bound(info: bytes, label: str) -> bytes:
    if not info.startswith(tag(label)):
        raise CannotOpen(f"what is to be opened is bound to something else than a {label}")
    return info
