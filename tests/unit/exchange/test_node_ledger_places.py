"""The places of a node's statements: what is proved is stored, what is false is told of."""

from __future__ import annotations

import apsw
import msgspec
import pytest

from protocol.errors import BadSignature
from protocol.session.messages import Place
from tests.ledger_scenes import Scene, scene
from tests.nodes import MONITOR

FIXTURES = (scene,)
"""A connected node, as :mod:`tests.ledger_scenes` makes it."""


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
