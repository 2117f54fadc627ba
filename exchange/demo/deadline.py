"""A deadline for one step of the demonstration, whatever it waits for: a socket, a process, the disk."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from protocol.errors import ServiceError


@contextmanager
def deadline(seconds: float, awaited: str) -> Iterator[None]:
    """Run a block for at most ``seconds``; only in the main thread, and not one inside another.

    Args:
        seconds: How long the block may take.
        awaited: What it waits for, as in ``"XCC to receive the report"``.

    Raises:
        ServiceError: the time is up; the sentence says what did not happen.
    """

    def give_up(_number: int, _frame: FrameType | None) -> None:
        raise ServiceError(
            f"waited {seconds:.0f} s for {awaited}",
            hint="Look at the log lines above. On a very slow machine, try once more.",
        )

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
