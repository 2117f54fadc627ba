"""What coordinator and recipient refuse, each with the error that names the reason."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import msgspec
import pytest

from keys.authenticity import verify_delivery, verify_submission
from keys.documents import sign_document
from keys.governance import next_directory
from keys.trust import TrustedDirectory
from protocol import codec
from protocol.documents import Revocation, StateStatus
from protocol.envelope import MAX_SUBMISSION_BYTES, Submission, deliver
from protocol.errors import (
    AlmenaraError,
    BadSignature,
    ClockSkew,
    Forked,
    FormatError,
    KeyRevoked,
    NotAddressed,
    NotCanonical,
    NoticeExpired,
    SuiteRefused,
    Tampered,
    TooLarge,
    UnknownSigner,
)
from protocol.notice import DirectoryHead, envelope_id
from protocol.suite import WRAP_BYTES
from tests.community import Community, community
from tests.envelopes import header, sent, submission

MINUTE_MS = 60 * 1000
EVERYONE = community()
XAA, XBB = EVERYONE.members["XAA"], EVERYONE.members["XBB"]
GOOD = sent(EVERYONE)


def submit(one: Submission | bytes, sender: str = "XAA", now_ms: int = EVERYONE.now_ms) -> bytes:
    """Verify as the coordinator does, and return the envelope's id."""
    data = one if isinstance(one, bytes) else codec.encode(one)
    return verify_submission(EVERYONE.directory(), EVERYONE.verifier, data, sender, now_ms).id


def receive(
    one: Submission,
    me: str = "XBB",
    index: int = 0,
    now_ms: int = EVERYONE.now_ms,
    directory: TrustedDirectory | None = None,
    **changes: object,
) -> bytes:
    """Verify as a recipient does, and return the envelope's id."""
    delivery = msgspec.structs.replace(deliver(one, index), **changes)
    trusted = directory or EVERYONE.directory()
    return verify_delivery(trusted, EVERYONE.verifier, codec.encode(delivery), me, now_ms).id


def changed(**changes: object) -> Submission:
    """Return a properly signed submission whose header has these changes."""
    return submission(header(EVERYONE, **changes), XAA.node)  # type: ignore[arg-type]


def suspended(everyone: Community, code: str) -> TrustedDirectory:
    """Return the directory after governance has suspended one state."""
    trusted = everyone.directory()
    entries = [
        msgspec.structs.replace(entry, status=StateStatus.SUSPENDED) if entry.code == code else entry
        for entry in trusted.states()
    ]
    document = next_directory(trusted, entries, trusted.coordinators(), now_ms=everyone.now_ms, life_ms=10**9)
    trusted.update(sign_document(document, everyone.directories[:2]), everyone.now_ms)
    return trusted


def revoked(at_ms: int) -> TrustedDirectory:
    """Return the directory after XAA has revoked its node key, as it says at this time."""
    trusted = EVERYONE.directory()
    held = trusted.documents.manifests["XAA"]
    document = msgspec.structs.replace(
        held.document,
        version=2,
        previous=held.hash,
        issued_ms=EVERYONE.now_ms,
        revoked=(Revocation(key_id=XAA.node.key_id, reason="compromised", at_ms=at_ms),),
    )
    trusted.update(sign_document(document, [XAA.identity]), EVERYONE.now_ms)
    return trusted


@pytest.mark.parametrize("at_ms", [0, EVERYONE.now_ms])
def test_a_revoked_key_hands_nothing_in_whatever_time_its_notice_states(at_ms: int) -> None:
    """A thief would date his notice before the theft."""
    early = changed(created_ms=EVERYONE.now_ms - MINUTE_MS)
    with pytest.raises(KeyRevoked):
        verify_submission(revoked(at_ms), EVERYONE.verifier, codec.encode(early), "XAA", EVERYONE.now_ms)


def test_a_notice_on_its_way_is_refused_if_its_state_disowns_it() -> None:
    """Nobody acts on what a state says is not its own; what it made before its key was stolen stands."""
    made_ms = EVERYONE.now_ms
    with pytest.raises(KeyRevoked, match="does not count since"):
        receive(GOOD, directory=revoked(made_ms - MINUTE_MS))
    early = changed(created_ms=made_ms - MINUTE_MS)
    assert receive(early, directory=revoked(made_ms))


