"""Where to look for the coordinator: one address after another, and a pause once all have failed.

An address needs no trust: whoever answers must show the listed certificate, and sign the hello. So the
directory's addresses and this node's own are tried alike. What fails is followed at once by the next,
and only when every address has failed in turn is there a pause, which grows. Each node has an order of
its own, so that the nodes of a community spread over what there is, and those of one process over the rest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from exchange.node.backoff import Backoff

HURRY_SECONDS = 0.4
"""The longest pause between two addresses of one round: the nodes of one process do not all come at once."""
FIRST_PATIENCE_SECONDS = 4.0
"""How long an address has to open a session while another one has not been tried yet."""
PATIENCE_SECONDS = 10.0


class Addresses:
    """Chooses which address is tried, and when.

    Args:
        state: The code of this node's state.
        own: Addresses that this node's settings name: they come first, in their order.
        backoff: How long to wait once every address has failed.
        draw: Returns a number from 0 up to 1.
    """

    def __init__(self, state: str, own: Sequence[str], backoff: Backoff, draw: Callable[[], float]) -> None:
        self._state = state
        self._own = tuple(own)
        self._backoff = backoff
        self._draw = draw
        self._tried: set[str] = set()
        self.rounds = 0
        """How often in a row every address has failed."""

    def all(self, listed: Sequence[str]) -> tuple[str, ...]:
        """Return every address once, the best first.

        Args:
            listed: Those of the directory.
        """
        return tuple(dict.fromkeys((*self._own, *sorted(listed, key=self._rank))))

    def choose(self, listed: Sequence[str]) -> tuple[str, float]:
        """Return the address to try now, and for how many seconds."""
        left = [url for url in self.all(listed) if url not in self._tried] or self.all(listed)
        hurry = len(left) > 1 and not self.rounds
        return left[0], FIRST_PATIENCE_SECONDS if hurry else PATIENCE_SECONDS

    def failed(self, url: str, listed: Sequence[str]) -> float:
        """Note that a try, or a session, at an address has ended; return the seconds until the next."""
        self._tried.add(url)
        if self._tried.issuperset(self.all(listed)):
            self._tried.clear()
            self.rounds += 1
            return self._backoff.next_pause()
        return HURRY_SECONDS * self._draw()

    def succeeded(self) -> None:
        """Note that a session has achieved something."""
        self._tried.clear()
        self.rounds = 0
        self._backoff.succeeded()

    def _rank(self, url: str) -> bytes:
        return hashlib.sha256(f"{self._state} {url}".encode()).digest()
