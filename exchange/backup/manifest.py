"""The first member of a backup: whose it is, when it was made, and the hash of every other member."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from exchange.backup.contents import DATABASE, NAME, Owner, Role
from exchange.setup.files import REQUEST_FILE
from exchange.version import VERSION
from protocol.errors import FormatError
from protocol.text import format_utc, parse_hex

MANIFEST = "backup.json"
MAX_MANIFEST_BYTES = 4 * 2**20
FORMAT = 1
FORMAT_WITHOUT_DATABASE = 2
"""A program that does not know this one refuses it, instead of missing the database."""


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One member: its name, its size in bytes, its SHA-256 in hexadecimal."""

    name: str
    size: Annotated[int, Meta(ge=0)]
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a backup says about itself; ``made`` is ``made_ms`` for people."""

    format: int
    role: Role
    party: str
    root_hash: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    made_ms: Annotated[int, Meta(ge=0, le=2**52)]
    made: str
    version: str
    parts: tuple[Part, ...]

    @property
    def has_database(self) -> bool:
        """Whether the database is in it; otherwise that lies on servers, and is saved by their tools."""
        return self.format == FORMAT

    @property
    def owner(self) -> Owner:
        """Whose data directory it was."""
        return Owner(self.role, self.party, parse_hex(self.root_hash, what="root hash", size=32))


def describe(owner: Owner, parts: tuple[Part, ...], now_ms: int) -> Manifest:
    """Return the manifest of a backup that is made now."""
    has_database = any(part.name == DATABASE for part in parts)
    return Manifest(
        format=FORMAT if has_database else FORMAT_WITHOUT_DATABASE,
        role=owner.role,
        party=owner.party,
        root_hash=owner.root_hash.hex(),
        made_ms=now_ms,
        made=format_utc(now_ms),
        version=VERSION,
        parts=parts,
    )


def encode(manifest: Manifest) -> bytes:
    """Return the manifest as the bytes of the first member."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"


def parse(data: bytes) -> Manifest:
    """Return the manifest that these bytes are.

    Raises:
        FormatError: they are none, of a format this program does not know, or with an impossible name.
    """
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except msgspec.MsgspecError as error:
        raise FormatError(f"the file's {MANIFEST} is not that of a backup") from error
    if manifest.format not in (FORMAT, FORMAT_WITHOUT_DATABASE):
        raise FormatError(
            f"the backup has format {manifest.format}, and this program knows {FORMAT_WITHOUT_DATABASE}",
            hint="Use the version of the program that made it, or a newer one.",
        )
    names = [part.name for part in manifest.parts]
    first = [DATABASE] if manifest.has_database else []
    is_whole = names[: len(first)] == first and names.count(DATABASE) == len(first)
    if not is_whole or names[-1:] != [REQUEST_FILE]:
        raise FormatError(f"the backup's {MANIFEST} does not name what every data directory has")
    if not manifest.has_database and manifest.role is not Role.COORDINATOR:
        raise FormatError("the backup is a node's, and its database is missing")
    if len(set(names)) != len(names) or not all(map(NAME.fullmatch, names)):
        raise FormatError(f"the backup's {MANIFEST} names files that no backup has")
    return manifest
