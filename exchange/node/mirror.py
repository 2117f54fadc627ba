"""The directory mirror: every document of the community, verified, kept, and followed.

What to load is decided here; whether to trust it is decided in ``keys.trust``.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
from collections.abc import Sequence
from dataclasses import dataclass, field

import apsw
import structlog

from exchange.node.bell import Bell
from exchange.node.context import NodeContext
from exchange.node.restored import caught_up, find_out, take_note
from exchange.node.selfwatch import ALARM, CHANGED, Foreign, changed_entry, foreign_document
from exchange.node.suspended import status_changes
from exchange.node.withdrawn import Withdrawn, newly_withdrawn, tell_withdrawn
from exchange.stores.node_books import (
    MIRRORED,
    clear_alarm,
    has_document,
    insert_document,
    raise_alarm,
    read_documents,
    read_fact,
    record_event,
    save_fact,
)
from exchange.stores.node_queue import PUBLISH_PRIORITY, enqueue, read_published
from keys.trust import Accepted, TrustedDirectory
from protocol.digest import tagged
from protocol.documents import (
    Directory,
    Document,
    PrekeyList,
    Publication,
    Root,
    StateManifest,
    document_hash,
    parse_document,
    parse_signed_document,
    signed_document_hash,
)
from protocol.errors import AlmenaraError, BadRequest, ClockSkew, FormatError, SetupError, TrustError
from protocol.session.messages import Documents

_log = structlog.get_logger()
FORGOTTEN = "this node has signed daily keys that it does not remember"
_FAR_FUTURE_MS = 2**62
"""The time given when stored documents are replayed: they were judged when they came."""


@dataclass(slots=True)
class _Read:
    """What became of the documents of one message."""

    following: int
    kept: list[bytes] = field(default_factory=list)
    refused: list[AlmenaraError] = field(default_factory=list)
    statuses: list[tuple[str, str]] = field(default_factory=list)
    foreign: list[Foreign] = field(default_factory=list)
    withdrawn: list[Withdrawn] = field(default_factory=list)
    is_complete: bool = True
    is_last: bool = False
    """Whether there is nothing behind it in the coordinator's list."""
    is_forgotten: bool = False
    """Whether one was signed by this very node, which does not know of it."""


