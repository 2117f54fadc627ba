"""A member attests whose key it is in another's request: over two channels, with its own signature.

What is made is a publication like any other: it is trusted here at once, published as soon as the
node runs, and given to whoever proposes the newcomer.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from exchange.setup import words
from exchange.setup.amending import Amendment
from exchange.setup.requests import read_request
from keys.attesting import attestations, next_attestation
from keys.documents import sign_document
from keys.governance import checked_state
from keys.signer import Verifier
from protocol.digest import signing_key_id
from protocol.documents import StateEntry, signed_document_hash
from protocol.enrolment import StateRequest
from protocol.errors import BadRequest
from protocol.governance import ATTESTATION, attestation_name


@dataclass(frozen=True, slots=True)
class Attested:
    """An attestation: who is attested, with which key, and the signed publication."""

    state: str
    name: str
    key_id: bytes
    data: bytes


def sound_request(amendment: Amendment, path: Path) -> StateEntry:
    """Read the request of a state, and check everything in it that a program can check.

    Raises:
        SetupError, FormatError, TrustError: it cannot be read, or is not sound.
        BadRequest: it is a coordinator's, or this state's own.
    """
    request = read_request(path)
    if not isinstance(request, StateRequest):
        raise BadRequest(
            f"{path} is the request of a coordinator", hint="Members attest the keys of states only."
        )
    if request.code == amendment.state:
        raise BadRequest("a state does not attest its own key", hint="Ask two other members.")
    return checked_state(amendment.directory, Verifier(), request, since_ms=amendment.now_ms)


async def attest(amendment: Amendment, entry: StateEntry, channels: tuple[str, str]) -> Attested:
    """Attest the identity key of a request; one that is attested already is given out again.

    Args:
        amendment: The node of the member that attests.
        entry: From :func:`sound_request`, after people compared the fingerprint.
        channels: Over which two channels they did, one line each.

    Raises:
        BadRequest: the channels are not two different lines.
        TrustError: this node's own rules refuse it; nothing is changed.
    """
    one, other = (words.line(channel, "channel") for channel in channels)
    if one == other:
        raise BadRequest(
            "a fingerprint is confirmed over two different channels", hint="Name each with --channel."
        )
    data = _made_before(amendment, entry)
    if data is None:
        publication = next_attestation(
            amendment.directory,
            amendment.state,
            state=entry.code,
            identity=entry.identity,
            channels=(one, other),
            now_ms=amendment.now_ms,
        )
        data = sign_document(publication, [amendment.identity])
        await amendment.publish_signed(data, publication)
    return Attested(entry.code, entry.name, signing_key_id(entry.identity), data)


def _made_before(amendment: Amendment, entry: StateEntry) -> bytes | None:
    """Return this state's own attestation of this very key, as it was signed, if there is one."""
    if amendment.state not in attestations(amendment.directory, entry.code, entry.identity):
        return None
    place = (amendment.state, ATTESTATION, attestation_name(entry.code))
    wanted = amendment.directory.documents.publications[place].hash
    return next(data for data in amendment.documents if signed_document_hash(data) == wanted)
