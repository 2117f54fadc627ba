"""The demonstration as people run it: one command, real processes, a clean house afterwards."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PATIENCE_S = 120.0
HEEDING_CTRL_C = """
import signal, sys
from exchange.cli.main import main
signal.signal(signal.SIGINT, signal.default_int_handler)
main(sys.argv[1:])
"""
ALMENARA = (sys.executable, "-m", "exchange.cli.main")


def demo(*words: str) -> subprocess.CompletedProcess[str]:
    """Run ``almenara demo`` to its end."""
    return subprocess.run(
        [*ALMENARA, "demo", *words], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


def processes_of(folder: Path) -> list[str]:
    """Return the command lines of all processes that work in a folder."""
    if Path("/proc/self").exists():
        lines = []
        for place in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                lines.append(place.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
            except OSError:
                continue
    else:
        found = subprocess.run(["/bin/ps", "-A", "-ww", "-o", "command="], capture_output=True, check=True)
        lines = found.stdout.decode("utf-8", "replace").splitlines()
    return [line for line in lines if f"{folder}/" in line]


@pytest.fixture(scope="session")
def empty() -> Iterator[Path]:
    """A folder with a path short enough for sockets, in which each demonstration gets its own."""
    with tempfile.TemporaryDirectory(prefix="alm-") as name:
        yield Path(name)


@pytest.fixture(scope="session")
def place(empty: Path) -> Path:
    """Where the one demonstration of this run plays."""
    return empty / "once"


@pytest.fixture(scope="session")
def taken(empty: Path) -> Path:
    """Where its auditor leaves what was taken along."""
    return empty / "taken"


@pytest.fixture(scope="session")
def outcome(place: Path, taken: Path) -> dict[str, Any]:
    """What ``almenara demo --json`` printed; it is run once."""
    ended = demo("--json", "--dir", str(place), "--bundle", str(taken))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    result: dict[str, Any] = json.loads(ended.stdout)
    return result


@dataclass(frozen=True)
class Kept:
    """A demonstration that was left running, and what it printed."""

    folder: Path
    story: str


@pytest.fixture(scope="module")
def kept(empty: Path) -> Iterator[Kept]:
    """A demonstration left running, and ended when its tests are over."""
    folder = empty / "kept"
    ended = demo("--keep", "--dir", str(folder))
    try:
        assert ended.returncode == 0, ended.stdout + ended.stderr
        yield Kept(folder, ended.stdout)
    finally:
        demo("--stop", str(folder))


def test_two_notices_reach_both_states(outcome: dict[str, Any]) -> None:
    """The report and the update are both received by XBB and XCC."""
    counted = {name: outcome[name] for name in ("notices", "deliveries", "received", "answered")}
    assert counted == {"notices": 2, "deliveries": 4, "received": 4, "answered": 4}


def test_an_altered_copy_is_refused(outcome: dict[str, Any]) -> None:
    """XBB's node refuses what the coordinator's operator altered, and takes the genuine notice."""
    assert outcome["tampered_refused"] == 1


def test_the_coordinator_can_read_nothing(outcome: dict[str, Any]) -> None:
    """No text of a notice or note stands anywhere in what the coordinator keeps."""
    assert outcome["readable_at_coordinator"] == 0


def test_the_whole_ledger_is_witnessed(outcome: dict[str, Any]) -> None:
    """What every party said is in it, and a quorum of the states' nodes has cosigned it."""
    ledger = outcome["ledger"]
    assert len(ledger["witnesses"]) >= ledger["needed"] == 2
    assert ledger["size"] == outcome["audit"]["leaves"] == outcome["audit"]["statements"]
    # DIRECTORY, two RELAYED, and of each delivery RECEIVED, OPENED and an answer.
    assert ledger["size"] == 1 + 2 + 4 * 3


def test_the_audit_holds_and_names_the_leaf_of_a_changed_byte(outcome: dict[str, Any]) -> None:
    """Exit 0 for the bundle, 3 for the bundle with one byte changed."""
    audit = outcome["audit"]
    assert (audit["exit"], audit["receipt_exit"], audit["altered_exit"]) == (0, 0, 3)
    assert f"leaf {audit['altered_leaf']}" in audit["altered_findings"]


