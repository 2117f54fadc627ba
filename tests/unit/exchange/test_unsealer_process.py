"""The unsealer in its own process: started, and renewed in place."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from exchange.datadir import DataDir
from exchange.keystore import write_secret
from exchange.passphrases import Once, PassphraseFile, PassphraseSource
from exchange.setup.keyring import write_key
from exchange.unsealer.client import Unsealer
from exchange.unsealer.launch import ChildProcess, Launcher
from exchange.unsealer.process import ROLE
from keys.keyfile import KeyKind
from keys.protection import Passphrase
from keys.wrap import seal_to
from protocol.digest import tag
from protocol.errors import KeyfileError, SetupError
from tests.clocks import DAWN
from tests.patience import PATIENCE_S

PASSPHRASE = "correct horse"
INFO = tag("wrap") + b"x" * 80


class Typed:
    """A person who types the passphrase, and is counted."""

    def __init__(self) -> None:
        self.asked = 0

    def passphrase(self) -> str:
        """Return it."""
        self.asked += 1
        return PASSPHRASE


@pytest.fixture
def place(tmp_path: Path) -> DataDir:
    """Return a data directory with a protected opening key."""
    made = DataDir(tmp_path / "XAA")
    made.create()
    protection = Passphrase(PASSPHRASE.encode(), memory_kib=64, iterations=1)
    write_key(made.opening_key, KeyKind.SYMMETRIC, "XAA opening", ROLE, bytes(32), protection, DAWN)
    return made


@asynccontextmanager
async def asking(place: DataDir, source: PassphraseSource) -> AsyncIterator[tuple[Unsealer, list[int]]]:
    """Run an unsealer; note the number of every process that was started for it."""
    launch, numbers = Launcher(place, "XAA", source), []

    def start() -> ChildProcess:
        child = launch()
        numbers.append(child.process.pid)
        return child

    unsealer = Unsealer(start)
    await unsealer.start()
    running = asyncio.create_task(unsealer.run())
    try:
        yield unsealer, numbers
    finally:
        running.cancel()
        await unsealer.close()


async def renew(unsealer: Unsealer) -> None:
    """Have it destroy a day, and open something of another after that."""
    first, second = await unsealer.make_days(DAWN, 2)
    assert await unsealer.destroy_days(second.day, []) == (first.day,)
    wrap = seal_to(second.public.public, INFO, bytes(72))
    assert await unsealer.open_wrap(second.public.key_id, second.day, second.locked, wrap, INFO) == bytes(72)


async def test_it_renews_itself_in_place_without_asking_again(place: DataDir) -> None:
    """The same process with a fresh image: the passphrase that a person typed once is enough."""
    typed = Typed()
    async with asking(place, Once(typed)) as (unsealer, numbers):
        await renew(unsealer)
        await renew(unsealer)
    assert (len(numbers), typed.asked) == (1, 1)


async def test_it_renews_itself_though_the_passphrase_file_is_gone(place: DataDir, tmp_path: Path) -> None:
    """A stick with the passphrase may be taken away after the start."""
    file = tmp_path / "passphrase"
    write_secret(file, f"{PASSPHRASE}\n")
    async with asking(place, Once(PassphraseFile(file))) as (unsealer, numbers):
        file.unlink()
        await renew(unsealer)
    assert len(numbers) == 1


async def test_after_a_kill_a_passphrase_file_starts_the_next_one(place: DataDir, tmp_path: Path) -> None:
    """By itself."""
    file = tmp_path / "passphrase"
    write_secret(file, f"{PASSPHRASE}\n")
    async with asking(place, Once(PassphraseFile(file))) as (unsealer, numbers):
        os.kill(numbers[0], signal.SIGKILL)
        await renew(unsealer)
    assert len(numbers) == 2


async def test_after_a_kill_a_typed_passphrase_is_nowhere_any_more(place: DataDir) -> None:
    """The node does not keep what opens its unsealer's keys; a person is told to come."""
    typed = Typed()
    async with asking(place, Once(typed)) as (unsealer, numbers):
        os.kill(numbers[0], signal.SIGKILL)
        async with asyncio.timeout(PATIENCE_S):
            while not isinstance(unsealer.trouble, KeyfileError):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    assert "Restart the node" in unsealer.trouble.hint
    assert typed.asked == 1


def test_without_an_opening_key_nothing_is_started(tmp_path: Path) -> None:
    """The next step is named."""
    with pytest.raises(SetupError) as refused:
        Launcher(DataDir(tmp_path), "XAA", Once(Typed()))
    assert refused.value.hint
