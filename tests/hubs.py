"""A whole coordinator on loopback, with real TLS and a real store, and nodes that only talk."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import msgspec

from exchange.clock import SystemClock
from exchange.coordinator.community import import_community
from exchange.coordinator.opening import opened
from exchange.coordinator.service import Coordinator
from exchange.datadir import DataDir
from exchange.keystore import write_secret
from exchange.link.certificate import Certificate, make_certificate
from exchange.link.client import connect
from exchange.link.handshake import Identity, authenticate_as_node
from exchange.link.pump import Link
from exchange.link.tls import client_context
from exchange.settings import CoordinatorSettings
from exchange.stores.coordinator_sqlite import SqliteCoordinatorStore
from keys import enrolment, governance
from keys.cosigning import NOTHING_YET, answer_checkpoint
from keys.cosigning import Witnessed as Held
from keys.documents import sign_document
from keys.keyfile import KeyDescription, KeyKind, KeyRecord, format_secret
from keys.protection import Unprotected
from keys.quorum import quorum_of
from keys.trust import TrustedDirectory
from protocol.documents import Role, StateStatus
from protocol.ledger.checkpoint import SignedCheckpoint, parse_checkpoint
from protocol.ledger.origins import Log
from protocol.ledger.witness import WitnessStatus
from protocol.session.messages import (
    Accepted,
    Attest,
    Cosigned,
    Deliver,
    Message,
    Publish,
    Refused,
    Submit,
    Witness,
    Witnessed,
)
from tests.community import HUB, YEAR_MS, Community, community
from tests.patience import PATIENCE_S

CLOCK = SystemClock()


@lru_cache(maxsize=1)
def everyone() -> Community:
    """Return a community of this hour, because TLS certificates look at the real clock."""
    return community(CLOCK.now_ms())


@lru_cache(maxsize=8)
def certificate(party: str) -> Certificate:
    """Return a party's TLS certificate."""
    return make_certificate(party, CLOCK.now_ms(), 3_600_000)


@lru_cache(maxsize=1)
def documents() -> tuple[bytes, ...]:
    """Return the community's documents, with new ones that list real certificates."""
    all_of_it, trusted = everyone(), everyone().directory()
    now_ms = all_of_it.now_ms
    hub = msgspec.structs.replace(all_of_it.hub_entry, certificates=(certificate(HUB).der,))
    fresh = [
        all_of_it.signed_by_governance(
            governance.next_directory(trusted, trusted.states(), [hub], now_ms=now_ms, life_ms=YEAR_MS)
        )
    ]
    for member in all_of_it.members.values():
        manifest = enrolment.next_manifest(
            trusted.documents.manifests[member.code],
            state=member.code,
            community=all_of_it.id,
            keys=member.keys,
            certificates=[certificate(member.code).der],
            now_ms=now_ms,
            life_ms=YEAR_MS,
        )
        fresh.append(sign_document(manifest, [member.identity]))
    return (*all_of_it.documents, *fresh)


def directory() -> TrustedDirectory:
    """Return a fresh directory of this community."""
    trusted = TrustedDirectory(everyone().id, everyone().verifier)
    for document in documents():
        trusted.update(document, everyone().now_ms)
    return trusted


def suspension(code: str) -> bytes:
    """Return the directory document that suspends one state."""
    trusted = directory()
    states = [
        msgspec.structs.replace(entry, status=StateStatus.SUSPENDED) if entry.code == code else entry
        for entry in trusted.states()
    ]
    following = governance.next_directory(
        trusted, states, trusted.coordinators(), now_ms=CLOCK.now_ms(), life_ms=YEAR_MS
    )
    return everyone().signed_by_governance(following)


def no_passphrase(_description: KeyDescription) -> Unprotected:
    """Refuse to be asked: the keys of these tests are not protected."""
    raise AssertionError


def settings(folder: Path) -> CoordinatorSettings:
    """Return settings for a free port."""
    return CoordinatorSettings(
        data=folder, anchor=folder / "anchor", port=0, ledger_port=0, heartbeat_s=5.0, window=8
    )


