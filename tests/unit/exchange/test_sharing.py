"""What processes share: sessions, leases, epochs, and numbers that tell what changed."""

from __future__ import annotations

import pytest

from exchange.stores.contract import MailPlace, Reported
from exchange.stores.ledger_contract import EMPTY, Extent, SignedExtent, Witnessing
from exchange.stores.sharing_contract import UNMARKED, Mark, Question
from protocol.errors import LeaseLost, PeerCode, StoreFailed
from protocol.ledger.origins import Log
from tests.community import community
from tests.stores import Store
from tests.unit.exchange.test_coordinator_store import envelope, statement

EVERYONE = community()
NOW_MS = EVERYONE.now_ms
LONG = 60.0


async def test_the_newest_session_of_a_node_wins(store: Store) -> None:
    """The older holder learns it when it renews, and ends nothing but its own."""
    sharing = store.sharing
    first = await sharing.take_session("XAA", "one", seconds=LONG)
    second = await sharing.take_session("XAA", "two", seconds=LONG)
    other = await sharing.take_session("XBB", "one", seconds=LONG)
    assert first < second
    assert await sharing.renew_sessions({"XAA": first, "XBB": other}, seconds=LONG) == {"XAA"}
    await sharing.end_session("XAA", first)
    assert await sharing.sessions() == {"XAA": "two", "XBB": "one"}
    await sharing.end_session("XAA", second)
    assert await sharing.sessions() == {"XBB": "one"}
    assert await sharing.take_session("XAA", "one", seconds=LONG) > second


async def test_a_session_that_is_not_renewed_ends(store: Store) -> None:
    """A process that died leaves no session behind."""
    await store.sharing.take_session("XAA", "one", seconds=0)
    await store.sharing.take_session("XBB", "two", seconds=LONG)
    assert await store.sharing.sessions() == {"XBB": "two"}


async def test_a_stale_session_moves_no_cursor(store: Store) -> None:
    """A process that stood still for a minute is refused what it then writes."""
    await store.commit([envelope(to=("XBB", "XCC"))], None)
    stale = await store.sharing.take_session("XBB", "one", seconds=LONG)
    epochs = {"XBB": stale, "XCC": await store.sharing.take_session("XCC", "one", seconds=LONG)}
    await store.sharing.take_session("XBB", "two", seconds=LONG)
    reports = [Reported(MailPlace("XBB", 1), PeerCode.TAMPERED, NOW_MS)]
    assert await store.collect({"XBB": 1, "XCC": 1}, reports, epochs) == {"XBB"}
    assert (await store.cursor("XBB")).collected == 0
    assert (await store.cursor("XCC")).collected == 1


async def test_a_lease_has_one_holder_until_it_ends(store: Store) -> None:
    """Each change of hands has a higher epoch; who was replaced cannot renew."""
    sharing = store.sharing
    first = await sharing.take_lease("sweeper", "one", seconds=0)
    second = await sharing.take_lease("sweeper", "two", seconds=LONG)
    assert first is not None
    assert second is not None
    assert second.epoch > first.epoch
    assert not await sharing.renew_lease(first, seconds=LONG)
    assert await sharing.renew_lease(second, seconds=LONG)
    assert await sharing.take_lease("sweeper", "one", seconds=LONG) is None
    assert await sharing.take_lease("other", "one", seconds=LONG) is not None
    await sharing.release_lease(second)
    third = await sharing.take_lease("sweeper", "one", seconds=LONG)
    assert third is not None
    assert third.epoch > second.epoch


async def test_a_lease_that_ended_may_be_renewed_if_nobody_took_it(store: Store) -> None:
    """Its holder was slow, and no harm was done."""
    lease = await store.sharing.take_lease("sweeper", "one", seconds=0)
    assert lease is not None
    assert await store.sharing.renew_lease(lease, seconds=LONG)
    assert await store.sharing.take_lease("sweeper", "two", seconds=LONG) is None


