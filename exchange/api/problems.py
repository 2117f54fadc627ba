"""What an error becomes on the local interface: an RFC 9457 problem with a stable code.

::

    {"type": "urn:almenara:problem:unknown-state", "title": "unknown state", "status": 422,
     "detail": "XZZ is no member of this community", "code": "unknown-state",
     "next": "See the members with: almenara members", "request_id": "k3v9…"}

Only the errors of :mod:`protocol.errors` carry their sentence to the caller. Everything else is
``internal``, and says nothing of its text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from exchange.node.views import View
from protocol import errors
from protocol.errors import AlmenaraError

MEDIA_TYPE = "application/problem+json"
INTERNAL = "internal"

STATUS: Mapping[type[AlmenaraError], int] = MappingProxyType(
    {
        AlmenaraError: 500,
        errors.FormatError: 400,
        errors.TooLarge: 413,
        errors.ProtocolError: 502,
        errors.LocalProtocolError: 500,
        errors.TrustError: 422,
        errors.NoticeRefused: 422,
        errors.NoticeExpired: 410,
        errors.Replayed: 409,
        errors.ClockSkew: 503,
        errors.OverQuota: 429,
        errors.KeyfileError: 503,
        errors.WrongPassphrase: 403,
        errors.ServiceError: 500,
        errors.BadRequest: 400,
        errors.UnknownState: 422,
        errors.UnknownSeverity: 422,
        errors.NoUsableKey: 409,
        errors.IdReused: 422,
        errors.NotFound: 404,
        errors.NotAuthorized: 403,
        errors.Unreachable: 503,
        errors.OutcomeUnknown: 503,
        errors.DataDirBusy: 503,
        errors.StoreFailed: 503,
        errors.Overloaded: 503,
        errors.SetupError: 503,
    }
)
"""The HTTP status of each class of error; a class that is not named has its parent's."""

REPEATABLE = re.compile(r"[A-Za-z0-9_-]{8,64}")
"""What an Idempotency-Key may be: 8 to 64 characters which are safe in an address."""


class Problem(View, frozen=True, kw_only=True):
    """An error as JSON. ``next`` is the operator's next step, ``request_id`` finds it in the log."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    next: str
    request_id: str


class Refusal(Exception):
    """A request that HTTP itself refuses: an error of the tree under a status of its own.

    Raised and caught inside this room only; callers see the problem.
    """

    def __init__(self, status: int, error: AlmenaraError, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.error = error
        self.headers = dict(headers or {})


def status_of(kind: type[AlmenaraError]) -> int:
    """Return the HTTP status of a class of error: its own, or its nearest ancestor's."""
    return next(STATUS[ancestor] for ancestor in kind.__mro__ if ancestor in STATUS)


def problem_of(error: AlmenaraError, request_id: str, *, status: int | None = None) -> Problem:
    """Return what the caller is told about an error of the tree."""
    return _problem(
        error.code, status or status_of(type(error)), error.message, error.hint, request_id=request_id
    )


def internal_problem(request_id: str) -> Problem:
    """Return what the caller is told about a failure that nobody foresaw."""
    return _problem(
        INTERNAL,
        500,
        "the node could not complete the request",
        f"Try again. If it repeats, look in the node's log for {request_id}.",
        request_id=request_id,
    )


def _problem(code: str, status: int, detail: str, hint: str, *, request_id: str) -> Problem:
    return Problem(
        type=f"urn:almenara:problem:{code}",
        title=code.replace("-", " "),
        status=status,
        detail=detail,
        code=code,
        next=hint,
        request_id=request_id,
    )


def parse_problem(data: bytes) -> Problem | None:
    """Return the problem in an answer's bytes, or None if they are something else."""
    try:
        return msgspec.json.decode(data, type=Problem)
    except msgspec.DecodeError:
        return None
