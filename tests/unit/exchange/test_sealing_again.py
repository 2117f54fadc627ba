"""What a recipient could not open or did not collect is sealed again: by itself, and never in vain twice."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from exchange.node import again
from exchange.node.answers import Answered
from exchange.stores.engine import Engine
from exchange.stores.node_notices import NoticeRow
from exchange.stores.node_sealing import list_waiting
from keys import enrolment
from keys.documents import sign_document
from keys.prekeys import make_prekeys
from protocol.documents import Revocation, Role
from protocol.envelope import Sealed
from protocol.errors import AlmenaraError, OutcomeUnknown, PeerCode, StoreFailed
from protocol.notice import Body
from protocol.session.messages import Refused
from protocol.statement import StatementKind
from tests.community import DAY_MS, YEAR_MS, certificate, signer
from tests.nodes import SENDER, a_request, delivery_to
from tests.waiters import SILENT_MS, Three, three

HOUR_MS = 3_600_000
MINUTE_MS = 60_000


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Three]:
    """Return the three, all with keys."""
    async with three(tmp_path) as nodes:
        yield nodes


async def to_xcc(nodes: Three, **changes: object) -> str:
    """Let XAA send to XBB and XCC, and return the notice's id."""
    return (await nodes.submit(**({"wait_for_keys": False} | changes))).id


async def waiting(nodes: Three) -> list[tuple[str, str]]:
    """Return who waits at XAA, and for what reason."""
    rows = await nodes.xaa.context.engine.read(list_waiting)
    return [(row.recipient, row.cause) for row in rows]


# A recipient that cannot open.


async def test_a_recipient_that_lost_its_keys_gets_it_under_a_new_one(opened: Three) -> None:
    """Rejected, told, sealed again, shown once; nobody had to do anything."""
    view = await to_xcc(opened)
    await opened.lose_keys("XCC")
    await opened.carry()
    before = (await opened.at(view))["XCC"]
    # The recipient notices the loss by itself, and publishes new keys.
    await opened.publish("XCC")
    assert await opened.xaa.resealer.look() == 1
    (second,) = await opened.carry()
    after = (await opened.at(view))["XCC"]
    assert (before.state, before.code) == ("waiting-for-key", "cannot-open")
    assert before.waiting is not None
    assert "could not open" in before.waiting.reason
    assert [(one.state, one.code) for one in after.attempts] == [
        ("rejected", "cannot-open"),
        ("received", None),
    ]
    assert after.state == "received"
    assert [addressee.state for addressee in second.header.recipients] == ["XCC"]
    assert len(await opened.shown("XCC")) == len(await opened.shown("XBB")) == 1
    assert await opened.alarms() == []
    assert (await opened.xcc.desk.node(SENDER)).alarms[0].code == "prekeys-lost"


async def test_no_notice_is_sealed_twice_to_one_key(opened: Three) -> None:
    """What could not be opened would not open then either: it waits for another key."""
    await to_xcc(opened)
    await opened.lose_keys("XCC")
    await opened.carry()
    for _ in range(3):
        assert await opened.xaa.resealer.look() == 0
        opened.clock.advance(HOUR_MS)
    assert await waiting(opened) == [("XCC", "cannot-open")]


async def test_several_that_wait_for_one_notice_share_an_envelope(opened: Three) -> None:
    """Who becomes sealable together is sealed for together."""
    view = await to_xcc(opened)
    for code in ("XBB", "XCC"):
        await opened.lose_keys(code)
    await opened.carry()
    await opened.publish("XBB", "XCC")
    assert await opened.xaa.resealer.look() == 1
    (second,) = await opened.carry()
    assert [addressee.state for addressee in second.header.recipients] == ["XBB", "XCC"]
    assert await opened.states(view) == {"XBB": "received", "XCC": "received"}


async def test_five_that_could_not_be_opened_come_back_most_severe_first(opened: Three) -> None:
    """The order is that of the queue, not that of the rejections."""
    for subject, level in (("a", "low"), ("b", "severe"), ("c", "emergency"), ("d", "severe"), ("e", "low")):
        await to_xcc(opened, subject=subject, severity=f"ppd-41:{level}", to=("XCC",))
        opened.clock.advance(1000)
    await opened.lose_keys("XCC")
    await opened.carry()
    await opened.publish("XCC")
    assert await opened.xaa.resealer.look() == 5
    assert [(await opened.body(one.id)).subject for one in await opened.carry()] == ["c", "b", "d", "a", "e"]
    assert sorted(await opened.shown("XCC")) == ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize("code", ["duplicate", "not-addressed", "tampered", "suite-refused"])
