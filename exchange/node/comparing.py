"""Comparing checkpoints: every one that this node meets must continue the others, or be continued.

They come from the coordinator, and by gossip: each statement says which checkpoint its signer has
seen. What is of one size must be equal; between two sizes the coordinator must prove that the larger
tree begins with the smaller one. A coordinator that shows different ledgers to different members
cannot do that, whichever of them asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import apsw

from exchange.node.context import NodeContext
from exchange.node.evidence import Exhibit, Finding, report
from exchange.node.witness import KEEP_FILE, forked, note_by
from exchange.stores.node_ledger import (
    GossipRow,
    HeadRow,
    WitnessRow,
    find_head,
    insert_head,
    list_gossip,
    newest_head,
    remove_gossip,
    remove_strange_gossip,
    save_witness,
)
from keys.note_keys import log_keys_of
from protocol.errors import FormatError
from protocol.ledger.checkpoint import Checkpoint, SignedCheckpoint, parse_checkpoint
from protocol.ledger.origins import Log
from protocol.session.messages import Compare, Compared
from protocol.tree import verify_consistency

MOST_PENDING = 64
"""How many checkpoints of the coordinator can wait to be compared."""
GOSSIP_ROUND = 16
QUESTIONS = 16
"""How much is asked at one look: the coordinator counts it, and notices must not wait for it."""


@dataclass(frozen=True, slots=True)
class _Pending:
    """A checkpoint that the log has signed and that was not yet compared."""

    log: Log
    checkpoint: Checkpoint
    note: bytes = field(repr=False)
    since_ms: int


async def load_heads(context: NodeContext) -> None:
    """Take up the newest verified checkpoints of the store, before anything is signed or compared."""

    def read(db: apsw.Connection) -> list[HeadRow]:
        heads = [newest_head(db, log) for log in Log]
        return [head for head in heads if head is not None]

    for head in await context.engine.read(read):
        context.heads.verified(Log(head.log), parse_checkpoint(head.note).checkpoint)


class Comparisons:
    """Compares checkpoints, and tells when two contradict each other.

    Args:
        context: The node, whose heads are kept here.
        unproven_ms: How long the coordinator may take to prove that two checkpoints fit.
    """

    def __init__(self, context: NodeContext, unproven_ms: int) -> None:
        self._context = context
        self._unproven_ms = unproven_ms
        self._pending: dict[tuple[Log, int, bytes], _Pending] = {}

    async def consider(self, log: Log, signed: SignedCheckpoint) -> bool:
        """Take a checkpoint that the log has signed; return whether it is verified against all before.

        One that is neither equal to a known one nor the first waits for :meth:`questions`.
        """
        context, checkpoint = self._context, signed.checkpoint
        note = note_by(signed, log_keys_of(context.directory.coordinator(context.coordinator).log, log))

        def work(db: apsw.Connection) -> HeadRow | None:
            known = find_head(db, log, checkpoint.size)
            if known is None and newest_head(db, log) is None:
                known = HeadRow(log, checkpoint.size, checkpoint.root, note)
                _take_up(db, known, context.clock.now_ms())
            return known

        if checkpoint.size == 0:
            # Every tree begins with the empty one.
            return True
        known = await context.engine.write(work)
        if known is None:
            self._wait(_Pending(log, checkpoint, note, context.clock.now_ms()))
            return False
        if known.root != checkpoint.root:
            await self._tell(_two_notes(log, known, checkpoint, note))
            return False
        context.heads.verified(log, checkpoint)
        return True

    async def questions(self, connected_since_ms: int) -> list[Compare]:
        """Return what to ask the coordinator now, and tell of what it has not proved in time."""
        asked: list[Compare] = []
        for log in Log:
            newest = await self._newest(log)
            if newest is None:
                continue
            asked += [_question(one, newest) for one in self._of(log)]
            asked += await self._gossip_questions(log, newest, connected_since_ms)
        await self._give_up(connected_since_ms)
        return list(dict.fromkeys(asked))[:QUESTIONS]

    async def compared(self, message: Compared) -> None:
        """Take the coordinator's proof, and judge by it whatever waits for it."""
        if message.new == 0:
            # It cannot say: what waits becomes an alarm when the time is up.
            return
        for one in self._of(message.log):
            if one.checkpoint.size in (message.old, message.new):
                await self._settle(one, message)
        await self._settle_gossip(message)

    def _wait(self, pending: _Pending) -> None:
        key = (pending.log, pending.checkpoint.size, pending.checkpoint.root)
        if len(self._pending) < MOST_PENDING:
            self._pending.setdefault(key, pending)

    def _of(self, log: Log) -> list[_Pending]:
        return [one for one in self._pending.values() if one.log is log]

    def _drop(self, one: _Pending) -> None:
        self._pending.pop((one.log, one.checkpoint.size, one.checkpoint.root), None)

    async def _settle(self, one: _Pending, message: Compared) -> None:
        size = one.checkpoint.size
        other_size = message.old if size == message.new else message.new
        other = await self._context.engine.read(lambda db: find_head(db, message.log, other_size))
        if other is None:
            return
        self._drop(one)
        if not _fits((size, one.checkpoint.root), (other.size, other.root), message.proof):
            await self._tell(_two_notes(message.log, other, one.checkpoint, one.note))
            return
        row, now_ms = HeadRow(message.log, size, one.checkpoint.root, one.note), self._context.clock.now_ms()
        await self._context.engine.write(lambda db: _take_up(db, row, now_ms))
        self._context.heads.verified(message.log, one.checkpoint)

    async def _gossip_questions(self, log: Log, newest: HeadRow, connected_since_ms: int) -> list[Compare]:
        """Settle what can be settled here, and return what to ask about the rest."""
        context, now_ms = self._context, self._context.clock.now_ms()
        entry = context.directory.coordinator(context.coordinator)
        origins = tuple(log_keys_of(entry.log, one)[0].name for one in Log)
        origin = log_keys_of(entry.log, log)[0].name
        late_ms = now_ms - self._unproven_ms
        if late_ms < connected_since_ms:
            late_ms = 0

        def work(db: apsw.Connection) -> list[Compare]:
            remove_strange_gossip(db, (origins[0], origins[1]))
            return [
                Compare(log=log, old=row.size, new=newest.size)
                for row in list_gossip(db, origin, GOSSIP_ROUND)
                if not self._judge_gossip(db, log, row, newest, late_ms, now_ms) and row.size < newest.size
            ]

        return await context.engine.write(work)

    def _judge_gossip(
        self, db: apsw.Connection, log: Log, row: GossipRow, newest: HeadRow, late_ms: int, now_ms: int
    ) -> bool:
        """Settle one row if it can be settled without asking; return whether it was."""
        known = find_head(db, log, row.size)
        if known is not None and known.root == row.root:
            remove_gossip(db, row)
            return True
        if known is not None:
            finding: Finding | None = _said(log, known, row, "names another root for the same size")
        elif row.at_ms >= late_ms:
            return False
        elif row.size > newest.size:
            finding = _behind(log, newest, row)
        else:
            why = "the coordinator does not prove to be a part of the one shown here"
            finding = _said(log, newest, row, why, "ledger-unproven")
        if finding is not None:
            report(db, self._context.state, finding, now_ms)
        remove_gossip(db, row)
        return True

    async def _settle_gossip(self, message: Compared) -> None:
        context, now_ms = self._context, self._context.clock.now_ms()
        origin = log_keys_of(context.directory.coordinator(context.coordinator).log, message.log)[0].name

        def work(db: apsw.Connection) -> None:
            other = find_head(db, message.log, message.new)
            for row in list_gossip(db, origin, GOSSIP_ROUND):
                if other is None or row.size != message.old:
                    continue
                if not _fits((row.size, row.root), (other.size, other.root), message.proof):
                    why = "is no part of the one shown here, by the coordinator's own proof"
                    report(db, context.state, _said(message.log, other, row, why), now_ms)
                remove_gossip(db, row)

        await context.engine.write(work)

    async def _give_up(self, connected_since_ms: int) -> None:
        """Tell of checkpoints that the coordinator, while connected, has not proved to fit in time."""
        late_ms = self._context.clock.now_ms() - self._unproven_ms
        late = [one for one in self._pending.values() if max(one.since_ms, connected_since_ms) < late_ms]
        for one in late:
            self._drop(one)
            newest = await self._newest(one.log)
            if newest is not None:
                await self._tell(_unproven(one, newest))

    async def _newest(self, log: Log) -> HeadRow | None:
        return await self._context.engine.read(lambda db: newest_head(db, log))

    async def _tell(self, finding: Finding) -> None:
        context, now_ms = self._context, self._context.clock.now_ms()
        await context.engine.write(lambda db: report(db, context.state, finding, now_ms))
        context.events.ring()


