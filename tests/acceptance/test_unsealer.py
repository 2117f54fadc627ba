"""The unsealer as a process: killed in the middle, gone with its node, and shut in."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from exchange.cli.exits import Exit
from exchange.keystore import write_secret
from exchange.node.requests import SubmitRequest
from tests.acceptance.canaries import key_file, put_under_passphrase
from tests.acceptance.ceremony import HUB, Founded
from tests.acceptance.world import World, living

BURST = 60

TRY_IT = """
import ctypes, socket
from exchange.unsealer.confinement import confine
GET_DUMPABLE = 3
before = ctypes.CDLL(None).prctl(GET_DUMPABLE, 0, 0, 0, 0)
print(*confine(network=False))
print(before, ctypes.CDLL(None).prctl(GET_DUMPABLE, 0, 0, 0, 0))
for attempt in (socket.socket, lambda: socket.create_connection(("127.0.0.1", 1))):
    try:
        attempt()
        print("done")
    except PermissionError:
        print("refused")
"""


@pytest.fixture
def world(settled: Founded) -> Iterator[World]:
    """Return a community of which the coordinator, XAA and XBB run."""
    with living(settled) as running:
        running.start(HUB, "XAA", "XBB")
        yield running


def request(number: int) -> SubmitRequest:
    """Return one notice of a burst."""
    return SubmitRequest(to=("XBB",), severity="xaa-national@1:grave", subject=f"{number}", text="Text.")


def exists(pid: int) -> bool:
    """Whether a process is there and not only waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_killed_in_the_middle_of_a_burst_nothing_is_lost_or_refused(world: World) -> None:
    """It is started again; what was delivered meanwhile waited, and every notice is shown once."""
    killed: set[int] = set()
    for number in range(BURST):
        world.submit("XAA", request(number), secrets.token_hex(16))
        if number % 15 == 5:
            world.until(lambda: has_unsealer(world) - killed != set(), "a new unsealer")
            (pid,) = has_unsealer(world) - killed
            os.kill(pid, signal.SIGKILL)
            killed.add(pid)
    world.until(lambda: len(world.listed("XBB", "inbox")) == BURST, "all notices")
    subjects = [one.subject for one in world.listed("XBB", "inbox")]
    states = {
        one.state for view in world.listed("XAA", "outbox") for one in world.status("XAA", view.id).deliveries
    }
    assert len(killed) == BURST // 15
    assert sorted(subjects, key=int) == [str(number) for number in range(BURST)]
    world.until(lambda: world.node("XBB").alarms == (), "no alarm")
    assert "rejected" not in states


def has_unsealer(world: World) -> set[int]:
    """Return the unsealer of XBB, if there is one now."""
    pid = world.pid("XBB")
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {int(child) for child in children if exists(int(child))}


def test_it_is_gone_within_a_second_when_the_node_is_killed(world: World) -> None:
    """Nobody is left holding keys."""
    pid = world.unsealer("XBB")
    world.kill("XBB")
    world.until(lambda: not exists(pid), "the end of the unsealer", seconds=1.0)


def test_it_ends_with_its_node_and_not_before(world: World) -> None:
    """A service manager tells both to end; the one that opens waits for the one that needs it."""
    pid = world.unsealer("XBB")
    for number in (signal.SIGTERM, signal.SIGINT):
        os.kill(pid, number)
    assert world.submit("XAA", request(0), secrets.token_hex(16)).id
    world.until(lambda: len(world.listed("XBB", "inbox")) == 1, "the notice")
    assert world.unsealer("XBB") == pid
    assert world.stop("XBB") == 0
    assert not exists(pid)


def test_it_holds_one_socket_and_few_rights(world: World) -> None:
    """No core dump, no new privileges, a filter over its calls, nothing open but what it needs."""
    pid = world.unsealer("XBB")
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    limits = Path(f"/proc/{pid}/limits").read_text()
    files = [os.readlink(one) for one in Path(f"/proc/{pid}/fd").iterdir()]
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert any(line.split()[4:6] == ["0", "0"] for line in limits.splitlines() if line.startswith("Max core"))
    assert sorted(name.split(":")[0] for name in files) == ["/dev/null"] * 3 + ["socket"]


def test_once_shut_in_it_opens_no_connection_and_shows_no_memory() -> None:
    """The kernel refuses the one; of a process that is not dumpable its own user reads no memory."""
    ran = subprocess.run([sys.executable, "-c", TRY_IT], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    lacking, dumpable, *tried = ran.stdout.splitlines()
    assert set(lacking.split()) <= {"memory"}
    assert dumpable == "1 0"
    assert tried == ["refused", "refused"]


def test_a_wrong_passphrase_ends_the_start_with_a_next_step(settled: Founded, tmp_path: Path) -> None:
    """The child says what is wrong; the node's own keys opened."""
    given = tmp_path / "passphrase"
    write_secret(given, "given\n")
    with living(settled, given) as world:
        put_under_passphrase(key_file(world.founded, "XBB", "opening"), "another")
        ran = world.run("node", "run", "--data", world.data("XBB"), "--passphrase-file", given, "--json")
    assert ran.code == Exit.AUTHORITY
    assert ran.error["code"] == "wrong-passphrase"
    assert "opening.key" in ran.error["message"]
    assert ran.error["next"]


def test_a_node_without_an_opening_key_says_what_to_do(settled: Founded) -> None:
    """As one that was set up by an earlier version."""
    with living(settled) as world:
        key_file(world.founded, "XBB", "opening").unlink()
        ran = world.run("node", "run", "--data", world.data("XBB"), "--json")
    assert ran.error["code"] == "setup"
    assert "opening.key" in ran.error["message"]
