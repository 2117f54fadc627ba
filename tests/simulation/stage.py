"""Whatever of the product reaches for the real world, replaced for as long as a simulation runs.

Replaced are: the operating system's randomness, the cryptography (:mod:`tests.simulation.cheap`), sockets and
TLS, key files, and how often the slow background work looks. Everything else is the code that ships.
"""

from __future__ import annotations

import contextlib
import importlib
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import structlog

from exchange.clock import Clock
from exchange.link.pump import Link, LinkLimits
from exchange.link.tls import ServerContext
from exchange.node.ledger import Ledger, LedgerTimes
from exchange.node.officers import Officers
from exchange.node.tls_files import TlsFiles
from exchange.node.tokens import Identity
from keys.note_keys import verify_signature, witness_keys_of
from keys.signer import Signer
from protocol.digest import certificate_id
from protocol.documents import Role
from protocol.errors import AlmenaraError
from protocol.ledger.note import parse_note
from protocol.session.session import Session
from protocol.session.table import Side
from tests.simulation.cheap import CheapVerifier, cheap_ed25519, cheap_mldsa44, cheap_seal_to, cheap_signer
from tests.simulation.loop import LIFE
from tests.simulation.network import CONNECT_SECONDS, End, Network, Outlet


@dataclass(frozen=True)
class Pace:
    """How often the slow background work looks; the defaults are for days of 35 nodes.

    Attributes:
        heartbeat_s: Of each session.
        checkpoint_s: A log gets at most one checkpoint in so many seconds.
        witness_s: The witnesses are asked at most once in so many seconds.
        ledger: How often a node looks after the ledger, and how long what is owed may take.
        constants: Module, name and value of what is not a setting.
    """

    heartbeat_s: float = 600.0
    checkpoint_s: float = 240.0
    witness_s: float = 3600.0
    ledger: LedgerTimes = field(
        default_factory=lambda: LedgerTimes(
            look_s=1800.0,
            late_ms=3_600_000,
            merge_delay_ms=7_200_000,
            withheld_ms=7_200_000,
            unproven_ms=7_200_000,
        )
    )
    constants: tuple[tuple[str, str, float], ...] = (
        ("exchange.coordinator.witnesses", "REFRESH_SECONDS", 7200.0),
        ("exchange.coordinator.witnesses", "SECOND_LOOK_SECONDS", 7200.0),
        ("exchange.coordinator.incoming", "LOOK_SECONDS", 3600.0),
        ("exchange.coordinator.duties", "LEASE_SECONDS", 720.0),
        ("exchange.coordinator.duties", "RENEW_SECONDS", 240.0),
        ("exchange.coordinator.duties", "LOOK_SECONDS", 120.0),
        ("exchange.coordinator.lookout", "LOOK_SECONDS", 120.0),
        ("exchange.coordinator.roll", "SESSION_SECONDS", 2400.0),
        ("exchange.coordinator.roll", "PRESENT_SECONDS", 2400.0),
        ("exchange.coordinator.roll", "BEAT_SECONDS", 360.0),
        ("exchange.node.resealer", "LOOK_SECONDS", 1200.0),
        ("exchange.node.keykeeper", "LOOK_SECONDS", 3600.0),
        ("exchange.node.prekeeper", "LOOK_SECONDS", 3600.0),
    )


REAL_PACE = Pace(heartbeat_s=15.0, checkpoint_s=0.9, witness_s=5.0, ledger=LedgerTimes(), constants=())
"""As the product comes."""


class Door:
    """Stands for :class:`exchange.link.server.GuardedServer`: sessions from the simulated network."""

    def __init__(
        self,
        handler: Callable[[Link, bytes], Any],
        *,
        ready: object,
        report: Callable[[AlmenaraError], None],
        clock: Clock,
        limits: object = None,
        link_limits: LinkLimits | None = None,
    ) -> None:
        self._handler = handler
        self._report = report
        self._clock = clock
        self._limits = link_limits or LinkLimits()
        self._links: dict[Link, None] = {}

    async def listen(self, _host: str, port: int, context: ServerContext) -> int:
        """Be there for the network."""
        life = LIFE.get()
        assert life is not None
        self.network = current().network
        self.network.server = (life, hub_certificate(life.name), context, self._accept)
        return port

    def use(self, _context: ServerContext) -> None:
        """The certificates never change here."""

    async def shut(self) -> None:
        """Let nobody in any more."""
        self.network.server = None

    async def stop(self, _seconds: float = 5.0) -> None:
        """Stop listening, and say goodbye to every session."""
        await self.shut()
        for link in tuple(self._links):
            await link.close()

    def _accept(self, end: End) -> None:
        end.life.begin(self._serve(end))

    async def _serve(self, end: End) -> None:
        link = Link(
            end,  # type: ignore[arg-type]
            Session(Side.COORDINATOR, self._clock.monotonic()),
            clock=self._clock,
            own_certificate=certificate_id(hub_certificate(end.life.name)),
            limits=self._limits,
        )
        self._links[link] = None
        try:
            await self._handler(link, link.peer_certificate)
        except AlmenaraError as error:
            self._report(error)
        finally:
            self._links.pop(link, None)
            await link.close()


