"""The one error tree: a stable code for machines, a sentence for people, the next step for operators.

::

    AlmenaraError
    ├─ FormatError              these bytes are not a well-formed X
    │  └─ NotCanonical          └─ TooLarge             └─ UnknownKind
    ├─ ProtocolError            the rules of the session were broken
    │  ├─ LocalProtocolError    └─ RemoteProtocolError
    ├─ TrustError               a signature, key or document may not be believed
    │  ├─ BadSignature          ├─ KeyRefused           ├─ ThresholdNotMet      ├─ RolledBack
    │  ├─ VersionGap            ├─ Forked               ├─ DocumentExpired      ├─ WrongCommunity
    │  └─ SuiteRefused          └─ PeerNotPinned        └─ UnknownSigner, of which KeyRevoked is one
    ├─ NoticeRefused            a well-formed notice that must not be processed
    │  ├─ Tampered              ├─ NotAddressed         ├─ NoticeExpired
    │  └─ CannotOpen            └─ Replayed             └─ ClockSkew            └─ OverQuota
    ├─ KeyfileError             a private key that cannot be used from where it lies
    │  ├─ WrongPassphrase       ├─ KeyfileUnsafe        └─ TokenFailed
    └─ ServiceError             a request this node or coordinator cannot carry out
       ├─ BadRequest            ├─ UnknownState         ├─ UnknownSeverity      ├─ NoUsableKey
       ├─ IdReused              ├─ NotFound             ├─ NotAuthorized        ├─ Unreachable
       ├─ OutcomeUnknown        ├─ SetupError           ├─ DataDirBusy          ├─ StoreFailed
       └─ NodeRestored          └─ LeaseLost

Peers never get ``str(error)``, only its ``peer_code``: a :class:`PeerCode` with a fixed phrase.
"""

from __future__ import annotations

from typing import ClassVar

from protocol.peer_codes import PeerCode as PeerCode


class AlmenaraError(Exception):
    """The root of every error this project raises on purpose.

    Args:
        message: One sentence saying what is wrong, for the local operator only.
        hint: What the operator should do next; defaults to the class's own hint.
    """

    code: ClassVar[str] = "error"
    peer_code: ClassVar[PeerCode] = PeerCode.INTERNAL
    default_hint: ClassVar[str] = "Read the message above; if it is not clear, report it with the log."

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = self.default_hint if hint is None else hint


class FormatError(AlmenaraError):
    """These bytes or values are not a well-formed X."""

    code = "malformed"
    peer_code = PeerCode.MALFORMED
    default_hint = "The object was refused and nothing was stored. Ask whoever made it for a correct copy."


class NotCanonical(FormatError):
    """The object parses, but is not written in the one form the profile permits."""

    code = "not-canonical"


class TooLarge(FormatError):
    """The object is over a stated limit and was refused before it was parsed."""

    code = "too-large"
    peer_code = PeerCode.TOO_LARGE
    default_hint = "Make it smaller, or split it into several notices."


class UnknownKind(FormatError):
    """A version, kind or message type that this program does not know."""

    code = "unknown-kind"
    peer_code = PeerCode.UNKNOWN_KIND
    default_hint = "The other side may run a newer version. Compare `almenara --version` on both."


class ProtocolError(AlmenaraError):
    """The rules of the session were broken."""

    code = "protocol"
    peer_code = PeerCode.ILLEGAL_MESSAGE


class LocalProtocolError(ProtocolError):
    """This program tried to send something the session forbids: a bug here."""

    code = "local-protocol"
    peer_code = PeerCode.INTERNAL
    default_hint = "This is a bug in this program: report it with the log. The session is re-opened."


