"""Suspended states, as those see it who have something for them: what waits, and what can be done.

A suspended state is sent nothing and believed nothing. What was under way to it stays where it is, is
shown as such, and goes on when governance reinstates the state.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from exchange.node.again import who_calls
from exchange.node.views import AlarmView
from keys.held import Documents
from keys.roster import Roster
from protocol.documents import StateStatus

SUSPENDED = "suspended"


def what_helps(roster: Roster, code: str) -> str:
    """Return the next step for a person whose notice cannot reach a state."""
    if not roster.is_suspended(code):
        return who_calls(code)
    return (
        f"Nothing here: what waits for {code} leaves by itself when governance reinstates it. If it must "
        "know before that, ask the secretariat first."
    )


def suspended_states(roster: Roster) -> tuple[str, ...]:
    """Return the codes of all suspended states."""
    return tuple(entry.code for entry in roster.states() if entry.status is StateStatus.SUSPENDED)


def alarms(roster: Roster, under_way: Mapping[str, int], now_ms: int) -> Iterator[AlarmView]:
    """Yield what a person must know of notices that are under way to suspended states.

    Args:
        roster: The trusted directory.
        under_way: How many notices are under way, by suspended state.
        now_ms: The time now, milliseconds UTC.
    """
    for code, count in under_way.items():
        if count:
            yield AlarmView(
                code=SUSPENDED,
                message=f"{code} is suspended, and has not received {count} "
                f"{'notice' if count == 1 else 'notices'} that left before",
                next=what_helps(roster, code),
                since_ms=now_ms,
            )


def status_changes(before: Documents, after: Documents) -> Iterator[tuple[str, str]]:
    """Yield an event and a code for each state that one directory suspends or reinstates."""
    if after.directory is None:
        return
    for entry in after.directory.document.states:
        held = before.entry(entry.code)
        if held is not None and held.status is not entry.status:
            gone = entry.status is StateStatus.SUSPENDED
            yield "member.suspended" if gone else "member.reinstated", entry.code
