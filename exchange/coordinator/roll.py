"""This process among those of its coordinator: it says that it is there, and keeps its nodes' sessions."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import socket
from collections.abc import Awaitable, Callable, Mapping

import msgspec
import structlog

from exchange.coordinator.sessions import Sessions
from exchange.stores.sharing_contract import Sharing
from protocol.errors import ServiceError

SESSION_SECONDS = 20.0
"""A process that dies has its nodes' sessions for so long, unless they connect elsewhere, which they do."""
PRESENT_SECONDS = 20.0
BEAT_SECONDS = 3.0
NAME_LENGTH = 32

_NOT_PLAIN = re.compile(r"[^A-Za-z0-9-]+")

log = structlog.get_logger()


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a process says of itself, for people.

    Attributes:
        name: What it is called in the settings, or its machine.
        version: Of the software.
        pid: Its number on its machine.
        port: Where nodes reach it there.
        started_ms: When it started, milliseconds UTC, by its own clock.
        draining: Whether it takes leave of its nodes.
        sessions: How many nodes are connected to it.
        documents: How many of the documents it goes by.
        published: The size of each log as it shows it.
        witnessed: Likewise, witnessed.
        halted: Why it signs nothing further, by log.
        looked_ms: When it last saw what the others changed.
    """

    name: str
    version: str
    pid: int
    port: int
    started_ms: int
    draining: bool
    sessions: int
    documents: int
    published: Mapping[str, int]
    witnessed: Mapping[str, int]
    halted: Mapping[str, str]
    looked_ms: int | None


def process_name(wanted: str) -> str:
    """Return what a process is called: what the settings say, or else the machine's name."""
    plain = _NOT_PLAIN.sub("-", wanted or socket.gethostname()).strip("-")[:NAME_LENGTH]
    return plain if plain[:1].isalpha() else f"host-{plain}"[:NAME_LENGTH]


def owner_of(name: str) -> str:
    """Return the name of this very run of a process: no other has it, not even after a restart."""
    return f"{name}.{os.getpid()}.{secrets.token_hex(4)}"


class Roll:
    """Says every few seconds that this process is there. Start :meth:`run` once.

    Args:
        sharing: Who is there.
        owner: This process.
        sessions: Who is connected here.
        facts: Returns what is said.
        said: Awaited each time, after it was said.
    """

    def __init__(
        self,
        sharing: Sharing,
        owner: str,
        sessions: Sessions,
        facts: Callable[[], Facts],
        said: Callable[[], Awaitable[None]],
    ) -> None:
        self._sharing = sharing
        self._owner = owner
        self._sessions = sessions
        self._facts = facts
        self._said = said

    async def run(self) -> None:
        """Say so until cancelled."""
        while True:
            try:
                await self.beat()
            except ServiceError as error:
                log.error("roll.beat_failed", code=error.code, exc_info=error)
            await asyncio.sleep(BEAT_SECONDS)

    async def beat(self) -> None:
        """Say once that this process and its sessions are there.

        Raises:
            StoreFailed, OutcomeUnknown: nobody may have heard it.
        """
        epochs = self._sessions.epochs
        if epochs:
            stale = await self._sharing.renew_sessions(epochs, seconds=SESSION_SECONDS)
            # Of these, all that is known is that they have another epoch.
            self._sessions.dismiss_replaced({state: epochs[state] + 1 for state in stale})
        facts = msgspec.json.encode(self._facts())
        await self._sharing.register(self._owner, facts, seconds=PRESENT_SECONDS)
        await self._said()

    async def leave(self) -> None:
        """Say that this process has gone; best effort, for it is forgotten by itself."""
        try:
            await self._sharing.deregister(self._owner)
        except ServiceError as error:
            log.warning("roll.leave_failed", code=error.code)
