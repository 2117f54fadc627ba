"""Every lie of the coordinator is told of by an honest node within 60 seconds, and honesty by none.

The coordinator is the real one with the switches of :mod:`tests.lying.lies`; the nodes are real processes
that know nothing of it.
"""

from __future__ import annotations

import shutil

import pytest

from tests.acceptance.ceremony import CODES, HUB, Founded
from tests.lying.lies import Lies
from tests.lying.world import BOUND_S, HONEST, LyingWorld, lying_world
from tests.ports import free_port

FORKED = ("ledger-forked", "ledger-shrunk", "ledger-unproven")
"""What a node says of a ledger that is not the continuation of the one it has cosigned."""


def test_an_honest_coordinator_raises_no_alarm(honest_community: Founded) -> None:
    """The control: the same harness, the same exchange, no lie."""
    with lying_world(honest_community, HONEST) as world:
        world.start(HUB, *CODES)
        sent = world.send("XAA", "honest", "XBB", "XCC")
        world.status("XAA", sent, "received")
        world.accept("XBB", sent)
        world.accept("XCC", sent)
        world.until_witnessed("XAA", sent)
        assert {code: world.alarms(code) for code in CODES} == {code: {} for code in CODES}
        assert [world.evidence(code) for code in CODES] == [[], [], []]


def test_a_dropped_statement_and_a_withheld_notice_are_told_of_by_those_whom_they_concern(
    honest_community: Founded,
) -> None:
    """XCC misses its receipt in the ledger; XAA sees XBB at work and without the notice."""
    with lying_world(honest_community, Lies(drop_statements_of=("XCC",), withhold_from=("XBB",))) as world:
        world.start(HUB, *CODES)
        sent = world.send("XAA", "dropped", "XBB", "XCC")

        def is_told() -> bool:
            # To XAA a dropped receipt looks like a withheld notice: both are told, and either may be first.
            told = [alarm.message for alarm in world.node("XAA").alarms if alarm.code == "withheld"]
            return any("relayed to XBB" in message for message in told)

        world.until(is_told, "XAA to tell of what is withheld from XBB", BOUND_S)
        world.until_told("XCC", "not-logged", "promise-broken")
        assert world.alarms("XBB") == {}
        # The state of the delivery does not claim more than what was proved.
        assert {one.recipient: one.state for one in world.status("XAA", sent).deliveries} == {
            "XBB": "relayed",
            "XCC": "relayed",
        }
        # After 60 seconds the unkept promise is evidence: a file that explains itself.
        world.until(lambda: bool(world.evidence("XCC")), "XCC's evidence", BOUND_S)
        text = world.evidence("XCC")[0].read_text()
        assert "exhibit 1: the signed statement of XCC" in text
        assert world.evidence("XCC")[0].stat().st_mode & 0o777 == 0o600


def test_two_versions_of_the_ledger_meet_in_the_statements(honest_community: Founded) -> None:
    """What XBB has seen travels inside its signed receipt to XAA, which was shown something else."""
    with lying_world(honest_community, Lies(split=("XBB",))) as world:
        world.start(HUB, *CODES)
        first = world.send("XAA", "split", "XBB", "XCC")
        world.status("XAA", first, "received")
        world.until(lambda: world.witnessed("XAA") > 0, "XBB to cosign the version that it is shown")
        world.accept("XBB", first)
        assert world.until_told("XAA", *FORKED) <= BOUND_S
        assert "XBB" in world.alarms("XAA")["ledger-forked"]
        # The alarm is seen as soon as it is durable; its file a moment later.
        world.until(lambda: bool(world.evidence("XAA")), "XAA's evidence", BOUND_S)
        (file,) = world.evidence("XAA")
        text = file.read_text()
        assert "exhibit 1: the checkpoint that this node verified" in text
        assert "exhibit 2: the signed statement of XBB" in text
        # Neither version can have what the other has: a quorum of those who were shown the same.
        assert world.witnessed("XBB") == 0


