"""One node's session: who is it, what does it ask, and its mailbox going out beside it."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog

from exchange.clock import Clock
from exchange.coordinator.admission import Admission
from exchange.coordinator.cursors import Cursors
from exchange.coordinator.documents import CommunityDocuments
from exchange.coordinator.judging import refusal
from exchange.coordinator.ledger import Ledger
from exchange.coordinator.mailbox import Pusher
from exchange.coordinator.relay import Relay
from exchange.coordinator.roll import SESSION_SECONDS
from exchange.coordinator.sessions import Present, Sessions
from exchange.coordinator.waiting import Brought
from exchange.link.handshake import Identity, authenticate_as_coordinator
from exchange.link.pump import Link
from exchange.stores.contract import CoordinatorStore
from exchange.stores.sharing_contract import Sharing
from keys.signer import Signer
from protocol.errors import AlmenaraError, PeerCode, ProtocolError, ServiceError, Unreachable
from protocol.notice import DirectoryHead
from protocol.session.messages import (
    Accepted,
    Attest,
    Collected,
    Compare,
    Cosigned,
    Locate,
    Message,
    Mirror,
    Publish,
    Submit,
    Unusable,
    Welcome,
)
from protocol.session.table import State

NONCE_BYTES = 32
BREATH = 16
"""After so many messages of one node, the others have their turn."""

log = structlog.get_logger()


class Reception:
    """Serves sessions. One object serves all of them.

    Args:
        identity: The coordinator's code, statement key and trust.
        signer_for: Returns the statement key that a node with this directory expects.
        admission: Charges for documents.
        relay: Takes submissions and statements.
        documents: Takes and mirrors documents.
        ledger: Takes cosignatures, and answers with proofs.
        store: The mailboxes.
        sharing: Who is connected to which process.
        owner: This process.
        cursors: What was collected.
        sessions: Who is connected.
        clock: Time of day.
        window: How many requests, and how many deliveries, may be under way on a session.
        heartbeat_s: Seconds between heartbeats.
    """

    def __init__(
        self,
        identity: Identity,
        signer_for: Callable[[DirectoryHead], Signer],
        admission: Admission,
        relay: Relay,
        documents: CommunityDocuments,
        ledger: Ledger,
        store: CoordinatorStore,
        sharing: Sharing,
        owner: str,
        cursors: Cursors,
        sessions: Sessions,
        clock: Clock,
        *,
        window: int,
        heartbeat_s: float,
    ) -> None:
        self._identity = identity
        self._signer_for = signer_for
        self._admission = admission
        self._relay = relay
        self._documents = documents
        self._ledger = ledger
        self._store = store
        self._sharing = sharing
        self._owner = owner
        self._cursors = cursors
        self._sessions = sessions
        self._clock = clock
        self._window = window
        self._heartbeat_ms = round(heartbeat_s * 1000)

    async def serve(self, link: Link, _certificate: bytes) -> None:
        """Serve one session until it ends. The caller closes the link.

        Raises:
            AlmenaraError: why the session ended, if it was not by a goodbye.
        """
        known = await self._documents.catch_up()
        present = await self._admit(link, known)
        self._sessions.enter(present)
        log.info("session.opened", state=present.state, members=len(self._sessions))
        try:
            async with pushing(present):
                await self._catch_up(present, known)
                await self._ledger.entered(present.state)
                heard = 0
                async for message in link.messages():
                    heard += 1
                    if heard % BREATH == 0:
                        # What has come already does not make this loop wait: others are to be heard too.
                        await asyncio.sleep(0)
                    await self._handle(present, message)
        finally:
            if self._sessions.leave(present):
                self._ledger.left(present.state)
                await self._end(present)
            log.info("session.closed", state=present.state)

    async def _admit(self, link: Link, documents: int) -> Present:
        welcome = Welcome(
            request_window=self._window,
            delivery_window=self._window,
            heartbeat_ms=self._heartbeat_ms,
            documents=documents,
        )
        visitor = await authenticate_as_coordinator(
            link,
            self._identity,
            self._signer_for,
            nonce=secrets.token_bytes(NONCE_BYTES),
            now_ms=self._clock.now_ms(),
            welcome=welcome,
        )
        # What an older session here has collected, before its epoch is over.
        await self._cursors.write(visitor.state)
        epoch = await self._sharing.take_session(visitor.state, self._owner, seconds=SESSION_SECONDS)
        pusher = Pusher(visitor.state, Window(link), self._store, self._cursors, epoch)
        return Present(visitor.state, visitor.key_id, link, pusher, epoch)

    async def _end(self, present: Present) -> None:
        """Write what was collected, and give the session back: the node may be at another process already."""
        try:
            await self._cursors.write(present.state)
            await self._sharing.end_session(present.state, present.epoch)
        except ServiceError as error:
            # It ends by itself, and what was collected is delivered again.
            log.warning("session.not_ended", state=present.state, code=error.code)

    async def _catch_up(self, present: Present, known: int) -> None:
        """Tell what was published while the node was greeting, which nobody else will tell it."""
        if await self._documents.count() > known:
            present.tell(await self._documents.mirror(known))

    async def _handle(self, present: Present, message: Message) -> None:
        match message:
            case Submit() | Attest():
                self._relay.bring(Brought(present.state, message, present.tell))
            case Collected():
                present.pusher.collected(message)
            case Unusable():
                if present.pusher.unusable(message):
                    log.warning(
                        "delivery.unusable",
                        state=present.state,
                        code=message.code.value,
                        seq=message.sequence,
                    )
            case Mirror():
                present.tell(await self._documents.mirror(message.index))
                await present.link.flush()
            case Publish():
                await self._publish(present, message)
            case Cosigned() | Locate() | Compare():
                await self._ledger.handle(present, message)
            case _:
                # The session's table lets no other message come from a node.
                raise ProtocolError(f"a node sent {type(message).__name__}")

    async def _publish(self, present: Present, message: Publish) -> None:
        try:
            self._admission.charge_document(present.state, len(message.document))
            index = await self._documents.publish(message.document)
        except AlmenaraError as error:
            present.tell(refusal(present.state, message.ref, error))
        else:
            present.tell(Accepted(ref=message.ref, index=index, statement=None))


class Window:
    """The outlet of one link: what its session lets out now."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def may_deliver(self, size: int) -> bool:
        """Whether a Deliver with ``size`` bytes of content may be sent now."""
        return self._link.session.may_deliver(size)

    def send(self, message: Message) -> None:
        """Queue one message. Raises Unreachable if the session has ended."""
        if self._link.session.state is not State.OPEN:
            raise Unreachable("the session ended before everything was pushed")
        self._link.send(message)

    async def flush(self) -> None:
        """Wait until the other side takes more."""
        await self._link.flush()


@asynccontextmanager
async def pushing(present: Present) -> AsyncIterator[None]:
    """Push a node's mailbox for as long as the block runs."""
    task = asyncio.get_running_loop().create_task(push(present))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def push(present: Present) -> None:
    """Push until cancelled or the session ends; without a store to read from, end the session."""
    try:
        await present.pusher.run()
    except (ProtocolError, Unreachable):
        return  # whoever reads from the session is told the same, and reports it
    except Exception as error:
        log.error("mailbox.push_failed", state=present.state, exc_info=error)
        await present.link.close(PeerCode.INTERNAL)
