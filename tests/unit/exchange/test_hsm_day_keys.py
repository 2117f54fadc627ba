"""Day keys in a token keep the promises of day keys in files, and one more: nothing brings one back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from exchange.unsealer.daykeys import DayKeys
from protocol.errors import CannotOpen, StoreFailed
from tests import softhsm
from tests.softhsm import SoftHsm, fresh_library

pytestmark = softhsm.needed

SEED = b"s" * 32
DAY, NEXT = "2026-11-25", "2026-11-26"


@pytest.fixture
def hsm(tmp_path: Path) -> Iterator[SoftHsm]:
    """A machine with one token."""
    with softhsm.softhsm(tmp_path / "hsm") as machine:
        yield machine


@pytest.fixture
def keys(hsm: SoftHsm) -> DayKeys:
    """The day keys of XAA in it."""
    return of(hsm)


def of(hsm: SoftHsm, state: str = "XAA") -> DayKeys:
    """Return the day keys as a process that has just started."""
    fresh_library()
    return hsm.day_keys(state)


def test_a_seed_locked_under_a_day_opens_again_and_after_a_restart(keys: DayKeys, hsm: SoftHsm) -> None:
    """The plain round trip; the same seed is locked differently each time."""
    keys.make(DAY)
    locked = keys.lock(DAY, SEED)
    assert SEED not in locked
    assert keys.lock(DAY, SEED) != locked
    assert keys.unlock(DAY, locked) == SEED
    assert of(hsm).unlock(DAY, locked) == SEED


def test_making_a_key_twice_keeps_the_first(keys: DayKeys) -> None:
    """Whatever is locked under it still opens."""
    keys.make(DAY)
    locked = keys.lock(DAY, SEED)
    keys.make(DAY)
    assert keys.unlock(DAY, locked) == SEED
    assert keys.days() == (DAY,)


def test_a_destroyed_day_opens_nothing_even_if_it_is_made_again(keys: DayKeys) -> None:
    """Threat 28: no backup of what was locked opens; destroying what is not there is finished already."""
    for day in (NEXT, DAY):
        keys.make(day)
    locked, other = keys.lock(DAY, SEED), keys.lock(NEXT, SEED)
    assert keys.days() == (DAY, NEXT)
    keys.destroy(DAY)
    keys.destroy(DAY)
    assert keys.days() == (NEXT,)
    with pytest.raises(CannotOpen, match="destroyed"):
        keys.unlock(DAY, locked)
    with pytest.raises(CannotOpen, match="destroyed"):
        keys.lock(DAY, SEED)
    keys.make(DAY)
    with pytest.raises(CannotOpen, match="does not open"):
        keys.unlock(DAY, locked)
    assert keys.unlock(NEXT, other) == SEED


def test_a_seed_is_bound_to_its_state_and_day(keys: DayKeys, hsm: SoftHsm) -> None:
    """Two states in one token have keys of their own; a row that is moved to another day opens nothing."""
    keys.make(DAY)
    keys.make(NEXT)
    locked = keys.lock(DAY, SEED)
    with pytest.raises(CannotOpen):
        keys.unlock(NEXT, locked)
    other = hsm.day_keys("XBB")
    assert other.days() == ()
    other.make(DAY)
    with pytest.raises(CannotOpen):
        other.unlock(DAY, locked)
    for damaged in (b"", locked[:11], locked[:-1], locked[:-1] + bytes((locked[-1] ^ 1,))):
        with pytest.raises(CannotOpen):
            keys.unlock(DAY, damaged)


def test_a_token_that_is_away_is_no_destroyed_key(keys: DayKeys, hsm: SoftHsm) -> None:
    """Whoever took it for one would throw away what still opens."""
    keys.make(DAY)
    locked = keys.lock(DAY, SEED)
    hsm.pull_out()
    for use in (
        lambda: keys.unlock(DAY, locked),
        lambda: keys.make(DAY),
        lambda: keys.destroy(DAY),
        keys.days,
    ):
        with pytest.raises(StoreFailed) as failed:
            use()
        assert "almenara key token" in failed.value.hint
    hsm.put_back()
    assert keys.unlock(DAY, locked) == SEED


def test_a_wrong_pin_is_no_destroyed_key(keys: DayKeys, hsm: SoftHsm, tmp_path: Path) -> None:
    """Nor is a PIN that must not be tried."""
    keys.make(DAY)
    locked = keys.lock(DAY, SEED)
    (tmp_path / "wrong").write_text("000000\n")
    (tmp_path / "wrong").chmod(0o600)
    fresh_library()
    shut = hsm.day_keys("XAA", tmp_path / "wrong")
    for _ in range(2):
        with pytest.raises(StoreFailed, match="PIN"):
            shut.unlock(DAY, locked)