def rolled_back(world: LyingWorld) -> str:
    """Let the nodes cosign more than the coordinator will remember; return the last notice's id."""
    world.start(HUB, *CODES)
    first = world.send("XAA", "remembered", "XBB", "XCC")
    world.until_witnessed("XAA", first)
    assert world.stop(HUB) == 0
    shutil.copytree(world.data(HUB), world.folder / "backup")
    world.start(HUB)
    lost = world.send("XAA", "forgotten", "XBB", "XCC")
    world.until_witnessed("XAA", lost)
    assert world.stop(HUB) == 0
    return lost


def restore(world: LyingWorld, *, anchor: bool) -> None:
    """Put the older copy of the coordinator back, with or without the anchor's older copy."""
    kept = world.folder / "kept-anchor"
    shutil.copytree(world.data(HUB) / "anchor", kept)
    shutil.rmtree(world.data(HUB))
    shutil.copytree(world.folder / "backup", world.data(HUB))
    if not anchor:
        shutil.rmtree(world.data(HUB) / "anchor")
        shutil.copytree(kept, world.data(HUB) / "anchor")


def test_a_restored_database_does_not_start_beside_a_newer_anchor(honest_community: Founded) -> None:
    """It would sign another ledger; the message says what happened and what to do."""
    with lying_world(honest_community, HONEST) as world:
        rolled_back(world)
        restore(world, anchor=False)
        ended = world.run("coordinator", "run", "--data", world.data(HUB), "--json")
        assert ended.code == 1, ended.err
        assert "anchor" in ended.err + ended.out


@pytest.mark.parametrize("deaf", [False, True], ids=["honest", "liar"])
def test_a_ledger_restored_with_its_anchor_is_found_out_by_every_witness(
    honest_community: Founded, deaf: bool
) -> None:
    """An honest coordinator stops signing at the first witness's word; a liar gets no cosignature."""
    with lying_world(honest_community, Lies(deaf=deaf)) as world:
        lost = rolled_back(world)
        witnessed = world.witnessed("XAA")
        restore(world, anchor=True)
        world.start(HUB)
        again = world.send("XAA", "after", "XBB", "XCC")
        # Warnings still flow: only evidence is at a standstill.
        states = {one.recipient: one.state for one in world.status("XAA", again, "received").deliveries}
        assert states == {"XBB": "received", "XCC": "received"}
        told = [world.until_told(code, *FORKED) for code in CODES]
        assert max(told) <= BOUND_S
        assert all(world.witnessed(code) <= witnessed for code in CODES)
        assert ("ledger.halted" in world.log_of(HUB).read_text()) is not deaf
        assert lost != again


def test_back_dated_leaves_are_found_by_a_member_that_audits(honest_community: Founded) -> None:
    """An hour is taken off every leaf; the witnesses' times and the signers' own say so."""
    with lying_world(honest_community, Lies(backdate_ms=3600_000)) as world:
        world.ledger_port = free_port()
        world.start(HUB, *CODES)
        for number in range(2):
            world.until_witnessed("XAA", world.send("XAA", f"dated-{number}", "XBB"))
        pinned = world.founded.root_hash.hex()
        exported = world.run(
            *("audit", "export", "--member", world.data("XAA"), "-o", world.folder / "bundle"),
            *("--url", f"https://127.0.0.1:{world.ledger_port}", "--root-hash", pinned),
            *("--community", world.founded.community),
        )
        assert exported.code == 0, exported.err
        verdict = world.run("audit", "verify", world.folder / "bundle", "--root-hash", pinned, "--json")
        assert verdict.code == 3
        codes = {one["code"] for one in verdict.object["findings"] if one["severity"] == "failed"}
        # A statement that its signer dates an hour after its leaf counts nothing either.
        assert {"time-outside", "signer"} <= codes
