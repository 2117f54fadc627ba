"""The coordinator's own statements: RELAYED and UNDELIVERED, chained, signed together.

Written in a turn only: a number used twice would look to everyone like a fork of this coordinator's word.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence

from exchange.stores.contract import ChainHead, Turn
from keys.evidence import Chain, Draft, Saying, draft_statement, sign_statements
from keys.roster import Roster
from keys.signer import Signer

NONCE_BYTES = 32


class Promises:
    """Writes statements that continue the stored chain of the statement key of now.

    Args:
        party: The coordinator's code.
        signer: Returns its statement key; another one begins a chain of its own.
        directory: Whose head each statement names.
    """

    def __init__(self, party: str, signer: Callable[[], Signer], directory: Roster) -> None:
        self.party = party
        self._current = signer
        self._signer = signer()
        self._directory = directory
        self._head: Chain | None = None

    async def load(self, turn: Turn) -> None:
        """Take the statement key of now, and read its chain in this turn unless its end is known.

        Raises:
            SetupError: the key that counts now is not here.
            StoreFailed: it cannot be read.
        """
        signer = self._current()
        if signer.key_id != self._signer.key_id:
            self._signer, self._head = signer, None
        if self._head is None:
            stored = await turn.chain(self._signer.key_id)
            self._head = Chain(stored.sequence, stored.previous)

    def forget(self) -> None:
        """Ask :meth:`load` to read again: the last statements may be stored or not, or others came."""
        self._head = None

    def advance(self, head: ChainHead | None) -> None:
        """Continue after these statements from now on: they are durable."""
        if head is not None:
            self._head = Chain(head.sequence, head.previous)

    async def write(
        self, sayings: Sequence[Saying], at_ms: int
    ) -> tuple[list[Draft], list[bytes], ChainHead | None]:
        """Return drafts and signed forms of these statements, and the chain's end after them.

        They count only once they are stored together with that end; then call :meth:`advance`.

        Args:
            sayings: What to say, at most 256; all share one signature.
            at_ms: The time now, milliseconds UTC.
        """
        if not sayings:
            return [], [], None
        assert self._head is not None  # noqa: S101 - load() comes first
        drafts: list[Draft] = []
        chain, directory = self._head, self._directory.head()
        for saying in sayings:
            draft = draft_statement(
                saying,
                party=self.party,
                signer=self._signer,
                at_ms=at_ms,
                nonce=secrets.token_bytes(NONCE_BYTES),
                directory=directory,
                chain=chain,
            )
            drafts.append(draft)
            chain = draft.chain
        # Making an ML-DSA signature takes milliseconds, without the interpreter's lock.
        signed = await asyncio.to_thread(sign_statements, self._signer, drafts)
        return drafts, signed, ChainHead(self._signer.key_id, chain.sequence, chain.previous)
