"""Cancellation at every await: whoever is cut short leaves no lock, no slot and no transaction behind.

Each call is cancelled at its first await, at its second, and so on until it ends before it is cancelled;
after each, the same call must work at once. This is fault 45 of ``tests/faults/README.md``.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any

import pytest

from exchange.node.requests import AnswerRequest, SubmitRequest
from exchange.node.tokens import Identity, TokenRole
from tests.simulation.crowd import SENDER
from tests.simulation.disks import SimEngine
from tests.simulation.members import NodeMember
from tests.simulation.world import Plan, World

OFFICER = Identity(TokenRole.OFFICER, "officer of XAB", b"XAB".ljust(32, b"."))
PATIENCE = 60.0
"""Virtual seconds within which a call must work after another one was cut short."""


class CutShort:
    """Awaits something, and cancels the task that does at its n-th await.

    Args:
        work: What to await.
        at: Which await, counted from 1.
    """

    def __init__(self, work: Coroutine[Any, Any, Any], at: int) -> None:
        self._work = work
        self._at = at
        self.awaits = 0

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self._work.__await__()
        send: Callable[[], Any] = lambda: steps.send(None)  # noqa: E731
        while True:
            try:
                waits = send()
            except StopIteration as end:
                return end.value
            self.awaits += 1
            if self.awaits == self._at:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            try:
                value = yield waits
            except BaseException as error:
                thrown = error
                send = lambda: steps.throw(thrown)  # noqa: B023, E731
            else:
                got = value
                send = lambda: steps.send(got)  # noqa: B023, E731


async def cut_everywhere(
    member: NodeMember, call: Callable[[], Coroutine[Any, Any, Any]], before: Callable[[], Awaitable[None]]
) -> int:
    """Cancel a call at each of its awaits; return how many there are."""
    life = member.life
    assert life is not None
    for at in range(1, 400):
        await before()
        cut = CutShort(call(), at)

        async def wait(cut: CutShort = cut) -> Any:
            return await cut

        task = life.begin(wait())
        await asyncio.wait([task])
        require_free(member.engine)
        async with asyncio.timeout(PATIENCE):
            await before()
            await life.begin(call())
        if cut.awaits < at:
            return at - 1
    raise AssertionError("it never ends")


def require_free(engine: SimEngine | None) -> None:
    """Check that no transaction is open."""
    assert engine is not None
    assert not engine.core.db.in_transaction


def request() -> SubmitRequest:
    """Return a request to one state."""
    return SubmitRequest(to=("XAB",), severity="ppd-41:high", subject="What has happened", text="x" * 100)


@pytest.mark.parametrize("what", ["submit", "open", "answer", "inbox", "node", "hub"])
def test_a_call_that_is_cut_short_anywhere_leaves_nothing_behind(what: str) -> None:
    """People and programs hang up at any moment."""
    world = World(Plan(7, nodes=3))

    async def live() -> int:
        for member in world.members.values():
            await member.start()
            await member.ready.wait()
        await asyncio.sleep(30)
        sender, reader = world.nodes["XAA"], world.nodes["XAB"]
        assert sender.node is not None
        assert reader.node is not None
        assert sender.life is not None
        desk, people = sender.node.desk, reader.node.desk
        unread: list[str] = []

        async def nothing() -> None:
            return

        async def a_new_notice() -> None:
            view = await sender.life.begin(desk.submit(SENDER, request(), secrets.token_hex(8)))  # type: ignore[union-attr]
            unread[:] = [view.id]
            await asyncio.sleep(20)

        async def commit() -> None:
            store = world.hub.coordinator._parts.store  # type: ignore[union-attr]
            async with store.turn() as turn:
                await turn.commit((), None)

        match what:
            case "submit":
                return await cut_everywhere(
                    sender, lambda: desk.submit(SENDER, request(), secrets.token_hex(8)), nothing
                )
            case "open":
                return await cut_everywhere(reader, lambda: people.open(OFFICER, unread[0]), a_new_notice)
            case "answer":
                answer = AnswerRequest(answer="accepted")
                return await cut_everywhere(
                    reader, lambda: people.answer(OFFICER, unread[0], answer), a_new_notice
                )
            case "inbox":
                return await cut_everywhere(reader, lambda: people.inbox(OFFICER), nothing)
            case "node":
                return await cut_everywhere(reader, lambda: people.node(OFFICER), nothing)
            case _:
                return await cut_everywhere(world.hub, commit, nothing)  # type: ignore[arg-type]

    with world.standing():
        assert world.loop.run_until_complete(live()) >= 1
