"""A recipient without a usable key: told before sending, a visible state, and delivered by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from exchange.stores.node_statements import read_pairs
from keys import governance
from protocol.errors import BadRequest, NotFound, NoUsableKey, UnknownState
from tests.community import DAY_MS, YEAR_MS, member_documents, new_member
from tests.nodes import MONITOR, SENDER, a_request
from tests.waiters import SILENT_MS, Three, three

HOUR_MS = 3_600_000


@pytest.fixture
async def silent(tmp_path: Path) -> AsyncIterator[Three]:
    """Return the three, long after XCC went silent; XBB has published new keys."""
    async with three(tmp_path) as opened:
        opened.clock.advance(SILENT_MS)
        await opened.publish("XBB")
        yield opened


async def test_the_sender_is_told_before_anything_is_sealed(silent: Three) -> None:
    """Who has no key, why, and both ways to go on."""
    with pytest.raises(NoUsableKey) as caught:
        await silent.submit(wait_for_keys=False)
    assert "XCC" in caught.value.message
    assert "XBB" not in caught.value.message
    assert "--wait-for-keys" in caught.value.hint
    assert "--partial" in caught.value.hint
    assert await silent.queued() == []


async def test_those_with_a_key_get_it_now_and_the_others_wait(silent: Three) -> None:
    """Waiting is a state with a time, a reason, an owner and a next step."""
    view = await silent.submit()
    (sealed,) = await silent.queued()
    waiting = (await silent.at(view.id))["XCC"].waiting
    assert view.recipients == ("XBB", "XCC")
    assert [addressee.state for addressee in sealed.header.recipients] == ["XBB"]
    assert await silent.states(view.id) == {"XBB": "queued", "XCC": "waiting-for-key"}
    assert waiting is not None
    assert waiting.since_ms == silent.clock.now_ms()
    assert "prekey list of XCC expired" in waiting.reason
    assert waiting.owner == "the administrators of XCC"
    assert "Call XCC" in waiting.next
    assert view.waiting == (waiting,)


async def test_what_waits_is_seen_everywhere(silent: Three) -> None:
    """In the outbox, in the event stream, and as an alarm of the node; no person must remember it."""
    view = await silent.submit()
    (listed,) = await silent.xaa.desk.outbox(SENDER)
    events = silent.xaa.desk._events_after(0)
    health = await silent.xaa.desk.node(MONITOR)
    (alarm,) = health.alarms
    assert (listed.state, listed.recipients) == ("waiting-for-key", ("XBB", "XCC"))
    assert ("notice.waiting-for-key", view.id, "XCC") in [(one.event, one.id, one.state) for one in events]
    assert (alarm.code, health.waiting_for_keys) == ("waiting-for-key", 1)
    assert "1 notice waits for a key of XCC since 2026-05-20" in alarm.message


async def test_a_notice_for_which_nobody_has_a_key_is_accepted_too(tmp_path: Path) -> None:
    """It is durable, has an id, is sent to nobody, and leaves by itself when there is a key."""
    async with three(tmp_path) as silent:
        silent.clock.advance(SILENT_MS)
        view = await silent.submit()
        assert await silent.states(view.id) == {"XBB": "waiting-for-key", "XCC": "waiting-for-key"}
        assert (await silent.queued(), await silent.xaa.resealer.look()) == ([], 0)
        with pytest.raises(NotFound, match="not sealed yet"):
            await silent.xaa.desk.proof(SENDER, view.id)
        content = await silent.xaa.desk.open(SENDER, view.id)
        await silent.publish("XBB", "XCC")
        assert await silent.xaa.resealer.look() == 1
        (sealed,) = await silent.carry()
        assert content.notice.subject == "Ransomware at a power distributor"
        assert [addressee.state for addressee in sealed.header.recipients] == ["XBB", "XCC"]
        assert await silent.states(view.id) == {"XBB": "received", "XCC": "received"}


async def test_a_request_that_waits_may_be_repeated(silent: Three) -> None:
    """The same id gives the same notice, whether it waits or has left since."""
    request = a_request(wait_for_keys=True)
    first = await silent.xaa.desk.submit(SENDER, request, "request-1")
    again = await silent.xaa.desk.submit(SENDER, request, "request-1")
    await silent.publish("XCC")
    await silent.xaa.resealer.look()
    later = await silent.xaa.desk.submit(SENDER, request, "request-1")
    assert (again.id, again.exists, len(again.waiting)) == (first.id, True, 1)
    assert (later.id, later.exists, later.waiting) == (first.id, True, ())


async def test_who_is_no_member_is_never_waited_for(silent: Three) -> None:
    """A mistyped code would wait for ever."""
    with pytest.raises(UnknownState):
        await silent.submit(to=("XBB", "XZZ"))


async def test_leaving_out_and_waiting_exclude_each_other(silent: Three) -> None:
    """Only the sender can know which of the two was meant."""
    with pytest.raises(BadRequest):
        await silent.submit(partial=True)


async def test_a_key_that_arrives_brings_the_notice_by_itself(silent: Three) -> None:
    """The same notice inside: logical id, incident, severity and text; everything outside is fresh."""
    view = await silent.submit()
    (first,) = await silent.carry()
    silent.clock.advance(3 * HOUR_MS)
    await silent.publish("XCC")
    assert await silent.xaa.resealer.look() == 1
    (second,) = await silent.carry()
    assert await silent.body(second.id) == await silent.body(first.id)
    assert second.header.severity == first.header.severity
    assert second.header.nonce != first.header.nonce
    assert second.header.created_ms == silent.clock.now_ms()
    assert second.header.respond_by_ms == second.header.created_ms + 4 * HOUR_MS
    assert await silent.states(view.id) == {"XBB": "received", "XCC": "received"}
    assert await silent.shown("XCC") == ["Ransomware at a power distributor"]
    assert await silent.alarms() == []
    assert await silent.xaa.resealer.look() == 0


async def test_a_state_that_joins_later_gets_what_was_accepted_for_it(tmp_path: Path) -> None:
    """Admitted by governance, its documents not here yet: the notice waits, and leaves when they come."""
    async with three(tmp_path) as opened:
        directory, now_ms = opened.xaa.context.directory, opened.clock.now_ms()
        everyone = opened.xaa.everyone
        member = new_member("XDD", everyone.id, everyone.now_ms - HOUR_MS)
        following = governance.next_directory(
            directory,
            [*directory.states(), member.entry],
            directory.coordinators(),
            now_ms=now_ms,
            life_ms=YEAR_MS,
        )
        directory.update(everyone.signed_by_governance(following), now_ms)
        view = await opened.submit(to=("XBB", "XDD"))
        before = (await opened.at(view.id))["XDD"]
        for document in member_documents(member, everyone.id, everyone.now_ms - HOUR_MS):
            directory.update(document, now_ms)
        assert await opened.xaa.resealer.look() == 1
        first, second = await opened.queued()
        assert before.waiting is not None
        assert "no sealing keys yet" in before.waiting.reason
        assert [addressee.state for addressee in second.header.recipients] == ["XDD"]
        assert await opened.body(second.id) == await opened.body(first.id)
        assert await opened.states(view.id) == {"XBB": "queued", "XDD": "queued"}


async def test_the_history_shows_that_it_waited(silent: Three) -> None:
    """One line per recipient, with what came before."""
    view = await silent.submit()
    await silent.publish("XCC")
    await silent.xaa.resealer.look()
    (_, second) = await silent.carry()
    delivery = (await silent.at(view.id))["XCC"]
    assert [one.state for one in delivery.attempts] == ["waiting-for-key", "received"]
    assert [one.envelope for one in delivery.attempts] == [view.id, second.id.hex()]
    assert (await silent.at(view.id))["XBB"].attempts == ()


async def test_what_is_said_of_an_envelope_is_not_shown_of_those_who_wait(silent: Three) -> None:
    """The coordinator relayed it to those who are in it."""
    view = await silent.submit()
    await silent.carry()
    delivery = await silent.at(view.id)
    assert list(delivery["XCC"].reached_ms) == ["waiting-for-key"]
    assert list(delivery["XBB"].reached_ms) == ["queued", "relayed", "received"]


async def test_every_id_of_a_notice_names_the_same_notice(silent: Three) -> None:
    """Lists show it once, under its first id; an envelope's own id finds it too, and its own proof."""
    view = await silent.submit()
    await silent.publish("XCC")
    await silent.xaa.resealer.look()
    (_, second) = await silent.carry()
    (listed,) = await silent.xaa.desk.outbox(SENDER)
    by_second = await silent.xaa.desk.status(SENDER, second.id.hex())
    disclosed = await silent.xaa.desk.disclose(silent.xaa.officer, second.id.hex())
    assert listed.id == by_second.notice.id == view.id
    assert disclosed.id == second.id.hex()
    events = [one.id for one in silent.xaa.desk._events_after(0) if one.event == "notice.received"]
    assert set(events) == {view.id}


