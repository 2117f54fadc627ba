"""A network of one's own: two namespaces with a line between them that loses, delays and spoils packets.

The coordinator is in one namespace, all nodes are in the other; the line is two TUN devices with this process
between them, since many kernels have no netem. Needs root and ``ip``; skipped elsewhere.
"""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import os
import random
import shutil
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.acceptance.ceremony import CODES, HUB, Founded
from tests.acceptance.world import World, short_folder
from tests.faults.troubles import Trouble

HUB_ADDRESS, NODE_ADDRESS = "10.98.0.1", "10.98.0.2"
DEVICE = "alm0"
TUNSETIFF, IFF_TUN_NO_PI, CLONE_NEWNET = 0x400454CA, 0x1001, 0x40000000
MAX_PACKET = 65536
IP_HEADER = 20
_libc = ctypes.CDLL(None, use_errno=True)


def possible() -> bool:
    """Whether namespaces and TUN devices can be made here."""
    if os.geteuid() != 0 or shutil.which("ip") is None or not Path("/dev/net/tun").exists():
        return False
    name = f"alm-try-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], check=False, capture_output=True)
    subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
    return made.returncode == 0


needed = pytest.mark.skipif(
    not possible(), reason="a network of one's own needs root, `ip netns` and /dev/net/tun"
)
"""Marks what needs a network of its own."""


@dataclass(frozen=True)
class Conditions:
    """What the line does to packets.

    Args:
        lost_up: The share of packets to the coordinator that vanish.
        lost_down: The share of those from it.
        delay_s: How long each is under way.
        jitter_s: By how much that varies; who is later is overtaken.
        doubled: The share of packets that arrive twice.
        spoiled: The share in which a bit is flipped behind the header.
        largest: Larger packets vanish, without a word to their sender; None for no limit.
        bytes_s: How many bytes pass in a second, each way; None for no limit.
    """

    lost_up: float = 0.0
    lost_down: float = 0.0
    delay_s: float = 0.0
    jitter_s: float = 0.0
    doubled: float = 0.0
    spoiled: float = 0.0
    largest: int | None = None
    bytes_s: int | None = None


GOOD = Conditions()


class Line:
    """The line between the two namespaces. Use it with ``with``."""

    def __init__(self, seed: int) -> None:
        self.conditions = GOOD
        self.hub, self.nodes = f"alm-hub-{os.getpid()}", f"alm-nodes-{os.getpid()}"
        self._dice = random.Random(seed)
        self._free_at = {True: 0.0, False: 0.0}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._ends: list[int] = []

    def __enter__(self) -> Line:
        hub = self._end(self.hub, HUB_ADDRESS, NODE_ADDRESS)
        nodes = self._end(self.nodes, NODE_ADDRESS, HUB_ADDRESS)
        self._loop.add_reader(nodes, self._read, nodes, hub, True)
        self._loop.add_reader(hub, self._read, hub, nodes, False)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        for end in self._ends:
            os.close(end)
        for name in (self.hub, self.nodes):
            ip("netns", "del", name)

    def inside(self, name: str) -> tuple[str, ...]:
        """Return what stands before a command that is to run in a namespace."""
        return ("ip", "netns", "exec", name)

    def _end(self, name: str, address: str, peer: str) -> int:
        """Make one namespace with its device, and return the device's other side."""
        ip("netns", "add", name)
        end = open_inside(name)
        self._ends.append(end)
        ip("-n", name, "link", "set", "lo", "up")
        ip("-n", name, "addr", "add", address, "peer", peer, "dev", DEVICE)
        ip("-n", name, "link", "set", DEVICE, "up")
        return end

    def _read(self, source: int, target: int, up: bool) -> None:
        with suppress(BlockingIOError):
            while True:
                self._pass_on(os.read(source, MAX_PACKET), target, up)

    def _pass_on(self, packet: bytes, target: int, up: bool) -> None:
        now, dice = self.conditions, self._dice
        too_large = now.largest is not None and len(packet) > now.largest
        if too_large or dice.random() < (now.lost_up if up else now.lost_down):
            return
        if dice.random() < now.spoiled and len(packet) > IP_HEADER:
            at = dice.randrange(IP_HEADER, len(packet))
            packet = packet[:at] + bytes([packet[at] ^ 1]) + packet[at + 1 :]
        delay = max(0.0, now.delay_s + dice.uniform(-now.jitter_s, now.jitter_s))
        if now.bytes_s is not None:
            time = self._loop.time()
            self._free_at[up] = max(time, self._free_at[up]) + len(packet) / now.bytes_s
            delay += self._free_at[up] - time
        for _ in range(2 if dice.random() < now.doubled else 1):
            self._loop.call_later(delay, write, target, packet)


def write(end: int, packet: bytes) -> None:
    """Let a packet arrive; a device whose queue is full loses it."""
    with suppress(OSError):
        os.write(end, packet)


def ip(*words: str) -> None:
    """Run ``ip``."""
    subprocess.run(["ip", *words], check=True, capture_output=True)


def open_inside(namespace: str) -> int:
    """Make the TUN device in a namespace, and return its descriptor; only a thread of its own goes there."""
    made: list[int] = []

    def there() -> None:
        entrance = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
        try:
            if _libc.setns(entrance, CLONE_NEWNET) == 0:
                end = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
                fcntl.ioctl(end, TUNSETIFF, struct.pack("16sH22x", DEVICE.encode(), IFF_TUN_NO_PI))
                made.append(end)
        finally:
            os.close(entrance)

    thread = threading.Thread(target=there)
    thread.start()
    thread.join()
    (end,) = made
    return end


class FarWorld(World):
    """As :class:`World`, with the coordinator at one end of a line and the nodes at the other."""

    def _is_ready(self, name: str) -> bool:
        if name != HUB:
            return super()._is_ready(name)
        assert self.runs(name), f"{name} ended by itself\n{self.tails()}"
        return "coordinator.started" in self.log_of(name).read_text()


@contextmanager
def far_world(founded: Founded, line: Line) -> Iterator[FarWorld]:
    """Give a copy of a community at both ends of a line, and end its processes afterwards."""
    with short_folder() as folder:
        world = FarWorld(founded.copy(folder))
        world.settings["ALMENARA_HOST"] = HUB_ADDRESS
        world.before[HUB] = world.before_command = line.inside(line.hub)
        for code in CODES:
            world.before[code] = line.inside(line.nodes)
        try:
            yield world
        finally:
            world.end()


KINDS = {
    "one way up": Conditions(lost_up=1.0),
    "one way down": Conditions(lost_down=1.0),
    "partition": Conditions(lost_up=1.0, lost_down=1.0),
    "far and lossy": Conditions(
        lost_up=0.05, lost_down=0.05, delay_s=0.1, jitter_s=0.03, doubled=0.02, spoiled=0.01
    ),
    "black hole": Conditions(largest=600),
    "256 kbit/s": Conditions(bytes_s=32_000),
}


class Weather(Trouble):
    """One kind of bad network after another.

    Args:
        line: Whose conditions change.
    """

    fault = "bad network"

    def __init__(self, world: World, line: Line, seed: int, least: int) -> None:
        super().__init__(world, seed, least)
        self._line = line

    def make(self) -> None:
        """Let the next kind of weather last for a while."""
        left = [kind for kind in KINDS if not self.victims[kind]]
        kind = self.dice.choice(left or list(KINDS))
        self._line.conditions = KINDS[kind]
        self.victims[kind] += 1
        self.pause(1.0, 3.0)
        self._line.conditions = GOOD

    def heal(self) -> None:
        """Let the line be good again."""
        self._line.conditions = GOOD
