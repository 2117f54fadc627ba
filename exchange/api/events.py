"""The event stream: server-sent events, numbered, resumable, with a heartbeat.

::

    id: 42
    event: received
    data: {"number":42,"at_ms":1772334855926,"event":"received", …}

    : still here

A reader that comes back with ``Last-Event-ID`` (or ``?since=``) misses nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import msgspec
import structlog
from aiohttp import web

from exchange.api.problems import Refusal
from exchange.node.views import EventView
from protocol.errors import BadRequest

HEARTBEAT_S = 15.0
MOST_WAITING = 256
_MAX_NUMBER = 2**63 - 1
_log = structlog.get_logger()


class Streams:
    """The open event streams, so that a stopping node can end them; it never waits for a reader."""

    def __init__(self, heartbeat_s: float = HEARTBEAT_S) -> None:
        self._heartbeat_s = heartbeat_s
        self._tasks: set[asyncio.Task[object]] = set()

    async def serve(
        self, request: web.Request, events: AsyncIterator[EventView], allowed: Callable[[], bool]
    ) -> web.StreamResponse:
        """Write events to the caller until it leaves, its token is taken back, or the node stops."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
        try:
            await response.prepare(request)
            await response.write(b": connected\n\n")
            await self._copy(response, events, allowed)
        except ConnectionError:
            pass  # the reader left; it resumes from its last number
        except Exception as error:
            if not response.prepared:
                raise
            # The headers are out: ending the stream is all that can still be said.
            _log.error("stream.failed", exc_info=error)
        finally:
            if task is not None:
                self._tasks.discard(task)
        return response

    async def _copy(
        self, response: web.StreamResponse, events: AsyncIterator[EventView], allowed: Callable[[], bool]
    ) -> None:
        waiting: asyncio.Queue[bytes | None] = asyncio.Queue(MOST_WAITING)
        reading = asyncio.create_task(_read(events, waiting))
        try:
            while True:
                chunk: list[bytes | None] = [b": still here\n\n"]
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._heartbeat_s):
                        chunk = [await waiting.get()]
                # A burst of events costs one write, and the reader one wake-up.
                while not waiting.empty():
                    chunk.append(waiting.get_nowait())
                if not allowed():
                    return None
                await response.write(b"".join(line for line in chunk if line is not None))
                if chunk[-1] is None:
                    return await reading
        finally:
            # Cancelling ends the desk's own waiting; a failure was already raised above.
            reading.cancel()
            await asyncio.wait({reading})

    async def close(self, app: web.Application) -> None:
        """End every stream; called when the node stops."""
        for task in tuple(self._tasks):
            task.cancel()


async def _read(events: AsyncIterator[EventView], waiting: asyncio.Queue[bytes | None]) -> None:
    """Hand over each event, and None at the end, also at a failure; not when cancelled."""
    try:
        async for event in events:
            await waiting.put(_encoded(event))
    except Exception:
        await waiting.put(None)
        raise
    await waiting.put(None)


def _encoded(event: EventView) -> bytes:
    # JSON has no raw line breaks, so one data line is one event.
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (
        event.number,
        event.event.encode(),
        msgspec.json.encode(event),
    )


def resume_after(request: web.Request, since: int | None) -> int:
    """Return the number after which to begin: ``since`` if given, else ``Last-Event-ID``, else 0.

    Raises:
        Refusal: the header is no event number.
    """
    if since is not None:
        return since
    header = request.headers.get("Last-Event-ID", "0")
    if not (header.isascii() and header.isdecimal() and len(header) < 20 and int(header) <= _MAX_NUMBER):
        raise Refusal(400, BadRequest("the Last-Event-ID is not the number of an event"))
    return int(header)
