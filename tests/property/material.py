"""Two genuine envelopes of XAA to XBB and XCC, and XBB's statements: what the properties change.

Reading does all that a party does before it believes or opens anything.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec

from keys.authenticity import verify_delivery, verify_submission
from keys.evidence import verify_statement
from keys.sealing import OpenedNotice, PairPosition, SealFor, seal
from keys.signer import Signer
from protocol.documents import Role
from protocol.envelope import Submission, deliver, parse_delivery
from protocol.errors import (
    AlmenaraError,
)
from protocol.notice import parse_manifest
from protocol.signed import Context, Proof
from protocol.statement import Statement, StatementKind
from tests.openings import open_delivery
from tests.vectors import examples
from tests.vectors.world import (
    NOW_MS,
    VERIFIER,
    body,
    directory,
    fixed,
    header,
    packed,
    prekey,
    secret,
)

NODE = {code: Signer(secret(code, "node"), Role.NODE) for code in ("XAA", "XBB", "XCC")}
FIRST = PairPosition(sequence=1, previous=bytes(32))
FLIP = 0x55


@lru_cache
def submission(name: str) -> Submission:
    """Return a genuine envelope; its content differs with its name."""
    head = header("XBB", "XCC", nonce=fixed(name, 16))
    to = [SealFor(state=code, prekey=prekey(code).public, position=FIRST) for code in ("XBB", "XCC")]
    return seal(head, body(subject=f"about {name}"), to, NODE["XAA"]).submission


@lru_cache
def delivery(name: str, number: int = 0) -> bytes:
    return packed(deliver(submission(name), number))


@lru_cache
def said(kind: StatementKind = StatementKind.ACCEPTED) -> bytes:
    made = {
        StatementKind.ACCEPTED: (examples.accepted(), "officer"),
        StatementKind.RECEIVED: (examples.received(), "node"),
    }[kind]
    return packed(examples.signed(*made))


def read(data: bytes, me: str = "XBB") -> OpenedNotice | None:
    """Do all that a recipient does; None if it refuses."""
    try:
        found = verify_delivery(directory(), VERIFIER, data, me, NOW_MS)
        return open_delivery(found.delivery, found.manifest, found.header, prekey(me))
    except AlmenaraError:
        return None


def relayed(data: bytes, by: str = "XAA") -> bool:
    """Do all that a coordinator does; whether it would relay."""
    try:
        verify_submission(directory(), VERIFIER, data, by, NOW_MS)
    except AlmenaraError:
        return False
    return True


def believed(data: bytes) -> Statement | None:
    """Do all that a reader of statements does; None if it refuses."""
    try:
        return verify_statement(directory(), VERIFIER, data, NOW_MS + 2000)
    except AlmenaraError:
        return None


def flipped(data: bytes, place: int, by: int = FLIP) -> bytes:
    changed = bytearray(data)
    changed[place] ^= by
    return bytes(changed)


def resigned(manifest: bytes, signer: Signer) -> Proof:
    return signer.sign(Context.NOTICE, manifest)


def with_header(manifest: bytes, **changes: Any) -> bytes:
    """Return a manifest whose header says something else."""
    parsed, head = parse_manifest(manifest)
    return packed(msgspec.structs.replace(parsed, header=packed(msgspec.structs.replace(head, **changes))))


def opened_blindly(data: bytes, me: str) -> None:
    """Open without asking for any signature: what encryption alone holds back."""
    found, sealed = parse_delivery(data)
    open_delivery(found, sealed.manifest, sealed.header, prekey(me))
