"""The courier: keeps the session with the coordinator, for ever, and carries everything over it.

It sends what the store's queue holds, most urgent first and never more than the session's
windows allow; it hands what is delivered to the inbox, and moves the cursor only when the inbox
says it is durable. Whatever was under way when a session ends is sent again on the next.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable
from dataclasses import dataclass, field

import structlog

from exchange.link.client import connect
from exchange.link.handshake import Identity, authenticate_as_node
from exchange.link.pump import Link
from exchange.link.tls import client_context
from exchange.node.addresses import Addresses
from exchange.node.answers import Answered, Answers
from exchange.node.context import NodeContext
from exchange.node.inbox import Inbox
from exchange.node.ledger import Ledger
from exchange.node.link_state import LinkState
from exchange.node.mirror import Mirror
from exchange.node.records import Item
from exchange.node.tls_files import Certificates, TlsFiles
from exchange.node.together import until_first
from exchange.stores.node_queue import OutgoingRow, read_queue, read_small_queue
from keys.signer import Signer
from protocol.errors import AlmenaraError, ClockSkew, RemoteProtocolError, Unreachable
from protocol.session.messages import (
    Accepted,
    Ahead,
    Attest,
    Collected,
    Compared,
    Deliver,
    Documents,
    ItemKind,
    Located,
    Publish,
    Refused,
    Submit,
    Unusable,
    Welcome,
    Witness,
    Witnessed,
)
from protocol.session.messages import Mirror as MirrorRequest
from protocol.session.table import State

QUEUE_CHUNK = 32
SMALL_BYTES = 512 * 1024
"""What is read on the loop itself."""
CATCH_UP_SECONDS = 5.0
HELD_SECONDS = 15.0
CLOCK_SECONDS = 1.0
"""How often to look whether a wrong clock was corrected."""
COMPARE_SECONDS = 30.0
"""After so long with a wrong clock a new session compares the two again: it may be the coordinator's that
was wrong, and was corrected."""
STEADY_SECONDS = 15.0
"""A session counts as a success once something of it is durable, or after so long: a session that
fails over and over is not opened twice a second for ever."""

AHEAD = 0
"""The place of what came before its turn: places in a mailbox begin with 1, and it has none yet."""

_log = structlog.get_logger()


@dataclass(slots=True)
class _Session:
    """What belongs to one session only."""

    link: Link
    next_ref: int = 0
    sent: dict[int, OutgoingRow] = field(default_factory=dict)
    """What waits for an answer, by the reference it was sent with."""
    under_way: set[int] = field(default_factory=set)
    """Queue numbers sent and not yet settled in the store."""
    held: dict[int, float] = field(default_factory=dict)
    """Queue numbers refused for a passing reason, until this monotonic second."""
    room: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when an answer has made room in the session's window."""


