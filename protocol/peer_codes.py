"""What peers are told when something is refused: a code, each with its fixed phrase, and nothing else."""

from __future__ import annotations

from enum import StrEnum


class PeerCode(StrEnum):
    """The coarse codes that may cross the wire, in refusals and in REJECTED statements."""

    phrase: str

    def __new__(cls, code: str, phrase: str) -> PeerCode:  # noqa: D102  (an enum's way to a second value)
        member = str.__new__(cls, code)
        member._value_ = code
        member.phrase = phrase
        return member

    MALFORMED = "malformed", "the bytes are not well formed"
    TOO_LARGE = "too-large", "the object is over a stated limit"
    UNKNOWN_KIND = "unknown-kind", "the kind or version is not known here"
    ILLEGAL_MESSAGE = "illegal-message", "the message is not allowed in this state of the session"
    NO_COMMON_VERSION = "no-common-version", "no protocol version is known to both sides"
    NOT_AUTHENTICATED = "not-authenticated", "the peer did not prove who it is"
    NOT_TRUSTED = "not-trusted", "the signer or document is not trusted here"
    SUITE_REFUSED = "suite-refused", "the cryptographic suite is not allowed"
    TAMPERED = "tampered", "the envelope does not match what was signed"
    NOT_ADDRESSED = "not-addressed", "the envelope is not addressed to this state"
    EXPIRED = "expired", "the notice has expired"
    CANNOT_OPEN = "cannot-open", "the sealed content could not be opened"
    DUPLICATE = "duplicate", "the notice was already recorded"
    CLOCK_SKEW = "clock-skew", "the times in the object are too far from this clock"
    OVER_QUOTA = "over-quota", "the peer sent more than it was allowed"
    TIMEOUT = "timeout", "the peer was silent for too long"
    GOING_AWAY = "going-away", "this side is shutting down"
    INTERNAL = "internal", "this side could not complete the request; try again later"
