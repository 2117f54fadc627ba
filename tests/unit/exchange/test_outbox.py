"""The outbox: nothing is sealed before everything is checked, and nothing accepted is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from exchange.node.requests import AttachmentRequest
from exchange.stores.node_statements import read_pairs
from keys.documents import sign_document
from protocol.envelope import parse_submission
from protocol.errors import (
    AlmenaraError,
    BadRequest,
    ClockSkew,
    FormatError,
    IdReused,
    NotAuthorized,
    NotFound,
    NoUsableKey,
    TooLarge,
    UnknownSeverity,
    UnknownState,
)
from protocol.text import format_base64
from tests.clocks import FixedClock
from tests.community import DAY_MS
from tests.nodes import MONITOR, SENDER, TestNode, a_node, a_request

HOUR_MS = 3_600_000


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[TestNode]:
    """Return XAA's node."""
    async with a_node(tmp_path / "XAA", "XAA") as opened:
        yield opened


async def test_an_accepted_notice_is_queued_for_every_recipient(node: TestNode) -> None:
    """One notice, one envelope, one delivery row each, one thing to hand over."""
    view = await node.desk.submit(SENDER, a_request(), "request-1")
    status = await node.desk.status(SENDER, view.id)
    assert view.recipients == ("XBB", "XCC")
    assert [delivery.state for delivery in status.deliveries] == ["queued", "queued"]
    assert [("submit", view.id)] == [(row.kind, row.subject.hex()) for row in await node.queue()]


async def test_the_same_request_id_gives_the_same_notice(node: TestNode) -> None:
    """Repeating an unknown outcome is always safe."""
    first = await node.desk.submit(SENDER, a_request(), "request-1")
    again = await node.desk.submit(SENDER, a_request(), "request-1")
    assert (first.id, False, True) == (again.id, first.exists, again.exists)
    assert len(await node.queue()) == 1


async def test_the_same_request_at_the_same_moment_makes_one_notice(node: TestNode) -> None:
    """Two tries in flight together are one notice, and the numbering goes on without a hole."""
    views = await asyncio.gather(*(node.desk.submit(SENDER, a_request(), "request-1") for _ in range(4)))
    await node.desk.submit(SENDER, a_request(subject="next"), "request-2")
    assert len({view.id for view in views}) == 1
    pairs = await node.context.engine.read(read_pairs)
    assert {state: sequence for state, (sequence, _) in pairs.items()} == {"XBB": 2, "XCC": 2}


async def test_a_request_id_with_other_content_is_refused(node: TestNode) -> None:
    """An id names one content for ever."""
    await node.desk.submit(SENDER, a_request(), "request-1")
    with pytest.raises(IdReused):
        await node.desk.submit(SENDER, a_request(text="something else"), "request-1")


