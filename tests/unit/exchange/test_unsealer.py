"""The node and its unsealer: nothing waits in vain, nothing is refused because the other was away."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from exchange.unsealer import client
from exchange.unsealer.client import Unsealer
from exchange.unsealer.daykeys import FileDayKeys
from exchange.unsealer.launch import Child
from exchange.unsealer.messages import (
    MAX_FRAME_BYTES,
    DestroyDays,
    Destroyed,
    Failed,
    Made,
    MadeKey,
    Opened,
    Ready,
    frame,
)
from exchange.unsealer.opener import Opener
from exchange.unsealer.process import answer_until_destroyed
from keys.wrap import seal_to
from protocol.digest import tag
from protocol.errors import (
    AlmenaraError,
    CannotOpen,
    FormatError,
    ServiceError,
    StoreFailed,
    WrongPassphrase,
)
from tests.clocks import DAWN
from tests.patience import PATIENCE_S
from tests.unsealers import OPENING_KEY, ChildThread, launch_in

INFO = tag("wrap") + b"x" * 80
CONTENT = bytes(range(72))
ANY = DestroyDays(ref=1, before="2000-01-01", keep=())


@dataclass
class Deaf:
    """A child that never answers, or says what it is told to."""

    said: bytes = b""
    killed: int = 0
    _ends: tuple[socket.socket, socket.socket] = field(default_factory=socket.socketpair)

    def __post_init__(self) -> None:
        self._ends[1].sendall(self.said)

    @property
    def connection(self) -> socket.socket:
        """The node's end."""
        return self._ends[0]

    def say(self, data: bytes) -> None:
        """Say something more."""
        self._ends[1].sendall(data)

    def end(self) -> None:
        """Close its end."""
        self._ends[1].close()

    def kill(self) -> None:
        """Count, and end."""
        self.killed += 1
        self.end()

    def wait(self) -> int | None:
        """It has ended when its socket is closed."""
        self.end()
        return -9


@asynccontextmanager
async def asking(launch: Callable[[], Child]) -> AsyncIterator[Unsealer]:
    """Start an unsealer and listen to it."""
    unsealer = Unsealer(launch)
    await unsealer.start()
    listening = asyncio.create_task(unsealer.run())
    try:
        yield unsealer
    finally:
        listening.cancel()
        await unsealer.close()


def following(*children: Child) -> Callable[[], Child]:
    """Return what starts one child after another."""
    return iter(children).__next__


def child_in(folder: Path) -> ChildThread:
    """Return a real one."""
    return launch_in(folder, "XAA")()


async def harmless(unsealer: Unsealer) -> tuple[str, ...]:
    """Ask for something that changes nothing; the answer is empty."""
    return await unsealer.destroy_days("2000-01-01", [])


async def opened(unsealer: Unsealer, key: MadeKey) -> bytes:
    """Have a fresh wrap opened."""
    wrap = seal_to(key.public.public, INFO, CONTENT)
    return await unsealer.open_wrap(key.public.key_id, key.day, key.locked, wrap, INFO)


async def test_many_questions_at_once_get_each_its_own_answer(tmp_path: Path) -> None:
    """They are told apart by their numbers."""
    async with asking(launch_in(tmp_path, "XAA")) as unsealer:
        made = await unsealer.make_days(DAWN, 14)
        asked = [opened(unsealer, made[number % 14]) for number in range(200)]
        assert set(await asyncio.gather(*asked)) == {CONTENT}


async def test_any_number_of_wraps_is_opened_in_order(tmp_path: Path) -> None:
    """More than fit into one message; one among them does not open."""
    async with asking(launch_in(tmp_path, "XAA")) as unsealer:
        (key, other) = await unsealer.make_days(DAWN, 2)
        contents = [bytes((number,)) * 72 for number in range(70)]
        wraps = [(seal_to(key.public.public, INFO, one), INFO) for one in contents]
        wraps[40] = (seal_to(other.public.public, INFO, CONTENT), INFO)
        opened = await unsealer.open_wraps(key.public.key_id, key.day, key.locked, wraps)
        assert opened == [*contents[:40], None, *contents[41:]]
        with pytest.raises(CannotOpen):
            await unsealer.open_wraps(other.public.key_id, key.day, other.locked, wraps)
        assert await unsealer.open_wraps(key.public.key_id, key.day, key.locked, []) == []


