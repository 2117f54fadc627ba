"""How a node is: its link, its queue, its directory, and what a person must know."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import apsw

from exchange.node.choosing import choose
from exchange.node.context import NodeContext
from exchange.node.expiring import notes
from exchange.node.freshness import stale_directory
from exchange.node.link_state import LinkState
from exchange.node.restored import ALARM as RESTORED
from exchange.node.restored import NEXT, either
from exchange.node.showing import alarm_view
from exchange.node.signing import BY_FILE, NOT_LET_IN, ROTATE
from exchange.node.standing import waiting_for_witnesses
from exchange.node.suspended import alarms as suspended_alarms
from exchange.node.suspended import suspended_states, what_helps
from exchange.node.views import AddressView, AlarmView, NodeView
from exchange.stores.node_books import AlarmRow, read_alarms
from exchange.stores.node_notices import count_notices, count_under_way, pair_gaps
from exchange.stores.node_queue import queue_length
from exchange.stores.node_sealing import count_waiting
from exchange.version import VERSION
from protocol.delivery import DeliveryState
from protocol.errors import AlmenaraError, DocumentExpired, VersionGap
from protocol.text import format_utc


@dataclass(frozen=True, slots=True)
class _Books:
    """What the store says, of one moment.

    Attributes:
        queued: How much waits for the coordinator.
        unread: How many notices nobody has opened.
        alarms: What was stored until a person deals with it.
        gaps: How many notices are missing, by sender.
        waiting: For which states notices wait: how many, since when.
        under_way: How many notices wait for each suspended state.
        passing: What is true now, of witnesses, and is not stored.
    """

    queued: int
    unread: int
    alarms: list[AlarmRow]
    gaps: list[tuple[str, int]]
    waiting: list[tuple[str, int, int]]
    under_way: dict[str, int]
    passing: tuple[AlarmView, ...]


def _read(db: apsw.Connection, suspended: Collection[str], now_ms: int) -> _Books:
    told = waiting_for_witnesses(db, now_ms), stale_directory(db, now_ms)
    return _Books(
        queued=queue_length(db),
        unread=count_notices(db, "received", "unread"),
        alarms=read_alarms(db),
        gaps=pair_gaps(db),
        waiting=count_waiting(db),
        under_way={code: count_under_way(db, code) for code in suspended},
        passing=tuple(alarm for alarm in told if alarm is not None),
    )


class Health:
    """Looks at one node.

    Args:
        context: The node.
        link_state: How the link stands.
    """

    def __init__(self, context: NodeContext, link_state: LinkState) -> None:
        self._context = context
        self._link = link_state

    async def view(self) -> NodeView:
        """Return how the node is now."""
        now_ms = self._context.clock.now_ms()
        suspended = suspended_states(self._context.directory)
        books = await self._context.engine.read(lambda db: _read(db, suspended, now_ms))
        link = self._link
        return NodeView(
            state=self._context.state,
            version=VERSION,
            coordinator=self._context.coordinator,
            connected=link.connected_since_ms is not None,
            connected_since_ms=link.connected_since_ms,
            last_error=link.last_error,
            queued=books.queued,
            inbox_unread=books.unread,
            directory_version=self._context.directory.head().version,
            clock_skew_ms=link.skew_ms,
            alarms=(
                *map(alarm_view, books.alarms),
                *self._waiting(books.waiting),
                *suspended_alarms(self._context.directory, books.under_way, now_ms),
                *self._passing(books.gaps),
                *books.passing,
            ),
            waiting_for_keys=sum(count for _, count, _ in books.waiting),
            notes=notes(self._context),
            address=link.address,
            silent=self._silent(),
        )

    def _silent(self) -> tuple[AddressView, ...]:
        """Return the addresses that did not serve when they were tried last, the present session's apart."""
        link = self._link
        return tuple(
            AddressView(address=address, error=silent.error, at_ms=silent.at_ms)
            for address, silent in sorted(link.silent.items())
            if link.connected_since_ms is None or address != link.address
        )

    def _waiting(self, waiting: list[tuple[str, int, int]]) -> tuple[AlarmView, ...]:
        """Return, for each state that is waited for, how many notices it keeps waiting and why."""
        return tuple(
            AlarmView(
                code=DeliveryState.WAITING.value,
                message=f"{count} {'notice waits' if count == 1 else 'notices wait'} for a key of {code} "
                f"since {format_utc(since_ms)}: {self._trouble(code)}",
                next=what_helps(self._context.directory, code),
                since_ms=since_ms,
            )
            for code, count, since_ms in waiting
        )

    def _trouble(self, code: str) -> str:
        try:
            choose(self._context.directory, code, self._context.clock.now_ms())
        except AlmenaraError as error:
            return error.message
        return "its present key was tried already, or the next try is not due yet"

    def _passing(self, gaps: list[tuple[str, int]]) -> tuple[AlarmView, ...]:
        """Return the alarms that are true now and are not stored."""
        now_ms, restored = self._context.clock.now_ms(), self._context.restored
        alarms = [
            AlarmView(
                code="missing-notices",
                message=f"{missing} {'notice of' if missing == 1 else 'notices of'} {sender} from before "
                "its newest did not arrive",
                next=f"Ask {sender} on another channel what it sent; somebody may be withholding notices.",
                since_ms=now_ms,
            )
            for sender, missing in gaps
        ]
        if (trouble := self._context.unsealer.trouble) is not None:
            alarms.append(
                AlarmView(code="unsealer", message=trouble.message, next=trouble.hint, since_ms=now_ms)
            )
        if restored.since_ms is not None:
            alarms.append(_restored(restored.since_ms, caught_up=restored.caught_up))
        if self._link.connected_since_ms is None and not self._context.keys.can_come_in(now_ms):
            alarms.append(_not_let_in(now_ms, is_made=self._context.keys.awaits_coordinator))
        skew = self._link.skew_ms
        if skew is not None and self._link.clock_is_wrong:
            alarms.append(
                AlarmView(
                    code="clock-skew",
                    message=f"this clock differs from the coordinator's by {abs(skew) // 60_000} minutes",
                    next="Correct the clock (for example: chronyc makestep); until then nothing can be sent.",
                    since_ms=now_ms,
                )
            )
        try:
            self._context.directory.require_fresh(now_ms)
        except (DocumentExpired, VersionGap) as error:
            alarms.append(AlarmView(code=error.code, message=error.message, next=error.hint, since_ms=now_ms))
        return tuple(alarms)


def _not_let_in(now_ms: int, *, is_made: bool) -> AlarmView:
    first = "If the next key is made already, and else after" if is_made else "After"
    return AlarmView(
        code=NOT_LET_IN,
        message="the coordinator knows no key of this node that counts, so it does not let it in: nothing is "
        "sent and nothing comes in",
        next=f"{first} {ROTATE}: {BY_FILE}",
        since_ms=now_ms,
    )


def _restored(since_ms: int, *, caught_up: bool) -> AlarmView:
    now = "it has caught up: stop it, and reconcile it" if caught_up else "it has not caught up yet"
    return AlarmView(
        code=RESTORED,
        message=f"{either(format_utc(since_ms))}, so it signs nothing: no notice, no receipt, "
        f"no answer; {now}",
        next=NEXT,
        since_ms=since_ms,
    )
