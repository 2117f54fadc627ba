"""Processes are killed at any moment; nothing accepted is lost, nothing is shown twice.

A recorder outside the system submits notices under ids that it makes itself and repeats whatever
has no answer; a seeded nemesis kills coordinator and nodes. What is true afterwards is judged by
the recorder's own record.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import apsw
import pytest

from exchange.node.requests import SubmitRequest
from exchange.node.views import StatusView
from protocol.errors import OutcomeUnknown, StoreFailed, Unreachable
from protocol.statement import CHAIN_START, Statement, StatementKind, parse_statement, statement_id
from tests.acceptance.ceremony import CODES, HUB
from tests.acceptance.world import World

SENDER, RECIPIENTS = "XAA", ("XBB", "XCC")
UNSETTLED = (Unreachable, OutcomeUnknown, StoreFailed)
DRAIN_S = 60.0
LEAST_KILLS, LEAST_NOTICES = 12, 40
LEVELS = ("leve", "moderado", "grave", "critico")


@dataclass
class Recorder:
    """Submits, repeats what has no answer, and remembers every answer.

    Args:
        world: Whom to ask.
        dice: Makes ids and choices.
    """

    world: World
    dice: random.Random
    answers: dict[str, list[str]] = field(default_factory=dict)
    """By request id: the id of the notice, once for each answer."""
    open: dict[str, SubmitRequest] = field(default_factory=dict)
    """Requests that have no answer yet."""
    unknown: int = 0

    def step(self) -> None:
        """Submit a new notice, or repeat one of unknown outcome, or even a known one."""
        choice = self.dice.random()
        if self.open and choice < 0.5:
            request_id = self.dice.choice(list(self.open))
            self._submit(request_id, self.open[request_id])
        elif self.answers and choice < 0.55:
            request_id = self.dice.choice(list(self.answers))
            self._submit(request_id, self.request(request_id))
        else:
            request_id = f"request-{self.dice.getrandbits(64):016x}"
            self.open[request_id] = self.request(request_id)
            self._submit(request_id, self.open[request_id])

    def settle(self) -> None:
        """Repeat everything that has no answer; all services run again."""
        for request_id, request in tuple(self.open.items()):
            self._submit(request_id, request)
        assert not self.open

    def request(self, request_id: str) -> SubmitRequest:
        """Return the notice of a request: its subject names the request, so that every copy shows."""
        level = LEVELS[int(request_id[-1], 16) % len(LEVELS)]
        return SubmitRequest(
            to=RECIPIENTS, severity=f"xaa-national@1:{level}", subject=request_id, text=f"Text {request_id}. "
        )

    def _submit(self, request_id: str, request: SubmitRequest) -> None:
        try:
            view = self.world.submit(SENDER, request, request_id)
        except UNSETTLED:
            self.unknown += 1
            time.sleep(0.02)
            return
        self.open.pop(request_id, None)
        self.answers.setdefault(request_id, []).append(view.id)


@dataclass
class Watcher:
    """Follows a node's events as a display does: after every interruption from the last number on.

    Args:
        world: Whom to ask.
        code: Whose node.
    """

    world: World
    code: str
    told: list[str] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def has_seen(self, count: int) -> bool:
        """Whether it was told of so many notices."""
        return len(self.told) >= count

    def run(self) -> None:
        """Watch until told to stop and the node has ended."""
        while not self.over.is_set():
            with suppress(Unreachable):
                for event in self.world.client(self.code).events(max(self.numbers, default=0)):
                    self.numbers.append(event.number)
                    if event.event == "inbox.received" and event.id is not None:
                        self.told.append(event.id)
            time.sleep(0.02)


@dataclass
class Nemesis:
    """Kills and restarts services, ready or not, until it is told to stop.

    Args:
        world: Whose services.
        dice: Decides whom and when.
    """

    world: World
    dice: random.Random
    kills: Counter[str] = field(default_factory=Counter)
    over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Kill until told to stop; at the end everything has been started again."""
        down: list[str] = []
        while not self.over.wait(self.dice.uniform(0.05, 0.9)):
            # One or two at once; somebody who was killed a moment ago may still be starting.
            for victim in self.dice.sample((HUB, *CODES), self.dice.choice((1, 1, 1, 2))):
                if victim not in down:
                    self.world.kill(victim)
                    self.kills[victim] += 1
                    down.append(victim)
            time.sleep(self.dice.uniform(0.0, 0.4))
            while down and self.dice.random() < 0.8:
                self.world.launch(down.pop(0))
        self.world.launch(*down)


def play(world: World, seed: int, seconds: float) -> tuple[Recorder, Nemesis]:
    """Let both at it for some seconds, heal, and drain."""
    recorder = Recorder(world, random.Random(seed))
    nemesis = Nemesis(world, random.Random(seed + 1))
    world.start(HUB, *CODES)
    killing = threading.Thread(target=nemesis.run)
    killing.start()
    try:
        end = time.monotonic() + seconds
        while time.monotonic() < end or nemesis.kills.total() < LEAST_KILLS:
            recorder.step()
            time.sleep(recorder.dice.uniform(0.0, 0.06))
    finally:
        nemesis.over.set()
        killing.join()
    world.wait_until_ready(HUB, *CODES)
    recorder.settle()
    world.until(lambda: all(world.node(code).queued == 0 for code in CODES), "every queue to drain", DRAIN_S)
    return recorder, nemesis