async def prepare(folder: Path) -> None:
    """Lay out a coordinator's data directory, as ``coordinator init`` and ``join`` do."""
    place = DataDir(folder)
    place.create()
    seed = hashlib.sha512(f"{HUB} {Role.COORDINATOR}".encode()).digest()
    record = KeyRecord(KeyKind.SIGNING, "statement key", "coordinator", seed, everyone().now_ms)
    write_secret(place.keys / "statement.key", format_secret(record, Unprotected()))
    log = KeyRecord(KeyKind.NOTE, "log key", "log", everyone().log.seed, everyone().now_ms)
    write_secret(place.keys / "log.key", format_secret(log, Unprotected()))
    write_secret(place.keys / "tls.key", certificate(HUB).key_pem.decode())
    (place.keys / "tls.crt").write_bytes(certificate(HUB).pem)
    (folder / "root-hash").write_text(everyone().id.hex() + "\n")
    store = await SqliteCoordinatorStore.open(place.database, CLOCK)
    file = governance.community_file(documents())
    await import_community(store, file, everyone().id, everyone().verifier, CLOCK.now_ms())
    await import_community(store, file, everyone().id, everyone().verifier, CLOCK.now_ms())
    assert await store.document_count() == len(documents())
    await store.close()


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[tuple[Coordinator, int]]:
    """Run a coordinator on a prepared folder."""
    async with opened(settings(folder), no_passphrase, CLOCK) as parts:
        coordinator = Coordinator(parts, settings(folder), CLOCK, sweep_seconds=0.05)
        port = await coordinator.start()
        try:
            yield coordinator, port
        finally:
            await coordinator.stop()


@dataclass
class Node:
    """A node that says what the test tells it to, and cosigns what it is asked to unless told not to."""

    code: str
    link: Link
    cosigns: bool = True
    held: dict[Log, Held] = field(default_factory=lambda: dict.fromkeys(Log, NOTHING_YET))
    notes: dict[Log, bytes] = field(default_factory=dict)
    """What is held, as the log signed it."""
    shown: dict[Log, SignedCheckpoint] = field(default_factory=dict)
    asked: list[Witness] = field(default_factory=list)

    async def next(self) -> Message:
        """Return the next message that is not about witnessing, within a limit."""
        return await asyncio.wait_for(self._next(), PATIENCE_S)

    async def until_witnessed(self, log: Log, size: int) -> SignedCheckpoint:
        """Cosign until a checkpoint of at least this size is witnessed, and return it."""
        async with asyncio.timeout(PATIENCE_S):
            while log not in self.shown or self.shown[log].checkpoint.size < size:
                await self.hear()
        return self.shown[log]

    async def hear(self) -> Message | None:
        """Take one message; return it unless it was about witnessing."""
        message = await self.link.receive()
        if isinstance(message, Witness):
            self.asked.append(message)
            if self.cosigns:
                self.cosign(message)
            return None
        if isinstance(message, Witnessed):
            self.shown[message.log] = parse_checkpoint(message.checkpoint)
            return None
        return message

    def cosign(self, asked: Witness) -> None:
        """Answer as a witness."""
        member = everyone().members[self.code]
        quorum = quorum_of(directory(), HUB, asked.log)
        name = quorum.witnesses[self.code][0].name
        seconds = CLOCK.now_ms() // 1000
        answer = answer_checkpoint(
            asked.body, self.held[asked.log], quorum.log, member.witness, name, seconds
        )
        if answer.held is not None and answer.signed is not None:
            self.held[asked.log] = answer.held
            self.notes[asked.log] = answer.signed.data
        shown = None if answer.status is WitnessStatus.OK else self.notes.get(asked.log)
        self.link.send(Cosigned(log=asked.log, status=answer.status, body=answer.body, held=shown))

    async def _next(self) -> Message:
        while (message := await self.hear()) is None:
            pass
        return message

    async def deliver(self) -> Deliver:
        """Return the next message, which must be a delivery."""
        message = await self.next()
        assert isinstance(message, Deliver), message
        return message

    async def ask(self, request: Submit | Attest | Publish) -> Accepted | Refused:
        """Send a request and return its answer; nothing else may come before it."""
        self.link.send(request)
        message = await self.next()
        assert isinstance(message, Accepted | Refused), message
        return message


@asynccontextmanager
async def node(folder: Path, code: str, port: int) -> AsyncIterator[Node]:
    """Connect a node."""
    mine = folder / secrets.token_hex(4)
    mine.mkdir()
    (mine / "tls.crt").write_bytes(certificate(code).pem)
    (mine / "tls.key").write_bytes(certificate(code).key_pem)
    context = client_context(mine / "tls.crt", mine / "tls.key", [certificate(HUB).der])
    link = await connect(
        f"wss://127.0.0.1:{port}", context, clock=CLOCK, own_certificate=certificate(code).id
    )
    try:
        me = Identity(code, everyone().members[code].node, everyone().verifier, directory())
        await authenticate_as_node(
            link, me, coordinator=HUB, nonce=secrets.token_bytes(32), now_ms=CLOCK.now_ms()
        )
        yield Node(code, link)
    finally:
        await link.close()
