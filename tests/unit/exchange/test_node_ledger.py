"""The node's view of the ledger: what is proved is stored, what contradicts is told, nothing is held up."""

from __future__ import annotations

import asyncio
import secrets
import stat
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import apsw
import msgspec
import pytest

from exchange.link.pump import Link
from exchange.node.answers import Answered
from exchange.node.comparing import load_heads
from exchange.node.heads import Heads
from exchange.node.ledger import MOST_WAITING, Ledger, LedgerTimes
from exchange.stores.node_books import AlarmRow, clear_alarms, read_alarms
from exchange.stores.node_ledger import count_promises, list_evidence, newest_checkpoint
from exchange.stores.node_statements import list_statements
from keys.evidence import NO_STATEMENT_YET, Saying, make_statement
from protocol.errors import BadSignature, ClockSkew, FormatError
from protocol.ledger.origins import Log
from protocol.ledger.witness import WitnessStatus
from protocol.session.messages import Accepted, Compare, Compared, Cosigned, ItemKind, Place, Witnessed
from protocol.statement import SeenCheckpoint, StatementKind, parse_statement
from tests.ledgers import PlayedLedger, Wire
from tests.nodes import MONITOR, SENDER, TestNode, a_node, delivery_to

TIMES = LedgerTimes(look_s=0.01)


@dataclass
class Scene:
    """XAA's node with its ledger, and a coordinator that the test plays."""

    node: TestNode
    ledger: Ledger
    played: PlayedLedger
    wire: Wire
    folder: Path
    since_ms: int

    @property
    def link(self) -> Link:
        """The session's link."""
        return cast(Link, self.wire)

    async def relay(self, *, record: bool = True) -> bytes:
        """Send a notice, promise to relay it, and return its id."""
        await self.node.send()
        row = (await self.node.queue())[-1]
        relayed = self.node.relayed(row.subject)
        if record:
            self.played.record(relayed)
        self.node.answers.offer(Answered(row, Accepted(ref=1, index=0, statement=relayed)))
        await self.node.answers.next_round()
        return row.subject

    async def announce(
        self, played: PlayedLedger | None = None, by: tuple[str, ...] = ("XBB", "XCC")
    ) -> None:
        """Tell the node of the newest witnessed checkpoint."""
        await self.ledger.take(self.link, (played or self.played).announce(by=by))

    async def look(self, after_ms: int = 0) -> None:
        """Let time pass, and let the node look."""
        self.node.clock.advance(after_ms)
        await self.ledger.look(self.link, self.since_ms)

    async def alarms(self) -> dict[str, AlarmRow]:
        """Return the alarms that stand, by code."""
        return {row.code: row for row in await self.node.context.engine.read(read_alarms)}

    async def evidence(self) -> list[str]:
        """Return the texts of the evidence that is kept."""
        return [text.decode() for _, text in await self.node.context.engine.read(list_evidence)]

    async def open_promises(self) -> tuple[int, int]:
        """Return how many statements wait for the log, and how many for a quorum."""
        return await self.node.context.engine.read(count_promises)

    async def evidence_of(self, envelope: bytes) -> set[str]:
        """Return what is said of RELAYED in the matrix."""
        status = await self.node.desk.status(SENDER, envelope.hex())
        return {one.evidence.get("relayed", "") for one in status.deliveries}

    def seen_by_xbb(self, envelope: bytes, size: int, root: bytes, sequence: int = 0) -> bytes:
        """Return XBB's signed REJECTED of a notice, which says that it saw this checkpoint."""
        seen = SeenCheckpoint(origin=self.played.origin, size=size, root=root)
        return make_statement(
            Saying(kind=StatementKind.REJECTED, envelope=envelope, code="cannot-open", seen=seen),
            party="XBB",
            signer=self.node.everyone.members["XBB"].node,
            at_ms=self.node.clock.now_ms(),
            nonce=secrets.token_bytes(32),
            directory=self.node.context.directory.head(),
            chain=NO_STATEMENT_YET,
        ).data

    async def hear(self, statement: bytes) -> None:
        """Deliver a statement to the node."""
        await self.node.receive(statement, kind=ItemKind.STATEMENT)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    """Return a node that is connected, and a log with five strangers' leaves."""
    async with a_node(tmp_path / "XAA", "XAA") as node:
        folder = tmp_path / "evidence"
        ledger = Ledger(node.context, node.link_state, folder, TIMES)
        played = PlayedLedger(node.everyone, node.clock)
        played.fill(5)
        yield Scene(node, ledger, played, Wire(), folder, node.clock.now_ms())


