"""The node's side: asks the unsealer, starts it again when it has ended, and lets nobody notice.

A request waits as long as it must: an unsealer that is gone says nothing about what was to be opened.
All requests can be repeated, so those under way when it ends are asked again of the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import TypeVar

import structlog

from exchange.unsealer.launch import Child
from exchange.unsealer.messages import (
    MAX_WRAPS,
    Answer,
    BoundWrap,
    DestroyDays,
    Destroyed,
    Failed,
    Made,
    MadeKey,
    MakeDays,
    Opened,
    OpenedWraps,
    OpenNote,
    OpenWrap,
    OpenWraps,
    Ready,
    Request,
    frame,
    frame_length,
    parse_answer,
)
from protocol.errors import (
    AlmenaraError,
    CannotOpen,
    FormatError,
    KeyfileError,
    KeyfileUnsafe,
    ServiceError,
    SetupError,
    StoreFailed,
    WrongPassphrase,
)

FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 30.0
ANSWER_SECONDS = 30.0
_ERRORS = {
    error.code: error
    for error in (CannotOpen, KeyfileError, KeyfileUnsafe, SetupError, StoreFailed, WrongPassphrase)
}
_log = structlog.get_logger()

A = TypeVar("A", Opened, OpenedWraps, Made, Destroyed)


class Unsealer:
    """One node's unsealer.

    Args:
        launch: Starts it.

    Attributes:
        trouble: Why it does not answer now, or None.
    """

    def __init__(self, launch: Callable[[], Child]) -> None:
        self._launch = launch
        self._child: Child | None = None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._pending: dict[int, tuple[bytes, asyncio.Future[Answer]]] = {}
        self._last_ref = 0
        self._is_ready = False
        self._pause = FIRST_PAUSE_SECONDS
        self.trouble: AlmenaraError | None = None

    async def start(self) -> None:
        """Start it and return when it has opened its keys.

        Raises:
            KeyfileError, WrongPassphrase, SetupError, StoreFailed: it cannot open them.
            ServiceError: it ended without a word.
        """
        self._child = self._launch()
        self._reader, self._writer = await asyncio.open_connection(sock=self._child.connection)
        said = await self._next()
        if not isinstance(said, Ready):
            code = await self._end()
            if isinstance(said, Failed):
                raise _error(said)
            raise ServiceError(f"the unsealer ended when it was started (exit code {code})")
        self.trouble, self._is_ready = None, True
        _log.info("unsealer.started")
        for lack in said.lacking:
            _log.warning("unsealer.lacks", reason=lack)
        for data, _ in self._pending.values():
            self._writer.write(data)

    async def run(self) -> None:
        """Take answers, and start it again when it has ended; returns only by cancellation."""
        while True:
            while (said := await self._next()) is not None:
                self._take(said)
            code = await self._end()
            self.trouble = ServiceError(
                f"the unsealer ended (exit code {code}); what is delivered waits",
                hint="It is started again by itself. If this stays, look at this machine's log and memory.",
            )
            _log.warning("unsealer.ended", number=code, count=len(self._pending))
            await self._start_again()

    async def close(self) -> None:
        """End it in order, and return when it has ended."""
        await self._end()

    async def open_wrap(self, prekey_id: bytes, day: str, locked: bytes, wrap: bytes, info: bytes) -> bytes:
        """Return the 72 bytes of one wrap.

        Args:
            prekey_id: The one key that the envelope names.
            day: Its UTC day, as in ``2026-11-25``.
            locked: Its seed as the store has it.
            wrap: Exactly 1208 bytes.
            info: What the wrap binds.

        Raises:
            CannotOpen: it does not open, or its day was destroyed.
            StoreFailed: the day's key cannot be reached now.
        """
        ref = self._next_ref()
        asked = OpenWrap(ref=ref, prekey_id=prekey_id, day=day, locked=locked, wrap=wrap, info=info)
        return (await self._ask(asked, Opened)).plaintext

    async def open_wraps(
        self, prekey_id: bytes, day: str, locked: bytes, wraps: Sequence[tuple[bytes, bytes]]
    ) -> list[bytes | None]:
        """Return what is in each of any number of wraps, in order; None for one that does not open.

        Args:
            prekey_id: The one key that all their envelopes name.
            day: Its UTC day.
            locked: Its seed as the store has it.
            wraps: Each wrap with what it binds.

        Raises:
            CannotOpen: the day was destroyed, so that none of them opens.
            StoreFailed: the day's key cannot be reached now.
        """
        bound = [BoundWrap(wrap=wrap, info=info) for wrap, info in wraps]
        # Several requests rather than a large one: while one is opened, the next is on its way.
        asked = [
            OpenWraps(
                ref=self._next_ref(),
                prekey_id=prekey_id,
                day=day,
                locked=locked,
                wraps=tuple(bound[start : start + MAX_WRAPS]),
            )
            for start in range(0, len(bound), MAX_WRAPS)
        ]
        answers = await asyncio.gather(*(self._ask(one, OpenedWraps) for one in asked))
        opened = [plaintext for answer in answers for plaintext in answer.plaintexts]
        if len(opened) != len(bound):
            raise ServiceError("the unsealer answered for another number of wraps than it was asked")
        return opened

    async def open_note(self, prekey_id: bytes, day: str, locked: bytes, sealed: bytes, info: bytes) -> bytes:
        """Return what an officer's note seals, still padded; as :meth:`open_wrap`."""
        ref = self._next_ref()
        asked = OpenNote(ref=ref, prekey_id=prekey_id, day=day, locked=locked, sealed=sealed, info=info)
        return (await self._ask(asked, Opened)).plaintext

    async def make_days(self, first_ms: int, days: int) -> tuple[MadeKey, ...]:
        """Return new prekeys for so many days from the one of this time (ms UTC) on.

        Raises:
            StoreFailed: the keys of days cannot be written.
        """
        return (await self._ask(MakeDays(ref=self._next_ref(), first_ms=first_ms, days=days), Made)).keys

    async def destroy_days(self, before: str, keep: Sequence[str]) -> tuple[str, ...]:
        """Destroy the keys of all days before one but for some; return the days.

        Raises:
            StoreFailed: not all could be destroyed.
        """
        asked = DestroyDays(ref=self._next_ref(), before=before, keep=tuple(keep))
        return (await self._ask(asked, Destroyed)).days

    def _next_ref(self) -> int:
        self._last_ref += 1
        return self._last_ref

    async def _ask(self, request: Request, kind: type[A]) -> A:
        data = frame(request)
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._pending[request.ref] = (data, future)
        try:
            if self._is_ready and self._writer is not None:
                self._writer.write(data)
            answer = await self._patiently(future)
        finally:
            del self._pending[request.ref]
        if isinstance(answer, Failed):
            raise _error(answer)
        if not isinstance(answer, kind):
            raise ServiceError("the unsealer answered something else than it was asked")
        return answer

    async def _patiently(self, future: asyncio.Future[Answer]) -> Answer:
        while True:
            done, _ = await asyncio.wait({future}, timeout=ANSWER_SECONDS)
            if done:
                return future.result()
            if self._is_ready and self._child is not None:
                _log.warning("unsealer.silent", seconds=ANSWER_SECONDS)
                self._child.kill()

    def _take(self, said: Ready | Answer) -> None:
        if isinstance(said, Ready):
            _log.info("unsealer.renewed")
            return
        self._pause = FIRST_PAUSE_SECONDS
        if said.ref in self._pending and not self._pending[said.ref][1].done():
            self._pending[said.ref][1].set_result(said)

    async def _next(self) -> Ready | Answer | None:
        """Return what it says next, or None when it has ended or what it says makes no sense."""
        if self._reader is None:
            return None
        try:
            head = await self._reader.readexactly(4)
            return parse_answer(await self._reader.readexactly(frame_length(head)))
        except FormatError as error:
            _log.error("unsealer.garbage", code=error.code)
        except (asyncio.IncompleteReadError, OSError):
            pass
        return None

    async def _end(self) -> int | None:
        """Close the socket, upon which it ends, and return its exit code."""
        child, writer, self._is_ready = self._child, self._writer, False
        self._child = self._reader = self._writer = None
        if writer is not None:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        return None if child is None else await asyncio.to_thread(child.wait)

    async def _start_again(self) -> None:
        while True:
            await asyncio.sleep(self._pause)
            self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)
            try:
                return await self.start()
            except AlmenaraError as error:
                self.trouble = error
                _log.warning("unsealer.failed", code=error.code)


def _error(said: Failed) -> AlmenaraError:
    kind = _ERRORS.get(said.code, AlmenaraError)
    return kind(said.message.decode("utf-8", "replace"), hint=said.hint.decode("utf-8", "replace"))
