"""How the ledger stands, as this node has verified it: for people who watch it."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median_low

import apsw

from exchange.node.context import NodeContext
from exchange.node.views import AlarmView, LedgerView, LogView, WitnessView
from exchange.stores.node_ledger import (
    CheckpointRow,
    HeadRow,
    WitnessRow,
    count_promises,
    evidence_names,
    newest_checkpoint,
    newest_head,
    oldest_unwitnessed,
    read_witness,
    recent_delays,
)
from keys.note_keys import log_keys_of
from keys.quorum import quorum_of
from protocol.documents import StateStatus
from protocol.errors import AlmenaraError
from protocol.ledger.checkpoint import parse_checkpoint
from protocol.ledger.origins import Log

DELAYS = 100
UNWITNESSED_MS = 60_000
"""How long a statement may wait for a quorum before a person is told."""
PREFIXES = ("ledger-", "witness-", "promise-", "place-", "statement-", "evidence-", "withheld", "not-logged")
"""How the codes begin of alarms that are about evidence."""


@dataclass(frozen=True, slots=True)
class _Books:
    """What the store has, of one moment."""

    heads: dict[Log, HeadRow | None]
    checkpoints: dict[Log, CheckpointRow | None]
    witness: dict[Log, WitnessRow | None]
    promised: int
    unwitnessed: int
    delays: list[int]
    evidence: list[str]


class Standing:
    """Looks at the ledger of one node.

    Args:
        context: The node.
    """

    def __init__(self, context: NodeContext) -> None:
        self._context = context

    async def view(self, *, connected: bool, alarms: tuple[AlarmView, ...] = ()) -> LedgerView:
        """Return how the ledger stands now.

        Args:
            connected: Whether there is a session with the coordinator.
            alarms: All the node's alarms, of which those about evidence are shown.
        """
        books = await self._context.engine.read(_read)
        return LedgerView(
            coordinator=self._context.coordinator,
            connected=connected,
            now_ms=self._context.clock.now_ms(),
            logs=tuple(self._log(log, books) for log in Log),
            promised=books.promised,
            unwitnessed=books.unwitnessed,
            merge_delay_ms=median_low(books.delays) if books.delays else None,
            worst_merge_delay_ms=max(books.delays, default=None),
            evidence=tuple(books.evidence),
            alarms=tuple(one for one in alarms if one.code.startswith(PREFIXES)),
        )

    def _log(self, log: Log, books: _Books) -> LogView:
        directory, head, row = self._context.directory, books.heads[log], books.checkpoints[log]
        held = books.witness[log]
        quorum = quorum_of(directory, self._context.coordinator, log)
        cosigned = {} if row is None else self._cosigned(log, row)
        return LogView(
            log=log.value,
            origin=log_keys_of(directory.coordinator(self._context.coordinator).log, log)[0].name,
            size=0 if head is None else head.size,
            root="" if head is None else head.root.hex(),
            witnessed_size=None if row is None else row.size,
            witnessed_ms=None if row is None else row.witnessed_ms,
            cosigned_here=0 if held is None else held.size,
            needed=quorum.needed,
            witnesses=tuple(
                WitnessView(state=entry.code, cosigned_ms=cosigned.get(entry.code))
                for entry in directory.states()
                if entry.status is StateStatus.ACTIVE
            ),
        )

    def _cosigned(self, log: Log, row: CheckpointRow) -> dict[str, int]:
        """Return who cosigned a stored checkpoint, by the documents of today."""
        quorum = quorum_of(self._context.directory, self._context.coordinator, log)
        try:
            found = quorum.cosigned(parse_checkpoint(row.note))
        except AlmenaraError:
            return {}
        return {state: seconds * 1000 for state, seconds in found.items()}


def waiting_for_witnesses(db: apsw.Connection, now_ms: int) -> AlarmView | None:
    """Return what is said while statements wait too long for a quorum of witnesses."""
    oldest_ms = oldest_unwitnessed(db)
    if oldest_ms is None or now_ms - oldest_ms <= UNWITNESSED_MS:
        return None
    _, unwitnessed = count_promises(db)
    return AlarmView(
        code="witness-pending",
        message=f"too few witnesses have cosigned the ledger; waiting for them: {unwitnessed} of what was "
        "said",
        next="Notices go on. See which nodes are silent with: almenara ledger watch --once --data DIR "
        "--token-file TOKEN; and call them",
        since_ms=oldest_ms,
    )


def _read(db: apsw.Connection) -> _Books:
    promised, unwitnessed = count_promises(db)
    return _Books(
        heads={log: newest_head(db, log) for log in Log},
        checkpoints={log: newest_checkpoint(db, log) for log in Log},
        witness={log: read_witness(db, log) for log in Log},
        promised=promised,
        unwitnessed=unwitnessed,
        delays=recent_delays(db, DELAYS),
        evidence=evidence_names(db),
    )
