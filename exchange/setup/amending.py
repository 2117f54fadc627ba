"""What a state changes after it has joined: officers, keys and severity schemas.

Each change is a document signed by the state's identity key, which is brought for the purpose and
taken away again. A node that runs is handed the document over its local interface; in the store of
one that does not, it waits until the node runs again. Either way the node trusts it at once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import apsw

from exchange.clock import Clock
from exchange.datadir import DataDir
from exchange.node.mirror import load_directory, store_document
from exchange.node.restored import ALARM as RESTORED
from exchange.node.restored import NEXT, either
from exchange.node.service import MIGRATIONS
from exchange.node.tokens import TokenRole
from exchange.passphrases import PassphraseSource
from exchange.pinned_root import read_pinned_root
from exchange.restored import RESTORED_FACT
from exchange.setup import people
from exchange.setup.joining import own_identities, own_request
from exchange.setup.keyring import open_signer
from exchange.setup.node import KEY_LIFE_MS, MANIFEST_LIFE_MS
from exchange.setup.severities import find_schema, publication_of
from exchange.stores.engine import Engine
from exchange.stores.node_books import read_alarms, read_documents, read_fact, record_event
from exchange.stores.node_queue import PUBLISH_PRIORITY, enqueue, read_published
from keys.documents import sign_document
from keys.enrolment import key_entry, next_manifest
from keys.held import Held
from keys.signer import Signer, Verifier
from keys.trust import MAX_SKEW_MS, TrustedDirectory
from protocol.documents import (
    KeyEntry,
    NoteKeys,
    Publication,
    Revocation,
    Role,
    StateManifest,
    signed_document_hash,
)
from protocol.errors import DataDirBusy, FormatError, KeyfileError, SetupError, TrustError
from protocol.text import format_utc

WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Amendment:
    """A node opened for a change, with its state's identity key.

    Attributes:
        place: Its data directory.
        state: The code of its state.
        directory: What it trusts.
        documents: The signed documents from which that follows, in order.
        identity: The state's identity key.
        now_ms: When the change is made.
        runs: Whether the node runs.
        handed_over: Whether the coordinator has accepted the state's present manifest.
        deliver: Hands a signed document to the node, with words for its events; durable on return.
    """

    place: DataDir
    state: str
    directory: TrustedDirectory
    documents: Sequence[bytes]
    identity: Signer
    now_ms: int
    runs: bool
    handed_over: bool
    deliver: Callable[[bytes, str], Awaitable[None]]

    @property
    def held(self) -> Held[StateManifest]:
        """The state's present manifest.

        Raises:
            SetupError: the node has not joined yet.
        """
        held = self.directory.documents.manifests.get(self.state)
        if held is None:
            raise SetupError(
                f"the node of {self.state} has not joined a community",
                hint="Join with: almenara node join --data DIR COMMUNITY-FILE",
            )
        return held

    async def publish(self, document: StateManifest | Publication) -> None:
        """Sign a document, trust it here, and queue it for the coordinator; durable on return.

        Raises:
            TrustError: this node's own rules refuse it; nothing is changed.
        """
        await self.publish_signed(sign_document(document, [self.identity]), document)

    async def publish_signed(self, data: bytes, document: StateManifest | Publication) -> None:
        """Do so with a document that is signed already.

        Raises:
            TrustError: as :meth:`publish`.
        """
        self.directory.update(data, self.now_ms)
        about = f"{document.__struct_config__.tag} version {document.version}"
        await self.deliver(data, about)

    async def publish_manifest(
        self,
        keys: Sequence[KeyEntry],
        revoked: Sequence[Revocation],
        *,
        certificates: Sequence[bytes] | None = None,
        witness: NoteKeys | None = None,
    ) -> StateManifest:
        """Publish the next manifest with these keys and revocations, and return it; the rest stays.

        Args:
            keys: The online keys to list.
            revoked: All revocations.
            certificates: The TLS certificates to list, in DER, if they change.
            witness: The witness's keys, if they change.

        Raises:
            TrustError: as :meth:`publish`.
        """
        present = self.held.document
        manifest = next_manifest(
            self.held,
            state=self.state,
            community=self.directory.community,
            keys=keys,
            certificates=present.certificates if certificates is None else certificates,
            witness=witness,
            now_ms=self.now_ms,
            life_ms=MANIFEST_LIFE_MS,
            revoked=revoked,
            suites=present.suites,
        )
        await self.publish(manifest)
        return manifest


class Alarm(NamedTuple):
    """An alarm of the node: its code, what it says, and the next step."""

    code: str
    message: str
    next: str


class Running(Protocol):
    """A node that runs, over its local interface."""

    async def documents(self) -> tuple[list[bytes], bool]:
        """Return all its documents in order, and whether the coordinator has its state's own ones."""
        ...

    async def alarms(self) -> list[Alarm]:
        """Return its alarms."""
        ...

    async def hand_in(self, data: bytes) -> None:
        """Hand in a signed document; durable on return."""
        ...