class Mirror:
    """Keeps the trusted directory in step with the coordinator's list of documents.

    Attributes:
        next_index: The first document that has not been asked for.
        changed: Rings when the trusted directory holds all that the coordinator has to offer.
    """

    def __init__(self, context: NodeContext, next_index: int) -> None:
        self._context = context
        self.next_index = next_index
        self.changed = Bell()
        self._unsaved: list[bytes] = []
        """What is trusted since a write that failed; these copies' signatures were checked."""
        self._unpublished: list[bytes] = []
        """Those of them that were handed in here, and are for the coordinator too."""
        self._untold: list[Foreign] = []
        """What a person must see of them, and was not written either."""
        self._turn = asyncio.Lock()

    @classmethod
    async def open(cls, context: NodeContext) -> Mirror:
        """Return the mirror where it left off."""
        return cls(context, await context.engine.read(lambda db: read_fact(db, MIRRORED)))

    async def begin(self, listed: int) -> None:
        """Compare how many documents the coordinator lists, at a session's start, with what was read.

        A shorter list is another list: what is new in it stands where this node would never look.
        So it is read from its beginning, our own documents are handed in again, which the list may
        have lost, and a person is told.
        """
        await self._recall()
        shown = self.next_index
        if listed >= shown:
            return
        self.next_index = 0
        now_ms = self._context.clock.now_ms()
        message = f"the coordinator lists {listed} documents and has listed {shown} before"
        hint = "Ask its operator whether it was restored from a backup; it may be hiding documents."
        state = self._context.state

        def work(db: apsw.Connection) -> None:
            raise_alarm(db, "documents-missing", "", message, hint, now_ms)
            for data in read_documents(db):
                _publish_again(db, state, data)

        await self._context.engine.write(work)
        self._context.outgoing.ring()

    async def _recall(self) -> None:
        """Let the keys know what was accepted at the very end of a session, which cut short who would tell.

        A coordinator that accepts the end of a key ends the session that was opened with it.
        """
        if not self._context.keys.awaits_coordinator:
            return
        async with self._turn:
            queued = await self._context.engine.read(read_published)
            self._context.keys.wait_only_for({signed_document_hash(data) for data in queued})

    async def hand_in(self, data: bytes) -> Accepted:
        """Queue a document that somebody brought to this node for the coordinator; durable on return.

        It proves itself, so it does not matter who brings it. What is this state's own counts here at once.
        Everything else counts when the coordinator has listed it, in the order that everybody sees: a root,
        directory or manifest taken out of turn could leave this node alone on another history for ever.

        Raises:
            FormatError, TrustError, ClockSkew: it may not be believed; nothing is changed.
            BadRequest: it is a list of daily keys in this state's name, which only this node makes.
            StoreFailed, OutcomeUnknown: hand it in again.
        """
        context, now_ms = self._context, self._context.clock.now_ms()
        async with self._turn:
            accepted = (await self._supposing(now_ms)).update(data, now_ms)
            document = accepted.document
            own = not isinstance(document, Root | Directory) and document.state == context.state
            if own and isinstance(document, PrekeyList):
                raise BadRequest(
                    "a node makes its list of daily keys itself: nobody else has their secret halves"
                )
            if accepted.changed:
                if own and isinstance(document, StateManifest):
                    context.keys.queue(accepted.hash, document)
                if own:
                    context.directory.update(data, now_ms)
                    self._unsaved.append(data)
                self._unpublished.append(data)
            read = _Read(following=self.next_index, kept=self._unsaved, is_complete=False)
            read.foreign = self._untold
            await self._save(read, now_ms)
        context.outgoing.ring()
        context.events.ring()
        return accepted

    async def _supposing(self, now_ms: int) -> TrustedDirectory:
        """Return what will be trusted here once the coordinator has taken all that waits for it."""
        trial = copy.copy(self._context.directory)
        for data in await self._context.engine.read(read_published):
            # What does not fit any more is for the coordinator to refuse.
            with contextlib.suppress(TrustError, ClockSkew):
                trial.update(data, now_ms)
        return trial

    async def receive(self, message: Documents) -> bool:
        """Take documents from the coordinator, store what is trusted, and move on.

        A document that may not be believed is left out and raises an alarm: the community's
        list is append-only, so asking for it again would not make it better.

        Returns:
            Whether more documents wait to be asked for.
        """
        async with self._turn:
            if message.first != self.next_index:
                return message.head > self.next_index
            read = await self._read(message)
            read.is_last = read.is_complete and read.following >= message.head
            read.kept[:0] = self._unsaved
            self._unsaved = read.kept
            read.foreign[:0] = self._untold
            self._untold = read.foreign
            await self._save(read, self._context.clock.now_ms())
            self.next_index = read.following
        if read.kept:
            self._context.events.ring()
        # An answer without documents is no reason to ask again at once.
        wants_more = bool(message.documents) and read.is_complete and message.head > read.following
        if not wants_more:
            self.changed.ring()
        return wants_more

    async def _save(self, read: _Read, now_ms: int) -> None:
        publish, context = tuple(self._unpublished), self._context

        def work(db: apsw.Connection) -> None:
            _save(db, read, publish, now_ms)
            if read.is_forgotten:
                find_out(db, context.state, FORGOTTEN, now_ms)
            if read.is_last and context.restored.since_ms is not None:
                caught_up(db, now_ms)

        await context.engine.write(work)
        context.restored.caught_up |= read.is_last
        if read.is_forgotten:
            take_note(context.restored, now_ms)
        self._unsaved, self._unpublished, self._untold = [], [], []
        if read.foreign:
            _log.error("directory.foreign", code=ALARM, count=len(read.foreign))

    async def _read(self, message: Documents) -> _Read:
        directory, now_ms = self._context.directory, self._context.clock.now_ms()
        state = self._context.state
        read = _Read(following=message.first)
        for data in message.documents:
            if not await self._is_known(data):
                try:
                    # The signatures of a copy that changes nothing were not looked at: never kept.
                    before, trusted = directory.documents.entry(state), directory.documents
                    accepted = directory.update(data, now_ms)
                    if accepted.changed:
                        read.kept.append(data)
                        read.foreign += foreign_document(state, accepted.document, accepted.hash)
                        read.is_forgotten |= _is_own_list(accepted.document, state)
                        read.foreign += changed_entry(before, directory.documents.entry(state))
                        read.withdrawn += newly_withdrawn(state, trusted, directory.documents)
                        read.statuses += status_changes(trusted, directory.documents)
                except ClockSkew as error:
                    # Our clock may be the wrong one: a document is not skipped for that, but read again.
                    read.refused.append(error)
                    read.is_complete = False
                    break
                except (TrustError, FormatError) as error:
                    _log.warning("document.refused", code=error.code)
                    read.refused.append(error)
            read.following += 1
        return read

    async def _is_known(self, data: bytes) -> bool:
        return await self._context.engine.read(lambda db: has_document(db, _copy_hash(data)))