class RemoteProtocolError(ProtocolError):
    """The peer sent something the session forbids; close the session."""

    code = "illegal-message"
    default_hint = "The session was closed and will be re-opened. If it repeats, compare versions."

    def __init__(
        self, message: str, *, tell: PeerCode = PeerCode.ILLEGAL_MESSAGE, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.tell = tell


class TrustError(AlmenaraError):
    """A signature, key or document may not be believed."""

    code = "not-trusted"
    peer_code = PeerCode.NOT_TRUSTED
    default_hint = "Do not work around this. Ask the secretariat on another channel what changed."


class BadSignature(TrustError):
    """A signature does not verify over these bytes with this key and context."""

    code = "bad-signature"


class UnknownSigner(TrustError):
    """No trusted document gives this key this role for this party at this time."""

    code = "unknown-signer"


class KeyRevoked(UnknownSigner):
    """A key that its own state has revoked, or that governance confirms as compromised."""

    code = "key-revoked"
    default_hint = (
        "See what it signed: almenara key exposure KEY --data DIR --token-file TOKEN; call its state."
    )


class KeyRefused(TrustError):
    """A key that must not be admitted: wrong length, small order, or used twice."""

    code = "key-refused"


class ThresholdNotMet(TrustError):
    """Fewer distinct authorised keys signed than the role's threshold asks for."""

    code = "threshold-not-met"


class RolledBack(TrustError):
    """A document older than one already trusted."""

    code = "rolled-back"


class VersionGap(TrustError):
    """A document that skips a version; the ones between must be seen first."""

    code = "version-gap"


class Forked(TrustError):
    """Two different documents claim one version: keep both, and raise the alarm."""

    code = "forked"


class DocumentExpired(TrustError):
    """A document past its own expiry time."""

    code = "document-expired"


class WrongCommunity(TrustError):
    """A document that belongs to another community's root."""

    code = "wrong-community"


class SuiteRefused(TrustError):
    """A cryptographic suite that the trusted root document does not allow."""

    code = "suite-refused"
    peer_code = PeerCode.SUITE_REFUSED


class PeerNotPinned(TrustError):
    """The peer's TLS certificate is not the one that the directory pins for it."""

    code = "peer-not-pinned"
    peer_code = PeerCode.NOT_AUTHENTICATED


class NoticeRefused(AlmenaraError):
    """A well-formed notice that must not be processed."""

    code = "notice-refused"


class Tampered(NoticeRefused):
    """The parts of an envelope do not match what its sender signed."""

    code = "tampered"
    peer_code = PeerCode.TAMPERED
    default_hint = "The copy was refused and kept as evidence. A genuine copy is still accepted."


class NotAddressed(NoticeRefused):
    """The envelope names other recipients."""

    code = "not-addressed"
    peer_code = PeerCode.NOT_ADDRESSED


class NoticeExpired(NoticeRefused):
    """The notice is past its own expiry time."""

    code = "expired"
    peer_code = PeerCode.EXPIRED
    default_hint = "Send it again: a notice lives at most seven days."


class CannotOpen(NoticeRefused):
    """Unwrapping, commitment, decryption or unpadding failed; deliberately no finer reason."""

    code = "cannot-open"
    peer_code = PeerCode.CANNOT_OPEN
    default_hint = "The sender was told. It should send the notice again under a current key."


class Replayed(NoticeRefused):
    """The notice is already recorded here."""

    code = "duplicate"
    peer_code = PeerCode.DUPLICATE
    default_hint = "Nothing to do: the first copy stands."


class ClockSkew(NoticeRefused):
    """Two clocks differ by more than ten minutes."""

    code = "clock-skew"
    peer_code = PeerCode.CLOCK_SKEW
    default_hint = "Correct this machine's clock (for example: chronyc makestep), then send again."


class OverQuota(NoticeRefused):
    """A member sent more than its share."""

    code = "over-quota"
    peer_code = PeerCode.OVER_QUOTA
    default_hint = "It is kept and sent later by itself."


class KeyfileError(AlmenaraError):
    """A private key cannot be used from where it lies."""

    code = "keyfile"
    default_hint = "Check the key file's path, owner and mode (0600), or restore it from backup."


class WrongPassphrase(KeyfileError):
    """The passphrase, PIN or token does not open this key file, or the file was altered."""

    code = "wrong-passphrase"
    default_hint = "Try again; nothing was changed. If it is lost, restore both from backup or make new keys."


class KeyfileUnsafe(KeyfileError):
    """The key file can be read by others, or is not a regular file of this user."""

    code = "keyfile-unsafe"


class TokenFailed(KeyfileError):
    """The token (PKCS#11) that holds a key cannot be used now, or answered wrongly."""

    code = "token-failed"


class ServiceError(AlmenaraError):
    """A request that this node or coordinator cannot carry out."""

    code = "service"


class BadRequest(ServiceError):
    """The request itself is wrong; nothing was done."""

    code = "bad-request"
    default_hint = "Correct the request; nothing was sent."


class UnknownState(BadRequest):
    """A state code that the trusted directory does not list as active."""

    code = "unknown-state"
    default_hint = "See the members with: almenara members"


class UnknownSeverity(BadRequest):
    """A severity schema, version or level that is not published here."""

    code = "unknown-severity"
    default_hint = "See the levels with: almenara severity list"


class NoUsableKey(ServiceError):
    """A recipient has no key that may be used now; nothing was sealed."""

    code = "no-usable-key"
    default_hint = (
        "Send with --wait-for-keys: it gets the notice by itself once it has a key. Or leave it out with "
        "--partial. Warn it by other means."
    )


class IdReused(BadRequest):
    """The same request id was used before for a different notice."""

    code = "id-reused"
    default_hint = "Use a new --id for a new notice; repeat an id only with exactly the same content."


class NotFound(ServiceError):
    """No such notice, officer, key or schema here."""

    code = "not-found"
    default_hint = "See what there is with: almenara inbox, almenara outbox"


class NotAuthorized(ServiceError):
    """The token does not allow this."""

    code = "not-authorized"
    default_hint = "Use a token with the right role: --token-file FILE or ALMENARA_TOKEN_FILE."


class Unreachable(ServiceError):
    """The node or the coordinator does not answer."""

    code = "unreachable"
    default_hint = "Check that it runs and that the address is right."


class OutcomeUnknown(ServiceError):
    """Whether the request took effect is not known; repeating it with the same id is safe."""

    code = "outcome-unknown"
    default_hint = "Repeat the same command with the same --id: it cannot be sent twice."


class NodeRestored(ServiceError):
    """This node's store is an older copy of itself, so that it signs nothing."""

    code = "restored"
    default_hint = "Follow deploy/runbooks/restore-a-node.md: it names every command, to the last one."


class DataDirBusy(ServiceError):
    """Another process has this data directory open."""

    code = "data-dir-busy"
    default_hint = "Stop the other process first; two may never share one data directory."


class StoreFailed(ServiceError):
    """The disk refused; what was being written may or may not be there."""

    code = "store-failed"
    default_hint = "Check disk space and the disk's health; the service resumes by itself once it can write."


class Overloaded(ServiceError):
    """More waits here than there is room for; nothing was taken, and it may be asked again soon."""

    code = "overloaded"
    default_hint = (
        "Ask again in a moment, with the same id; if it stays so, see: almenara health --data DIR "
        "--token-file TOKEN"
    )


class LeaseLost(ServiceError):
    """Another process of this coordinator has taken over what this one was doing; nothing was written."""

    code = "lease-lost"
    default_hint = "Nothing is wrong if it happens once; if often, look for a machine that stands still."


class SetupError(ServiceError):
    """Something needed at start-up is missing or wrong."""

    code = "setup"
    default_hint = "Follow the README's set-up section for the step that is named above."
