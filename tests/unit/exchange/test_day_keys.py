"""The keys of days: kept apart from what they lock, bound to it, and gone for good when destroyed."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from exchange.unsealer.daykeys import FILE_BYTES, FileDayKeys
from protocol.errors import CannotOpen, StoreFailed

OPENING_KEY = bytes(range(32))
SEED = b"a seed of thirty-two bytes, made."[:32]
DAY, NEXT_DAY = "2026-03-01", "2026-03-02"


@pytest.fixture
def keys(tmp_path: Path) -> FileDayKeys:
    """Return the keys of one day."""
    made = keys_in(tmp_path)
    made.make(DAY)
    return made


def keys_in(folder: Path, state: str = "XAA", opening_key: bytes = OPENING_KEY) -> FileDayKeys:
    """Return the day keys of a folder."""
    return FileDayKeys(folder / "day-keys", state, opening_key)


def test_a_seed_locked_under_a_day_opens_again(keys: FileDayKeys, tmp_path: Path) -> None:
    """Also for a process that starts later."""
    locked = keys.lock(DAY, SEED)
    assert SEED not in locked
    assert keys_in(tmp_path).unlock(DAY, locked) == SEED


def test_a_seed_is_locked_differently_each_time(keys: FileDayKeys) -> None:
    """A nonce is never used twice."""
    assert keys.lock(DAY, SEED) != keys.lock(DAY, SEED)


def test_making_a_key_twice_keeps_the_first(keys: FileDayKeys) -> None:
    """After a crash the same days are made again; what was locked before must open."""
    locked = keys.lock(DAY, SEED)
    keys.make(DAY)
    assert keys.unlock(DAY, locked) == SEED


def test_a_destroyed_day_opens_nothing_even_if_it_is_made_again(keys: FileDayKeys) -> None:
    """The new key is another one."""
    locked = keys.lock(DAY, SEED)
    keys.destroy(DAY)
    with pytest.raises(CannotOpen):
        keys.unlock(DAY, locked)
    keys.make(DAY)
    with pytest.raises(CannotOpen):
        keys.unlock(DAY, locked)


def test_destroying_overwrites_the_bytes_before_the_name_goes(keys: FileDayKeys, tmp_path: Path) -> None:
    """Whoever holds the file open, or finds its blocks, finds other bytes."""
    path = tmp_path / "day-keys" / f"{DAY}.key"
    before = path.read_bytes()
    with path.open("rb") as still_open:
        keys.destroy(DAY)
        after = still_open.read()
    assert (len(before), len(after)) == (FILE_BYTES, FILE_BYTES)
    assert before != after
    assert not path.exists()


def test_destroying_what_is_not_there_is_no_error(keys: FileDayKeys) -> None:
    """A crash may have come between destroying and saying so."""
    keys.destroy(NEXT_DAY)
    assert keys.days() == (DAY,)


def test_destroying_is_finished_after_a_power_cut_in_the_middle(keys: FileDayKeys, tmp_path: Path) -> None:
    """Overwritten and still named: it opens nothing, is still listed, and goes the next time."""
    locked = keys.lock(DAY, SEED)
    (tmp_path / "day-keys" / f"{DAY}.key").write_bytes(os.urandom(FILE_BYTES))
    with pytest.raises(CannotOpen):
        keys.unlock(DAY, locked)
    assert keys.days() == (DAY,)
    keys.destroy(DAY)
    assert keys.days() == ()


def test_a_key_that_a_power_cut_left_half_made_is_made_anew(keys: FileDayKeys, tmp_path: Path) -> None:
    """The half file has no name that counts."""
    (tmp_path / "day-keys" / f"{NEXT_DAY}.new").write_bytes(b"half")
    assert keys.days() == (DAY,)
    keys.make(NEXT_DAY)
    assert keys.unlock(NEXT_DAY, keys.lock(NEXT_DAY, SEED)) == SEED


def test_a_damaged_key_is_replaced_when_its_day_is_made_again(keys: FileDayKeys, tmp_path: Path) -> None:
    """What was locked under it is lost either way; the day can be used again."""
    (tmp_path / "day-keys" / f"{DAY}.key").write_bytes(b"rot")
    with pytest.raises(CannotOpen):
        keys.lock(DAY, SEED)
    keys.make(DAY)
    assert keys.unlock(DAY, keys.lock(DAY, SEED)) == SEED


def test_the_files_alone_open_nothing(keys: FileDayKeys, tmp_path: Path) -> None:
    """Each is encrypted under the opening key."""
    locked = keys.lock(DAY, SEED)
    with pytest.raises(CannotOpen):
        keys_in(tmp_path, opening_key=bytes(32)).unlock(DAY, locked)


def test_a_key_is_bound_to_its_day_and_state(keys: FileDayKeys, tmp_path: Path) -> None:
    """Renamed to another day, or taken for another state, it opens nothing."""
    locked = keys.lock(DAY, SEED)
    with pytest.raises(CannotOpen):
        keys_in(tmp_path, state="XBB").unlock(DAY, locked)
    (tmp_path / "day-keys" / f"{DAY}.key").rename(tmp_path / "day-keys" / f"{NEXT_DAY}.key")
    with pytest.raises(CannotOpen):
        keys.unlock(NEXT_DAY, locked)


def test_what_is_locked_is_bound_to_its_day(keys: FileDayKeys) -> None:
    """Altered, cut, or said to be of another day, it does not open."""
    keys.make(NEXT_DAY)
    locked = keys.lock(DAY, SEED)
    for day, altered in ((NEXT_DAY, locked), (DAY, locked[:-1]), (DAY, b""), (DAY, b"\0" + locked[1:])):
        with pytest.raises(CannotOpen):
            keys.unlock(day, altered)


def test_files_and_folder_are_private(keys: FileDayKeys, tmp_path: Path) -> None:
    """Whatever the umask: 0700 and 0600."""
    folder = tmp_path / "day-keys"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / f"{DAY}.key").stat().st_mode) == 0o600


def test_a_folder_that_is_gone_is_trouble_with_the_disk(keys: FileDayKeys, tmp_path: Path) -> None:
    """It may come back: nobody is told that a notice cannot be opened."""
    locked = keys.lock(DAY, SEED)
    away = (tmp_path / "day-keys").rename(tmp_path / "away")
    for work in (lambda: keys.unlock(DAY, locked), keys.days, lambda: keys.make(NEXT_DAY)):
        with pytest.raises(StoreFailed):
            work()
    away.rename(tmp_path / "day-keys")
    assert keys.unlock(DAY, locked) == SEED


def test_strange_files_are_no_days(keys: FileDayKeys, tmp_path: Path) -> None:
    """What somebody else left there is left alone."""
    (tmp_path / "day-keys" / "notes.txt").write_text("?")
    assert keys.days() == (DAY,)
