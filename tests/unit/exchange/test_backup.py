"""Backups: one consistent file with everything but what must not travel, and a place filled from it."""

from __future__ import annotations

import errno
import io
import os
import shutil
import stat
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from exchange.backup.archive import check_backup
from exchange.backup.contents import Role
from exchange.backup.making import make_backup
from exchange.backup.manifest import MANIFEST
from exchange.backup.restoring import restore
from exchange.coordinator.opening import opened
from exchange.datadir import DataDir
from exchange.restored import RESTORED_FACT, RESTORED_FILE
from exchange.settings import CoordinatorSettings
from exchange.setup.ledger import recover_anchor
from exchange.stores.connection import Place, open_writer
from exchange.stores.node_books import read_fact
from exchange.stores.snapshot import copy_database
from keys.protection import Unprotected
from protocol.errors import AlmenaraError, FormatError, KeyfileError, SetupError, StoreFailed, Tampered
from tests.acceptance.ceremony import HUB, Founded
from tests.clocks import FixedClock

NOW_MS = 1_900_000_000_000


def silent(done: int, of: int) -> None:
    """Report no progress."""


@pytest.fixture
def world(ceremony: Founded, tmp_path: Path) -> Founded:
    """A community whose folder may be changed."""
    return ceremony.copy(tmp_path / "world")


def backed_up(world: Founded, code: str) -> Path:
    """Return a backup of one place."""
    return make_backup(world.data(code), world.base / f"{code}.tar", silent, lambda: NOW_MS).path


def names_in(file: Path) -> list[str]:
    """Return the members of a backup."""
    with tarfile.open(file) as archive:
        return archive.getnames()