async def test_no_checkpoint_is_swapped_under_a_lost_lease(store: Store) -> None:
    """Its epoch tells, even if the checkpoint would fit."""
    said = statement(bytes(32))
    await store.commit([said], None)
    new = SignedExtent(Extent(1, bytes(32)), b"note")
    stale = await store.sharing.take_lease("sequencer-ack", "one", seconds=0)
    lease = await store.sharing.take_lease("sequencer-ack", "two", seconds=LONG)
    assert stale is not None
    with pytest.raises(LeaseLost):
        await store.ledger.swap(Log.ACK, EMPTY, new, said.id, stale)
    assert await store.ledger.signed(Log.ACK) is None
    assert await store.ledger.swap(Log.ACK, EMPTY, new, said.id, lease)


async def test_no_checkpoint_of_a_halted_log_is_swapped(store: Store) -> None:
    """Whoever signs may not have heard of it yet; once it is lifted, the log goes on."""
    said = statement(bytes(32))
    await store.commit([said], None)
    new = SignedExtent(Extent(1, bytes(32)), b"note")
    lease = await store.sharing.take_lease("sequencer-ack", "one", seconds=LONG)
    await store.sharing.halt(Log.ACK, "witness-ahead")
    with pytest.raises(StoreFailed, match="halted"):
        await store.ledger.swap(Log.ACK, EMPTY, new, said.id, lease)
    assert await store.ledger.signed(Log.ACK) is None
    await store.sharing.lift_halts()
    assert await store.ledger.swap(Log.ACK, EMPTY, new, said.id, lease)


async def test_tiles_are_never_laid_out_by_who_comes_too_late(store: Store) -> None:
    """A process that stood still between its steps must not cut what another has published since."""
    hashes = [bytes([number]) * 32 for number in range(5)]
    ledger = store.ledger
    await ledger.lay_out(Log.ACK, 0, hashes[:3], Extent(3, bytes(32)))
    await ledger.lay_out(Log.ACK, 3, hashes[3:], Extent(5, bytes(32)))
    await ledger.lay_out(Log.ACK, 0, hashes[:3], Extent(3, bytes(32)))
    assert (await ledger.published(Log.ACK)).size == 5


async def test_cosignatures_are_shared_until_a_larger_checkpoint_is_witnessed(
    store: Store,
) -> None:
    """Whoever finds a quorum among them saves it."""
    sharing = store.sharing
    await sharing.save_cosignature(Log.ACK, 3, "XAA", b"old")
    await sharing.save_cosignature(Log.ACK, 3, "XAA", b"mine")
    await sharing.save_cosignature(Log.ACK, 3, "XBB", b"yours")
    await sharing.save_cosignature(Log.DIRECTORY, 3, "XBB", b"another log")
    assert await sharing.cosignatures(Log.ACK, 3) == {"XAA": b"mine", "XBB": b"yours"}
    await store.ledger.save_witnessed(Log.ACK, Witnessing(3, NOW_MS, b"three"), apart_ms=1)
    assert await sharing.cosignatures(Log.ACK, 3) == {"XAA": b"mine", "XBB": b"yours"}
    await store.ledger.save_witnessed(Log.ACK, Witnessing(4, NOW_MS, b"four"), apart_ms=1)
    assert await sharing.cosignatures(Log.ACK, 3) == {}
    assert await sharing.cosignatures(Log.DIRECTORY, 3) == {"XBB": b"another log"}


async def test_a_question_replaces_the_one_before_and_its_cosignatures(
    store: Store,
) -> None:
    """All processes ask about the same checkpoint: otherwise no quorum could come together among them."""
    sharing = store.sharing
    assert await sharing.question(Log.ACK) is None
    lease = await sharing.take_lease("witnesses-ack", "one", seconds=LONG)
    assert lease is not None
    first = await sharing.ask(Log.ACK, b"the first", lease)
    other = await sharing.ask(Log.DIRECTORY, b"another log", lease)
    await sharing.save_cosignature(Log.ACK, 3, "XAA", b"mine")
    await sharing.save_cosignature(Log.DIRECTORY, 3, "XAA", b"mine")
    second = await sharing.ask(Log.ACK, b"the same again", lease)
    assert second > first
    assert await sharing.question(Log.ACK) == Question(second, b"the same again")
    assert await sharing.question(Log.DIRECTORY) == Question(other, b"another log")
    assert await sharing.cosignatures(Log.ACK, 3) == {}
    assert await sharing.cosignatures(Log.DIRECTORY, 3) == {"XAA": b"mine"}