def test_a_forged_notice_is_no_fault_of_a_state_that_revoked_its_key() -> None:
    """Its signature is looked at first: only what that key has truly signed is answered REJECTED."""
    broken = msgspec.structs.replace(GOOD, proof=msgspec.structs.replace(GOOD.proof, signature=bytes(3373)))
    with pytest.raises(BadSignature):
        receive(broken, directory=revoked(0))


def test_a_genuine_submission_passes_and_is_named_by_its_manifest() -> None:
    """The id is the hash of the manifest."""
    assert submit(GOOD) == envelope_id(GOOD.manifest)


def test_a_genuine_delivery_passes_at_each_recipient() -> None:
    """Each recipient verifies its own wrap only."""
    assert receive(GOOD, "XBB", 0) == receive(GOOD, "XCC", 1) == envelope_id(GOOD.manifest)


@pytest.mark.parametrize("refused", [submit, receive])
def test_a_suite_that_the_root_does_not_allow_is_refused(refused: Callable[[Submission], bytes]) -> None:
    """There is no fallback to another suite."""
    with pytest.raises(SuiteRefused):
        refused(changed(suite=2))


@pytest.mark.parametrize("refused", [submit, receive])
def test_a_key_that_nobody_lists_is_refused(refused: Callable[[Submission], bytes]) -> None:
    """A signature counts only under a key of the directory."""
    with pytest.raises(UnknownSigner):
        refused(changed(key_id=secrets.token_bytes(32)))


@pytest.mark.parametrize("refused", [submit, receive])
def test_an_officer_key_cannot_sign_a_notice(refused: Callable[[Submission], bytes]) -> None:
    """Notices are signed in the role node."""
    with pytest.raises(UnknownSigner):
        refused(changed(key_id=XAA.officer.key_id))


@pytest.mark.parametrize("refused", [submit, receive])
def test_a_notice_signed_again_by_another_member_is_refused(refused: Callable[[Submission], bytes]) -> None:
    """Replacing the signature without the header fits no key."""
    with pytest.raises(BadSignature):
        refused(submission(header(EVERYONE), XBB.node))


def test_a_member_cannot_submit_what_names_another_sender() -> None:
    """The session says who brings it; the header must agree."""
    with pytest.raises(UnknownSigner):
        submit(GOOD, sender="XBB")


def test_a_notice_readdressed_after_signing_is_refused() -> None:
    """The recipients are part of what was signed."""
    other = changed(to=("XCC",))
    forged = msgspec.structs.replace(other, proof=sent(EVERYONE, to=("XBB",)).proof)
    with pytest.raises(BadSignature):
        submit(forged)


def test_a_recipient_that_is_no_member_is_refused() -> None:
    """A notice for a stranger is not relayed."""
    with pytest.raises(NotAddressed):
        submit(changed(to=("XBB", "XZZ")))


def test_a_suspended_recipient_is_refused() -> None:
    """A suspended state gets nothing."""
    with pytest.raises(NotAddressed):
        verify_submission(
            suspended(EVERYONE, "XCC"), EVERYONE.verifier, codec.encode(GOOD), "XAA", EVERYONE.now_ms
        )


def test_a_suspended_sender_is_refused() -> None:
    """A suspended state's keys do not count."""
    with pytest.raises(UnknownSigner):
        verify_submission(
            suspended(EVERYONE, "XAA"), EVERYONE.verifier, codec.encode(GOOD), "XAA", EVERYONE.now_ms
        )


def test_spliced_wraps_are_tampering() -> None:
    """Two recipients' wraps cannot trade places, nor come from another notice."""
    with pytest.raises(Tampered):
        submit(msgspec.structs.replace(GOOD, wraps=GOOD.wraps[::-1]))
    with pytest.raises(Tampered):
        submit(msgspec.structs.replace(GOOD, wraps=sent(EVERYONE).wraps))
    with pytest.raises(Tampered):
        submit(msgspec.structs.replace(GOOD, wraps=GOOD.wraps[:1]))


