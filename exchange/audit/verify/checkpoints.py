"""Checkpoints: whose they are, who cosigned them, and that their roots are those of the leaves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from exchange.audit.verdict import CheckpointView, WitnessView
from exchange.audit.verify.clock import Witnessed
from exchange.audit.verify.parts import Parts
from exchange.audit.verify.record import Place, Record
from exchange.audit.verify.tree import StoredTree
from keys.quorum import Quorum
from protocol.errors import AlmenaraError, FormatError
from protocol.ledger.bundle import Sort as PartSort
from protocol.ledger.bundle import checkpoint_name, milestone_name, place_of
from protocol.ledger.checkpoint import SignedCheckpoint, parse_checkpoint
from protocol.ledger.cosignature import split_timestamped
from protocol.ledger.note import SignatureType
from protocol.ledger.origins import Log

CHECK_OF = {Log.ACK: "checkpoint", Log.DIRECTORY: "directory-checkpoint"}


class Judged(NamedTuple):
    """A checkpoint of this log, and which states had cosigned it when, seconds UTC."""

    quorum: Quorum
    cosigned: dict[str, int]

    @property
    def seconds(self) -> int | None:
        """The time by which a quorum had cosigned it, or None."""
        return self.quorum.time_of(self.cosigned)


def read_checkpoint(parts: Parts, log: Log, size: int, record: Record) -> SignedCheckpoint | None:
    """Return a log's checkpoint; None, after recording why, if it is none of the size that is listed."""
    name = checkpoint_name(log)
    data = parts.read(name)
    if data is None:
        record.failed(
            CHECK_OF[log], "no-checkpoint", "there is no checkpoint to prove anything to", Place(name)
        )
        return None
    try:
        signed = parse_checkpoint(data)
    except FormatError as error:
        record.failed(CHECK_OF[log], "checkpoint", error.message, Place(name))
        return None
    if signed.checkpoint.size != size:
        sentence = f"the checkpoint is of {signed.checkpoint.size} leaves, the bundle's list of {size}"
        record.failed(CHECK_OF[log], "checkpoint", sentence, Place(name))
        return None
    return signed


def judge(signed: SignedCheckpoint, quorums: Sequence[Quorum]) -> Judged:
    """Return who cosigned, by the first of these rules under which a quorum did, or by the first.

    Args:
        signed: The checkpoint.
        quorums: The rules at its place, then later ones: a witness may have joined since.

    Raises:
        UnknownSigner, BadSignature: it is another log's, or a signature is missing or wrong.
    """
    first: Judged | None = None
    refused: AlmenaraError | None = None
    for quorum in quorums:
        try:
            quorum.require_log(signed)
            judged = Judged(quorum, quorum.cosigned(signed))
        except AlmenaraError as error:
            refused = refused or error
            continue
        if judged.seconds is not None:
            return judged
        first = first or judged
    if first is None:
        raise refused or FormatError("the documents do not say who must sign this checkpoint")
    return first


def judge_newest(
    signed: SignedCheckpoint, log: Log, quorums: Sequence[Quorum], tree: StoredTree, record: Record
) -> Judged | None:
    """Judge a log's newest checkpoint, and compare its root with the leaves."""
    place = Place(checkpoint_name(log))
    if tree.size != signed.checkpoint.size or tree.root(tree.size) != signed.checkpoint.root:
        sentence = "the leaves of the bundle do not give the root that this checkpoint signs"
        record.failed("roots", "root-differs", sentence, place)
    else:
        record.passed("roots")
    try:
        judged = judge(signed, quorums)
    except AlmenaraError as error:
        record.failed(CHECK_OF[log], "bad-checkpoint", error.message, place)
        return None
    if judged.seconds is None:
        sentence = (
            f"only {len(judged.cosigned)} of {len(judged.quorum.witnesses)} witnesses cosigned this "
            f"checkpoint, and {judged.quorum.needed} are needed: others could be shown something else"
        )
        record.failed(CHECK_OF[log], "no-quorum", sentence, place)
    else:
        record.passed(CHECK_OF[log])
    return judged


class Milestones:
    """The earlier witnessed checkpoints, judged one after another along the ledger.

    Args:
        parts: The bundle's files.
        tree: The ledger's leaves so far.
        record: Where what is wrong is recorded.
    """

    def __init__(self, parts: Parts, tree: StoredTree, record: Record) -> None:
        self._parts = parts
        self._tree = tree
        self._record = record
        self._sizes = sorted(
            place.number
            for name in parts.listing.parts
            if (place := place_of(name)).sort is PartSort.MILESTONE
        )
        self._at = 0
        self.witnessed: list[Witnessed] = []

    def up_to(self, size: int, quorums: Sequence[Quorum]) -> list[Witnessed]:
        """Judge those of at most this size that were not judged yet; return those with a quorum."""
        found: list[Witnessed] = []
        while self._at < len(self._sizes) and self._sizes[self._at] <= size:
            milestone = self._judge(self._sizes[self._at], quorums)
            self._at += 1
            if milestone is not None:
                found.append(milestone)
        self.witnessed += found
        return found

    @property
    def next_size(self) -> int | None:
        """The size of the next one to judge."""
        return self._sizes[self._at] if self._at < len(self._sizes) else None

    def _judge(self, size: int, quorums: Sequence[Quorum]) -> Witnessed | None:
        name = milestone_name(size)
        data = self._parts.read(name)
        if data is None:
            self._record.left_out("milestones")
            return None
        try:
            signed = parse_checkpoint(data)
            if signed.checkpoint.size != size:
                raise FormatError("the checkpoint is of another size than its name")
            if signed.checkpoint.root != self._tree.root(size):
                sentence = f"the first {size} leaves do not give the root that was witnessed then"
                self._record.failed("milestones", "root-differs", sentence, Place(name))
                return None
            judged = judge(signed, quorums)
        except AlmenaraError as error:
            self._record.failed("milestones", "bad-checkpoint", error.message, Place(name))
            return None
        if judged.seconds is None:
            sentence = f"the checkpoint of {size} leaves has no quorum: it is not used as a clock"
            self._record.unchecked("milestones", "not-witnessed", sentence, Place(name))
            return None
        self._record.passed("milestones")
        return Witnessed(size, judged.seconds * 1000)


def view(log: Log, signed: SignedCheckpoint, judged: Judged, names: dict[str, str]) -> CheckpointView:
    """Return what an auditor is shown of a checkpoint; ``names`` are the states' by their codes."""
    return CheckpointView(
        log=log.value,
        origin=signed.checkpoint.origin,
        size=signed.checkpoint.size,
        root=signed.checkpoint.root.hex(),
        signed_ms=_signed_ms(signed, judged.quorum),
        needed=judged.quorum.needed,
        witnesses=tuple(
            WitnessView(state, names.get(state, state), seconds * 1000)
            for state, seconds in sorted(judged.cosigned.items())
        ),
        quorum_ms=None if judged.seconds is None else judged.seconds * 1000,
    )


def _signed_ms(signed: SignedCheckpoint, quorum: Quorum) -> int | None:
    """Return the time that the log's own ML-DSA-44 signature states; it was verified by then."""
    for signature in signed.note.signatures:
        for key in quorum.log:
            if key.type is SignatureType.MLDSA44 and signature.is_by(key):
                return split_timestamped(signature.signature, key.type).seconds * 1000
    return None
