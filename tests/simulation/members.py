"""The members' machines and processes: a node or coordinator as it ships, on what its disk holds."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from contextvars import Context
from pathlib import Path
from typing import Any

from exchange.coordinator.anchor import Anchor
from exchange.coordinator.community import stored_documents
from exchange.coordinator.opening import Parts
from exchange.coordinator.own_keys import CertificateFiles, OwnKeys
from exchange.coordinator.service import Coordinator
from exchange.node.mirror import store_document
from exchange.node.prekeeper import store_prekeys
from exchange.node.secrets import NodeSecrets
from exchange.node.service import MIGRATIONS as NODE_SHAPE
from exchange.node.service import Node
from exchange.node.together import until_first
from exchange.settings import CoordinatorSettings, NodeSettings
from exchange.stores.coordinator_sqlite import MIGRATIONS as HUB_SHAPE
from exchange.stores.coordinator_sqlite import SqliteCoordinatorStore
from exchange.stores.ledger_contract import EMPTY, Extent, SignedExtent
from exchange.stores.migrate import migrate, packaged
from exchange.stores.node_books import MIRRORED, save_fact
from exchange.stores.turn_sqlite import append_document
from exchange.stores.writer import WriterCore
from protocol.errors import OutcomeUnknown, SetupError, StoreFailed
from protocol.ledger.checkpoint import parse_checkpoint
from protocol.ledger.origins import Log
from tests.simulation.cheap import CheapUnsealer, CheapVerifier
from tests.simulation.clocks import SimClock
from tests.simulation.disks import Machine, SimEngine
from tests.simulation.loop import Life, SimLoop
from tests.simulation.network import Network
from tests.simulation.people import BEGAN_MS, HUB, SimCommunity
from tests.simulation.stage import Pace, hub_certificate

NOWHERE = Path("/nonexistent/almenara-simulation")


class Member:
    """One machine, and the process on it while there is one.

    Args:
        code: Whose.
        loop: Virtual time.
        network: What it is connected to.
        seed: Decides what its disk loses.
        examine: Called with the store at each start, before the process sees it.
    """

    def __init__(
        self,
        code: str,
        loop: SimLoop,
        network: Network,
        seed: int,
        examine: Callable[[Member, SimEngine], None],
    ) -> None:
        self.code = code
        self.machine = Machine(code, seed)
        self.clock = SimClock(loop, BEGAN_MS)
        self.life: Life | None = None
        self.engine: SimEngine | None = None
        self.starts = 0
        self._loop = loop
        self._network = network
        self._examine = examine
        self._chance = random.Random(seed)
        self._running: asyncio.Task[Any] | None = None
        self._falling: asyncio.Task[None] | None = None
        self._stopping = False
        self._kept: float | None = None
        self.ready = asyncio.Event()
        """Set while the process is up and takes requests."""
        self.ended = asyncio.Event()
        """Set while there is no process."""
        self.ended.set()

    async def start(self) -> None:
        """Start the process; :attr:`ready` says when it works, :attr:`ended` that it has ended."""
        assert self.life is None
        life = self.life = Life(self.code)
        self.ended.clear()
        self.starts += 1
        self.clock.booted = self._loop.time() - self._chance.uniform(0.0, 1e5)
        try:
            self.engine = SimEngine(self._loop, life, self.machine, self._power_went)
        except (StoreFailed, SetupError):
            # The disk refused: whoever looks after this machine tries again later.
            await self._fall(seen=True)
            return
        self._examine(self, self.engine)
        self._running = life.begin(self._run(life, self.engine), name=f"{self.code} {self.starts}")
        self._running.add_done_callback(lambda task: self._ended_alone(life, task))

    async def kill(self, *, kept: float | None = None, seen: bool = True) -> None:
        """End the process at once.

        Args:
            kept: None if only the process ends; else the power goes, and each sector that was not synced
                survives with this probability.
            seen: Whether its peers are told by a broken connection, or hear nothing any more.
        """
        if self.life is None or self._falling is not None:
            return
        if kept is not None:
            self.machine.disk.powered = False
        self._kept = kept
        self._falling = self._begin_fall(seen=seen)
        await self._falling

    async def cut_at(self, operations: int) -> None:
        """Let the power go in the middle of the disk's so-many-th operation from now."""
        disk = self.machine.disk
        disk.cut_at = disk.operations + operations

    def suspend(self) -> None:
        """Stop the process, as SIGSTOP does."""
        if self.life is not None:
            self.life.suspended = True

    def resume(self) -> None:
        """Let it go on, as SIGCONT does."""
        if self.life is not None and self.life.suspended:
            self._loop.resume(self.life)

    async def _run(self, life: Life, engine: SimEngine) -> None:
        raise NotImplementedError

    def _forget(self) -> None:
        """Let go of what the process was."""

    def _ended_alone(self, life: Life, task: asyncio.Task[Any]) -> None:
        """The process has ended by itself: only a disk may be the reason."""
        if life.dead or task.cancelled() or self._stopping:
            return
        error = task.exception()
        if not isinstance(error, StoreFailed | OutcomeUnknown):
            self._loop.faults.append(f"{self.code}: the process ended: {error!r}")
        if self._falling is None:
            self._falling = self._begin_fall(seen=True)

    def _power_went(self) -> None:
        """The power went in the middle of a commit: nobody is answered."""
        if self.life is not None and self._falling is None:
            self.life.dead = True
            self._falling = self._begin_fall(seen=False)

    def _begin_fall(self, *, seen: bool) -> asyncio.Task[None]:
        # In nobody's context: it must not end with what it ends.
        return self._loop.create_task(self._fall(seen=seen), context=Context())

    async def _fall(self, *, seen: bool) -> None:
        life, engine, self.life, self.engine = self.life, self.engine, None, None
        self._stopping = False
        self.ready.clear()
        self._forget()
        assert life is not None
        life.dead = True
        self._network.gone(life, seen=seen)
        await self._loop.end(life)
        if engine is not None:
            engine.shut()
        if self._running is not None:
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await self._running
            self._running = None
        disk, kept = self.machine.disk, self._kept
        if not disk.powered:
            disk.restore_power(self._chance.choice((0.0, 0.5, 1.0)) if kept is None else kept)
        disk.cut_at = self._kept = None
        self._falling = None
        self.ended.set()


