"""The relay: judges what waits, makes it durable together, then answers.

Two workers, one behind the other. The first takes what waits, looks up in the store what is known
already, checks what is not, and adds it to the next round. The second writes one round after another:
in the turn, promise to relay (one signature for the whole round), *one* write; then answer, and wake the
recipients. While one round is being written the next one is gathered, so rounds grow under load by
themselves, and nobody waits for company when there is none.

Nobody is told anything before the write has returned. If documents came while a round was judged, the
turn is left, and it is judged again by them; what another process stored meanwhile is known.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import structlog

from exchange.clock import Clock
from exchange.coordinator.announcing import Announcer
from exchange.coordinator.following import Following
from exchange.coordinator.judging import Judge, known_of, refuse
from exchange.coordinator.posting import Offer, post
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
    StoredEnvelope,
    Turn,
    Uncollected,
)
from protocol.errors import OverQuota, PeerCode
from protocol.session.messages import Accepted, Refused

A_FEW, COMPANY, COMPANY_SECONDS = 16, 128, 0.005
"""While rounds have at least a few entries, both workers wait so long for more, unless there are so many: a
signature, a look-up and a flush cost the same for two as for two hundred."""

PENALTY_SECONDS = 0.25
"""So much later a member hears that it brings too much."""

BREATH_ITEMS = 16
"""After so many judgements sessions are served: each may cost a signature's check."""

TAKEN_BYTES = 2 * 1024 * 1024

log = structlog.get_logger()