async def test_numbering_goes_on_in_the_order_of_sealing(silent: Three) -> None:
    """A recipient sees no gap: neither for what waited, nor for what overtook it."""
    await silent.submit(subject="first")
    await silent.carry()
    await silent.submit(subject="second", to=("XBB",))
    await silent.publish("XCC")
    await silent.submit(subject="third", to=("XCC",))
    await silent.xaa.resealer.look()
    await silent.carry()
    pairs = await silent.xaa.context.engine.read(read_pairs)
    assert {code: sequence for code, (sequence, _) in pairs.items()} == {"XBB": 2, "XCC": 2}
    for code in ("XBB", "XCC"):
        assert (await silent.of(code).desk.node(SENDER)).alarms == ()


async def test_the_most_severe_goes_first_and_the_oldest_among_equals(silent: Three) -> None:
    """When a key arrives after weeks, the worst news is not behind the old."""
    for subject, level in (("a", "low"), ("b", "severe"), ("c", "emergency"), ("d", "severe"), ("e", "low")):
        await silent.submit(subject=subject, severity=f"ppd-41:{level}", to=("XCC",))
        silent.clock.advance(1000)
    await silent.publish("XCC")
    assert await silent.xaa.resealer.look() == 5
    subjects = [(await silent.body(sealed.id)).subject for sealed in await silent.queued()]
    assert subjects == ["c", "b", "d", "a", "e"]