async def test_a_stale_process_asks_the_witnesses_nothing(store: Store) -> None:
    """Two that asked in turn would let no quorum come together."""
    stale = await store.sharing.take_lease("witnesses-ack", "one", seconds=0)
    lease = await store.sharing.take_lease("witnesses-ack", "two", seconds=LONG)
    assert lease is not None
    number = await store.sharing.ask(Log.ACK, b"mine", lease)
    with pytest.raises(LeaseLost):
        await store.sharing.ask(Log.ACK, b"late", stale)
    assert await store.sharing.question(Log.ACK) == Question(number, b"mine")


async def test_who_is_there_is_seen_until_it_stops_saying_so(store: Store) -> None:
    """What a process says of itself replaces what it said before."""
    sharing = store.sharing
    await sharing.register("one", b"1", seconds=LONG)
    await sharing.register("one", b"2", seconds=LONG)
    await sharing.register("gone", b"3", seconds=0)
    await sharing.register("two", b"4", seconds=LONG)
    assert await sharing.processes() == {"one": b"2", "two": b"4"}
    await sharing.deregister("two")
    await sharing.deregister("nobody")
    assert await sharing.processes() == {"one": b"2"}


async def test_the_leases_that_somebody_has_can_be_seen(store: Store) -> None:
    """One that has ended is nobody's."""
    sharing = store.sharing
    held = await sharing.take_lease("sweeper", "one", seconds=LONG)
    await sharing.take_lease("sequencer-ack", "two", seconds=0)
    assert await sharing.leases() == (held,)


async def test_an_older_witnessed_checkpoint_replaces_no_newer_one(store: Store) -> None:
    """Two processes may gather at once."""
    for size in (3, 2):
        await store.ledger.save_witnessed(Log.ACK, Witnessing(size, NOW_MS, b"note"), apart_ms=1)
    kept = await store.ledger.witnessed(Log.ACK)
    assert kept is not None
    assert kept.size == 3


async def test_the_pulse_tells_what_changed(store: Store) -> None:
    """Everything that others may wait for has a number in it."""
    sharing = store.sharing
    quiet = await sharing.pulse(["XBB"])
    assert (quiet.statements, quiet.documents, quiet.heads, quiet.epochs) == (0, 0, {"XBB": 0}, {"XBB": 0})
    assert quiet.published == quiet.asked == quiet.cosigned == {Log.ACK: 0, Log.DIRECTORY: 0}
    assert quiet.witnessed == {Log.ACK: UNMARKED, Log.DIRECTORY: UNMARKED}
    await store.commit([envelope(to=("XBB",))], None)
    await store.append_documents(EVERYONE.documents[:2], NOW_MS)
    epoch = await sharing.take_session("XBB", "one", seconds=LONG)
    await store.ledger.lay_out(Log.ACK, 0, [bytes(32)], Extent(1, bytes(32)))
    await store.ledger.save_witnessed(Log.ACK, Witnessing(1, NOW_MS, b"note"), apart_ms=1)
    number = await sharing.ask(Log.ACK, b"the first")
    await sharing.save_cosignature(Log.ACK, 1, "XAA", b"mine")
    await sharing.halt(Log.DIRECTORY, "witness-ahead")
    await sharing.halt(Log.DIRECTORY, "fault")
    full = await sharing.pulse(["XBB", "XCC"])
    assert (full.statements, full.documents) == (1, 2)
    assert (full.heads, full.epochs) == ({"XBB": 1, "XCC": 0}, {"XBB": epoch, "XCC": 0})
    assert (full.published[Log.ACK], full.witnessed[Log.ACK]) == (1, Mark(1, NOW_MS, 4))
    assert (full.asked[Log.ACK], full.cosigned[Log.ACK]) == (number, 1)
    assert full.halted == {Log.DIRECTORY: "witness-ahead"}
    await sharing.lift_halts()
    assert (await sharing.pulse([])).halted == {}
    await sharing.changed(0.001)
