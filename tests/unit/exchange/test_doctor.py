"""The doctor: a sound place passes, and every check turns red for a place that is broken its way."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import shutil
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import apsw
import pytest

from exchange.cli.exits import Exit
from exchange.cli.program import run
from exchange.clock import SystemClock
from exchange.doctor import machine
from exchange.doctor.anchoring import anchor_is_apart
from exchange.doctor.checks import CHECKS, examine
from exchange.doctor.patient import DAY_MS, Asked, Finding, Level, Patient
from exchange.keystore import write_secret
from exchange.node.views import AddressView, AlarmView, NodeView
from exchange.restored import RESTORED_FACT, RESTORED_FILE
from exchange.setup.amending import amending
from exchange.setup.checking import check, glance
from exchange.setup.keyring import write_key
from exchange.setup.revoking import plan, revoke
from exchange.stores.node_books import raise_alarm, save_fact
from keys.keyfile import KeyKind
from keys.protection import Passphrase
from tests.acceptance.ceremony import HUB, NO_PASSPHRASE, Founded
from tests.hubs import node, prepare, running, settings
from tests.unit.exchange.test_setup_ledger import publish

YEAR_MS = 365 * DAY_MS
"""Longer than anything that the set-up makes is in force."""


@pytest.fixture
def world(ceremony: Founded, tmp_path: Path) -> Founded:
    """A community whose folder may be changed, cleaned up as the README asks."""
    world = ceremony.copy(tmp_path / "world")
    for code in ("XAA", HUB):
        (world.data(code) / "keys" / "identity.key").unlink(missing_ok=True)
        for token in (world.data(code) / "tokens").iterdir():
            token.unlink()
    return world


def found(data: Path, later_ms: int = 0, asked: Asked | None = None) -> dict[str, Finding]:
    """Return what each check finds."""
    patient = Patient(data, SystemClock().now_ms() + later_ms, lambda socket: asked or Asked(runs=False))
    return {result.name: result.finding for result in examine(patient)}


def change(data: Path, work: Callable[[apsw.Connection], object]) -> None:
    """Change a database as no part of the program would."""
    db = apsw.Connection(str(data / "almenara.db"))
    work(db)
    db.close()


def view(**changes: object) -> NodeView:
    """Return what a node that is well says of itself, but for the changes."""
    plain: dict[str, object] = {
        "state": "XAA",
        "version": "1",
        "coordinator": HUB,
        "connected": True,
        "connected_since_ms": 1,
        "last_error": None,
        "queued": 0,
        "inbox_unread": 0,
        "directory_version": 1,
        "clock_skew_ms": 5,
        "alarms": (),
    }
    return NodeView(**(plain | changes))  # type: ignore[arg-type]


def test_a_sound_node_and_a_sound_coordinator_pass(world: Founded) -> None:
    """No problem, and no warning but that a trial's keys are unprotected."""
    for code in ("XAA", HUB):
        findings = found(world.data(code))
        red = {name for name, one in findings.items() if one.level in (Level.WARNING, Level.PROBLEM)}
        assert red == {"key-files-are-protected"}
        assert len(findings) == len(CHECKS)


def test_protected_keys_are_not_complained_about(world: Founded) -> None:
    """A passphrase on every key is what the warning asks for."""
    keys = world.data("XAA") / "keys"
    for path in keys.glob("*.key"):
        if path.name != "tls.key":
            path.unlink()
            write_key(path, KeyKind.SYMMETRIC, "x", "vault", bytes(32), Passphrase(b"p", 64, 1, 1), 0)
    assert found(world.data("XAA"))["key-files-are-protected"].level is Level.OK


def expired(data: Path) -> None:
    """Change nothing: time does it."""


def foreign_keys(data: Path) -> None:
    """Put another state's key in the node key's place."""
    other = data.parent / "XBB" / "keys" / "node.key"
    (data / "keys" / "node.key").unlink()
    write_secret(data / "keys" / "node.key", other.read_text())


