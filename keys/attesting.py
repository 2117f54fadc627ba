"""Attestations: members that confirmed a newcomer's identity key say so in signed publications.

An attestation counts while the state that made it is active and still has the identity key that
signed it. How many are needed is decided here; that enough stand in a proposal is checked by whoever
is asked to sign it.
"""

from __future__ import annotations

from keys import chain
from keys.roster import Roster
from protocol import codec
from protocol.digest import signing_key_id
from protocol.documents import Publication, StateStatus
from protocol.errors import FormatError
from protocol.governance import ATTESTATION, Attestation, attestation_name, parse_attestation

ATTESTERS = 2
"""How many members attest a new identity key, once there are so many that could."""


def next_attestation(
    roster: Roster, attester: str, *, state: str, identity: bytes, channels: tuple[str, str], now_ms: int
) -> Publication:
    """Return a member's attestation for its identity key to sign.

    Args:
        roster: What is trusted now.
        attester: The code of the member that attests.
        state: The code of the state whose key was confirmed.
        identity: That state's 1984-byte identity key.
        channels: Over which two channels the fingerprint was compared, one line each.
        now_ms: The time now, milliseconds UTC.
    """
    name = attestation_name(state)
    version, previous = chain.following(roster.documents.publications.get((attester, ATTESTATION, name)))
    content = Attestation(
        v=1, state=state, identity=signing_key_id(identity), channels=channels, at_ms=now_ms
    )
    return Publication(
        v=1,
        community=roster.community,
        state=attester,
        topic=ATTESTATION,
        name=name,
        version=version,
        previous=previous,
        issued_ms=now_ms,
        content=codec.encode(content),
    )


def attestations(roster: Roster, state: str, identity: bytes) -> dict[str, Attestation]:
    """Return who attests that this state holds this identity key; what does not count is left out.

    Args:
        roster: What is trusted, with the attestations among its publications.
        state: The state's code.
        identity: Its 1984-byte identity key.
    """
    found: dict[str, Attestation] = {}
    for entry in roster.states():
        held = roster.documents.publications.get((entry.code, ATTESTATION, attestation_name(state)))
        if held is None or entry.code == state or entry.status is not StateStatus.ACTIVE:
            continue
        if held.signer != signing_key_id(entry.identity):
            continue
        try:
            content = parse_attestation(held.document)
        except FormatError:
            continue
        if (content.state, content.identity) == (state, signing_key_id(identity)):
            found[entry.code] = content
    return found


def attestations_needed(roster: Roster, state: str) -> int:
    """Return how many members must attest a state's new key: none while fewer than two others are active."""
    others = sum(entry.status is StateStatus.ACTIVE and entry.code != state for entry in roster.states())
    return ATTESTERS if others >= ATTESTERS else 0