class Relay:
    """The two workers. Start :meth:`run` once; :meth:`stop` lets it finish what waits.

    Args:
        store: What is durable.
        judge: Judges requests.
        promises: Writes the coordinator's own statements.
        announcer: Says which documents count.
        following: The documents by which requests are judged.
        clock: Gives times of receipt.
        wake: Called with the codes of those who have new items in their mailboxes.
        recorded: Called after each commit: there are new statements.
        offer: Given each item of a mailbox that was just stored, where the store tells its place; else
            its recipient is woken.
    """

    def __init__(
        self,
        store: CoordinatorStore,
        judge: Judge,
        promises: Promises,
        announcer: Announcer,
        following: Following,
        clock: Clock,
        wake: Callable[[Iterable[str]], None],
        recorded: Callable[[], None],
        offer: Offer | None = None,
    ) -> None:
        self._offer = offer
        self._store = store
        self._judge = judge
        self._promises = promises
        self._announcer = announcer
        self._following = following
        self._clock = clock
        self._wake = wake
        self._recorded = recorded
        self._waiting: Waiting[Ticket] = Waiting()
        self._expiries: list[Expiry] = []
        self._stopping = False
        self._ended = False
        """Whether the first worker has done everything."""
        self._gathering = Round()
        """What will be written next; swapped for a new one by whoever writes it."""
        self._writing: Round | None = None
        self._said_since: Counter[tuple[str, bytes]] = Counter()
        """What was written since the first worker looked into the store last."""
        self._busy = False
        """Whether the last round had many entries, so that others are about to come."""
        self._written = 0
        """How many rounds were written, or failed."""
        self._ready, self._room, self._idle = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._room.set()
        self._idle.set()
        self._statements: int | None = None
        """How many statements there were after our last commit, if that is certain."""

    def bring(self, brought: Brought) -> None:
        """Take a request; it is answered later, once, and not before it is durable or refused."""
        try:
            ticket = self._judge.read(brought)
            if ticket is not None and not self._waiting.put(ticket):
                raise OverQuota("more waits here than there is room for: bring it again later")
        except OverQuota as error:
            # Answered later, it holds its place in the session's window: who floods slows down by itself.
            asyncio.get_running_loop().call_later(PENALTY_SECONDS, refuse, brought, error)

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
        async with asyncio.TaskGroup() as workers:
            workers.create_task(self._write_rounds())
            await self._gather_rounds()
            self._ended = True
            self._ready.set()

    def stop(self) -> None:
        """Let :meth:`run` return once everything brought so far is answered."""
        self._stopping = True
        self._waiting.wake()

    # The first worker.

    async def _gather_rounds(self) -> None:
        while True:
            await self._waiting.wait()
            await self._room.wait()
            if self._busy and len(self._waiting) < COMPANY:
                await asyncio.sleep(COMPANY_SECONDS)
            room = self._gathering.room
            taken = self._waiting.take(room, TAKEN_BYTES, self._gathering.room_of)
            room -= len(taken)
            expiries, self._expiries = self._expiries[:room], self._expiries[room:]
            for expiry in expiries:
                self._gathering.expire(expiry, self._following.held)
            if taken:
                await self._gather(taken)
            elif not expiries and self._stopping:
                return
            self._gathered()
            if self._expiries or self._stopping:
                self._waiting.wake()

    async def _gather(self, tickets: Sequence[Ticket]) -> None:
        try:
            again: list[Ticket] = []
            while tickets:
                fresh, known, written = await self._fresh(tickets, again)
                await self._judge.warm(fresh)
                for number, ticket in enumerate(fresh):
                    envelope = await self._spoken_of(ticket, known, written)
                    also = self._about_to_be_said(ticket)
                    self._judge.judge(ticket, envelope, self._gathering, self._following.held, also=also)
                    self._gathered()
                    if number % BREATH_ITEMS == BREATH_ITEMS - 1:
                        await asyncio.sleep(0)
                tickets, again = again, []
        except Exception as error:
            log.error("relay.gathering_failed", count=len(tickets), exc_info=error)
            under_way = {id(one) for each in self._under_way() for one in each.tickets}
            give_up([one for one in (*tickets, *again) if id(one) not in under_way])

    async def _fresh(self, tickets: Sequence[Ticket], again: list[Ticket]) -> tuple[list[Ticket], Known, int]:
        """Answer what is stored, let what is on its way be waited for, and return what is new.

        What is brought twice at once comes into ``again``. No round may end between the look and the answer.
        """
        known, written = await self._look_up(tickets)
        self._said_since.clear()
        fresh: dict[bytes, Ticket] = {}
        for ticket in tickets:
            stored = answer_known(ticket, known)
            if stored is not None:
                ticket.brought.reply(stored)
            elif ticket.id in fresh:
                again.append(ticket)
            elif not self._join(ticket):
                fresh[ticket.id] = ticket
        return list(fresh.values()), known, written

    async def _look_up(self, tickets: Sequence[Ticket]) -> tuple[Known, int]:
        """Return what is stored, and how many rounds were written before it was looked up."""
        while True:
            written = self._written
            known = await known_of(self._store, tickets)
            if written == self._written:
                return known, written

    async def _spoken_of(self, ticket: Ticket, known: Known, written: int) -> StoredEnvelope | None:
        """Return the envelope of which a statement speaks; one that is on its way is waited for."""
        found = known.envelopes.get(ticket.envelope)
        if (
            found is None
            and ticket.id != ticket.envelope
            and (self._written != written or not self._idle.is_set())
        ):
            if any(ticket.envelope in one.waiting for one in self._under_way()):
                await self._idle.wait()
            found = (await self._look_up([ticket]))[0].envelopes.get(ticket.envelope)
        return found

    def _about_to_be_said(self, ticket: Ticket) -> int:
        """Return how many statements of its party about its envelope the look did not find yet."""
        key = (ticket.party, ticket.envelope)
        return self._said_since[key] + sum(one.spoken[key] for one in self._under_way())

    def _join(self, ticket: Ticket) -> bool:
        """Wait for the entry of the same id, if one is on its way already."""
        return any(one.join(ticket) for one in self._under_way())

    def _under_way(self) -> tuple[Round, ...]:
        return (self._gathering,) if self._writing is None else (self._gathering, self._writing)

    def _gathered(self) -> None:
        if self._gathering.entries:
            self._idle.clear()
            self._ready.set()
        if not self._gathering.room:
            self._room.clear()

    # The second worker.

    async def _write_rounds(self) -> None:
        while True:
            await self._ready.wait()
            self._ready.clear()
            if not self._gathering.entries:
                if self._ended:
                    return
                continue
            if self._busy and len(self._gathering.entries) < COMPANY:
                await asyncio.sleep(COMPANY_SECONDS)
            self._writing, self._gathering = self._gathering, Round()
            self._busy = len(self._writing.entries) >= A_FEW
            self._room.set()
            self._waiting.wake()
            await self._write_round(self._writing)
            self._said_since += self._writing.spoken
            self._writing = None
            self._written += 1
            if self._gathering.entries or self._ended:
                self._ready.set()
            if not self._gathering.entries:
                self._idle.set()

    async def _write_round(self, gathered: Round) -> None:
        try:
            while gathered.entries:
                async with self._store.turn() as turn:
                    if turn.documents == gathered.judged_by:
                        await self._write(turn, gathered)
                        break
                await self._following.catch_up()
                await self._judge_again(gathered)
            if gathered.repeats:
                # Another process stored them, and nothing of ours made that durable.
                await self._store.settled()
                gathered.answer_repeats()
        except Exception as error:
            # Nothing is known to be stored, so nothing is claimed; ids make repeating safe.
            self._forget()
            log.error("relay.round_failed", count=len(gathered.entries), exc_info=error)
            give_up(gathered.tickets)
            give_up([ticket for ticket, _ in gathered.repeats])
            for expiry in gathered.expiries:
                if not expiry.done.done():
                    expiry.done.set_exception(error)

    async def _judge_again(self, gathered: Round) -> None:
        """Judge a round's entries by the documents of now; those that wait for them wait on."""
        known, _ = await self._look_up(gathered.tickets)
        held = self._following.held
        waiting, expiries = gathered.begin_again()
        for expiry in expiries:
            gathered.expire(expiry, held)
        for ticket in waiting:
            stored = answer_known(ticket, known)
            if stored is not None:
                ticket.brought.reply(stored)
            elif not gathered.join(ticket):
                self._judge.judge(ticket, known.envelopes.get(ticket.envelope), gathered, held)

    def _forget(self) -> None:
        """Ask the store again where our chain ends, and what was announced."""
        self._statements = None
        self._promises.forget()
        self._announcer.forget()

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
        gathered.leave_out_known(await known_of(turn, gathered.tickets))
        expiries = gathered.expiries
        if expiries:
            gathered.leave_out_declared(await turn.declared([one.what.place for one in expiries]))

    async def _commit(self, turn: Turn, gathered: Round) -> None:
        now_ms = self._clock.now_ms()
        own = [entry for entry in gathered.entries if not isinstance(entry, NewStatement)]
        drafts, signed, chain = await self._promises.write([saying(entry) for entry in own], now_ms)
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
        self._answer(turn, gathered, entries, indexes)

    def _answer(self, turn: Turn, gathered: Round, entries: Sequence[Entry], indexes: Sequence[int]) -> None:
        mailed = iter(turn.mailed)
        woken: set[str] = set()
        for source, entry, index in zip(gathered.entries, entries, indexes, strict=True):
            woken.update(post(entry, mailed, self._offer))
            statement = None
            if isinstance(entry, NewEnvelope):
                statement = entry.relayed.data
            if isinstance(source, Expiry) and not source.done.done():
                source.done.set_result(None)
            for ticket in gathered.waiting.get(entry.id, ()):
                brought = ticket.brought
                brought.reply(Accepted(ref=brought.request.ref, index=index, statement=statement))
        log.info("round.stored", number=indexes[0], count=len(entries), bytes=gathered.size)
        # Read in this turn, so the commit made them durable too.
        gathered.answer_repeats()
        # In an order that does not change from run to run, so that a simulation can be seen again.
        self._wake(sorted(woken))


def give_up(tickets: Iterable[Ticket]) -> None:
    """Tell those who wait that it failed here: they bring it again."""
    for ticket in tickets:
        ticket.brought.reply(Refused(ref=ticket.brought.request.ref, code=PeerCode.INTERNAL))