async def test_a_key_is_tried_by_itself_when_its_day_begins(tmp_path: Path) -> None:
    """A list whose first day is tomorrow is a key tomorrow; no document has to come."""
    async with three(tmp_path) as opened:
        directory = opened.xaa.context.directory
        opened.clock.set(directory.documents.prekeys["XCC"].document.keys[0].use_from_ms - HOUR_MS)
        view = await opened.submit()
        assert set((await opened.states(view.id)).values()) == {"waiting-for-key"}
        assert await opened.xaa.resealer.look() == 0
        assert not opened.xaa.resealer._is_due()
        opened.clock.advance(2 * HOUR_MS)
        assert opened.xaa.resealer._is_due()
        assert await opened.xaa.resealer.look() == 1
        assert set((await opened.states(view.id)).values()) == {"queued"}


async def test_looking_costs_nothing_while_nothing_happens(silent: Three) -> None:
    """A look follows a new document, a new waiter or the time, and nothing else."""
    resealer = silent.xaa.resealer
    assert resealer._is_due()
    await resealer.look()
    assert not resealer._is_due()
    await silent.submit()
    assert resealer._is_due()
    await resealer.look()
    assert not resealer._is_due()
    await silent.publish("XCC")
    assert resealer._is_due()


async def test_an_update_of_what_waits_names_an_envelope_once_there_is_one(tmp_path: Path) -> None:
    """The name of a notice that was never sealed means nothing to anybody else."""
    async with three(tmp_path) as silent:
        silent.clock.advance(SILENT_MS)
        view = await silent.submit()
        await silent.publish("XBB", "XCC")
        await silent.xaa.resealer.look()
        (first,) = await silent.carry()
        update = await silent.submit(kind="update", refers_to=view.id)
        (second,) = await silent.carry()
        assert (await silent.body(second.id)).refers_to == first.id
        assert update.incident == view.incident


