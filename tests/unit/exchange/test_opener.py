"""What the unsealer does for a request: one key, chosen by id, and never another."""

from __future__ import annotations

from pathlib import Path

import pytest

from exchange.unsealer.daykeys import FileDayKeys
from exchange.unsealer.messages import BoundWrap, MadeKey
from exchange.unsealer.opener import KEYS_KEPT, Opener
from keys.opening import RecipientKey
from keys.wrap import seal_to
from protocol.digest import tag
from protocol.errors import CannotOpen
from tests.clocks import DAWN

CONTENT = bytes(range(72))
WRAP_INFO, NOTE_INFO = tag("wrap") + b"x" * 80, tag("detail") + b"x" * 80


@pytest.fixture
def opener(tmp_path: Path) -> Opener:
    """Return an opener with no day yet."""
    return Opener(FileDayKeys(tmp_path / "day-keys", "XAA", bytes(32)))


@pytest.fixture
def made(opener: Opener) -> tuple[MadeKey, ...]:
    """Return three days' keys."""
    return opener.make_days(DAWN, 3)


def wrapped(key: MadeKey, info: bytes = WRAP_INFO) -> bytes:
    """Return a wrap for a key."""
    return seal_to(key.public.public, info, CONTENT)


def watched(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Return a list that will name every key with which something was tried."""
    tried: list[bytes] = []
    open_sealed = RecipientKey.open_sealed

    def watch(self: RecipientKey, sealed: bytes, info: bytes) -> bytes:
        tried.append(self.key_id)
        return open_sealed(self, sealed, info)

    monkeypatch.setattr(RecipientKey, "open_sealed", watch)
    return tried


def test_what_was_sealed_to_a_day_opens(opener: Opener, made: tuple[MadeKey, ...]) -> None:
    """Each day with its own key, twice as once."""
    for key in (*made, *made):
        assert opener.open_wrap(key.public.key_id, key.day, key.locked, wrapped(key), WRAP_INFO) == CONTENT


def test_many_wraps_of_one_key_are_opened_at_once(opener: Opener, made: tuple[MadeKey, ...]) -> None:
    """What does not open, and what is bound to something else, is told apart from the others."""
    key, other = made[:2]
    wraps = (
        BoundWrap(wrap=wrapped(key), info=WRAP_INFO),
        BoundWrap(wrap=wrapped(other), info=WRAP_INFO),
        BoundWrap(wrap=wrapped(key, NOTE_INFO), info=NOTE_INFO),
        BoundWrap(wrap=wrapped(key), info=WRAP_INFO),
    )
    opened = opener.open_wraps(key.public.key_id, key.day, key.locked, wraps)
    assert opened == (CONTENT, None, None, CONTENT)
    with pytest.raises(CannotOpen):
        opener.open_wraps(other.public.key_id, key.day, key.locked, wraps)


def test_a_note_of_any_length_opens_and_a_wrap_has_one(opener: Opener, made: tuple[MadeKey, ...]) -> None:
    """Age's rule against partition oracles: fixed lengths where a length is fixed."""
    key = made[0]
    for text in (b"", b"." * 8000):
        sealed = seal_to(key.public.public, NOTE_INFO, text)
        assert opener.open_note(key.public.key_id, key.day, key.locked, sealed, NOTE_INFO) == text
        as_wrap = seal_to(key.public.public, WRAP_INFO, text)
        with pytest.raises(CannotOpen):
            opener.open_wrap(key.public.key_id, key.day, key.locked, as_wrap, WRAP_INFO)


def test_partition_oracle_a_key_that_is_not_named_is_never_tried(
    opener: Opener, made: tuple[MadeKey, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threat 26: where id and seed do not belong together, nothing is decapsulated."""
    tried, (first, second, _) = watched(monkeypatch), made
    for prekey_id in (second.public.key_id, bytes(32)):
        with pytest.raises(CannotOpen, match="not that of the key which is named"):
            opener.open_wrap(prekey_id, first.day, first.locked, wrapped(first), WRAP_INFO)
    with pytest.raises(CannotOpen):
        opener.open_wrap(first.public.key_id, second.day, first.locked, wrapped(first), WRAP_INFO)
    assert tried == []
    with pytest.raises(CannotOpen):
        opener.open_wrap(first.public.key_id, first.day, first.locked, wrapped(second), WRAP_INFO)
    assert tried == [first.public.key_id]


def test_a_wrap_is_not_opened_as_a_note_nor_the_other_way_round(
    opener: Opener, made: tuple[MadeKey, ...]
) -> None:
    """What each request opens is bound to its own purpose."""
    key = made[0]
    with pytest.raises(CannotOpen):
        opener.open_note(key.public.key_id, key.day, key.locked, wrapped(key), WRAP_INFO)
    with pytest.raises(CannotOpen):
        opener.open_wrap(key.public.key_id, key.day, key.locked, wrapped(key, NOTE_INFO), NOTE_INFO)


def test_destroyed_days_open_nothing_though_their_seeds_come_back(
    opener: Opener, made: tuple[MadeKey, ...]
) -> None:
    """Threat 28, also for a key that was in memory a moment ago; kept days go on."""
    first, second, third = made
    for key in made:
        opener.open_wrap(key.public.key_id, key.day, key.locked, wrapped(key), WRAP_INFO)
    assert opener.destroy_before(third.day, [second.day]) == (first.day,)
    with pytest.raises(CannotOpen):
        opener.open_wrap(first.public.key_id, first.day, first.locked, wrapped(first), WRAP_INFO)
    for key in (second, third):
        assert opener.open_wrap(key.public.key_id, key.day, key.locked, wrapped(key), WRAP_INFO) == CONTENT


def test_days_can_be_made_twice(opener: Opener, made: tuple[MadeKey, ...]) -> None:
    """What was locked the first time still opens: which rows are stored decides."""
    again = opener.make_days(DAWN, 3)
    for key in (*made, *again):
        assert opener.open_wrap(key.public.key_id, key.day, key.locked, wrapped(key), WRAP_INFO) == CONTENT


def test_few_keys_are_kept_in_memory(opener: Opener) -> None:
    """A burst to many days does not leave all their seeds lying about."""
    for key in opener.make_days(DAWN, KEYS_KEPT + 3):
        opener.open_wrap(key.public.key_id, key.day, key.locked, wrapped(key), WRAP_INFO)
    assert len(opener._kept) == KEYS_KEPT
