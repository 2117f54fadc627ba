"""Every way in which a genuine envelope does not open: answered with a signed REJECTED, and with one code."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from msgspec.structs import replace

from exchange.stores.node_books import PrekeyRow, destroy_prekeys, insert_prekey
from keys.payload import pad, seal_payload
from keys.sealing import _wrap_info
from keys.wrap import wrap
from protocol import codec
from protocol.digest import tag
from protocol.envelope import Submission, deliver
from protocol.notice import Manifest, header_hash
from protocol.signed import Context
from protocol.statement import StatementKind, parse_statement
from tests.community import community
from tests.envelopes import BODY, header
from tests.nodes import TestNode, a_node

XBB_KEY = community().members["XBB"].prekeys[0].public
XCC_KEY = community().members["XCC"].prekeys[0].public


@dataclass(frozen=True)
class Recipe:
    """One envelope of XAA to XBB, with any one step done wrong; XAA signs the result as it is."""

    named: bytes = XBB_KEY.key_id
    public: bytes = XBB_KEY.public
    content: bytes = codec.encode(BODY)
    wrapped_key: bytes | None = None
    position: bytes = (1).to_bytes(8, "big") + bytes(32)
    spoil: Callable[[bytes], bytes] = field(default=lambda payload: payload)

    def seal(self) -> bytes:
        """Return what the coordinator delivers."""
        head = header(community(), to=("XBB",))
        head = replace(head, recipients=(replace(head.recipients[0], prekey_id=self.named),))
        head_bytes, key = codec.encode(head), secrets.token_bytes(32)
        bound = header_hash(head_bytes)
        payload = self.spoil(
            seal_payload(key, pad(self.content), tag("payload") + bound, secrets.token_bytes(24))
        )
        digest = hashlib.sha256(payload).digest()
        wrapped = wrap(
            self.public,
            _wrap_info(head.suite, bound, digest, "XBB", self.named),
            (self.wrapped_key or key) + self.position,
        )
        manifest = codec.encode(
            Manifest(
                header=head_bytes,
                wrap_hashes=(hashlib.sha256(wrapped).digest(),),
                payload_hash=digest,
                payload_length=len(payload),
                blobs=(),
            )
        )
        proof = community().members["XAA"].node.sign(Context.NOTICE, manifest)
        return codec.encode(deliver(Submission(manifest, proof, (wrapped,), payload), 0))


def flipped(place: int) -> Callable[[bytes], bytes]:
    """Return what turns one bit of a payload."""
    return lambda payload: payload[:place] + bytes([payload[place] ^ 1]) + payload[place + 1 :]


WRONG: dict[str, Recipe] = {
    "a key id that was never ours": Recipe(named=bytes(32)),
    "a wrap for somebody else's key": Recipe(public=XCC_KEY.public),
    "another content key: the commitment tells": Recipe(wrapped_key=bytes(32)),
    "an altered commitment": Recipe(spoil=flipped(30)),
    "an altered payload": Recipe(spoil=flipped(200)),
    "a payload that was cut": Recipe(spoil=lambda payload: payload[:-16]),
    "content that is no body": Recipe(content=b"rubbish"),
    "another sender inside": Recipe(content=codec.encode(replace(BODY, sender="XCC"))),
    "an impossible number": Recipe(position=bytes(40)),
}


@pytest.fixture
async def xbb(tmp_path: Path) -> AsyncIterator[TestNode]:
    """Return XBB's node."""
    async with a_node(tmp_path / "XBB", "XBB") as opened:
        yield opened


async def said(node: TestNode) -> list[tuple[StatementKind, str | None]]:
    """Return what a node has said."""
    rows = [parse_statement(row.content)[1] for row in await node.queue() if row.kind == "attest"]
    return [(one.kind, one.code) for one in rows]


async def test_the_recipe_itself_is_right(xbb: TestNode) -> None:
    """Otherwise the tests below would prove nothing."""
    await xbb.receive(Recipe().seal())
    assert await said(xbb) == [(StatementKind.RECEIVED, None)]


@pytest.mark.parametrize("name", WRONG)
async def test_what_does_not_open_is_rejected_with_one_code(xbb: TestNode, name: str) -> None:
    """An oracle needs two answers; the sender gets one, and can seal the notice again."""
    await xbb.receive(WRONG[name].seal())
    assert await said(xbb) == [(StatementKind.REJECTED, "cannot-open")]
    assert await xbb.desk.inbox(xbb.officer) == ()


async def test_a_destroyed_key_is_rejected_with_the_same_code(xbb: TestNode) -> None:
    """Whether the key is gone by its time or by an accident is nobody's business."""
    await xbb.context.engine.write(lambda db: destroy_prekeys(db, 2**62))
    await xbb.receive(Recipe().seal())
    assert await said(xbb) == [(StatementKind.REJECTED, "cannot-open")]


async def test_an_altered_stored_key_is_rejected_with_the_same_code(xbb: TestNode) -> None:
    """No later try would open it, so the sender must hear of it."""
    name, altered = XBB_KEY.key_id, PrekeyRow("2026-03-01", bytes(80))
    await xbb.context.engine.write(lambda db: destroy_prekeys(db, 2**62))
    await xbb.context.engine.write(lambda db: insert_prekey(db, name, 2**62, altered))
    await xbb.receive(Recipe().seal())
    assert await said(xbb) == [(StatementKind.REJECTED, "cannot-open")]