def _is_own_list(document: Document, state: str) -> bool:
    """Whether only this state's own node can have made a document: nobody else signs lists of daily keys."""
    return isinstance(document, PrekeyList) and document.state == state


def load_directory(directory: TrustedDirectory, documents: list[bytes]) -> None:
    """Bring a fresh directory to where the stored documents, in order, had brought it.

    Raises:
        SetupError: a stored document is not believed any more: the store was altered.
    """
    for data in documents:
        try:
            directory.update(data, _FAR_FUTURE_MS)
        except (TrustError, FormatError) as error:
            raise SetupError(
                f"a stored document is not trusted: {error.message}",
                hint="The store or the pinned root hash was altered. Restore the data directory from backup.",
            ) from error


async def begin_keys(context: NodeContext) -> None:
    """Let the node's keys know which of its own manifests the coordinator has not accepted yet."""
    queued = await context.engine.read(read_published)
    state = context.state
    waiting = {document_hash(body): manifest for body, manifest in _manifests(queued, state)}
    if waiting:
        stored = _manifests(await context.engine.read(read_documents), state)
        accepted = [manifest for body, manifest in stored if document_hash(body) not in waiting]
        context.keys.begin(accepted[-1] if accepted else None, waiting)


def store_document(db: apsw.Connection, data: bytes) -> None:
    """Store one trusted document, in the transaction of whatever else depends on it."""
    insert_document(db, _copy_hash(data), data)


def _manifests(documents: list[bytes], state: str) -> list[tuple[bytes, StateManifest]]:
    """Return a state's manifests among signed documents, in order, each with its body."""
    bodies = [parse_signed_document(data).body for data in documents]
    parsed = [(body, parse_document(body)) for body in bodies]
    return [(body, one) for body, one in parsed if isinstance(one, StateManifest) and one.state == state]


def _publish_again(db: apsw.Connection, state: str, data: bytes) -> None:
    body = parse_signed_document(data).body
    document = parse_document(body)
    if isinstance(document, StateManifest | PrekeyList | Publication) and document.state == state:
        enqueue(db, "publish", PUBLISH_PRIORITY, document_hash(body), data)


def _copy_hash(data: bytes) -> bytes:
    return tagged("document-copy", data)


def _save(db: apsw.Connection, read: _Read, publish: Sequence[bytes], now_ms: int) -> None:
    for data in read.kept:
        store_document(db, data)
    for data in publish:
        enqueue(db, "publish", PUBLISH_PRIORITY, signed_document_hash(data), data)
    for found in read.foreign:
        if found.code == CHANGED:
            # The newest decision is the one that holds.
            clear_alarm(db, CHANGED, found.about)
        raise_alarm(db, found.code, found.about, found.message, found.next, now_ms)
        record_event(db, now_ms, "directory.foreign", code=found.code, detail=found.message)
    for key in read.withdrawn:
        tell_withdrawn(db, key, now_ms)
    for event, code in read.statuses:
        record_event(db, now_ms, event, state=code)
    for error in read.refused:
        raise_alarm(db, "document-refused", error.code, error.message, error.hint, now_ms)
        record_event(db, now_ms, "directory.refused", code=error.code)
    if read.is_complete:
        clear_alarm(db, "document-refused", ClockSkew.code)
    if read.kept:
        record_event(db, now_ms, "directory.updated", detail=f"{len(read.kept)} documents")
    save_fact(db, MIRRORED, read.following)
