"""The queue before the relay: turns, lanes, and where it is full."""

from __future__ import annotations

from dataclasses import dataclass

from exchange.coordinator.waiting import ALWAYS_BYTES, SHARE, SHARE_ALONE, Waiting

PLENTY = 2**30


@dataclass(frozen=True)
class Thing:
    """Something that waits."""

    party: str
    number: int
    is_urgent: bool = False
    size: int = 10


def queue(*things: Thing, items: int = 100, size: int = PLENTY) -> Waiting[Thing]:
    """Return a queue with these things in it."""
    waiting: Waiting[Thing] = Waiting(items=items, size=size)
    for thing in things:
        assert waiting.put(thing)
    return waiting


def taken(waiting: Waiting[Thing], limit: int = 100, max_bytes: int = PLENTY) -> list[tuple[str, int]]:
    """Return what is taken next."""
    return [(thing.party, thing.number) for thing in waiting.take(limit, max_bytes)]


def test_members_take_turns() -> None:
    """One member's long queue does not keep another waiting."""
    waiting = queue(Thing("XAA", 1), Thing("XAA", 2), Thing("XAA", 3), Thing("XBB", 1))
    assert taken(waiting, 3) == [("XAA", 1), ("XBB", 1), ("XAA", 2)]
    assert len(waiting) == 1
    assert taken(waiting, 3) == [("XAA", 3)]


def test_a_taking_is_bounded_in_bytes() -> None:
    """A few very large submissions are enough for one round."""
    waiting = queue(*(Thing("XAA", number) for number in range(3)))
    assert len(taken(waiting, 3, 11)) == 2


def test_what_is_urgent_overtakes_what_others_have_brought() -> None:
    """However much of it there is, and whenever it came."""
    bulk = [Thing(party, number) for number in range(20) for party in ("XAA", "XBB")]
    waiting = queue(*bulk, Thing("XCC", 1, is_urgent=True))
    assert taken(waiting, 1) == [("XCC", 1)]


def test_within_one_member_nothing_overtakes() -> None:
    """Order is promised from each sender to each recipient; but the others' bulk is overtaken."""
    waiting = queue(
        *(Thing("XAA", number) for number in range(9)),
        Thing("XBB", 1),
        Thing("XBB", 2),
        Thing("XBB", 3, is_urgent=True),
    )
    assert taken(waiting, 3) == [("XBB", 1), ("XBB", 2), ("XBB", 3)]


def test_who_calls_everything_urgent_does_not_keep_the_others_waiting() -> None:
    """Every fourth turn is anybody's, and those with urgent things take turns too."""
    loud = [Thing(party, number, is_urgent=True) for number in range(8) for party in ("XAA", "XBB")]
    waiting = queue(*loud, *(Thing("XCC", number) for number in range(4)))
    parties = [party for party, _ in taken(waiting, 12)]
    assert parties.count("XCC") >= 2
    assert abs(parties.count("XAA") - parties.count("XBB")) <= 1


def test_the_queue_is_full_at_its_bounds_and_has_room_again() -> None:
    """In items and in bytes."""
    waiting = queue(*(Thing("XAA", number) for number in range(4)), items=4)
    assert not waiting.put(Thing("XAA", 5))
    assert taken(waiting, 1) == [("XAA", 0)]
    assert waiting.put(Thing("XAA", 5))
    waiting = queue(Thing("XAA", 1, size=60), size=100)
    assert not waiting.put(Thing("XAA", 2, size=50))
    assert waiting.bytes == 60


def test_a_full_queue_has_room_for_what_is_urgent_and_for_who_has_nothing_in_it() -> None:
    """A member that fills it shuts nobody else out."""
    waiting = queue(*(Thing("XAA", number) for number in range(8)), items=8)
    assert waiting.put(Thing("XAA", 9, is_urgent=True))
    assert waiting.put(Thing("XBB", 1))
    assert not waiting.put(Thing("XBB", 2))
    assert not waiting.put(Thing("XCC", 1, size=ALWAYS_BYTES + 1))
    waiting = queue(*(Thing("XAA", number, is_urgent=True) for number in range(10)), items=8)
    assert not waiting.put(Thing("XAA", 11, is_urgent=True))


def test_while_several_wait_nobody_waits_for_hundreds_of_anothers() -> None:
    """What one brings is stored with a few of each of the others, not behind all of theirs."""
    bulk = [Thing("XAA", number) for number in range(90)]
    waiting = queue(*bulk, Thing("XBB", 1))
    assert len(taken(waiting, 255)) == 2 * SHARE
    assert len(taken(waiting, 255)) == 90 + 1 - 2 * SHARE
    waiting = queue(*bulk)
    assert len(taken(waiting, 255)) == SHARE_ALONE


def test_who_has_no_room_is_passed_over_until_somebody_makes_some() -> None:
    """And the others are taken meanwhile."""
    waiting = queue(Thing("XAA", 1), Thing("XAA", 2), Thing("XBB", 1, is_urgent=True), Thing("XCC", 1))
    room = {"XAA": 1, "XBB": 0, "XCC": 5}
    things = waiting.take(10, PLENTY, room.__getitem__)
    assert [(thing.party, thing.number) for thing in things] == [("XAA", 1), ("XCC", 1)]
    assert not waiting._some.is_set()
    assert waiting.put(Thing("XDD", 1))
    assert waiting._some.is_set()
    assert taken(waiting, 1) == [("XBB", 1)]
