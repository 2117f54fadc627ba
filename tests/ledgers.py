"""A coordinator's statement log in memory, for tests that play it: real trees, real keys, any lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from protocol.ledger.checkpoint import Checkpoint, SignedCheckpoint, sign_with
from protocol.ledger.leaf import statement_leaf
from protocol.ledger.origins import Log, origin
from protocol.ledger.witness import AddCheckpoint, format_add_checkpoint
from protocol.session.messages import (
    Compare,
    Compared,
    Locate,
    Located,
    Message,
    Place,
    Witness,
    Witnessed,
)
from protocol.statement import StatementKind, parse_statement, statement_id
from protocol.tree import consistency_proof, inclusion_path, leaf_hash, root_of
from tests.clocks import FixedClock
from tests.community import Community

ALL = ("XAA", "XBB", "XCC")


@dataclass
class PlayedLedger:
    """One version of a log; a test that lies plays two.

    Args:
        everyone: Whose log it is, and who witnesses it.
        clock: The time in its leaves and of its signatures.
        log: Which log.
    """

    everyone: Community
    clock: FixedClock
    log: Log = Log.ACK
    leaves: list[bytes] = field(default_factory=list)
    places: dict[bytes, tuple[int, int]] = field(default_factory=dict)

    @property
    def origin(self) -> str:
        """The log's name."""
        return origin(self.everyone.hub_entry.log.name, self.log)

    @property
    def size(self) -> int:
        """How many leaves there are."""
        return len(self.leaves)

    def record(self, data: bytes, at_ms: int | None = None) -> int:
        """Append a signed statement and return its leaf's index."""
        signed, statement = parse_statement(data)
        at_ms = self.clock.now_ms() if at_ms is None else at_ms
        self.places[statement_id(signed.body)] = (self.size, at_ms)
        self.leaves.append(leaf_hash(statement_leaf(statement.kind, at_ms, data).encode()))
        return self.size - 1

    def fill(self, count: int, mark: bytes = b"") -> None:
        """Append leaves of statements that concern nobody here; another mark makes another history."""
        for _ in range(count):
            data = mark + self.size.to_bytes(4, "big")
            leaf = statement_leaf(StatementKind.RECEIVED, self.clock.now_ms(), data)
            self.leaves.append(leaf_hash(leaf.encode()))

    def checkpoint(self, size: int | None = None) -> SignedCheckpoint:
        """Return the checkpoint of a size, signed by the log alone."""
        at = self.size if size is None else size
        bare = Checkpoint(self.origin, at, root_of(self.leaves[:at]))
        return sign_with(bare, self.everyone.log.sign_log(bare, self.seconds))

    def witnessed(self, size: int | None = None, by: Sequence[str] = ALL) -> SignedCheckpoint:
        """Return the checkpoint of a size, cosigned by these states."""
        signed = self.checkpoint(size)
        for code in by:
            member = self.everyone.members[code]
            name = f"almenara/test/{code}"
            signed = signed.with_signatures(member.witness.cosign(signed.checkpoint, name, self.seconds))
        return signed

    @property
    def seconds(self) -> int:
        """The time now, as cosignatures state it."""
        return self.clock.now_ms() // 1000

    def announce(self, size: int | None = None, by: Sequence[str] = ALL) -> Witnessed:
        """Return what tells nodes of a witnessed checkpoint."""
        return Witnessed(log=self.log, checkpoint=self.witnessed(size, by).data)

    def ask(self, old: int, size: int | None = None) -> Witness:
        """Return the request for a cosignature, with the proof from ``old`` on."""
        at = self.size if size is None else size
        proof = consistency_proof(old, self.leaves[:at]) if 0 < old < at else ()
        body = format_add_checkpoint(AddCheckpoint(old, tuple(proof), self.checkpoint(at).data))
        return Witness(log=self.log, body=body)

    def locate(self, names: Sequence[bytes], *, by: Sequence[str] = ALL, size: int | None = None) -> Located:
        """Return where those of the statements stand that are in the log."""
        at = self.size if size is None else size
        found = [(name, *self.places[name]) for name in names if name in self.places]
        places = tuple(
            Place(statement=name, index=index, at_ms=at_ms, path=inclusion_path(index, self.leaves[:at]))
            for name, index, at_ms in found
            if index < at
        )
        return Located(checkpoint=self.witnessed(at, by).data, places=places)

    def compare(self, old: int, new: int) -> Compared:
        """Return the proof that the tree of ``new`` leaves begins with that of ``old``."""
        proof = () if old == new else consistency_proof(old, self.leaves[:new])
        return Compared(log=self.log, old=old, new=new, proof=tuple(proof))


class Wire:
    """A link that keeps what a node sends over it."""

    def __init__(self) -> None:
        self.sent: list[Message] = []

    def send(self, message: Message) -> None:
        """Keep a message."""
        self.sent.append(message)

    def wanted(self) -> tuple[bytes, ...]:
        """Return what the node asked to be located, and forget all that it sent."""
        found = tuple(name for one in self.sent if isinstance(one, Locate) for name in one.statements)
        self.sent.clear()
        return found

    def questions(self) -> list[Compare]:
        """Return what the node asked to be compared, and forget all that it sent."""
        found = [one for one in self.sent if isinstance(one, Compare)]
        self.sent.clear()
        return found