# Places.


async def test_a_promise_becomes_a_place_under_a_quorum(scene: Scene) -> None:
    """What was recorded is asked for, proved and shown with its leaf."""
    envelope = await scene.relay()
    assert await scene.evidence_of(envelope) == {"promised"}
    await scene.announce()
    await scene.ledger.take(scene.link, scene.played.locate(scene.wire.wanted()))
    assert await scene.evidence_of(envelope) == {"witnessed, leaf 5"}
    assert await scene.open_promises() == (0, 0)


async def test_a_log_without_a_quorum_keeps_the_promise_and_proves_nothing(scene: Scene) -> None:
    """One witness of three: the statement is in the ledger, pending, and never called witnessed."""
    envelope = await scene.relay()
    await scene.look()
    await scene.ledger.take(scene.link, scene.played.locate(scene.wire.wanted(), by=("XBB",)))
    assert await scene.evidence_of(envelope) == {"pending witness"}
    await scene.look(120_000)
    assert await scene.alarms() == {}
    health = await scene.node.desk.node(MONITOR)
    assert [alarm.code for alarm in health.alarms] == ["witness-pending"]


async def test_what_waits_for_witnesses_is_not_asked_for_at_every_look(scene: Scene) -> None:
    """Without a quorum for a week, the node's questions do not eat the coordinator's budget for notices."""
    await scene.relay()
    await scene.look()
    await scene.ledger.take(scene.link, scene.played.locate(scene.wire.wanted(), by=("XBB",)))
    await scene.look()
    assert scene.wire.wanted() == ()
    await scene.announce()
    assert len(scene.wire.wanted()) == 1


@pytest.mark.parametrize("lie", ["index", "time", "path", "other statement"])
async def test_a_false_place_is_not_stored_and_told_of(scene: Scene, lie: str) -> None:
    """The leaf is recomputed from the node's own copy: no other leaf's proof passes for its own."""
    envelope = await scene.relay()
    await scene.look()
    located = scene.played.locate(scene.wire.wanted())
    (place,) = located.places
    other = await scene.relay()
    await scene.look()
    names = scene.wire.wanted()
    false: dict[str, Place] = {
        "index": msgspec.structs.replace(place, index=4),
        "time": msgspec.structs.replace(place, at_ms=place.at_ms + 1),
        "path": msgspec.structs.replace(place, path=place.path[:-1]),
        "other statement": msgspec.structs.replace(
            place, statement=next(name for name in names if name != place.statement)
        ),
    }
    await scene.ledger.take(scene.link, msgspec.structs.replace(located, places=(false[lie],)))
    assert await scene.evidence_of(envelope) | await scene.evidence_of(other) == {"promised"}
    assert set(await scene.alarms()) == {"place-refused"}


async def test_a_place_under_a_checkpoint_that_the_log_did_not_sign_is_nothing(scene: Scene) -> None:
    """An inclusion proof without a verified checkpoint proves nothing."""
    envelope = await scene.relay()
    await scene.look()
    located = scene.played.locate(scene.wire.wanted())
    bare = located.checkpoint.replace(b"\n6\n", b"\n7\n")
    with pytest.raises(BadSignature):
        await scene.ledger.take(scene.link, msgspec.structs.replace(located, checkpoint=bare))
    assert await scene.evidence_of(envelope) == {"promised"}
    assert set(await scene.alarms()) == {"ledger-unsigned"}


async def test_many_statements_are_located_page_by_page(scene: Scene) -> None:
    """A node that was away asks for all it misses, 64 at a time."""
    for _ in range(70):
        await scene.relay()
    await scene.announce()
    while names := scene.wire.wanted():
        assert len(names) <= 64
        await scene.ledger.take(scene.link, scene.played.locate(names))
    assert await scene.open_promises() == (0, 0)