async def test_what_cannot_be_opened_is_told_and_harms_nothing(tmp_path: Path) -> None:
    """One refusal among others."""
    async with asking(launch_in(tmp_path, "XAA")) as unsealer:
        (key, other) = await unsealer.make_days(DAWN, 2)
        wrap = seal_to(other.public.public, INFO, CONTENT)
        with pytest.raises(CannotOpen):
            await unsealer.open_wrap(key.public.key_id, key.day, key.locked, wrap, INFO)
        assert await opened(unsealer, key) == CONTENT


async def test_trouble_with_the_disk_is_not_said_to_be_the_senders_fault(tmp_path: Path) -> None:
    """StoreFailed makes the item come again; CannotOpen would refuse it for good."""
    async with asking(launch_in(tmp_path, "XAA")) as unsealer:
        (key,) = await unsealer.make_days(DAWN, 1)
        away = (tmp_path / "day-keys").rename(tmp_path / "away")
        with pytest.raises(StoreFailed):
            await opened(unsealer, key)
        away.rename(tmp_path / "day-keys")
        assert await opened(unsealer, key) == CONTENT


async def test_after_a_destruction_it_starts_anew_and_loses_no_question(tmp_path: Path) -> None:
    """What was asked meanwhile waits in the socket."""
    child = child_in(tmp_path)
    async with asking(following(child)) as unsealer:
        made = await unsealer.make_days(DAWN, 3)
        asked = [asyncio.create_task(opened(unsealer, made[2])) for _ in range(5)]
        await asyncio.sleep(0)
        destroying = asyncio.create_task(unsealer.destroy_days(made[1].day, []))
        await asyncio.sleep(0)
        asked += [asyncio.create_task(opened(unsealer, made[1])) for _ in range(5)]
        assert await destroying == (made[0].day,)
        assert set(await asyncio.gather(*asked)) == {CONTENT}
    assert child.began == 2


async def test_nothing_destroyed_means_no_new_start(tmp_path: Path) -> None:
    """The look of every ten minutes costs a message."""
    child = child_in(tmp_path)
    async with asking(following(child)) as unsealer:
        (key,) = await unsealer.make_days(DAWN, 1)
        assert await unsealer.destroy_days(key.day, []) == ()
        assert await opened(unsealer, key) == CONTENT
    assert child.began == 1


async def test_questions_outlive_an_unsealer_that_dies(tmp_path: Path) -> None:
    """It is started again, asked again, and nobody who asked learns of it."""
    deaf, child = Deaf(frame(Ready(lacking=()))), child_in(tmp_path)
    async with asking(following(deaf, child)) as unsealer:
        asked = asyncio.create_task(unsealer.make_days(DAWN, 2))
        await asyncio.sleep(0.01)
        assert not asked.done()
        deaf.end()
        assert len(await asked) == 2
        assert unsealer.trouble is None


async def test_a_question_that_was_given_up_is_not_asked_again(tmp_path: Path) -> None:
    """The session that wanted the answer is gone."""
    deaf, child = Deaf(frame(Ready(lacking=()))), child_in(tmp_path)
    async with asking(following(deaf, child)) as unsealer:
        asked = asyncio.create_task(unsealer.make_days(DAWN, 2))
        await asyncio.sleep(0.01)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        deaf.end()
        assert await harmless(unsealer) == ()