def test_a_replaced_payload_is_tampering() -> None:
    """Of the same length or not, the payload is the one that was signed."""
    for payload in (secrets.token_bytes(2048), GOOD.payload[:-1], GOOD.payload + b"\0"):
        with pytest.raises(Tampered):
            submit(msgspec.structs.replace(GOOD, payload=payload))
        with pytest.raises(Tampered):
            receive(GOOD, payload=payload)


def test_a_delivery_with_another_wrap_is_tampering() -> None:
    """The recipient checks its own wrap against the manifest."""
    with pytest.raises(Tampered):
        receive(GOOD, wrap=secrets.token_bytes(WRAP_BYTES))
    with pytest.raises(Tampered):
        receive(GOOD, wrap=GOOD.wraps[1])


def test_a_delivery_for_other_states_is_not_addressed() -> None:
    """A node answers only for what names it."""
    with pytest.raises(NotAddressed):
        receive(GOOD, me="XAA", index=0)


def test_a_wrong_recipient_number_is_tampering_by_whoever_delivers() -> None:
    """The number is not the sender's word, so it must not void a genuine notice."""
    with pytest.raises(Tampered):
        receive(GOOD, me="XCC", index=0)


def test_an_expired_notice_is_refused() -> None:
    """At the very moment of its expiry it is over."""
    at_ms = header(EVERYONE).expires_ms
    submit(GOOD, now_ms=at_ms - 1)
    receive(GOOD, now_ms=at_ms - 1)
    with pytest.raises(NoticeExpired):
        submit(GOOD, now_ms=at_ms)
    with pytest.raises(NoticeExpired):
        receive(GOOD, now_ms=at_ms)


def test_a_notice_from_the_future_is_refused() -> None:
    """Ten minutes of skew are tolerated, not more."""
    submit(changed(now_ms=EVERYONE.now_ms + 10 * MINUTE_MS))
    with pytest.raises(ClockSkew):
        submit(changed(now_ms=EVERYONE.now_ms + 10 * MINUTE_MS + 1))


def test_an_oversized_submission_is_refused_before_it_is_parsed() -> None:
    """The size comes first."""
    with pytest.raises(TooLarge):
        submit(bytes(MAX_SUBMISSION_BYTES + 1))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: b"",
        lambda data: b"\x80",
        lambda data: data.replace(b"alm1-submission", b"alm1-submissiom"),
    ],
)
def test_malformed_bytes_are_refused(spoil: Callable[[bytes], bytes]) -> None:
    """Truncated, extended, empty, a map, or of another kind."""
    with pytest.raises(FormatError):
        submit(spoil(codec.encode(GOOD)))


def test_a_longer_encoding_of_the_same_submission_is_refused() -> None:
    """Only the shortest form is permitted."""
    data = codec.encode(GOOD)
    assert data[0] == 0x95
    with pytest.raises(NotCanonical):
        submit(b"\xdc\x00\x05" + data[1:])


def test_a_delivery_from_another_directory_of_the_same_version_is_a_fork() -> None:
    """Somebody is shown a false directory: the alarm comes before the signature is even looked at."""
    mine = EVERYONE.directory().head()
    forged = changed(directory=DirectoryHead(version=mine.version, hash=secrets.token_bytes(32)))
    with pytest.raises(Forked):
        receive(forged)


def test_a_submission_that_claims_another_directory_of_the_same_version_is_not_relayed() -> None:
    """Its sender is told at once, instead of every recipient refusing it."""
    head = DirectoryHead(version=EVERYONE.directory().head().version, hash=secrets.token_bytes(32))
    with pytest.raises(Forked):
        submit(codec.encode(submission(header(EVERYONE, directory=head), XAA.node)))


def test_a_delivery_from_a_directory_not_seen_here_yet_passes() -> None:
    """A recipient that is behind must not lose a warning."""
    receive(changed(directory=DirectoryHead(version=99, hash=secrets.token_bytes(32))))


def test_every_changed_byte_of_an_envelope_is_refused() -> None:
    """No byte of a submission is without guard."""
    data = codec.encode(submission(header(EVERYONE), XAA.node, payload_bytes=64))
    for place in range(0, len(data), 97):
        spoiled = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        with pytest.raises(AlmenaraError):
            submit(spoiled)
