"""Places: where this node's statements stand in the log, proved under checkpoints that a quorum cosigned.

A leaf is recomputed from the statement in this node's own store, never taken from an answer, and its
path must lead to a root that log and quorum have signed. Whatever does not verify is not stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import apsw
import structlog

from exchange.node.context import NodeContext
from exchange.node.evidence import Exhibit, Finding, report
from exchange.node.witness import note_by
from exchange.stores.node_books import clear_alarm
from exchange.stores.node_ledger import (
    CheckpointRow,
    PlaceRow,
    PromiseRow,
    count_documents,
    find_promise,
    insert_place,
    list_promises,
    mark_logged,
    save_checkpoint,
)
from exchange.stores.node_statements import StatementRow, find_statement
from keys.quorum import Quorum, quorum_of
from protocol.errors import FormatError, TrustError
from protocol.ledger.checkpoint import SignedCheckpoint, parse_checkpoint
from protocol.ledger.leaf import statement_leaf
from protocol.ledger.origins import Log
from protocol.session.messages import MAX_LOCATE, Located, Place
from protocol.tree import leaf_hash, root_from_path

NOT_LOGGED = "not-logged"
BROKEN = "promise-broken"
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Seal:
    """A checkpoint that the log has signed, and who cosigned it.

    ``witnessed_ms`` is None while that is no quorum.
    """

    log: Log
    signed: SignedCheckpoint = field(repr=False)
    cosigned: Mapping[str, int]
    quorum: Quorum = field(repr=False)
    witnessed_ms: int | None

    @property
    def note(self) -> bytes:
        """The checkpoint with those signatures alone that were verified: others could be of any size."""
        pairs = (self.quorum.log, *(self.quorum.witnesses[state] for state in self.cosigned))
        return note_by(self.signed, [key for pair in pairs for key in pair])


def seal_of(context: NodeContext, log: Log, data: bytes) -> Seal:
    """Return who has signed a checkpoint of this node's coordinator.

    Raises:
        FormatError: it is no checkpoint.
        TrustError: the log has not signed it, or a witness's signature is false.
        UnknownState: the directory lists no such coordinator.
    """
    signed = parse_checkpoint(data)
    quorum = quorum_of(context.directory, context.coordinator, log)
    quorum.require_log(signed)
    cosigned = quorum.cosigned(signed)
    seconds = quorum.time_of(cosigned)
    return Seal(log, signed, cosigned, quorum, None if seconds is None else seconds * 1000)


def store_seal(db: apsw.Connection, seal: Seal) -> None:
    """Store a quorum's checkpoint; anything less is left out."""
    if seal.witnessed_ms is None:
        return
    size = seal.signed.checkpoint.size
    save_checkpoint(db, CheckpointRow(seal.log, size, seal.note, seal.witnessed_ms, count_documents(db)))


class Places:
    """Learns where recorded statements stand.

    Args:
        context: The node.
    """

    def __init__(self, context: NodeContext) -> None:
        self._context = context

    async def awaited(self, after: bytes = b"", *, unlogged: bool = False) -> tuple[bytes, ...]:
        """Return up to 64 statements whose place is not known, from behind one of them on.

        Args:
            after: The last one that was asked for.
            unlogged: Only those that were not yet seen in the log under any checkpoint.
        """

        def read(db: apsw.Connection) -> list[PromiseRow]:
            return list_promises(db, MAX_LOCATE, after, unlogged=unlogged)

        rows = await self._context.engine.read(read)
        return tuple(row.statement for row in rows)

    async def located(self, seal: Seal, message: Located) -> None:
        """Verify and store places under one checkpoint; those that do not verify become an alarm.

        When this returns, what it stored is durable.
        """
        context, now_ms = self._context, self._context.clock.now_ms()

        def work(db: apsw.Connection) -> None:
            if message.places:
                store_seal(db, seal)
            for place in message.places:
                self._take(db, seal, place, now_ms)

        await context.engine.write(work)
        if message.places:
            context.events.ring()

    def _take(self, db: apsw.Connection, seal: Seal, place: Place, now_ms: int) -> None:
        promise, row = find_promise(db, place.statement), find_statement(db, place.statement)
        if promise is None or row is None:
            # Located before, under another checkpoint.
            return
        try:
            _require_place(seal, place, row)
        except (FormatError, TrustError) as error:
            _log.warning("place.refused", code=error.code)
            report(db, self._context.state, _false_place(seal, place, row), now_ms)
            return
        for code in (NOT_LOGGED, BROKEN):
            clear_alarm(db, code, place.statement.hex())
        mark_logged(db, place.statement, now_ms)
        if seal.witnessed_ms is None:
            return
        logged_ms = now_ms if promise.logged_ms is None else promise.logged_ms
        insert_place(
            db,
            PlaceRow(
                statement=place.statement,
                index=place.index,
                at_ms=place.at_ms,
                path=place.path,
                size=seal.signed.checkpoint.size,
                delay_ms=max(logged_ms - promise.since_ms, 0),
            ),
        )


def _require_place(seal: Seal, place: Place, row: StatementRow) -> None:
    """Return only if the statement in our own store is the leaf that the proof is for."""
    leaf = leaf_hash(statement_leaf(row.kind, place.at_ms, row.body).encode())
    checkpoint = seal.signed.checkpoint
    if root_from_path(leaf, place.index, checkpoint.size, place.path) != checkpoint.root:
        raise TrustError("the path does not lead from the statement to the checkpoint's root")


def _false_place(seal: Seal, place: Place, row: StatementRow) -> Finding:
    return Finding(
        "place-refused",
        place.statement.hex(),
        f"the coordinator's proof that {row.kind.name} of {row.party} is leaf {place.index} of its ledger is "
        "false",
        "Notices go on; the statement counts as not witnessed. Ask the coordinator's operator; if it "
        "repeats, tell the secretariat.",
        (
            Exhibit(f"the signed statement of {row.party}", row.body, is_text=False),
            Exhibit("the checkpoint that it was said to stand under", seal.note),
        ),
        event="ledger.place-refused",
        envelope=row.envelope,
        state=row.party,
    )
