"""An event loop with virtual time, in which a seed decides who goes first; no threads, no real network.

All that is ready runs in an order drawn from the seed; when nothing is ready, time jumps to the next timer.
Every callback belongs to a *life*, one run of one member's process, by the context it was made in: so a
process can be suspended whole, or ended, without its code knowing.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from asyncio import base_events
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar
from typing import Any

LIFE: ContextVar[Life | None] = ContextVar("life", default=None)
"""Whose process is running."""


class Life:
    """One run of one member's process, from its start to its end.

    Attributes:
        name: The member's code.
        dead: Set when it has ended: nothing that it still does leaves it.
        suspended: While set, none of its callbacks runs, as under SIGSTOP.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.suspended = False
        self.held: list[asyncio.Handle] = []
        self.tasks: dict[asyncio.Task[Any], None] = {}
        self.context = Context()
        self.context.run(LIFE.set, self)

    def begin(self, work: Coroutine[Any, Any, Any], name: str | None = None) -> asyncio.Task[Any]:
        """Start a task of this process."""
        return asyncio.get_running_loop().create_task(work, name=name, context=self.context.copy())


class Broken(AssertionError):
    """An invariant does not hold, or a fault of the program was caught by nobody."""


class NotSimulated(RuntimeError):
    """Something asked for a real thread, socket or signal."""


class SimLoop(base_events.BaseEventLoop):
    """The loop.

    Args:
        seed: Everything that is drawn here follows from it.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.set_debug(False)  # the gate asks for it by the environment; here it would cost half the speed
        self.chance = random.Random(seed)
        self.steps = 0
        self._ready: deque[asyncio.Handle]  # as the base class makes them
        self._scheduled: list[asyncio.TimerHandle]
        self._stopping: bool
        self._timer_cancelled_count: int
        self.faults: list[str] = []
        """What is wrong: broken invariants, and what no code caught. The loop goes no further."""
        self.deaf = False
        """Set to go on whatever is wrong, until everything has ended."""
        self._now = 0.0
        self._clock_resolution = 1e-9
        self.set_exception_handler(self._note)
        self.set_task_factory(_of_a_life)  # type: ignore[arg-type]

    def time(self) -> float:
        """Return virtual seconds since the beginning."""
        return self._now

    def _run_once(self) -> None:
        self._let_time_pass()
        batch = list(self._ready)
        self._ready.clear()
        if len(batch) > 1:
            self.chance.shuffle(batch)
        for handle in batch:
            if handle._cancelled:
                continue
            life = handle._context.get(LIFE)  # type: ignore[attr-defined]
            if life is not None and life.suspended:
                life.held.append(handle)
                continue
            self.steps += 1
            handle._run()
        if self.faults and not self.deaf:
            raise Broken("; ".join(self.faults[:6]))

    def _let_time_pass(self) -> None:
        """Move every timer that is due to what is ready; if nothing is, first let time pass to the next."""
        timers = self._scheduled
        while timers and timers[0]._cancelled:
            self._forget(heapq.heappop(timers))
        if not self._ready and not self._stopping:
            if not timers:
                raise NotSimulated("nothing is ready and nothing is scheduled: everybody waits for ever")
            # A little later than asked for, as always: clocks that began elsewhere round differently.
            self._now = max(self._now, timers[0].when()) + 1e-6
        while timers and timers[0].when() <= self._now:
            timer = heapq.heappop(timers)
            timer._scheduled = False  # type: ignore[attr-defined]
            self._ready.append(timer)

    def _forget(self, timer: asyncio.TimerHandle) -> None:
        self._timer_cancelled_count -= 1
        timer._scheduled = False  # type: ignore[attr-defined]

    def resume(self, life: Life) -> None:
        """Let a suspended process go on: whatever was due meanwhile is due at once."""
        life.suspended = False
        self._ready.extend(life.held)
        life.held.clear()

    async def end(self, life: Life) -> None:
        """End a process: nothing that it does from now on counts, and its tasks are unwound."""
        life.dead = True
        self.resume(life)
        for _ in range(64):
            left = [task for task in life.tasks if not task.done()]
            if not left:
                break
            for task in left:
                task.cancel()
            await asyncio.sleep(0.01)
        else:
            self.faults.append(f"{life.name}: cancelled 64 times and still running: {left}")
        life.tasks.clear()

    def run_in_executor(  # type: ignore[override]
        self, _executor: None, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Run what would block in a thread: here it takes a moment, and nobody else runs meanwhile."""
        future = self.create_future()
        life = LIFE.get()

        def work() -> None:
            if life is not None and life.dead:
                return
            try:
                result = func(*args)
            except Exception as error:
                if not future.done():
                    future.set_exception(error)
            else:
                # What was done is done, whether somebody still waits for it or not.
                self.call_later(self.chance.uniform(0.0, 0.004), _settle, future, result)

        self.call_later(self.chance.uniform(0.0, 0.004), work)
        return future

    def call_soon_threadsafe(self, *_: object, **__: object) -> asyncio.Handle:
        """Refuse: there are no threads."""
        raise NotSimulated("a thread was started")

    async def getaddrinfo(self, *_: object, **__: object) -> Any:
        """Refuse: there are no names."""
        raise NotSimulated("a name was looked up")

    def _note(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        life = LIFE.get()
        if life is None or not life.dead:
            who = "the world" if life is None else life.name
            self.faults.append(f"{who}: {context.get('message')}: {context.get('exception')!r}")

    # What BaseEventLoop asks of a loop that has real input and output.

    def _asyncgen_firstiter_hook(self, _generator: object) -> None:
        """Keep no list: nothing may depend on when memory is given back."""

    def _asyncgen_finalizer_hook(self, _generator: object) -> None:
        """Likewise."""

    def _process_events(self, _events: object) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nobody sleeps."""


def _settle(future: asyncio.Future[Any], result: object) -> None:
    if not future.done():
        future.set_result(result)


def _of_a_life(
    loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], context: Context | None = None
) -> asyncio.Task[Any]:
    """Make a task, and enter it in the list of the process it belongs to."""
    task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, context=context)
    life = LIFE.get() if context is None else context.get(LIFE)
    if life is not None:
        life.tasks[task] = None
        if len(life.tasks) % 256 == 0:
            life.tasks = {one: None for one in life.tasks if not one.done()}
    return task
