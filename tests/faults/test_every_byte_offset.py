"""A session is cut at every byte offset: of handshake, hello, submit, accepted, deliver and collected.

The coordinator and the nodes are real processes; a proxy that sees TLS bytes alone cuts each connection of
one node after one byte more than the one before, in one direction and then in the other.
"""

from __future__ import annotations

import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from tests.acceptance.ceremony import CODES, HUB
from tests.acceptance.world import World
from tests.faults.campaign import RECIPIENTS, SENDER, Campaign
from tests.faults.found import Tell
from tests.faults.offsets import Offsets, every
from tests.faults.proxy import Proxy, Way, owner
from tests.faults.sizes import sized
from tests.ports import free_port

RETRY_CAP_S = "0.01"
PARTS = 32
"""The long campaign leaves no offset out; each of so many communities takes every 32nd."""
MEASURED = 3
NOTICES_PER_CONNECTION = 3
STALLED_S = 60.0
IDLE_S = 0.01


@dataclass
class Loop:
    """The processes, the proxy between them, and the campaign that is played through it."""

    world: World
    proxy: Proxy
    campaign: Campaign
    sent: list[str] = field(default_factory=list)

    def send(self) -> None:
        """Submit one notice."""
        name = self.campaign.new()
        id_ = self.campaign.submit(name)
        assert id_ is not None, "the node itself is never troubled here"
        self.sent.append(id_)

    def has_arrived(self, id_: str) -> bool:
        """Whether every recipient's receipt for a notice is back at the sender."""
        return all(one.state == "received" for one in self.world.status(SENDER, id_).deliveries)

    def session_bytes(self, code: str) -> dict[Way, int]:
        """Return how many bytes a whole new session of a node takes, with one small notice on it.

        The least of several: what happens once in some seconds is not part of every session.
        """
        world = self.world
        measured: dict[Way, list[int]] = {way: [] for way in Way}
        for _ in range(MEASURED):
            world.until(lambda: world.node(code).connected, f"{code} to connect")
            before = Counter(self.proxy.passed)
            self.proxy.cut(code)
            self.send()
            world.until(lambda: self.has_arrived(self.sent[-1]), "one notice")
            for way, sizes in measured.items():
                sizes.append(self.proxy.passed[code, way] - before[code, way])
        return {way: min(sizes) for way, sizes in measured.items()}

    def play(self, plan: Offsets) -> None:
        """Keep one notice under way until every offset has had its connection.

        A connection over which several notices went without reaching its byte is cut then.
        """
        self.proxy.treat = plan
        self.proxy.cut(plan.code)
        left, since, carried = plan.left, time.monotonic(), 0
        while plan.left:
            if plan.left != left:
                left, since, carried = plan.left, time.monotonic(), 0
            if self.has_arrived(self.sent[-1]):
                carried += 1
                if carried > NOTICES_PER_CONNECTION:
                    self.proxy.cut(plan.code)
                self.send()
            assert time.monotonic() < since + STALLED_S, f"{left} offsets are left\n{self.world.tails()}"
            time.sleep(IDLE_S)


@pytest.mark.parametrize("part", range(sized(gate=1, faults=1, long=PARTS)))
@pytest.mark.parametrize("code", [SENDER, RECIPIENTS[0]])
def test_a_session_cut_at_any_byte_tells_nothing_false(
    world: World, tell: Tell, code: str, part: int
) -> None:
    """Whatever was cut is sent again; each notice is relayed, received and shown once."""
    world.settings["ALMENARA_RETRY_CAP_S"] = RETRY_CAP_S
    world.listen = free_port()
    campaign = Campaign(world, seed=57)

    def who(port: int) -> str:
        with suppress(KeyError):
            return owner(port, [(one, world.pid(one)) for one in CODES])
        return ""

    with Proxy(world.founded.port, world.listen, who) as proxy, campaign.watched() as watchers:
        world.start(HUB, *CODES)
        loop = Loop(world, proxy, campaign)
        sizes = loop.session_bytes(code)
        total = sum(sizes.values())
        stride = sized(gate=total // 60, faults=total // 300, long=PARTS)
        plan = Offsets(code, (one for way in Way for one in every(way, sizes[way], stride, part + 1)))
        loop.play(plan)
        campaign.heal()
        campaign.drain()
        campaign.check_watchers(watchers)
        found = campaign.verdict("cut at a byte offset", proxy.ended)
        tell(found)
        campaign.stop()
    found.require_truth()
    assert proxy.ended >= plan.size // 2, "connections ended before their byte came"


def test_the_proxy_cuts_where_it_is_told_to() -> None:
    """The loop can fail: a plan gives out every offset once, and nobody else is cut."""
    plan = Offsets("XAA", [*every(Way.UP, 3, 1, 1), *every(Way.DOWN, 2, 1, 1)])
    assert plan("XBB").after is None
    given = [plan("XAA") for _ in range(plan.size)]
    assert [(one.way, one.after) for one in given] == [
        *((Way.UP, after) for after in (1, 2, 3)),
        *((Way.DOWN, after) for after in (1, 2)),
    ]
    assert len({one.end for one in given}) == 2
    assert plan("XAA").after is None
