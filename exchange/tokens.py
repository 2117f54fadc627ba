"""Bearer tokens: one line of text, known to a service by its hash alone.

A token is a line with its role and name in it, and 32 random bytes. A service keeps only the hash,
one small file per token, so taking a token back is deleting a file. Which roles there are, and what
each may do, is the business of the service.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote

from protocol.errors import FormatError, NotAuthorized
from protocol.text import parse_hex

PREFIX = "almenara-token-1"
SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Token:
    """A role, a name, and the secret that nobody can guess."""

    role: str
    name: str
    secret: bytes = field(repr=False)


def make_token(role: str, name: str, randomness: Callable[[int], bytes]) -> Token:
    """Return a new token with a fresh secret.

    Args:
        role: What it allows.
        name: Whose it is.
        randomness: Returns so many random bytes.

    Raises:
        FormatError: the name is not 1..40 letters, digits, dots, dashes or spaces.
    """
    if not 1 <= len(name) <= 40 or not all(char.isalnum() or char in " .-'" for char in name):
        raise FormatError(
            "a token's name has 1 to 40 letters, digits, spaces, dots, dashes or apostrophes",
            hint="Choose a plain name, such as: Ana Silva",
        )
    return Token(role=role, name=name, secret=randomness(SECRET_BYTES))


def format_token(token: Token) -> str:
    """Return the token's one line of text; it is a secret.

    The name is percent-encoded (RFC 3986), so that any program can put the line into a header.
    """
    return f"{PREFIX}:{token.role}:{quote(token.name, safe='')}:{token.secret.hex()}"


def parse_token(text: str, roles: Collection[str]) -> Token:
    """Return the token that a line is; whether it is known here is another question.

    Args:
        text: The line.
        roles: The roles there are at this service.

    Raises:
        NotAuthorized: the text is no token, or of no such role.
    """
    line = text.strip()
    parts = line.split(":")
    if not line.isascii() or len(parts) != 4 or parts[0] != PREFIX or parts[1] not in roles:
        raise NotAuthorized("the token is not one of this program's tokens")
    try:
        secret = parse_hex(parts[3], what="token", size=SECRET_BYTES)
    except FormatError as error:
        raise NotAuthorized("the token is damaged", hint="Copy the whole line of the token file.") from error
    token = Token(role=parts[1], name=unquote(parts[2]), secret=secret)
    if format_token(token) != line:
        raise NotAuthorized("the token is damaged", hint="Copy the whole line of the token file.")
    return token


def token_hash(token: Token) -> str:
    """Return the name under which a service knows a token: a hash of all of it, in hexadecimal."""
    return hashlib.sha256(b"almenara/1/token\0" + format_token(token).encode()).hexdigest()


def require_known(folder: Path, token: Token) -> None:
    """Return only if a service knows a token.

    Args:
        folder: Where the hashes lie, one file each; the files' content is for people only.
        token: What was shown.

    Raises:
        NotAuthorized: it does not.
    """
    # Asked for every request: a string is cheaper than a path.
    if not os.path.isfile(f"{folder}/{token_hash(token)}"):
        raise NotAuthorized(
            "the token is not known here",
            hint="It may have been taken back, or belong to another service. Ask for a new one.",
        )
