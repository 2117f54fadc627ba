"""Several processes of one coordinator over one store: nodes never notice which of them they speak to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from exchange.coordinator.heads import HaltReason
from exchange.coordinator.status import look
from exchange.stores.ledger_contract import Witnessing
from keys.quorum import quorum_of
from protocol import codec
from protocol.errors import AlmenaraError, Forked, SetupError
from protocol.ledger.checkpoint import SignedCheckpoint, parse_checkpoint
from protocol.ledger.note import NoteSignature
from protocol.ledger.origins import Log
from protocol.ledger.witness import WitnessStatus, parse_add_checkpoint
from protocol.session.messages import (
    Accepted,
    Collected,
    Compare,
    Compared,
    Cosigned,
    Documents,
    Publish,
    Submit,
)
from protocol.session.table import State
from tests.community import HUB
from tests.envelopes import sent
from tests.hubs import CLOCK, Node, directory, everyone, node, suspension
from tests.ledger_services import SOON, listen, other_past, quickly, relayed
from tests.several import Process, faster, several
from tests.stores import Servers

pytestmark = pytest.mark.usefixtures("faster", "quickly")

__all__ = ["faster", "quickly"]


@pytest.fixture(params=["sqlite", "postgres18"])
async def store(request: pytest.FixtureRequest, servers: Servers) -> AsyncIterator[str]:
    """Return the address of an empty database, or nothing for SQLite."""
    if request.param == "sqlite":
        yield ""
        return
    server = servers.get(18)
    name = await servers.lend(server)
    yield server.address(name)
    await servers.take_back(server, name)


async def until(condition: Callable[[], bool | Awaitable[bool]], seconds: float = 60.0) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(seconds):
        while True:
            found = condition()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.02)


def leader(processes: list[Process], duty: str) -> Process:
    """Return the process that has a lease."""
    (one,) = [one for one in processes if one.running and duty in one.coordinator._ledger.leases()]
    return one


async def gone(one: Node) -> None:
    """Hear a node's session out until the coordinator ends it."""
    async with asyncio.timeout(20):
        with contextlib.suppress(AlmenaraError):
            while True:
                await one.link.receive()


async def test_a_notice_handed_to_one_process_is_delivered_by_another(tmp_path: Path, store: str) -> None:
    """The sender is here, the recipient there; the answer comes from where it was asked."""
    async with (
        several(tmp_path, store, "one", "two") as (_, (one, two)),
        node(tmp_path, "XBB", two.port) as xbb,
        node(tmp_path, "XAA", one.port) as xaa,
    ):
        promised = await relayed(xaa)
        delivered = await xbb.deliver()
        assert promised
        assert delivered.sequence == 1
        xbb.link.send(Collected(sequence=1))

        async def is_collected() -> bool:
            return (await one.parts.store.cursor("XBB")).collected == 1

        await until(is_collected)


async def test_a_quorum_is_found_among_nodes_of_several_processes(tmp_path: Path, store: str) -> None:
    """No process has more than one witness, and every node is shown the witnessed checkpoint."""
    async with (
        several(tmp_path, store, "one", "two", "three") as (_, processes),
        node(tmp_path, "XAA", processes[0].port) as xaa,
        node(tmp_path, "XBB", processes[1].port) as xbb,
        node(tmp_path, "XCC", processes[2].port) as xcc,
    ):
        listening = [asyncio.create_task(listen(xcc))]
        await relayed(xaa)
        signed = await asyncio.gather(xaa.until_witnessed(Log.ACK, 2), xbb_witnessed(xbb))
        quorum = quorum_of(directory(), HUB, Log.ACK)
        for one in signed:
            assert len(quorum.require(one)) >= quorum.needed
        await until(lambda: all(one.coordinator._ledger.heads.ack.witnessed for one in processes))
        for task in listening:
            task.cancel()
        await asyncio.gather(*listening, return_exceptions=True)