def check(world: World, recorder: Recorder, watchers: list[Watcher]) -> None:
    """Compare what the nodes show with what the recorder knows."""
    accepted = {request_id: set(ids) for request_id, ids in recorder.answers.items()}
    assert all(len(ids) == 1 for ids in accepted.values()), "a repeated request made another notice"
    notices = {request_id: ids.pop() for request_id, ids in accepted.items()}
    waiting = dict(notices)

    def all_received() -> bool:
        for request_id, id_ in tuple(waiting.items()):
            if not_received(world.status(SENDER, id_)):
                return False
            del waiting[request_id]
        return True

    world.until(all_received, "every receipt", DRAIN_S)
    expected = sorted((request_id, id_) for request_id, id_ in notices.items())
    for code, box in ((SENDER, "outbox"), *((code, "inbox") for code in RECIPIENTS)):
        shown = sorted((notice.subject, notice.id) for notice in world.listed(code, box))
        assert shown == expected, f"{code} shows something else than what was accepted"
    for code in CODES:
        assert world.node(code).alarms == ()
    for watcher in watchers:
        world.until(partial(watcher.has_seen, len(notices)), "the last event")
        assert Counter(watcher.told) == Counter(notices.values())
        assert watcher.numbers == sorted(set(watcher.numbers)), "an event was told twice"


def not_received(status: StatusView) -> list[str]:
    """Return the deliveries of a notice that nobody has confirmed."""
    return [one.recipient for one in status.deliveries if one.state != "received"]


def statements(database: Path) -> list[tuple[bytes, Statement]]:
    """Return the id and content of every statement that the coordinator has recorded, in its order."""
    db = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        assert db.execute("PRAGMA integrity_check").get == "ok"
        rows = [
            (idx, bytes(data)) for idx, data in db.execute("SELECT idx, data FROM statement ORDER BY idx")
        ]
    finally:
        db.close()
    assert [idx for idx, _ in rows] == list(range(len(rows)))
    parsed = [parse_statement(data) for _, data in rows]
    return [(statement_id(signed.body), statement) for signed, statement in parsed]


def check_chains(recorded: list[tuple[bytes, Statement]]) -> None:
    """Follow every key's statements from the first to the last: none twice, none missing."""
    chains: dict[bytes, dict[int, tuple[bytes, bytes]]] = {}
    for name, statement in recorded:
        chain = chains.setdefault(statement.key_id, {})
        assert statement.sequence not in chain, f"{statement.party} used a number twice"
        chain[statement.sequence] = (name, statement.previous)
    for chain in chains.values():
        assert sorted(chain) == list(range(1, len(chain) + 1)), "a statement is missing"
        before = CHAIN_START
        for _, (name, previous) in sorted(chain.items()):
            assert previous == before
            before = name


def said(recorded: list[tuple[bytes, Statement]], kind: StatementKind) -> Counter[tuple[str, str]]:
    """Return how often each party said one thing of each notice."""
    return Counter((one.party, one.envelope.hex()) for _, one in recorded if one.kind is kind)


def campaign(world: World, seed: int, seconds: float) -> tuple[Recorder, Nemesis]:
    """Play, heal, and judge everything."""
    watchers = [Watcher(world, code) for code in RECIPIENTS]
    watching = [threading.Thread(target=watcher.run) for watcher in watchers]
    try:
        for thread in watching:
            thread.start()
        recorder, nemesis = play(world, seed, seconds)
        check(world, recorder, watchers)
        assert [world.stop(name) for name in (*CODES, HUB)] == [0, 0, 0, 0]
    finally:
        world.end()
        for watcher in watchers:
            watcher.over.set()
        for thread in watching:
            thread.join()
    recorded = statements(world.data(HUB) / "almenara.db")
    check_chains(recorded)
    ids = {ids[0] for ids in recorder.answers.values()}
    assert said(recorded, StatementKind.RELAYED) == {(HUB, id_): 1 for id_ in ids}
    assert said(recorded, StatementKind.RECEIVED) == {(code, id_): 1 for code in RECIPIENTS for id_ in ids}
    return recorder, nemesis


def test_killing_any_process_at_any_time_loses_nothing_and_shows_nothing_twice(world: World) -> None:
    """A dozen kills in the middle of traffic; then every promise is looked after."""
    recorder, nemesis = campaign(world, seed=20_261_122, seconds=12.0)
    assert set(nemesis.kills) == {HUB, *CODES}
    assert len(recorder.answers) >= LEAST_NOTICES
    assert recorder.unknown > 0


@pytest.mark.long
@pytest.mark.parametrize("seed", range(12))
def test_many_kills_lose_nothing_and_show_nothing_twice(world: World, seed: int) -> None:
    """The same for a minute, each time at other moments."""
    campaign(world, seed, seconds=60.0)
