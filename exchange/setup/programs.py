"""Programs and displays that a node lets in: each by a token of its own, which can be taken back."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from exchange.datadir import DataDir
from exchange.keystore import read_secret
from exchange.node.tokens import TokenRole, parse_token, token_hash
from exchange.setup import people
from protocol.errors import BadRequest, NotFound

ROLES = (TokenRole.SENDER, TokenRole.MONITOR)
"""What a program may be; an officer is a person, whose token opens a key."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program or display that the node knows.

    Attributes:
        name: What it is called.
        role: ``sender`` or ``monitor``.
        digest: The token's hash, which is all that the node keeps of it.
    """

    name: str
    role: str
    digest: str


def add_program(place: DataDir, role: str, name: str) -> Path:
    """Let the node know a new token, and write the token's file to hand over; returns that file.

    Raises:
        FormatError: the name does not fit on a token.
        BadRequest: there is one of this name, of whatever role, so that taking it back would be unclear.
        KeyfileError, SetupError: the disk refuses.
    """
    identity = people.new_identity(TokenRole(role), name)
    taken = {one.name for one in programs(place)} | {people.ADMINISTRATOR}
    if identity.name in taken or people.token_path(place, identity).exists():
        raise BadRequest(
            f"there is a program {identity.name!r} already",
            hint="Use another name, or take the first one back with: almenara token revoke "
            f"{shlex.quote(identity.name)} --data DIR",
        )
    people.make_folders(place)
    return people.grant(place, identity)


def programs(place: DataDir) -> tuple[Program, ...]:
    """Return the programs and displays that the node knows, by name.

    Raises:
        KeyfileError: a file there is damaged, or open to others.
    """
    found = []
    for path in place.access.iterdir() if place.access.is_dir() else ():
        role, _, name = read_secret(path).strip().partition(": ")
        # A command that works on the running node is known for as long as it lasts, and is no program.
        if role in ROLES and name != people.ADMINISTRATOR:
            found.append(Program(name, role, path.name))
    return tuple(sorted(found, key=lambda one: (one.name, one.digest)))


def revoke_program(place: DataDir, name: str) -> int:
    """Take all tokens of a program back, and delete their files that still lie here; returns how many.

    Raises:
        NotFound: there is no such program; the hint lists who there is.
    """
    known = programs(place)
    gone = {one.digest for one in known if one.name == name}
    if not gone:
        names = ", ".join(dict.fromkeys(one.name for one in known))
        raise NotFound(f"there is no program {name!r} here", hint=f"There are: {names or 'none'}.")
    for digest in gone:
        (place.access / digest).unlink(missing_ok=True)
    for path in place.tokens.glob("*.token"):
        if token_hash(parse_token(read_secret(path))) in gone:
            path.unlink()
    return len(gone)