async def test_only_checkpoints_that_prove_something_are_kept(scene: Scene) -> None:
    """A node of many years keeps the newest checkpoint and those its places stand under."""
    await scene.relay()
    await scene.announce()
    await scene.ledger.take(scene.link, scene.played.locate(scene.wire.wanted()))
    for _ in range(3):
        scene.played.fill(2)
        await scene.announce()

    def sizes(db: apsw.Connection) -> list[int]:
        return [size for (size,) in db.execute("SELECT size FROM checkpoint ORDER BY size")]

    assert await scene.node.context.engine.read(sizes) == [6, 12]


# Heads and gossip.


async def test_statements_carry_the_newest_verified_checkpoint(scene: Scene, tmp_path: Path) -> None:
    """What this node signs says what it has seen; after a restart too."""
    submission = None
    async with a_node(tmp_path / "XBB", "XBB", scene.node.clock) as sender:
        await scene.announce()
        submission = await sender.send(to=("XAA",))
        await scene.node.receive(delivery_to("XAA", submission))
    (row,) = await scene.node.queue()
    seen = parse_statement(row.content)[1].seen
    checkpoint = scene.played.checkpoint().checkpoint
    assert seen == SeenCheckpoint(origin=scene.played.origin, size=5, root=checkpoint.root)


async def test_a_restart_takes_up_the_newest_verified_checkpoint(scene: Scene) -> None:
    """The heads are read from the store before anything is signed."""
    await scene.announce()
    fresh = replace(scene.node.context, heads=Heads())
    await load_heads(fresh)
    newest = fresh.heads.newest(Log.ACK)
    assert newest is not None
    assert newest.size == 5


async def test_a_larger_checkpoint_counts_once_it_is_proved_to_continue(scene: Scene) -> None:
    """The node asks for the consistency proof, and believes nothing before it."""
    await scene.announce()
    scene.played.fill(4)
    await scene.announce()
    assert scene.node.context.heads.newest(Log.ACK) == scene.played.checkpoint(5).checkpoint
    await scene.look()
    assert scene.wire.questions() == [Compare(log=Log.ACK, old=5, new=9)]
    await scene.ledger.take(scene.link, scene.played.compare(5, 9))
    assert scene.node.context.heads.newest(Log.ACK) == scene.played.checkpoint(9).checkpoint


async def test_a_new_witness_begins_where_a_quorum_stands(scene: Scene) -> None:
    """The first request must continue what the other witnesses have cosigned, not just anything."""
    await scene.announce()
    other = PlayedLedger(scene.node.everyone, scene.node.clock)
    other.fill(9, b"other")
    await scene.ledger.take(scene.link, other.ask(0))
    (refused,) = scene.wire.sent
    assert isinstance(refused, Cosigned)
    assert (refused.status, refused.body) == (WitnessStatus.CONFLICT, b"5\n")
    scene.wire.sent.clear()
    scene.played.fill(4)
    await scene.ledger.take(scene.link, scene.played.ask(5))
    (granted,) = scene.wire.sent
    assert isinstance(granted, Cosigned)
    assert granted.status == WitnessStatus.OK
    assert scene.node.context.heads.newest(Log.ACK) == scene.played.checkpoint(9).checkpoint


async def test_a_clock_that_is_known_to_be_wrong_cosigns_nothing(scene: Scene) -> None:
    """The time in a cosignature is evidence for ever; the next request comes when the clock is right."""
    scene.node.link_state.opened(skew_ms=3600_000)
    with pytest.raises(ClockSkew):
        await scene.ledger.take(scene.link, scene.played.ask(0))
    assert scene.wire.sent == []
    scene.node.link_state.opened(skew_ms=0)
    await scene.ledger.take(scene.link, scene.played.ask(0))
    assert len(scene.wire.sent) == 1


async def test_another_history_is_a_fork_with_evidence(scene: Scene) -> None:
    """A checkpoint that a quorum cosigned and that does not continue ours is told of, with both notes."""
    await scene.announce()
    other = PlayedLedger(scene.node.everyone, scene.node.clock)
    other.fill(8, b"other")
    await scene.announce(other)
    await scene.ledger.take(scene.link, other.compare(5, 8))
    assert set(await scene.alarms()) == {"ledger-forked"}
    (text,) = await scene.evidence()
    assert scene.played.checkpoint(5).note.text in text
    assert other.checkpoint().note.text in text
    assert scene.node.context.heads.newest(Log.ACK) == scene.played.checkpoint(5).checkpoint


