"""What the processes of one coordinator share through their store, besides its rows.

Sessions and leases end by the store's own clock, and each has an **epoch**: a number that rises with
every change of hands. Whoever was stopped for a minute and goes on does not know that it was replaced;
its epoch tells: writes that carry an older one are refused.

Wake-ups are best effort. Losing all of them costs a second, the time between two looks, and nothing else.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from protocol.ledger.origins import Log


@dataclass(frozen=True, slots=True)
class Lease:
    """Something that one process does for all, until it is not renewed.

    Attributes:
        name: What, such as ``sequencer-ack``.
        owner: Which process; a name that no other has, not even the same one after a restart.
        epoch: Rises with each change of hands, and never repeats.
    """

    name: str
    owner: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Question:
    """The checkpoint about which the witnesses of a log are asked now.

    Attributes:
        number: Rises with each question.
        checkpoint: The note.
    """

    number: int
    checkpoint: bytes


class Mark(NamedTuple):
    """The newest witnessed checkpoint: its size, its time, and how long its note is with all signatures."""

    size: int
    at_ms: int
    length: int


UNMARKED = Mark(0, 0, 0)


@dataclass(frozen=True, slots=True)
class Pulse:
    """What changed, as far as numbers tell: for those who look once a second.

    Nothing in it may be told to anybody: read what it points to.

    Attributes:
        statements: How many statements there are.
        documents: How many documents there are.
        heads: The newest place in each mailbox asked about; 0 if there is none.
        epochs: The epoch of each node's newest session, of those asked about; 0 if it has had none.
        published: The published size of each log.
        witnessed: What is witnessed of each log.
        asked: The number of the question to the witnesses of each log; 0 if none was asked yet.
        cosigned: How many cosignatures of each log's present question are shared.
        halted: Why nothing further is signed for a log, for those for which that is so.
    """

    statements: int
    documents: int
    heads: Mapping[str, int]
    epochs: Mapping[str, int]
    published: Mapping[Log, int]
    witnessed: Mapping[Log, Mark]
    asked: Mapping[Log, int]
    cosigned: Mapping[Log, int]
    halted: Mapping[Log, str]


class Sharing(Protocol):
    """Who does what. Errors are those of :class:`~exchange.stores.contract.CoordinatorStore`.

    On OutcomeUnknown whoever asked has nothing: it must ask again before it acts.
    """

    async def take_session(self, state: str, owner: str, *, seconds: float) -> int:
        """Take the session of a node over from whoever has it, and return its epoch; durable on return.

        The newest session always wins: a node that connects anew has given up the one before.

        Args:
            state: The node's code.
            owner: Which process it is connected to.
            seconds: It ends after so long unless it is renewed.
        """
        ...

    async def renew_sessions(self, epochs: Mapping[str, int], *, seconds: float) -> frozenset[str]:
        """Renew sessions, and return those that have another epoch by now: the node is connected anew."""
        ...

    async def end_session(self, state: str, epoch: int) -> None:
        """End a session; one that was taken over already is left alone."""
        ...

    async def sessions(self) -> Mapping[str, str]:
        """Return which nodes are connected, each with the process that it is connected to. Not durable."""
        ...

    async def take_lease(self, name: str, owner: str, *, seconds: float) -> Lease | None:
        """Take a lease that nobody has, or that has ended; None if another has it. Durable on return.

        Whoever gets it may rely on it for ``seconds`` from the moment at which it *asked*.
        Its own owner takes it anew, under the next epoch.
        """
        ...

    async def renew_lease(self, lease: Lease, *, seconds: float) -> bool:
        """Renew a lease that was not taken over, even if it has ended; return whether that was so."""
        ...

    async def release_lease(self, lease: Lease) -> None:
        """Give a lease back, so that another can have it at once."""
        ...

    async def leases(self) -> tuple[Lease, ...]:
        """Return the leases that somebody has, by name. Not durable."""
        ...

    async def register(self, owner: str, facts: bytes, *, seconds: float) -> None:
        """Let others see that a process is there, and what it says of itself, for so many seconds."""
        ...

    async def deregister(self, owner: str) -> None:
        """Let nobody see a process any more."""
        ...

    async def processes(self) -> Mapping[str, bytes]:
        """Return which processes are there, each with what it says of itself. Not durable."""
        ...

    async def ask(self, log: Log, checkpoint: bytes, lease: Lease | None = None) -> int:
        """Let every process ask its nodes to cosign a checkpoint, and forget earlier cosignatures.

        Args:
            log: Which log.
            checkpoint: The note of a published checkpoint.
            lease: Refused unless this lease still has this epoch.

        Returns:
            The question's number.

        Raises:
            LeaseLost: another process asks now; nothing was changed.
        """
        ...

    async def question(self, log: Log) -> Question | None:
        """Return what the witnesses are asked now, or None. Not durable."""
        ...

    async def save_cosignature(self, log: Log, size: int, state: str, body: bytes) -> None:
        """Share a witness's signature lines for a checkpoint; the newest of a state and size stands.

        May be lost: the witness is asked again.
        """
        ...

    async def cosignatures(self, log: Log, size: int) -> Mapping[str, bytes]:
        """Return the signature lines for the checkpoint of a size, by state. Not durable."""
        ...

    async def halt(self, log: Log, reason: str) -> None:
        """Let no process sign for a log any further; the first reason stands. Durable on return.

        From then on no checkpoint is swapped, whether or not the process that signs has heard of it.
        """
        ...

    async def lift_halts(self) -> None:
        """Let logs be signed for again. Durable on return."""
        ...

    async def pulse(self, states: Collection[str]) -> Pulse:
        """Return what changed. Not durable.

        Args:
            states: The nodes that are connected here.
        """
        ...

    async def changed(self, seconds: float) -> None:
        """Return when another process may have changed something, or after so many seconds."""
        ...
