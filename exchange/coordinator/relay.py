"""The relay: one worker that takes what waits, judges it, makes it durable at once, then answers.

A round is: read each request; look up in the store what is known already; check what is not; then, in
the turn, promise to relay (one signature for the whole round); *one* write; answer; wake the recipients.
Nobody is told anything before the write has returned. If documents came while it was checked, the turn is
left, and what is not answered yet is checked again by them; what another process stored meanwhile is known.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

import structlog

from exchange.clock import Clock
from exchange.coordinator.admission import Admission, UnverifiedStatement
from exchange.coordinator.announcing import Announcer
from exchange.coordinator.following import Following
from exchange.coordinator.promises import Promises
from exchange.coordinator.round import (
    Announcement,
    Expiry,
    Round,
    Ticket,
    answer_known,
    promised,
    saying,
)
from exchange.coordinator.waiting import Brought, Waiting
from exchange.stores.contract import (
    CoordinatorStore,
    Entry,
    Known,
    NewEnvelope,
    NewStatement,
    Turn,
    Uncollected,
)
from protocol.errors import AlmenaraError, OverQuota, PeerCode
from protocol.session.messages import Accepted, Refused, Submit

ROUND_ITEMS = 32
ROUND_BYTES = 8 * 1024 * 1024

log = structlog.get_logger()


class Relay:
    """The one worker. Start :meth:`run` once; :meth:`stop` lets it finish what waits.

    Args:
        store: What is durable.
        admission: Judges requests.
        promises: Writes the coordinator's own statements.
        announcer: Says which documents count.
        following: The documents by which requests are judged.
        clock: Gives times of receipt.
        wake: Called with the codes of those who have new items in their mailboxes.
        recorded: Called after each commit: there are new statements.
    """

    def __init__(
        self,
        store: CoordinatorStore,
        admission: Admission,
        promises: Promises,
        announcer: Announcer,
        following: Following,
        clock: Clock,
        wake: Callable[[Iterable[str]], None],
        recorded: Callable[[], None],
    ) -> None:
        self._store = store
        self._admission = admission
        self._promises = promises
        self._announcer = announcer
        self._following = following
        self._clock = clock
        self._wake = wake
        self._recorded = recorded
        self._waiting = Waiting()
        self._expiries: list[Expiry] = []
        self._stopping = False
        self._statements: int | None = None
        """How many statements there were after our last commit, if that is certain."""

    def bring(self, brought: Brought) -> None:
        """Take a request; it is answered later, once, and not before it is durable or refused."""
        self._waiting.put(brought)

    async def declare_undelivered(self, items: Sequence[Uncollected]) -> None:
        """Record and mail to the senders that these items expired; durable on return.

        Raises:
            StoreFailed, OutcomeUnknown: as the store; ask it again what is uncollected.
        """
        loop = asyncio.get_running_loop()
        expiries = [Expiry(item, loop.create_future()) for item in items]
        self._expiries.extend(expiries)
        self._waiting.wake()
        await asyncio.gather(*(expiry.done for expiry in expiries))

    async def run(self) -> None:
        """Work until :meth:`stop`, and then until nothing waits."""
        while True:
            await self._waiting.wait()
            taken = self._waiting.take(ROUND_ITEMS, ROUND_BYTES)
            expiries, self._expiries = self._expiries[:ROUND_ITEMS], self._expiries[ROUND_ITEMS:]
            if taken or expiries:
                await self._round(taken, expiries)
            elif self._stopping:
                return
            if self._expiries or self._stopping:
                self._waiting.wake()

    def stop(self) -> None:
        """Let :meth:`run` return once everything brought so far is answered."""
        self._stopping = True
        self._waiting.wake()

    # One round.

    async def _round(self, taken: Sequence[Brought], expiries: list[Expiry]) -> None:
        tickets = [ticket for brought in taken if (ticket := self._read(brought))]
        gathered = Round()
        try:
            while True:
                judged_by = self._following.held
                gathered = Round(entries=list(expiries))
                await self._gather(tickets, gathered)
                if not gathered.entries:
                    return
                async with self._store.turn() as turn:
                    if turn.documents == judged_by:
                        await self._write(turn, gathered)
                        break
                await self._following.catch_up()
            if gathered.repeats:
                # Another process stored them, and nothing of ours made that durable.
                await self._store.settled()
                gathered.answer_repeats()
        except Exception as error:
            # Nothing is known to be stored, so nothing is claimed; ids make repeating safe.
            self._forget()
            log.error("relay.round_failed", count=len(taken), exc_info=error)
            self._give_up(tickets, expiries, error)

    def _forget(self) -> None:
        """Ask the store again where our chain ends, and what was announced."""
        self._statements = None
        self._promises.forget()
        self._announcer.forget()

    def _read(self, brought: Brought) -> Ticket | None:
        try:
            if isinstance(brought.request, Submit):
                return Ticket(brought, self._admission.read_submission(brought.party, brought.data))
            return Ticket(brought, self._admission.read_statement(brought.party, brought.data))
        except AlmenaraError as error:
            brought.reply(refusal(brought.party, brought.request.ref, error))
            return None

    async def _gather(self, tickets: Sequence[Ticket], gathered: Round) -> None:
        open_ = [ticket for ticket in tickets if not ticket.brought.answered]
        known = await self._known(self._store, open_)
        for ticket in open_:
            stored = answer_known(ticket, known)
            if stored is not None:
                ticket.brought.reply(stored)
            elif not gathered.join(ticket):
                self._judge(ticket, known, gathered)
                if ticket is not open_[-1]:
                    # Signatures cost the better part of a millisecond: let sessions breathe between them.
                    await asyncio.sleep(0)

    async def _known(self, where: CoordinatorStore | Turn, tickets: Sequence[Ticket]) -> Known:
        envelopes: list[bytes] = []
        statements: list[bytes] = []
        for ticket in tickets:
            if isinstance(ticket.read, UnverifiedStatement):
                statements.append(ticket.id)
                envelopes.append(ticket.read.statement.envelope)
            else:
                envelopes.append(ticket.id)
        return await where.known(envelopes, statements)

    def _judge(self, ticket: Ticket, known: Known, gathered: Round) -> None:
        try:
            if isinstance(ticket.read, UnverifiedStatement):
                envelope = known.envelopes.get(ticket.read.statement.envelope)
                gathered.add(ticket, self._admission.admit_statement(ticket.read, envelope))
            else:
                gathered.add(ticket, self._admission.admit_submission(ticket.read))
        except AlmenaraError as error:
            brought = ticket.brought
            brought.reply(refusal(brought.party, brought.request.ref, error))

    # In the turn.

    async def _write(self, turn: Turn, gathered: Round) -> None:
        if turn.statements != self._statements:
            self._forget()
            await self._leave_out_known(turn, gathered)
        await self._promises.load(turn)
        if gathered.entries:
            due = await self._announcer.due(turn.documents)
            if due is not None:
                gathered.entries.insert(0, Announcement(due))
            await self._commit(turn, gathered)

    async def _leave_out_known(self, turn: Turn, gathered: Round) -> None:
        """Leave out what another process stored since it was looked up."""
        gathered.leave_out_known(await self._known(turn, gathered.tickets))
        expiries = gathered.expiries
        if expiries:
            gathered.leave_out_declared(await turn.declared([one.what.place for one in expiries]))

    async def _commit(self, turn: Turn, gathered: Round) -> None:
        now_ms = self._clock.now_ms()
        own = [entry for entry in gathered.entries if not isinstance(entry, NewStatement)]
        drafts, signed, chain = self._promises.write([saying(entry) for entry in own], now_ms)
        made = iter(zip(drafts, signed, strict=True))
        entries: list[Entry] = []
        for entry in gathered.entries:
            if isinstance(entry, NewStatement):
                entries.append(entry)
            else:
                draft, data = next(made)
                entries.append(promised(entry, draft, data, self._promises.party, now_ms))
        indexes = await turn.commit(entries, chain)
        self._statements = turn.statements
        self._promises.advance(chain)
        self._announcer.said(turn.documents)
        self._recorded()
        self._answer(gathered, entries, indexes)

    def _answer(self, gathered: Round, entries: Sequence[Entry], indexes: Sequence[int]) -> None:
        woken: set[str] = set()
        for source, entry, index in zip(gathered.entries, entries, indexes, strict=True):
            statement = None
            if isinstance(entry, NewEnvelope):
                statement = entry.relayed.data
                woken.update(entry.recipients)
                log.info("envelope.relayed", envelope=entry.id.hex(), sender=entry.sender, number=index)
            else:
                woken.update(entry.mail_to)
            if isinstance(source, Expiry) and not source.done.done():
                source.done.set_result(None)
            for ticket in gathered.waiting.get(entry.id, ()):
                brought = ticket.brought
                brought.reply(Accepted(ref=brought.request.ref, index=index, statement=statement))
        # Read in this turn, so the commit made them durable too.
        gathered.answer_repeats()
        self._wake(woken)

    def _give_up(self, tickets: Sequence[Ticket], expiries: Sequence[Expiry], error: Exception) -> None:
        for ticket in tickets:
            ticket.brought.reply(Refused(ref=ticket.brought.request.ref, code=PeerCode.INTERNAL))
        for expiry in expiries:
            if not expiry.done.done():
                expiry.done.set_exception(error)


def refusal(party: str, ref: int, error: AlmenaraError) -> Refused:
    """Return the answer that tells a node the error's code, and log which error it was."""
    # A flood must not fill the log as well.
    say = log.debug if isinstance(error, OverQuota) else log.warning
    say("request.refused", state=party, code=error.code, peer_code=error.peer_code.value)
    return Refused(ref=ref, code=error.peer_code)
