"""A community file handed to a coordinator while it runs, and everything else that may lie there."""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path

import pytest

from exchange.coordinator.documents import CommunityDocuments
from exchange.coordinator.incoming import FOLDER, Rejected, Taken, read_answer
from exchange.coordinator.service import Coordinator
from exchange.setup.handing_in import hand_in
from keys.governance import community_file
from protocol.enrolment import MAX_COMMUNITY_BYTES
from protocol.errors import OutcomeUnknown, PeerCode, SetupError, StoreFailed
from protocol.session.messages import Bye, Documents
from tests.acceptance.ceremony import HUB, Founded
from tests.community import community
from tests.hubs import CLOCK, documents, node, prepare, running, suspension


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """Return a prepared data directory."""
    data = tmp_path / "hub"
    await prepare(data)
    return data


def drop(data: Path, content: bytes) -> str:
    """Drop a file as the command does, and return its name without the ending."""
    (data / FOLDER).mkdir(mode=0o700, exist_ok=True)
    name = hashlib.sha256(content).hexdigest()
    part = data / FOLDER / f".{name}"
    part.write_bytes(content)
    part.rename(data / FOLDER / f"{name}.alm")
    return name


async def answered(data: Path, name: str) -> Taken | Rejected:
    """Return what the running coordinator says of a file, within the time that the command waits."""
    for _ in range(500):
        answer = read_answer(data / FOLDER, name)
        if answer is not None:
            return answer
        await asyncio.sleep(0.02)
    raise AssertionError(f"no answer about {name}")


def store_of(coordinator: Coordinator) -> CommunityDocuments:
    return coordinator._incoming._documents


async def test_a_file_that_is_dropped_counts_at_once(folder: Path, tmp_path: Path) -> None:
    """Stored, told to every node, and a session that is not listed any more ends."""
    count = len(documents())
    suspended = suspension("XCC")
    async with (
        running(folder) as (coordinator, port),
        node(tmp_path, "XAA", port) as xaa,
        node(tmp_path, "XCC", port) as xcc,
    ):
        name = drop(folder, community_file([*documents(), suspended]))
        answer = await answered(folder, name)
        assert isinstance(answer, Taken)
        assert (answer.added, answer.states) == (1, ("XAA", "XBB", "XCC"))
        news = Documents(first=count, documents=(suspended,), head=count + 1)
        assert await xaa.next() == news
        assert await xcc.next() == news
        assert await xcc.next() == Bye(code=PeerCode.NOT_AUTHENTICATED)
        assert await store_of(coordinator).count() == count + 1
        assert [path.name for path in (folder / FOLDER).iterdir()] == [f"{name}.json"]


async def test_dropping_the_same_again_adds_nothing(folder: Path) -> None:
    """A person repeats a command when in doubt."""
    async with running(folder) as (coordinator, _):
        for _ in range(2):
            name = drop(folder, community_file(documents()))
            answer = await answered(folder, name)
            assert isinstance(answer, Taken)
            assert answer.added == 0
            (folder / FOLDER / f"{name}.json").unlink()
        assert await store_of(coordinator).count() == len(documents())


async def test_what_was_dropped_while_it_was_down_is_taken_at_its_start(folder: Path) -> None:
    """The command said that the file waits."""
    name = drop(folder, community_file([*documents(), suspension("XCC")]))
    async with running(folder):
        assert isinstance(await answered(folder, name), Taken)


async def test_a_file_of_another_community_is_refused(folder: Path) -> None:
    """Its first root is not the one that was pinned."""
    other = community(CLOCK.now_ms() - 7_000).documents
    async with running(folder):
        answer = await answered(folder, drop(folder, community_file(other)))
    assert isinstance(answer, Rejected)
    assert answer.code == "wrong-community"


async def test_of_a_file_with_one_bad_document_nothing_is_taken(folder: Path) -> None:
    """Not even what stands before it; the file stays beside its answer, for a person to look at."""
    content = community_file([*documents(), suspension("XCC"), suspension("XBB")])
    async with running(folder) as (coordinator, _):
        name = drop(folder, content)
        answer = await answered(folder, name)
        assert isinstance(answer, Rejected)
        assert (answer.code, answer.hint[:4]) == ("forked", "Keep")
        assert await store_of(coordinator).count() == len(documents())
        assert (folder / FOLDER / f"{name}.refused").read_bytes() == content
        assert not (folder / FOLDER / f"{name}.alm").exists()


