"""How the link to the coordinator stands, for people to see."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from exchange.clock import Clock
from keys.trust import MAX_SKEW_MS
from protocol.errors import AlmenaraError, ClockSkew


@dataclass(frozen=True, slots=True)
class Silent:
    """Why an address did not serve when it was tried last, and when that was, milliseconds UTC."""

    error: str
    at_ms: int


class LinkState:
    """What is known of the link now; nothing here is durable.

    Attributes:
        address: Where the session is, or was tried last; empty before any try.
        silent: The addresses that failed when they were tried last, and why.
        connected_since_ms: When the present session opened, or None without one.
        last_error: Why the last session or try ended.
        last_code: The code of that error.
        retry_seconds: The pause before the next try, while there is no session.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.address = ""
        self.silent: dict[str, Silent] = {}
        self.connected_since_ms: int | None = None
        self.last_error: str | None = None
        self.last_code: str | None = None
        self._coordinator_ms: float | None = None
        self.retry_seconds: float | None = None

    @property
    def skew_ms(self) -> int | None:
        """The coordinator's clock, as last seen and carried on, less ours now; None before any session.

        It follows a correction of our clock at once, in the middle of a session too.
        """
        if self._coordinator_ms is None:
            return None
        return round(self._coordinator_ms + self._clock.monotonic() * 1000) - self._clock.now_ms()

    @property
    def clock_is_wrong(self) -> bool:
        """Whether our clock is known to differ from the coordinator's by more than is allowed."""
        skew = self.skew_ms
        return skew is not None and abs(skew) > MAX_SKEW_MS

    def require_right_clock(self) -> None:
        """Return unless this machine's clock is known to be wrong: what it would sign, nobody would take.

        Raises:
            ClockSkew: it is.
        """
        skew = self.skew_ms
        if skew is not None and self.clock_is_wrong:
            direction = "behind" if skew > 0 else "ahead of"
            raise ClockSkew(
                f"this machine's clock is {abs(skew) / 3_600_000:.1f} h {direction} the coordinator's"
            )

    def trying(self, address: str, known: Collection[str]) -> None:
        """Remember where the next session is tried, and forget what is no address any more."""
        self.address = address
        self.silent = {url: silent for url, silent in self.silent.items() if url in known}

    def opened(self, skew_ms: int) -> None:
        """Remember that a session is open."""
        self.connected_since_ms = self._clock.now_ms()
        self._coordinator_ms = self.connected_since_ms + skew_ms - self._clock.monotonic() * 1000
        self.last_error = self.last_code = self.retry_seconds = None
        self.silent.pop(self.address, None)

    def lost(self, error: AlmenaraError) -> None:
        """Remember why there is no session, or no more."""
        if self.address:
            self.silent[self.address] = Silent(error.message, self._clock.now_ms())
        self.connected_since_ms = None
        self.last_error, self.last_code = error.message, error.code

    def retry_in(self, seconds: float) -> None:
        """Remember when the next try will be."""
        self.connected_since_ms = None
        self.retry_seconds = seconds