def _take_up(db: apsw.Connection, row: HeadRow, now_ms: int) -> None:
    """Remember a verified checkpoint; from now on this node also cosigns only what continues it.

    Otherwise one version could be compared here while another is cosigned.
    """
    insert_head(db, row)
    save_witness(db, WitnessRow(row.log, row.size, row.root, row.note, now_ms))


def _question(one: _Pending, newest: HeadRow) -> Compare:
    old, new = sorted((one.checkpoint.size, newest.size))
    return Compare(log=one.log, old=old, new=new)


def _fits(one: tuple[int, bytes], other: tuple[int, bytes], proof: Sequence[bytes]) -> bool:
    (old, old_root), (new, new_root) = sorted((one, other))
    try:
        verify_consistency(old, old_root, new, new_root, proof)
    except FormatError:
        return False
    return True


def _two_notes(log: Log, known: HeadRow, checkpoint: Checkpoint, note: bytes) -> Finding:
    exhibits = (
        Exhibit(f"a checkpoint that this node had verified: {known.size} leaves", known.note),
        Exhibit(f"a checkpoint that contradicts it: {checkpoint.size} leaves", note),
    )
    return forked(log, known.size, checkpoint, exhibits)


def _unproven(one: _Pending, newest: HeadRow) -> Finding:
    size = one.checkpoint.size
    return Finding(
        "ledger-unproven",
        f"{one.log}/{size}/{newest.size}",
        f"the coordinator does not prove that its {one.log} ledgers of {size} and of {newest.size} leaves "
        "are one",
        KEEP_FILE,
        (
            Exhibit(f"a checkpoint that this node had verified: {newest.size} leaves", newest.note),
            Exhibit(f"a checkpoint that it was shown: {size} leaves", one.note),
        ),
        event="ledger.unproven",
    )


