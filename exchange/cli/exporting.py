"""What ``almenara audit export`` needs to know before it asks: the community, and as whom it reads."""

from __future__ import annotations

from pathlib import Path

from exchange.audit.fetch import Access
from exchange.cli.root_hash import pinned_root
from exchange.keystore import TOKEN_FILE, read_secret
from exchange.link.tls import client_context, reader_context
from exchange.pinned_root import read_pinned_root
from exchange.setup.files import read_file
from keys.enrolment import load_community
from keys.roster import Roster
from keys.signer import Verifier
from protocol.documents import CoordinatorEntry
from protocol.enrolment import MAX_COMMUNITY_BYTES
from protocol.errors import BadRequest, FormatError, NotAuthorized
from protocol.text import parse_utc


def community_of(
    community: Path, root_hash: str | None, member: Path | None, now_ms: int
) -> tuple[bytes, Roster]:
    """Return the pinned root hash, and the community file verified from it.

    Args:
        community: The community file.
        root_hash: What was given, or None: a member's own data directory holds it.
        member: That directory, or None.
        now_ms: The time now, milliseconds UTC.

    Raises:
        BadRequest: no root hash is known.
        TrustError, FormatError: the file is not to be believed.
    """
    known = member is not None and root_hash is None
    pinned = read_pinned_root(member) if member is not None and known else pinned_root(root_hash)
    data = read_file(community, MAX_COMMUNITY_BYTES, "community file")
    trusted, _ = load_community(data, pinned, Verifier(), now_ms)
    return pinned, trusted


def access_of(
    trusted: Roster, url: str, coordinator: str | None, token_file: Path | None, member: Path | None
) -> tuple[str, str | None, Access]:
    """Return the coordinator's code, the member that reads, and how to reach the ledger.

    Raises:
        BadRequest: several coordinators, or none of that code.
        NotAuthorized: neither a token nor a member is named.
        KeyfileError: the token, or the node's certificate, cannot be used.
    """
    entry = _coordinator(trusted, coordinator)
    pinned = frozenset(entry.certificates)
    if member is not None:
        state = _state_of(member)
        keys = member / "keys"
        context = client_context(keys / "tls.crt", keys / "tls.key", pinned)
        return entry.code, state, Access(url, pinned, context, None)
    if token_file is None:
        raise NotAuthorized(
            "neither an auditor's token nor a member is named",
            hint="Use --token-file FILE, made on the coordinator's machine with: almenara coordinator "
            "auditor add "
            "NAME --data HUB; or, as a member, --member DIR.",
        )
    token = read_secret(token_file, TOKEN_FILE).strip()
    return entry.code, None, Access(url, pinned, reader_context(pinned), token)


def since_ms(text: str) -> int:
    """Return the time that a date or a time with a zone says, milliseconds UTC.

    Raises:
        BadRequest: it says none.
    """
    try:
        return parse_utc(text, what="date of --since")
    except FormatError as error:
        raise BadRequest(error.message, hint="Write it as 2026-01-01 or 2026-01-01T00:00:00Z.") from error


def _coordinator(trusted: Roster, code: str | None) -> CoordinatorEntry:
    listed = trusted.coordinators()
    if code is not None:
        return trusted.coordinator(code)
    if len(listed) != 1:
        names = ", ".join(entry.code for entry in listed) or "none"
        raise BadRequest(
            f"the community has not exactly one coordinator: {names}", hint="Name one with --coordinator."
        )
    return listed[0]


def _state_of(member: Path) -> str:
    from exchange.configuration import resolve
    from exchange.settings import NodeSettings

    state = resolve(NodeSettings, flags={"data": str(member)}).settings.state
    if not state:
        raise BadRequest(f"{member} is not the data directory of a node", hint="Name one with --member.")
    return state
