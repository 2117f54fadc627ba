"""When a notice is sealed again: what a statement, a revoked key or the time means for who waits.

Everything here runs in the transaction of what it follows from, so that no crash leaves a recipient
whose envelope is known to be of no use and who does not wait for another one.
"""

from __future__ import annotations

import apsw

from exchange.node.at_recipients import HAS_IT, AtRecipient, at_recipients
from exchange.stores.node_books import clear_alarm, raise_alarm, record_event
from exchange.stores.node_notices import DeliveryRow, NoticeRow, find_notice, update_delivery
from exchange.stores.node_sealing import (
    WaitingRow,
    count_sealed,
    first_of,
    forget_signers,
    insert_waiting,
    newest_attempt,
    remove_waiting,
)
from protocol.delivery import DeliveryState
from protocol.errors import PeerCode
from protocol.urgency import MINUTE_MS

NO_KEY = "no-usable-key"
KEY_REVOKED = "key-revoked"
NEW_KEY_HELPS = frozenset({PeerCode.CANNOT_OPEN.value, PeerCode.EXPIRED.value})
"""With what a recipient rejects an envelope that could reach it under another key, or later."""

CURED_BY_ANOTHER = frozenset({PeerCode.EXPIRED.value, PeerCode.NOT_ADDRESSED.value})
"""With what the coordinator refuses an envelope that lay here, without it, for longer than it lives; or
one of whose recipients was suspended or left meanwhile, which must not keep it from the others."""

MOST_ENVELOPES = 32
"""How often a notice is sealed for one recipient before people must find out what is wrong there."""
_PAUSES_MS = tuple(minutes * MINUTE_MS for minutes in (0, 0, 1, 10, 60, 360, 1440))
"""How long to wait before each further envelope; no key is used twice, so most wait for the next day's."""

WAITS_LONG = "waits-for-key"
GIVEN_UP = "not-delivered"


def who_calls(recipient: str) -> str:
    """Return the next step for a person, when a state has no key that can be used."""
    return (
        f"Call {recipient} on another channel: its administrators must bring its node back or publish new "
        "keys. The notice then leaves by itself."
    )


def about(first: bytes, recipient: str) -> str:
    """Return what an alarm about one recipient of one notice is about."""
    return f"{first.hex()}/{recipient}"


def follow(db: apsw.Connection, envelope: bytes, delivery: DeliveryRow, now_ms: int) -> None:
    """Follow a delivery that has just moved on: who has the notice waits no more, who cannot open it does.

    Args:
        db: The transaction that stored the statement.
        envelope: What the statement is about.
        delivery: Where it stands now.
        now_ms: The time now, milliseconds UTC.
    """
    first = first_of(db, envelope)
    if delivery.state in HAS_IT:
        remove_waiting(db, first, delivery.recipient)
        _lower_alarms(db, first, delivery.recipient)
    elif (cause := _cause(delivery)) is not None:
        _wait_again(db, first, envelope, delivery.recipient, cause, now_ms)


def may_need_another(delivery: DeliveryRow) -> bool:
    """Whether a delivery that has just moved on may need another envelope."""
    return _cause(delivery) is not None


def _cause(delivery: DeliveryRow) -> str | None:
    """Return why another envelope is needed, or None if none would help."""
    if delivery.state is DeliveryState.UNDELIVERED:
        return delivery.code or PeerCode.EXPIRED.value
    if delivery.state is DeliveryState.REJECTED and delivery.code in NEW_KEY_HELPS:
        return delivery.code
    if delivery.state is DeliveryState.REFUSED and delivery.code in CURED_BY_ANOTHER:
        return delivery.code
    return None


def _wait_again(
    db: apsw.Connection, first: bytes, envelope: bytes, recipient: str, cause: str, now_ms: int
) -> None:
    notice = find_notice(db, first)
    if notice is None or newest_attempt(db, first, recipient) != envelope:
        # Another envelope is on its way already.
        return
    if _at(db, first, recipient).has_it:
        return
    if notice.until_ms is not None and notice.until_ms <= now_ms:
        return
    _wait_in_turn(db, notice, recipient, cause, now_ms, at_once=0)