async def test_a_checkpoint_that_many_have_cosigned_is_followed_too(tmp_path: Path, store: str) -> None:
    """Two hundred members' cosignatures are 700 kB; one more signature is nobody's business here."""
    many = [NoteSignature(f"witness-{number}", bytes(4), bytes(2500)) for number in range(200)]
    async with (
        several(tmp_path, store, "one", "two") as (_, (one, two)),
        node(tmp_path, "XAA", one.port) as xaa,
    ):
        await relayed(xaa)
        await until(lambda: one.coordinator._ledger.heads.ack.size >= 2)
        published = one.coordinator._ledger.heads.ack.published
        assert published is not None
        witnessed = published.with_signatures(many)
        kept = Witnessing(witnessed.checkpoint.size, CLOCK.now_ms(), witnessed.data)
        await one.parts.ledger.save_witnessed(Log.ACK, kept, apart_ms=0)

        def is_followed() -> bool:
            shown = two.coordinator._ledger.heads.ack.witnessed
            return shown is not None and shown.data == witnessed.data

        await until(is_followed)


async def xbb_witnessed(xbb: Node) -> SignedCheckpoint:
    """Return what XBB is shown as witnessed; it gets the notice meanwhile."""
    async with asyncio.timeout(20):
        while Log.ACK not in xbb.shown or xbb.shown[Log.ACK].checkpoint.size < 2:
            await xbb.hear()
    return xbb.shown[Log.ACK]


async def test_when_the_process_that_signs_dies_another_signs_on(tmp_path: Path, store: str) -> None:
    """Within the length of a lease and a look; the log goes on as one, and every process shows it."""
    async with (
        several(tmp_path, store, "one", "two") as (_, processes),
    ):
        signs = leader(processes, "sequencer-ack")
        (other,) = [one for one in processes if one is not signs]
        async with node(tmp_path, "XAA", other.port) as xaa:
            await relayed(xaa, 1)
            await until(lambda: other.coordinator._ledger.heads.ack.size >= 2)
            before = other.coordinator._ledger.heads.ack.published
            await signs.die()
            await relayed(xaa, 2)
            await until(lambda: other.coordinator._ledger.heads.ack.size >= 3)
            assert before is not None
            xaa.link.send(Compare(log=Log.ACK, old=before.checkpoint.size, new=3))
            answer = await xaa.next()
        assert isinstance(answer, Compared)
        assert answer.new == 3


async def test_a_node_that_connects_elsewhere_leaves_here(tmp_path: Path, store: str) -> None:
    """Whoever has the older session is told, dismisses it, and moves no cursor any more."""
    async with (
        several(tmp_path, store, "one", "two") as (_, (one, two)),
        node(tmp_path, "XBB", one.port) as old,
    ):
        await until(lambda: one.coordinator._sessions.has("XBB"))
        stale = one.coordinator._sessions.epochs
        async with node(tmp_path, "XBB", two.port) as new, node(tmp_path, "XAA", two.port) as xaa:
            await relayed(xaa)
            await new.deliver()
            await gone(old)
            assert old.link.session.state is not State.OPEN
            await until(lambda: not one.coordinator._sessions.has("XBB"))
            # What the older session would still write is refused.
            assert await one.parts.store.collect({"XBB": 1}, (), stale) == {"XBB"}
            assert (await one.parts.store.cursor("XBB")).collected == 0


async def test_a_witness_that_comes_from_another_process_is_never_asked_about_less(
    tmp_path: Path, store: str
) -> None:
    """It would take that for a log that was cut, and call its people."""
    async with several(tmp_path, store, "one", "two") as (_, processes):
        leads = leader(processes, "witnesses-ack")
        (lags,) = [one for one in processes if one is not leads]
        async with node(tmp_path, "XAA", leads.port) as xaa:
            await relayed(xaa)
            await until(lambda: lags.coordinator._ledger._witnesses[Log.ACK]._number > 0)
            # From here on it does not see what the other does.
            lags.coordinator._tasks["lookout"].cancel()
            await relayed(xaa, 2)
            async with asyncio.timeout(60):
                while Log.ACK not in xaa.notes or sizes(xaa)[-1] < 3:
                    await xaa.hear()
        async with node(tmp_path, "XAA", lags.port) as moved:
            moved.held, moved.notes = xaa.held, xaa.notes
            async with asyncio.timeout(60):
                while not sizes(moved):
                    await moved.hear()
            assert sizes(moved)[0] >= sizes(xaa)[-1]