@pytest.mark.parametrize("content", [b"", b"garbage", bytes(1000), community_file(documents())[:-1]])
async def test_garbage_is_refused_with_a_code_and_a_next_step(folder: Path, content: bytes) -> None:
    """The coordinator goes on, and takes the next good file."""
    async with running(folder):
        answer = await answered(folder, drop(folder, content))
        assert isinstance(answer, Rejected)
        assert answer.code
        assert answer.hint
        assert isinstance(await answered(folder, drop(folder, community_file(documents()))), Taken)


async def test_a_huge_file_is_refused_unread(folder: Path) -> None:
    """It is sparse here; elsewhere it would fill the memory."""
    name = "ab" * 32
    (folder / FOLDER).mkdir(mode=0o700)
    with (folder / FOLDER / f"{name}.alm").open("wb") as file:
        file.truncate(MAX_COMMUNITY_BYTES + 1)
    async with running(folder):
        answer = await answered(folder, name)
    assert isinstance(answer, Rejected)
    assert answer.code == "too-large"


async def test_links_pipes_and_folders_are_moved_away_unread(folder: Path, tmp_path: Path) -> None:
    """A link could name a secret; a pipe would be waited for for ever."""
    target = tmp_path / "elsewhere"
    target.write_bytes(community_file(documents()))
    place = folder / FOLDER
    place.mkdir(mode=0o700)
    names = ["aa" * 32, "bb" * 32, "cc" * 32]
    (place / f"{names[0]}.alm").symlink_to(target)
    os.mkfifo(place / f"{names[1]}.alm")
    (place / f"{names[2]}.alm").mkdir()
    async with running(folder):
        for name in names:
            assert isinstance(await answered(folder, name), Rejected)
            assert not (place / f"{name}.alm").is_symlink()
            assert not (place / f"{name}.alm").exists()
    assert target.read_bytes() == community_file(documents())


async def test_a_file_that_is_not_what_its_name_says_is_refused(folder: Path) -> None:
    """Somebody copied it there by hand, and it may be half of a file."""
    place = folder / FOLDER
    place.mkdir(mode=0o700)
    (place / f"{'ab' * 32}.alm").write_bytes(community_file(documents()))
    (place / "community.alm").write_bytes(community_file(documents()))
    async with running(folder):
        answer = await answered(folder, "ab" * 32)
        assert isinstance(answer, Rejected)
        assert "coordinator join" in answer.hint
    assert (place / "community.alm").exists()


async def test_a_file_that_vanishes_or_cannot_be_moved_is_no_loop(folder: Path) -> None:
    """It is looked at once; when it changes, once more."""
    async with running(folder) as (coordinator, _):
        looking = coordinator._incoming
        coordinator._tasks["incoming"].cancel()
        name = drop(folder, b"garbage")
        blocked = folder / FOLDER / f"{name}.refused"
        blocked.mkdir()
        (blocked / "full").touch()
        for _ in range(3):
            assert await looking.look()
        assert len(looking._done_with) == 1
        (folder / FOLDER / f"{name}.alm").unlink()
        assert await looking.look()
        assert not looking._done_with


async def test_while_the_disk_refuses_the_file_waits(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is lost and nothing is claimed; it is taken when the disk does."""
    async with running(folder) as (coordinator, _):
        coordinator._tasks["incoming"].cancel()
        content = community_file([*documents(), suspension("XCC")])

        async def refuse(_self: CommunityDocuments, _data: bytes) -> int:
            raise StoreFailed("no space left on device")

        with monkeypatch.context() as patched:
            patched.setattr(CommunityDocuments, "publish", refuse)
            name = drop(folder, content)
            assert not await coordinator._incoming.look()
        assert read_answer(folder / FOLDER, name) is None
        assert await coordinator._incoming.look()
        assert isinstance(read_answer(folder / FOLDER, name), Taken)


async def test_the_command_says_that_nobody_answers(ceremony: Founded, tmp_path: Path) -> None:
    """The file waits, and repeating the command is safe."""
    founded = ceremony.copy(tmp_path)
    with pytest.raises(OutcomeUnknown, match="nothing is lost") as caught:
        await hand_in(founded.data(HUB), founded.community, CLOCK, patience_s=0.2)
    assert "repeat" in caught.value.hint
    (waiting,) = (founded.data(HUB) / FOLDER).iterdir()
    assert waiting.read_bytes() == founded.community.read_bytes()
    assert waiting.stat().st_mode & 0o777 == 0o600
    assert waiting.parent.stat().st_mode & 0o777 == 0o700


async def test_the_command_refuses_what_lists_another_coordinator(applied: Founded) -> None:
    """Nothing is dropped that the coordinator would only refuse, or that would stop it."""
    with pytest.raises(SetupError):
        await hand_in(applied.data(HUB), applied.community, CLOCK, patience_s=0.2)
    assert not (applied.data(HUB) / FOLDER).exists()