class NodeMember(Member):
    """A state's node.

    Attributes:
        node: The node itself, while it is ready.
    """

    def __init__(self, *args: Any, community: SimCommunity, pace: Pace) -> None:
        super().__init__(*args)
        self.node: Node | None = None
        self._community = community
        self._citizen = community.states[self.code]
        self._unsealer = CheapUnsealer(self.code)
        self._unsealer.hold(self._citizen.prekeys)

    def install(self, template: Machine) -> None:
        """Lay the store of a node that has just joined on the disk, with the secrets of its daily keys."""
        self.machine.copy_from(template)
        core = WriterCore(self.machine.place)
        for outcome in core.run([lambda db: store_prekeys(db, self._citizen.prekeys)]):
            assert outcome.error is None, outcome.error
        core.close()

    async def _run(self, life: Life, engine: SimEngine) -> None:
        settings = NodeSettings(state=self.code, coordinator=HUB, data=NOWHERE)
        place: Any = _Places()
        secrets = NodeSecrets(
            signers=(self._citizen.node,),
            witnesses=(self._citizen.witness,),
            vault_key=self.code.encode().ljust(32, b"!"),
        )
        unsealer: Any = self._unsealer
        node = await Node.open(settings, place, engine, secrets, unsealer, self.clock)
        self.node = node
        self.ready.set()
        await until_first(*node.parts())

    def _forget(self) -> None:
        self.node = None


