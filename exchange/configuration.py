"""Settings resolved from their six sources, with the origin of every value kept."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from exchange.settings import ROLES, CliSettings, CoordinatorSettings, NodeSettings, names
from protocol.errors import SetupError

PREFIX = "ALMENARA_"
DATA_FILE = "almenara.toml"
SYSTEM_FILE = Path("/etc/almenara/config.toml")
EVERY_NAME = frozenset().union(*(names(role) for role in ROLES))

S = TypeVar("S", bound=NodeSettings | CoordinatorSettings | CliSettings)


class Layer(msgspec.Struct, frozen=True):
    """The values of one source, not yet checked against types.

    Args:
        origin: Shown by ``config show --origin``: ``flag``, a variable's name, a file or ``default``.
        values: By setting name.
        folder: What relative paths are relative to.
        textual: Whether numbers are still written as text.
    """

    origin: str
    values: Mapping[str, object]
    folder: Path
    textual: bool = False


class Resolved(msgspec.Struct, Generic[S], frozen=True):
    """Settings that hold, and for each name where its value came from."""

    settings: S
    origins: Mapping[str, str]


def resolve(
    kind: type[S],
    *,
    flags: Mapping[str, object],
    environment: Mapping[str, str] = os.environ,
    system_file: Path = SYSTEM_FILE,
) -> Resolved[S]:
    """Return the settings of a role from all sources.

    Args:
        kind: The role's settings.
        flags: What was given on the command line, by setting name; None means not given.
        environment: The process's environment.
        system_file: The file for the whole machine.

    Raises:
        SetupError: A key nobody knows, a value of the wrong type, or a file that is not TOML.
    """
    here = Path.cwd()
    outer = [
        Layer("flag", {name: value for name, value in flags.items() if value is not None}, here, True),
        *environment_layers(environment, here),
    ]
    shared = [file_layer(user_file(environment)), file_layer(system_file)]
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    defaults = Layer("default", {name: field.default for name, field in fields.items()}, here)
    data = first_path("data", [*outer, *shared, defaults])
    layers = [*outer, data_layer(data), *shared, defaults]
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for name, field in fields.items():
        layer = next(layer for layer in layers if name in layer.values)
        values[name] = typed(field, layer, data)
        origins[name] = layer.origin
    return Resolved(kind(**values), origins)


def environment_layers(environment: Mapping[str, str], folder: Path) -> Iterator[Layer]:
    """Give one layer for each ``ALMENARA_*`` variable, so that its origin is its own name.

    Raises:
        SetupError: A variable of that prefix that nobody knows, such as one with a secret in it.
    """
    for variable in sorted(environment):
        if variable.startswith(PREFIX):
            name = variable.removeprefix(PREFIX).lower()
            require_known(name, f"the environment ({variable})", PREFIX)
            yield Layer(variable, {name: environment[variable]}, folder, True)


def file_layer(path: Path) -> Layer:
    """Return the values of a TOML file; none if it is not there.

    Raises:
        SetupError: It cannot be read, is not TOML, or has a key that nobody knows.
    """
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        values = {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SetupError(
            f"{path} cannot be used: {error}", hint="Correct the file or move it away."
        ) from error
    for name in values:
        require_known(name, str(path))
    return Layer(str(path), values, path.parent)


def data_layer(data: Path) -> Layer:
    """Return the values of the file in the data directory, which cannot move that directory.

    Raises:
        SetupError: As for every file, and if it sets ``data``.
    """
    layer = file_layer(data / DATA_FILE)
    if "data" in layer.values:
        raise SetupError(f"{layer.origin} lies in the data directory and cannot set it", hint="Remove data.")
    return layer


def user_file(environment: Mapping[str, str]) -> Path:
    """Return where the user's own file lies, by the XDG base directory specification."""
    home = environment.get("XDG_CONFIG_HOME", "")
    # The specification asks to ignore a relative path here.
    folder = Path(home) if home.startswith("/") else Path("~/.config").expanduser()
    return folder / "almenara" / "config.toml"


def require_known(name: str, where: str, prefix: str = "") -> None:
    """Refuse a name that is a setting of no role, with the nearest one that is.

    Raises:
        SetupError: Nobody knows the name.
    """
    if name in EVERY_NAME:
        return
    near = difflib.get_close_matches(name, sorted(EVERY_NAME), n=1, cutoff=0.5)
    shown = [prefix + match.upper() if prefix else match for match in near]
    hint = f"Did you mean {shown[0]}?" if shown else "See the settings with: almenara config show"
    raise SetupError(f"{where} sets {name!r}, which is no setting", hint=hint)


def typed(field: msgspec.structs.FieldInfo, layer: Layer, data: Path) -> object:
    """Return a value of the field's type.

    Raises:
        SetupError: The value does not fit.
    """
    value = layer.values[field.name]
    if field.name == "data":
        return data
    try:
        converted: object = msgspec.convert(
            value, field.type, strict=not layer.textual, dec_hook=lambda _kind, raw: as_path(raw, layer, data)
        )
    except msgspec.ValidationError as error:
        raise SetupError(
            f"the setting {field.name} from {layer.origin} does not fit: {error}",
            hint="See its meaning and default with: almenara config show",
        ) from error
    return as_path(converted, layer, data) if isinstance(converted, Path) else converted


def first_path(name: str, layers: list[Layer]) -> Path:
    """Return the path from the first layer that has the name.

    Raises:
        SetupError: The value is not a path.
    """
    layer = next(layer for layer in layers if name in layer.values)
    try:
        return as_path(layer.values[name], layer, Path())
    except TypeError as error:
        raise SetupError(f"the setting {name} from {layer.origin} is not a path") from error


def as_path(value: object, layer: Layer, data: Path) -> Path:
    """Return an absolute path: ``~`` is home, ``{data}`` the data directory, the rest relative to its source.

    Raises:
        TypeError: The value is neither text nor a path.
    """
    if not isinstance(value, str | Path):
        raise TypeError("a path is written as text")
    path = Path(str(value).replace("{data}", str(data), 1)).expanduser()
    return path if path.is_absolute() else layer.folder / path