async def test_a_check_is_not_sealed_again_when_nobody_collected_it(silent: Three) -> None:
    """It tests the way as it is now: silence is its answer, and weeks later it would only be noise."""
    view = await silent.submit(kind="check")
    silent.clock.advance(4 * DAY_MS)
    await silent.publish("XCC")
    assert await silent.xaa.resealer.look() == 0
    assert (await silent.states(view.id))["XCC"] == "undelivered"


async def test_nothing_is_sealed_with_a_wrong_clock(silent: Three) -> None:
    """Its times would be refused, and the right key cannot be chosen by it."""
    await silent.submit()
    await silent.publish("XCC")
    silent.xaa.link_state.opened(24 * HOUR_MS)
    assert await silent.xaa.resealer.look() == 0
    silent.xaa.link_state.opened(0)
    assert await silent.xaa.resealer.look() == 1


async def test_a_restored_node_seals_nothing_until_it_is_reconciled(silent: Three) -> None:
    """An envelope takes a number, which an older copy of the store may have used already."""
    await silent.submit()
    await silent.publish("XCC")
    silent.xaa.context.restored.since_ms = silent.clock.now_ms()
    assert await silent.xaa.resealer.look() == 0
    silent.xaa.context.restored.since_ms = None
    assert await silent.xaa.resealer.look() == 1


async def test_a_notice_that_waits_longer_than_it_lives_is_told(silent: Three) -> None:
    """Once, with the next step; and the alarm goes by itself with the notice."""
    await silent.submit()
    silent.clock.advance(4 * DAY_MS)
    await silent.xaa.resealer.look()
    await silent.xaa.resealer.look()
    assert await silent.alarms() == ["waits-for-key", "waiting-for-key"]
    await silent.publish("XCC")
    await silent.xaa.resealer.look()
    assert await silent.alarms() == []


async def test_a_life_that_the_sender_chose_is_kept(silent: Three) -> None:
    """What was to be delivered for a day is not delivered after it, and the sender is told."""
    view = await silent.submit(life_ms=24 * HOUR_MS)
    await silent.carry()
    silent.clock.advance(25 * HOUR_MS)
    await silent.publish("XCC")
    assert await silent.xaa.resealer.look() == 0
    delivery = (await silent.at(view.id))["XCC"]
    assert (delivery.state, delivery.code, delivery.waiting) == ("undelivered", "no-usable-key", None)
    assert await silent.alarms() == ["not-delivered"]


async def test_within_the_chosen_life_a_later_envelope_ends_with_it(silent: Three) -> None:
    """Fresh times never reach beyond what the sender wanted."""
    view = await silent.submit(life_ms=24 * HOUR_MS)
    (first,) = await silent.carry()
    silent.clock.advance(20 * HOUR_MS)
    await silent.publish("XCC")
    await silent.xaa.resealer.look()
    (second,) = await silent.carry()
    assert second.header.expires_ms == first.header.expires_ms
    assert (await silent.states(view.id))["XCC"] == "received"


async def test_waiting_for_a_milestone_waits_for_keys_too(silent: Three) -> None:
    """Nobody is told that all have received what one of them cannot be sent yet."""
    view = await silent.submit()
    await silent.carry()
    status = await silent.xaa.desk.wait(SENDER, view.id, "received", 0.05)
    assert {one.state for one in status.deliveries} == {"received", "waiting-for-key"}
    await silent.publish("XCC")
    await silent.xaa.resealer.look()
    await silent.carry()
    status = await silent.xaa.desk.wait(SENDER, view.id, "received", 5)
    assert {one.state for one in status.deliveries} == {"received"}


async def test_the_members_list_says_who_cannot_be_sealed_for(silent: Three) -> None:
    """By the same rule as the outbox, so that a rehearsal and a sending never disagree."""
    members = {member.code: member for member in await silent.xaa.desk.members(SENDER)}
    assert (members["XBB"].usable_key, members["XCC"].usable_key) == (True, False)
    assert "expired" in members["XCC"].key_note
