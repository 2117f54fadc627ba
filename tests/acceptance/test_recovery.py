"""A bad night, over real processes: nodes and coordinators come back from backups and from older copies."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import apsw
import pytest

from exchange.cli.exits import Exit
from exchange.node.requests import SubmitRequest
from exchange.node.views import LedgerView
from protocol.errors import UnknownSigner
from tests.acceptance.ceremony import CODES, HUB, Founded
from tests.acceptance.world import World, living


@pytest.fixture
def world(settled: Founded) -> Iterator[World]:
    """A running community."""
    with living(settled) as world:
        world.start(HUB, *CODES)
        yield world


def send(world: World, code: str, *to: str, subject: str) -> str:
    """Send a notice, and return its id once every recipient has it."""
    view = world.submit(code, request(code, *to, subject=subject), f"request-{subject.replace(' ', '-')}")
    world.status(code, view.id, wait="received")
    return view.id


def request(code: str, *to: str, subject: str) -> SubmitRequest:
    """Return a notice in the sender's own severity."""
    level = {"XAA": "xaa-national@1:grave"}.get(code, "ppd-41:severe")
    return SubmitRequest(to=to, severity=level, subject=subject, text="Text.")


def states(world: World, code: str, id_: str) -> dict[str, str]:
    """Return how each delivery of a notice stands."""
    return {one.recipient: one.state for one in world.status(code, id_).deliveries}


def alarms(world: World, code: str) -> set[str]:
    """Return the codes of a node's alarms."""
    return {alarm.code for alarm in world.node(code).alarms}


def subjects(world: World, code: str) -> set[str]:
    """Return the subjects in a node's inbox."""
    return {notice.subject for notice in world.listed(code, "inbox")}


def events(world: World, code: str) -> list[dict[str, Any]]:
    """Return all events of a node's store, read from its file."""
    db = apsw.Connection(str(world.data(code) / "almenara.db"), apsw.SQLITE_OPEN_READONLY)
    rows = db.execute("SELECT event, state, detail FROM event ORDER BY number").fetchall()
    db.close()
    return [{"event": event, "state": state, "detail": detail} for event, state, detail in rows]


def accepted_by_reconcile(world: World, code: str) -> dict[str, Any]:
    """Let a restored node catch up, stop it, reconcile it, and start it again."""
    reconcile = ("node", "reconcile", "--data", world.data(code), "--json")
    identity = world.folder / f"{code}-identity.key"
    world.until(lambda: has_caught_up(world, code), f"{code} to catch up")
    world.stop(code)
    ran = world.run(*reconcile, "--identity", identity)
    assert ran.code == Exit.OK, ran.out + ran.err
    world.start(code)
    world.until(lambda: may_sign(world, code), f"the coordinator to know the new key of {code}")
    return ran.object


def may_sign(world: World, code: str) -> bool:
    """Whether a node's new key has been accepted, so that it takes notices again."""
    others = tuple(other for other in CODES if other != code)
    with suppress(UnknownSigner):
        return bool(world.submit(code, request(code, *others, subject="again"), "request-again").id)
    return False


def has_caught_up(world: World, code: str) -> bool:
    """Whether a restored node has read every document."""
    db = apsw.Connection(str(world.data(code) / "almenara.db"), apsw.SQLITE_OPEN_READONLY)
    found = db.execute("SELECT 1 FROM fact WHERE name = 'restored-caught-up'").fetchone()
    db.close()
    return found is not None


def put_identity_away(world: World, code: str) -> None:
    """Move the identity key to other media."""
    (world.data(code) / "keys" / "identity.key").rename(world.folder / f"{code}-identity.key")


def backup(world: World, code: str, name: str) -> Path:
    """Back a running place up."""
    file = world.folder / name
    ran = world.run("backup", "--data", world.data(code), "-o", file)
    assert ran.code == Exit.OK, ran.err
    assert world.run("backup", "--verify", file).code == Exit.OK
    return file