def test_what_the_auditor_took_along_stays(outcome: dict[str, Any], taken: Path) -> None:
    """Bundle, report and receipt: with nothing running, from the root hash alone."""
    assert sorted(path.name for path in taken.iterdir()) == [
        "bundle",
        "receipt.txt",
        "report.html",
        "root-hash",
    ]
    assert outcome["audit"]["folder"] == str(taken)
    assert outcome["story"][0]["details"][0] == (taken / "root-hash").read_text().strip()
    for name in ("bundle", "receipt.txt"):
        words = [*ALMENARA, "audit", "verify", str(taken / name), "--root-hash", str(taken / "root-hash")]
        ended = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        assert ended.returncode == 0, ended.stdout + ended.stderr


def test_it_is_over_in_half_a_minute(outcome: dict[str, Any]) -> None:
    """Nobody waits longer than thirty seconds."""
    assert 0 < outcome["seconds"] < 30


def test_every_step_of_every_delivery_has_a_time_in_order(outcome: dict[str, Any]) -> None:
    """Accepted, relayed, received, opened, answered: each later than the one before."""
    steps = ("accepted_by_node", "relayed", "received", "opened")
    for one in outcome["details"]:
        times = [one["reached_ms"][step] for step in (*steps, one["state"])]
        assert times == sorted(times)


def test_named_officers_answer_and_only_the_sender_reads_their_notes(outcome: dict[str, Any]) -> None:
    """XBB accepts with a note, XCC declines with a reason; both are signed by a person."""
    xbb, xcc = (one for one in outcome["details"] if one["kind"] == "report")
    assert (xbb["state"], xbb["officer"]) == ("accepted", "Dana Whitlock")
    assert "duty line" in xbb["note"]
    assert (xcc["state"], xcc["code"], xcc["officer"]) == ("declined", "not-affected", "Julien Marchetti")


def test_severity_is_said_in_the_senders_words_and_in_each_readers(outcome: dict[str, Any]) -> None:
    """XAA's word is kept; XBB and XCC see their own beside it."""
    words = {one["recipient"]: (one["severity"], one["severity_there"]) for one in outcome["details"][:2]}
    assert words == {
        "XBB": ("xaa-national@1:grave", "xbb-national@1:c2"),
        "XCC": ("xaa-national@1:grave", "xcc-national@1:rouge"),
    }


def test_the_update_refers_to_the_report(outcome: dict[str, Any]) -> None:
    """A reader of the update finds the report it belongs to."""
    report, _, update, _ = outcome["details"]
    assert (update["kind"], update["refers_to"]) == ("update", report["notice"])


def test_nothing_is_left_of_it(outcome: dict[str, Any], place: Path) -> None:
    """No process runs on, and the folder is gone."""
    assert outcome["folder"] is None
    assert not place.exists()
    assert processes_of(place) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demonstration_leaves_nothing(empty: Path, number: signal.Signals) -> None:
    """Ctrl-C, or a polite kill, in the middle of it ends every process and removes the folder."""
    folder = empty / number.name
    command = [sys.executable, "-c", HEEDING_CTRL_C, "demo", "--dir", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running:
        await_file(folder / "demo.json")
        os.kill(running.pid, number)
        running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 130
    assert not folder.exists()
    assert processes_of(folder) == []


def test_the_story_fits_a_hundred_columns_and_has_no_colour_in_a_pipe(kept: Kept) -> None:
    """What goes into a file is plain text, and ends with what to try next."""
    assert max(map(len, kept.story.splitlines())) <= 100
    assert "\x1b" not in kept.story
    assert "What to try next" in kept.story


def test_a_kept_demonstration_runs_on_until_it_is_stopped(kept: Kept) -> None:
    """All four processes can be used afterwards, and ``--stop`` ends them, and them only."""
    assert f"almenara demo --stop {kept.folder}" in kept.story
    assert len(processes_of(kept.folder)) == 4
    stopped = demo("--stop", str(kept.folder), "--json")
    assert sorted(json.loads(stopped.stdout)["ended"]) == ["HUB", "XAA", "XBB", "XCC"]
    assert processes_of(kept.folder) == []


def test_a_folder_that_is_not_empty_is_left_alone(empty: Path) -> None:
    """The demonstration never puts its keys among other files, and removes none of them."""
    folder = empty / "full"
    folder.mkdir()
    (folder / "mine").write_text("precious")
    refused = demo("--json", "--dir", str(folder))
    assert refused.returncode == 1
    assert json.loads(refused.stdout)["error"]["code"] == "setup"
    assert (folder / "mine").read_text() == "precious"


def await_file(path: Path) -> None:
    """Return once a file is there."""
    give_up = time.monotonic() + PATIENCE_S
    while not path.exists():
        assert time.monotonic() < give_up, f"{path.name} did not appear"
        time.sleep(0.01)
