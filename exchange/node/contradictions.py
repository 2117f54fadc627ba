"""Statements that cannot all be true: each such pair is evidence, whoever of the signers lied.

Two statements of one key under one number, or that name different predecessors, show a key used on
two machines or a history that was rewritten. Two that say opposite things of one delivery show that
a signer, or whoever passed them on, is not to be believed.
"""

from __future__ import annotations

from collections.abc import Sequence

import apsw

from exchange.node.evidence import Exhibit, Finding
from exchange.stores.node_ledger import GossipRow, signed_between
from exchange.stores.node_notices import DeliveryRow
from exchange.stores.node_statements import StatementRow, find_statement, list_statements
from protocol.delivery import contradicts
from protocol.statement import Statement

NEAR = 64
"""How far two numbers of one key may lie apart and still be looked up together."""

_NEXT = (
    "Notices go on. Call {party} on another channel and ask which of them it signed; keep the evidence for "
    "the secretariat."
)


class Signed:
    """What keys are known to have signed under the numbers next to those of some statements.

    Args:
        db: The running transaction.
        statements: Those that will be judged.
    """

    def __init__(self, db: apsw.Connection, statements: Sequence[Statement]) -> None:
        self._known: dict[bytes, dict[int, tuple[bytes, bytes]]] = {}
        numbers: dict[bytes, list[int]] = {}
        for one in statements:
            numbers.setdefault(one.key_id, []).append(one.sequence)
        for key_id, found in numbers.items():
            self._known[key_id] = {}
            for first, last in _near(sorted(found)):
                self._known[key_id] |= signed_between(db, key_id, first - 1, last + 1)

    def at(self, key_id: bytes, sequence: int) -> tuple[bytes, bytes] | None:
        """Return the statement that a key signed under a number, and the one it names before it."""
        return self._known[key_id].get(sequence)

    def add(self, statement: Statement, name: bytes) -> None:
        """Remember one more; what is there already stays."""
        self._known[statement.key_id].setdefault(statement.sequence, (name, statement.previous))


def _near(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Return stretches of sorted numbers without wide gaps: a key may name any number at all."""
    stretches: list[tuple[int, int]] = []
    for number in numbers:
        if stretches and number - stretches[-1][1] <= NEAR:
            stretches[-1] = stretches[-1][0], number
        else:
            stretches.append((number, number))
    return stretches


def gossip_of(statement: Statement, data: bytes, now_ms: int) -> GossipRow | None:
    """Return the checkpoint that a statement's signer has seen, to be compared with our own."""
    seen = statement.seen
    if seen is None or seen.size == 0:
        return None
    return GossipRow(seen.origin, seen.size, seen.root, statement.party, data, now_ms)


def chain_findings(
    db: apsw.Connection, name: bytes, statement: Statement, data: bytes, signed: Signed
) -> list[Finding]:
    """Return what is wrong with a statement's place in its key's chain.

    Args:
        db: The running transaction.
        name: The statement's id.
        statement: What it says; it is news.
        data: The signed statement, as received.
        signed: What its key signed before.
    """
    key, number = statement.key_id, statement.sequence
    here, before, after = signed.at(key, number), signed.at(key, number - 1), signed.at(key, number + 1)
    other = None
    if here is not None and here[0] != name:
        other = here[0]
    elif before is not None and before[0] != statement.previous:
        other = before[0]
    elif after is not None and after[1] != name:
        other = after[0]
    if other is None:
        return []
    return [
        Finding(
            "statement-forked",
            f"{key.hex()[:16]}/{number}",
            f"a key of {statement.party} has signed two histories: its statement {number} does not fit to "
            "another one that it signed",
            _NEXT.format(party=statement.party)
            + " A key on two machines does this; so does a store that was restored from an old copy.",
            _both(db, other, statement, data),
            event="evidence.forked",
            envelope=statement.envelope,
            state=statement.party,
        )
    ]


def opposite_findings(
    db: apsw.Connection, name: bytes, statement: Statement, deliveries: Sequence[DeliveryRow], data: bytes
) -> list[Finding]:
    """Return which deliveries a statement contradicts; they are given as they stood before it."""
    found = []
    for delivery in deliveries:
        if not contradicts(delivery.state, statement.kind):
            continue
        held = _that_led_to(list_statements(db, statement.envelope), delivery)
        found.append(
            Finding(
                "evidence-contradictory",
                f"{name.hex()}/{delivery.recipient}",
                f"{statement.party} has signed {statement.kind.name} about notice "
                f"{statement.envelope.hex()[:12]}, which {delivery.recipient} has {delivery.state.value} "
                "already: both cannot be true",
                _NEXT.format(party=delivery.recipient),
                () if held is None else _both(db, held.id, statement, data),
                event="evidence.contradictory",
                envelope=statement.envelope,
                state=delivery.recipient,
            )
        )
    return found


def _that_led_to(statements: Sequence[StatementRow], delivery: DeliveryRow) -> StatementRow | None:
    return next(
        (
            one
            for one in statements
            if one.party == delivery.recipient and one.kind.name.lower() == delivery.state.value
        ),
        None,
    )


def _both(db: apsw.Connection, other: bytes, statement: Statement, data: bytes) -> tuple[Exhibit, ...]:
    held = find_statement(db, other)
    mine = Exhibit(f"the statement {statement.kind.name} of {statement.party}", data, is_text=False)
    if held is None:
        return (mine,)
    return (Exhibit(f"the statement {held.kind.name} of {held.party}", held.body, is_text=False), mine)
