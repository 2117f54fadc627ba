"""Every command that a message tells somebody to type is one that can be typed, with the arguments it shows.

Messages are written all over the house. Here they are read from the source: each mention of the program in a
text that people see is parsed by the program's own parser. What is not known where a message is written
stands in capitals, as in ``--data DIR``; see :mod:`exchange.cli.filling`.
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from exchange.cli.filling import PLACES, filled, known
from exchange.cli.program import COMMANDS, almenara

HOUSE = Path(__file__).resolve().parents[1]
ROOMS = ("exchange", "keys", "protocol")
DEMO = HOUSE / "exchange" / "demo"
PLACEHOLDER = "X1"
END = re.compile(r"[;`)\n]|, |(?<!\.)\. |: | \(|(?<!\.)\.$| and | or ")
OFFICERS = frozenset(
    (
        *("inbox", "outbox", "show", "ack", "status", "send", "proof", "disclose", "watch", "members"),
        *("severity", "backup", "demo", "help", "config"),
    )
)
"""What officers type all day, in a shell that knows its node; messages that follow repeat what was given."""


def told() -> Iterator[tuple[str, str]]:
    """Yield every command in a message of the program, and where it stands."""
    for room in ROOMS:
        for path in sorted((HOUSE / room).rglob("*.py")):
            if path.is_relative_to(DEMO):
                continue
            for line, text in messages(ast.parse(path.read_text("utf-8"))):
                for command in commands(text):
                    yield f"{path.relative_to(HOUSE)}:{line}", command


def messages(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the texts of a module that are no docstrings; what is filled in at run time becomes one word."""
    passed = {id(value) for value in (*docstrings(tree), *examples(tree))}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr) and id(node) not in passed:
            passed |= {id(part) for part in node.values}
            yield node.lineno, "".join(map(piece, node.values))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in passed:
            yield node.lineno, node.value


def docstrings(tree: ast.Module) -> Iterator[ast.expr]:
    """Yield the expressions that are docstrings."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            yield body[0].value


def examples(tree: ast.Module) -> Iterator[ast.expr]:
    """Yield the examples of commands, which are looked at in another way."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "examples":
            yield from (part for part in ast.walk(node.value) if isinstance(part, ast.expr))


def piece(part: ast.expr) -> str:
    """Return a part of a text: as it is, or one word in its place."""
    return str(part.value) if isinstance(part, ast.Constant) else PLACEHOLDER


def commands(text: str) -> Iterator[str]:
    """Yield the commands in a text, each to its end: a mark of punctuation, or the end of a line."""
    for found in re.finditer(r"(?<![\w/.'-])almenara (?=[a-z])", text):
        rest = text[found.start() :]
        end = END.search(rest)
        command = (rest if end is None else rest[: end.start()]).strip()
        # Between grave accents stands the name of a command that was typed before.
        is_name = text[: found.start()].endswith("`")
        if command.split()[1] in COMMANDS and not is_name:
            yield command


def problem(command: str) -> str | None:
    """Return what the program's own parser has against a command, or None."""
    words, context = shlex.split(command)[1:], click.Context(almenara)
    found: click.Command = almenara
    while isinstance(found, click.Group):
        if words[:1] == ["--help"]:
            return None
        following = found.get_command(context, words[0]) if words else None
        if following is None and PLACEHOLDER in words[0]:
            return None
        if following is None:
            return f"{' '.join(words) or 'nothing'} is no command of {found.name}"
        found, words = following, words[1:]
    if "--help" in words:
        return None
    try:
        # Only words and options: what an option's value must look like is said where it is refused.
        given, _, _ = found.make_parser(click.Context(found)).parse_args(list(words))
    except click.UsageError as error:
        return error.format_message()
    missing = [
        param.opts[-1]
        for param in found.params
        if param.required and not isinstance(given.get(param.name or ""), str | list | tuple)
    ]
    if missing:
        return f"it lacks {', '.join(missing)}"
    options = {option for param in found.params for option in param.opts}
    if command.split()[1] in OFFICERS:
        return None
    lacking = [option for option in ("--data", "--token-file") if option in options and option not in words]
    if found.name in ("doctor", "export"):
        lacking = [option for option in lacking if option != "--token-file"]
    return f"it does not say {' and '.join(lacking)}" if lacking else None


TOLD = sorted(set(told()))


def test_there_are_many() -> None:
    """The search finds what messages tell, wherever that is written."""
    assert len(TOLD) > 80


@pytest.mark.parametrize(("place", "command"), TOLD, ids=[f"{place} {command}" for place, command in TOLD])
def test_every_command_that_is_told_can_be_typed(place: str, command: str) -> None:
    """With all the arguments that it needs, and the directory and token that it is about."""
    assert problem(command) is None, f"{place}: {command}: {problem(command)}"


def shown(group: click.Group, words: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Yield every example of a group's commands that is a whole command line."""
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        if isinstance(found, click.Group):
            yield from shown(found, (*words, name))
            continue
        for example in getattr(found, "examples", ()):
            whole = re.sub(r"\$\([^)]*\)", PLACEHOLDER, example)
            line = re.split(r"  +#| \| | > ", whole)[0].strip()
            if line.startswith("almenara ") and "…" not in line:
                yield " ".join((*words, name)), line


EXAMPLES = sorted(set(shown(almenara)))


@pytest.mark.parametrize(("name", "line"), EXAMPLES, ids=[line for _, line in EXAMPLES])
def test_every_example_of_a_command_can_be_typed(name: str, line: str) -> None:
    """The first thing that somebody copies out of --help."""
    found = problem(line)
    assert found is None or "does not say" in found, f"{name}: {line}: {found}"


def test_what_is_known_is_filled_in_and_the_rest_stays_in_capitals(tmp_path: Path) -> None:
    """A person copies the line as it is; a name with a blank in it stays one word."""
    data = tmp_path / "my node"
    (data / "tokens").mkdir(parents=True)
    text = "almenara health --data DIR --token-file TOKEN; almenara key rotate tls --data DIR --identity FILE"
    names = known({"data": str(data), "identity": None})
    assert filled(text, names) == text.replace("DIR", f"'{data}'")
    token = data / "tokens" / "officer-ana.token"
    token.write_text("x")
    names = known({"data": str(data), "identity": Path("/card/i.key")})
    assert filled(text, names) == (
        f"almenara health --data '{data}' --token-file '{token}'; "
        f"almenara key rotate tls --data '{data}' --identity /card/i.key"
    )
    assert set(names) < set(PLACES.values())


def test_the_directory_of_the_environment_is_filled_in_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """So is the token; neither for a command that has no such option."""
    monkeypatch.setenv("ALMENARA_DATA", "/srv/XAA")
    monkeypatch.setenv("ALMENARA_TOKEN_FILE", "/srv/t")
    assert (
        filled("--data DIR --token-file TOKEN", known({"data": None}))
        == "--data /srv/XAA --token-file /srv/t"
    )
    assert known({"folder": Path("g")}) == {"--in DIR": "--in g"}
