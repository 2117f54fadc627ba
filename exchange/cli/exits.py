"""What a command's exit code means: one table, the same for every command and every version."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType

from protocol import errors
from protocol.errors import AlmenaraError


class Exit(IntEnum):
    """How a command ended."""

    OK = 0
    FAILED = 1
    USAGE = 2
    VERIFICATION = 3
    AUTHORITY = 4
    REJECTED = 5
    NOT_YET = 6
    UNKNOWN = 75
    INTERRUPTED = 130


MEANING: Mapping[Exit, str] = MappingProxyType(
    {
        Exit.OK: "done",
        Exit.FAILED: "failed on this machine; nothing was sent",
        Exit.USAGE: "the command or the request was written wrongly; nothing was sent",
        Exit.VERIFICATION: "a signature, document or envelope did not verify",
        Exit.AUTHORITY: "a token, key file, passphrase or role is missing or wrong",
        Exit.REJECTED: "rejected by the coordinator or by a recipient",
        Exit.NOT_YET: "accepted and kept: a receipt has not come yet, or a recipient waits for a key",
        Exit.UNKNOWN: "the outcome is unknown, or the node does not answer: try again, repeating is safe",
        Exit.INTERRUPTED: "interrupted from the keyboard",
    }
)

BY_ERROR: Mapping[type[AlmenaraError], Exit] = MappingProxyType(
    {
        AlmenaraError: Exit.FAILED,
        errors.FormatError: Exit.FAILED,
        errors.ProtocolError: Exit.FAILED,
        errors.TrustError: Exit.VERIFICATION,
        errors.NoticeRefused: Exit.REJECTED,
        errors.Tampered: Exit.VERIFICATION,
        errors.CannotOpen: Exit.VERIFICATION,
        errors.ClockSkew: Exit.FAILED,
        errors.OverQuota: Exit.UNKNOWN,
        errors.KeyfileError: Exit.AUTHORITY,
        errors.ServiceError: Exit.FAILED,
        errors.BadRequest: Exit.USAGE,
        errors.NotAuthorized: Exit.AUTHORITY,
        errors.Unreachable: Exit.UNKNOWN,
        errors.OutcomeUnknown: Exit.UNKNOWN,
        errors.StoreFailed: Exit.UNKNOWN,
        errors.Overloaded: Exit.UNKNOWN,
    }
)
"""The exit code of each class of error; a class that is not named has its parent's."""


def exit_of(kind: type[AlmenaraError]) -> Exit:
    """Return the exit code of a class of error: its own, or its nearest ancestor's."""
    return next(BY_ERROR[ancestor] for ancestor in kind.__mro__ if ancestor in BY_ERROR)
