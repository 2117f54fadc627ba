"""What custodians are asked to sign about members: proposals of the next directory.

Each function reads a :class:`~exchange.setup.governance.Ceremony` and returns a proposal; nothing is
written or signed. Who is behind a key must be confirmed by people, see :mod:`~exchange.setup.reviewing`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from exchange.setup import words
from exchange.setup.differences import COMPROMISABLE
from exchange.setup.files import read_file
from exchange.setup.governance import DIRECTORY_LIFE_MS, Ceremony
from exchange.setup.requests import read_request
from exchange.setup.severities import check_publications
from keys import chain
from keys.governance import checked_coordinator, checked_state, next_directory
from keys.signer import Verifier
from protocol import codec
from protocol.digest import signing_key_id
from protocol.documents import (
    MAX_DOCUMENT_BYTES,
    Compromise,
    CoordinatorEntry,
    Directory,
    Publication,
    Role,
    Root,
    StateEntry,
    StateStatus,
    parse_document,
    parse_signed_document,
    signed_document_hash,
)
from protocol.enrolment import CoordinatorRequest, StateRequest
from protocol.errors import BadRequest, FormatError, KeyRefused, SetupError
from protocol.governance import Proposal, parse_attestation

KEY_ID_DIGITS = 8
"""How many digits of a key id, at least, people may name it by."""


@dataclass(frozen=True, slots=True)
class Why:
    """What a proposal says for itself: the reason, and why attestations are missing; each one line."""

    reason: str | None = None
    unattested: str | None = None


NOTHING_SAID = Why()


def admit(
    ceremony: Ceremony,
    requests: Sequence[Path],
    now_ms: int,
    *,
    attestations: Sequence[Path] = (),
    why: Why = NOTHING_SAID,
) -> Proposal | None:
    """Propose that those who ask are listed; None if all of them are, as they ask.

    Args:
        ceremony: The community now.
        requests: The files of states' and coordinators' requests.
        now_ms: The time now, milliseconds UTC.
        attestations: Files in which members attest the states' keys.
        why: What is said for it.

    Raises:
        SetupError: a file cannot be read.
        FormatError, TrustError: a request is not sound, or was made for another community.
        KeyRefused: a member asks again with another key.
        BadRequest: an attestation is about somebody else.
    """
    states, coordinators = _members(ceremony)
    listed = (dict(states), dict(coordinators))
    documents: list[bytes] = []
    for path in requests:
        request = read_request(path)
        if isinstance(request, CoordinatorRequest):
            asked = checked_coordinator(ceremony.trusted, Verifier(), request)
            _require_same_key(coordinators.get(asked.code), asked)
            coordinators[asked.code] = asked
            continue
        states.setdefault(request.code, _checked(ceremony, request, now_ms))
        if states[request.code].identity != request.identity:
            raise KeyRefused(
                f"{request.code} is a member already, with another identity key",
                hint="Ask that state on another channel why it made a second request. If it has a new key: "
                "almenara governance propose replace-identity REQUEST --in DIR -o PROPOSAL",
            )
        documents += request.documents
    if (states, coordinators) == listed:
        return None
    _require_new_codes(ceremony, {*states} - {*listed[0]}, {*coordinators} - {*listed[1]})
    added = [code for code in states if code not in listed[0]]
    documents += _attestations(attestations, added)
    directory = _directory(ceremony, now_ms, states=states, coordinators=coordinators)
    return _proposal(ceremony, directory, why, documents)


def _require_new_codes(ceremony: Ceremony, states: Iterable[str], coordinators: Iterable[str]) -> None:
    """Refuse to list somebody under the code of a party of the other kind, now or ever before."""
    owners = ceremony.trusted.documents.owners.values()
    used_by_coordinators = {owner.party for owner in owners if owner.use == Role.COORDINATOR}
    used_by_states = {owner.party for owner in owners if owner.use == Role.IDENTITY}
    for code in sorted({*states} & used_by_coordinators | {*coordinators} & used_by_states):
        raise KeyRefused(
            f"{code} is, or was, the code of another kind of party",
            hint="Choose another code: statements of both would stand in the ledger under one name.",
        )


def replace_identity(
    ceremony: Ceremony,
    request: Path,
    now_ms: int,
    *,
    attestations: Sequence[Path] = (),
    why: Why = NOTHING_SAID,
) -> Proposal:
    """Propose another identity key for a member; arguments and errors as :func:`admit`.

    Raises:
        BadRequest: it is no member, or asks with the key that it has.
    """
    states, _ = _members(ceremony)
    asked = read_request(request)
    if not isinstance(asked, StateRequest) or asked.code not in states:
        raise BadRequest(
            f"{request} is not the request of a member for another identity key",
            hint="Who is no member yet is admitted: almenara governance propose admit REQUEST --in DIR -o "
            "PROPOSAL",
        )
    held = states[asked.code]
    if held.identity == asked.identity:
        raise BadRequest(f"{asked.code} is listed with this identity key already", hint="Nothing is to do.")
    fresh = _checked(ceremony, asked, now_ms)
    states[asked.code] = replace(held, identity=fresh.identity)
    documents = [*asked.documents, *_attestations(attestations, [asked.code])]
    return _proposal(ceremony, _directory(ceremony, now_ms, states=states), why, documents)


def change_coordinator(
    ceremony: Ceremony, request: Path, now_ms: int, *, why: Why = NOTHING_SAID
) -> Proposal:
    """Propose what a listed coordinator asks for, another statement key too; errors as :func:`admit`.

    Raises:
        BadRequest: it is not listed, or asks for what it has.
    """
    _, coordinators = _members(ceremony)
    asked = read_request(request)
    if not isinstance(asked, CoordinatorRequest) or asked.entry.code not in coordinators:
        raise BadRequest(
            f"{request} is not the request of a coordinator that is listed",
            hint="A new one is admitted: almenara governance propose admit REQUEST --in DIR -o PROPOSAL",
        )
    entry = checked_coordinator(ceremony.trusted, Verifier(), asked)
    if coordinators[entry.code] == entry:
        raise BadRequest(f"{entry.code} is listed exactly so already", hint="Nothing is to do.")
    coordinators[entry.code] = entry
    return _proposal(ceremony, _directory(ceremony, now_ms, coordinators=coordinators), why)


def suspend(ceremony: Ceremony, codes: Sequence[str], now_ms: int, *, why: Why) -> Proposal:
    """Propose that states take no part for now; two directory keys suffice.

    Raises:
        BadRequest: one is no member, or suspended already.
        SetupError: the directory has expired, and must be renewed first.
    """
    states = _with_status(ceremony, codes, StateStatus.SUSPENDED)
    held = ceremony.trusted.documents.trusted_directory()
    if held.document.expires_ms <= now_ms:
        raise SetupError(
            "the directory has expired, so nobody is listed whom it could suspend",
            hint="Renew it first: almenara governance propose refresh --in DIR -o PROPOSAL",
        )
    version, previous = chain.following(held)
    # Exactly this and nothing else, because then two signatures suffice (spec/documents.md, "only suspends").
    directory = replace(
        held.document, version=version, previous=previous, issued_ms=now_ms, states=tuple(states.values())
    )
    return _proposal(ceremony, directory, why)


def reinstate(ceremony: Ceremony, codes: Sequence[str], now_ms: int, *, why: Why = NOTHING_SAID) -> Proposal:
    """Propose that suspended states take part again.

    Raises:
        BadRequest: one is no member, or is active.
    """
    states = _with_status(ceremony, codes, StateStatus.ACTIVE)
    return _proposal(ceremony, _directory(ceremony, now_ms, states=states), why)


def remove(ceremony: Ceremony, codes: Sequence[str], now_ms: int, *, why: Why = NOTHING_SAID) -> Proposal:
    """Propose that states or coordinators are listed no more.

    Raises:
        BadRequest: one is not listed.
    """
    states, coordinators = _members(ceremony)
    for code in codes:
        if states.pop(code, None) is None and coordinators.pop(code, None) is None:
            raise _not_listed(code)
    directory = _directory(ceremony, now_ms, states=states, coordinators=coordinators)
    return _proposal(ceremony, directory, why)


def refresh(ceremony: Ceremony, now_ms: int, *, why: Why = NOTHING_SAID) -> Proposal:
    """Propose the same directory with a new expiry."""
    return _proposal(ceremony, _directory(ceremony, now_ms), why)


def confirm_compromise(
    ceremony: Ceremony, party: str, key: str, since_ms: int, now_ms: int, *, why: Why = NOTHING_SAID
) -> Proposal:
    """Propose that a key counts as stolen from a time on.

    Args:
        ceremony: The community now.
        party: The code of the state or coordinator whose key it was.
        key: Its id in hexadecimal, or the first eight digits or more.
        since_ms: Since when, milliseconds UTC.
        now_ms: The time now, milliseconds UTC.
        why: What is said for it.

    Raises:
        BadRequest: that party has no such key, calling it compromised would change nothing, or the time is
            in the future.
    """
    owners = ceremony.trusted.documents.owners
    key_id = named_key(
        key, [name for name, owner in owners.items() if owner.party == party], f"keys of {party}"
    )
    if owners[key_id].use not in COMPROMISABLE:
        raise BadRequest(
            f"the key {key_id.hex()[:16]} of {party} is a {owners[key_id].use} key: that is replaced",
            hint="An identity key: almenara governance propose replace-identity REQUEST --in DIR -o "
            "PROPOSAL; "
            "suspend until then. A witness's key or a certificate, at its node: almenara key rotate witness "
            "--data NODE --identity FILE; or rotate tls",
        )
    if since_ms > now_ms:
        raise BadRequest("the time is in the future", hint="Say since when, such as 2026-03-01T00:00:00.000Z")
    directory = _directory(ceremony, now_ms, compromised=[Compromise(party, key_id, since_ms)])
    return _proposal(ceremony, directory, why)


def named_key(text: str, known: Iterable[bytes], what: str) -> bytes:
    """Return the one key id that somebody named by its first digits.

    Raises:
        BadRequest: none or several are so named, or too few digits are given.
    """
    digits = "".join(text.split()).lower()
    found = [key_id for key_id in known if key_id.hex().startswith(digits)]
    if len(digits) < KEY_ID_DIGITS or len(found) != 1:
        raise BadRequest(
            f"{text!r} names {len(found)} of the {what}",
            hint=f"Give at least {KEY_ID_DIGITS} digits of its id; see: almenara governance show --in DIR",
        )
    return found[0]


def proposal_of(document: Root | Directory, why: Why, documents: Sequence[bytes] = ()) -> Proposal:
    """Return the proposal of a document.

    Raises:
        BadRequest: a reason is not one line.
    """
    return Proposal(
        v=1,
        body=codec.encode(document),
        documents=tuple(documents),
        reason=None if why.reason is None else words.line(why.reason, "reason"),
        unattested=None if why.unattested is None else words.line(why.unattested, "reason"),
    )


def _proposal(
    ceremony: Ceremony, directory: Directory, why: Why, documents: Sequence[bytes] = ()
) -> Proposal:
    known = {signed_document_hash(document) for document in ceremony.documents}
    fresh = [document for document in documents if signed_document_hash(document) not in known]
    return proposal_of(directory, why, fresh)


def _members(ceremony: Ceremony) -> tuple[dict[str, StateEntry], dict[str, CoordinatorEntry]]:
    states, coordinators = ceremony.entries
    return {entry.code: entry for entry in states}, {entry.code: entry for entry in coordinators}


def _directory(
    ceremony: Ceremony,
    now_ms: int,
    *,
    states: dict[str, StateEntry] | None = None,
    coordinators: dict[str, CoordinatorEntry] | None = None,
    compromised: Sequence[Compromise] = (),
) -> Directory:
    present = _members(ceremony)
    return next_directory(
        ceremony.trusted,
        list((present[0] if states is None else states).values()),
        list((present[1] if coordinators is None else coordinators).values()),
        now_ms=now_ms,
        life_ms=DIRECTORY_LIFE_MS,
        compromised=compromised,
    )


def _checked(ceremony: Ceremony, request: StateRequest, now_ms: int) -> StateEntry:
    state = checked_state(ceremony.trusted, Verifier(), request, since_ms=now_ms)
    held = ceremony.trusted.documents.directory
    key_id = signing_key_id(state.identity)
    if held is not None and any(one.key_id == key_id for one in held.document.compromised):
        raise KeyRefused(
            f"the directory says that the identity key {key_id.hex()[:16]} of {state.code} was compromised",
            hint="Let that state ask with another one, which a member makes with: almenara node "
            "succeed-identity --data NODE --identity FILE --new-key NEW; a newcomer with: almenara node "
            "init --help",
        )
    check_publications(request.documents)
    return state


def _require_same_key(held: CoordinatorEntry | None, asked: CoordinatorEntry) -> None:
    if held is not None and held.key != asked.key:
        raise KeyRefused(
            f"{asked.code} is a coordinator already, with another statement key",
            hint="Ask its operator on another channel why it made a second request. If it has a new key: "
            "almenara governance propose change-coordinator REQUEST --in DIR -o PROPOSAL",
        )


def _with_status(ceremony: Ceremony, codes: Sequence[str], status: StateStatus) -> dict[str, StateEntry]:
    states, _ = _members(ceremony)
    for code in codes:
        if code not in states:
            raise _not_listed(code)
        if states[code].status is status:
            raise BadRequest(f"{code} is {status.value} already", hint="Nothing is to do.")
        states[code] = replace(states[code], status=status)
    return states


def _not_listed(code: str) -> BadRequest:
    return BadRequest(
        f"the directory does not list {code}",
        hint="See who is listed with: almenara governance show --in DIR",
    )


def _attestations(paths: Sequence[Path], subjects: Sequence[str]) -> list[bytes]:
    found: list[bytes] = []
    for path in paths:
        data = read_file(path, MAX_DOCUMENT_BYTES, "attestation")
        document = parse_document(parse_signed_document(data).body)
        if not isinstance(document, Publication):
            raise FormatError(f"{path} is no attestation", hint="Name what `almenara node attest` wrote.")
        about = parse_attestation(document).state
        if about not in subjects:
            raise BadRequest(
                f"{path} attests the key of {about}, which is not in this proposal",
                hint="Give the attestations of the states that the requests are of.",
            )
        found.append(data)
    return found
