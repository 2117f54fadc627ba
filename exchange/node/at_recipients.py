"""Where a notice stands at each recipient, whatever number of envelopes that took.

A notice is one thing under the id of its first envelope. A recipient that has it in any envelope has
it; otherwise it waits for a key; otherwise its newest envelope says how far it came.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import apsw

from exchange.stores.node_notices import DeliveryRow
from exchange.stores.node_sealing import Attempt, WaitingRow, list_attempts, waiting_for
from protocol.delivery import DeliveryState

_S = DeliveryState
HAS_IT = (_S.RECEIVED, _S.OPENED, _S.DECLINED, _S.ACCEPTED, _S.COMPLETED)
"""The states of a recipient that has the notice; the later one says more."""


@dataclass(frozen=True, slots=True)
class AtRecipient:
    """One recipient of a notice.

    Attributes:
        recipient: Its code.
        attempts: Every envelope that was meant for it, the oldest first.
        waiting: Why it must still be sealed for, or None.
    """

    recipient: str
    attempts: tuple[Attempt, ...]
    waiting: WaitingRow | None

    @property
    def newest(self) -> Attempt:
        """The envelope that counts: the one that was received, or else the newest one."""
        return max(reversed(self.attempts), key=_how_far)

    @property
    def has_it(self) -> bool:
        """Whether the recipient has received the notice, in whatever envelope."""
        return any(one.delivery.state in HAS_IT for one in self.attempts)

    @property
    def delivery(self) -> DeliveryRow:
        """Where the notice stands there."""
        newest = self.newest.delivery
        if self.waiting is None or self.has_it:
            return newest
        waiting = self.waiting
        return DeliveryRow(self.recipient, _S.WAITING, waiting.since_ms, waiting.cause, tail=False)


def at_recipients(db: apsw.Connection, first: bytes) -> tuple[AtRecipient, ...]:
    """Return where a sent notice stands at each recipient, by code."""
    return group(list_attempts(db, first), waiting_for(db, first))


def group(attempts: Iterable[Attempt], waiting: Mapping[str, WaitingRow]) -> tuple[AtRecipient, ...]:
    """Sort the envelopes of one notice by recipient."""
    by_recipient: dict[str, list[Attempt]] = {}
    for attempt in attempts:
        by_recipient.setdefault(attempt.delivery.recipient, []).append(attempt)
    return tuple(
        AtRecipient(code, tuple(by_recipient[code]), waiting.get(code)) for code in sorted(by_recipient)
    )


def _how_far(attempt: Attempt) -> int:
    state = attempt.delivery.state
    return HAS_IT.index(state) if state in HAS_IT else -1