Reach = Callable[[str], Running]
"""Reaches a running node with the text of a token."""


@asynccontextmanager
async def amending(
    data: Path, identity: Path, source: PassphraseSource, clock: Clock, reach: Reach | None = None
) -> AsyncIterator[Amendment]:
    """Open a node for a change, whether it runs or not.

    Args:
        data: The node's data directory.
        identity: The state's identity key file.
        source: Asked for the passphrase if that file has one.
        clock: The source of time.
        reach: Reaches the node if it runs; without it, it must not.

    Raises:
        DataDirBusy: another process has the data directory, and cannot be reached.
        KeyfileError: the identity key cannot be used, or is another state's.
        SetupError: the node is not set up, or its store was altered.
    """
    place = DataDir(data)
    async with AsyncExitStack() as stack:
        node, runs = await open_node(place, clock, reach, stack)
        state = own_request(data).code
        signer = open_signer(identity, Role.IDENTITY, source)
        if signer.public not in own_identities(data):
            raise KeyfileError(
                f"{identity} is not the identity key of {state}", hint="Name the right key file."
            )
        directory = TrustedDirectory(read_pinned_root(data), Verifier())
        documents, handed_over = await node.documents()
        load_directory(directory, documents)
        _require_in_force(directory, state, signer, identity)
        yield Amendment(
            place,
            state,
            directory,
            documents,
            signer,
            clock.now_ms(),
            runs,
            handed_over,
            node.deliver,
        )


async def open_node(
    place: DataDir, clock: Clock, reach: Reach | None, stack: AsyncExitStack
) -> tuple[_Stopped | _Reached, bool]:
    """Take the data directory for this process, or reach the one that has it; returns whether that runs.

    Raises:
        DataDirBusy: another process has it, and cannot be reached.
    """
    try:
        stack.enter_context(place)
    except DataDirBusy:
        if reach is None:
            raise
        token = stack.enter_context(people.passing_token(place))
        return _Reached(reach(token)), True
    engine = await Engine.open(place.database, MIGRATIONS, clock)
    stack.push_async_callback(engine.close)
    return _Stopped(engine, clock), False


@dataclass(frozen=True, slots=True)
class _Stopped:
    """The store of a node that does not run."""

    engine: Engine
    clock: Clock

    async def documents(self) -> tuple[list[bytes], bool]:
        documents = await self.engine.read(read_documents)
        return documents, not await self.engine.read(read_published)

    async def alarms(self) -> list[Alarm]:
        stored = [Alarm(row.code, row.message, row.next) for row in await self.engine.read(read_alarms)]
        since_ms = await self.engine.read(lambda db: read_fact(db, RESTORED_FACT))
        if since_ms:
            # A running node says so by itself.
            stored.append(Alarm(RESTORED, f"{either(format_utc(since_ms))}, so it signs nothing", NEXT))
        return stored

    async def deliver(self, data: bytes, about: str) -> None:
        now_ms = self.clock.now_ms()
        await self.engine.write(lambda db: _store(db, data, about, now_ms))