class Courier:
    """Carries everything between one node and its coordinator.

    Args:
        context: The node.
        certificates: This node's TLS certificates and their keys.
        mirror: Takes documents.
        answers: Takes answers to what was sent.
        link_state: Where people can see how the link stands.
        addresses: Where to try next, and after how long.
        ledger: Takes what is said of the ledger.
    """

    def __init__(
        self,
        context: NodeContext,
        certificates: Certificates,
        mirror: Mirror,
        answers: Answers,
        link_state: LinkState,
        addresses: Addresses,
        ledger: Ledger,
    ) -> None:
        self._context = context
        self._certificates = certificates
        self._unwelcome = 0
        """In how many rounds over all addresses no session was opened: with each, something else is shown."""
        self._welcome = False
        """Whether one was opened in this round."""
        self._mirror = mirror
        self._answers = answers
        self._link_state = link_state
        self._addresses = addresses
        self._at = ""
        """The address of the session, or of the last try."""
        self._listed: tuple[str, ...] = ()
        """The directory's addresses at that time."""
        self._ledger = ledger
        self._session: _Session | None = None

    async def run(self, inbox: Inbox) -> None:
        """Connect, carry, and connect again; returns only by cancellation."""
        while True:
            try:
                await self._serve(inbox)
                self._link_state.lost(Unreachable("the coordinator ended the session"))
            except AlmenaraError as error:
                self._link_state.lost(error)
                _log.warning("link.lost", code=error.code, address=shown(self._at))
            except Exception as fault:
                # A fault of our own ends one session, and not the node, which goes on accepting notices.
                self._link_state.lost(AlmenaraError(f"a fault in this program: {type(fault).__name__}"))
                _log.exception("link.fault")
            finally:
                self._session = None
                inbox.forget()
                self._answers.forget()
                self._ledger.forget()
            await self._pause()

    async def catch_up(self) -> None:
        """Ask for newer documents and wait until they are in, or a few seconds."""
        if self._session is None or self._session.link.session.state is not State.OPEN:
            return
        changed = self._mirror.changed.listen()
        self._session.link.send(MirrorRequest(index=self._mirror.next_index))
        try:
            async with asyncio.timeout(CATCH_UP_SECONDS):
                await changed.wait()
        except TimeoutError:
            _log.info("mirror.nothing_newer")

    async def _pause(self) -> None:
        rounds = self._addresses.rounds
        pause = self._addresses.failed(self._at, self._listed)
        if self._addresses.rounds > rounds:
            self._unwelcome = 0 if self._welcome else self._unwelcome + 1
            self._welcome = False
        self._link_state.retry_in(pause)
        await asyncio.sleep(pause)

    async def _serve(self, inbox: Inbox) -> None:
        link, welcome = await self._open()
        since = self._context.clock.monotonic()
        try:
            session = self._session = _Session(link=link)
            shown = self._mirror.changed.listen()
            await self._mirror.begin(welcome.documents)
            link.send(MirrorRequest(index=self._mirror.next_index))
            await until_first(
                self._read(session, inbox),
                self._look_then_send(session, shown),
                self._collect(session, inbox),
                self._settle(session),
                self._ledger.serve(link),
            )
        finally:
            if self._context.clock.monotonic() - since >= STEADY_SECONDS:
                self._addresses.succeeded()
            await link.close()

    async def _open(self) -> tuple[Link, Welcome]:
        context, trust = self._context, self._context.directory
        entry = trust.coordinator(context.coordinator)
        self._listed = entry.addresses
        self._at, seconds = self._addresses.choose(self._listed)
        self._link_state.trying(self._at, self._addresses.all(self._listed))
        files, signer = self._next_try()
        tls = client_context(files.certificate, files.key, trust.certificates(entry.code))
        link = await connect(self._at, tls, clock=context.clock, own_certificate=files.id, seconds=seconds)
        me = Identity(party=context.state, signer=signer, verifier=context.verifier, trust=trust)
        welcomed = await authenticate_as_node(
            link, me, coordinator=entry.code, nonce=secrets.token_bytes(32), now_ms=context.clock.now_ms()
        )
        self._welcome = True
        self._link_state.opened(welcomed.skew_ms)
        context.events.ring()
        _log.info("link.opened", skew_ms=welcomed.skew_ms, address=shown(self._at))
        return link, welcomed.welcome

    def _next_try(self) -> tuple[TlsFiles, Signer]:
        """Return the certificate and key for this connection: the best, and after a round in vain the next.

        A coordinator that was restored from a backup may not know the newest ones any more.
        """
        context, now_ms = self._context, self._context.clock.now_ms()
        accepted = context.keys.accepted
        listed = () if accepted is None else accepted.certificates
        tries = [
            (files, signer)
            for signer in context.keys.greeting(now_ms)
            for files in self._certificates.to_show(listed, now_ms)
        ]
        return tries[self._unwelcome % len(tries)]

    async def _read(self, session: _Session, inbox: Inbox) -> None:
        async for message in session.link.messages():
            match message:
                case Deliver():
                    inbox.offer(Item(sequence=message.sequence, kind=message.item, content=message.content))
                case Ahead():
                    inbox.offer(Item(sequence=AHEAD, kind=ItemKind.ENVELOPE, content=message.content))
                case Accepted() | Refused():
                    self._answers.offer(Answered(session.sent.pop(message.ref), message))
                case Documents():
                    if await self._mirror.receive(message):
                        session.link.send(MirrorRequest(index=self._mirror.next_index))
                case Witness() | Witnessed() | Located() | Compared():
                    self._ledger.offer(message)
                case _:
                    raise RemoteProtocolError(f"a {type(message).__name__} has no meaning for a node here")

    async def _look_then_send(self, session: _Session, shown: asyncio.Event) -> None:
        """Begin only when this node has seen what others know of it: its store may be an older copy."""
        looked = self._context.restored.looked
        if not looked.is_set():
            await _wait(shown, CATCH_UP_SECONDS)
            await _within(CATCH_UP_SECONDS, self._ledger.dealt_with())
            looked.set()
        await self._send(session)

    async def _send(self, session: _Session) -> None:
        if self._context.restored.since_ms is None:
            await self._send_all(session)
        # Nothing leaves any more. Asked once again, the coordinator shows what this node may have forgotten.
        session.link.send(MirrorRequest(index=self._mirror.next_index))
        await asyncio.Event().wait()

    async def _send_all(self, session: _Session) -> None:
        """Hand over what waits, until this node finds out that it may not."""
        clock = self._context.clock
        right = clock.monotonic()
        while self._context.restored.since_ms is None:
            if self._link_state.clock_is_wrong:
                # What is handed over now would be refused for its time, and a notice for good.
                if clock.monotonic() - right >= COMPARE_SECONDS:
                    raise ClockSkew("the coordinator's clock and this machine's are compared again")
                await asyncio.sleep(CLOCK_SECONDS)
                continue
            right = clock.monotonic()
            rung = self._context.outgoing.listen()
            now = self._context.clock.monotonic()
            session.held = {number: until for number, until in session.held.items() if until > now}
            rows = await self._next_rows(session.under_way | session.held.keys())
            if await self._hand_over_all(session, rows) and len(rows) < QUEUE_CHUNK:
                await _wait(rung, HELD_SECONDS if session.held else None)

    async def _next_rows(self, busy: set[int]) -> list[OutgoingRow]:
        engine = self._context.engine
        rows = engine.look_up(lambda db: read_small_queue(db, QUEUE_CHUNK, busy, SMALL_BYTES))
        if rows is not None:
            # Waking a thread would cost more than this read.
            return rows
        return await engine.read(lambda db: read_queue(db, QUEUE_CHUNK, busy))

    async def _hand_over_all(self, session: _Session, rows: list[OutgoingRow]) -> bool:
        for row in rows:
            if not session.link.session.may_request(len(row.content)):
                # Then look again: something more urgent may have come meanwhile.
                await self._room(session, len(row.content))
                return False
            self._hand_over(session, row)
        # All of them in one piece, as far as the connection takes it.
        await session.link.flush()
        return True

    async def _room(self, session: _Session, size: int) -> None:
        while not session.link.session.may_request(size):
            session.room.clear()
            await session.room.wait()

    def _hand_over(self, session: _Session, row: OutgoingRow) -> None:
        session.next_ref += 1
        ref = session.next_ref
        session.sent[ref] = row
        session.under_way.add(row.number)
        session.link.send(_request(ref, row))

    async def _settle(self, session: _Session) -> None:
        while True:
            for answered in await self._answers.next_round():
                number = answered.row.number
                session.under_way.discard(number)
                if not answered.is_final:
                    session.held[number] = self._context.clock.monotonic() + HELD_SECONDS
                    self._context.outgoing.ring()
            session.room.set()
            self._addresses.succeeded()

    async def _collect(self, session: _Session, inbox: Inbox) -> None:
        await self._context.restored.looked.wait()
        while True:
            outcomes = await inbox.next_round()
            if not outcomes:
                continue
            self._addresses.succeeded()
            for outcome in outcomes:
                if outcome.refusal is not None and outcome.item.sequence != AHEAD:
                    code = outcome.refusal.error.peer_code
                    session.link.send(Unusable(sequence=outcome.item.sequence, code=code))
            last = max(outcome.item.sequence for outcome in outcomes)
            if last != AHEAD:
                session.link.send(Collected(sequence=last))


def shown(url: str) -> str:
    """Return an address as the log writes it: host and port."""
    return url.removeprefix("wss://").split("/")[0]


def _request(ref: int, row: OutgoingRow) -> Submit | Attest | Publish:
    match row.kind:
        case "submit":
            return Submit(ref=ref, submission=row.content)
        case "attest":
            return Attest(ref=ref, statement=row.content)
        case "publish":
            return Publish(ref=ref, document=row.content)


async def _wait(rung: asyncio.Event, seconds: float | None) -> None:
    await _within(seconds, rung.wait())


async def _within(seconds: float | None, work: Awaitable[object]) -> None:
    """Wait for something, but no longer than so many seconds."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await work
