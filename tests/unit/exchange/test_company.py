"""Under load a round waits a moment for company; what comes alone never does."""

from __future__ import annotations

import asyncio

import pytest

from exchange.node.company import ENOUGH, SEVERAL, Company


async def waits(company: Company, waiting: int) -> bool:
    """Whether the next round is begun later."""
    gathering = asyncio.create_task(company.gather(waiting))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    done = gathering.done()
    gathering.cancel()
    return not done


@pytest.mark.parametrize(("last", "waiting", "later"), [(0, 1, False), (1, 1, False), (SEVERAL, 1, True)])
async def test_only_who_just_had_several_waits(last: int, waiting: int, later: bool) -> None:
    """The first of a burst, and each that comes alone, goes at once."""
    company = Company(60.0)
    company.had(last)
    assert await waits(company, waiting) is later


async def test_with_enough_nobody_waits() -> None:
    """A full round costs each of it next to nothing already."""
    company = Company(60.0)
    company.had(SEVERAL)
    assert not await waits(company, ENOUGH)


async def test_the_moment_ends_by_itself() -> None:
    """However few have come."""
    company = Company(0.001)
    company.had(SEVERAL)
    await asyncio.wait_for(company.gather(1), 5)
