"""What the node shows of documents: frozen values that become JSON, as those of ``views``."""

from __future__ import annotations

from exchange.node.views import View


class DocumentView(View, frozen=True, kw_only=True):
    """One trusted document. ``handed_over`` is false while it waits for the coordinator.

    ``document`` is the signed document itself in base64; in the answer to handing one in it is left out.
    """

    kind: str
    state: str | None
    name: str | None
    version: int
    hash: str
    issued_ms: int
    expires_ms: int | None
    handed_over: bool
    document: str | None = None


class DocumentsView(View, frozen=True, kw_only=True):
    """The newest version of each document that was asked for."""

    documents: tuple[DocumentView, ...]
