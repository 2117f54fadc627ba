"""The README keeps its word: what it names exists, and what it shows can be typed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from exchange.cli.program import COMMANDS, almenara

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
PATHS = sorted(set(re.findall(r"`((?:tests|protocol|keys|exchange|deploy)/[\w./-]*)`", TEXT)))
SHELL = "\n".join(re.findall(r"```(?:sh|)\n(.*?)```", TEXT, re.DOTALL))
LINES = [line.lstrip("$ ").split("#")[0].strip(" &") for line in SHELL.splitlines()]
TYPED = [line for line in LINES if line.startswith("almenara ")]


@pytest.mark.parametrize("path", PATHS)
def test_every_place_it_names_exists(path: str) -> None:
    """A promise names tests that are there; a room it shows is in the house."""
    assert (ROOT / path).exists()


def test_it_makes_ten_promises_and_names_a_test_for_each() -> None:
    """No promise stands without something that can fail."""
    rows = re.findall(r"^\| (\d+) \| .* \| (.*) \|$", TEXT, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 11))
    assert all("tests/" in guards for _, guards in rows)


@pytest.mark.parametrize("line", TYPED)
def test_every_command_it_shows_is_understood(line: str) -> None:
    """Commands and options in the README are ones that the program has."""
    words = shlex.split(line)[1:]
    command: click.Command | None = almenara
    context = click.Context(almenara)
    while isinstance(command, click.Group):
        command = command.get_command(context, words.pop(0))
    assert command is not None
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if re.fullmatch(r"--[a-z][a-z-]*", word)} <= known


def test_every_command_has_help_with_an_example_first() -> None:
    """A newcomer reads an example before the options."""
    for name in COMMANDS:
        result = CliRunner().invoke(almenara, [name, "--help"])
        assert result.exit_code == 0, name
        assert "almenara " in result.output, name
