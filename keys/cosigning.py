"""The witness's judgement: is this checkpoint the continuation of what was cosigned before?

The order of checks and the status codes are those of C2SP tlog-witness, section "add-checkpoint".
Nothing is stored here: whoever calls makes the new state durable *before* the answer leaves, in one
step with the comparison of the old one.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from keys.note_keys import NoteSecret
from keys.quorum import KeyPair, Quorum
from protocol import tree
from protocol.errors import FormatError, TrustError
from protocol.ledger.checkpoint import Checkpoint, SignedCheckpoint, parse_checkpoint
from protocol.ledger.witness import AddCheckpoint, WitnessStatus, format_size, parse_add_checkpoint

EMPTY_ROOT = hashlib.sha256(b"").digest()


@dataclass(frozen=True, slots=True)
class Witnessed:
    """The newest checkpoint of one log that this witness has cosigned: 0 and the empty root before any."""

    size: int
    root: bytes


NOTHING_YET = Witnessed(0, EMPTY_ROOT)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a witness answers.

    Attributes:
        status: The status code of C2SP tlog-witness.
        body: Cosignature lines for 200, the size held for 409, else nothing.
        held: What must be durable before ``body`` leaves; None if nothing changes.
        signed: The checkpoint, once the log's signatures over it have been verified; else None. With
            a status other than 200, it may prove that the log has forked.
    """

    status: WitnessStatus
    body: bytes = b""
    held: Witnessed | None = None
    signed: SignedCheckpoint | None = None


def answer_checkpoint(
    body: bytes, held: Witnessed, log: KeyPair, secret: NoteSecret, name: str, seconds: int
) -> Answer:
    """Judge one ``add-checkpoint`` request, and cosign if everything fits.

    Args:
        body: The request exactly as received.
        held: What this witness cosigned last for this log.
        log: The log's keys, from the trusted directory.
        secret: The witness's keys.
        name: The witness's name, as its manifest gives it.
        seconds: The time now, whole seconds UTC (POSIX).
    """
    try:
        asked = parse_add_checkpoint(body)
        signed = parse_checkpoint(asked.checkpoint)
    except FormatError:
        return Answer(WitnessStatus.MALFORMED)
    if signed.checkpoint.origin != log[0].name:
        return Answer(WitnessStatus.UNKNOWN)
    try:
        Quorum(log, {}, 1).require_log(signed)
    except TrustError:
        return Answer(WitnessStatus.FORBIDDEN)
    checkpoint = signed.checkpoint
    if asked.old > checkpoint.size:
        return Answer(WitnessStatus.MALFORMED, signed=signed)
    if asked.old != held.size:
        return Answer(WitnessStatus.CONFLICT, format_size(held.size), signed=signed)
    if not _continues(held, asked, checkpoint):
        return Answer(WitnessStatus.INCONSISTENT, signed=signed)
    lines = "".join(one.line for one in secret.cosign(checkpoint, name, seconds))
    return Answer(
        WitnessStatus.OK,
        lines.encode(),
        held=Witnessed(checkpoint.size, checkpoint.root),
        signed=signed,
    )


def _continues(held: Witnessed, asked: AddCheckpoint, checkpoint: Checkpoint) -> bool:
    if checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT:
        return False
    if held.size == 0:
        return not asked.proof
    try:
        tree.verify_consistency(held.size, held.root, checkpoint.size, checkpoint.root, asked.proof)
    except FormatError:
        return False
    return True
