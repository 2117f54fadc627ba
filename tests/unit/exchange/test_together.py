"""Tasks that live and die together: the first to end takes the others with it, and its error is told."""

from __future__ import annotations

import asyncio

import pytest

from exchange.node.together import until_first
from protocol.errors import StoreFailed, Unreachable
from tests.patience import PATIENCE_S


async def test_the_first_to_end_ends_the_others() -> None:
    """Nothing is left running."""
    ended: list[str] = []

    async def patient() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("patient")

    async def quick() -> None:
        await asyncio.sleep(0)

    await asyncio.wait_for(until_first(patient(), quick(), patient()), PATIENCE_S)
    assert ended == ["patient", "patient"]


async def test_the_error_of_the_first_is_raised() -> None:
    """Why it ended is not lost."""

    async def failing() -> None:
        raise StoreFailed("the disk is full")

    with pytest.raises(StoreFailed):
        await until_first(asyncio.sleep(60, None), failing())


async def test_what_goes_wrong_while_the_others_end_does_not_hide_the_first_error() -> None:
    """The cause is told, not its consequence."""

    async def consequence() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            raise Unreachable("because the other one ended")

    async def cause() -> None:
        await asyncio.sleep(0)
        raise StoreFailed("the disk is full")

    with pytest.raises(StoreFailed):
        await until_first(consequence(), cause())


async def test_cancelling_the_whole_cancels_every_part() -> None:
    """A service that is stopped leaves no task behind."""
    ended: list[int] = []

    async def part(number: int) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(number)

    whole = asyncio.create_task(until_first(part(1), part(2)))
    await asyncio.sleep(0.01)
    whole.cancel()
    with pytest.raises(asyncio.CancelledError):
        await whole
    assert sorted(ended) == [1, 2]
