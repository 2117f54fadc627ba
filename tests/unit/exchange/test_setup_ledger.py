"""The commands for a coordinator's ledger: an anchor made anew, and auditors."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import apsw
import click
import pytest

from exchange.cli.exits import Exit
from exchange.cli.program import run
from exchange.coordinator.service import Coordinator
from exchange.setup.ledger import recover_anchor
from protocol import codec
from protocol.ledger.origins import Log
from protocol.session.messages import Accepted, Submit
from tests.envelopes import sent
from tests.hubs import CLOCK, documents, everyone, node, prepare, running, settings


@pytest.fixture
async def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the data directory of a coordinator that has published something, and stands still."""
    for name in [name for name in os.environ if name.startswith("ALMENARA_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    data = tmp_path / "hub"
    await prepare(data)
    async with running(data) as (coordinator, port), node(tmp_path, "XAA", port) as xaa:
        await publish(coordinator, xaa)
    return data


async def publish(coordinator: Coordinator, xaa: Any) -> None:
    """Relay a notice, and wait until it is in a checkpoint."""
    answer = await xaa.ask(Submit(ref=1, submission=codec.encode(sent(everyone(), to=("XBB",)))))
    assert isinstance(answer, Accepted)
    await coordinator._ledger._sequencers[Log.ACK].step()
    await coordinator._ledger._sequencers[Log.DIRECTORY].step()
    assert coordinator._ledger.heads.ack.size == 2


def command(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, dict[str, Any]]:
    """Run a command as a script would; return its exit code and its object."""
    code = run([*(str(word) for word in words), "--json"])
    out, _ = capsys.readouterr()
    return code, json.loads(out)


def test_a_lost_anchor_is_made_anew_after_somebody_compared(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Size and root are shown; without a word from a person nothing is written, and no folder is left."""
    shutil.rmtree(folder / "anchor")
    have = ("--members-have", "ack=2", "--members-have", f"dir={len(documents())}")
    for words in (have, (), ("--yes",), ("--yes", *have[:2])):
        code, shown = command(capsys, "coordinator", "recover", "--data", folder, *words)
        assert code == Exit.USAGE, words
        assert not (folder / "anchor").exists()
    assert "--members-have ack=SIZE --members-have dir=SIZE" in shown["error"]["next"]
    code, shown = command(capsys, "coordinator", "recover", "--data", folder, "--yes", *have)
    assert code == Exit.OK
    assert shown["made"] == ["ack", "dir"]
    assert [(row["log"], row["size"]) for row in shown["logs"]] == [("ack", 2), ("dir", len(documents()))]
    code, shown = command(capsys, "coordinator", "recover", "--data", folder, "--yes")
    assert (code, shown["made"]) == (Exit.OK, [])


def test_a_database_that_is_behind_the_members_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With an anchor or without, whatever is said besides: the sizes are named, and nothing is written."""
    for keep in (True, False):
        if not keep:
            shutil.rmtree(folder / "anchor")
        have = ("--members-have", "ack=2", "--members-have", "ack=3", "--members-have", "dir=1")
        code, shown = command(capsys, "coordinator", "recover", "--data", folder, "--yes", *have)
        assert code == Exit.FAILED
        assert "a member has checkpoint 3 of the log ack, the database 2" in shown["error"]["message"]
        assert (folder / "anchor").exists() is keep


def test_whoever_has_no_anchor_is_warned_and_asked_for_the_members_sizes(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a terminal the sizes are asked for, one by one, before the question that --yes answers."""
    shutil.rmtree(folder / "anchor")
    answers = iter([2, len(documents())])
    asked: list[str] = []

    def prompt(question: str, **_: object) -> int:
        asked.append(question)
        return next(answers)

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(click, "prompt", prompt)
    monkeypatch.setattr(click, "confirm", lambda question, **_: asked.append(question))
    assert run(["coordinator", "recover", "--data", str(folder)]) == Exit.OK
    told = capsys.readouterr().err
    assert "WARNING: there is no anchor" in told
    assert "ack: size 2" in told
    assert [question.split()[-1] for question in asked] == ["shows", "shows", "these?"]


async def test_the_coordinator_starts_again_with_the_new_anchor(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As if nothing had happened."""
    shutil.rmtree(folder / "anchor")
    found = await recover_anchor(settings(folder), CLOCK, lambda _: None)
    assert [one.anchored for one in found] == [None, None]
    async with running(folder) as (coordinator, _):
        assert coordinator._ledger.heads.ack.size == 2


def test_a_newer_anchor_is_never_written_over(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An older database is the other disaster, and has another way out."""
    path = folder / "anchor" / "ack.checkpoint"
    db = apsw.Connection(str(folder / "almenara.db"))
    for table in ("ledger_signed", "ledger_published", "ledger_tile"):
        db.execute(f"DELETE FROM {table}")
    db.close()
    before = path.read_bytes()
    code, shown = command(capsys, "coordinator", "recover", "--data", folder, "--yes")
    assert code != Exit.OK
    assert path.read_bytes() == before
    assert "older copy" in shown["error"]["message"]


def test_auditors_are_managed_from_the_command_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Add, list, take back."""
    code, shown = command(capsys, "coordinator", "auditor", "add", "Ana Silva", "--data", folder)
    assert code == Exit.OK
    assert Path(shown["token"]).read_text().startswith("almenara-token-1:auditor:Ana%20Silva:")
    code, shown = command(capsys, "coordinator", "auditor", "list", "--data", folder)
    assert shown["auditors"] == ["Ana Silva"]
    code, shown = command(capsys, "coordinator", "auditor", "revoke", "Ana Silva", "--data", folder)
    assert (code, shown["revoked"]) == (Exit.OK, True)
    code, shown = command(capsys, "coordinator", "auditor", "revoke", "Ana Silva", "--data", folder)
    assert code != Exit.OK
    assert "Ana Silva" in shown["error"]["message"]
    code, shown = command(capsys, "coordinator", "auditor", "list", "--data", folder / "keys")
    assert code != Exit.OK
