"""The ledger of a coordinator as one part of the service: both logs, from the rows to the witnesses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import structlog

from exchange.clock import Clock
from exchange.coordinator.anchor import Anchor
from exchange.coordinator.budget import Allowance, Budgets
from exchange.coordinator.heads import Heads
from exchange.coordinator.locating import Locator
from exchange.coordinator.sequencer import Sequencer
from exchange.coordinator.sessions import Sessions
from exchange.coordinator.witnesses import Witnesses
from exchange.stores.ledger_contract import LedgerStore
from keys.note_keys import NoteSecret
from keys.quorum import Quorum, policy_text, quorum_of
from keys.roster import Roster
from protocol.errors import OverQuota, SetupError
from protocol.ledger.checkpoint import parse_checkpoint
from protocol.ledger.origins import Log
from protocol.session.messages import Compare, Cosigned, Locate, Message

CONFIRM_SECONDS = 10.0
"""After a start, how long the first checkpoint waits for a witness to say that it remembers no more."""

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
    """Both logs. Call :meth:`recover` once, then start all of :meth:`works`.

    Args:
        roster: Whose witnesses count, by the documents trusted now.
        code: The coordinator's code.
        secret: The log's keys.
        store: Rows, checkpoints, tiles.
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
        anchor: Anchor,
        sessions: Sessions,
        clock: Clock,
    ) -> None:
        require_listed(roster, code, secret)
        self.heads = Heads()
        self._store = store
        self._clock = clock
        self._roster = roster
        self._code = code
        self._budgets = Budgets(QUESTION_ALLOWANCE)
        self._locator = Locator(self.heads, store)
        self._witnesses: dict[Log, Witnesses] = {}
        self._sequencers: dict[Log, Sequencer] = {}
        for which in Log:
            sequencer = Sequencer(
                self.heads[which],
                self.quorum(which).log,
                secret,
                store,
                anchor,
                clock,
                self._publisher(which),
            )
            self._sequencers[which] = sequencer
            self._witnesses[which] = Witnesses(
                self.heads[which], store, sessions, self._quorum(which), sequencer.halt, clock
            )

    def quorum(self, which: Log) -> Quorum:
        """Return who must have signed a log, by the documents trusted now."""
        return quorum_of(self._roster, self._code, which)

    def policy(self, which: Log) -> str:
        """Return the ``tlog-policy`` file of a log, by the documents trusted now."""
        return policy_text(self._roster, self._code, which)

    async def recover(self) -> None:
        """Bring both logs to where a crash may have interrupted them, and read what was witnessed.

        Raises:
            SetupError: the database is an older copy, or database and anchor do not fit.
            StoreFailed, OutcomeUnknown: the disk refuses.
        """
        for which in Log:
            await self._sequencers[which].recover()
            kept = await self._store.witnessed(which)
            if kept is not None:
                self.heads[which].witnessed = parse_checkpoint(kept.checkpoint)

    def works(self, *, checkpoint_s: float, witness_s: float) -> dict[str, Coroutine[Any, Any, None]]:
        """Return everything that must run as long as the service does, by name.

        Args:
            checkpoint_s: A log gets at most one checkpoint in so many seconds.
            witness_s: The witnesses are asked at most once in so many seconds.
        """
        works: dict[str, Coroutine[Any, Any, None]] = {}
        for which in Log:
            works[f"sequencer-{which}"] = self._sequence(which, checkpoint_s)
            works[f"witnesses-{which}"] = self._witnesses[which].run(witness_s)
        return works

    async def finish(self) -> None:
        """Wait for what must not be torn apart; call it after the works were cancelled."""
        for sequencer in self._sequencers.values():
            await sequencer.finish()

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

    async def _sequence(self, which: Log, seconds: float) -> None:
        """Make checkpoints; first let a witness say what it remembers, in case a backup was restored."""
        log.info("ledger.opened", log=which.value, size=self.heads[which].size)
        if self.heads[which].size:
            try:
                async with asyncio.timeout(CONFIRM_SECONDS):
                    await self._witnesses[which].confirmed.wait()
            except TimeoutError:
                log.warning("ledger.unconfirmed", log=which.value, size=self.heads[which].size)
        await self._sequencers[which].run(seconds)

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