class _Places:
    """Where a node's files would lie; nothing of a simulation looks there."""

    path = keys = access = officers = evidence = NOWHERE


class SimAnchor(Anchor):
    """The anchor on a disk that replaces a file as a whole: what was swapped in stays."""

    def __init__(self) -> None:
        super().__init__(NOWHERE)
        self._held: dict[Log, bytes] = {}

    def open(self) -> None:
        """It is there."""

    def close(self) -> None:
        """It stays."""

    def read(self, log: Log) -> SignedExtent | None:
        """Return what is anchored."""
        data = self._held.get(log)
        if data is None:
            return None
        checkpoint = parse_checkpoint(data).checkpoint
        return SignedExtent(Extent(checkpoint.size, checkpoint.root), data)

    def swap(self, log: Log, old: Extent, new: SignedExtent) -> bool:
        """Compare and replace."""
        held = self.read(log)
        if (EMPTY if held is None else held.extent) != old:
            return False
        self._held[log] = new.checkpoint
        return True


class HubMember(Member):
    """The coordinator.

    Attributes:
        coordinator: The service itself, while it is ready.
    """

    def __init__(self, *args: Any, community: SimCommunity, pace: Pace) -> None:
        super().__init__(*args)
        self.coordinator: Coordinator | None = None
        self._community = community
        self._pace = pace
        self._anchor = SimAnchor()

    def install(self) -> None:
        """Lay the store of a new coordinator on the disk, with the community's documents."""
        core = WriterCore(self.machine.place)
        migrate(core.db, packaged(HUB_SHAPE), BEGAN_MS)
        for data in self._community.documents:
            (outcome,) = core.run([lambda db, data=data: append_document(db, data, BEGAN_MS)])  # type: ignore[misc]
            assert outcome.error is None, outcome.error
        core.close()

    async def stop(self) -> None:
        """Stop in order, as on SIGTERM, and end."""
        coordinator, life = self.coordinator, self.life
        if coordinator is None or life is None or life.suspended:
            await self.kill()
            return
        self.ready.clear()
        self._stopping = True
        await asyncio.wait([life.begin(coordinator.stop())])
        if self.life is life:
            await self.kill()

    async def _run(self, life: Life, engine: SimEngine) -> None:
        community, pace = self._community, self._pace
        store = SqliteCoordinatorStore(engine)
        directory, documents = await stored_documents(
            store, community.id, CheapVerifier(), self.clock.now_ms()
        )
        files = CertificateFiles(Path("tls.crt"), Path("tls.key"), hub_certificate(HUB))
        parts = Parts(
            store=store,
            ledger=store.ledger,
            sharing=store.sharing,
            anchor=self._anchor,
            directory=directory,
            verifier=CheapVerifier(),
            keys=OwnKeys(directory, HUB, [community.hub], lambda: [files]),
            log_secret=community.log,
            access=NOWHERE,
            documents=documents,
        )
        settings = CoordinatorSettings(
            data=NOWHERE,
            anchor=NOWHERE,
            checkpoint_s=pace.checkpoint_s,
            witness_s=pace.witness_s,
            heartbeat_s=pace.heartbeat_s,
        )
        coordinator = Coordinator(parts, settings, self.clock)
        await coordinator.start()
        self.coordinator = coordinator
        self.ready.set()
        await coordinator.failed()

    def _forget(self) -> None:
        self.coordinator = None


def node_template(community: SimCommunity, seed: int) -> Machine:
    """Return a machine with the store of a node that has just joined, without its own secrets."""
    machine = Machine("template", seed)
    core = WriterCore(machine.place)
    migrate(core.db, packaged(NODE_SHAPE), BEGAN_MS)

    def work(db: Any) -> None:
        for data in community.documents:
            store_document(db, data)
        save_fact(db, MIRRORED, len(community.documents))

    (outcome,) = core.run([work])
    assert outcome.error is None, outcome.error
    core.close()
    return machine
