"""``almenara coordinator status`` and ``drain``, on what a process left behind and on one that runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from exchange.cli.program import almenara
from exchange.coordinator.roll import Facts, owner_of, process_name
from exchange.coordinator.status import STATUS_FILE, status_of, write_status
from exchange.datadir import DataDir
from exchange.stores.sharing_contract import UNMARKED, Lease, Mark, Pulse
from protocol.ledger.origins import Log

HOLD = """
import signal, sys, time
from pathlib import Path
from exchange.datadir import DataDir
place = DataDir(Path(sys.argv[1]))
place.lock()
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("here", flush=True)
time.sleep(60)
"""
"""A process that has a data directory, and ends when it is told to."""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a data directory with the one file that says whose it is."""
    place = DataDir(tmp_path / "HUB")
    place.create()
    (place.keys / "statement.key").write_text("a key\n")
    return place.path


def run(*words: str | Path) -> Result:
    """Run one command."""
    return CliRunner().invoke(almenara, ["coordinator", *map(str, words)])


def facts(name: str, documents: int, published: int) -> Facts:
    """Return what a process says of itself."""
    return Facts(
        name=name,
        version="1",
        pid=7,
        port=8443,
        started_ms=0,
        draining=False,
        sessions=1,
        documents=documents,
        published={"ack": published, "dir": 0},
        witnessed={"ack": 0, "dir": 0},
        halted={},
        looked_ms=None,
    )


def write(data: Path) -> None:
    """Write what a process would, of two that are there and one that is not any more."""
    pulse = Pulse(
        statements=9,
        documents=5,
        heads={},
        epochs={},
        published={Log.ACK: 8, Log.DIRECTORY: 0},
        witnessed={Log.ACK: Mark(6, 1, 1), Log.DIRECTORY: UNMARKED},
        asked={},
        cosigned={},
        halted={Log.DIRECTORY: "forked"},
    )
    said = {"b.1": facts("b", 5, 8), "a.1": facts("a", 4, 6)}
    leases = (Lease("sequencer-ack", "b.1", 3), Lease("sweeper", "gone.1", 2))
    write_status(data, status_of(said, leases, {"XAA": "a.1", "XBB": "gone.2"}, pulse))


def test_the_status_names_everybody_and_who_is_behind(data: Path) -> None:
    """For people, and field by field for scripts."""
    write(data)
    place = DataDir(data)
    with place:
        shown, fields = run("status", "--data", data), run("status", "--data", data, "--json")
    assert shown.exit_code == fields.exit_code == 0, shown.output + fields.output
    lines = [line.strip() for line in shown.output.splitlines()]
    assert "behind: 2 of log ack, 1 documents" in lines
    assert "does for all: sequencer-ack" in lines
    assert "log dir: 0 published, 0 witnessed  HALTED: forked" in lines
    assert "gone: gone.1; what it had ends by itself within seconds" in lines
    found = json.loads(fields.output)
    assert [one["owner"] for one in found["processes"]] == ["a.1", "b.1"]
    assert found["leases"] == {"sequencer-ack": ["b.1", 3], "sweeper": ["gone.1", 2]}
    assert found["gone"] == ["gone.1", "gone.2"]
    assert found["sessions"] == {"XAA": "a.1", "XBB": "gone.2"}


def test_without_a_process_there_is_no_status(data: Path) -> None:
    """What an older one wrote is not shown as if it were of now."""
    write(data)
    result = run("status", "--data", data)
    assert result.exit_code != 0
    assert "no coordinator runs" in str(result.exception)


def test_a_file_that_is_not_of_this_software_is_told_apart(data: Path) -> None:
    """Another version wrote it, or nobody did yet."""
    place = DataDir(data)
    (data / STATUS_FILE).write_text("{}")
    with place:
        result = run("status", "--data", data)
    assert result.exit_code != 0
    assert "has not said yet" in str(result.exception)


def test_a_process_is_told_to_stop_and_waited_for(data: Path) -> None:
    """The command returns when it has gone, and says what its number was."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(data)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        assert DataDir(data).holder() == process.pid
        result = run("drain", "--data", data, "--json")
        assert process.wait(10) == 0
    assert json.loads(result.output)["stopped"] == process.pid
    assert DataDir(data).holder() is None


def test_a_process_that_does_not_stop_is_named(data: Path) -> None:
    """It was told; people must see why."""
    stubborn = HOLD.replace("lambda *_: sys.exit(0)", "signal.SIG_IGN")
    with subprocess.Popen(
        [sys.executable, "-c", stubborn, str(data)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        result = run("drain", "--data", data, "--timeout", "1")
        os.kill(process.pid, signal.SIGKILL)
    assert result.exit_code != 0
    assert f"process {process.pid} has not stopped within 1 seconds" in str(result.exception)


def test_where_no_process_runs_there_is_nothing_to_drain(data: Path) -> None:
    """Not even a lock was ever there."""
    result = run("drain", "--data", data)
    assert result.exit_code != 0
    assert "no coordinator runs" in str(result.exception)


@pytest.mark.parametrize(
    ("wanted", "name"), [("hub-one", "hub-one"), ("10.0.0.1", "host-10-0-0-1"), ("a b/c", "a-b-c")]
)
def test_a_process_is_called_what_the_log_can_write(wanted: str, name: str) -> None:
    """Letters, digits and dashes, and a letter first."""
    assert process_name(wanted) == name
    assert process_name("")
    assert owner_of(name) != owner_of(name)
