"""The ledger of a coordinator as one part of the service: both logs, from the rows to the witnesses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import structlog

from exchange.clock import Clock
from exchange.coordinator.anchor import Anchor
from exchange.coordinator.budget import Allowance, Budgets
from exchange.coordinator.duties import Duty, Work
from exchange.coordinator.heads import SHARED_REASONS, HaltReason, Heads, reason_of
from exchange.coordinator.locating import Locator
from exchange.coordinator.prefix import Prefix
from exchange.coordinator.sequencer import Sequencer
from exchange.coordinator.sessions import Sessions
from exchange.coordinator.witnesses import Witnesses
from exchange.stores.ledger_contract import LedgerStore
from exchange.stores.sharing_contract import Lease, Pulse, Sharing
from keys.note_keys import NoteSecret
from keys.quorum import Quorum, policy_text, quorum_of
from keys.roster import Roster
from protocol.errors import OverQuota, ServiceError, SetupError
from protocol.ledger.checkpoint import parse_checkpoint
from protocol.ledger.origins import Log
from protocol.session.messages import Compare, Cosigned, Locate, Message

CONFIRM_SECONDS = 10.0
"""After a start, how long the first checkpoint waits for a witness to say that it remembers no more."""

FOLLOW_SECONDS = 0.2
"""How soon to look again when a checkpoint of another process is on its way, at a start."""
FOLLOW_TRIES = 10

QUESTION_ALLOWANCE = Allowance(
    items_per_second=8.0, items_at_once=128, bytes_per_second=2.0**20, bytes_at_once=2.0**20
)
"""How often a member may ask for proofs; what is above it is left unanswered, and asked again later."""

log = structlog.get_logger()


class Teller(Protocol):
    """Whoever asks, to be answered."""

    @property
    def state(self) -> str:
        """The code of its state."""
        ...

    def tell(self, message: Message) -> None:
        """Send one message."""
        ...


class Ledger:
    """Both logs. Call :meth:`begin` once, then start all of :meth:`works`, and tell it each :class:`Pulse`.

    One process makes the checkpoints of a log, and one leads the rounds of its witnesses, each by a lease.
    The others follow.

    Args:
        roster: Whose witnesses count, by the documents trusted now.
        code: The coordinator's code.
        secret: The log's keys.
        store: Rows, checkpoints, tiles.
        sharing: What the processes of this coordinator share.
        owner: This process.
        anchor: The second place of each checkpoint; open.
        sessions: Who is connected.
        clock: Its time of day goes into signatures, its monotonic time fills budgets.

    Raises:
        SetupError: the directory lists other log keys.
    """

    def __init__(
        self,
        roster: Roster,
        code: str,
        secret: NoteSecret,
        store: LedgerStore,
        sharing: Sharing,
        owner: str,
        anchor: Anchor,
        sessions: Sessions,
        clock: Clock,
    ) -> None:
        require_listed(roster, code, secret)
        self.heads = Heads()
        self._store = store
        self._sharing = sharing
        self._clock = clock
        self._roster = roster
        self._code = code
        self._budgets = Budgets(QUESTION_ALLOWANCE)
        self._locator = Locator(self.heads, store)
        self._witnesses: dict[Log, Witnesses] = {}
        self._sequencers: dict[Log, Sequencer] = {}
        self._prefixes: dict[Log, Prefix] = {}
        self._duties: dict[Log, Duty] = {}
        self._rounds: dict[Log, Duty] = {}
        self._telling: set[asyncio.Task[None]] = set()
        self._confirm_until = asyncio.get_running_loop().time() + CONFIRM_SECONDS
        self._checkpoint_s = self._witness_s = 1.0
        for which in Log:
            head, keys = self.heads[which], self.quorum(which).log
            sequencer = Sequencer(
                head,
                keys,
                secret,
                store,
                anchor,
                clock,
                self._publisher(which),
                self._halter(which),
            )
            self._sequencers[which] = sequencer
            self._prefixes[which] = Prefix(head, keys, store, anchor, sequencer.halt)
            witnesses = Witnesses(head, store, sharing, sessions, self._quorum(which), sequencer.halt, clock)
            self._witnesses[which] = witnesses
            self._duties[which] = Duty(
                f"sequencer-{which}", sharing, owner, self._sequence(which), self._may_sign(which)
            )
            self._rounds[which] = Duty(
                f"witnesses-{which}", sharing, owner, self._lead(which), self._may_lead(which)
            )

    def quorum(self, which: Log) -> Quorum:
        """Return who must have signed a log, by the documents trusted now."""
        return quorum_of(self._roster, self._code, which)

    def policy(self, which: Log) -> str:
        """Return the ``tlog-policy`` file of a log, by the documents trusted now."""
        return policy_text(self._roster, self._code, which)

    async def begin(self, *, checkpoint_s: float, witness_s: float) -> None:
        """Take the checkpoints of both logs up from where a crash may have interrupted them, or follow.

        Args:
            checkpoint_s: A log gets at most one checkpoint in so many seconds.
            witness_s: The witnesses are asked at most once in so many seconds.

        Raises:
            SetupError: the database is an older copy, or database and anchor do not fit.
            Forked: they went different ways.
            StoreFailed, OutcomeUnknown: the disk refuses.
        """
        self._checkpoint_s, self._witness_s = checkpoint_s, witness_s
        await self._take_halts(await self._sharing.pulse(()))
        for which in Log:
            if await self._duties[which].take():
                await self._sequencers[which].recover()
            else:
                # Another process is at work, with an anchor of its own.
                await self._follow_at_start(which)
            kept = await self._store.witnessed(which)
            if kept is not None:
                self.heads[which].witnessed = parse_checkpoint(kept.checkpoint)
            log.info("ledger.opened", log=which.value, size=self.heads[which].size)

    async def _follow_at_start(self, which: Log) -> None:
        for _ in range(FOLLOW_TRIES):
            if await self._prefixes[which].follow(adopt=True):
                return
            await asyncio.sleep(FOLLOW_SECONDS)

    @property
    def duties(self) -> tuple[str, ...]:
        """The names of those works that one process does for all."""
        return tuple(duty.name for duty in (*self._duties.values(), *self._rounds.values()))

    def works(self) -> dict[str, Coroutine[Any, Any, None]]:
        """Return everything that must run as long as the service does, by name."""
        duties = (*self._duties.values(), *self._rounds.values())
        return {duty.name: duty.run() for duty in duties}

    async def looked(self, pulse: Pulse) -> None:
        """Take what other processes have changed.

        Raises:
            SetupError, Forked: the database is not what was anchored here.
            StoreFailed, OutcomeUnknown: look again.
            FormatError, TrustError: what is stored is not of this ledger.
        """
        await self._take_halts(pulse)
        for which, rows in ((Log.ACK, pulse.statements), (Log.DIRECTORY, pulse.documents)):
            head, sequencer = self.heads[which], self._sequencers[which]
            # First what is asked: about less than is shown here, nobody is asked.
            await self._witnesses[which].looked(pulse)
            if sequencer.leads:
                if rows > head.size:
                    sequencer.grown()
            elif pulse.published[which] != head.size and await self._prefixes[which].follow():
                self._witnesses[which].published()

    async def _take_halts(self, pulse: Pulse) -> None:
        """Sign nothing that another process found out must not be signed; tell what this one found out."""
        for which in Log:
            reason, ours = pulse.halted.get(which), self.heads[which].halted
            if reason is not None and ours is None:
                self._sequencers[which].halt(reason_of(reason))
            elif reason is None and ours in SHARED_REASONS:
                await self._sharing.halt(which, ours)

    def leases(self) -> dict[str, int]:
        """Return the leases that this process has, with their epochs."""
        duties = (*self._duties.values(), *self._rounds.values())
        return {duty.name: duty.lease.epoch for duty in duties if duty.lease is not None}

    async def finish(self) -> None:
        """Wait for what must not be torn apart; call it after the works were cancelled."""
        for sequencer in self._sequencers.values():
            await sequencer.finish()
        for duty in (*self._duties.values(), *self._rounds.values()):
            await duty.release()

    def recorded(self) -> None:
        """Say that there are new statements."""
        self._sequencers[Log.ACK].grown()

    def documented(self) -> None:
        """Say that there are new documents."""
        self._sequencers[Log.DIRECTORY].grown()

    async def entered(self, state: str) -> None:
        """Greet a node that has just connected."""
        for witnesses in self._witnesses.values():
            await witnesses.entered(state)

    def left(self, state: str) -> None:
        """Note that a node has gone."""
        for witnesses in self._witnesses.values():
            witnesses.left(state)

    async def handle(self, asker: Teller, message: Cosigned | Locate | Compare) -> None:
        """Take what a node says about the ledger.

        Raises:
            StoreFailed: the store cannot be read.
        """
        if isinstance(message, Cosigned):
            await self._witnesses[message.log].answered(asker.state, message)
            return
        try:
            self._budgets.charge(asker.state, 0, self._clock.monotonic())
        except OverQuota:
            log.debug("ledger.question_left", state=asker.state)
            return
        if isinstance(message, Locate):
            for answer in await self._locator.locate(message):
                asker.tell(answer)
        else:
            asker.tell(await self._locator.compare(message))

    def _sequence(self, which: Log) -> Work:
        """Return the work of making checkpoints."""

        async def confirmed() -> None:
            await self._confirmed(which)

        async def work(lease: Lease) -> None:
            # What the process before has published, and this one has not seen yet.
            await self._prefixes[which].follow()
            await self._sequencers[which].lead(
                lease, self._checkpoint_s, confirmed, unanchored=self._prefixes[which].began_empty
            )

        return work

    def _lead(self, which: Log) -> Work:
        """Return the work of leading the witnesses' rounds."""

        async def work(lease: Lease) -> None:
            await self._witnesses[which].lead(lease, self._witness_s)

        return work

    def _may_sign(self, which: Log) -> Callable[[], bool]:
        return lambda: self.heads[which].halted is None

    def _may_lead(self, which: Log) -> Callable[[], bool]:
        """Return whether this process may lead the rounds: who signs knows the newest checkpoint first."""
        return lambda: self._duties[which].lease is not None or self.heads[which].halted is not None

    async def _confirmed(self, which: Log) -> None:
        """Let a witness say what it remembers, in case a backup was restored before this process started."""
        if not self.heads[which].size or self._confirm_until < asyncio.get_running_loop().time():
            # Who has followed for that long has seen that the database does not go back.
            return
        try:
            async with asyncio.timeout_at(self._confirm_until):
                await self._witnesses[which].confirmed.wait()
        except TimeoutError:
            log.warning("ledger.unconfirmed", log=which.value, size=self.heads[which].size)

    def _halter(self, which: Log) -> Callable[[HaltReason], None]:
        """Return what lets every process know that nothing further is to be signed."""

        def tell(reason: HaltReason) -> None:
            if reason in SHARED_REASONS:
                task = asyncio.get_running_loop().create_task(self._share_halt(which, reason))
                self._telling.add(task)
                task.add_done_callback(self._telling.discard)

        return tell

    async def _share_halt(self, which: Log, reason: HaltReason) -> None:
        try:
            await self._sharing.halt(which, reason)
        except ServiceError as error:
            # The next look tries again.
            log.error("ledger.halt_not_shared", log=which.value, code=error.code)

    def _publisher(self, which: Log) -> Callable[[], None]:
        return lambda: self._witnesses[which].published() if which in self._witnesses else None

    def _quorum(self, which: Log) -> Callable[[], Quorum]:
        return lambda: self.quorum(which)


def require_listed(roster: Roster, code: str, secret: NoteSecret) -> None:
    """Return only if the directory lists these log keys for this coordinator.

    Raises:
        SetupError: it lists others; no node would believe a checkpoint.
    """
    listed = roster.coordinator(code).log
    if (listed.ed25519, listed.mldsa44) != (secret.ed25519, secret.mldsa44):
        raise SetupError(
            f"the directory lists other log keys for {code} than those in keys/log.key",
            hint="Restore keys/log.key from backup: the ledger cannot go on with other keys.",
        )
