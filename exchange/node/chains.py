"""Statements that continue a key's chain: numbered in memory, made durable with what they say.

For each key one caller at a time numbers statements, so no two ever get one number: the inbox for
the node's key, one officer after another for theirs. After a write whose outcome is unknown the
chain is read again before the next statement.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace

from exchange.node.context import NodeContext
from exchange.stores.node_statements import read_chains
from keys.evidence import NO_STATEMENT_YET, Chain, Draft, Saying, draft_statement, sign_statements
from keys.signer import Signer


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
    drafts: list[Draft] = []
    seen = context.heads.seen
    for saying in sayings:
        draft = draft_statement(
            replace(saying, seen=seen),
            party=context.state,
            signer=signer,
            at_ms=now_ms,
            nonce=secrets.token_bytes(32),
            directory=context.directory.head(),
            chain=chain,
        )
        drafts.append(draft)
        chain = draft.chain
    signed = sign_statements(signer, drafts) if drafts else []
    return [Said(signer.key_id, *parts) for parts in zip(sayings, drafts, signed, strict=True)]
