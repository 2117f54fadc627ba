"""Bits that flip and files that are cut: noticed, or harmless, but never taken for what was sent."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from exchange.node.views import ContentView
from protocol.errors import AlmenaraError
from tests.acceptance.ceremony import CODES, HUB, Founded
from tests.acceptance.world import World, living
from tests.faults.campaign import RECIPIENTS, SENDER, request
from tests.faults.sizes import sized

READER, LATE = RECIPIENTS
NAMES = [f"request-{number:016x}" for number in range(3)]
STARTS_IN_S = 30.0
PAGE = 4096


def flip(path: Path, dice: random.Random) -> None:
    """Flip one bit somewhere."""
    data = bytearray(path.read_bytes())
    data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    path.write_bytes(data)


def cut_a_byte(path: Path, _: random.Random) -> None:
    """Cut the last byte off."""
    path.write_bytes(path.read_bytes()[:-1])


def cut_to_a_page(path: Path, _: random.Random) -> None:
    """Leave one page, or half of what is smaller."""
    data = path.read_bytes()
    path.write_bytes(data[: min(PAGE, len(data) // 2)])


def cut_to_nothing(path: Path, _: random.Random) -> None:
    """Leave nothing."""
    path.write_bytes(b"")


Spoil = Callable[[Path, random.Random], None]
EVERY_CUT: list[Spoil] = [cut_a_byte, cut_to_a_page, cut_to_nothing]
CUTS = sized(gate=EVERY_CUT[1:2], faults=EVERY_CUT, long=EVERY_CUT)
FLIPS = sized(gate=1, faults=6, long=200)
FILES = ("almenara.db", "almenara.db-wal")
KEYS = ("node.key", "vault.key", "opening.key", "tls.key", "tls.crt")


@dataclass
class Kept:
    """A community with notices that were delivered to one state and wait for another; nothing runs."""

    world: World
    good: Path
    genuine: dict[str, str]
    """The names of the notices by their ids."""

    def restore(self, name: str) -> None:
        """Put a service's files back as they were."""
        self.world.end()
        shutil.rmtree(self.world.data(name))
        shutil.copytree(self.good / name, self.world.data(name))

    def start(self, name: str) -> bool:
        """Start a service; return whether it can be used, after it has ended or is ready."""
        world = self.world
        world.launch(name)
        end = time.monotonic() + STARTS_IN_S
        while world.runs(name) and time.monotonic() < end:
            if world._is_ready(name):
                return True
            time.sleep(0.05)
        assert not world.runs(name), f"{name} neither starts nor ends\n{world.tails()}"
        return False

    def require_genuine(self, code: str) -> int:
        """Check that whatever a node shows is what was sent; return how much it shows."""
        try:
            shown = self.world.listed(code, "inbox")
        except AlmenaraError:
            return 0
        for notice in shown:
            assert self.genuine[notice.id] == notice.subject
            try:
                content = self.world.client(code).ask("POST", f"/v1/notices/{notice.id}/open", ContentView)
            except AlmenaraError:
                continue
            assert content.text == request(notice.subject).text
        return len(shown)


@pytest.fixture(scope="module")
def kept(settled: Founded) -> Iterator[Kept]:
    """Play an exchange, kill the coordinator so that its log is left, and keep everybody's files."""
    with living(settled) as world:
        world.start(HUB, SENDER, READER)
        genuine = {world.submit(SENDER, request(name), name).id: name for name in NAMES}
        world.until(lambda: len(world.listed(READER, "inbox")) == len(NAMES), "the notices")
        world.until(
            lambda: all(
                {one.recipient: one.state for one in world.status(SENDER, id_).deliveries}
                == {READER: "received", LATE: "relayed"}
                for id_ in genuine
            ),
            "the receipts",
        )
        for name in (HUB, SENDER, READER):
            world.kill(name)
        good = world.folder / "good"
        for name in (HUB, *CODES):
            shutil.copytree(world.data(name), good / name, ignore=shutil.ignore_patterns("*.sock"))
        yield Kept(world, good, genuine)


def spoiled() -> list[ParameterSet]:
    """Return which files of a store are spoiled how."""
    cases: list[tuple[str, Spoil, int]] = [(file, flip, seed) for file in FILES for seed in range(FLIPS)]
    cases += [(file, cut, 0) for file in FILES for cut in CUTS]
    return [
        pytest.param(file, spoil, seed, id=f"{file} {spoil.__name__} {seed}") for file, spoil, seed in cases
    ]


@pytest.mark.parametrize(("file", "spoil", "seed"), spoiled())
def test_a_node_shows_nothing_of_a_spoiled_store_that_is_not_genuine(
    kept: Kept, file: str, spoil: Spoil, seed: int
) -> None:
    """It does not start, or answers with an error, or shows what was sent; nobody else is affected."""
    kept.restore(READER)
    spoil(kept.world.data(READER) / file, random.Random(seed))
    if kept.start(READER):
        kept.require_genuine(READER)
    else:
        assert "Traceback" not in kept.world.log_of(READER).read_text()


@pytest.mark.parametrize(("file", "spoil", "seed"), spoiled())
def test_nothing_of_a_coordinators_spoiled_store_is_taken_for_genuine(
    kept: Kept, file: str, spoil: Spoil, seed: int
) -> None:
    """Who collects late gets what was sent, or nothing; who forgot what it signed does not start."""
    kept.restore(HUB)
    kept.restore(LATE)
    spoil(kept.world.data(HUB) / file, random.Random(seed))
    if kept.start(HUB):
        kept.world.start(LATE)
        end = time.monotonic() + 3.0
        while time.monotonic() < end and kept.require_genuine(LATE) < len(NAMES):
            time.sleep(0.1)
    else:
        assert "Traceback" not in kept.world.log_of(HUB).read_text()


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("spoil", [flip, *sized(gate=[], faults=CUTS, long=CUTS)])
def test_a_spoiled_key_file_is_named_and_never_used(kept: Kept, key: str, spoil: Spoil) -> None:
    """The node does not start, or cannot connect; it says which file it is, and changes nothing."""
    kept.restore(SENDER)
    path = kept.world.data(SENDER) / "keys" / key
    spoil(path, random.Random(len(key)))
    before = path.read_bytes()
    if kept.start(SENDER):
        shown = {notice.id: notice.subject for notice in kept.world.listed(SENDER, "outbox")}
        assert shown == kept.genuine
    else:
        said = kept.world.log_of(SENDER).read_text()
        assert "Traceback" not in said
    assert path.read_bytes() == before