async def test_what_was_compared_and_what_is_cosigned_are_one_history(scene: Scene) -> None:
    """A coordinator proves one version, without a quorum, and asks to cosign another from before it."""
    await scene.ledger.take(scene.link, scene.played.ask(0))
    other = PlayedLedger(scene.node.everyone, scene.node.clock)
    other.leaves = list(scene.played.leaves)
    scene.played.fill(4, b"one")
    other.fill(4, b"other")
    await scene.announce(by=("XBB",))
    await scene.look()
    await scene.ledger.take(scene.link, scene.played.compare(5, 9))
    scene.wire.sent.clear()
    await scene.ledger.take(scene.link, other.ask(5))
    (refused,) = scene.wire.sent
    assert isinstance(refused, Cosigned)
    assert refused.status == WitnessStatus.CONFLICT
    assert set(await scene.alarms()) == {"ledger-forked"}


async def test_a_coordinator_that_proves_nothing_is_told_of(scene: Scene) -> None:
    """Silence and "I cannot say" are answers too: after a time they are an alarm with evidence."""
    await scene.announce()
    scene.played.fill(4)
    await scene.announce()
    await scene.look()
    await scene.ledger.take(scene.link, Compared(log=Log.ACK, old=5, new=0, proof=()))
    assert await scene.alarms() == {}
    await scene.look(46_000)
    assert set(await scene.alarms()) == {"ledger-unproven"}


async def test_a_proof_that_was_asked_for_before_a_cut_is_asked_for_again(scene: Scene) -> None:
    """An hour without a link is not an hour in which the coordinator proved nothing."""
    await scene.announce()
    scene.played.fill(4)
    await scene.announce()
    scene.node.clock.advance(3600_000)
    scene.since_ms = scene.node.clock.now_ms()
    await scene.look()
    assert scene.wire.questions() == [Compare(log=Log.ACK, old=5, new=9)]
    assert await scene.alarms() == {}


async def test_gossip_of_the_same_root_is_no_news(scene: Scene) -> None:
    """Another member that has seen what this node has seen raises nothing."""
    envelope = await scene.relay()
    await scene.announce()
    root = scene.played.checkpoint().checkpoint.root
    await scene.hear(scene.seen_by_xbb(envelope, scene.played.size, root))
    await scene.look(120_000)
    assert not {"ledger-forked", "ledger-unproven", "ledger-behind"} & set(await scene.alarms())


async def test_gossip_of_another_root_is_evidence(scene: Scene) -> None:
    """A statement that names another root for a size we verified is kept with our own checkpoint."""
    envelope = await scene.relay()
    await scene.announce()
    await scene.hear(scene.seen_by_xbb(envelope, scene.played.size, b"x" * 32))
    await scene.look()
    alarm = (await scene.alarms())["ledger-forked"]
    assert "XBB has signed that it saw" in alarm.message
    assert "Call XBB on another channel" in alarm.next
    assert any("exhibit 2: the signed statement of XBB" in text for text in await scene.evidence())


async def test_gossip_of_a_size_between_is_compared_with_the_coordinators_proof(scene: Scene) -> None:
    """A true smaller size is proved; a false one is evidence by the coordinator's own proof."""
    envelope = await scene.relay()
    await scene.announce()
    true = scene.played.checkpoint(3).checkpoint.root
    await scene.hear(scene.seen_by_xbb(envelope, 3, true))
    await scene.look()
    assert scene.wire.questions() == [Compare(log=Log.ACK, old=3, new=6)]
    await scene.ledger.take(scene.link, scene.played.compare(3, 6))
    assert "ledger-forked" not in await scene.alarms()
    await scene.hear(scene.seen_by_xbb(await scene.relay(), 4, b"x" * 32))
    await scene.look()
    await scene.ledger.take(scene.link, scene.played.compare(4, 6))
    assert "ledger-forked" in await scene.alarms()


async def test_a_ledger_that_stands_still_for_this_node_alone_is_told_of(scene: Scene) -> None:
    """Another member has seen more than the coordinator shows here: a frozen view is a lie too."""
    envelope = await scene.relay()
    await scene.announce()
    await scene.hear(scene.seen_by_xbb(envelope, 500, b"x" * 32))
    await scene.look()
    assert "ledger-behind" not in await scene.alarms()
    await scene.look(50_000)
    assert "ledger-behind" in await scene.alarms()


