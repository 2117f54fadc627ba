"""Who may read a coordinator's ledger: auditors, each by a token that can be taken back at any time."""

from __future__ import annotations

import secrets
import shlex
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from exchange.coordinator.readers import AUDITOR
from exchange.datadir import DataDir
from exchange.keystore import read_secret, write_secret
from exchange.setup import words
from exchange.setup.files import make_folder
from exchange.tokens import format_token, make_token, token_hash
from protocol.errors import BadRequest, NotFound

_PREFIX = f"{AUDITOR}: "


@dataclass(frozen=True, slots=True)
class Auditor:
    """An auditor whose token the coordinator knows.

    Attributes:
        name: The auditor's name.
        digest: The token's hash, which is all that the coordinator keeps of it.
    """

    name: str
    digest: str


def add_auditor(place: DataDir, name: str) -> Path:
    """Let the coordinator know a new token, and write the token's file to hand over; returns that file.

    Raises:
        FormatError: the name does not fit on a token.
        BadRequest: there is an auditor of this name, or a file of such a token.
        KeyfileError, SetupError: the disk refuses.
    """
    token = make_token(AUDITOR, unicodedata.normalize("NFC", name.strip()), secrets.token_bytes)
    path = _token_path(place, token.name)
    if path.exists() or any(auditor.name == token.name for auditor in auditors(place)):
        raise BadRequest(
            f"there is an auditor {token.name!r} already",
            hint="Use another name, or take the first one back with: almenara coordinator auditor revoke "
            f"{shlex.quote(token.name)} --data DIR",
        )
    make_folder(place.access)
    write_secret(path, f"{format_token(token)}\n")
    # The coordinator needs the name of this file only; what stands in it is for people.
    write_secret(place.access / token_hash(token), f"{_PREFIX}{token.name}\n")
    return path


def auditors(place: DataDir) -> tuple[Auditor, ...]:
    """Return the auditors whose tokens the coordinator knows, by name.

    Raises:
        KeyfileError: a file there is damaged, or open to others.
    """
    if not place.access.is_dir():
        return ()
    found = [
        Auditor(read_secret(path).strip().removeprefix(_PREFIX), path.name)
        for path in place.access.iterdir()
        if path.is_file()
    ]
    return tuple(sorted(found, key=lambda auditor: auditor.name))


def revoke_auditor(place: DataDir, name: str) -> None:
    """Take an auditor's token back: the coordinator refuses it from its next request on.

    Raises:
        NotFound: there is no such auditor; the hint lists who there is.
    """
    known = auditors(place)
    for auditor in known:
        if auditor.name == name:
            (place.access / auditor.digest).unlink(missing_ok=True)
            _token_path(place, name).unlink(missing_ok=True)
            return
    names = ", ".join(auditor.name for auditor in known)
    raise NotFound(f"there is no auditor {name!r} here", hint=f"The auditors are: {names or 'none'}.")


def _token_path(place: DataDir, name: str) -> Path:
    return place.tokens / f"{AUDITOR}-{words.file_name(name)}.token"
