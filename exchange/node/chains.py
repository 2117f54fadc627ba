"""Statements that continue a key's chain: numbered in memory, made durable with what they say.

For each key one caller at a time numbers statements, so no two ever get one number: the inbox for
the node's key, one officer after another for theirs. After a write whose outcome is unknown the
chain is read again before the next statement.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from exchange.node.context import NodeContext
from exchange.stores.node_statements import read_chains
from keys.evidence import NO_STATEMENT_YET, Chain, Draft, Saying, draft_statement, sign_statements
from keys.signer import Signer

FEW = 8
"""How many statements are drafted at once, and signed without a thread."""


@dataclass(frozen=True, slots=True)
class Said:
    """A signed statement with the draft it came from, and the key whose chain it continues."""

    key_id: bytes
    saying: Saying
    draft: Draft
    data: bytes


async def last_of_chain(context: NodeContext, key_id: bytes) -> Chain:
    """Return a key's last statement, after every write that was begun before."""
    chains = await context.engine.write(read_chains)
    return Chain(*chains[key_id]) if key_id in chains else NO_STATEMENT_YET


def say(
    context: NodeContext, signer: Signer, chain: Chain, sayings: Sequence[Saying], now_ms: int
) -> list[Said]:
    """Sign statements that continue ``chain`` in order, all with one signature.

    Each says which checkpoint of the ledger this node has verified last: whoever was shown another
    ledger finds out by it.
    """
    drafts = list(_drafts(context, signer, chain, sayings, now_ms))
    return _said(signer, sayings, drafts, sign_statements(signer, drafts) if drafts else [])


async def say_all(
    context: NodeContext, signer: Signer, chain: Chain, sayings: Sequence[Saying], now_ms: int
) -> list[Said]:
    """Sign as many as 256 statements as :func:`say` does, and let other tasks have their turn meanwhile."""
    if len(sayings) < FEW:
        return say(context, signer, chain, sayings, now_ms)
    drafts: list[Draft] = []
    for draft in _drafts(context, signer, chain, sayings, now_ms):
        drafts.append(draft)
        if len(drafts) % FEW == 0:
            await asyncio.sleep(0)
    # Signing lets go of the interpreter.
    return _said(signer, sayings, drafts, await asyncio.to_thread(sign_statements, signer, drafts))


def _drafts(
    context: NodeContext, signer: Signer, chain: Chain, sayings: Sequence[Saying], now_ms: int
) -> Iterator[Draft]:
    seen = context.heads.seen
    directory = context.directory.head()
    for saying in sayings:
        draft = draft_statement(
            replace(saying, seen=seen),
            party=context.state,
            signer=signer,
            at_ms=now_ms,
            nonce=secrets.token_bytes(32),
            directory=directory,
            chain=chain,
        )
        yield draft
        chain = draft.chain


def _said(
    signer: Signer, sayings: Sequence[Saying], drafts: Sequence[Draft], signed: Sequence[bytes]
) -> list[Said]:
    return [Said(signer.key_id, *parts) for parts in zip(sayings, drafts, signed, strict=True)]
