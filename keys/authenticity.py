"""Is this envelope what its sender signed, and may it be processed? Nothing is opened here.

Coordinator and node use the same checks, each in the order that ``spec/envelope.md`` gives: the
cheap ones first, and no byte is acted on before the signature over it has verified. What each
party adds (its quota, its memory of what it has seen, opening) is done by that party.
"""

from __future__ import annotations

from dataclasses import dataclass

from keys.roster import Roster
from keys.signer import Verifier
from keys.trust import MAX_SKEW_MS
from protocol.documents import Role
from protocol.envelope import (
    Delivery,
    Sealed,
    Submission,
    check_delivery_parts,
    check_submission_parts,
    parse_delivery,
    parse_submission,
)
from protocol.errors import (
    ClockSkew,
    Forked,
    KeyRevoked,
    NotAddressed,
    NoticeExpired,
    Tampered,
    UnknownSigner,
    UnknownState,
)
from protocol.notice import Header, Manifest
from protocol.signed import Context, Proof
from protocol.text import format_utc


@dataclass(frozen=True, slots=True)
class UnverifiedSubmission:
    """A well-formed submission by the state whose session it came on; its signature is not checked."""

    submission: Submission
    sealed: Sealed


@dataclass(frozen=True, slots=True)
class VerifiedSubmission:
    """An envelope that a valid member signed exactly like this, and that may be relayed."""

    id: bytes
    submission: Submission
    manifest: Manifest
    header: Header


@dataclass(frozen=True, slots=True)
class VerifiedDelivery:
    """An envelope that a valid member signed exactly like this, for this recipient; still sealed."""

    id: bytes
    delivery: Delivery
    manifest: Manifest
    header: Header


def read_submission(data: bytes, sender: str) -> UnverifiedSubmission:
    """Parse a submission, and check that its sender is the one who brings it.

    Args:
        data: The submission exactly as received.
        sender: The code of the state that the session belongs to.

    Raises:
        FormatError: it is too large, not well formed, or not canonical.
        UnknownSigner: it names another state as its sender.
    """
    submission, sealed = parse_submission(data)
    if sealed.header.sender != sender:
        raise UnknownSigner(f"{sender} brought a notice that names {sealed.header.sender} as its sender")
    return UnverifiedSubmission(submission, sealed)


def check_submission(
    directory: Roster, verifier: Verifier, unverified: UnverifiedSubmission, now_ms: int
) -> VerifiedSubmission:
    """Check what :func:`read_submission` left open, and return what may be relayed.

    Args:
        directory: Who is a member, with which keys.
        verifier: Checks the signature over the manifest's received bytes.
        unverified: The parsed submission.
        now_ms: The time now, milliseconds UTC.

    Raises:
        SuiteRefused, UnknownSigner: its suite, or its signer's key, does not count now.
        KeyRevoked: its signer's key is revoked, whatever time the notice states.
        ClockSkew: it claims to be made more than ten minutes from now.
        NoticeExpired: it is past its own expiry.
        NotAddressed: a recipient is not an active member.
        DocumentExpired: root or directory has expired.
        BadSignature: its signature does not verify.
        Forked: its sender signs that it knows another directory of the version trusted here.
        Tampered: wraps or payload are not the ones that were signed.
    """
    submission, header = unverified.submission, unverified.sealed.header
    directory.require_suite(header.suite)
    directory.require_unrevoked(header.sender, header.key_id)
    key = directory.signer_key(header.sender, header.key_id, Role.NODE, now_ms)
    _require_times(header, now_ms)
    _require_active(directory, header, now_ms)
    _require_signature(verifier, key, submission.manifest, submission.proof)
    if directory.contradicts(header.directory):
        raise Forked(f"{header.sender} knows another directory version {header.directory.version}")
    check_submission_parts(submission, unverified.sealed.manifest)
    return VerifiedSubmission(unverified.sealed.id, submission, unverified.sealed.manifest, header)