# Promises.


async def test_a_dropped_statement_is_told_of_and_becomes_evidence(scene: Scene) -> None:
    """Recorded and not in the ledger: a warning first, and evidence once the promise is broken."""
    await scene.relay(record=False)
    await scene.announce()
    await scene.look(44_000)
    assert await scene.alarms() == {}
    await scene.look(2_000)
    assert set(await scene.alarms()) == {"not-logged"}
    await scene.look(16_000)
    assert set(await scene.alarms()) == {"promise-broken"}
    (text,) = await scene.evidence()
    assert "exhibit 1: the signed statement of HUB" in text
    assert scene.played.checkpoint().note.text in text


async def test_the_alarm_goes_when_the_statement_is_found(scene: Scene) -> None:
    """A late entry is still an entry."""
    envelope = await scene.relay(record=False)
    await scene.look(70_000)
    names = scene.wire.wanted()
    (relayed,) = [
        row.body for row in await scene.node.context.engine.read(lambda db: list_statements(db, envelope))
    ]
    scene.played.record(relayed)
    await scene.ledger.take(scene.link, scene.played.locate(names))
    assert await scene.alarms() == {}


async def test_time_without_a_session_counts_for_nothing(scene: Scene) -> None:
    """A node that was cut off for a day does not accuse the coordinator of the silence."""
    await scene.relay(record=False)
    scene.node.clock.advance(24 * 3600 * 1000)
    scene.since_ms = scene.node.clock.now_ms()
    await scene.look(30_000)
    assert await scene.alarms() == {}


async def test_a_notice_kept_back_from_a_state_at_work_is_told_of(scene: Scene) -> None:
    """XBB cosigns what came after RELAYED, and has not received: somebody keeps it back."""
    envelope = await scene.relay()
    scene.node.clock.advance(2_000)
    await scene.announce(by=("XBB",))
    await scene.look(30_000)
    assert await scene.alarms() == {}
    await scene.look(25_000)
    alarm = (await scene.alarms())["withheld"]
    assert alarm.about == f"{envelope.hex()}/XBB"
    assert "Call XBB" in alarm.next


async def test_a_state_that_is_not_at_work_is_not_told_of(scene: Scene) -> None:
    """XCC is away: nothing says that anybody keeps anything back from it."""
    await scene.announce()
    await scene.relay()
    await scene.ledger.take(scene.link, scene.played.announce(5, by=("XAA", "XBB", "XCC")))
    await scene.look(600_000)
    assert "withheld" not in await scene.alarms()


async def test_the_alarm_goes_when_the_receipt_comes(scene: Scene) -> None:
    """What was late and has arrived needs nobody's attention."""
    envelope = await scene.relay()
    scene.node.clock.advance(2_000)
    await scene.announce(by=("XBB",))
    await scene.look(60_000)
    assert "withheld" in await scene.alarms()
    root = scene.played.checkpoint().checkpoint.root
    await scene.hear(scene.seen_by_xbb(envelope, scene.played.size, root))
    assert "withheld" not in await scene.alarms()


# Nothing here stops a notice.


async def test_evidence_lies_in_private_files_that_come_back(scene: Scene) -> None:
    """Each file is readable by this user alone, and one that was lost is written again."""
    await scene.relay(record=False)
    await scene.look(70_000)
    await scene.look()
    (file,) = scene.folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(scene.folder.stat().st_mode) == 0o700
    assert file.name in (await scene.alarms())["promise-broken"].next
    before = file.read_bytes()
    file.unlink()
    await scene.look()
    assert file.read_bytes() == before


async def test_a_disk_that_takes_no_evidence_stops_nothing(scene: Scene) -> None:
    """The alarm and the store's copy stand; the file waits for a better day."""
    scene.folder.write_text("in the way")
    await scene.relay(record=False)
    await scene.look(70_000)
    assert len(await scene.evidence()) == 1
    assert set(await scene.alarms()) == {"promise-broken"}


