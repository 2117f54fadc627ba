"""The witness: this node cosigns the coordinator's checkpoints, and never two that contradict.

What was cosigned last is compared and replaced in one transaction, which is durable before the
answer leaves: no crash, no two requests at once and no restored copy of the answer can make this
node go back. Source: C2SP tlog-witness, section "add-checkpoint".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import apsw
import structlog

from exchange.node.context import NodeContext
from exchange.node.evidence import Exhibit, Finding, report
from exchange.node.restored import find_out, take_note
from exchange.stores.node_ledger import HeadRow, WitnessRow, insert_head, read_witness, save_witness
from keys.cosigning import NOTHING_YET, Answer, Witnessed, answer_checkpoint
from keys.note_keys import log_keys_of, witness_keys_of
from keys.quorum import KeyPair
from protocol.errors import FormatError, UnknownSigner
from protocol.ledger.checkpoint import Checkpoint, SignedCheckpoint, sign_with
from protocol.ledger.note import VerifierKey
from protocol.ledger.origins import Log
from protocol.ledger.witness import WitnessStatus, parse_add_checkpoint
from protocol.session.messages import Cosigned
from protocol.session.messages import Witness as Request

KEEP_FILE = (
    "Notices go on. Tell the secretariat and two other members on another channel, and compare what "
    "their nodes show with: almenara ledger watch --once --data DIR --token-file TOKEN"
)
CONTRADICTING = frozenset({WitnessStatus.CONFLICT, WitnessStatus.INCONSISTENT})
"""Answers that show the coordinator what this node has cosigned, for it may have lost or forked it."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of one request: the answer to send, and a checkpoint that is now verified, if one is."""

    answer: Cosigned
    verified: Checkpoint | None


