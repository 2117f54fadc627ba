"""The outside record: what left which process and what arrived, and what must therefore be true.

Nothing here asks the system whether all is well. It is told by the network what was claimed, by the people
what they asked and were answered, and it looks into a store only for what must be there by that.

- I1, I6: what was answered is on the disk at every start; what was refused is not
- I2: one RECEIVED for each envelope and party in the log; one statement under each number of a key
- I4: one root for each size of a log, over the leaves whose places were promised
- I9: a mailbox is delivered in order, without a gap, the same item under the same number for ever
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable
from typing import Any, NamedTuple

import apsw

from exchange.stores.engine import Engine
from exchange.stores.ledger_sqlite import leaves
from protocol.documents import signed_document_hash
from protocol.envelope import parse_delivery, parse_submission
from protocol.ledger.checkpoint import Checkpoint, parse_checkpoint
from protocol.ledger.frontier import Frontier
from protocol.ledger.origins import Log
from protocol.ledger.witness import parse_add_checkpoint
from protocol.notice import Header
from protocol.session.messages import (
    Accepted,
    Attest,
    Collected,
    Deliver,
    ItemKind,
    Located,
    Publish,
    Refused,
    Submit,
    Witness,
    Witnessed,
    parse_message,
)
from protocol.statement import Statement, StatementKind, parse_statement, statement_id
from protocol.tree import leaf_hash
from tests.simulation.network import End, Tap

TOLD = frozenset({5, 6, 7, 8, 9, 10, 11, 15, 17, 19})
"""The numbers of the messages that claim something."""
ONCE = frozenset({StatementKind.RECEIVED, StatementKind.RELAYED})


class Offered(NamedTuple):
    """What a node handed over under a reference: its kind in the queue, and its id."""

    kind: str
    id: bytes


class Mail(NamedTuple):
    """One item of a mailbox: the digest of its bytes, and what it is."""

    digest: bytes
    kind: ItemKind
    id: bytes


class Tree:
    """One log as it was shown: its leaves for ever, and the root of every size."""

    def __init__(self) -> None:
        self.frontier = Frontier()
        self.roots = [self.frontier.root]
        self.names: list[bytes] = []

    def add(self, name: bytes, leaf: bytes) -> None:
        """Take one leaf."""
        self.frontier = self.frontier.extend([leaf_hash(leaf)])
        self.roots.append(self.frontier.root)
        self.names.append(name)


class Record(Tap):
    """Everything that was claimed.

    Args:
        broken: Called with a sentence for each invariant that does not hold.
        store_of: Returns a member's open store, by its code.
        hub: The coordinator's code.
    """

    def __init__(
        self, broken: Callable[[str], None], store_of: Callable[[str], Engine | None], hub: str
    ) -> None:
        self._broken = broken
        self._store_of = store_of
        self._hub = hub
        self._offered: dict[int, dict[int, Offered]] = {}
        self._pushed: dict[int, int] = {}
        self.indexes: dict[bytes, int] = {}
        """Every statement that was answered with its place in the log."""
        self.documents: dict[bytes, int] = {}
        self.envelopes: dict[bytes, Header] = {}
        """Every envelope that the coordinator accepted."""
        self.headers: dict[bytes, Header] = {}
        self.mail: dict[str, dict[int, Mail]] = defaultdict(dict)
        self.collected: dict[str, int] = defaultdict(int)
        """The highest number that each node said it has dealt with."""
        self.said: dict[str, set[bytes]] = defaultdict(set)
        """Every statement that left a node."""
        self.numbers: dict[tuple[bytes, int], bytes] = {}
        self.trees = {log: Tree() for log in Log}
        self.once: set[tuple[bytes, str, int]] = set()
        self.relayed: dict[bytes, int] = {}
        self._shown: set[bytes] = set()
        self.counts: dict[str, int] = defaultdict(int)

    # What passes.

    def opened(self, end: End) -> None:
        """Begin a session."""
        self._offered[end.number] = {}
        self.counts["sessions"] += 1

    def leaves(self, end: End, data: bytes) -> None:
        """Take what a process says: from here on it is claimed."""
        if data[1] not in TOLD:
            return
        message = parse_message(data)
        if end.host == self._hub:
            self._hub_says(end, message)
        else:
            self._node_says(end, message)

    def _node_says(self, end: End, message: Any) -> None:
        offered = self._offered[end.number]
        match message:
            case Submit():
                sealed = parse_submission(message.submission)[1]
                self.headers[sealed.id] = sealed.header
                offered[message.ref] = Offered("submit", sealed.id)
            case Attest():
                name, statement = self._statement(message.statement)
                self.said[statement.party].add(name)
                offered[message.ref] = Offered("attest", name)
                self._require(
                    end.host,
                    "SELECT 1 FROM statement WHERE id = ?",
                    (name,),
                    f"{end.host} sent a {statement.kind.name} that is not in its store",
                )
            case Publish():
                offered[message.ref] = Offered("publish", signed_document_hash(message.document))
            case Collected():
                self._collected(end, message)

    def _collected(self, end: End, message: Collected) -> None:
        state = end.host
        before = self.collected[state]
        for number in range(before + 1, message.sequence + 1):
            item = self.mail[state].get(number)
            if item is None:
                self._broken(f"I9: {state} collected item {number}, which was not delivered to it")
            elif not self._has(state, item, number):
                self._broken(f"I1: {state} collected item {number} before it was in its store")
        self.collected[state] = max(before, message.sequence)
        self.counts["collected"] += 1

    def _has(self, state: str, item: Mail, number: int) -> bool:
        query = (
            "SELECT 1 FROM statement WHERE envelope = ?1 AND party = ?2 UNION ALL "
            "SELECT 1 FROM refused WHERE sequence = ?3"
            if item.kind is ItemKind.ENVELOPE
            else "SELECT 1 FROM statement WHERE id = ?1 AND ?2 <> '' UNION ALL "
            "SELECT 1 FROM refused WHERE sequence = ?3"
        )
        store = self._store_of(state)
        return store is None or store.look_up(
            lambda db: db.execute(query, (item.id, state, number)).fetchone() is not None
        )

    def _hub_says(self, end: End, message: Any) -> None:
        match message:
            case Accepted():
                self._accepted(end, message)
            case Refused():
                self.counts[f"refused {message.code.value}"] += 1
            case Deliver():
                self._delivered(end, message)
            case Witness():
                self._checkpoint(message.log, parse_add_checkpoint(message.body).checkpoint)
            case Witnessed():
                self._checkpoint(message.log, message.checkpoint)
            case Located():
                self._checkpoint(Log.ACK, message.checkpoint)

    def _accepted(self, end: End, message: Accepted) -> None:
        offered = self._offered[end.number - 1].get(message.ref)
        if offered is None:
            self._broken(f"I6: {end.peer.host} was answered for a reference that it never used")
            return
        if offered.kind == "publish":
            self._same_place(self.documents, offered.id, message.index, "document")
            self._require(
                self._hub,
                "SELECT 1 FROM document WHERE id = ? AND idx = ?",
                (offered.id, message.index),
                "I1: a document was accepted before it was stored",
            )
            return
        name = offered.id
        if offered.kind == "submit":
            if message.statement is None:
                self._broken("I6: an envelope was accepted without a promise")
                return
            name, statement = self._statement(message.statement)
            if statement.envelope != offered.id:
                self._broken("I6: the promise is about another envelope")
            self.envelopes[offered.id] = self.headers[offered.id]
        self.counts["accepted"] += 1
        self._same_place(self.indexes, name, message.index, "statement")
        self._require(
            self._hub,
            "SELECT 1 FROM statement WHERE id = ? AND idx = ?",
            (name, message.index),
            f"I1: something was answered as accepted before it was stored, as leaf {message.index}",
        )

    def _delivered(self, end: End, message: Deliver) -> None:
        state, number = end.peer.host, message.sequence
        last = self._pushed.get(end.number)
        allowed = self.collected[state] + 1 if last is None else last + 1
        if number > allowed or (last is not None and number != allowed):
            self._broken(f"I9: {state} was pushed item {number} where {allowed} comes next")
        self._pushed[end.number] = number
        digest = hashlib.blake2b(message.content, digest_size=16).digest()
        known = self.mail[state].get(number)
        if known is None:
            if message.item is ItemKind.ENVELOPE:
                name = parse_delivery(message.content)[1].id
            else:
                name, _ = self._statement(message.content)
            self.mail[state][number] = Mail(digest, message.item, name)
        elif (known.digest, known.kind) != (digest, message.item):
            self._broken(f"I9: item {number} of {state} is another one than before")
        self.counts["delivered"] += 1

    def _same_place(self, places: dict[bytes, int], name: bytes, index: int, what: str) -> None:
        if places.setdefault(name, index) != index:
            self._broken(f"I4: a {what} was answered with place {index} and before with {places[name]}")

    def _statement(self, data: bytes) -> tuple[bytes, Statement]:
        """Take a signed statement: under each number of a key there is one, for ever."""
        signed, statement = parse_statement(data)
        name = statement_id(signed.body)
        if self.numbers.setdefault((statement.key_id, statement.sequence), name) != name:
            self._broken(f"I2: {statement.party} signed two statements under number {statement.sequence}")
        return name, statement

    def _require(self, code: str, query: str, values: tuple[Any, ...], sentence: str) -> None:
        store = self._store_of(code)
        if store is not None and not store.look_up(lambda db: db.execute(query, values).fetchone()):
            self._broken(sentence)

    # The logs.

    def _checkpoint(self, log: Log, note: bytes) -> None:
        if note in self._shown:
            return
        self._shown.add(note)
        checkpoint = parse_checkpoint(note).checkpoint
        tree = self.trees[log]
        if checkpoint.size >= len(tree.roots):
            store = self._store_of(self._hub)
            if store is None:
                return
            store.look_up(lambda db: self._grow(db, log, checkpoint))
        if checkpoint.size >= len(tree.roots):
            self._broken(f"I4: a checkpoint of {checkpoint.size} leaves was shown over fewer rows ({log})")
        elif tree.roots[checkpoint.size] != checkpoint.root:
            self._broken(f"I4: two logs {log} of {checkpoint.size} leaves were shown")

    def _grow(self, db: apsw.Connection, log: Log, checkpoint: Checkpoint) -> None:
        tree, first = self.trees[log], len(self.trees[log].names)
        for name, leaf in leaves(db, log, first, checkpoint.size - first):
            tree.add(name, leaf)
        if log is Log.ACK:
            query = "SELECT idx, kind, party, envelope FROM statement WHERE idx >= ? AND idx < ? ORDER BY idx"
            for index, kind, party, envelope in db.execute(query, (first, checkpoint.size)):
                self._logged(index, kind, party, envelope)

    def _logged(self, index: int, kind: int, party: str, envelope: bytes) -> None:
        if kind in ONCE:
            what = (envelope, party, kind)
            if what in self.once:
                self._broken(f"I2: {StatementKind(kind).name} of {party} stands twice in the log")
            self.once.add(what)
        if kind == StatementKind.RELAYED:
            self.relayed[envelope] = index