async def test_while_it_is_away_a_person_can_see_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence is never a state."""
    monkeypatch.setattr(client, "FIRST_PAUSE_SECONDS", 0.01)
    refused = Failed(ref=0, code="wrong-passphrase", message=b"the passphrase was changed", hint=b"Look.")
    deaf = Deaf(frame(Ready(lacking=())))
    async with asking(following(deaf, Deaf(frame(refused)), child_in(tmp_path))) as unsealer:
        seen: list[str] = []
        deaf.end()
        async with asyncio.timeout(PATIENCE_S):
            while (trouble := unsealer.trouble) is not None or not seen:
                if trouble is not None and trouble.message not in seen:
                    assert trouble.hint
                    seen.append(trouble.message)
                await asyncio.sleep(0.001)
        assert await harmless(unsealer) == ()
    assert seen == [
        "the unsealer ended (exit code -9); what is delivered waits",
        "the passphrase was changed",
    ]


async def test_one_that_hangs_is_ended_and_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A question is never answered by waiting for ever."""
    monkeypatch.setattr(client, "ANSWER_SECONDS", 0.02)
    deaf = Deaf(frame(Ready(lacking=())))
    async with asking(following(deaf, child_in(tmp_path))) as unsealer:
        assert await harmless(unsealer) == ()
    assert deaf.killed == 1


async def test_an_answer_that_makes_no_sense_ends_it(tmp_path: Path) -> None:
    """Whatever it is, it is not our unsealer any more."""
    for rubbish in (b"\0\0\0\1\xc1", b"\xff\xff\xff\xff", frame(Destroyed(ref=1, days=()))[:-1] + b"\xc1"):
        strange = Deaf(frame(Ready(lacking=())) + rubbish)
        async with asking(following(strange, child_in(tmp_path))) as unsealer:
            assert await harmless(unsealer) == ()


async def test_a_start_that_fails_says_why() -> None:
    """With the class of error that the command line turns into its exit code."""
    said = Failed(ref=0, code="wrong-passphrase", message=b"the passphrase does not open it", hint=b"Try.")
    with pytest.raises(WrongPassphrase, match="does not open") as failed:
        await Unsealer(following(Deaf(frame(said)))).start()
    assert failed.value.hint == "Try."
    silent = Deaf()
    silent.end()
    with pytest.raises(ServiceError, match="ended when it was started"):
        await Unsealer(following(silent)).start()


async def test_an_unknown_error_stays_an_error() -> None:
    """A fault in it is no CannotOpen: nobody is told that a sender did wrong."""
    deaf = Deaf(frame(Ready(lacking=())))
    async with asking(following(deaf)) as unsealer:
        asked = asyncio.create_task(harmless(unsealer))
        await asyncio.sleep(0)
        deaf.say(frame(Failed(ref=1, code="error", message=b"a fault", hint=b"")))
        with pytest.raises(AlmenaraError) as failed:
            await asked
    assert type(failed.value) is AlmenaraError


def feed(folder: Path, data: bytes) -> bool:
    """Feed some bytes to the answering loop, then close."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(data)
        ours.shutdown(socket.SHUT_WR)
        return answer_until_destroyed(theirs, Opener(FileDayKeys(folder / "day-keys", "XAA", OPENING_KEY)))


@pytest.mark.parametrize(
    "garbage",
    [
        b"\0",
        b"\0\0\0\5abc",
        b"\0\0\0\1\xc1",
        b"\0\0\0\0",
        (MAX_FRAME_BYTES + 1).to_bytes(4, "big"),
        b"\xff\xff\xff\xff",
        frame(Ready(lacking=())),
        frame(Destroyed(ref=1, days=())),
        frame(ANY)[:-1] + b"\xcc\1",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_garbage_ends_the_answering(tmp_path: Path, garbage: bytes) -> None:
    """Whoever speaks it is not our node; nothing is guessed, and nothing is answered."""
    with pytest.raises(FormatError):
        feed(tmp_path, garbage)


def test_the_end_of_the_node_is_the_end(tmp_path: Path) -> None:
    """After the last answer."""
    assert feed(tmp_path, b"") is False
    assert feed(tmp_path, frame(ANY) + frame(ANY)) is False


def test_no_message_can_carry_a_seed_out() -> None:
    """The only secrets that cross are what was sealed to us, and seeds that are locked."""
    kinds = (Opened, Made, MadeKey, Destroyed, Failed, Ready)
    named = {name for kind in kinds for name in kind.__struct_fields__}
    public = {"ref", "keys", "public", "day", "days", "code", "message", "hint", "lacking"}
    assert named - public == {"plaintext", "locked"}