@dataclass(frozen=True, slots=True)
class _Reached:
    """A node that runs."""

    node: Running

    async def documents(self) -> tuple[list[bytes], bool]:
        return await self.node.documents()

    async def alarms(self) -> list[Alarm]:
        return await self.node.alarms()

    async def deliver(self, data: bytes, about: str) -> None:
        del about
        await self.node.hand_in(data)


def _require_in_force(directory: TrustedDirectory, state: str, signer: Signer, path: Path) -> None:
    entry = directory.documents.entry(state)
    if entry is not None and entry.identity != signer.public:
        raise KeyfileError(
            f"{path} is an identity key of {state}, but not the one that the directory lists now",
            hint="Name the file of the listed key. If governance has just listed another, let the node run "
            "once, so that it learns of it.",
        )


async def add_officer(amendment: Amendment, name: str) -> Path:
    """Make an officer's key and token, and list the key in the next manifest; returns the token's file.

    Raises:
        BadRequest: the name is taken.
        FormatError: the name does not fit, or the manifest has no room for another key.
        TrustError: this node's own rules refuse the manifest; nothing is changed.
    """
    place, now_ms, present = amendment.place, amendment.now_ms, amendment.held.document
    identity = people.new_identity(TokenRole.OFFICER, name)
    people.require_free(place, identity)
    entry = key_entry(
        people.new_officer_key(place, identity, now_ms),
        state=amendment.state,
        community=amendment.directory.community,
        owner=identity.name,
        from_ms=now_ms - MAX_SKEW_MS,
        until_ms=now_ms + KEY_LIFE_MS,
    )
    # Key and token first, because a listed key that is lost cannot be used.
    token = people.grant(place, identity)
    try:
        await amendment.publish_manifest([*present.keys, entry], present.revoked)
    except (TrustError, FormatError):
        # Nothing was published, so nobody may come in with what was made for it.
        people.forget(place, people.officer_named(place, identity.name))
        raise
    return token


def before_revoking(amendment: Amendment, name: str) -> tuple[str, ...]:
    """Return what revoking an officer does, one sentence each.

    Raises:
        NotFound: there is no such officer.
    """
    place = amendment.place
    keys = [one.description.key_id.hex()[:16] for one in people.officer_keys(place, name)]
    others = {one.name for one in people.officers(place)} - {name}
    return (
        f"{name} can answer nothing here any more: the key{'s' * (len(keys) > 1)} {', '.join(keys)} and "
        "every "
        "token end now, for good.",
        "What was answered before stays valid.",
        f"Who can still answer: {', '.join(sorted(others)) or 'NOBODY'}.",
    )


async def revoke_officer(amendment: Amendment, name: str) -> None:
    """Revoke all keys of an officer in the next manifest, and take the tokens back.

    What the officer signed before stays valid, so the keys stay listed.

    Raises:
        NotFound: there is no such officer.
        TrustError: this node's own rules refuse the manifest; nothing is changed.
    """
    officers = people.officer_keys(amendment.place, name)
    present = amendment.held.document
    ids = [officer.description.key_id for officer in officers]
    revoked = [item for item in present.revoked if item.key_id not in ids]
    added = [Revocation(key_id=key_id, reason=WITHDRAWN, at_ms=amendment.now_ms) for key_id in ids]
    await amendment.publish_manifest(present.keys, [*revoked, *added])
    for officer in officers:
        people.forget(amendment.place, officer)


async def publish_severity(amendment: Amendment, named: str) -> str:
    """Publish a version of the state's severity schema; returns its reference.

    Raises:
        BadRequest, FormatError, SetupError: as :func:`find_schema` and :func:`publication_of`.
    """
    schema = find_schema(named, amendment.state)
    publication = publication_of(
        schema,
        amendment.directory.documents,
        state=amendment.state,
        community=amendment.directory.community,
        now_ms=amendment.now_ms,
    )
    await amendment.publish(publication)
    return f"{schema.id}@{schema.version}"


def _store(db: apsw.Connection, data: bytes, about: str, now_ms: int) -> None:
    store_document(db, data)
    enqueue(db, "publish", PUBLISH_PRIORITY, signed_document_hash(data), data)
    record_event(db, now_ms, "directory.updated", detail=about)
