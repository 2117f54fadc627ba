"""Bearer tokens by role for the local interface.

A token is a line of text with its role and name in it, and 32 random bytes. The node keeps only
the hash, one small file per token, so taking a token back is deleting a file. An officer's
token is also what opens that officer's key: without it the node cannot sign for the person.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from urllib.parse import quote, unquote

from protocol.errors import FormatError, NotAuthorized
from protocol.text import parse_hex

PREFIX = "almenara-token-1"
SECRET_BYTES = 32


class TokenRole(StrEnum):
    """What a token allows: each role may do all that the ones before it may."""

    MONITOR = "monitor"
    SENDER = "sender"
    OFFICER = "officer"

    def covers(self, needed: TokenRole) -> bool:
        """Whether this role may do what ``needed`` may."""
        order = list(TokenRole)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks: a role, a name, and the secret that opens an officer's key."""

    role: TokenRole
    name: str
    secret: bytes = field(repr=False)

    def require(self, role: TokenRole) -> None:
        """Return only if this identity may do what ``role`` may.

        Raises:
            NotAuthorized: it may not.
        """
        if not self.role.covers(role):
            raise NotAuthorized(f"this needs a token of role {role}; the one used is of role {self.role}")


def make_token(role: TokenRole, name: str, randomness: Callable[[int], bytes]) -> Identity:
    """Return a new identity with a fresh secret.

    Raises:
        FormatError: the name is not 1..40 letters, digits, dots, dashes or spaces.
    """
    if not 1 <= len(name) <= 40 or not all(char.isalnum() or char in " .-'" for char in name):
        raise FormatError(
            "a token's name has 1 to 40 letters, digits, spaces, dots, dashes or apostrophes",
            hint="Choose a plain name, such as: Ana Silva",
        )
    return Identity(role=role, name=name, secret=randomness(SECRET_BYTES))


def format_token(identity: Identity) -> str:
    """Return the token's one line of text; it is a secret.

    The name is percent-encoded (RFC 3986), so that any program can put the line into a header.
    """
    return f"{PREFIX}:{identity.role}:{quote(identity.name, safe='')}:{identity.secret.hex()}"


def parse_token(text: str) -> Identity:
    """Return the identity that a token claims; whether it is known here is another question.

    Raises:
        NotAuthorized: the text is no token.
    """
    line = text.strip()
    parts = line.split(":")
    if not line.isascii() or len(parts) != 4 or parts[0] != PREFIX or parts[1] not in set(TokenRole):
        raise NotAuthorized("the token is not one of this program's tokens")
    try:
        secret = parse_hex(parts[3], what="token", size=SECRET_BYTES)
    except FormatError as error:
        raise NotAuthorized("the token is damaged", hint="Copy the whole line of the token file.") from error
    identity = Identity(role=TokenRole(parts[1]), name=unquote(parts[2]), secret=secret)
    if format_token(identity) != line:
        raise NotAuthorized("the token is damaged", hint="Copy the whole line of the token file.")
    return identity


def token_hash(identity: Identity) -> str:
    """Return the name under which the node knows a token: a hash of all of it, in hexadecimal."""
    return hashlib.sha256(b"almenara/1/token\0" + format_token(identity).encode()).hexdigest()


class TokenBook:
    """The tokens a node knows: one file per token in a folder, named by its hash.

    Args:
        folder: Where the hashes lie; the files' content is for people only.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def identify(self, text: str) -> Identity:
        """Return who holds this token.

        Raises:
            NotAuthorized: it is no token, or not one that this node knows.
        """
        identity = parse_token(text)
        if not (self._folder / token_hash(identity)).is_file():
            raise NotAuthorized(
                "this node does not know the token",
                hint="It may have been taken back, or belong to another node. Ask for a new one.",
            )
        return identity
