"""Certificates whose time is over: pinned or not, they open no session, and the operator is told why."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from exchange.link.certificate import make_certificate
from protocol.documents import Role
from protocol.errors import PeerNotPinned, Unreachable
from tests.links import CLOCK, COORDINATOR, Party, World, world

DAY_MS = 24 * 3600 * 1000


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[World]:
    """Run a coordinator; whatever was tried, it serves whom it served before."""
    async with world(tmp_path) as running:
        yield running
        async with running.session(running.xab):
            pass


def expired(here: World, code: str, role: Role) -> Party:
    """Return a party whose certificate ended an hour ago."""
    party = Party.make(here.folder, code, role, name=f"{code}-expired")
    past = make_certificate(code, CLOCK.now_ms() - 2 * DAY_MS, 2 * DAY_MS - 3_600_000)
    (party.folder / "tls.pem").write_bytes(past.pem)
    (party.folder / "tls.key").write_bytes(past.key_pem)
    return Party(code, past, party.signer, party.folder)


async def test_a_node_with_an_expired_certificate_opens_no_session(here: World) -> None:
    """Though it is listed: the hint names what to check."""
    late = expired(here, "XAA", Role.NODE)
    here.server.use(here.coordinator.server(late, here.xab))
    with pytest.raises(Unreachable) as refused:
        await here.connect(late)
    assert "expired" in (refused.value.hint or "")


async def test_a_coordinator_with_an_expired_certificate_is_not_spoken_to(here: World) -> None:
    """Though it is pinned: nothing is said to it."""
    late = expired(here, COORDINATOR, Role.COORDINATOR)
    before = here.coordinator.server(here.xaa, here.xab)
    here.server.use(late.server(here.xaa, here.xab))
    with pytest.raises(PeerNotPinned):
        await here.connect(here.xaa, late)
    here.server.use(before)
