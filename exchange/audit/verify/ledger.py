"""The acknowledgement log, read once from the first leaf to the last, 256 leaves at a time."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterator

from exchange.audit.verify.checkpoints import Milestones
from exchange.audit.verify.clock import Bracket, Witnessed, outside
from exchange.audit.verify.judge import Judge
from exchange.audit.verify.parts import Parts
from exchange.audit.verify.record import Place, Record, leaf_at
from exchange.audit.verify.tree import StoredTree
from protocol.errors import FormatError
from protocol.ledger.bundle import (
    MAX_SIGNED_MANIFEST_BYTES,
    Listing,
    entries_name,
    headers_name,
    statements_name,
    tiles,
)
from protocol.ledger.leaf import Leaf, parse_leaf
from protocol.ledger.origins import Log
from protocol.ledger.pack import iter_pack
from protocol.ledger.tiles import TILE_WIDTH, parse_entries, width_at
from protocol.statement import MAX_SIGNED_STATEMENT_BYTES, Statement, StatementKind
from protocol.text import format_utc
from protocol.tree import leaf_hash

Progress = Callable[[int, int], None]


def leaves_again(parts: Parts) -> Callable[[int], list[bytes]]:
    """Return a reader of the leaf hashes of one file of entries, for :class:`StoredTree`."""

    def read(number: int) -> list[bytes]:
        size = parts.listing.leaves
        data = parts.read(entries_name(Log.ACK, number, size), again=True)
        if data is None:
            raise FormatError("a file of entries went away while it was read")
        return [leaf_hash(entry) for entry in parse_entries(data, width_at(0, number, size))]

    return read


class Ledger:
    """Reads every leaf and every statement, and hands each to the judge at its place.

    Args:
        parts: The bundle's files.
        tree: Gets the hashes of all leaves.
        judge: Judges statements.
        milestones: The earlier checkpoints.
        record: Where what is wrong is recorded.
        progress: Told now and then how many leaves of how many were read.
    """

    def __init__(
        self,
        parts: Parts,
        tree: StoredTree,
        judge: Judge,
        milestones: Milestones,
        record: Record,
        progress: Progress,
    ) -> None:
        self._parts = parts
        self._listing: Listing = parts.listing
        self._tree = tree
        self._judge = judge
        self._milestones = milestones
        self._record = record
        self._progress = progress
        self._last = Witnessed(0, -1)
        self.times = array("Q")
        self.bodies = 0
        self.first_body: int | None = None
        self.kinds: Counter[str] = Counter()

    def read(self) -> bool:
        """Read the whole log; False if the leaves themselves cannot be read to the end."""
        size = self._listing.leaves
        for number in range(tiles(size)):
            entries = self._entries(number)
            if entries is None:
                self._record.left_out("statements", size - number * TILE_WIDTH)
                return False
            self._tree.extend([leaf_hash(entry) for entry in entries])
            self._tile(number, entries)
            self._progress(min(size, (number + 1) * TILE_WIDTH), size)
        self._witness(size)
        return True

    def _entries(self, number: int) -> list[bytes] | None:
        size = self._listing.leaves
        name = entries_name(Log.ACK, number, size)
        data = self._parts.read(name)
        if data is None:
            return None
        try:
            return parse_entries(data, width_at(0, number, size))
        except FormatError as error:
            self._record.failed("roots", "entries", error.message, Place(name))
            return None

    def _tile(self, number: int, entries: list[bytes]) -> None:
        start = number * TILE_WIDTH
        bodies = self._pack(statements_name(number), start, len(entries), MAX_SIGNED_STATEMENT_BYTES)
        headers = self._pack(headers_name(number), start, len(entries), MAX_SIGNED_MANIFEST_BYTES)
        for index, entry in enumerate(entries, start):
            due = self._milestones.next_size
            if due is not None and due <= index:
                self._witness(index)
            self._leaf(index, entry, bodies.pop(index, None), headers.pop(index, None))
        if headers:
            sentence = "there are headers at leaves where no notice was relayed"
            self._record.failed("notices", "extra-header", sentence, leaf_at(min(headers)))

    def _leaf(self, index: int, entry: bytes, body: bytes | None, header: bytes | None) -> None:
        try:
            leaf = parse_leaf(entry)
        except FormatError as error:
            self.times.append(0)
            self._record.lost("statements", "leaf", error.message, leaf_at(index))
            return
        self.times.append(leaf.at_ms)
        self._judge.leaf(index, leaf)
        statement = self._statement(index, leaf, body)
        if statement is None or statement.kind is not StatementKind.RELAYED:
            return
        if header is not None:
            self._judge.header(index, leaf, statement, header)
        elif self._listing.member is None:
            sentence = "the header of the notice that was relayed here is not in the bundle"
            self._record.failed("notices", "header-missing", sentence, leaf_at(index))
        else:
            self._record.left_out("notices")

    def _statement(self, index: int, leaf: Leaf, body: bytes | None) -> Statement | None:
        listing = self._listing
        expected = listing.member is None and index >= listing.bodies_from
        if body is not None:
            self.bodies += 1
            if self.first_body is None and index >= listing.bodies_from:
                self.first_body = index
            self.kinds[leaf.type.name] += 1
            return self._judge.statement(index, leaf, body, chained=index >= listing.bodies_from)
        if expected or leaf.type is StatementKind.DIRECTORY:
            sentence = f"the statement of leaf {index} is not in the bundle"
            self._record.lost("statements", "statement-missing", sentence, leaf_at(index))
        else:
            self._record.left_out("statements")
        return None

    def _pack(self, name: str, start: int, count: int, limit: int) -> dict[int, bytes]:
        """Return the objects of a pack by their leaves; what cannot be read is recorded."""
        found: dict[int, bytes] = {}
        data = self._parts.read(name)
        if data is None:
            return found
        try:
            for index, record in iter_pack(data, limit):
                if not start <= index < start + count:
                    raise FormatError(f"the pack holds leaf {index}, which belongs in another one")
                found[index] = record
        except FormatError as error:
            self._record.failed("parts", "pack", error.message, Place(name))
        return found

    # The witnesses' times.

    def _witness(self, size: int) -> None:
        """Judge the checkpoints up to this size, and the leaves' times between each two of them."""
        for witnessed in self._milestones.up_to(size, self._judge.quorums()):
            self.bracket(witnessed)

    def bracket(self, witnessed: Witnessed) -> None:
        """Compare the times of the leaves since the last checkpoint with those of the witnesses."""
        last = self._last
        if witnessed.size <= last.size:
            return
        bracket = Bracket(last.quorum_ms if last.size else None, witnessed.quorum_ms)
        late = list(self._outside(last.size, witnessed.size, bracket))
        for index in late:
            sentence = (
                f"it is recorded at {format_utc(self.times[index])}, and the witnesses had it between "
                f"{_time(bracket.not_before_ms)} and {_time(bracket.not_after_ms)}"
            )
            self._record.failed("times", "time-outside", sentence, leaf_at(index))
        self._record.passed("times", witnessed.size - last.size - len(late))
        self._last = witnessed

    def _outside(self, start: int, end: int, bracket: Bracket) -> Iterator[int]:
        times = self.times[start:end]
        if not times or not (outside(min(times), bracket) or outside(max(times), bracket)):
            return
        for index, time_ms in enumerate(times, start):
            if outside(time_ms, bracket):
                yield index


def _time(time_ms: int | None) -> str:
    return "the beginning" if time_ms is None else format_utc(time_ms)
