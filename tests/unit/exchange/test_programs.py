"""Tokens for programs and displays: made, listed and taken back by commands, while the node runs or not."""

from __future__ import annotations

from pathlib import Path

import pytest

from exchange.cli.exits import Exit
from exchange.datadir import DataDir
from exchange.node.tokens import TokenBook, TokenRole
from exchange.setup import people
from exchange.setup.programs import programs
from protocol.errors import NotAuthorized
from tests.acceptance.ceremony import HUB, Founded
from tests.unit.exchange.test_setup_cli import Terminal, terminal

__all__ = ["terminal"]


def test_a_program_is_let_in_and_taken_back(terminal: Terminal, ceremony: Founded, tmp_path: Path) -> None:
    """By the token alone, in the role that was asked for; afterwards neither token nor file is left."""
    data = ceremony.copy(tmp_path).data("XAA")
    made = terminal.json("token", "add", "ticket system", "--role", "sender", "--data", data)
    path, book = Path(made["token"]), TokenBook(data / "access")
    text = path.read_text().strip()
    assert (book.identify(text).role, path.parent) == (TokenRole.SENDER, data / "tokens")
    listed = terminal.json("token", "list", "--data", data)["tokens"]
    assert ("ticket system", "sender") in {(one["name"], one["role"]) for one in listed}
    assert terminal.json("token", "revoke", "ticket system", "--data", data)["revoked"] == 1
    with pytest.raises(NotAuthorized):
        book.identify(text)
    assert not path.exists()
    code, error = terminal.refused("token", "revoke", "ticket system", "--data", data)
    assert (code, error["code"]) == (Exit.FAILED, "not-found")


def test_a_name_is_given_once_and_an_officers_is_another_matter(
    terminal: Terminal, ceremony: Founded, tmp_path: Path
) -> None:
    """Taking back by name must say which; and people have keys, which no such token opens."""
    data = ceremony.copy(tmp_path).data("XAA")
    terminal.json("token", "add", "wall display", "--role", "monitor", "--data", data)
    code, error = terminal.refused("token", "add", "wall display", "--role", "sender", "--data", data)
    assert code == Exit.USAGE
    assert "almenara token revoke" in error["next"]
    assert terminal.run("token", "add", "x", "--role", "officer", "--data", data)[0] == Exit.USAGE
    names = {one.name for one in programs(DataDir(data))}
    assert "Officer of XAA" not in names
    with people.passing_token(DataDir(data)):
        assert {one.name for one in programs(DataDir(data))} == names


def test_a_token_is_for_a_node(terminal: Terminal, ceremony: Founded, tmp_path: Path) -> None:
    """A coordinator has auditors; and a directory that is not there is called by its name."""
    code, error = terminal.refused("token", "list", "--data", ceremony.data(HUB))
    assert (code, "of a coordinator" in error["message"]) == (Exit.FAILED, True)
    code, error = terminal.refused("token", "list", "--data", tmp_path / "nowhere")
    assert f"there is no data directory {tmp_path / 'nowhere'}" in error["message"]
    assert "--data" in error["next"]
