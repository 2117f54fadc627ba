"""The rules of the house which import-linter and ruff cannot state."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

HOUSE = Path(__file__).resolve().parent.parent
ROOMS = ("exchange", "keys", "protocol")
MAX_LINES = 400

TOP_LEVEL = {
    ".ci",
    ".gitignore",
    "LICENSE",
    "Makefile",
    "README.md",
    "deploy",
    "exchange",
    "keys",
    "protocol",
    "pyproject.toml",
    "requirements-dev.lock",
    "requirements.lock",
    "tests",
}

# Modules whose answers depend on their arguments alone.
PURE = {
    "__future__",
    "abc",
    "base64",
    "binascii",
    "bisect",
    "collections",
    "contextlib",
    "dataclasses",
    "datetime",
    "enum",
    "functools",
    "hashlib",
    "heapq",
    "hmac",
    "itertools",
    "json",
    "math",
    "operator",
    "re",
    "string",
    "struct",
    "textwrap",
    "tomllib",
    "types",
    "typing",
    "unicodedata",
}
PROTOCOL_MAY_IMPORT = PURE | {"msgpack", "msgspec", "protocol"}
KEYS_MAY_IMPORT = PROTOCOL_MAY_IMPORT | {"cryptography", "keys", "os", "secrets"}

CLOCK = HOUSE / "exchange" / "clock.py"
CLOCK_READS = {"now", "today", "utcnow"}


def modules(*rooms: str) -> list[Path]:
    return sorted(path for room in rooms for path in (HOUSE / room).rglob("*.py"))


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def at(path: Path, line: int) -> str:
    return f"{path.relative_to(HOUSE)}:{line}"


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and the full name of everything the module imports."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def strangers(room: str, allowed: set[str]) -> list[str]:
    return [
        f"{at(path, line)} imports {name}"
        for path in modules(room)
        for line, name in imports(path)
        if name.split(".")[0] not in allowed
    ]


def clock_reads(path: Path) -> Iterator[str]:
    """Yield where a module reads a clock: anything of ``time``, or today's date by another way."""
    for line, name in imports(path):
        if name.split(".")[0] == "time":
            yield f"{at(path, line)} imports {name}"
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Attribute) and node.attr in CLOCK_READS:
            owner = node.value
            name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
            if name in {"datetime", "date"}:
                yield f"{at(path, node.lineno)} reads {name}.{node.attr}"


def test_protocol_imports_only_pure_modules_msgpack_and_msgspec() -> None:
    """The words are deterministic: same bytes, same answer."""
    assert strangers("protocol", PROTOCOL_MAY_IMPORT) == []


def test_keys_imports_only_what_protocol_may_and_cryptography_and_randomness() -> None:
    """Keys adds secrets and randomness; still no clock, no disk, no network."""
    assert strangers("keys", KEYS_MAY_IMPORT) == []


def test_keys_takes_nothing_from_the_operating_system_but_random_bytes() -> None:
    """``os`` is allowed for ``os.urandom`` alone."""
    found = [
        f"{at(path, node.lineno)} uses os.{node.attr}"
        for path in modules("keys")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os"
        if node.attr != "urandom"
    ]
    found += [
        f"{at(path, line)} imports {name}"
        for path in modules("keys")
        for line, name in imports(path)
        if name.startswith("os.") and name != "os.urandom"
    ]
    assert found == []


def test_a_package_init_holds_only_the_map_of_its_room() -> None:
    """Import chains count, so an ``__init__`` is a docstring and nothing else."""
    found = [
        at(path, 1)
        for path in modules(*ROOMS)
        if path.name == "__init__.py"
        if len(parsed(path).body) != 1 or ast.get_docstring(parsed(path)) is None
    ]
    assert found == []


def test_the_map_of_a_room_names_everything_in_it() -> None:
    """A stranger finds in one minute where a line of code lives."""
    found = [
        f"{at(package, 1)} does not name {name}"
        for package in modules(*ROOMS)
        if package.name == "__init__.py" and "sql" not in package.parts
        for name in sorted(parts_of(package.parent))
        if f"``{name}``" not in package.read_text(encoding="utf-8")
    ]
    assert found == []


def parts_of(room: Path) -> set[str]:
    """Return the names of a room's modules and packages."""
    modules_of = {path.stem for path in room.glob("*.py")} - {"__init__"}
    return modules_of | {path.parent.name for path in room.glob("*/__init__.py")}


def test_every_folder_with_modules_is_a_package() -> None:
    """A folder without ``__init__`` would escape the import contracts, or shadow a room in tests."""
    folders = {path.parent for path in modules(*ROOMS, "tests")}
    assert [str(f.relative_to(HOUSE)) for f in sorted(folders) if not (f / "__init__.py").exists()] == []


def test_no_module_is_longer_than_two_ideas() -> None:
    """A file past 400 lines is usually two ideas."""
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in modules(*ROOMS)}
    assert [at(path, length) for path, length in lengths.items() if length > MAX_LINES] == []


def test_only_one_module_reads_clocks() -> None:
    """Everything but ``exchange/clock.py`` is given a time, or a clock."""
    assert [read for path in modules(*ROOMS) if path != CLOCK for read in clock_reads(path)] == []


def test_every_test_says_in_one_line_which_rule_it_guards() -> None:
    """A test that fails at night is read by somebody who did not write it."""
    found = [
        f"{at(path, node.lineno)} {node.name}"
        for path in modules("tests")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
        if len((ast.get_docstring(node) or "").splitlines()) != 1
    ]
    assert found == []


def test_the_top_level_is_exactly_the_house() -> None:
    """Whatever is added belongs in a room, in ``deploy`` or in ``tests``."""
    if not (HOUSE / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z"],
        cwd=HOUSE,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert {name.split("/")[0] for name in listed.split("\0") if name} == TOP_LEVEL