def test_a_node_restored_from_an_old_backup_says_nothing_twice(world: World) -> None:
    """It reads, refuses to sign, is reconciled, and goes on; nobody sees a fork or loses a notice."""
    put_identity_away(world, "XBB")
    send(world, "XBB", "XAA", "XCC", subject="before the backup")
    file = backup(world, "XBB", "xbb.tar")
    for number in range(2):
        send(world, "XBB", "XAA", "XCC", subject=f"forgotten {number}")
    answered = send(world, "XAA", "XBB", subject="answered and forgotten")
    assert world.run("show", answered, code="XBB").code == Exit.OK
    world.kill("XBB")
    (world.data("XBB") / "tokens").rename(world.folder / "officers-pocket")
    shutil.rmtree(world.data("XBB"))

    ran = world.run("restore", file, "--data", world.data("XBB"))
    assert ran.code == Exit.OK, ran.err
    # The officers still have their tokens.
    shutil.copytree(world.folder / "officers-pocket", world.data("XBB") / "tokens", dirs_exist_ok=True)
    world.start("XBB")
    world.until(lambda: world.node("XBB").connected, "XBB to connect")
    assert "restored" in alarms(world, "XBB")
    report = world.folder / "report.txt"
    report.write_text("Text.")
    words = ("send", report, "--to", "XAA", "--severity", "ppd-41:severe", "--subject", "x", "--yes")
    said = world.run(*words, "--json", code="XBB")
    assert said.code == Exit.FAILED
    assert said.error["code"] == "restored"
    assert "reconcile" in said.error["next"]
    doctor = world.run("doctor", "--data", world.data("XBB"), "--json")
    assert doctor.code == Exit.FAILED

    waiting = world.submit("XAA", request("XAA", "XBB", subject="while it is silent"), "request-silent").id
    world.status("XAA", waiting, wait="relayed")
    assert states(world, "XAA", waiting)["XBB"] == "relayed"

    made = accepted_by_reconcile(world, "XBB")
    assert made["epoch"] > 3_000_000
    world.status("XAA", waiting, wait="received")
    assert states(world, "XAA", waiting)["XBB"] == "received", world.tails()
    # The keys of the days are in no backup: it was sealed again, to one that was made after the restore.
    (shown,) = [one.id for one in world.listed("XBB", "inbox") if one.subject == "while it is silent"]
    assert "Text." in world.run("show", shown, code="XBB").out
    send(world, "XBB", "XAA", "XCC", subject="after the night")
    world.until(lambda: "after the night" in subjects(world, "XCC"), "XCC to have it")
    send(world, "XAA", "XBB", subject="and back")
    for code in ("XAA", "XCC"):
        told = [one for one in events(world, code) if one["event"] == "inbox.renumbered"]
        assert [one["state"] for one in told] == ["XBB"]
        assert set(alarms(world, code)) == {"renumbered"}, alarms(world, code)
    assert "restored" not in alarms(world, "XBB")


def test_an_older_copy_of_a_node_is_found_out_by_what_it_cosigned(world: World) -> None:
    """A machine's snapshot says nothing of itself: its own cosignature, shown to it, does."""
    put_identity_away(world, "XBB")
    send(world, "XAA", "XBB", subject="first")
    world.stop("XBB")
    shutil.copytree(world.data("XBB"), world.folder / "snapshot")
    world.start("XBB")
    send(world, "XBB", "XAA", subject="after the snapshot")
    world.until(lambda: is_witnessed(world, "XBB"), "XBB to have cosigned")
    world.kill("XBB")
    shutil.rmtree(world.data("XBB"))
    (world.folder / "snapshot").rename(world.data("XBB"))
    world.start("XBB")
    world.until(lambda: "restored" in alarms(world, "XBB"), "XBB to find out")
    accepted_by_reconcile(world, "XBB")
    send(world, "XBB", "XAA", subject="on again")
    assert "restored" not in alarms(world, "XBB")


def is_witnessed(world: World, code: str) -> bool:
    """Whether everything that a node said stands under a checkpoint of a quorum, which it cosigned itself."""
    view = world.client(code).ask("GET", "/v1/ledger", LedgerView)
    waits = view.promised or view.unwitnessed
    return not waits and all(log.cosigned_here == log.size == log.witnessed_size for log in view.logs)


def test_a_node_that_was_not_restored_is_not_reconciled(world: World) -> None:
    """Nor one that has not caught up: it may have forgotten a manifest of its own."""
    put_identity_away(world, "XCC")
    file = backup(world, "XCC", "xcc.tar")
    world.stop("XCC")
    identity = ("--identity", world.folder / "XCC-identity.key", "--json")
    sound = world.run("node", "reconcile", "--data", world.data("XCC"), *identity)
    assert (sound.code, sound.error["code"]) == (Exit.USAGE, "bad-request")
    assert world.run("restore", file, "--data", world.folder / "new").code == Exit.OK
    early = world.run("node", "reconcile", "--data", world.folder / "new", *identity)
    assert early.error["code"] == "setup"
    assert "caught up" in early.error["message"]


