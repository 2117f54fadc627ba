"""Opening one notice for an auditor: its manifest, the sealed bytes as they were, and the content key.

The sealed payload is not kept (``protocol/decisions/0006``): it is made again from body, key and salt,
and handed out only if it is, by the manifest's hash, the very one that was sent.
"""

from __future__ import annotations

import asyncio
import hashlib

import apsw

from exchange.node.context import NodeContext
from exchange.node.summary import unlock_body, unlock_key
from exchange.node.tokens import Identity
from exchange.node.views import DisclosureView
from exchange.stores.node_books import record_event
from exchange.stores.node_notices import NoticeRow, find_body
from keys.sealing import sealed_again
from protocol import codec
from protocol.disclosure import Disclosure
from protocol.errors import StoreFailed
from protocol.notice import parse_manifest
from protocol.signed import Proof
from protocol.text import format_base64

MAX_PROOF_BYTES = 8192


async def disclosed(context: NodeContext, row: NoticeRow, who: Identity) -> DisclosureView:
    """Return a notice with the key that opens it, and record who asked for it.

    Args:
        context: The node.
        row: The notice.
        who: The officer who opens it.

    Raises:
        StoreFailed: what is stored does not give the bytes that were sent.
    """
    locked = await context.engine.read(lambda db: find_body(db, row.content_id))
    data = await asyncio.to_thread(_file, context, row, locked)
    now_ms = context.clock.now_ms()

    def record(db: apsw.Connection) -> None:
        record_event(db, now_ms, "notice.disclosed", envelope=row.id, detail=f"by {who.name}")

    # Before it is handed out: nobody gets a key of which there is no trace.
    await context.engine.write(record)
    context.events.ring()
    return DisclosureView(id=row.id.hex(), disclosure=format_base64(data))


def _file(context: NodeContext, row: NoticeRow, locked: bytes) -> bytes:
    manifest, _ = parse_manifest(row.manifest)
    body = unlock_body(context.vault, row.content_id, locked)
    key = unlock_key(context.vault, row)
    payload = sealed_again(body, manifest.header, key, row.salt)
    if hashlib.sha256(payload).digest() != manifest.payload_hash:
        raise StoreFailed("what is stored of this notice does not give the bytes that were sent")
    proof = codec.decode(row.proof, Proof, limit=MAX_PROOF_BYTES, what="stored proof")
    return codec.encode(Disclosure(manifest=row.manifest, proof=proof, payload=payload, content_key=key))
