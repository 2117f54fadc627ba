"""A state of the fictitious community that changes its keys: manifests with windows, signed and in order."""

from __future__ import annotations

from collections.abc import Sequence

from keys.documents import sign_document
from keys.enrolment import key_entry, next_manifest
from keys.note_keys import NoteRole, NoteSecret
from keys.roster import Roster
from keys.signer import Signer
from protocol.documents import KeyEntry, NoteKeys, Revocation, Role
from tests.community import YEAR_MS, certificate, community, signer, witness_keys

OVERLAP_MS = 30 * 24 * 3600 * 1000


def node_key(code: str, number: int) -> Signer:
    """Return the node key of a state that follows from a number; 1 is the one of the community."""
    return signer(code if number == 1 else f"{code} {number}", Role.NODE)


def entry(code: str, key: Signer, from_ms: int, until_ms: int, owner: str | None = None) -> KeyEntry:
    """Return a key's entry with its window."""
    return key_entry(
        key,
        state=code,
        community=community().id,
        owner=owner or f"node of {code}",
        from_ms=from_ms,
        until_ms=until_ms,
    )


def officer_entry(code: str) -> KeyEntry:
    """Return the entry of the state's one officer, as its first manifest has it."""
    return next(key for key in community().members[code].keys if key.role is Role.OFFICER)


def manifest(
    roster: Roster,
    code: str,
    keys: Sequence[KeyEntry],
    now_ms: int,
    *,
    revoked: Sequence[Revocation] = (),
    certificates: Sequence[bytes] = (),
    witness: NoteSecret | None = None,
    life_ms: int = YEAR_MS,
) -> bytes:
    """Return the signed manifest that follows the trusted one, with these keys and the state's officer."""
    named: NoteKeys | None = None
    if witness is not None:
        named = witness.keys(witness_keys(code, community().id).name, code, NoteRole.WITNESS, community().id)
    document = next_manifest(
        roster.documents.manifests[code],
        state=code,
        community=community().id,
        keys=[*keys, officer_entry(code)],
        certificates=list(certificates) or [certificate(code)],
        now_ms=now_ms,
        life_ms=life_ms,
        witness=named,
        revoked=revoked,
    )
    return sign_document(document, [community().members[code].identity])