class Witness:
    """Answers requests for cosignatures, one at a time and durably.

    Args:
        context: The node.
    """

    def __init__(self, context: NodeContext) -> None:
        self._context = context

    async def answer(self, request: Request) -> Judged:
        """Judge one request; when this returns, what it cosigned is durable.

        Raises:
            UnknownState: the directory lists no such coordinator.
            UnknownSigner: this state's manifest is not in force, so that nobody knows this witness.
            NodeRestored: the store is an older copy, so that nobody may rely on what it remembers.
            StoreFailed, OutcomeUnknown: nothing may be answered.
        """
        context = self._context
        context.restored.require_own_word()
        keys = self._log_keys(request.log)
        name, now_ms = self._name(), context.clock.now_ms()

        def work(db: apsw.Connection) -> tuple[Answer, bytes | None]:
            answer = self._judge(db, request, keys, name, now_ms)
            row = read_witness(db, request.log) if answer.status in CONTRADICTING else None
            return answer, None if row is None else row.note

        judged, held = await context.engine.write(work)
        if judged.status is not WitnessStatus.OK:
            _log.warning("witness.refused", log=request.log.value, status=int(judged.status))
            context.events.ring()
        verified = judged.signed.checkpoint if judged.held is not None and judged.signed is not None else None
        answer = Cosigned(log=request.log, status=judged.status, body=judged.body, held=held)
        return Judged(answer, verified)

    async def follow(self, log: Log, signed: SignedCheckpoint) -> None:
        """Take up a verified checkpoint of a quorum that is larger than what was cosigned here.

        From then on this node cosigns only what continues it: a store that is new, or an older copy,
        begins where the other witnesses stand.
        """
        now_ms, checkpoint = self._context.clock.now_ms(), signed.checkpoint
        note = note_by(signed, self._log_keys(log))
        row = WitnessRow(log, checkpoint.size, checkpoint.root, note, now_ms)
        await self._context.engine.write(lambda db: save_witness(db, row))

    async def adopt(self, log: Log, signed: SignedCheckpoint) -> bool:
        """Take up a checkpoint that bears this node's own cosignature and that its store does not know.

        The store is an older copy then: what this node has promised since stands in the checkpoint.

        Returns:
            Whether there was something to take up.
        """
        context, now_ms = self._context, self._context.clock.now_ms()
        checkpoint, keys = signed.checkpoint, self._log_keys(log)
        note, own = note_by(signed, keys), note_by(signed, (*keys, *self._own_keys()))

        def work(db: apsw.Connection) -> bool:
            held = read_witness(db, log)
            if held is not None and held.size >= checkpoint.size:
                return False
            save_witness(db, WitnessRow(log, checkpoint.size, checkpoint.root, note, now_ms))
            exhibits = (Exhibit("the checkpoint that this node has cosigned, with its signatures", own),)
            finding = _rolled_back(log, 0 if held is None else held.size, checkpoint.size, exhibits)
            report(db, context.state, finding, now_ms)
            find_out(db, context.state, "this node has cosigned what it does not remember", now_ms)
            return True

        adopted = await context.engine.write(work)
        if adopted:
            take_note(context.restored, now_ms)
        return adopted

    def _log_keys(self, log: Log) -> KeyPair:
        return log_keys_of(self._context.directory.coordinator(self._context.coordinator).log, log)

    def _own_keys(self) -> KeyPair:
        manifest = self._context.directory.documents.manifest(self._context.state)
        if manifest is None:
            raise UnknownSigner(f"the manifest of {self._context.state} is not in force")
        return witness_keys_of(manifest.witness)

    def _name(self) -> str:
        return self._own_keys()[0].name

    def _judge(self, db: apsw.Connection, request: Request, keys: KeyPair, name: str, now_ms: int) -> Answer:
        """Compare, decide and store in one transaction; what it signs leaves only once that is durable."""
        row = read_witness(db, request.log)
        held = NOTHING_YET if row is None else Witnessed(row.size, row.root)
        answer = answer_checkpoint(
            request.body, held, keys, self._context.witness, name, max(now_ms // 1000, 1)
        )
        if answer.held is not None and answer.signed is not None:
            self._keep(db, request.log, answer.signed, keys, now_ms)
            return answer
        finding = self._finding(request, answer, row, keys)
        if finding is not None:
            report(db, self._context.state, finding, now_ms)
        return answer

    def _keep(
        self, db: apsw.Connection, log: Log, signed: SignedCheckpoint, keys: KeyPair, now_ms: int
    ) -> None:
        checkpoint, note = signed.checkpoint, note_by(signed, keys)
        kept = save_witness(db, WitnessRow(log, checkpoint.size, checkpoint.root, note, now_ms))
        if not kept:
            # The judgement above has excluded this; a second look costs nothing and is the last one.
            raise AssertionError("a witness never goes back")
        insert_head(db, HeadRow(log, checkpoint.size, checkpoint.root, note))

    def _finding(
        self, request: Request, answer: Answer, row: WitnessRow | None, keys: KeyPair
    ) -> Finding | None:
        """Return what a person must know about a request that was not granted."""
        if answer.signed is None:
            return _unsigned(request.log, answer.status)
        shown = answer.signed.checkpoint
        if row is None:
            return None
        exhibits = (
            Exhibit(f"the checkpoint that this node cosigned: {row.size} leaves", row.note),
            Exhibit(
                f"the checkpoint that it was shown afterwards: {shown.size} leaves",
                note_by(answer.signed, keys),
            ),
        )
        differs = shown.size == row.size and shown.root != row.root
        if answer.status is WitnessStatus.INCONSISTENT or differs:
            return forked(request.log, row.size, shown, exhibits)
        if shown.size < row.size:
            return Finding(
                "ledger-shrunk",
                f"{request.log}/{row.size}",
                f"the coordinator shows a ledger ({request.log}) of {shown.size} leaves, and this node has "
                f"cosigned {row.size}: it was restored from an old copy, or hides what came after",
                KEEP_FILE,
                exhibits,
                event="ledger.shrunk",
            )
        if _old_size(request.body) > row.size:
            return _rolled_back(request.log, row.size, _old_size(request.body), exhibits)
        return None


def forked(log: Log, size: int, shown: Checkpoint, exhibits: tuple[Exhibit, ...]) -> Finding:
    """Return what a person must know when a log has two versions.

    Args:
        log: Which log.
        size: The size of the checkpoint that was verified before.
        shown: The one that does not fit to it.
        exhibits: Both, as they were signed.
    """
    return Finding(
        "ledger-forked",
        f"{log}/{size}/{shown.size}/{shown.root.hex()[:16]}",
        f"the coordinator's {log} ledger has two versions: the one of {shown.size} leaves and the one of "
        f"{size} leaves that this node verified cannot both be true",
        KEEP_FILE,
        exhibits,
        event="ledger.forked",
    )


def note_by(signed: SignedCheckpoint, keys: Sequence[VerifierKey]) -> bytes:
    """Return a checkpoint with the signature lines of these keys alone, as a note."""
    names = {(key.name, key.key_id) for key in keys}
    kept = [one for one in signed.note.signatures if (one.name, one.key_id) in names]
    return sign_with(signed.checkpoint, kept).data


def note_unsigned(db: apsw.Connection, state: str, log: Log, now_ms: int) -> None:
    """Tell of a checkpoint that the log has not signed, wherever it came from."""
    report(db, state, _unsigned(log, WitnessStatus.FORBIDDEN), now_ms)


def _unsigned(log: Log, status: WitnessStatus) -> Finding:
    why = {
        WitnessStatus.MALFORMED: "is not well formed",
        WitnessStatus.UNKNOWN: "is of another log than the directory names",
    }.get(status, "is not signed with the keys that the directory gives its log")
    return Finding(
        "ledger-unsigned",
        f"{log}/{int(status)}",
        f"the coordinator shows a checkpoint of its {log} ledger that {why}",
        "Notices go on; nothing of it counts as evidence. Ask the coordinator's operator whether the log's "
        "keys were changed, and whether the directory names the new ones.",
        event="ledger.unsigned",
    )


def _rolled_back(log: Log, held: int, size: int, exhibits: tuple[Exhibit, ...]) -> Finding:
    return Finding(
        "witness-rolled-back",
        f"{log}/{size}",
        f"this node has cosigned {size} leaves of the {log} ledger and remembers "
        f"{held}: its store is an older copy",
        "If this node's data directory was restored from a backup, say so to the secretariat. If not, the "
        "coordinator claims what is not true: compare with other members.",
        exhibits,
        event="ledger.rolled-back",
    )


def _old_size(body: bytes) -> int:
    try:
        return parse_add_checkpoint(body).old
    except FormatError:
        return 0