def _wait_in_turn(
    db: apsw.Connection, notice: NoticeRow, recipient: str, cause: str, now_ms: int, *, at_once: int
) -> None:
    """Let a recipient wait for its next envelope, longer each time, and give up after the last one.

    Args:
        db: The store.
        notice: The notice.
        recipient: For whom.
        cause: Why another envelope is needed.
        now_ms: The time now, milliseconds UTC.
        at_once: How many envelopes there may have been for the next one to follow without a pause.
    """
    tried = count_sealed(db, notice.id, recipient)
    if tried >= MOST_ENVELOPES:
        why = f"could be brought to {recipient} in none of {tried} envelopes"
        _give_up(db, notice.id, recipient, why, now_ms)
        return
    pause_ms = 0 if tried <= at_once else _PAUSES_MS[min(tried, len(_PAUSES_MS) - 1)]
    wait(db, notice, recipient, cause, now_ms, not_before_ms=now_ms + pause_ms)


def wait(
    db: apsw.Connection,
    notice: NoticeRow,
    recipient: str,
    cause: str,
    now_ms: int,
    *,
    not_before_ms: int = 0,
) -> None:
    """Let one recipient of a notice wait until it can be sealed for; nothing changes if it does."""
    row = WaitingRow(
        notice=notice.id,
        recipient=recipient,
        priority=notice.priority,
        created_ms=notice.created_ms,
        since_ms=now_ms,
        cause=cause,
        not_before_ms=not_before_ms,
    )
    if insert_waiting(db, row):
        record_event(db, now_ms, "notice.waiting-for-key", envelope=notice.id, state=recipient, code=cause)


def take_back(db: apsw.Connection, first: bytes, recipient: str, now_ms: int) -> None:
    """Let a recipient wait whose copy was sealed under a key that was withdrawn since.

    The first time the next one follows at once: a state that ends a stolen key needs the notice now. One
    that withdraws key after key makes no sender seal without end.
    """
    notice = find_notice(db, first)
    forget_signers(db, first, recipient)
    if notice is not None and not _at(db, first, recipient).has_it:
        _wait_in_turn(db, notice, recipient, KEY_REVOKED, now_ms, at_once=1)


def _at(db: apsw.Connection, first: bytes, recipient: str) -> AtRecipient:
    return next(one for one in at_recipients(db, first) if one.recipient == recipient)


def sealed_for(db: apsw.Connection, first: bytes, recipient: str) -> bool:
    """Let one recipient wait no more, because an envelope is sealed for it; False if it did not wait."""
    if not remove_waiting(db, first, recipient):
        return False
    _lower_alarms(db, first, recipient)
    return True


def time_is_over(db: apsw.Connection, row: WaitingRow, now_ms: int) -> None:
    """End the waiting of a recipient, because the sender wanted the notice delivered only until now."""
    if not remove_waiting(db, row.notice, row.recipient):
        return
    clear_alarm(db, WAITS_LONG, about(row.notice, row.recipient))
    envelope = newest_attempt(db, row.notice, row.recipient)
    if _at(db, row.notice, row.recipient).newest.delivery.state is DeliveryState.WAITING:
        update_delivery(db, envelope, row.recipient, DeliveryState.UNDELIVERED, now_ms, NO_KEY)
    _give_up(
        db,
        row.notice,
        row.recipient,
        f"was to be delivered until now, and {row.recipient} has no usable key",
        now_ms,
    )


def _give_up(db: apsw.Connection, first: bytes, recipient: str, why: str, now_ms: int) -> None:
    raise_alarm(
        db,
        GIVEN_UP,
        about(first, recipient),
        f"notice {first.hex()[:12]} {why}",
        f"Tell {recipient} by other means, and send the notice anew once its administrators have put its "
        "node right.",
        now_ms,
    )
    record_event(db, now_ms, "notice.given-up", envelope=first, state=recipient)


def _lower_alarms(db: apsw.Connection, first: bytes, recipient: str) -> None:
    for code in (WAITS_LONG, GIVEN_UP):
        clear_alarm(db, code, about(first, recipient))