REFUSED: dict[str, tuple[dict[str, object], type[AlmenaraError]]] = {
    "unknown state": ({"to": ("XBB", "XZZ")}, UnknownState),
    "own state": ({"to": ("XAA",)}, BadRequest),
    "unknown schema": ({"severity": "nowhere@1:bad"}, UnknownSeverity),
    "unknown version": ({"severity": "ppd-41@9:severe"}, UnknownSeverity),
    "unknown level": ({"severity": "ppd-41:dreadful"}, UnknownSeverity),
    "no level": ({"severity": "ppd-41"}, UnknownSeverity),
    "severity not a reference": ({"severity": "very bad!"}, FormatError),
    "unpublished fictitious schema": ({"severity": "xaa-national@1:grave"}, UnknownSeverity),
    "unknown TLP": ({"tlp": "purple"}, FormatError),
    "text too long": ({"text": "x" * (256 * 1024 + 1)}, TooLarge),
    "language not a tag": ({"language": "Spanish"}, FormatError),
    "control character": ({"text": "a\x1b[2Jb"}, FormatError),
    "subject of two lines": ({"subject": "one\ntwo"}, FormatError),
    "refers to nothing here": ({"refers_to": "ab" * 32}, NotFound),
    "refers to no id": ({"refers_to": "soon"}, BadRequest),
    "attachment not base64": (
        {"attachments": (AttachmentRequest(name="a.bin", content="***"),)},
        FormatError,
    ),
    "a media type with a parameter": (
        {"attachments": (AttachmentRequest(name="a", media_type="a/b;version=2.1", content=""),)},
        BadRequest,
    ),
    "attachments over 1 MiB": (
        {"attachments": (AttachmentRequest(name="a.bin", content=format_base64(bytes(1024 * 1024 + 1))),)},
        TooLarge,
    ),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_wrong_request_is_refused_and_nothing_is_sealed(node: TestNode, name: str) -> None:
    """Every wrong request gets a typed error with a next step, and leaves no trace."""
    changes, error = REFUSED[name]
    with pytest.raises(error) as caught:
        await node.desk.submit(SENDER, a_request(**changes), "request-1")
    assert caught.value.hint
    assert await node.queue() == []
    assert await node.desk.outbox(SENDER) == ()


async def test_one_mebibyte_of_attachments_is_accepted(node: TestNode) -> None:
    """The stated limit itself is allowed."""
    file = AttachmentRequest(name="a.bin", content=format_base64(bytes(1024 * 1024)))
    view = await node.desk.submit(SENDER, a_request(attachments=(file,)), "request-1")
    assert len(view.id) == 64


async def test_a_recipient_without_a_usable_key_is_refused_before_sealing(tmp_path: Path) -> None:
    """A silent state is not dropped quietly: the sender is told, and nothing goes to the others."""
    clock = FixedClock()
    async with a_node(tmp_path / "XAA", "XAA", clock) as node:
        clock.advance(90 * DAY_MS)
        with pytest.raises(NoUsableKey) as caught:
            await node.desk.submit(SENDER, a_request(), "request-1")
        assert "XBB" in caught.value.message
        assert "XCC" in caught.value.message
        assert "--partial" in caught.value.hint
        assert await node.queue() == []


async def test_a_partial_notice_says_visibly_whom_it_leaves_out(tmp_path: Path) -> None:
    """With the explicit flag the others are warned, and the gap is stated."""
    clock = FixedClock()
    async with a_node(tmp_path / "XAA", "XAA", clock) as node:
        await _publish_more_prekeys(node, "XCC", tmp_path)
        clock.advance(80 * DAY_MS)
        view = await node.desk.submit(SENDER, a_request(partial=True), "request-1")
    assert (view.recipients, [skipped.state for skipped in view.skipped]) == (("XCC",), ["XBB"])


async def test_a_key_that_cannot_be_sealed_to_keeps_nothing_from_the_others(node: TestNode) -> None:
    """A member that publishes a broken key is left out with --partial, as one without a key."""
    directory = node.context.directory
    held = directory.documents.prekeys["XBB"]
    keys = tuple(replace(key, public=bytes(1216)) for key in held.document.keys[:1])
    broken = replace(held.document, version=2, previous=held.hash, keys=keys)
    data = sign_document(broken, [node.everyone.members["XBB"].node])
    directory.update(data, node.clock.now_ms())
    with pytest.raises(NoUsableKey, match="XBB"):
        await node.desk.submit(SENDER, a_request(), "request-1")
    view = await node.desk.submit(SENDER, a_request(partial=True), "request-2")
    assert (view.recipients, [skipped.state for skipped in view.skipped]) == (("XCC",), ["XBB"])


async def _publish_more_prekeys(node: TestNode, code: str, folder: Path) -> None:
    clock = FixedClock(node.clock.now_ms() + 70 * DAY_MS)
    async with a_node(folder / code, code, clock) as other:
        await other.prekeeper.look()
        (row,) = await other.queue()
    node.context.directory.update(row.content, clock.now_ms())


async def test_a_tail_key_is_used_visibly(tmp_path: Path) -> None:
    """A state that has been silent for weeks can still be warned, with reduced forward secrecy."""
    clock = FixedClock()
    async with a_node(tmp_path / "XAA", "XAA", clock) as node:
        clock.advance(15 * DAY_MS)
        view = await node.desk.submit(SENDER, a_request(), "request-1")
        status = await node.desk.status(SENDER, view.id)
    assert view.reduced_forward_secrecy == ("XBB", "XCC")
    assert all(delivery.reduced_forward_secrecy for delivery in status.deliveries)


@pytest.mark.parametrize("skew_hours", [24, -24])
async def test_a_clock_that_is_a_day_wrong_stops_sending(node: TestNode, skew_hours: int) -> None:
    """Once the coordinator has shown that this clock is wrong, nothing is sealed with it."""
    node.link_state.opened(skew_hours * HOUR_MS)
    with pytest.raises(ClockSkew) as caught:
        await node.desk.submit(SENDER, a_request(), "request-1")
    assert "24.0 h" in caught.value.message
    assert await node.queue() == []


async def test_a_monitor_may_not_send(node: TestNode) -> None:
    """Roles are checked at the desk, whatever face the request came through."""
    with pytest.raises(NotAuthorized):
        await node.desk.submit(MONITOR, a_request(), "request-1")


async def test_an_update_belongs_to_the_incident_it_refers_to(node: TestNode) -> None:
    """A reader finds all notices about one incident under one id."""
    first = await node.desk.submit(SENDER, a_request(), "request-1")
    update = await node.desk.submit(SENDER, a_request(kind="update", refers_to=first.id), "request-2")
    assert first.incident == update.incident


async def test_more_severe_notices_leave_first(node: TestNode) -> None:
    """The queue is ordered by the sender's severity, then by age."""
    await node.desk.submit(SENDER, a_request(severity="ppd-41:low"), "request-1")
    await node.desk.submit(SENDER, a_request(severity="ppd-41:emergency"), "request-2")
    await node.desk.submit(SENDER, a_request(severity="ppd-41:low", subject="second"), "request-3")
    levels = [parse_submission(row.content)[1].header.severity.level for row in await node.queue()]
    assert levels == ["emergency", "low", "low"]


async def test_numbering_continues_after_a_restart(tmp_path: Path) -> None:
    """A pair's numbers never repeat, whatever happens between two notices."""
    for request_id in ("request-1", "request-2", "request-3"):
        async with a_node(tmp_path / "XAA", "XAA") as node:
            await node.desk.submit(SENDER, a_request(), request_id)
            pairs = await node.context.engine.read(read_pairs)
    assert {state: sequence for state, (sequence, _) in pairs.items()} == {"XBB": 3, "XCC": 3}
