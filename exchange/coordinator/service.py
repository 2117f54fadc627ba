"""A coordinator as a running service: put together, started, drained, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import ssl
from collections.abc import Coroutine
from typing import Any

import structlog

from exchange.clock import Clock
from exchange.coordinator.admission import Admission
from exchange.coordinator.announcing import Announcer
from exchange.coordinator.budget import (
    DAILY_ALLOWANCE,
    DAILY_STATEMENT_ALLOWANCE,
    STATEMENT_ALLOWANCE,
    Allowance,
    Budgets,
)
from exchange.coordinator.community import pinned_certificates
from exchange.coordinator.cursors import Cursors
from exchange.coordinator.documents import CommunityDocuments
from exchange.coordinator.duties import Duty
from exchange.coordinator.expiring import Expiring
from exchange.coordinator.following import Following
from exchange.coordinator.incoming import Incoming
from exchange.coordinator.judging import Judge
from exchange.coordinator.ledger import Ledger
from exchange.coordinator.lookout import Lookout
from exchange.coordinator.opening import Parts, opened
from exchange.coordinator.pages import Pages
from exchange.coordinator.promises import Promises
from exchange.coordinator.readers import Readers
from exchange.coordinator.reading_room import ReadingRoom
from exchange.coordinator.relay import Relay
from exchange.coordinator.roll import Facts, Roll, owner_of, process_name
from exchange.coordinator.sessions import Sessions
from exchange.coordinator.status import look, write_status
from exchange.coordinator.undelivered import SWEEP_SECONDS, Sweeper
from exchange.coordinator.verifying import Verifying
from exchange.coordinator.visit import Reception
from exchange.link.guard import ServerLimits
from exchange.link.handshake import Identity
from exchange.link.server import GuardedServer
from exchange.link.tls import server_context
from exchange.settings import CoordinatorSettings
from exchange.version import VERSION
from keys.keyfile import ProtectionProvider
from protocol.errors import AlmenaraError, KeyfileError, ServiceError, SetupError
from protocol.ledger.origins import Log, origin
from protocol.session.messages import Documents

DRAIN_SECONDS = 10.0
GOODBYE_SECONDS = 3.0
READY_SECONDS = 5.0

log = structlog.get_logger()


class Coordinator:
    """The service. Make it inside the event loop; :meth:`start`, then :meth:`stop` once.

    Args:
        parts: From :func:`opened`.
        settings: Address, windows, heartbeats.
        clock: The one clock.
        allowance: What each member may cost.
        limits: What strangers may cost.
        sweep_seconds: How often to look for what has expired.
    """

    def __init__(
        self,
        parts: Parts,
        settings: CoordinatorSettings,
        clock: Clock,
        *,
        allowance: Allowance | None = None,
        limits: ServerLimits | None = None,
        sweep_seconds: float = SWEEP_SECONDS,
    ) -> None:
        self.code = parts.keys.code
        self._parts = parts
        self._settings = settings
        self._clock = clock
        self._sweep_seconds = sweep_seconds
        self.process = process_name(settings.process)
        self.owner = owner_of(self.process)
        self._started_ms = clock.now_ms()
        self._port = 0
        self._draining = False
        self._sessions = Sessions()
        admission = Admission(
            parts.directory,
            parts.verifier,
            Budgets(allowance or Allowance(), DAILY_ALLOWANCE),
            clock,
            statements=Budgets(allowance or STATEMENT_ALLOWANCE, DAILY_STATEMENT_ALLOWANCE),
        )
        self._verifying = Verifying(parts.verifier)
        promises = Promises(self.code, parts.keys.signer, parts.directory)
        self._ledger = Ledger(
            parts.directory,
            self.code,
            parts.log_secret,
            parts.ledger,
            parts.sharing,
            self.owner,
            parts.anchor,
            self._sessions,
            clock,
        )
        self._following = Following(parts.store, parts.directory, parts.documents, clock)
        self._following.changed = self._documents_changed
        self._announcer = Announcer(
            parts.ledger, origin(parts.directory.coordinator(self.code).log.name, Log.DIRECTORY)
        )
        self._relay = Relay(
            parts.store,
            Judge(admission, self._verifying),
            promises,
            self._announcer,
            self._following,
            clock,
            self._sessions.wake,
            self._ledger.recorded,
            self._sessions.offer,
        )
        self._cursors = Cursors(parts.store, clock)
        sweeper = Sweeper(parts.store, self._cursors, self._relay, clock)
        self._sweeping = Duty(
            "sweeper", parts.sharing, self.owner, lambda _: sweeper.run(self._sweep_seconds)
        )
        self._lookout = Lookout(parts.sharing, self._sessions, self._following, self._ledger.looked, clock)
        self._roll = Roll(parts.sharing, self.owner, self._sessions, self.facts, self._write_status)
        documents = CommunityDocuments(parts.store, parts.directory, self._following, clock)
        self._incoming = Incoming(settings.data, documents, parts.directory)
        reception = Reception(
            Identity(self.code, parts.keys.signer(), parts.verifier, parts.directory),
            parts.keys.signer_known_to,
            admission,
            self._relay,
            documents,
            self._ledger,
            parts.store,
            parts.sharing,
            self.owner,
            self._cursors,
            self._sessions,
            clock,
            window=settings.window,
            heartbeat_s=settings.heartbeat_s,
        )
        self._server = GuardedServer(
            reception.serve,
            ready=self.ready,
            report=report,
            clock=clock,
            limits=limits,
        )
        self._room = ReadingRoom(
            Pages(self._ledger.heads, parts.ledger, self._ledger.policy),
            Readers(parts.access, parts.directory),
            clock,
            report,
        )
        self._unfit = asyncio.Event()
        self._in_use: tuple[bytes, tuple[bytes, ...]] = (b"", ())
        """Our own certificate and the pinned ones, as TLS knows them: 200 take it 30 ms to load."""
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.ledger_port: int | None = None
        """Where the ledger is served once the service has started, or None."""

    async def start(self) -> int:
        """Begin to work and to listen; return the port.

        Raises:
            SetupError: the address cannot be listened on, or the ledger is not what was signed.
            KeyfileError: the TLS certificate and its key cannot be loaded.
            StoreFailed, OutcomeUnknown: the disk refuses.
        """
        settings = self._settings
        await self._following.catch_up()
        await self._ledger.begin(checkpoint_s=settings.checkpoint_s, witness_s=settings.witness_s)
        await self._announcer.due(self._following.held)
        # First, so that nothing is at work yet if the address is taken; what nodes bring meanwhile waits.
        try:
            port = await self._server.listen(settings.host, settings.port, self._tls())
        except AlmenaraError:
            await self._ledger.finish()
            raise
        self._port = port
        self.ledger_port = await self._serve_ledger()
        self._begin("relay", self._relay.run())
        self._begin("cursors", self._cursors.run())
        self._begin("incoming", self._incoming.run())
        self._begin("lookout", self._lookout.run())
        self._begin("roll", self._roll.run())
        self._begin("sweeper", self._sweeping.run())
        self._begin("expiring", Expiring(self._parts.directory, self._clock).run())
        self._begin("own-keys", self._require_own_keys())
        for name, work in self._ledger.works().items():
            self._begin(name, work)
        log.info(
            "coordinator.started",
            port=port,
            members=len(self._parts.directory.states()),
            process=self.process,
        )
        return port

    async def _serve_ledger(self) -> int | None:
        settings = self._settings
        if settings.ledger_port is None:
            return None
        try:
            port = await self._room.listen(
                settings.ledger_host, settings.ledger_port, self._tls(optional=True)
            )
        except AlmenaraError:
            await self._server.stop(GOODBYE_SECONDS)
            await self._ledger.finish()
            raise
        log.info("ledger.served", port=port)
        return port

    async def ready(self) -> bool:
        """Whether this coordinator can accept a notice now: it writes to find out."""
        try:
            async with asyncio.timeout(READY_SECONDS):
                await self._parts.store.prove_writable(self._clock.now_ms())
        except (ServiceError, TimeoutError) as error:
            log.error("coordinator.not_ready", exc_info=error)
            return False
        return not self._draining and not any(task.done() for task in self._tasks.values())

    async def failed(self) -> None:
        """Return never, unless a part that must run for ever has stopped: then raise why."""
        done, _ = await asyncio.wait(self._tasks.values(), return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    async def stop(self, seconds: float = DRAIN_SECONDS) -> None:
        """Take leave of the nodes, finish what was brought, write the cursors; at most ``seconds``.

        What is not answered in time was not claimed: the nodes bring it again.
        """
        log.info("coordinator.stopping", members=len(self._sessions), process=self.process)
        self._draining = True
        await self._hand_over()
        await self._server.shut()
        self._relay.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                # Answers go out before the goodbye.
                await asyncio.wait([self._tasks["relay"]], timeout=seconds - GOODBYE_SECONDS)
                await asyncio.gather(self._server.stop(GOODBYE_SECONDS), self._room.stop(GOODBYE_SECONDS))
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._verifying.close()
        await self._ledger.finish()
        try:
            await self._cursors.flush()
        except ServiceError as error:
            log.error("cursor.write_failed", code=error.code, exc_info=error)
        await self._roll.leave()
        log.info("coordinator.stopped")

    async def _hand_over(self) -> None:
        """Give the leases back, so that other processes take them while this one takes its leave."""
        names = ("sweeper", *self._ledger.duties)
        for name in names:
            self._tasks[name].cancel()
        await asyncio.wait([self._tasks[name] for name in names], timeout=GOODBYE_SECONDS)

    async def _write_status(self) -> None:
        """Let people on this machine see how all processes are."""
        status = await look(self._parts.sharing)
        try:
            await asyncio.to_thread(write_status, self._settings.data, status)
        except OSError as error:
            log.warning("status.not_written", exc_info=error)

    def facts(self) -> Facts:
        """Return what this process says of itself."""
        heads = {which: self._ledger.heads[which] for which in Log}
        return Facts(
            name=self.process,
            version=VERSION,
            pid=os.getpid(),
            port=self._port,
            started_ms=self._started_ms,
            draining=self._draining,
            sessions=len(self._sessions),
            documents=self._following.held,
            published={which.value: head.size for which, head in heads.items()},
            witnessed={
                which.value: 0 if head.witnessed is None else head.witnessed.checkpoint.size
                for which, head in heads.items()
            },
            halted={which.value: head.halted.value for which, head in heads.items() if head.halted},
            looked_ms=self._lookout.looked_ms,
        )

    def _begin(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        self._tasks[name] = asyncio.get_running_loop().create_task(work, name=name)

    def _tls(self, *, optional: bool = False) -> ssl.SSLContext:
        files = self._parts.keys.certificate()
        pinned = pinned_certificates(self._parts.directory)
        self._in_use = (files.der, pinned)
        return server_context(files.certificate, files.key, pinned, optional=optional)

    def _use_certificates(self) -> None:
        """Let the certificates of now count for further connections, if they are others than before."""
        now = (self._parts.keys.certificate().der, pinned_certificates(self._parts.directory))
        if now != self._in_use:
            self._server.use(self._tls())
            self._room.use(self._tls(optional=True))

    async def _require_own_keys(self) -> None:
        """Return never, unless the directory comes to list keys that are not here: then raise why."""
        await self._unfit.wait()
        self._parts.keys.signer()
        self._parts.keys.certificate()

    def _documents_changed(self, news: Documents) -> None:
        """Let the new documents count at once: for strangers, for those who are here, for mirrors."""
        try:
            self._parts.keys.signer()
            self._use_certificates()
        except (SetupError, KeyfileError):
            # Nobody would believe this coordinator any more: it tells the nodes, and stops.
            self._unfit.set()
        # First, so that whoever must go knows why.
        self._sessions.tell_everyone(news)
        self._sessions.dismiss_unlisted(self._parts.directory, self._clock)
        self._ledger.documented()


async def run(settings: CoordinatorSettings, provider: ProtectionProvider, clock: Clock) -> None:
    """Run a coordinator until SIGTERM or SIGINT, then drain. Raises as :func:`opened` and ``start``."""
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    try:
        async with opened(settings, provider, clock) as parts:
            coordinator = Coordinator(parts, settings, clock)
            await coordinator.start()
            await until_asked(coordinator, asked)
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


async def until_asked(coordinator: Coordinator, asked: asyncio.Event) -> None:
    """Wait until somebody asks to stop, or a part of the service fails; stop in either case."""
    waits = {asyncio.ensure_future(asked.wait()), asyncio.ensure_future(coordinator.failed())}
    try:
        done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in done:
            wait.result()
    finally:
        for wait in waits:
            wait.cancel()
        await coordinator.stop()


def report(error: AlmenaraError) -> None:
    """Log why a session ended."""
    log.warning("session.failed", code=error.code, peer_code=error.peer_code.value, exc_info=error)