@pytest.mark.parametrize("data", [b"", b"rubbish", b"a\n1\n" + b"A" * 43 + b"=\n\n\xe2\x80\x94 a AAAAAAAA\n"])
async def test_rubbish_is_told_of_and_ends_no_session(scene: Scene, data: bytes) -> None:
    """The loop that serves a session goes on after any message."""
    serving = asyncio.create_task(scene.ledger.serve(scene.link))
    await asyncio.sleep(0.02)
    scene.ledger.offer(Witnessed(log=Log.ACK, checkpoint=data))
    scene.ledger.offer(scene.played.announce(by=("XBB", "XCC")))
    async with asyncio.timeout(5):
        while scene.node.context.heads.newest(Log.ACK) is None:  # noqa: ASYNC110 - lies in memory
            await asyncio.sleep(0.01)
    serving.cancel()
    assert set(await scene.alarms()) == {"ledger-unsigned"}


async def test_a_flood_of_ledger_messages_is_bounded(scene: Scene) -> None:
    """What comes faster than it can be judged is dropped, and costs no memory."""
    message = scene.played.announce()
    for _ in range(10 * MOST_WAITING):
        scene.ledger.offer(message)
    assert scene.ledger._waiting.qsize() == MOST_WAITING


async def test_a_false_cosignature_in_the_name_of_a_witness_is_refused(scene: Scene) -> None:
    """A witness's name with another's bytes makes the whole checkpoint unbelievable."""
    signed = scene.played.witnessed()
    last = signed.note.signatures[-1]
    broken = replace(last, signature=bytes(len(last.signature) - 1) + b"\1")
    note = signed.with_signatures([broken])
    with pytest.raises((BadSignature, FormatError)):
        await scene.ledger.take(scene.link, Witnessed(log=Log.ACK, checkpoint=note.data))
    assert await scene.node.context.engine.read(lambda db: newest_checkpoint(db, Log.ACK)) is None


async def test_the_ledger_is_shown_with_its_witnesses(scene: Scene) -> None:
    """Size, root, who cosigned and when, what is awaited: what ``ledger watch`` prints."""
    await scene.relay()
    await scene.announce(by=("XAA", "XBB"))
    view = await scene.node.desk.ledger(MONITOR)
    ack = view.logs[0]
    assert (ack.log, ack.size, ack.witnessed_size, ack.needed) == ("ack", 6, 6, 2)
    assert ack.root == scene.played.checkpoint().checkpoint.root.hex()
    assert [(one.state, one.cosigned_ms is not None) for one in ack.witnesses] == [
        ("XAA", True),
        ("XBB", True),
        ("XCC", False),
    ]
    assert (view.promised, view.unwitnessed) == (1, 0)


async def test_dismissed_alarms_come_back_while_their_cause_lasts(scene: Scene) -> None:
    """An officer may take an alarm down; what is still wrong is told again."""
    await scene.relay(record=False)
    await scene.look(70_000)
    await scene.node.context.engine.write(clear_alarms)
    await scene.look()
    assert set(await scene.alarms()) == {"promise-broken"}
    assert len(await scene.evidence()) == 1


async def directory_alarm(scene: Scene) -> str:
    """Return what health says of a stale directory, or nothing."""
    alarms = {one.code: one for one in (await scene.node.desk.node(MONITOR)).alarms}
    assert "directory-stale" not in alarms or "almenara members" in alarms["directory-stale"].next
    return alarms["directory-stale"].message if "directory-stale" in alarms else ""


async def test_threat_14_a_frozen_directory_is_told_after_six_hours_and_graver_later(scene: Scene) -> None:
    """A coordinator cannot have an old list witnessed anew; the next witnessed one ends the alarm."""
    documents = replace(scene.played, log=Log.DIRECTORY)
    assert await directory_alarm(scene) == ""
    await scene.announce(documents)
    for hours, expected in ((5, ""), (2, "revocation"), (20, "confirm grave answers"), (60, "by telephone")):
        scene.node.clock.advance(hours * 3_600_000)
        said = await directory_alarm(scene)
        assert expected in said
        assert bool(said) == bool(expected), said
    await scene.announce(documents)
    assert await directory_alarm(scene) == ""


async def test_a_stale_directory_stops_no_notice(scene: Scene) -> None:
    """Security is told loudly; warnings go on."""
    documents = replace(scene.played, log=Log.DIRECTORY)
    await scene.announce(documents)
    scene.node.clock.advance(30 * 3_600_000)
    assert await directory_alarm(scene)
    await scene.node.send()
    assert (await scene.node.queue())[-1].kind == "submit"
