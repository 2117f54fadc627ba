"""A campaign against real processes: traffic, trouble, healing, draining, and the verdict.

One harness for all of them. What differs is the trouble: see :mod:`tests.faults.troubles`.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from exchange.node.requests import SubmitRequest
from exchange.node.views import AlarmView, StatusView
from protocol.errors import ClockSkew, OutcomeUnknown, Overloaded, StoreFailed, Unreachable
from tests.acceptance.ceremony import CODES, HUB
from tests.acceptance.world import World
from tests.faults.found import Found
from tests.faults.ledger import Auditor, Recorded, check_chains
from tests.faults.recorder import Recorder, Story, history
from tests.faults.troubles import Trouble
from tests.faults.verdict import Shown, compare, compare_ledger
from tests.ports import free_port

SENDER, RECIPIENTS = "XAA", ("XBB", "XCC")
DRAIN_S = 60.0
EXPORT_S = 1.0
AGAIN_S = 0.02
LEVELS = ("leve", "moderado", "grave", "critico")


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

    def run(self) -> None:
        """Watch until told to stop and the node has ended."""
        while not self.over.is_set():
            with suppress(Unreachable):
                for event in self.world.client(self.code).events(max(self.numbers, default=0)):
                    self.numbers.append(event.number)
                    if event.event == "inbox.received" and event.id is not None:
                        self.told.append(event.id)
            time.sleep(AGAIN_S)


class Campaign:
    """Traffic from one state to two others, and the record of it.

    Args:
        world: A community of which nothing runs yet.
        seed: Decides what is sent, and when.
    """

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.dice = random.Random(seed)
        self.recorder = Recorder(world.folder / "recorder.jsonl")
        self.ledger_port = free_port()
        world.settings["ALMENARA_LEDGER_PORT"] = str(self.ledger_port)
        self.auditor = Auditor(world, self.ledger_port)
        self._open: list[str] = []
        self._known: list[str] = []

    # Traffic.

    def step(self) -> None:
        """Submit a new notice, or repeat one without an answer, or now and then even one with an answer."""
        choice = self.dice.random()
        if self._open and choice < 0.5:
            self.submit(self.dice.choice(self._open))
        elif self._known and choice < 0.55:
            self.submit(self.dice.choice(self._known))
        else:
            self.submit(self.new())

    def new(self) -> str:
        """Return the name of a notice that was not asked for yet."""
        name = f"request-{self.dice.getrandbits(64):016x}"
        self._open.append(name)
        return name

    def submit(self, name: str) -> str | None:
        """Ask once for a notice, write everything down, and return its id if there was an answer."""
        self.recorder.intends(name)
        try:
            id_ = self.world.submit(SENDER, request(name), name).id
        except OutcomeUnknown:
            self.recorder.heard(name, "unknown")
            time.sleep(AGAIN_S)
            return None
        except (Unreachable, StoreFailed, ClockSkew, Overloaded) as error:
            # Each promises that nothing was done.
            self.recorder.heard(name, "refused", error.code)
            time.sleep(AGAIN_S)
            return None
        self.recorder.heard(name, "accepted", id_)
        if name in self._open:
            self._open.remove(name)
            self._known.append(name)
        return id_

    # Trouble.

    def play(self, trouble: Trouble, seconds: float, pause_s: float = 0.06) -> None:
        """Start everybody; let traffic and trouble at it for so long, and until there was enough trouble."""
        self.world.start(HUB, *CODES)
        with trouble.at_work():
            end = time.monotonic() + seconds
            while time.monotonic() < end or not trouble.is_enough():
                self.step()
                time.sleep(self.dice.uniform(0.0, pause_s))

    def heal(self) -> None:
        """Wait for everybody, and repeat what has no answer until it has one."""
        self.world.wait_until_ready(HUB, *CODES)
        for name in tuple(self._open):
            self.world.until(lambda name=name: self.submit(name) is not None, f"an answer for {name}")  # type: ignore[misc]
        self._open.clear()

    def drain(self) -> None:
        """Return once every queue is empty and the sender has every receipt."""
        world = self.world
        world.until(
            lambda: all(world.node(code).queued == 0 for code in CODES), "every queue to drain", DRAIN_S
        )
        waiting = {notice.id for notice in world.listed(SENDER, "outbox")}

        def all_received() -> bool:
            for id_ in tuple(waiting):
                if not_received(world.status(SENDER, id_)):
                    return False
                waiting.discard(id_)
            return True

        world.until(all_received, "every receipt", DRAIN_S)

    # Truth.

    def stories(self) -> dict[str, Story]:
        """Return what the outside record says."""
        return history(self.recorder.path)

    def shown(self) -> Shown:
        """Return what the sender and each recipient are shown."""
        boxes = {SENDER: "outbox", **dict.fromkeys(RECIPIENTS, "inbox")}
        return {
            code: [(notice.subject, notice.id) for notice in self.world.listed(code, box)]
            for code, box in boxes.items()
        }

    def exported(self, ids: set[str]) -> Recorded:
        """Return the exported ledger, once it has everything that is expected, or after a while as it is.

        What was said a moment ago is not in the ledger yet, or not witnessed.
        """
        end = time.monotonic() + DRAIN_S
        while True:
            recorded = self.auditor.export()
            late = time.monotonic() > end
            if recorded is not None and (late or not compare_ledger(recorded, ids, HUB, RECIPIENTS).lost):
                return recorded
            assert not late, self.auditor.verdict
            time.sleep(EXPORT_S)

    def verdict(self, fault: str, count: int) -> Found:
        """Compare record, nodes and ledger, and return the row of the table.

        Args:
            fault: What was done to the services.
            count: How often.
        """
        shown = self.shown()
        counts = compare(self.stories(), shown)
        ids = {id_ for notices in shown.values() for _, id_ in notices}
        recorded = self.exported(ids)
        check_chains(recorded)
        in_ledger = compare_ledger(recorded, ids, HUB, RECIPIENTS)
        counts.lost += in_ledger.lost
        counts.duplicated += in_ledger.duplicated
        counts.wrong += in_ledger.wrong
        self.world.until(lambda: not any(self.alarms().values()), f"no alarm: {self.alarms()}")
        return counts.found(fault, count)

    def alarms(self) -> dict[str, tuple[AlarmView, ...]]:
        """Return what each node warns its people of."""
        return {code: self.world.node(code).alarms for code in CODES}

    def check_watchers(self, watchers: list[Watcher]) -> None:
        """Check that every display was told of every notice once, in the order of its lane."""
        outbox = sorted(self.world.listed(SENDER, "outbox"), key=lambda notice: notice.created_ms)
        ids = {notice.id for notice in outbox}
        for watcher in watchers:
            self.world.until(lambda seen=watcher.told: set(seen) >= ids, "the last event")  # type: ignore[misc]
            assert sorted(watcher.told) == sorted(ids), "a notice was told of twice"
            assert watcher.numbers == sorted(set(watcher.numbers)), "an event was told twice"

    def stop(self, unjudged: str = "") -> None:
        """End every service as an administrator does; each ends well.

        Args:
            unjudged: Whose exit code says nothing: libfaketime may end a process with its own.
        """
        codes = {name: self.world.stop(name) for name in (*CODES, HUB)}
        codes.pop(unjudged, None)
        assert set(codes.values()) == {0}, f"{codes}\n{self.world.tails()}"

    @contextmanager
    def watched(self) -> Iterator[list[Watcher]]:
        """Let displays follow both recipients; everything that runs has ended afterwards."""
        watchers = [Watcher(self.world, code) for code in RECIPIENTS]
        watching = [threading.Thread(target=watcher.run) for watcher in watchers]
        try:
            for thread in watching:
                thread.start()
            yield watchers
        finally:
            self.world.end()
            for watcher in watchers:
                watcher.over.set()
            for thread in watching:
                thread.join()
            self.recorder.close()


def run_campaign(world: World, trouble: Trouble, seed: int, seconds: float) -> tuple[Campaign, Found]:
    """Play, heal, drain, and judge everything."""
    campaign = Campaign(world, seed)
    with campaign.watched() as watchers:
        campaign.play(trouble, seconds)
        campaign.heal()
        campaign.drain()
        campaign.check_watchers(watchers)
        found = campaign.verdict(trouble.fault, trouble.count)
        campaign.stop()
    return campaign, found


def request(name: str) -> SubmitRequest:
    """Return the notice of a name: its subject is the name, so that every copy of it is found."""
    level = LEVELS[int(name[-1], 16) % len(LEVELS)]
    severity = f"xaa-national@1:{level}"
    return SubmitRequest(to=RECIPIENTS, severity=severity, subject=name, text=f"Text {name}. ")


def not_received(status: StatusView) -> list[str]:
    """Return the deliveries of a notice that nobody has confirmed."""
    return [one.recipient for one in status.deliveries if one.state not in ("received", "opened")]
