"""The directory log: from the pinned root hash to who may sign what, at every place of the ledger.

The documents are verified once in the order of their leaves, which gives the directory log's root
and its present rules. A second run of the same rules goes along with the ledger: each statement is
judged by the documents that were logged before it, and by no other.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType

from exchange.audit.verdict import KeyEvent
from exchange.audit.verify.history import key_events
from exchange.audit.verify.parts import Parts
from exchange.audit.verify.record import Place, Record, document_at
from exchange.audit.verify.tree import StoredTree
from keys.roster import Roster
from keys.signer import Verifier
from keys.trust import TrustedDirectory
from protocol.documents import Directory, PrekeyList, parse_document, parse_signed_document
from protocol.errors import AlmenaraError, FormatError
from protocol.ledger.bundle import document_name, entries_name, tiles
from protocol.ledger.leaf import document_leaf, parse_document_leaf
from protocol.ledger.origins import Log
from protocol.ledger.tiles import TILE_WIDTH, parse_entries, width_at
from protocol.tree import leaf_hash

_DOCUMENTS = "documents"


class DirectoryLog:
    """Everything that the documents of a bundle say.

    Args:
        parts: The bundle's files.
        pinned_root_hash: The hash of the first root document, from the ceremony.
        verifier: Checks signatures.
        record: Where what is wrong is recorded.
    """

    def __init__(self, parts: Parts, pinned_root_hash: bytes, verifier: Verifier, record: Record) -> None:
        self._parts = parts
        self._pinned = pinned_root_hash
        self._verifier = verifier
        self._record = record
        self._times = array("Q")
        self._refused: set[int] = set()
        self._versions: dict[int, bytes] = {}
        self._prekeys: set[tuple[str, bytes]] = set()
        self.tree = StoredTree()
        self.final = TrustedDirectory(pinned_root_hash, verifier)
        self.events: list[KeyEvent] = []

    @property
    def versions(self) -> Mapping[int, bytes]:
        """The hash of every version of the directory document that was logged."""
        return MappingProxyType(self._versions)

    def verify(self) -> None:
        """Read every document, believe those that may be believed, and record the others."""
        for index, entry in self._entries():
            self.tree.extend((leaf_hash(entry),))
            self._times.append(0)
            data = self._parts.read(document_name(index))
            if data is None:
                self._refused.add(index)
                self._record.left_out(_DOCUMENTS)
                continue
            try:
                self._verify_one(index, entry, data)
            except AlmenaraError as error:
                self._refused.add(index)
                self._record.failed(_DOCUMENTS, error.code, error.message, document_at(index))

    def replay(self) -> Replay:
        """Return a second run, which the caller advances along the ledger."""
        trusted = TrustedDirectory(self._pinned, self._verifier)
        return Replay(self._parts, trusted, self._times, self._refused)

    def logged_ms(self, index: int) -> int | None:
        """Return when the coordinator says that it logged a document; None if that cannot be read."""
        return self._times[index] or None if index < len(self._times) else None

    def published(self, state: str, prekey_id: bytes) -> bool:
        """Return whether any logged prekey list of a state offers a key of this id."""
        return (state, prekey_id) in self._prekeys

    def _verify_one(self, index: int, entry: bytes, data: bytes) -> None:
        self._times[index] = at_ms = parse_document_leaf(entry).at_ms
        document = parse_document(parse_signed_document(data).body)
        if document_leaf(document, at_ms, data) != entry:
            raise FormatError("the document is not the one that its leaf commits to")
        before = self.final.documents
        accepted = self.final.update(data, at_ms)
        if isinstance(document, Directory):
            self._versions[document.version] = accepted.hash
        elif isinstance(document, PrekeyList):
            self._prekeys.update((document.state, key.key_id) for key in document.keys)
        self.events += key_events(before, self.final.documents, document, index, at_ms)
        self._record.passed(_DOCUMENTS)

    def _entries(self) -> Iterator[tuple[int, bytes]]:
        size = self._parts.listing.documents
        for number in range(tiles(size)):
            name = entries_name(Log.DIRECTORY, number, size)
            data = self._parts.read(name)
            if data is None:
                return
            try:
                entries = parse_entries(data, width_at(0, number, size))
            except FormatError as error:
                self._record.failed("roots", "entries", error.message, Place(name))
                return
            yield from enumerate(entries, number * TILE_WIDTH)


class Replay:
    """The rules as they stood after some number of documents.

    Args:
        parts: The bundle's files.
        trusted: An empty directory of the same community.
        times: When each document was logged, milliseconds UTC.
        refused: The documents that the first run refused, or could not read.
    """

    def __init__(
        self, parts: Parts, trusted: TrustedDirectory, times: array[int], refused: Collection[int]
    ) -> None:
        self._parts = parts
        self._trusted = trusted
        self._times = times
        self._refused = refused
        self.size = 0

    @property
    def roster(self) -> Roster:
        """Who may sign what, by the documents so far."""
        return self._trusted

    def advance(self, size: int) -> None:
        """Follow the documents up to the first ``size``; a refused one changes nothing here either."""
        for index in range(self.size, min(size, len(self._times))):
            data = None if index in self._refused else self._parts.read(document_name(index), again=True)
            if data is not None:
                self._trusted.update(data, self._times[index])
        self.size = max(self.size, size)