def rewritten(file: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    """Return a copy of a backup in which members were changed, or left out."""
    target = file.with_suffix(".changed")
    with tarfile.open(file) as source, tarfile.open(target, "w:") as out:
        for member in source:
            content = source.extractfile(member)
            assert content is not None
            data = change(member.name, content.read())
            if data is not None:
                member.size = len(data)
                out.addfile(member, io.BytesIO(data))
    return target


def test_a_place_comes_back_as_it_was(world: Founded) -> None:
    """Every key, token's hash, setting and document is there again, and all of it is private."""
    for code in ("XAA", HUB):
        restore(backed_up(world, code), world.base / "new" / code)
        old, new = world.data(code), world.base / "new" / code
        for name in ("almenara.toml", "root-hash", "request.alm"):
            assert (new / name).read_bytes() == (old / name).read_bytes()
        for folder in ("keys", "access", "officers"):
            kept = {path.name: path.read_bytes() for path in (old / folder).glob("*")}
            assert {path.name: path.read_bytes() for path in (new / folder).glob("*")} == kept
        assert all(stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 for path in [new, *new.rglob("*")])
        DataDir(new).lock()


def test_what_must_not_travel_is_in_no_backup(world: Founded) -> None:
    """Daily wrapping keys, the anchor, tokens to hand over, lock and socket stay where they are."""
    for code in ("XAA", HUB):
        data = world.data(code)
        for name in ("day-keys", "anchor"):
            (data / name).mkdir(exist_ok=True)
            (data / name / "2026-03-01").write_text("secret")
        (data / "keys" / ".half-written").write_text("secret")
        made = make_backup(data, world.base / f"{code}.tar", silent, lambda: NOW_MS)
        names = names_in(made.path)
        assert names[:2] == [MANIFEST, "almenara.db"]
        assert names[-1] == "request.alm"
        unfit = ("day-keys", "anchor", "tokens", "lock", "api.sock", "keys/.")
        assert not [name for name in names if name.startswith(unfit)]
        assert {"day-keys", "anchor", "tokens"} <= set(made.left_out)


def test_a_backup_is_private_and_says_whose_and_when_it_is(world: Founded) -> None:
    """Mode 0600, the party, the moment; and a warning about what lies open in it."""
    made = make_backup(world.data("XAA"), world.base / "x.tar", silent, lambda: NOW_MS)
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o600
    manifest = check_backup(made.path)
    assert (manifest.role, manifest.party, manifest.made_ms) == (Role.NODE, "XAA", NOW_MS)
    assert manifest.owner.root_hash == world.root_hash
    assert "keys/node.key" in made.unprotected
    assert made.holds_identity


def test_a_backup_never_replaces_a_file(world: Founded) -> None:
    """A typing error at night must not cost the last good backup."""
    first = backed_up(world, "XAA").read_bytes()
    with pytest.raises(SetupError, match="already"):
        backed_up(world, "XAA")
    assert (world.base / "XAA.tar").read_bytes() == first


def test_a_place_that_holds_something_is_not_restored_into(world: Founded) -> None:
    """Keys are never replaced."""
    with pytest.raises(SetupError, match="not empty"):
        restore(backed_up(world, "XAA"), world.data("XBB"))


def test_a_copy_is_of_one_moment_while_somebody_writes(tmp_path: Path) -> None:
    """Two rows that always change together are equal in the copy, and the writer is not held up."""
    db = open_writer(made_with(tmp_path / "busy.db"))
    db.execute("CREATE TABLE pair (a INTEGER, b INTEGER, filler BLOB)")
    for _ in range(2000):
        db.execute("INSERT INTO pair VALUES (0, 0, randomblob(4000))")
    stop, written = threading.Event(), 0

    def write() -> None:
        nonlocal written
        while not stop.is_set():
            with db:
                db.execute("UPDATE pair SET a = a + 1, b = b + 1")
            written += 1

    thread = threading.Thread(target=write)
    thread.start()
    before = []
    try:
        copy_database(tmp_path / "busy.db", tmp_path / "copy.db", lambda done, of: before.append(written))
    finally:
        stop.set()
        thread.join()
    copy = apsw.Connection(str(tmp_path / "copy.db"), apsw.SQLITE_OPEN_READONLY)
    assert copy.execute("SELECT count(DISTINCT a), sum(a <> b) FROM pair").fetchall() == [(1, 0)]
    assert len(before) > 1
    assert written > 0


def made_with(path: Path) -> Place:
    """Return the place of a new database."""
    place = Place(path)
    place.create()
    return place


def test_a_full_disk_leaves_nothing_behind(world: Founded, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither half a backup nor a copy of the database stays on the disk."""
    before = sorted(world.base.iterdir())
    usage = shutil.disk_usage(world.base)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=10))
        with pytest.raises(SetupError, match="free"):
            backed_up(world, "XAA")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises((SetupError, StoreFailed), match="No space left"):
            backed_up(world, "XAA")
    assert sorted(world.base.iterdir()) == before


@pytest.mark.parametrize(
    ("spoil", "kind"),
    [
        (
            lambda name, data: data[:-1] + bytes((data[-1] ^ 1,)) if name == "keys/node.key" else data,
            Tampered,
        ),
        (lambda name, data: data + b"\n" if name == "root-hash" else data, Tampered),
        (lambda name, data: None if name == "keys/vault.key" else data, Tampered),
        (lambda name, data: None if name == "request.alm" else data, FormatError),
        (lambda name, data: None if name == MANIFEST else data, FormatError),
        (lambda name, data: b"{}" if name == MANIFEST else data, FormatError),
        (
            lambda name, data: data.replace(b"access/", b"keys/../", 1) if name == MANIFEST else data,
            FormatError,
        ),
        (
            lambda name, data: data.replace(b'"request.alm"', b'"../xyz.alm"') if name == MANIFEST else data,
            FormatError,
        ),
    ],
)
def test_a_backup_that_was_changed_is_refused_before_anything_is_written(
    world: Founded, spoil: Callable[[str, bytes], bytes | None], kind: type[AlmenaraError]
) -> None:
    """One bit, a missing part, a name that leads elsewhere: refused, and the place stays empty."""
    changed = rewritten(backed_up(world, "XAA"), spoil)
    target = world.base / "restored"
    with pytest.raises(kind):
        restore(changed, target)
    with pytest.raises(kind):
        check_backup(changed)
    assert not target.exists()


@pytest.mark.parametrize("length", [0, 100, 512, 5000, 200_000])
def test_a_backup_that_was_cut_short_is_refused(world: Founded, length: int) -> None:
    """As a copy to a full stick leaves it."""
    whole = backed_up(world, "XAA")
    cut = world.base / "cut.tar"
    cut.write_bytes(whole.read_bytes()[:length])
    with pytest.raises((FormatError, Tampered)):
        restore(cut, world.base / "restored")
    assert not (world.base / "restored").exists()


def test_a_damaged_database_is_neither_backed_up_nor_restored(world: Founded) -> None:
    """The copy is looked through before it counts as a backup."""
    database = world.data("XAA") / "almenara.db"
    raw = bytearray(database.read_bytes())
    raw[4096 * 3 : 4096 * 6] = b"\xff" * (4096 * 3)
    database.write_bytes(raw)
    before = sorted(world.base.iterdir())
    with pytest.raises(StoreFailed, match="damaged"):
        backed_up(world, "XAA")
    assert sorted(world.base.iterdir()) == before


def test_a_backup_of_a_newer_program_is_refused(world: Founded) -> None:
    """Its database has steps that this program does not know."""
    db = apsw.Connection(str(world.data("XAA") / "almenara.db"))
    db.execute("INSERT INTO migration VALUES (99, 'later', zeroblob(32), 0)")
    db.close()
    with pytest.raises(SetupError, match="migration"):
        backed_up(world, "XAA")


def test_a_key_file_that_is_none_is_found_by_the_check(world: Founded) -> None:
    """Its header is read, and nothing is opened: no passphrase is asked for."""
    key = world.data("XAA") / "keys" / "witness.key"
    key.write_text("almenara-key: 1\n")
    made = backed_up(world, "XAA")
    with pytest.raises(KeyfileError, match=r"witness\.key"):
        check_backup(made)


def test_a_restored_node_says_from_when_it_is(world: Founded) -> None:
    """The store itself holds the moment of the backup."""
    restore(backed_up(world, "XAA"), world.base / "new")
    db = apsw.Connection(str(world.base / "new" / "almenara.db"))
    assert read_fact(db, RESTORED_FACT) == NOW_MS
    db.close()


async def test_a_restored_coordinator_does_not_run_before_somebody_compared(world: Founded) -> None:
    """It could sign its ledger a second time; recover shows what it holds, and takes the mark away."""
    data = world.base / "new"
    restore(backed_up(world, HUB), data)
    settings = CoordinatorSettings(code=HUB, data=data, anchor=data / "anchor")
    clock = FixedClock(NOW_MS)
    with pytest.raises(SetupError, match="restored from a backup"):
        async with opened(settings, lambda _: Unprotected(), clock):
            pass
    assert (data / RESTORED_FILE).exists()
    await recover_anchor(settings, clock, lambda found: None)
    async with opened(settings, lambda _: Unprotected(), clock) as parts:
        assert parts.directory.coordinator(HUB)
