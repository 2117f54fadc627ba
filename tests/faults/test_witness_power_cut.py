"""Power cuts under the witness: it never cosigns two ledgers that contradict, whoever asks and when."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise
from typing import cast

import apsw

from exchange.node.bell import Bell
from exchange.node.context import NodeContext
from exchange.node.signing import NodeKeys
from exchange.node.witness import Witness
from exchange.stores.engine import Engine
from exchange.stores.migrate import packaged
from exchange.stores.writer import WriterCore
from exchange.unsealer.client import Unsealer
from keys.cosigning import Answer
from keys.note_keys import log_keys_of
from keys.vault import Vault
from protocol.errors import StoreFailed
from protocol.ledger.witness import WitnessStatus, parse_size
from protocol.session.messages import Witness as Request
from tests.clocks import DAWN, FixedClock
from tests.community import HUB, community
from tests.faults.cuts import KEPT, opened
from tests.faults.found import Found, Tell
from tests.faults.lossy_vfs import LossyDisk, LossyVFS
from tests.faults.sizes import sized
from tests.ledgers import PlayedLedger

MIGRATIONS = packaged("exchange.stores.sql.node")
CUTS_PER_LIFE = 15


def a_witness() -> Witness:
    """Return XAA's witness; its store is what each transaction is given."""
    everyone, clock = community(), FixedClock()
    member, directory = everyone.members["XAA"], everyone.directory()
    return Witness(
        NodeContext(
            state="XAA",
            coordinator=HUB,
            clock=clock,
            engine=cast(Engine, None),
            vault=Vault(bytes(32)),
            directory=directory,
            verifier=everyone.verifier,
            unsealer=cast(Unsealer, None),
            keys=NodeKeys("XAA", directory, [member.node], [member.witness]),
            outgoing=Bell(),
            events=Bell(),
        )
    )


class Liar:
    """A coordinator with two histories, which asks for whichever it likes at the moment."""

    def __init__(self, chance: random.Random) -> None:
        everyone, clock = community(), FixedClock()
        self.histories = [PlayedLedger(everyone, clock), PlayedLedger(everyone, clock)]
        self.histories[0].fill(3, b"one")
        self.histories[1].fill(3, b"two")
        self.old = 0
        self._chance = chance

    def request(self) -> tuple[PlayedLedger, int, Request]:
        """Return a request for the next checkpoint of one of the histories."""
        played = self._chance.choice(self.histories)
        played.fill(self._chance.randrange(3))
        size = max(played.size, self.old)
        played.fill(size - played.size)
        return played, size, played.ask(self.old, size)


def ask(core: WriterCore, witness: Witness, request: Request) -> Answer | None:
    """Return the answer that leaves the node, or None if none may."""
    keys = log_keys_of(community().hub_entry.log, request.log)
    work: Callable[[apsw.Connection], Answer] = lambda db: witness._judge(  # noqa: E731 - one work
        db, request, keys, "almenara/test/XAA", DAWN
    )
    (outcome,) = core.run([work])
    return cast(Answer, outcome.value) if outcome.error is None else None


def serve_until_the_cut(disk: LossyDisk, liar: Liar, witness: Witness) -> list[tuple[PlayedLedger, int]]:
    """Answer requests until the power is gone; return what was cosigned and left."""
    left: list[tuple[PlayedLedger, int]] = []
    try:
        core = opened(MIGRATIONS)
    except (StoreFailed, apsw.Error):
        disk.powered = False
        return left
    while disk.powered:
        played, size, request = liar.request()
        answer = ask(core, witness, request)
        if answer is None:
            continue
        if answer.status is WitnessStatus.OK:
            left.append((played, size))
            liar.old = size
        elif answer.status is WitnessStatus.CONFLICT:
            liar.old = parse_size(answer.body)
    core.close()
    return left


def test_a_witness_that_loses_power_never_cosigns_two_histories(vfs: LossyVFS, tell: Tell) -> None:
    """Whatever left the node before a cut binds it after: all that it ever cosigned is one history."""
    witness, several = a_witness(), 0
    lives = sized(gate=4, faults=8, long=80)
    for life in range(lives):
        chance = random.Random(life)
        vfs.disk = LossyDisk(seed=life)
        liar = Liar(chance)
        cosigned: list[tuple[PlayedLedger, int]] = []
        for _ in range(CUTS_PER_LIFE):
            vfs.disk.cut_at = vfs.disk.operations + chance.randrange(40, 160)
            cosigned += serve_until_the_cut(vfs.disk, liar, witness)
            vfs.disk.restore_power(kept=chance.choice(KEPT))
        trees = sorted((played.leaves[:size] for played, size in cosigned), key=len)
        several += len(trees)
        assert all(small == large[: len(small)] for small, large in pairwise(trees))
    tell(Found("power cuts", lives * CUTS_PER_LIFE, ok=several))
    assert several > lives * CUTS_PER_LIFE, "the loop hardly cosigned anything"
