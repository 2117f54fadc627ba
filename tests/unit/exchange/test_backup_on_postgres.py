"""Backups of a coordinator whose database lies on servers: everything else is saved, and that is said."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest

from exchange.backup.archive import check_backup
from exchange.backup.contents import DATABASE
from exchange.backup.elsewhere import Elsewhere
from exchange.backup.making import make_backup
from exchange.cli.exits import Exit
from exchange.cli.program import run
from exchange.restored import RESTORED_FILE
from protocol.errors import FormatError, SetupError
from tests.acceptance.ceremony import HUB, Founded
from tests.postgres import BINARIES, fresh_database
from tests.stores import Servers
from tests.unit.exchange.test_backup import NOW_MS, names_in, rewritten, silent

STORE = "postgresql://almenara@db1,db2:5433/exchange?sslmode=verify-full"


@pytest.fixture
def world(ceremony: Founded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Founded:
    """A community whose coordinator keeps nothing in its data directory's database."""
    for name in [name for name in os.environ if name.startswith("ALMENARA_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    world = ceremony.copy(tmp_path / "world")
    for path in world.data(HUB).glob(f"{DATABASE}*"):
        path.unlink()
    keep_in(world, STORE)
    return world


def keep_in(world: Founded, address: str) -> None:
    """Add the setting of the coordinator's store."""
    with (world.data(HUB) / "almenara.toml").open("a", encoding="utf-8") as file:
        file.write(f'store = "{address}"\n')


def test_everything_but_the_database_is_saved_checked_and_put_back(
    world: Founded, capsys: pytest.CaptureFixture[str]
) -> None:
    """No server is asked, and each command says what else must be saved or restored."""
    file, new = world.base / "hub.tar", world.base / "again"
    assert run(["backup", "--data", str(world.data(HUB)), "-o", str(file), "--json"]) == Exit.OK
    made = json.loads(capsys.readouterr().out)
    assert made["database"] == STORE
    assert [command.split()[0] for command in made["database_commands"]] == ["pg_basebackup", "pg_dump"]
    assert any("NOT in it" in warning for warning in made["warnings"])
    assert DATABASE not in names_in(file)
    assert run(["backup", "--verify", str(file)]) == Exit.OK
    assert "the database is not in it" in capsys.readouterr().out
    assert run(["restore", str(file), "--data", str(new)]) == Exit.OK
    said = capsys.readouterr().out
    assert STORE in said
    assert "restore-the-coordinator.md: put the old anchor back" in said
    for name in ("keys/statement.key", "keys/log.key", "almenara.toml", "root-hash"):
        assert (new / name).read_bytes() == (world.data(HUB) / name).read_bytes()
    assert (new / RESTORED_FILE).exists()
    assert not (new / DATABASE).exists()


def test_a_database_file_from_before_is_not_taken_for_the_database(world: Founded) -> None:
    """It is named among what was left out."""
    (world.data(HUB) / DATABASE).write_bytes(b"old")
    made = make_backup(world.data(HUB), world.base / "hub.tar", silent, lambda: NOW_MS)
    assert DATABASE in made.left_out
    assert DATABASE not in names_in(made.path)


def test_a_nodes_backup_that_says_so_of_itself_is_refused(world: Founded) -> None:
    """A node's database is always in its backup: a manifest cannot argue it away."""
    made = make_backup(world.data("XAA"), world.base / "xaa.tar", silent, lambda: NOW_MS).path

    def without(name: str, content: bytes) -> bytes | None:
        if name != "backup.json":
            return None if name == DATABASE else content
        manifest = json.loads(content)
        manifest["format"] = 2
        manifest["parts"] = [part for part in manifest["parts"] if part["name"] != DATABASE]
        return json.dumps(manifest).encode()

    with pytest.raises(FormatError, match="database is missing"):
        check_backup(rewritten(made, without))


def test_an_address_with_a_password_is_refused_and_not_shown(world: Founded) -> None:
    """Nothing is written, and the password is in no message."""
    text = (world.data(HUB) / "almenara.toml").read_text()
    (world.data(HUB) / "almenara.toml").write_text(text.replace("almenara@db1", "almenara:geheim@db1"))
    with pytest.raises(SetupError) as refused:
        make_backup(world.data(HUB), world.base / "hub.tar", silent, lambda: NOW_MS)
    assert "geheim" not in str(refused.value) + refused.value.hint
    assert not (world.base / "hub.tar").exists()


async def test_the_lines_do_what_they_say(servers: Servers, tmp_path: Path) -> None:
    """Typed as they stand, the server's own tools take them."""
    server = servers.get(18)
    name = await fresh_database(server)
    address = server.address(name).replace("almenara@127.0.0.1", "almenara@127.0.0.1:1,127.0.0.1")
    assert address.count("127.0.0.1") == 2, "the first of the servers is not there"
    for command in Elsewhere(address).commands(tmp_path / "hub.tar"):
        done = await asyncio.to_thread(typed, command)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "hub.tar.dump").stat().st_size > 0
    assert (tmp_path / "hub.tar.base" / "base.tar").exists()


def typed(command: str) -> subprocess.CompletedProcess[str]:
    """Run a line as the user that the server was made with."""
    program, *arguments = shlex.split(command)
    tool = BINARIES[18] / program
    if not tool.exists():
        pytest.skip(f"no {program} on this machine (looked in {BINARIES[18]})")
    return subprocess.run(
        [tool, *arguments],
        env=os.environ | {"PGUSER": "almenara"},
        capture_output=True,
        text=True,
        check=False,
    )