def sizes(one: Node) -> list[int]:
    """Return about which sizes of the log of statements a node was asked."""
    bodies = [asked.body for asked in one.asked if asked.log is Log.ACK]
    return [parse_checkpoint(parse_add_checkpoint(body).checkpoint).checkpoint.size for body in bodies]


async def test_a_document_published_at_one_process_counts_at_all(tmp_path: Path, store: str) -> None:
    """A suspended state is sent away by the process that it is connected to."""
    async with (
        several(tmp_path, store, "one", "two") as (_, (one, two)),
        node(tmp_path, "XAA", one.port) as xaa,
        node(tmp_path, "XCC", two.port) as xcc,
        node(tmp_path, "XBB", two.port) as xbb,
    ):
        xaa.link.send(Publish(ref=1, document=suspension("XCC")))
        told = await xbb.next()
        assert isinstance(told, Documents)
        await gone(xcc)
        await until(lambda: two.coordinator._following.held == one.coordinator._following.held)
        answers = [await xaa.next() for _ in range(2)]
        assert any(isinstance(answer, Accepted) for answer in answers)


async def test_a_process_that_is_drained_hands_over_at_once(tmp_path: Path, store: str) -> None:
    """Its leases are free before its nodes are told to go; it is not seen any more."""
    async with several(tmp_path, store, "one", "two") as (_, processes):
        signs = leader(processes, "sequencer-ack")
        (other,) = [one for one in processes if one is not signs]
        async with node(tmp_path, "XAA", signs.port) as xaa:
            await relayed(xaa)
            await signs.stop()
            await gone(xaa)
        await until(lambda: "sequencer-ack" in other.coordinator._ledger.leases())
        status = await look(other.parts.sharing)
        assert [one.facts.name for one in status.processes] == [other.coordinator.process]
        assert status.gone == ()


async def test_a_witness_that_refutes_the_log_stops_it_at_every_process(tmp_path: Path, store: str) -> None:
    """Whichever process hears it."""
    async with several(tmp_path, store, "one", "two") as (_, processes):
        signs = leader(processes, "sequencer-ack")
        (other,) = [one for one in processes if one is not signs]
        async with node(tmp_path, "XAA", signs.port) as xaa, node(tmp_path, "XBB", other.port) as xbb:
            await relayed(xaa)
            xbb.cosigns = False
            await xbb.deliver()
            async with asyncio.timeout(20):
                while not any(one.log is Log.ACK for one in xbb.asked):
                    await xbb.hear()
            contradict(xbb, other_past(1000))
            await until(lambda: all(one.coordinator._ledger.heads.ack.halted for one in processes))
            assert {one.coordinator._ledger.heads.ack.halted for one in processes} == {
                HaltReason.WITNESS_AHEAD
            }
            size = signs.coordinator._ledger.heads.ack.size
            await relayed(xaa, 2)
            await asyncio.sleep(10 * SOON)
            assert {one.coordinator._ledger.heads.ack.size for one in processes} == {size}
            assert processes[0].coordinator._ledger.heads.directory.halted is None


def contradict(witness: Node, note: bytes) -> None:
    """Show a checkpoint that the log has signed and does not have."""
    witness.link.send(Cosigned(log=Log.ACK, status=WitnessStatus.CONFLICT, body=b"1000\n", held=note))


