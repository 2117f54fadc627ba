"""A coordinator set up by hand."""

from __future__ import annotations

import asyncio
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from exchange.clock import SystemClock
from exchange.configuration import resolve
from exchange.coordinator.community import stored_directory
from exchange.datadir import DataDir
from exchange.settings import CoordinatorSettings
from exchange.setup.coordinator import join_community
from exchange.stores.coordinator_sqlite import SqliteCoordinatorStore
from keys.signer import Verifier
from keys.trust import TrustedDirectory
from protocol.errors import BadRequest, DataDirBusy, SetupError, UnknownSigner, WrongCommunity
from tests.acceptance.ceremony import CODES, HUB, Founded, admit, found, new_coordinator, new_node

CLOCK = SystemClock()


def join(founded: Founded, code: str = HUB) -> TrustedDirectory:
    return asyncio.run(join_community(founded.data(code), founded.community, CLOCK))


def stored(founded: Founded) -> TrustedDirectory:
    async def read() -> TrustedDirectory:
        store = await SqliteCoordinatorStore.open(DataDir(founded.data(HUB)).database, CLOCK)
        try:
            return await stored_directory(store, founded.root_hash, Verifier(), CLOCK.now_ms())
        finally:
            await store.close()

    return asyncio.run(read())


def test_everything_secret_is_private(applied: Founded) -> None:
    """The keys and their folder belong to one user; what is public may be read."""
    data = applied.data(HUB)
    modes = {
        str(path.relative_to(data)): stat.S_IMODE(path.stat().st_mode)
        for path in (data, data / "keys", *(data / "keys").iterdir(), data / "request.alm")
    }
    assert modes == {
        ".": 0o700,
        "keys": 0o700,
        "keys/log.key": 0o600,
        "keys/statement.key": 0o600,
        "keys/tls.key": 0o600,
        "keys/tls.crt": 0o644,
        "request.alm": 0o644,
    }


def test_its_settings_are_what_was_asked_for(applied: Founded) -> None:
    """The service reads them from its data directory."""
    settings = resolve(CoordinatorSettings, flags={"data": applied.data(HUB)}, environment={}).settings
    assert (settings.code, settings.host, settings.port) == (HUB, "127.0.0.1", applied.port)


def test_before_it_is_admitted_it_cannot_join(applied: Founded, tmp_path: Path) -> None:
    """The error says to send the request, and nothing is stored."""
    founded = applied.copy(tmp_path)
    admit(founded, CODES, CLOCK)
    with pytest.raises(SetupError) as caught:
        join(founded)
    assert "request.alm" in caught.value.hint
    assert not DataDir(founded.data(HUB)).database.exists()


def test_after_joining_everything_is_stored(ceremony: Founded, tmp_path: Path) -> None:
    """The service rebuilds the same directory at every start."""
    founded = ceremony.copy(tmp_path)
    assert [entry.code for entry in stored(founded).states()] == list(CODES)


def test_joining_again_adds_what_is_new(ceremony: Founded, tmp_path: Path) -> None:
    """A later member reaches the coordinator by a newer community file."""
    founded = ceremony.copy(tmp_path)
    new_node(founded, "XDD", CLOCK)
    admit(founded, ["XDD"], CLOCK)
    assert "XDD" in [entry.code for entry in join(founded).states()]
    again = join(founded)
    assert again.head() == stored(founded).head()
    assert again.head().version == 2


def test_a_file_of_another_community_is_refused(ceremony: Founded, tmp_path: Path) -> None:
    """The hash that was pinned at the set-up decides."""
    founded = ceremony.copy(tmp_path / "one")
    other = found(tmp_path / "other", CLOCK)
    admit(other, [HUB], CLOCK)
    with pytest.raises(WrongCommunity):
        asyncio.run(join_community(founded.data(HUB), other.community, CLOCK))


def test_somebody_else_listed_under_its_code_is_noticed(applied: Founded, tmp_path: Path) -> None:
    """A coordinator does not serve a community that lists another key for it."""
    founded = applied.copy(tmp_path)
    founded.data(HUB).rename(tmp_path / "first")
    new_coordinator(founded, HUB, CLOCK)
    admit(founded, [HUB], CLOCK)
    with pytest.raises(UnknownSigner):
        asyncio.run(join_community(tmp_path / "first", founded.community, CLOCK))


def test_while_it_runs_it_cannot_join(ceremony: Founded, tmp_path: Path) -> None:
    """Two processes never share a data directory; the error names the process."""
    founded = ceremony.copy(tmp_path)
    with DataDir(founded.data(HUB)), pytest.raises(DataDirBusy):
        join(founded)


def test_a_nodes_directory_is_not_taken_for_a_coordinators(ceremony: Founded) -> None:
    """Mixing up two directories is noticed before anything is opened."""
    with pytest.raises(SetupError):
        join(ceremony, "XAA")


def test_a_bad_code_leaves_nothing_behind(ceremony: Founded, tmp_path: Path) -> None:
    """Everything is checked before the first file is made."""
    founded = Founded(tmp_path, ceremony.root_hash, 8443)
    with pytest.raises(BadRequest):
        new_coordinator(founded, "hub!", CLOCK)
    assert list(tmp_path.iterdir()) == []


def test_a_coordinators_process_never_loads_what_opens_envelopes() -> None:
    """Promise 4, for the set-up too: there is no code path."""
    program = (
        "import sys, exchange.cli.setup, exchange.setup.coordinator, exchange.serve.coordinator;"
        "opens = ('keys.sealing', 'keys.wrap', 'keys.payload', 'keys.detail', 'exchange.node');"
        "print([name for name in opens if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert ran.stdout.strip() == "[]"