@dataclass
class Stage:
    """What the replaced parts find the simulation by.

    Attributes:
        network: Where connections are opened.
        pace: How often background work looks.
        logged: Called with each log event of level warning and above.
        root: The pinned root hash of the community.
    """

    network: Network
    pace: Pace
    logged: Callable[[str, str, dict[str, Any]], None]
    root: bytes = b""


_stages: list[Stage] = []


def current() -> Stage:
    """Return the stage on which the running simulation plays."""
    return _stages[-1]


def hub_certificate(code: str) -> bytes:
    """Return what stands for a party's TLS certificate."""
    return f"certificate of {code}".encode()


class CheapCertificates:
    """Stands for a node's folder of TLS certificates."""

    def __init__(self, _folder: Path) -> None:
        life = LIFE.get()
        assert life is not None
        self._only = TlsFiles(Path("tls.crt"), Path("tls.key"), hub_certificate(life.name))

    def to_show(self, _listed: object, _now_ms: int) -> tuple[TlsFiles, ...]:
        """Return the one certificate."""
        return (self._only,)

    held = to_show


class CheapOfficers(Officers):
    """Officers whose keys need no file."""

    def _signer(self, who: Identity, now_ms: int) -> Signer:
        signer = cheap_signer(self._context.state, Role.OFFICER)
        self._context.directory.officer_key(self._context.state, signer.key_id, now_ms)
        return signer


async def _connect(
    url: str,
    context: object,
    *,
    clock: Clock,
    own_certificate: bytes,
    seconds: float = CONNECT_SECONDS,
    limits: LinkLimits | None = None,
) -> Link:
    life = LIFE.get()
    assert life is not None
    return await current().network.connect(
        hub_certificate(life.name),
        clock=clock,
        own_certificate=own_certificate,
        seconds=seconds,
        limits=limits or LinkLimits(),
    )


def _paced_ledger(context: Any, link_state: Any, folder: Path) -> Ledger:
    return Ledger(context, link_state, folder, current().pace.ledger)


class Logger:
    """A structlog logger that costs nothing for what nobody asks about."""

    def __init__(self, *_: object, **__: object) -> None: ...

    def bind(self, **_: object) -> Logger:
        """Bind nothing."""
        return self

    def debug(self, *_: object, **__: object) -> None:
        """Say nothing."""

    info = debug

    def warning(self, event: str, **words: Any) -> None:
        """Pass it on."""
        current().logged("warning", event, words)

    def error(self, event: str, **words: Any) -> None:
        """Pass it on."""
        current().logged("error", event, words)

    exception = critical = error


def _replacements(pace: Pace, chance: random.Random) -> list[tuple[str, str, Any]]:
    """Return module, name and substitute of everything that is replaced."""
    return [
        ("random", "_urandom", chance.randbytes),
        # Once for all members: what they return follows from their arguments, and cannot change.
        ("protocol.ledger.checkpoint", "parse_note", lru_cache(maxsize=1024)(parse_note)),
        ("keys.quorum", "witness_keys_of", lru_cache(maxsize=1024)(witness_keys_of)),
        ("keys.quorum", "verify_signature", lru_cache(maxsize=4096)(verify_signature)),
        ("keys.note_keys", "_ed25519", cheap_ed25519),
        ("keys.note_keys", "_mldsa44", cheap_mldsa44),
        ("keys.wrap", "seal_to", cheap_seal_to),
        ("keys.wrap", "_parsed", lambda public: public),
        ("keys.detail", "seal_to", cheap_seal_to),
        ("exchange.link.pump", "Outlet", Outlet),
        ("exchange.node.courier", "connect", _connect),
        ("exchange.node.courier", "client_context", lambda *_: None),
        ("exchange.node.service", "Verifier", CheapVerifier),
        ("exchange.node.service", "read_pinned_root", lambda _: current().root),
        ("exchange.node.service", "Certificates", CheapCertificates),
        ("exchange.node.service", "Officers", CheapOfficers),
        ("exchange.node.service", "Ledger", _paced_ledger),
        ("exchange.coordinator.service", "GuardedServer", Door),
        ("exchange.coordinator.service", "server_context", lambda *_, **__: None),
        ("exchange.coordinator.service", "pinned_certificates", lambda _: ()),
        # As many processors on every machine.
        ("exchange.coordinator.verifying", "os", SimpleNamespace(cpu_count=lambda: 2)),
        *pace.constants,
    ]


@contextmanager
def staged(stage: Stage, chance: random.Random) -> Iterator[None]:
    """Replace everything for as long as the block runs, and put it back."""
    with contextlib.ExitStack() as stack:
        for module_name, name, substitute in _replacements(stage.pace, chance):
            module = importlib.import_module(module_name)
            stack.callback(setattr, module, name, getattr(module, name))
            setattr(module, name, substitute)
        config = structlog.get_config()
        stack.callback(structlog.configure, **config)
        structlog.configure(
            wrapper_class=Logger,  # type: ignore[arg-type]
            processors=[],
            cache_logger_on_first_use=False,
        )
        state = random.getstate()
        stack.callback(random.setstate, state)
        random.seed(chance.getrandbits(64))
        _stages.append(stage)
        stack.callback(_stages.pop)
        yield
