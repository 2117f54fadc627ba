"""Who is connected now: one session for each state; a newer one replaces the older, at any process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import structlog

from exchange.clock import Clock
from exchange.coordinator.mailbox import Pusher
from exchange.link.pump import Link
from keys.roster import Roster
from protocol.digest import certificate_id
from protocol.errors import PeerCode, ProtocolError, TrustError, Unreachable
from protocol.session.messages import ItemKind, Message
from protocol.session.table import State

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, eq=False)
class Present:
    """One connected node: its state, the key it proved, its session, its mailbox, and its session's epoch."""

    state: str
    key_id: bytes
    link: Link
    pusher: Pusher
    epoch: int = 0

    def tell(self, message: Message) -> None:
        """Send one message, if the session is still open: whoever left asks again when it is back."""
        if self.link.session.state is not State.OPEN:
            return
        try:
            self.link.send(message)
        except ProtocolError as error:
            log.error("session.send_failed", state=self.state, code=error.code, exc_info=error)


class Sessions:
    """All connected nodes, by state."""

    def __init__(self) -> None:
        self._present: dict[str, Present] = {}
        self._leaving: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._present)

    def __iter__(self) -> Iterator[Present]:
        return iter(tuple(self._present.values()))

    @property
    def epochs(self) -> dict[str, int]:
        """The epoch of each session."""
        return {present.state: present.epoch for present in self._present.values()}

    def enter(self, newcomer: Present) -> None:
        """Add a node; an older session of the same state is told to go."""
        older = self._present.get(newcomer.state)
        if older is not None and older.epoch > newcomer.epoch:
            # It came in while a newer one did.
            self._close(newcomer, PeerCode.GOING_AWAY)
            return
        self._present[newcomer.state] = newcomer
        if older is not None:
            log.info("session.replaced", state=newcomer.state)
            self._close(older, PeerCode.GOING_AWAY)

    def reach(self, heads: Mapping[str, int]) -> None:
        """Tell mailboxes how far they go by now."""
        for state, head in heads.items():
            present = self._present.get(state)
            if present is not None:
                present.pusher.reaches(head)

    def dismiss_replaced(self, epochs: Mapping[str, int]) -> None:
        """End the sessions of nodes whose newest session has a later epoch: it is at another process."""
        for present in self:
            if epochs.get(present.state, 0) > present.epoch:
                log.info("session.moved", state=present.state)
                self._dismiss(present, PeerCode.GOING_AWAY)

    def leave(self, present: Present) -> bool:
        """Remove a node; return False if a newer session took its place, or it was removed before."""
        if self._present.get(present.state) is not present:
            return False
        del self._present[present.state]
        return True

    def wake(self, states: Iterable[str]) -> None:
        """Tell the mailboxes of these states that there may be new items."""
        for state in states:
            present = self._present.get(state)
            if present is not None:
                present.pusher.wake()

    def offer(
        self,
        recipient: str,
        sequence: int,
        kind: ItemKind,
        content: Callable[[], bytes],
        *,
        sender: str = "",
        is_urgent: bool = False,
    ) -> None:
        """Hand an item that has just become durable to the mailbox of a node, if it is connected here."""
        present = self._present.get(recipient)
        if present is None:
            return
        try:
            present.pusher.offer(sequence, kind, content, sender=sender, is_urgent=is_urgent)
        except (ProtocolError, Unreachable):
            return  # it has left: its next session begins where its cursor stands

    def has(self, state: str) -> bool:
        """Whether a node of this state is connected."""
        return state in self._present

    def tell(self, state: str, message: Message) -> None:
        """Send one message to one state's node, if it is connected."""
        present = self._present.get(state)
        if present is not None:
            present.tell(message)

    def tell_everyone(self, message: Message) -> None:
        """Send one message to every connected node."""
        for present in self._present.values():
            present.tell(message)

    def dismiss_unlisted(self, directory: Roster, clock: Clock) -> None:
        """End the sessions whose certificate or key the directory no longer lists."""
        for present in tuple(self._present.values()):
            if not is_listed(present, directory, clock.now_ms()):
                log.warning("session.dismissed", state=present.state)
                self._dismiss(present, PeerCode.NOT_AUTHENTICATED)

    def _dismiss(self, present: Present, code: PeerCode) -> None:
        self.leave(present)
        self._close(present, code)

    def _close(self, present: Present, code: PeerCode) -> None:
        task = asyncio.get_running_loop().create_task(present.link.close(code))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)


def is_listed(present: Present, directory: Roster, now_ms: int) -> bool:
    """Whether the directory still lists the certificate and key with which a session began."""
    listed = {certificate_id(der) for der in directory.certificates(present.state)}
    if present.link.peer_certificate not in listed:
        return False
    try:
        directory.node_key(present.state, present.key_id, now_ms)
    except TrustError:
        return False
    return True
