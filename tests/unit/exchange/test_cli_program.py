"""The program around its commands: settings, exit codes, help, and what it does not load."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from exchange.cli.exits import MEANING, Exit
from exchange.cli.program import COMMANDS
from exchange.version import VERSION
from tests.commands import HOUSE, SEND, Cli, alone

FIXTURES = (alone,)
"""The commands with a node, as :mod:`tests.commands` makes them."""


def test_settings_are_shown_with_their_origin(alone: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a value came from, so that nobody guesses."""
    monkeypatch.setenv("ALMENARA_SOCKET", "/run/almenara.sock")
    assert alone.bare("config", "show", "--origin", "--json") == Exit.OK
    assert json.loads(alone.out)["settings"]["socket"] == {
        "value": "/run/almenara.sock",
        "origin": "ALMENARA_SOCKET",
    }
    alone.bare("config", "show", "--origin")
    assert "(ALMENARA_SOCKET)" in alone.out


def test_exit_codes_are_explained(alone: Cli) -> None:
    """The table of the program is the table of the help."""
    assert alone.bare("help", "exit-codes", "--json") == Exit.OK
    assert json.loads(alone.out)["exit_codes"] == {str(int(code)): text for code, text in MEANING.items()}
    assert alone.bare("help", "severity", "translate") == Exit.OK
    assert "LEVEL SCHEMA" in alone.out


def test_an_unforeseen_error_is_code_1_and_shows_no_text(alone: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug may carry a notice's words; only its class and place are printed."""

    def explode(*words: object) -> None:
        raise RuntimeError("SECRET")

    monkeypatch.setattr("exchange.cli.pending.PendingRequest.claim", explode)
    assert alone(*SEND, str(alone.report)) == Exit.FAILED
    assert "RuntimeError at test_cli_program.py" in alone.err
    assert "SECRET" not in alone.err


OFFICERS_COMMANDS: list[list[str]] = [
    ["send"], ["inbox"], ["outbox"], ["show"], ["ack"], ["status"], ["watch"], ["members"], ["health"],
    ["severity", "list"], ["severity", "show"], ["severity", "translate"], ["config", "show"], ["help"],
]  # fmt: skip


@pytest.mark.parametrize("words", OFFICERS_COMMANDS, ids=" ".join)
def test_every_help_begins_with_examples_and_offers_json(alone: Cli, words: list[str]) -> None:
    """Examples first: that is what people read."""
    assert alone.bare(*words, "--help") == Exit.OK
    assert alone.out.startswith(f"Examples:\n  almenara {' '.join(words)}")
    assert "--json" in alone.out


def python(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words], cwd=HOUSE, capture_output=True, text=True, timeout=30, check=False
    )


def loaded_by(*words: str) -> Callable[[str], bool]:
    """Return a test of which packages are imported by one command."""
    code = (
        "import sys\nfrom exchange.cli.main import main\n"
        f"try:\n main({list(words)!r})\nexcept SystemExit: pass\n"
        "print(','.join(sorted({name.split('.')[0] for name in sys.modules})), file=sys.stderr)"
    )
    found = set(python("-c", code).stderr.splitlines()[-1].split(","))
    return lambda package: package in found


def test_the_version_is_answered_without_loading_anything() -> None:
    """Not even the command line's own library."""
    loaded = loaded_by("--version")
    assert not any(loaded(package) for package in ("click", "aiohttp", "cryptography", "rich", "msgspec"))
    shown = python("-m", "exchange.cli.main", "--version")
    assert (shown.returncode, shown.stdout) == (0, f"almenara {VERSION}\n")


@pytest.mark.parametrize("words", [["--help"], ["send", "--help"], ["help", "exit-codes", "--json"]])
def test_help_and_json_load_nothing_heavy(words: list[str]) -> None:
    """Only what a command needs is imported."""
    loaded = loaded_by(*words)
    assert not any(loaded(package) for package in ("aiohttp", "cryptography", "rich", "structlog", "apsw"))


def test_json_is_json_in_a_locale_without_accents() -> None:
    """A machine set to plain ASCII gets the same values, in escapes that JSON knows."""
    words = [sys.executable, "-m", "exchange.cli.main", "severity", "show", "niño", "--json"]
    surroundings = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    shown = subprocess.run(words, cwd=HOUSE, env=surroundings, capture_output=True, check=False)
    assert "niño" in json.loads(shown.stdout.decode("ascii"))["error"]["message"]


@pytest.mark.parametrize("words", [[], ["node"]])
def test_a_group_without_a_command_shows_its_help(alone: Cli, words: list[str]) -> None:
    """Whoever types the bare name reads what there is, in lines, and no error message."""
    assert alone.bare(*words) == Exit.USAGE
    assert "Commands:" in alone.err or "Notices:" in alone.err
    assert "\n" in alone.err
    assert "[usage]" not in alone.err


def test_a_reader_that_leaves_early_is_no_traceback() -> None:
    """``almenara … | head`` ends quietly."""
    command = f"{sys.executable} -m exchange.cli.main help exit-codes | true"
    shown = subprocess.run(["sh", "-c", command], cwd=HOUSE, capture_output=True, text=True, check=False)
    assert shown.stderr == ""


def test_the_version_is_that_of_the_package() -> None:
    """One version, in two places that must agree."""
    assert f'\nversion = "{VERSION}"\n' in (HOUSE / "pyproject.toml").read_text("utf-8")


def test_every_command_of_the_table_has_a_summary_and_a_heading() -> None:
    """The first page of help is made from the table alone."""
    assert all(entry.summary.endswith(".") and entry.heading for entry in COMMANDS.values())
