"""One thread that takes calls from a queue in batches, and answers each on the event loop.

The loop is woken once per batch, not once per call: thread switches are the cost of a fast store.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

from exchange.stores.writer import Outcome, Work
from protocol.errors import OutcomeUnknown

Jobs = SimpleQueue["Job | None"]
"""Calls in the order they were made; None asks one worker to stop."""


@dataclass(frozen=True, slots=True)
class Job:
    """One call: what to run, and who waits for it."""

    work: Work
    waiting: asyncio.Future[Any]


class Worker:
    """A thread that runs jobs until it takes a None from the queue.

    Args:
        name: The thread's name.
        jobs: The queue, which several workers may share.
        run: Runs a batch and returns an outcome for each work, in order.
        limit: The most works in one batch.
        loop: Where the futures live.
    """

    def __init__(
        self,
        name: str,
        jobs: Jobs,
        run: Callable[[Sequence[Work]], list[Outcome]],
        limit: int,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._jobs = jobs
        self._run = run
        self._limit = limit
        self._loop = loop
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait until the thread has ended."""
        self._thread.join()

    def _work(self) -> None:
        while batch := self._take():
            try:
                outcomes = self._run([job.work for job in batch])
            except Exception as error:
                # A fault of the store's own code: nobody may wait for ever, and nothing is claimed.
                outcomes = [Outcome(None, unknown(error)) for _ in batch]
            try:
                self._loop.call_soon_threadsafe(settle, batch, outcomes)
            except RuntimeError:
                return  # the loop was closed: nobody is left to be told

    def _take(self) -> list[Job]:
        """Wait for a job, then take those behind it up to the limit; empty when asked to stop."""
        batch: list[Job] = []
        job = self._jobs.get()
        while job is not None:
            batch.append(job)
            if len(batch) == self._limit:
                return batch
            try:
                job = self._jobs.get_nowait()
            except Empty:
                return batch
        if batch:
            self._jobs.put(None)
        return batch


def settle(batch: Sequence[Job], outcomes: Sequence[Outcome]) -> None:
    """Answer every caller that still waits; those that were cancelled are left alone."""
    for job, outcome in zip(batch, outcomes, strict=True):
        if job.waiting.done():
            continue
        if outcome.error is not None:
            job.waiting.set_exception(outcome.error)
        else:
            job.waiting.set_result(outcome.value)


def unknown(cause: Exception) -> OutcomeUnknown:
    """Return what a caller is told when the store itself misbehaved."""
    error = OutcomeUnknown("the store stopped half-way through the work")
    error.__cause__ = cause
    return error