async def test_a_process_that_starts_beside_others_begins_its_anchor_with_what_they_published(
    tmp_path: Path, store: str
) -> None:
    """Alone it would refuse: an anchor that is missing where something was published."""
    async with several(tmp_path, store, "one") as (company, (one,)), node(tmp_path, "XAA", one.port) as xaa:
        await relayed(xaa)
        await until(lambda: one.coordinator._ledger.heads.ack.size >= 2)
        data = company.lay_out("late")
        late = await company.start("late")
        assert late.coordinator._ledger.heads.ack.size >= 2
        assert (data / "anchor" / "ack.checkpoint").exists()


async def test_a_process_with_an_anchor_ahead_does_not_start(tmp_path: Path, store: str) -> None:
    """The database it is given has forgotten what it saw."""
    async with several(tmp_path, store, "one") as (company, (one,)), node(tmp_path, "XAA", one.port) as xaa:
        await relayed(xaa)
        await until(lambda: one.coordinator._ledger.heads.ack.size >= 2)
        data = company.lay_out("late")
        (data / "anchor").mkdir()
        (data / "anchor" / "ack.checkpoint").write_bytes(other_past(1000))
        with pytest.raises(SetupError, match="checkpoint 1000"):
            await company.start("late")
        assert one.coordinator._ledger.heads.ack.halted is None


async def test_an_anchor_that_went_another_way_stops_the_log_everywhere(tmp_path: Path, store: str) -> None:
    """It holds the log's own signature over something that the database does not have: a fork."""
    async with several(tmp_path, store, "one") as (company, (one,)), node(tmp_path, "XAA", one.port) as xaa:
        await relayed(xaa)
        await until(lambda: one.coordinator._ledger.heads.ack.size >= 2)
        data = company.lay_out("late")
        (data / "anchor").mkdir()
        (data / "anchor" / "ack.checkpoint").write_bytes(other_past(1))
        with pytest.raises(Forked):
            await company.start("late")
        await until(lambda: one.coordinator._ledger.heads.ack.halted is not None)
        assert one.coordinator._ledger.heads.ack.halted is HaltReason.FORKED


async def test_the_same_notice_at_two_processes_is_stored_once(tmp_path: Path, store: str) -> None:
    """A node that is not sure brings it again, wherever it is by then."""
    async with (
        several(tmp_path, store, "one", "two") as (_, (one, two)),
        node(tmp_path, "XBB", two.port) as xbb,
    ):
        submission = codec.encode(sent(everyone(), to=("XBB",)))
        async with node(tmp_path, "XAA", one.port) as first:
            before = await first.ask(Submit(ref=1, submission=submission))
        async with node(tmp_path, "XAA", two.port) as second:
            after = await second.ask(Submit(ref=7, submission=submission))
        assert isinstance(before, Accepted)
        assert isinstance(after, Accepted)
        assert (before.index, before.statement) == (after.index, after.statement)
        assert (await xbb.deliver()).sequence == 1
        assert (await two.parts.store.cursor("XBB")).head == 1


async def test_the_status_shows_who_is_there_and_who_does_what(tmp_path: Path, store: str) -> None:
    """Each process, its nodes, its leases; and the file that the command reads has the same."""
    async with (
        several(tmp_path, store, "one", "two") as (_, (one, two)),
        node(tmp_path, "XAA", one.port),
        node(tmp_path, "XBB", two.port),
    ):
        await asyncio.gather(one.coordinator._roll.beat(), two.coordinator._roll.beat())
        status = await look(one.parts.sharing)
        assert [(each.facts.name, each.nodes) for each in status.processes] == [
            ("one", ("XAA",)),
            ("two", ("XBB",)),
        ]
        names = {"sequencer-ack", "sequencer-dir", "witnesses-ack", "witnesses-dir", "sweeper"}
        assert set(status.leases) == names
        assert {name for each in status.processes for name in each.leases} == names
        assert all(each.documents_behind == 0 for each in status.processes)
        assert (one.data / "status.json").exists()
        assert status.halted == {}
        assert CLOCK.now_ms() >= status.processes[0].facts.started_ms
