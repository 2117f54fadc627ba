"""Who may use a node: tokens for people and programs, and the key that an officer's token opens."""

from __future__ import annotations

import secrets
import shlex
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

from exchange.datadir import DataDir
from exchange.keystore import read_secret, write_secret
from exchange.node.officers import officer_key_path
from exchange.node.tokens import Identity, TokenRole, format_token, make_token, parse_token, token_hash
from exchange.setup import words
from exchange.setup.files import make_folder
from exchange.setup.keyring import described, new_signer
from keys.keyfile import KeyDescription
from keys.protection import Token
from keys.signer import Signer
from protocol.documents import Role
from protocol.errors import BadRequest, NotFound

ADMINISTRATOR = "administrator"


@dataclass(frozen=True, slots=True)
class OfficerKey:
    """An officer's key file in a data directory."""

    path: Path
    description: KeyDescription

    @property
    def name(self) -> str:
        """The officer's name."""
        return self.description.name


def make_folders(place: DataDir) -> None:
    """Make the folders for tokens' hashes and officers' keys.

    Raises:
        SetupError: they cannot be made.
    """
    make_folder(place.access)
    make_folder(place.officers)


def new_identity(role: TokenRole, name: str) -> Identity:
    """Return a new identity with a fresh secret; nothing is written.

    Raises:
        FormatError: the name does not fit on a token.
    """
    return make_token(role, unicodedata.normalize("NFC", name.strip()), secrets.token_bytes)


def token_path(place: DataDir, identity: Identity) -> Path:
    """Return where the token of an identity is written, to be handed over."""
    return place.tokens / f"{identity.role}-{words.file_name(identity.name)}.token"


def next_token_path(place: DataDir, identity: Identity) -> Path:
    """Return where a further token of the same name is written: beside an earlier one, never over it."""
    first = token_path(place, identity)
    further = (first.with_name(f"{first.stem}-{number}{first.suffix}") for number in count(2))
    return next(path for path in chain([first], further) if not path.exists())


def grant(place: DataDir, identity: Identity, path: Path | None = None) -> Path:
    """Let the node know a token, and write the token's file to hand over; returns that file.

    Args:
        place: The data directory.
        identity: Whose token it is.
        path: Where its file goes, if not at :func:`token_path`.

    Raises:
        KeyfileError: a file of that name is there, or the disk refuses.
    """
    path = path or token_path(place, identity)
    write_secret(path, f"{format_token(identity)}\n")
    # The node needs the name of this file only; what stands in it is for people.
    write_secret(place.access / token_hash(identity), f"{identity.role}: {identity.name}\n")
    return path


@contextmanager
def passing_token(place: DataDir) -> Iterator[str]:
    """Let the running node know a token for as long as the block runs, and give its text.

    Whoever may write into the data directory is the node's administrator, and needs no other token.

    Raises:
        KeyfileError: the disk refuses.
    """
    identity = new_identity(TokenRole.SENDER, ADMINISTRATOR)
    known = place.access / token_hash(identity)
    write_secret(known, f"{identity.role}: {identity.name}\n")
    try:
        yield format_token(identity)
    finally:
        known.unlink(missing_ok=True)


def new_officer_key(place: DataDir, identity: Identity, now_ms: int) -> Signer:
    """Make an officer's key, which only this officer's token opens.

    Raises:
        KeyfileError: it cannot be written.
    """
    path = officer_key_path(place.officers, identity)
    return new_signer(path, identity.name, Role.OFFICER, Token(identity.secret), now_ms)


def officers(place: DataDir) -> Iterator[OfficerKey]:
    """Yield the officers whose keys lie in a data directory, by name.

    Raises:
        KeyfileError: a file there is damaged, or open to others.
    """
    found = [OfficerKey(path, described(path)) for path in place.officers.glob("*.key")]
    yield from sorted(found, key=lambda officer: (officer.name, officer.description.created_ms))


def officer_keys(place: DataDir, name: str) -> tuple[OfficerKey, ...]:
    """Return all keys of an officer: several while one is replaced by the next.

    Raises:
        NotFound: there is no such officer.
    """
    newest = officer_named(place, name)
    return tuple(officer for officer in officers(place) if officer.name == newest.name)


def officer_named(place: DataDir, name: str) -> OfficerKey:
    """Return the officer of this name, with the newest key.

    Raises:
        NotFound: there is none; the hint lists who there is.
    """
    found = {officer.name: officer for officer in officers(place)}
    if name not in found:
        raise NotFound(
            f"there is no officer {name!r} here", hint=f"The officers are: {', '.join(found) or 'none'}."
        )
    return found[name]


def require_free(place: DataDir, identity: Identity) -> None:
    """Return only if no officer here has this name, and no token's file would be replaced.

    Raises:
        BadRequest: the name is taken.
    """
    taken = any(officer.name == identity.name for officer in officers(place))
    if taken or token_path(place, identity).exists():
        name = shlex.quote(identity.name)
        raise BadRequest(
            f"there is an officer {identity.name!r} already, or the file of a token of that name",
            hint=f"If it is the same person, who needs the next key: almenara key rotate officer {name} "
            "--data DIR "
            f"--identity FILE; to take the first one back: almenara officer revoke {name} --data DIR "
            "--identity "
            "FILE; otherwise use another name.",
        )


def forget(place: DataDir, officer: OfficerKey) -> None:
    """Take an officer's token back and delete the key; the node refuses the token at once."""
    digest = officer.path.stem
    (place.access / digest).unlink(missing_ok=True)
    officer.path.unlink(missing_ok=True)
    for left in place.tokens.glob(f"{TokenRole.OFFICER}-{words.file_name(officer.name)}*.token"):
        if token_hash(parse_token(read_secret(left))) == digest:
            left.unlink()
