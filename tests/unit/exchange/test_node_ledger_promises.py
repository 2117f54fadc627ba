"""What the ledger owes a node: a broken promise is told of, and nothing here stops a notice."""

from __future__ import annotations

import asyncio
import stat
from dataclasses import replace

import pytest

from exchange.node.ledger import MOST_WAITING
from exchange.stores.node_books import clear_alarms
from exchange.stores.node_ledger import newest_checkpoint
from exchange.stores.node_statements import list_statements
from protocol.errors import BadSignature, FormatError
from protocol.ledger.origins import Log
from protocol.session.messages import Witnessed
from tests.ledger_scenes import Scene, scene
from tests.nodes import MONITOR
from tests.patience import PATIENCE_S

FIXTURES = (scene,)
"""A connected node, as :mod:`tests.ledger_scenes` makes it."""


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
    async with asyncio.timeout(PATIENCE_S):
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