async def test_what_another_key_cannot_cure_is_not_sealed_again(opened: Three, code: str) -> None:
    """It would be rejected again; a person must look at it."""
    view = await to_xcc(opened)
    await opened.relay()
    await opened.say("XCC", StatementKind.REJECTED, bytes.fromhex(view), code=code)
    await opened.publish("XCC")
    opened.clock.advance(DAY_MS)
    assert await opened.xaa.resealer.look() == 0
    assert (await opened.states(view))["XCC"] == "rejected"


async def test_tries_follow_each_other_ever_more_slowly_and_end(
    opened: Three, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that can open nothing for weeks is not flooded; at last a person is told."""
    monkeypatch.setattr(again, "MOST_ENVELOPES", 4)
    view = await to_xcc(opened, to=("XCC",))
    sealed_after = []
    for _ in range(4):
        await opened.lose_keys("XCC")
        await opened.carry()
        await opened.publish("XCC")
        minutes = 0
        while await opened.xaa.resealer.look() == 0 and minutes < 100:
            opened.clock.advance(MINUTE_MS)
            minutes += 1
        sealed_after.append(minutes)
    assert sealed_after[:3] == [0, 1, 10]
    assert (await opened.states(view))["XCC"] == "rejected"
    assert await opened.alarms() == ["not-delivered"]


# A recipient that did not collect.


async def test_what_was_not_collected_in_time_is_sealed_again(opened: Three) -> None:
    """Under the key of the day, with a fresh life; the state comes back and finds it."""
    view = await to_xcc(opened)
    first, _ = (await opened.queued())[0].id, await opened.relay()
    opened.clock.advance(3 * DAY_MS)
    await opened.undelivered(first, "XBB", "XCC")
    assert await opened.xaa.resealer.look() == 1
    (second,) = await opened.carry()
    assert second.header.expires_ms == opened.clock.now_ms() + 3 * DAY_MS
    assert await opened.states(view) == {"XBB": "received", "XCC": "received"}
    assert [one.state for one in (await opened.at(view))["XCC"].attempts] == ["undelivered", "received"]


async def test_a_chosen_life_is_not_prolonged(opened: Three) -> None:
    """Who says "for one day" is told that it was not delivered in that day."""
    view = await to_xcc(opened, life_ms=24 * HOUR_MS)
    first, _ = (await opened.queued())[0].id, await opened.relay()
    opened.clock.advance(25 * HOUR_MS)
    await opened.undelivered(first, "XCC")
    assert await opened.xaa.resealer.look() == 0
    assert (await opened.states(view))["XCC"] == "undelivered"


async def test_a_late_receipt_ends_the_waiting(opened: Three) -> None:
    """The state collected the first envelope after all: there is nothing left to seal."""
    view = await to_xcc(opened)
    first, (submission,) = (await opened.queued())[0].id, await opened.relay()
    await opened.xcc.receive(delivery_to("XCC", submission))
    await opened.undelivered(first, "XCC")
    assert await waiting(opened) == [("XCC", "expired")]
    await opened.bring_statements("XCC")
    assert await waiting(opened) == []
    assert await opened.xaa.resealer.look() == 0
    assert (await opened.states(view))["XCC"] == "received"


async def test_two_envelopes_that_both_arrive_are_one_notice(opened: Three) -> None:
    """Shown once, received twice, and green: whichever of the two came first."""
    view = await to_xcc(opened)
    first, (submission,) = (await opened.queued())[0].id, await opened.relay()
    opened.clock.advance(2 * DAY_MS)
    await opened.undelivered(first, "XCC")
    await opened.xaa.resealer.look()
    await opened.xcc.receive(delivery_to("XCC", submission))
    await opened.carry()
    delivery = (await opened.at(view))["XCC"]
    assert await opened.shown("XCC") == ["Ransomware at a power distributor"]
    assert [one.state for one in delivery.attempts] == ["received", "received"]
    assert (delivery.state, await opened.alarms()) == ("received", [])
    assert (await opened.xcc.desk.node(SENDER)).alarms == ()


async def test_what_lay_in_the_queue_too_long_is_sealed_again(opened: Three) -> None:
    """A node that was cut off for a week hands over what it has with fresh times, and alarms nobody."""
    view = await to_xcc(opened)
    opened.clock.advance(4 * DAY_MS)
    (row,) = [row for row in await opened.xaa.queue() if row.kind == "submit"]
    opened.xaa.answers.offer(Answered(row, Refused(ref=1, code=PeerCode.EXPIRED)))
    await opened.xaa.answers.next_round()
    assert await opened.xaa.resealer.look() == 1
    await opened.carry()
    assert await opened.states(view) == {"XBB": "received", "XCC": "received"}
    assert await opened.alarms() == []


async def test_a_certificate_that_expired_in_june_and_came_back_in_july(opened: Three) -> None:
    """Everything in between is delivered by itself, the most severe first, the oldest among equals."""
    ids: list[str] = []
    uncollected: list[Sealed] = []
    for day in range(45):
        if day % 9 == 0:
            level = "emergency" if day == 18 else "severe"
            ids.append(await to_xcc(opened, subject=f"{day}", to=("XCC",), severity=f"ppd-41:{level}"))
        uncollected += await opened.queued()
        await opened.relay()
        opened.clock.advance(DAY_MS)
        for sealed in [one for one in uncollected if one.header.expires_ms <= opened.clock.now_ms()]:
            uncollected.remove(sealed)
            await opened.undelivered(sealed.id, "XCC")
        await opened.xaa.resealer.look()
    before = [(await opened.states(id_))["XCC"] for id_ in ids]
    await opened.publish("XCC")
    await opened.xaa.resealer.look()
    order = [(await opened.body(one.id)).subject for one in await opened.carry()]
    after = [(await opened.states(id_))["XCC"] for id_ in ids]
    assert (before, after) == (["waiting-for-key"] * 5, ["received"] * 5)
    assert order == ["18", "0", "9", "27", "36"]
    assert sorted(await opened.shown("XCC")) == sorted(order)
    assert await opened.alarms() == []


# A key that was taken back.


async def test_a_copy_under_a_revoked_list_is_sealed_again(opened: Three) -> None:
    """The key that signed the list is revoked before the notice was collected: a key of a new list."""
    view = await to_xcc(opened)
    await opened.relay()
    fresh = _revoke_node_key(opened)
    await opened.xaa.resealer.look()
    before = await opened.states(view)
    opened.xaa.context.directory.update(fresh, opened.clock.now_ms())
    assert await opened.xaa.resealer.look() == 1
    assert await opened.xaa.resealer.look() == 0
    (sealed,) = await opened.queued()
    assert before == {"XBB": "relayed", "XCC": "waiting-for-key"}
    assert [addressee.state for addressee in sealed.header.recipients] == ["XCC"]
    assert await opened.states(view) == {"XBB": "relayed", "XCC": "queued"}
    assert await opened.xaa.resealer.look() == 0


async def test_a_state_that_revokes_key_after_key_makes_nobody_seal_without_end(opened: Three) -> None:
    """The first time at once, and then in the same turn and number as any other try."""
    await to_xcc(opened)
    await opened.relay()
    rounds = []
    for number in range(5):
        opened.xaa.context.directory.update(_revoke_node_key(opened, number), opened.clock.now_ms())
        rounds.append(await opened.xaa.resealer.look() + await opened.xaa.resealer.look())
        await opened.relay()
    opened.clock.advance(DAY_MS)
    assert rounds == [1, 0, 0, 0, 0]
    assert await opened.xaa.resealer.look() == 1


def _revoke_node_key(nodes: Three, number: int = 0) -> bytes:
    """Let XCC revoke its node key; return the first prekey list that its new node key signs.

    Args:
        nodes: Everybody.
        number: How often it has done so before.
    """
    directory, now_ms = nodes.xaa.context.directory, nodes.clock.now_ms()
    member = nodes.xaa.everyone.members["XCC"]
    held = directory.documents.manifests["XCC"].document
    old = member.node if number == 0 else signer(f"XCC again {number - 1}", Role.NODE)
    fresh = signer(f"XCC again {number}", Role.NODE)
    entry = enrolment.key_entry(
        fresh,
        state="XCC",
        community=directory.community,
        owner="node of XCC",
        from_ms=now_ms - HOUR_MS,
        until_ms=now_ms + YEAR_MS,
    )
    manifest = enrolment.next_manifest(
        directory.documents.manifests["XCC"],
        state="XCC",
        community=directory.community,
        keys=(*held.keys, entry),
        certificates=[certificate("XCC")],
        now_ms=now_ms,
        life_ms=YEAR_MS,
        revoked=[*held.revoked, Revocation(old.key_id, "lost", now_ms)],
    )
    directory.update(sign_document(manifest, [member.identity]), now_ms)
    seeds = make_prekeys(now_ms, 14, secrets.token_bytes)
    listed = enrolment.next_prekeys(
        directory.documents.prekeys["XCC"],
        state="XCC",
        community=directory.community,
        keys=[one.public for one in seeds],
        now_ms=now_ms,
        life_ms=15 * DAY_MS,
        tail=True,
    )
    return sign_document(listed, [fresh])


# Whatever fails, nothing is lost and nothing is sealed twice.


@pytest.mark.parametrize("fault", [StoreFailed, OutcomeUnknown])
@pytest.mark.parametrize("wrote", [True, False])
async def test_a_store_that_fails_loses_and_doubles_nothing(
    opened: Three, monkeypatch: pytest.MonkeyPatch, fault: type[AlmenaraError], wrote: bool
) -> None:
    """Whether the envelope was stored or not, the next look sees which, and goes on from there."""
    view = await to_xcc(opened)
    await opened.lose_keys("XCC")
    await opened.carry()
    await opened.publish("XCC")
    engine = opened.xaa.context.engine
    write = engine.write

    async def failing(work: Callable[[apsw.Connection], Any]) -> Any:
        if wrote:
            await write(work)
        raise fault("the disk is gone")

    with monkeypatch.context() as patched:
        patched.setattr(Engine, "write", lambda _, work: failing(work))
        with pytest.raises(fault):
            await opened.xaa.resealer.look()
    assert await opened.xaa.resealer.look() == (0 if wrote else 1)
    await opened.xaa.desk.submit(SENDER, a_request(subject="next"), "request-next")
    assert len(await opened.carry()) == 2
    assert (await opened.states(view))["XCC"] == "received"
    assert len(await opened.shown("XCC")) == 2
    assert (await opened.xcc.desk.node(SENDER)).alarms[0].code == "prekeys-lost"


async def test_a_restart_in_the_middle_goes_on(tmp_path: Path) -> None:
    """What waits lies in the store: another process seals it, under the numbers that follow."""
    async with three(tmp_path) as first:
        view = await to_xcc(first)
        await first.lose_keys("XCC")
        await first.carry()
    async with three(tmp_path) as second:
        # The community of the tests gives XCC its old keys again; the new ones are what counts.
        await second.lose_keys("XCC")
        await second.publish("XCC")
        assert await second.xaa.resealer.look() == 1
        await second.carry()
        assert (await second.states(view))["XCC"] == "received"


async def test_a_recipient_that_speaks_meanwhile_is_not_sealed_for(
    opened: Three, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its receipt arrives between choosing the key and writing: the transaction is given up."""
    view = await to_xcc(opened)
    first, (submission,) = (await opened.queued())[0].id, await opened.relay()
    opened.clock.advance(2 * DAY_MS)
    await opened.undelivered(first, "XCC")
    await opened.xcc.receive(delivery_to("XCC", submission))
    body = opened.xaa.resealer._body

    async def interrupted(row: NoticeRow) -> Body:
        await opened.bring_statements("XCC")
        return await body(row)

    monkeypatch.setattr(opened.xaa.resealer, "_body", interrupted)
    assert await opened.xaa.resealer.look() == 0
    assert [one for one in await opened.queued() if one.id != first] == []
    assert (await opened.states(view))["XCC"] == "received"
    assert await missing_at(opened, "XCC") == []


async def missing_at(nodes: Three, code: str) -> list[str]:
    """Send one more notice, and return what the recipient misses of those before it."""
    await to_xcc(nodes, subject="one more")
    await nodes.carry()
    return [alarm.message for alarm in (await nodes.of(code).desk.node(SENDER)).alarms]


async def test_a_notice_whose_stored_text_was_altered_holds_up_no_other(opened: Three) -> None:
    """It is told to a person; the others are sealed."""
    spoiled = await to_xcc(opened, subject="spoiled")
    good = await to_xcc(opened, subject="good")
    await opened.lose_keys("XCC")
    await opened.carry()
    await opened.publish("XCC")

    def spoil(db: apsw.Connection) -> None:
        db.execute("UPDATE content SET locked_body = x'00' WHERE envelope = ?", (bytes.fromhex(spoiled),))

    await opened.xaa.context.engine.write(spoil)
    assert await opened.xaa.resealer.look() == 1
    await opened.carry()
    assert (await opened.states(good))["XCC"] == "received"
    assert (await opened.states(spoiled))["XCC"] == "waiting-for-key"
    assert "sealing-failed" in await opened.alarms()


async def test_a_statement_about_what_was_never_sealed_is_nobodys(opened: Three) -> None:
    """The id of a notice without an envelope is a name, and proves nothing."""
    opened.clock.advance(SILENT_MS)
    view = await opened.submit()
    await opened.say("XCC", StatementKind.REJECTED, bytes.fromhex(view.id), code="cannot-open")
    assert await opened.states(view.id) == {"XBB": "waiting-for-key", "XCC": "waiting-for-key"}