def foreign_certificate(data: Path) -> None:
    """Put another state's certificate in this one's place."""
    shutil.copy(data.parent / "XBB" / "keys" / "tls.crt", data / "keys" / "tls.crt")


def damage(data: Path) -> None:
    """Overwrite a page in the middle of the database."""
    raw = bytearray((data / "almenara.db").read_bytes())
    raw[4096 * 4 : 4096 * 6] = b"\xff" * (2 * 4096)
    (data / "almenara.db").write_bytes(raw)


def waiting_notice(db: apsw.Connection) -> None:
    """Store a notice of long ago that still waits."""
    db.execute("PRAGMA foreign_keys = OFF")
    db.execute(
        "INSERT INTO notice (id, direction, sender, notice, manifest, proof, salt, created_ms, stored_ms,"
        " priority, state, locked_summary, locked_key) VALUES"
        " (x'01', 'sent', 'XAA', x'', x'', x'', x'', 1, 1, 1, 'queued', x'', x'')"
    )
    db.execute("INSERT INTO outgoing (kind, priority, subject, content) VALUES ('submit', 1, x'01', x'')")


BROKEN: dict[str, tuple[str, Callable[[Path], object], Level]] = {
    "open to others": ("directory-is-private", lambda data: data.chmod(0o755), Level.PROBLEM),
    "no directory": ("directory-is-private", shutil.rmtree, Level.PROBLEM),
    "half set up": ("place-is-complete", lambda data: (data / "request.alm").unlink(), Level.PROBLEM),
    "no root hash": ("place-is-complete", lambda data: (data / "root-hash").unlink(), Level.PROBLEM),
    "bad setting": (
        "settings-are-fit",
        lambda data: (data / "almenara.toml").write_text("windou = 3\n"),
        Level.PROBLEM,
    ),
    "lost key": ("key-files-are-there", lambda data: (data / "keys" / "vault.key").unlink(), Level.PROBLEM),
    "open key": (
        "key-files-are-private",
        lambda data: (data / "keys" / "node.key").chmod(0o644),
        Level.PROBLEM,
    ),
    "torn key": (
        "key-files-are-private",
        lambda data: (data / "keys" / "node.key").write_text("almenara-key: 1\n"),
        Level.PROBLEM,
    ),
    "foreign key": ("keys-are-those-published", foreign_keys, Level.PROBLEM),
    "foreign certificate": ("keys-are-those-published", foreign_certificate, Level.PROBLEM),
    "identity key": (
        "identity-key-is-away",
        lambda data: shutil.copy(data / "keys" / "node.key", data / "keys" / "identity.key"),
        Level.WARNING,
    ),
    "token": (
        "tokens-are-handed-over",
        lambda data: (data / "tokens" / "officer-x.token").write_text("x"),
        Level.WARNING,
    ),
    "damage": ("database-is-whole", damage, Level.PROBLEM),
    "newer": (
        "database-is-whole",
        lambda data: change(
            data, lambda db: db.execute("INSERT INTO migration VALUES (99, 'later', zeroblob(32), 0)")
        ),
        Level.PROBLEM,
    ),
    "not joined": (
        "membership-is-active",
        lambda data: change(data, lambda db: db.execute("DELETE FROM document")),
        Level.PROBLEM,
    ),
    "no secret halves": (
        "sealing-keys-are-ahead",
        lambda data: change(data, lambda db: db.execute("DELETE FROM prekey")),
        Level.PROBLEM,
    ),
    "no keys of days": (
        "sealing-keys-are-ahead",
        lambda data: shutil.rmtree(data / "day-keys"),
        Level.PROBLEM,
    ),
    "waiting": ("queue-is-short", lambda data: change(data, waiting_notice), Level.PROBLEM),
    "alarm": (
        "nobody-is-alarmed",
        lambda data: change(data, lambda db: raise_alarm(db, "held", "", "x", "y", 1)),
        Level.WARNING,
    ),
    "restored": (
        "place-was-not-restored",
        lambda data: change(data, lambda db: save_fact(db, RESTORED_FACT, 5)),
        Level.PROBLEM,
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_each_check_finds_the_place_that_is_broken_its_way(world: Founded, name: str) -> None:
    """Each names the fix, and no other check falls over it."""
    check, spoil, level = BROKEN[name]
    spoil(world.data("XAA"))
    findings = found(world.data("XAA"))
    assert findings[check].level is level
    assert findings[check].message
    assert findings[check].fix
    assert len(findings) == len(CHECKS)


@pytest.mark.parametrize("spoil", ["revoked", "restored", "lost"])
def test_the_doctor_is_red_where_the_check_of_keys_is(ceremony: Founded, tmp_path: Path, spoil: str) -> None:
    """A key that is revoked or lost, and a store that is an older copy: neither calls the node well alone."""
    data = ceremony.copy(tmp_path / "w").data("XAA")
    identity = data / "keys" / "identity.key"

    async def end() -> None:
        async with amending(data, identity, NO_PASSPHRASE, SystemClock()) as amendment:
            await revoke(amendment, plan(amendment, "node", 0, "compromised"), None, silence=True)

    if spoil == "revoked":
        asyncio.run(end())
    elif spoil == "restored":
        change(data, lambda db: save_fact(db, RESTORED_FACT, 5))
    else:
        (data / "keys" / "node.key").unlink()
    assert [name for name, one in found(data).items() if one.level is Level.PROBLEM] != []
    assert [one for one in check(asyncio.run(glance(data, SystemClock(), None))) if one.grave] != []


def test_a_node_that_is_not_let_in_is_told_what_to_carry(world: Founded) -> None:
    """The check of the service names the file, because the network is well."""
    alarm = AlarmView(code="not-let-in", message="m", next="carry it", since_ms=1)
    told = found(
        world.data("XAA"), asked=Asked(runs=True, view=view(connected=False, last_error="x", alarms=(alarm,)))
    )
    assert (told["service-answers"].level, told["service-answers"].fix) == (Level.PROBLEM, "carry it")


@pytest.mark.parametrize("check", ["documents-are-fresh", "own-keys-are-fresh", "sealing-keys-are-ahead"])
def test_what_ends_is_told_before_and_after(world: Founded, check: str) -> None:
    """A warning in time, and a problem when it is over."""
    levels = {found(world.data("XAA"), days * DAY_MS)[check].level for days in (0, 9, 340, 361, 366)}
    assert levels == {Level.OK, Level.WARNING, Level.PROBLEM}


def test_a_coordinator_that_was_restored_and_has_no_anchor_is_red(world: Founded) -> None:
    """The mark of a restore is a problem, and an anchor that is not there another one."""
    data = world.data(HUB)
    (data / RESTORED_FILE).write_text("2026-03-01T00:00:00.000Z\n")
    findings = found(data)
    assert findings["place-was-not-restored"].level is Level.PROBLEM
    assert findings["anchor-is-apart"].level is Level.PROBLEM
    assert "--members-have" in findings["anchor-is-apart"].fix


async def test_an_anchor_is_compared_with_the_database(tmp_path: Path) -> None:
    """On the same disk it is a warning; gone, or newer than the database, it is a problem."""
    data = tmp_path / "hub"
    await prepare(data)
    async with running(data) as (coordinator, port), node(tmp_path, "XAA", port) as xaa:
        await publish(coordinator, xaa)
    assert anchoring(data).level is Level.WARNING
    change(data, lambda db: db.execute("UPDATE ledger_signed SET size = 1 WHERE log = 'ack'"))
    older = anchoring(data)
    assert older.level is Level.PROBLEM
    assert "ack: 2 against 1" in older.message
    shutil.rmtree(data / "anchor")
    assert anchoring(data).level is Level.PROBLEM
    change(data, lambda db: db.execute("DELETE FROM ledger_signed"))
    assert anchoring(data).level is Level.NOTE
    assert not (data / "anchor").exists()


def anchoring(data: Path) -> Finding:
    """Return what the check of the anchor finds, in a place that has settings of its own only."""
    patient = Patient(data, SystemClock().now_ms())
    patient.__dict__["settings"] = settings(data)
    return anchor_is_apart(patient)


def test_the_machine_is_looked_at(world: Founded, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A full disk, an old SQLite, an old library, swap and core dumps are each found."""
    usage = shutil.disk_usage(tmp_path)
    for free, level in ((machine.LITTLE - 1, Level.WARNING), (machine.VERY_LITTLE - 1, Level.PROBLEM)):
        monkeypatch.setattr(shutil, "disk_usage", lambda path, free=free: usage._replace(free=free))
        assert found(world.data("XAA"))["disk-has-room"].level is level
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: "3.40.1")
    monkeypatch.setattr(metadata, "requires", lambda name: ["msgpack>=99", "cryptography>=50", "segno>=1"])
    swaps = tmp_path / "swaps"
    swaps.write_text("Filename Type\n/dev/sda2 partition\n")
    monkeypatch.setattr(machine, "SWAPS", swaps)
    monkeypatch.setattr(resource, "getrlimit", lambda what: (-1, -1))
    findings = found(world.data("XAA"))
    assert findings["engine-is-safe"].level is Level.PROBLEM
    assert findings["libraries-are-new-enough"].level is Level.PROBLEM
    assert "msgpack" in findings["libraries-are-new-enough"].message
    assert "cryptography" not in findings["libraries-are-new-enough"].message
    memory = findings["memory-stays-in-memory"]
    assert memory.level is Level.NOTE
    assert "core dumps" in memory.message
    assert "swap" in memory.message


def test_a_running_node_is_asked_as_well(world: Founded) -> None:
    """Its link, its clock and the alarms that are true only now."""
    data = world.data("XAA")
    well = found(data, asked=Asked(runs=True, view=view()))
    assert {well[name].level for name in ("service-answers", "clock-is-right")} == {Level.OK}
    lost = found(data, asked=Asked(runs=True, view=view(connected=False, last_error="no route")))
    assert lost["service-answers"].level is Level.WARNING
    silent = AddressView(address="wss://b.example:1", error="no route", at_ms=0)
    half = found(data, asked=Asked(runs=True, view=view(address="wss://a.example:1", silent=(silent,))))
    assert half["service-answers"].level is Level.NOTE
    assert "at wss://a.example:1; wss://b.example:1 did not answer at" in half["service-answers"].message
    for skew_ms, level in ((90_000, Level.WARNING), (-3_600_000, Level.PROBLEM)):
        wrong = found(data, asked=Asked(runs=True, view=view(clock_skew_ms=skew_ms)))
        assert wrong["clock-is-right"].level is level
    alarm = AlarmView(code="missing-notices", message="m", next="n", since_ms=1)
    told = found(data, asked=Asked(runs=True, view=view(alarms=(alarm,))))
    assert "missing-notices" in told["nobody-is-alarmed"].message


def test_the_exit_code_says_whether_there_is_a_problem(
    world: Founded, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """0 with warnings, 1 with a problem; JSON has number, name, level, sentence and fix of each check."""
    for name in [name for name in os.environ if name.startswith("ALMENARA_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(world.base))
    data = world.data("XAA")
    assert run(["doctor", "--data", str(data), "--json"]) == Exit.OK
    said = json.loads(capsys.readouterr().out)
    assert [row["number"] for row in said["checks"]] == list(range(1, len(CHECKS) + 1))
    assert set(said["checks"][0]) == {"number", "name", "level", "message", "fix"}
    data.chmod(0o777)
    assert run(["doctor", "--data", str(data)]) == Exit.FAILED
    assert "chmod 700" in capsys.readouterr().out


def test_nothing_is_changed_by_looking(world: Founded) -> None:
    """Every file has the bytes that it had before."""
    data = world.data("XAA")
    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    found(data)
    assert {path: path.read_bytes() for path in before} == before
