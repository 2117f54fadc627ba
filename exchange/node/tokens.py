"""The roles of the local interface, and who asks. The tokens' mechanics are in :mod:`exchange.tokens`.

An officer's token is also what opens that officer's key: without it the node cannot sign for the
person.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from exchange import tokens
from exchange.tokens import Token, format_token, require_known, token_hash
from protocol.errors import NotAuthorized

__all__ = [
    "Identity",
    "TokenBook",
    "TokenRole",
    "format_token",
    "make_token",
    "parse_token",
    "token_hash",
]


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
class Identity(Token):
    """Who asks: a role, a name, and the secret that opens an officer's key."""

    role: TokenRole

    def require(self, role: TokenRole) -> None:
        """Return only if this identity may do what ``role`` may.

        Raises:
            NotAuthorized: it may not.
        """
        if not self.role.covers(role):
            raise NotAuthorized(f"this needs a token of role {role}; the one used is of role {self.role}")


def make_token(role: TokenRole, name: str, randomness: Callable[[int], bytes]) -> Identity:
    """Return a new identity with a fresh secret. Raises FormatError: the name does not fit."""
    return _identity(tokens.make_token(role, name, randomness))


def parse_token(text: str) -> Identity:
    """Return the identity that a token claims; whether it is known here is another question.

    Raises:
        NotAuthorized: the text is no token.
    """
    return _identity(tokens.parse_token(text, [role.value for role in TokenRole]))


class TokenBook:
    """The tokens a node knows: one file per token in a folder, named by its hash.

    Args:
        folder: Where the hashes lie.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def identify(self, text: str) -> Identity:
        """Return who holds this token.

        Raises:
            NotAuthorized: it is no token, or not one that this node knows.
        """
        identity = parse_token(text)
        require_known(self._folder, identity)
        return identity


def _identity(token: Token) -> Identity:
    return Identity(role=TokenRole(token.role), name=token.name, secret=token.secret)
