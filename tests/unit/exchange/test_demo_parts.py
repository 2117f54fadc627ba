"""Parts of the demonstration that must never do harm: signals, the altered copy, deadlines."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from exchange.demo.deadline import deadline
from exchange.demo.processes import Resident, end, mark_of
from exchange.demo.stage import end_recorded
from exchange.demo.tamper import tamper
from exchange.stores.coordinator_sqlite import SqliteCoordinatorStore
from protocol.errors import ServiceError, SetupError
from tests.clocks import FixedClock
from tests.community import NOW_MS
from tests.patience import PATIENCE_S


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process of somebody else's."""
    words = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        # Between fork and exec a process has no words of its own yet.
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def test_a_process_that_took_over_the_number_is_left_alone(sleeper: subprocess.Popen[bytes]) -> None:
    """The number fits and the rest does not, so no signal is sent."""
    assert end([Resident("XAA", sleeper.pid, "1 almenara node run")]) == ()
    assert sleeper.poll() is None


def test_a_process_that_still_fits_is_ended(sleeper: subprocess.Popen[bytes]) -> None:
    """Number, beginning and command line fit: it is asked to end, and does."""
    mark = mark_of(sleeper.pid)
    assert mark is not None
    mine = Resident("XAA", sleeper.pid, mark)
    assert end([mine]) == (mine,)
    assert sleeper.wait(PATIENCE_S) != 0


def test_an_ended_process_has_no_mark(sleeper: subprocess.Popen[bytes]) -> None:
    """Its number alone says nothing, even before its parent has taken notice."""
    sleeper.kill()
    give_up = time.monotonic() + PATIENCE_S
    while mark_of(sleeper.pid) is not None:
        assert time.monotonic() < give_up
        time.sleep(0.01)


def test_a_folder_without_a_record_ends_nothing(tmp_path: Path) -> None:
    """``--stop`` on any other folder is refused."""
    with pytest.raises(SetupError, match="not the folder of a demonstration"):
        end_recorded(tmp_path)


def test_a_deadline_says_what_did_not_come() -> None:
    """Whatever a step waits for, the sentence names it."""
    with (
        pytest.raises(ServiceError, match="for XCC to receive the report"),
        deadline(0.05, "XCC to receive the report"),
    ):
        time.sleep(PATIENCE_S)


def test_a_deadline_that_was_kept_leaves_no_alarm() -> None:
    """A later, longer wait is not disturbed."""
    with deadline(0.05, "nothing"):
        pass
    time.sleep(0.1)


async def test_an_empty_mailbox_cannot_be_tampered_with(tmp_path: Path) -> None:
    """There is nothing to copy, and the sentence says so."""
    store = await SqliteCoordinatorStore.open(tmp_path / "almenara.db", FixedClock(NOW_MS))
    await store.close()
    with pytest.raises(SetupError, match="no envelope for XBB"):
        tamper(tmp_path / "almenara.db", "XBB")
