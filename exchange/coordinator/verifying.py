"""Signatures checked beforehand and beside each other, when more than a handful waits.

Checking one takes a few tenths of a millisecond, nearly all of it without the interpreter's lock: two
threads check twice as many, and sessions are served meanwhile. What was checked is remembered by the
verifier; whether it may be believed is decided afterwards, as if nobody had looked.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from keys.signer import Claim, Verifier
from protocol.errors import AlmenaraError

A_HANDFUL = 2
"""So few are checked at once by whoever needs them: waking a thread costs a fifth of a check."""


class Verifying:
    """A few threads, shared by all rounds.

    Args:
        verifier: Checks, and remembers.
        threads: How many; by default as many as there are processors, up to four.
    """

    def __init__(self, verifier: Verifier, *, threads: int | None = None) -> None:
        self._verifier = verifier
        self._threads = threads or min(4, os.cpu_count() or 1)
        self._pool = ThreadPoolExecutor(self._threads, "almenara-verifier")

    async def warm(self, claims: Iterable[Claim]) -> None:
        """Check these claims in threads if they are many, so that the verifier knows those that are true."""
        distinct = list({claim.signature: claim for claim in claims}.values())
        if len(distinct) <= A_HANDFUL:
            return
        loop = asyncio.get_running_loop()
        shares = [distinct[first :: self._threads] for first in range(self._threads)]
        await asyncio.gather(
            *(loop.run_in_executor(self._pool, self._check, share) for share in shares if share)
        )

    def close(self) -> None:
        """Let the threads end."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _check(self, claims: Sequence[Claim]) -> None:
        for claim in claims:
            # A claim that is false is judged, and refused, in its turn.
            with contextlib.suppress(AlmenaraError):
                self._verifier.check(claim)
