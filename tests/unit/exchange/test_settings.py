"""Settings: which source wins, where a value came from, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from exchange.configuration import Resolved, resolve
from exchange.settings import ROLES, CliSettings, CoordinatorSettings, NodeSettings, table
from protocol.errors import SetupError


@dataclass(frozen=True)
class Machine:
    """The places from which settings come, under one temporary folder."""

    root: Path

    def write(self, where: str, text: str) -> Path:
        """Write the data, user or system file."""
        path = {
            "data": self.root / "data" / "almenara.toml",
            "user": self.root / "xdg" / "almenara" / "config.toml",
            "system": self.root / "etc" / "config.toml",
        }[where]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def node(self, flags: dict[str, object] | None = None, **environment: str) -> Resolved[NodeSettings]:
        """Resolve a node's settings on this machine."""
        variables = {"XDG_CONFIG_HOME": str(self.root / "xdg"), "PATH": "/bin", **environment}
        flags = {"data": str(self.root / "data"), **(flags or {})}
        return resolve(
            NodeSettings, flags=flags, environment=variables, system_file=self.root / "etc" / "config.toml"
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Return a machine on which nothing is set."""
    return Machine(tmp_path)


def test_without_anything_set_the_defaults_hold(machine: Machine) -> None:
    """Every default has the origin default, and the socket lies in the data directory."""
    resolved = machine.node()
    assert resolved.settings.socket == machine.root / "data" / "api.sock"
    assert resolved.settings.window == 64
    assert {origin for name, origin in resolved.origins.items() if name != "data"} == {"default"}


def test_each_source_beats_the_next(machine: Machine) -> None:
    """Flag, environment, data file, user file, system file: taken away one by one."""
    flags: dict[str, object] = {"window": 1}
    variables = {"ALMENARA_WINDOW": "2"}
    files = {
        where: machine.write(where, f"window = {n}") for n, where in enumerate(("data", "user", "system"), 3)
    }
    seen = [machine.node(flags, **variables)]
    flags.clear()
    seen.append(machine.node(flags, **variables))
    variables.clear()
    for path in files.values():
        seen.append(machine.node())
        path.unlink()
    seen.append(machine.node())
    assert [resolved.settings.window for resolved in seen] == [1, 2, 3, 4, 5, 64]
    origins = [resolved.origins["window"] for resolved in seen]
    assert origins == ["flag", "ALMENARA_WINDOW", *map(str, files.values()), "default"]


def test_a_flag_that_was_not_given_is_not_a_value(machine: Machine) -> None:
    """None on the command line leaves the next source in force."""
    machine.write("user", "window = 9")
    assert machine.node({"window": None}).settings.window == 9


@pytest.mark.parametrize("where", ["data", "user", "system"])
def test_an_unknown_key_in_a_file_is_refused_with_the_nearest(machine: Machine, where: str) -> None:
    """A slip of the pen does not silently leave a default in force."""
    path = machine.write(where, 'log_levle = "debug"')
    with pytest.raises(SetupError, match="log_levle") as refused:
        machine.node()
    assert str(path) in refused.value.message
    assert refused.value.hint == "Did you mean log_level?"


def test_an_unknown_variable_is_refused_with_the_nearest(machine: Machine) -> None:
    """A passphrase in the environment is refused; the file is offered, and the value is not repeated."""
    with pytest.raises(SetupError) as refused:
        machine.node(ALMENARA_PASSPHRASE="hunter2")
    assert refused.value.hint == "Did you mean ALMENARA_PASSPHRASE_FILE?"
    assert "hunter2" not in refused.value.message


def test_a_key_of_another_role_is_passed_over(machine: Machine) -> None:
    """One file may serve a node and a coordinator on one machine."""
    machine.write("system", "port = 9000\nwindow = 8")
    assert machine.node().settings.window == 8


@pytest.mark.parametrize(
    "text", ["window = 0", 'window = "8"', 'log_level = "loud"', "window = true", "socket = 1"]
)
def test_a_value_that_does_not_fit_is_refused(machine: Machine, text: str) -> None:
    """The setting and its source are named."""
    path = machine.write("user", text)
    with pytest.raises(SetupError, match=text.split()[0]) as refused:
        machine.node()
    assert str(path) in refused.value.message


@pytest.mark.parametrize("value", ["many", "0", "1.5", ""])
def test_a_variable_that_does_not_fit_is_refused(machine: Machine, value: str) -> None:
    """Text that is not a number within its range is refused."""
    with pytest.raises(SetupError, match="ALMENARA_WINDOW"):
        machine.node(ALMENARA_WINDOW=value)


def test_broken_toml_is_refused(machine: Machine) -> None:
    """The file is named."""
    path = machine.write("user", "window = ")
    with pytest.raises(SetupError) as refused:
        machine.node()
    assert str(path) in refused.value.message


def test_the_data_directory_cannot_be_moved_from_inside(machine: Machine) -> None:
    """A file in the data directory that names another one is refused."""
    machine.write("data", 'data = "/elsewhere"')
    with pytest.raises(SetupError, match="cannot set it"):
        machine.node()


def test_a_relative_path_is_relative_to_the_file_that_says_it(machine: Machine) -> None:
    """A path in a file does not depend on where the command was run."""
    path = machine.write("user", 'passphrase_file = "secret"')
    assert machine.node().settings.passphrase_file == path.parent / "secret"


def test_a_path_from_a_variable_is_absolute(machine: Machine) -> None:
    """Home is expanded, and the current folder is made explicit."""
    found = machine.node(ALMENARA_SOCKET="~/api.sock").settings.socket
    assert found == Path("~/api.sock").expanduser()
    assert machine.node(ALMENARA_SOCKET="api.sock").settings.socket == Path.cwd() / "api.sock"


def test_coordinator_and_commands_resolve_too(machine: Machine) -> None:
    """The other two roles have their own values."""
    nothing = machine.root / "none"
    coordinator = resolve(
        CoordinatorSettings, flags={}, environment={"ALMENARA_PORT": "0"}, system_file=nothing
    )
    assert (coordinator.settings.host, coordinator.settings.port) == ("127.0.0.1", 0)
    cli = resolve(CliSettings, flags={"data": machine.root}, environment={}, system_file=nothing)
    assert cli.settings.socket == machine.root / "api.sock"
    assert cli.settings.token_file is None


def test_every_setting_is_documented() -> None:
    """Each row of the table has a sentence, and the same name means the same for every role."""
    rows = table()
    assert {row.role for row in rows} == set(ROLES)
    assert all(row.doc.endswith(".") for row in rows)
    assert {row.variable for row in rows if row.name == "token_file"} == {"ALMENARA_TOKEN_FILE"}


def test_no_setting_is_a_secret_itself() -> None:
    """Secrets are named by files, never given as values."""
    for row in table():
        # The place where new keys are made is no secret; nor is a PIN in its URI, which is refused.
        if row.name != "key_store" and any(
            word in row.name for word in ("passphrase", "token", "key", "secret", "pin_")
        ):
            assert row.name.endswith("_file")
