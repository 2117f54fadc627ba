"""What processes share, for a coordinator that is one process: it holds everything, in memory.

The file is locked for this process, so nothing here need outlive it: what it held ends with it.
The contract is :class:`~exchange.stores.sharing_contract.Sharing`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import apsw

from exchange.stores.engine import Engine
from exchange.stores.sharing_contract import UNMARKED, Lease, Mark, Pulse, Question
from exchange.stores.turn_sqlite import count_rows
from protocol.errors import LeaseLost
from protocol.ledger.origins import Log


@dataclass(slots=True)
class Held:
    """Who holds a session or lease, and until when, by the event loop's time."""

    owner: str
    epoch: int
    until: float


NOBODY = Held("", 0, float("-inf"))


class Alone:
    """Sessions, leases, cosignatures and halts of one process.

    Args:
        engine: The database, for counting its rows.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._sessions: dict[str, Held] = {}
        self._leases: dict[str, Held] = {}
        self._cosignatures: dict[tuple[Log, int], dict[str, bytes]] = {}
        self._halts: dict[Log, str] = {}
        self._questions: dict[Log, Question] = {}
        self._processes: dict[str, tuple[bytes, float]] = {}

    async def take_session(self, state: str, owner: str, *, seconds: float) -> int:
        """Take a node's session over, under its next epoch."""
        epoch = self._sessions.get(state, NOBODY).epoch + 1
        self._sessions[state] = Held(owner, epoch, now() + seconds)
        return epoch

    async def renew_sessions(self, epochs: Mapping[str, int], *, seconds: float) -> frozenset[str]:
        """Renew sessions, and return those that were taken over."""
        stale = self.stale(epochs)
        for state in epochs.keys() - stale:
            self._sessions[state].until = now() + seconds
        return stale

    async def end_session(self, state: str, epoch: int) -> None:
        """End a session that was not taken over."""
        if self._sessions.get(state, NOBODY).epoch == epoch:
            self._sessions[state].until = NOBODY.until

    async def sessions(self) -> Mapping[str, str]:
        """Return which nodes are connected, each with its process."""
        return {state: held.owner for state, held in self._sessions.items() if held.until > now()}

    def stale(self, epochs: Mapping[str, int]) -> frozenset[str]:
        """Return those nodes whose session has another epoch by now."""
        return frozenset(
            state for state, epoch in epochs.items() if self._sessions.get(state, NOBODY).epoch != epoch
        )

    async def take_lease(self, name: str, owner: str, *, seconds: float) -> Lease | None:
        """Take a lease that is free, that has ended, or that this owner has."""
        held = self._leases.get(name, NOBODY)
        if held.until > now() and held.owner != owner:
            return None
        self._leases[name] = Held(owner, held.epoch + 1, now() + seconds)
        return Lease(name, owner, held.epoch + 1)

    async def renew_lease(self, lease: Lease, *, seconds: float) -> bool:
        """Renew a lease that was not taken over."""
        if not self.holds(lease):
            return False
        self._leases[lease.name].until = now() + seconds
        return True

    async def release_lease(self, lease: Lease) -> None:
        """Give a lease back."""
        if self.holds(lease):
            self._leases[lease.name].until = NOBODY.until

    def holds(self, lease: Lease) -> bool:
        """Whether a lease was not taken over."""
        return self._leases.get(lease.name, NOBODY).epoch == lease.epoch

    async def leases(self) -> tuple[Lease, ...]:
        """Return the leases that are held."""
        return tuple(
            Lease(name, held.owner, held.epoch)
            for name, held in sorted(self._leases.items())
            if held.until > now()
        )

    async def register(self, owner: str, facts: bytes, *, seconds: float) -> None:
        """Remember the one process."""
        self._processes[owner] = (facts, now() + seconds)

    async def deregister(self, owner: str) -> None:
        """Forget it."""
        self._processes.pop(owner, None)

    async def processes(self) -> Mapping[str, bytes]:
        """Return the one process."""
        return {owner: facts for owner, (facts, until) in self._processes.items() if until > now()}

    async def ask(self, log: Log, checkpoint: bytes, lease: Lease | None = None) -> int:
        """Remember what is asked."""
        if lease is not None and not self.holds(lease):
            raise LeaseLost(f"another process asks the witnesses of the log {log} now")
        held = self._questions.get(log)
        question = Question(1 if held is None else held.number + 1, checkpoint)
        self._questions[log] = question
        self._cosignatures = {key: lines for key, lines in self._cosignatures.items() if key[0] is not log}
        return question.number

    async def question(self, log: Log) -> Question | None:
        """Return what is asked."""
        return self._questions.get(log)

    async def save_cosignature(self, log: Log, size: int, state: str, body: bytes) -> None:
        """Keep a witness's signature lines."""
        self._cosignatures.setdefault((log, size), {})[state] = body

    async def cosignatures(self, log: Log, size: int) -> Mapping[str, bytes]:
        """Return the signature lines for a checkpoint."""
        return dict(self._cosignatures.get((log, size), {}))

    def forget_cosignatures(self, log: Log, size: int) -> None:
        """Let those for smaller checkpoints go."""
        for key in [key for key in self._cosignatures if key[0] is log and key[1] < size]:
            del self._cosignatures[key]

    async def halt(self, log: Log, reason: str) -> None:
        """Note why nothing further is signed; the first reason stands."""
        self._halts.setdefault(log, reason)

    def is_halted(self, log: Log) -> bool:
        """Whether nothing further may be signed."""
        return log in self._halts

    async def lift_halts(self) -> None:
        """Forget why nothing was signed."""
        self._halts.clear()

    async def pulse(self, states: Collection[str]) -> Pulse:
        """Return what changed."""

        def work(db: apsw.Connection) -> Pulse:
            statements, documents = count_rows(db)
            heads = dict(db.execute("SELECT recipient, head FROM cursor"))
            published = dict(db.execute("SELECT log, max(size) FROM ledger_published GROUP BY log"))
            query = "SELECT log, size, at_ms, length(checkpoint) FROM ledger_witnessed"
            witnessed = {log: Mark(*mark) for log, *mark in db.execute(query)}
            return Pulse(
                statements=statements,
                documents=documents,
                heads={state: heads.get(state, 0) for state in states},
                epochs={state: self._sessions.get(state, NOBODY).epoch for state in states},
                published={log: published.get(log.value, 0) for log in Log},
                witnessed={log: witnessed.get(log.value, UNMARKED) for log in Log},
                asked={log: self._number(log) for log in Log},
                cosigned={log: self._cosigned(log) for log in Log},
                halted=dict(self._halts),
            )

        return await self._engine.read(work)

    def _number(self, log: Log) -> int:
        question = self._questions.get(log)
        return 0 if question is None else question.number

    def _cosigned(self, log: Log) -> int:
        return sum(len(lines) for key, lines in self._cosignatures.items() if key[0] is log)

    async def changed(self, seconds: float) -> None:
        """Return after so many seconds: there is no other process."""
        await asyncio.sleep(seconds)


def now() -> float:
    """Return the event loop's time."""
    return asyncio.get_running_loop().time()