def _said(log: Log, known: HeadRow, row: GossipRow, why: str, code: str = "ledger-forked") -> Finding:
    return Finding(
        code,
        f"{log}/{row.size}/{row.root.hex()[:16]}",
        f"{row.party} has signed that it saw a ledger ({log}) of {row.size} leaves which {why}: one of you "
        "is shown a false ledger, or it says what is not true",
        f"Call {row.party} on another channel and compare. {KEEP_FILE}",
        (
            Exhibit(f"the checkpoint that this node verified: {known.size} leaves", known.note),
            Exhibit(f"the signed statement of {row.party}", row.statement, is_text=False),
        ),
        event=code.replace("-", ".", 1),
        state=row.party,
    )


def _behind(log: Log, newest: HeadRow, row: GossipRow) -> Finding:
    return Finding(
        "ledger-behind",
        f"{log}/{row.size}",
        f"{row.party} has seen a ledger ({log}) of {row.size} leaves; the coordinator shows this node only "
        f"{newest.size}",
        f"Call {row.party} on another channel and compare; the coordinator may be hiding what is new.",
        (
            Exhibit(f"the newest checkpoint shown to this node: {newest.size} leaves", newest.note),
            Exhibit(f"the signed statement of {row.party}", row.statement, is_text=False),
        ),
        event="ledger.behind",
        state=row.party,
    )