def test_two_machines_with_one_nodes_data_do_not_both_sign_for_long(world: World) -> None:
    """The coordinator keeps one session for a state; the one that fell behind finds out and stops."""
    send(world, "XAA", "XBB", subject="first")
    world.stop("XBB")
    twin = world.folder / "XBB-twin"
    shutil.copytree(world.data("XBB"), twin)
    world.start("XBB")
    send(world, "XBB", "XAA", subject="by the first machine")
    world.until(lambda: is_witnessed(world, "XBB"), "XBB to have cosigned")
    world.launch("XBB-twin")
    world.until(lambda: is_restored(twin) or is_restored(world.data("XBB")), "one of them to find out")


def is_restored(data: Path) -> bool:
    """Whether a store says that it is an older copy."""
    db = apsw.Connection(str(data / "almenara.db"), apsw.SQLITE_OPEN_READONLY)
    found = db.execute("SELECT 1 FROM fact WHERE name = 'restored'").fetchone()
    db.close()
    return found is not None


def test_a_coordinator_restored_from_an_old_backup_does_not_fork_its_ledger(world: World) -> None:
    """Beside its newer anchor it is refused, whatever is typed; the newest copy comes back whole."""
    send(world, "XAA", "XBB", subject="before the backup")
    old = backup(world, HUB, "old.tar")
    send(world, "XAA", "XBB", subject="after the backup")
    world.until(lambda: len(checkpoint(world.data(HUB))) > 0, "a checkpoint")
    world.stop(HUB)
    newest = backup(world, HUB, "newest.tar")
    anchor = world.folder / "anchor"
    (world.data(HUB) / "anchor").rename(anchor)
    for file in (old, newest):
        shutil.rmtree(world.data(HUB))
        assert world.run("restore", file, "--data", world.data(HUB)).code == Exit.OK
        shutil.copytree(anchor, world.data(HUB) / "anchor")
        refused = world.run("coordinator", "run", "--data", world.data(HUB), "--json")
        assert refused.code == Exit.FAILED
        recover = world.run("coordinator", "recover", "--data", world.data(HUB), "--yes", "--json")
        if file is old:
            assert recover.error["code"] == "setup"
            assert "older copy" in recover.error["message"]
            again = world.run("coordinator", "run", "--data", world.data(HUB), "--json")
            assert again.code == Exit.FAILED
    assert recover.code == Exit.OK, recover.out
    world.start(HUB)
    send(world, "XAA", "XBB", "XCC", subject="after the night")
    assert not alarms(world, "XBB")


def test_without_an_anchor_only_what_members_hold_tells_an_older_coordinator(world: World) -> None:
    """A word alone is not taken: the sizes are, and an older copy is refused by them, at every try."""
    send(world, "XAA", "XBB", subject="before the backup")
    world.until(lambda: is_witnessed(world, "XBB"), "a quorum")
    old, before = backup(world, HUB, "old.tar"), sizes(world, "XBB")["ack"]
    send(world, "XAA", "XBB", subject="after the backup")
    world.until(lambda: sizes(world, "XBB")["ack"] > before + 1, "a larger checkpoint")
    world.stop(HUB)
    newest = backup(world, HUB, "newest.tar")
    have = [word for log, size in sizes(world, "XBB").items() for word in ("--members-have", f"{log}={size}")]
    for file in (old, newest):
        shutil.rmtree(world.data(HUB))
        assert world.run("restore", file, "--data", world.data(HUB)).code == Exit.OK
        recover = ("coordinator", "recover", "--data", world.data(HUB), "--yes", "--json")
        said = world.run(*recover, *have)
        assert "WARNING: there is no anchor" in said.err
        if file is old:
            assert "a member has checkpoint" in said.error["message"]
            assert world.run(*recover).code == Exit.USAGE
    assert said.code == Exit.OK, said.out
    world.start(HUB)
    send(world, "XAA", "XBB", "XCC", subject="after the night")
    assert not alarms(world, "XBB")


def sizes(world: World, code: str) -> dict[str, int]:
    """Return how large a member's node shows each log to be."""
    shown = world.client(code).ask("GET", "/v1/ledger", LedgerView)
    return {log.log: log.size for log in shown.logs}


def checkpoint(data: Path) -> bytes:
    """Return the anchored checkpoint of the log of statements."""
    path = data / "anchor" / "ack.checkpoint"
    return path.read_bytes() if path.exists() else b""
