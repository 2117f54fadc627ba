"""What an operator can set, and where each value came from.

Precedence: flag, environment (``ALMENARA_*``), ``almenara.toml`` in the data directory, the user's
``almenara/config.toml``, ``/etc/almenara/config.toml``, default. All files are flat and may be
shared by node, coordinator and command line: a key of another role is known and passed over, a key
that nobody knows is refused. Nothing here is a secret; secrets are named by files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["json", "console"]
Port = Annotated[int, Meta(ge=0, le=65535)]
Seconds = Annotated[float, Meta(gt=0, le=3600)]
Window = Annotated[int, Meta(ge=1, le=4096)]

SHARED_DOCS = {
    "data": "The data directory: database, keys, tokens.",
    "log_level": "The least important log events that are written.",
    "log_format": "json for machines, console for people; to standard error.",
    "passphrase_file": "A file of mode 0600 with the passphrase of the key files, on one line.",
    "key_store": "Where new keys are made: file:, or a token as pkcs11:token=LABEL.",
    "pkcs11_module": "The PKCS#11 library of the token; loading it runs its code.",
    "pin_file": "A file of mode 0600 with the PIN of the token, on one line.",
    "window": "How many envelopes may be under way on a session before the other side must answer.",
    "heartbeat_s": "Seconds of silence after which a session asks whether the other side is there.",
}


class NodeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a state's node runs."""

    state: Annotated[str, Meta(description="The code of the state this node speaks for.")] = ""
    coordinator: Annotated[str, Meta(description="The code of the coordinator this node uses.")] = ""
    coordinator_urls: Annotated[
        str,
        Meta(
            max_length=1000,
            pattern=r"\A(wss://[!-~]+( wss://[!-~]+)*)?\Z",
            description="Addresses of the coordinator that are tried before those of the directory, "
            "with a space between two.",
        ),
    ] = ""
    data: Path = Path("~/.local/share/almenara/node")
    socket: Annotated[Path, Meta(description="The Unix socket of the local interface.")] = Path(
        "{data}/api.sock"
    )
    passphrase_file: Path | None = None
    key_store: str = "file:"
    pkcs11_module: Path | None = None
    pin_file: Path | None = None
    window: Window = 64
    heartbeat_s: Seconds = 15.0
    retry_cap_s: Annotated[
        Seconds,
        Meta(description="The longest pause, in seconds, between two tries to reach the coordinator."),
    ] = 60.0
    log_level: LogLevel = "info"
    log_format: LogFormat = "json"


class CoordinatorSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a coordinator runs."""

    code: Annotated[str, Meta(description="The coordinator's own code in the directory.")] = ""
    process: Annotated[
        str,
        Meta(
            max_length=32,
            description="What this process is called among those of its coordinator.",
        ),
    ] = ""
    data: Path = Path("~/.local/share/almenara/coordinator")
    store: Annotated[
        str,
        Meta(
            description="Where mailboxes and ledger are kept: in the data directory if this is empty, or in "
            "postgresql://USER@HOST[,HOST]/DATABASE, which several processes may share."
        ),
    ] = ""
    store_password_file: Annotated[
        Path | None,
        Meta(description="A file of mode 0600 with the password of that database, on one line."),
    ] = None
    host: Annotated[str, Meta(min_length=1, description="The address to listen on.")] = "127.0.0.1"
    port: Annotated[Port, Meta(description="The TCP port to listen on; 0 takes a free one.")] = 8443
    anchor: Annotated[
        Path,
        Meta(
            description="The folder of the ledger's second copy of each checkpoint: keep it on another disk."
        ),
    ] = Path("{data}/anchor")
    ledger_host: Annotated[
        str, Meta(min_length=1, description="The address on which auditors and members read the ledger.")
    ] = "127.0.0.1"
    ledger_port: Annotated[
        Port | None,
        Meta(description="The TCP port for that; 0 takes a free one, and without one it is not served."),
    ] = None
    checkpoint_s: Annotated[
        Seconds, Meta(description="The ledger gets at most one checkpoint in so many seconds.")
    ] = 0.9
    witness_s: Annotated[
        Seconds, Meta(description="The nodes are asked to cosign at most once in so many seconds.")
    ] = 5.0
    passphrase_file: Path | None = None
    key_store: str = "file:"
    pkcs11_module: Path | None = None
    pin_file: Path | None = None
    window: Window = 512
    heartbeat_s: Seconds = 15.0
    log_level: LogLevel = "info"
    log_format: LogFormat = "json"


class CliSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the commands of officers and operators find their node."""

    data: Path = Path("~/.local/share/almenara/node")
    socket: Annotated[Path, Meta(description="The Unix socket of the node's local interface.")] = Path(
        "{data}/api.sock"
    )
    token_file: Annotated[
        Path | None, Meta(description="A file of mode 0600 with the token that says who asks.")
    ] = None
    passphrase_file: Path | None = None
    key_store: str = "file:"
    pkcs11_module: Path | None = None
    pin_file: Path | None = None


Settings = NodeSettings | CoordinatorSettings | CliSettings

ROLES: dict[str, type[NodeSettings] | type[CoordinatorSettings] | type[CliSettings]] = {
    "node": NodeSettings,
    "coordinator": CoordinatorSettings,
    "cli": CliSettings,
}


class Setting(msgspec.Struct, frozen=True):
    """One row of the table of settings, for help texts and for ``config show``."""

    name: str
    role: str
    default: str
    doc: str

    @property
    def variable(self) -> str:
        """Return the name of the environment variable."""
        return f"ALMENARA_{self.name.upper()}"


def table() -> tuple[Setting, ...]:
    """Return every setting of every role; a name used by several roles has a row for each."""
    return tuple(
        Setting(field.name, role, str(field.default), described(field))
        for role, kind in ROLES.items()
        for field in msgspec.structs.fields(kind)
    )


def names(role: str) -> frozenset[str]:
    """Return the names of the settings of one role."""
    return frozenset(field.name for field in msgspec.structs.fields(ROLES[role]))


def described(field: msgspec.structs.FieldInfo) -> str:
    """Return what a field is for, from its own annotation or from the shared sentences."""
    kind = msgspec.inspect.type_info(field.type)
    if isinstance(kind, msgspec.inspect.Metadata) and kind.extra_json_schema:
        description = kind.extra_json_schema.get("description")
        if description is not None:
            return str(description)
    return SHARED_DOCS[field.name]
