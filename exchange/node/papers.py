"""Documents at the desk: what this node trusts, and taking one that somebody brings."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from exchange.node.context import NodeContext
from exchange.node.mirror import Mirror
from exchange.node.paper_views import DocumentsView, DocumentView
from exchange.node.tokens import Identity, TokenRole
from exchange.stores.node_books import read_documents
from exchange.stores.node_queue import read_published
from protocol.documents import (
    Directory,
    Document,
    Publication,
    Root,
    document_hash,
    parse_document,
    parse_signed_document,
    signed_document_hash,
)
from protocol.text import format_base64


class Papers:
    """The documents of one node.

    Args:
        context: The node.
        mirror: Keeps the documents.
        taken: Called after a document was handed in: keys may have to be opened.
    """

    def __init__(self, context: NodeContext, mirror: Mirror, taken: Callable[[], Awaitable[None]]) -> None:
        self._context = context
        self._mirror = mirror
        self._taken = taken

    async def hand_in(self, who: Identity, data: bytes) -> DocumentView:
        """Trust a signed document from now on, and queue it for the coordinator; durable on return.

        Raises:
            FormatError, TrustError, ClockSkew, BadRequest: as :meth:`Mirror.hand_in`.
        """
        who.require(TokenRole.SENDER)
        accepted = await self._mirror.hand_in(data)
        await self._taken()
        waiting = await self._waiting()
        return _view(accepted.document, accepted.hash, accepted.hash not in waiting)

    async def list(
        self, who: Identity, kind: str | None, state: str | None, *, history: bool = False
    ) -> DocumentsView:
        """Return the trusted documents, all or those of one kind or state, in the order of acceptance.

        Args:
            who: Who asks.
            kind: Only documents of this kind.
            state: Only documents of this state.
            history: Every version, which can be verified from the first root on; else the newest ones.
        """
        del who
        waiting, current = await self._waiting(), self._current()
        views: list[DocumentView] = []
        for data in await self._context.engine.read(read_documents):
            body = parse_signed_document(data).body
            digest = document_hash(body)
            if history or digest in current:
                view = _view(parse_document(body), digest, digest not in waiting, data)
                views += [view] * (kind in (None, view.kind) and state in (None, view.state))
        return DocumentsView(documents=tuple(views))

    async def _waiting(self) -> frozenset[bytes]:
        queued = await self._context.engine.read(read_published)
        return frozenset(signed_document_hash(data) for data in queued)

    def _current(self) -> frozenset[bytes]:
        trusted = self._context.directory.documents
        single = [held.hash for held in (trusted.root, trusted.directory) if held is not None]
        books = (trusted.manifests, trusted.prekeys, trusted.publications)
        return frozenset([*single, *(held.hash for book in books for held in book.values())])


def _view(document: Document, digest: bytes, handed_over: bool, data: bytes | None = None) -> DocumentView:
    publication = document if isinstance(document, Publication) else None
    return DocumentView(
        kind=str(document.__struct_config__.tag),
        state=None if isinstance(document, Root | Directory) else document.state,
        name=None if publication is None else f"{publication.topic}/{publication.name}",
        version=document.version,
        hash=digest.hex(),
        issued_ms=document.issued_ms,
        expires_ms=None if isinstance(document, Publication) else document.expires_ms,
        handed_over=handed_over,
        document=None if data is None else format_base64(data),
    )
