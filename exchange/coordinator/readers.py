"""Who may read the ledger: an auditor by its token, a member by its node's certificate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from exchange.tokens import parse_token, require_known
from keys.roster import Roster
from protocol.errors import NotAuthorized

AUDITOR = "auditor"
"""The one role of tokens that a coordinator gives out."""

_SCHEME = "Bearer "


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads.

    Attributes:
        name: An auditor's name or a state's code, for budgets.
        state: The state, which gets the statements that concern it; None for an auditor, who gets all.
    """

    name: str
    state: str | None


class Readers:
    """Tells who asks.

    Args:
        access: The folder with the hashes of the auditors' tokens.
        roster: Whose certificates count, by the documents trusted now.
    """

    def __init__(self, access: Path, roster: Roster) -> None:
        self._access = access
        self._roster = roster

    def identify(self, authorization: str | None, certificate: bytes | None) -> Reader:
        """Return who asks.

        Args:
            authorization: The request's Authorization header.
            certificate: The certificate that the peer showed, in DER; TLS has found it pinned for somebody.

        Raises:
            NotAuthorized: neither is known.
        """
        if authorization is not None:
            if not authorization.startswith(_SCHEME):
                raise NotAuthorized("this needs a token: Authorization: Bearer TOKEN")
            token = parse_token(authorization.removeprefix(_SCHEME), (AUDITOR,))
            require_known(self._access, token)
            return Reader(f"{AUDITOR} {token.name}", None)
        for entry in self._roster.states():
            # Of each party alone, as TLS has not looked for whom the certificate is pinned.
            if certificate is not None and certificate in self._roster.certificates(entry.code):
                return Reader(entry.code, entry.code)
        raise NotAuthorized("this needs an auditor's token, or the certificate of a member's node")
