"""Statements that cannot all be true: each such pair is evidence, whoever of the signers lied.

Two statements of one key under one number, or that name different predecessors, show a key used on
two machines or a history that was rewritten. Two that say opposite things of one delivery show that
a signer, or whoever passed them on, is not to be believed.
"""

from __future__ import annotations

from collections.abc import Sequence

import apsw

from exchange.node.evidence import Exhibit, Finding, report
from exchange.stores.node_ledger import (
    GossipRow,
    find_signed,
    insert_gossip,
    insert_signed,
)
from exchange.stores.node_notices import DeliveryRow
from exchange.stores.node_statements import StatementRow, find_statement, list_statements
from protocol.delivery import contradicts
from protocol.statement import Statement

_NEXT = (
    "Notices go on. Call {party} on another channel and ask which of them it signed; keep the evidence for "
    "the secretariat."
)


def take_evidence(
    db: apsw.Connection,
    state: str,
    name: bytes,
    statement: Statement,
    deliveries: Sequence[DeliveryRow],
    data: bytes,
    now_ms: int,
) -> None:
    """Look at one verified statement that is news, in the transaction that stores it.

    Args:
        db: The running transaction.
        state: This node's state.
        name: The statement's id.
        statement: What it says.
        deliveries: The deliveries it speaks of, as they stood before it.
        data: The signed statement, as received.
        now_ms: The time now, milliseconds UTC.
    """
    for finding in (*_chain(db, name, statement, data), *_opposite(db, name, statement, deliveries, data)):
        report(db, state, finding, now_ms)
    insert_signed(db, statement.key_id, statement.sequence, statement.previous, name)
    seen = statement.seen
    if seen is not None and seen.size > 0:
        row = GossipRow(seen.origin, seen.size, seen.root, statement.party, data, now_ms)
        insert_gossip(db, row)


def _chain(db: apsw.Connection, name: bytes, statement: Statement, data: bytes) -> list[Finding]:
    """Return what is wrong with a statement's place in its key's chain."""
    key, number = statement.key_id, statement.sequence
    here, before = find_signed(db, key, number), find_signed(db, key, number - 1)
    after = find_signed(db, key, number + 1)
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


def _opposite(
    db: apsw.Connection, name: bytes, statement: Statement, deliveries: Sequence[DeliveryRow], data: bytes
) -> list[Finding]:
    """Return which deliveries a statement contradicts."""
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