def verify_submission(
    directory: Roster, verifier: Verifier, data: bytes, sender: str, now_ms: int
) -> VerifiedSubmission:
    """Return a submission that ``sender`` has truly signed and that may be relayed now.

    Arguments and errors as :func:`read_submission` and :func:`check_submission`, in this order.
    """
    return check_submission(directory, verifier, read_submission(data, sender), now_ms)


def verify_delivery(
    directory: Roster, verifier: Verifier, data: bytes, me: str, now_ms: int
) -> VerifiedDelivery:
    """Return a delivery that its sender has truly signed, for ``me``, and that has not expired.

    The signer's key must have been valid when the notice was made: a notice that waited for its
    recipient is not lost because its sender has changed keys since. What its sender disowns by the
    time of a revocation is refused: nobody is to act on a thief's warning.

    Args:
        directory: Who is a member, with which keys.
        verifier: Checks the signature over the manifest's received bytes.
        data: The delivery exactly as received.
        me: The code of the state that received it.
        now_ms: The time now, milliseconds UTC.

    Raises:
        FormatError: it is too large, not well formed, or not canonical.
        SuiteRefused: the root does not allow its suite.
        Forked: its sender resolved keys from another directory of the version trusted here.
        UnknownSigner, BadSignature: its signer or its signature does not count.
        KeyRevoked: its signature is right, by a key that does not count from before it was made on.
        Tampered: the wrap or the payload is not the one that was signed for ``me``.
        NotAddressed: ``me`` is not among its recipients.
        NoticeExpired: it is past its own expiry.
    """
    delivery, sealed = parse_delivery(data)
    manifest, header = sealed.manifest, sealed.header
    directory.require_suite(header.suite)
    if directory.contradicts(header.directory):
        raise Forked(
            f"{header.sender} knows another directory version {header.directory.version} than this node",
            hint="Tell the secretariat at once on another channel: somebody is shown a false directory.",
        )
    key = directory.signer_key(header.sender, header.key_id, Role.NODE, header.created_ms)
    _require_signature(verifier, key, delivery.manifest, delivery.proof)
    _require_addressed(header, delivery.index, me)
    check_delivery_parts(delivery, manifest)
    _require_owned(directory, header)
    _require_unexpired(header, now_ms)
    return VerifiedDelivery(sealed.id, delivery, manifest, header)


def _require_signature(verifier: Verifier, key: bytes, manifest: bytes, proof: Proof) -> None:
    verifier.verify(key, Role.NODE, Context.NOTICE, manifest, proof)


def _require_owned(directory: Roster, header: Header) -> None:
    withdrawn_ms = directory.documents.withdrawn_ms(header.sender, header.key_id)
    if withdrawn_ms is not None and withdrawn_ms <= header.created_ms:
        raise KeyRevoked(
            f"the notice is signed by a key of {header.sender} that does not count since "
            f"{format_utc(withdrawn_ms)}"
        )


def _require_times(header: Header, now_ms: int) -> None:
    if header.created_ms > now_ms + MAX_SKEW_MS:
        raise ClockSkew(f"the notice claims to be made at {format_utc(header.created_ms)}")
    _require_unexpired(header, now_ms)


def _require_addressed(header: Header, index: int, me: str) -> None:
    states = [addressee.state for addressee in header.recipients]
    if me not in states:
        raise NotAddressed(f"the notice is not addressed to {me}")
    # The index is the coordinator's word, not the sender's: it must not void a genuine notice.
    if states.index(me) != index:
        raise Tampered("the delivery carries another recipient's wrap")


def _require_unexpired(header: Header, now_ms: int) -> None:
    if header.expires_ms <= now_ms:
        raise NoticeExpired(f"the notice expired at {format_utc(header.expires_ms)}")


def _require_active(directory: Roster, header: Header, now_ms: int) -> None:
    for addressee in header.recipients:
        try:
            directory.state(addressee.state, now_ms)
        except UnknownState as error:
            # The code of UnknownState would ask the sender to try again later.
            raise NotAddressed(
                f"the notice is addressed to {addressee.state}, which is no active member"
            ) from error
