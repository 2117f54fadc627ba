"""Saying what ends before it does: an alarm for what is this state's own, a note for what is others'.

Each threshold is said once. It is kept in the store what has been said, so that neither a restart
nor a person who has dismissed an alarm hears the same again.
"""

from __future__ import annotations

from collections.abc import Sequence

import apsw
import structlog

from exchange.expiries import GOVERNANCE, THRESHOLDS, Expiry, What, board
from exchange.node.context import NodeContext
from exchange.node.link_state import LinkState
from exchange.stores.node_books import (
    clear_alarm,
    clear_alarms_but,
    raise_alarm,
    read_fact,
    record_event,
    save_fact,
)
from protocol.errors import VersionGap

ALARM = "expiry"
NEXT = {
    What.MANIFEST: "With the identity key: almenara key rotate manifest --data DIR --identity FILE",
    What.NODE_KEY: "With the identity key: almenara key rotate node --data DIR --identity FILE",
    What.OFFICER_KEY: "With the identity key: almenara key rotate officer NAME --data DIR --identity FILE",
    What.CERTIFICATE: "With the identity key: almenara key rotate tls --data DIR --identity FILE",
    What.DAILY_KEYS: "The node makes them by itself: see its other alarms, with almenara health --data DIR "
    "--token-file TOKEN",
}
_MOST_NOTED = 5
_log = structlog.get_logger()


class Expiring:
    """Looks at the board, for one node.

    Args:
        context: The node.
        link_state: Knows whether this machine's clock is wrong.
    """

    def __init__(self, context: NodeContext, link_state: LinkState) -> None:
        self._context = context
        self._link_state = link_state

    async def look(self) -> None:
        """Raise an alarm for what is ours and has passed a threshold; lower those that were renewed.

        Raises:
            StoreFailed, OutcomeUnknown: nothing could be said; the next look tries again.
        """
        if self._link_state.clock_is_wrong:
            return
        now_ms = self._context.clock.now_ms()
        ours = [one for one in board(self._context.directory) if one.party == self._context.state]
        told = await self._context.engine.write(lambda db: _tell(db, ours, now_ms))
        for one in told:
            _log.warning("expiry.warning", kind=one.what.name.lower(), number=one.days_left(now_ms))
        if told:
            self._context.events.ring()


def notes(context: NodeContext) -> tuple[str, ...]:
    """Return what ends soon and is not ours, one line for each party."""
    now_ms = context.clock.now_ms()
    try:
        due = [one for one in board(context.directory) if one.due(now_ms) is not None]
    except VersionGap:
        return ()
    parties = dict.fromkeys(one.party for one in due if one.party != context.state)
    return tuple(_line(party, [one for one in due if one.party == party], now_ms) for party in parties)


def _line(party: str, due: Sequence[Expiry], now_ms: int) -> str:
    shown = [one.sentence(now_ms) for one in due[:_MOST_NOTED]]
    more = [f"and {len(due) - _MOST_NOTED} more"] * (len(due) > _MOST_NOTED)
    whom = "the secretariat" if party == GOVERNANCE else party
    return f"{party}: {', '.join([*shown, *more])}; ask {whom} whether it is being renewed"


def _tell(db: apsw.Connection, ours: Sequence[Expiry], now_ms: int) -> list[Expiry]:
    """Raise what has passed another threshold than the last one that was told."""
    told: list[Expiry] = []
    lasting: set[str] = set()
    for one in ours:
        days = one.due(now_ms)
        if days is None:
            continue
        about = f"{one.what} {one.id}"
        lasting.add(about)
        # Facts only rise, and thresholds fall.
        level = THRESHOLDS[0] + 1 - days
        if level <= read_fact(db, f"{ALARM}: {about}"):
            continue
        save_fact(db, f"{ALARM}: {about}", level)
        message = f"this state's {one.sentence(now_ms)}"
        clear_alarm(db, ALARM, about)
        raise_alarm(db, ALARM, about, message, NEXT[one.what], now_ms)
        record_event(db, now_ms, "expiry.warning", code=ALARM, detail=message)
        told.append(one)
    clear_alarms_but(db, ALARM, lasting)
    return told
