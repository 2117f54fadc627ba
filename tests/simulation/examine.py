"""Looking at a member's disk before its process does, and at everybody's at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import apsw

from exchange.stores.engine import Engine
from protocol.delivery import DeliveryState
from protocol.ledger.origins import Log
from protocol.session.messages import ItemKind
from tests.simulation.record import Record

TOLERATED = frozenset({"held", "document-refused", "not-delivered", "prekeys", "refused"})
"""Alarms that faults alone may raise. None of them accuses anybody, and none says that anything is lost."""

DONE = frozenset(
    {
        DeliveryState.RECEIVED,
        DeliveryState.OPENED,
        DeliveryState.ACCEPTED,
        DeliveryState.DECLINED,
        DeliveryState.COMPLETED,
    }
)


class Examiner:
    """Compares disks with the record.

    Args:
        record: What was claimed.
        broken: Called with a sentence for everything that is not as it must be.
        answered: For each request of each node's people: the id they were told, or None if it was refused.
    """

    def __init__(
        self,
        record: Record,
        broken: Callable[[str], None],
        answered: Mapping[str, Mapping[str, str | None]],
    ) -> None:
        self._record = record
        self._broken = broken
        self._answered = answered

    def node(self, code: str, store: Engine) -> None:
        """Look at a node's disk at its start."""
        store.look_up(lambda db: self._node(db, code))

    def hub(self, store: Engine) -> None:
        """Look at the coordinator's disk at its start."""
        store.look_up(self._hub)

    def _node(self, db: apsw.Connection, code: str) -> None:
        record = self._record
        statements = {bytes(name) for (name,) in db.execute("SELECT id FROM statement")}
        lost = record.said[code] - statements
        if lost:
            self._broken(f"I1: {code} has forgotten {len(lost)} statements that it had sent")
        said = {
            bytes(name) for (name,) in db.execute("SELECT envelope FROM statement WHERE party = ?", (code,))
        }
        refused = {number for (number,) in db.execute("SELECT sequence FROM refused")}
        for number in range(1, record.collected[code] + 1):
            item = record.mail[code][number]
            known = said if item.kind is ItemKind.ENVELOPE else statements
            if item.id not in known and number not in refused:
                self._broken(f"I1: {code} has collected item {number}, and it is gone")
        requests = dict(db.execute("SELECT request_id, id FROM notice WHERE request_id IS NOT NULL"))
        for request, told in self._answered[code].items():
            held = requests.get(request)
            if told is not None and (held is None or held.hex() != told):
                self._broken(f"I1: {code} accepted request {request}, and it is gone")
            if told is None and held is not None:
                self._broken(f"I6: {code} refused request {request}, and it is there")
        self._nobody_accused(db, code)

    def _nobody_accused(self, db: apsw.Connection, code: str) -> None:
        for name, message in db.execute("SELECT code, message FROM alarm"):
            if name not in TOLERATED:
                self._broken(f"{code} raises the alarm {name}: {message}")
        for (name,) in db.execute("SELECT name FROM evidence"):
            self._broken(f"{code} holds evidence that somebody lied: {name}")

    def _hub(self, db: apsw.Connection) -> None:
        record = self._record
        rows = {bytes(name): index for index, name in db.execute("SELECT idx, id FROM statement")}
        gone = [index for name, index in record.indexes.items() if rows.get(name) != index]
        if gone:
            self._broken(f"I1: the coordinator has forgotten what it accepted as leaf {min(gone)}")
        documents = {bytes(name): index for index, name in db.execute("SELECT idx, id FROM document")}
        if any(documents.get(name) != index for name, index in record.documents.items()):
            self._broken("I1: the coordinator has forgotten a document that it accepted")
        cursors = {code: (head, done) for code, head, done in db.execute("SELECT * FROM cursor")}
        for code, (_, done) in cursors.items():
            if done > record.collected[code]:
                self._broken(f"I9: the cursor of {code} stands behind what it has collected")
        for code, mail in record.mail.items():
            if mail and cursors.get(code, (0, 0))[0] < max(mail):
                self._broken(f"I1: the mailbox of {code} has lost what was delivered from it")

    # At the end, when everything has healed.

    def settled_hub(self, db: apsw.Connection) -> None:
        """Check that the coordinator owes nobody anything."""
        self._hub(db)
        for code, head, done in db.execute("SELECT * FROM cursor"):
            if head != done:
                self._broken(f"liveness: the mailbox of {code} goes to {head}, its cursor stands at {done}")
        for log, table in ((Log.ACK, "statement"), (Log.DIRECTORY, "document")):
            rows = db.execute(f"SELECT count(*) FROM {table}").get
            for published in ("ledger_published", "ledger_witnessed"):
                size = db.execute(f"SELECT max(size) FROM {published} WHERE log = ?", (log,)).get
                if (size or 0) != rows:
                    self._broken(f"liveness: {rows} rows of the log {log}, and {size} in {published}")

    def settled_node(self, db: apsw.Connection, code: str) -> None:
        """Check that a node owes nothing and waits for nothing."""
        self._node(db, code)
        for kind, count in db.execute("SELECT kind, count(*) FROM outgoing GROUP BY kind"):
            self._broken(f"liveness: {count} of kind {kind} still wait in {code}")
        unproved = db.execute("SELECT count(*) FROM promise").get
        if unproved:
            self._broken(f"liveness: {code} does not know the place of {unproved} statements")
        self._delivered(db, code)
        self._in_order(db, code)

    def _delivered(self, db: apsw.Connection, code: str) -> None:
        """Every recipient of every notice has it, or there is a reason."""
        query = """SELECT coalesce(n.first, n.id), d.recipient, d.state, d.code, n.until_ms
            FROM delivery AS d JOIN notice AS n ON n.id = d.envelope"""
        reached: set[tuple[bytes, str]] = set()
        open_: dict[tuple[bytes, str], str] = {}
        for first, recipient, state, reason, until_ms in db.execute(query):
            key = bytes(first), recipient
            if state in DONE:
                reached.add(key)
            elif until_ms is None or not reason:
                open_[key] = f"{state} ({reason})"
        for (first, recipient), state in open_.items():
            if (first, recipient) not in reached:
                self._broken(f"liveness: a notice of {code} to {recipient} is {state} for ever")

    def _in_order(self, db: apsw.Connection, code: str) -> None:
        """Notices are shown in the order of the mailbox, and that is the order of acceptance."""
        record, numbers = self._record, {}
        order = -1
        for number, item in sorted(record.mail[code].items()):
            if item.kind is not ItemKind.ENVELOPE:
                continue
            numbers[item.id] = number
            index = record.relayed.get(item.id, order + 1)
            if index <= order:
                self._broken(f"I9: the mailbox of {code} is not in the order of acceptance at {number}")
            order = index
        shown = db.execute("SELECT id FROM notice WHERE direction = 'received' ORDER BY rowid")
        last = 0
        for (name,) in shown:
            number = numbers.get(bytes(name), 0)
            if number <= last:
                self._broken(f"I9: {code} shows item {number} behind item {last}")
            last = number
