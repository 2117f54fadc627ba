"""A coordinator as its nodes meet it: over TLS, across restarts, and when the directory changes."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import aiohttp
import msgspec
import pytest

from exchange.coordinator.budget import DOCUMENT_ALLOWANCE
from exchange.coordinator.community import import_community, pinned_certificates
from exchange.coordinator.opening import opened
from exchange.coordinator.service import run
from exchange.datadir import DataDir
from exchange.stores.coordinator_sqlite import SqliteCoordinatorStore
from keys import enrolment, governance
from keys.documents import sign_document
from keys.evidence import Chain
from protocol import codec
from protocol.envelope import parse_delivery
from protocol.errors import (
    AlmenaraError,
    BadSignature,
    DataDirBusy,
    KeyfileError,
    PeerCode,
    SetupError,
)
from protocol.session.messages import (
    Accepted,
    Attest,
    Bye,
    Collected,
    Documents,
    ItemKind,
    Mirror,
    Publish,
    Refused,
    Submit,
    Unusable,
)
from protocol.statement import StatementKind, parse_statement
from tests.community import YEAR_MS
from tests.envelopes import id_of, said, sent
from tests.hubs import (
    CLOCK,
    certificate,
    directory,
    documents,
    everyone,
    no_passphrase,
    node,
    prepare,
    running,
    settings,
    suspension,
)


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """Return a prepared data directory."""
    data = tmp_path / "hub"
    await prepare(data)
    return data


async def test_a_notice_reaches_its_recipient_and_the_receipt_comes_back(
    folder: Path, tmp_path: Path
) -> None:
    """The main way, with a recipient that comes up after the coordinator has restarted."""
    one = sent(everyone(), to=("XBB",))
    async with running(folder) as (_, port), node(tmp_path, "XAA", port) as xaa:
        answer = await xaa.ask(Submit(ref=1, submission=codec.encode(one)))
        assert isinstance(answer, Accepted)
        assert answer.statement is not None
        assert parse_statement(answer.statement)[1].envelope == id_of(one)
    async with (
        running(folder) as (_, port),
        node(tmp_path, "XAA", port) as xaa,
        node(tmp_path, "XBB", port) as xbb,
    ):
        item = await xbb.deliver()
        assert parse_delivery(item.content)[1].id == id_of(one)
        made = said(everyone(), "XBB", StatementKind.RECEIVED, id_of(one), at_ms=CLOCK.now_ms())
        assert isinstance(await xbb.ask(Attest(ref=1, statement=made.data)), Accepted)
        xbb.link.send(Collected(sequence=item.sequence))
        back = await xaa.deliver()
        assert (back.item, back.content) == (ItemKind.STATEMENT, made.data)
        again = await xaa.ask(Submit(ref=7, submission=codec.encode(one)))
        assert isinstance(again, Accepted)
        assert again.statement == answer.statement


async def test_a_new_session_gets_again_only_what_was_not_collected(folder: Path, tmp_path: Path) -> None:
    """Delivered at least once, never skipped."""
    async with running(folder) as (_, port):
        async with node(tmp_path, "XAA", port) as xaa, node(tmp_path, "XBB", port) as xbb:
            for ref in (1, 2, 3):
                one = sent(everyone(), to=("XBB",))
                await xaa.ask(Submit(ref=ref, submission=codec.encode(one)))
            items = [await xbb.deliver() for _ in range(3)]
            xbb.link.send(Unusable(sequence=2, code=PeerCode.TAMPERED))
            xbb.link.send(Collected(sequence=2))
            await xbb.link.flush()
        async with node(tmp_path, "XBB", port) as xbb:
            seen = await xbb.deliver()
            if seen.sequence == 1:  # the report may have been lost with the session
                seen = [await xbb.deliver() for _ in range(2)][-1]
            assert seen == items[2]


async def test_a_tampered_notice_is_refused_with_a_code(folder: Path, tmp_path: Path) -> None:
    """And the session goes on."""
    async with running(folder) as (_, port), node(tmp_path, "XAA", port) as xaa:
        bad = msgspec.structs.replace(sent(everyone()), payload=b"other")
        answer = await xaa.ask(Submit(ref=1, submission=codec.encode(bad)))
        assert answer == Refused(ref=1, code=PeerCode.TAMPERED)
        good = await xaa.ask(Submit(ref=2, submission=codec.encode(sent(everyone()))))
        assert isinstance(good, Accepted)


async def test_a_second_session_of_a_state_replaces_the_first(folder: Path, tmp_path: Path) -> None:
    """The older one is told to go."""
    async with (
        running(folder) as (_, port),
        node(tmp_path, "XBB", port) as older,
        node(tmp_path, "XBB", port) as newer,
    ):
        assert await older.next() == Bye(code=PeerCode.GOING_AWAY)
        newer.link.send(Mirror(index=0))
        assert isinstance(await newer.next(), Documents)


async def test_documents_are_mirrored_and_news_is_told_to_everybody(folder: Path, tmp_path: Path) -> None:
    """A published document is answered, then known to all, and repeating it gives the same index."""
    member = everyone().members["XAA"]
    publication = enrolment.next_publication(
        None,
        state="XAA",
        community=everyone().id,
        topic="severity",
        name="xaa-national",
        content=b"levels",
        now_ms=CLOCK.now_ms(),
    )
    data = sign_document(publication, [member.identity])
    async with (
        running(folder) as (_, port),
        node(tmp_path, "XAA", port) as xaa,
        node(tmp_path, "XBB", port) as xbb,
    ):
        xbb.link.send(Mirror(index=0))
        mirrored = await xbb.next()
        count = len(documents())
        assert mirrored == Documents(first=0, documents=documents(), head=count)
        xaa.link.send(Publish(ref=1, document=data))
        news = Documents(first=count, documents=(data,), head=count + 1)
        assert await xaa.next() == news
        assert await xaa.next() == Accepted(ref=1, index=count, statement=None)
        assert await xbb.next() == news
        again = await xaa.ask(Publish(ref=2, document=data))
        assert again == Accepted(ref=2, index=count, statement=None)
        bad = await xaa.ask(Publish(ref=3, document=data[:-1]))
        assert bad == Refused(ref=3, code=PeerCode.MALFORMED)


async def test_a_member_cannot_flood_everybody_with_documents(folder: Path, tmp_path: Path) -> None:
    """Each document is kept by all for ever, so the budget for them is small, and each member's own."""
    async with (
        running(folder) as (_, port),
        node(tmp_path, "XAA", port) as xaa,
        node(tmp_path, "XBB", port) as xbb,
    ):
        codes = []
        for ref in range(int(DOCUMENT_ALLOWANCE.items_at_once) + 1):
            answer = await xaa.ask(Publish(ref=ref, document=b"rubbish"))
            assert isinstance(answer, Refused)
            codes.append(answer.code)
        assert codes[-2:] == [PeerCode.MALFORMED, PeerCode.OVER_QUOTA]
        assert await xbb.ask(Publish(ref=1, document=b"x")) == Refused(ref=1, code=PeerCode.MALFORMED)


async def test_a_suspended_state_is_shown_the_door_at_once(folder: Path, tmp_path: Path) -> None:
    """It is told why, its session ends when the directory says so, and it cannot come back."""
    async with running(folder) as (_, port), node(tmp_path, "XAA", port) as xaa:
        async with node(tmp_path, "XCC", port) as xcc:
            xaa.link.send(Publish(ref=1, document=suspension("XCC")))
            assert isinstance(await xcc.next(), Documents)
            assert await xcc.next() == Bye(code=PeerCode.NOT_AUTHENTICATED)
        with pytest.raises(AlmenaraError):
            async with node(tmp_path, "XCC", port):
                raise AssertionError
        assert isinstance(await xaa.next(), Documents)
        assert isinstance(await xaa.next(), Accepted)
        answer = await xaa.ask(Submit(ref=2, submission=codec.encode(sent(everyone()))))
        assert answer == Refused(ref=2, code=PeerCode.NOT_ADDRESSED)


async def test_readiness_means_that_the_disk_takes_writes(folder: Path) -> None:
    """A store that is gone makes the service not ready, and it stays alive."""
    async with running(folder) as (coordinator, port), aiohttp.ClientSession() as http:
        plain = await coordinator._server.listen("127.0.0.1", 0, None)
        assert port != plain
        for path, status in (("/livez", 200), ("/readyz", 200)):
            async with http.get(f"http://127.0.0.1:{plain}{path}") as answer:
                assert answer.status == status
        await coordinator._parts.store.close()
        async with http.get(f"http://127.0.0.1:{plain}/readyz") as answer:
            assert answer.status == 503


async def test_a_data_directory_belongs_to_one_process(folder: Path) -> None:
    """A second coordinator on the same directory is refused."""
    async with running(folder):
        with pytest.raises(DataDirBusy):
            async with opened(settings(folder), no_passphrase, CLOCK):
                raise AssertionError


@pytest.mark.parametrize(
    ("missing", "error"), [("root-hash", SetupError), ("keys/statement.key", KeyfileError)]
)
async def test_an_incomplete_data_directory_is_refused_with_a_hint(
    folder: Path, missing: str, error: type[AlmenaraError]
) -> None:
    """The sentence names what is missing."""
    (folder / missing).unlink()
    with pytest.raises(error, match=missing):
        async with opened(settings(folder), no_passphrase, CLOCK):
            raise AssertionError


async def test_a_coordinator_that_is_not_listed_does_not_start(folder: Path) -> None:
    """Its promises would be worth nothing."""
    other = msgspec.structs.replace(settings(folder), code="OTHER")
    with pytest.raises(SetupError, match="OTHER"):
        async with opened(other, no_passphrase, CLOCK):
            raise AssertionError


async def test_a_forged_community_file_changes_nothing(folder: Path) -> None:
    """One bad document spoils the whole file."""
    store = await SqliteCoordinatorStore.open(DataDir(folder).database, CLOCK)
    spoiled = bytearray(suspension("XCC"))
    spoiled[-1] ^= 1
    forged = sign_document(
        governance.next_directory(directory(), [], [], now_ms=CLOCK.now_ms(), life_ms=YEAR_MS),
        everyone().directories[:1],
    )
    file = governance.community_file([*documents(), forged])
    with pytest.raises((AlmenaraError, BadSignature)):
        await import_community(store, file, everyone().id, everyone().verifier, CLOCK.now_ms())
    assert await store.document_count() == len(documents())
    await store.close()


def test_one_broken_certificate_does_not_shut_the_others_out() -> None:
    """A member that publishes rubbish locks out itself alone."""
    trusted = directory()
    member = everyone().members["XCC"]
    manifest = enrolment.next_manifest(
        trusted.documents.manifests["XCC"],
        state="XCC",
        community=everyone().id,
        keys=member.keys,
        certificates=[b"rubbish"],
        now_ms=CLOCK.now_ms(),
        life_ms=YEAR_MS,
    )
    trusted.update(sign_document(manifest, [member.identity]), CLOCK.now_ms())
    assert set(pinned_certificates(trusted)) == {certificate("XAA").der, certificate("XBB").der}


async def test_a_statement_chain_of_a_node_is_passed_on_in_order(folder: Path, tmp_path: Path) -> None:
    """Several statements reach the sender as they were recorded."""
    one = sent(everyone(), to=("XBB",))
    async with (
        running(folder) as (_, port),
        node(tmp_path, "XAA", port) as xaa,
        node(tmp_path, "XBB", port) as xbb,
    ):
        await xaa.ask(Submit(ref=1, submission=codec.encode(one)))
        await xbb.deliver()
        chain = Chain(0, bytes(32))
        made = []
        for kind in (StatementKind.OPENED, StatementKind.ACCEPTED, StatementKind.COMPLETED):
            statement = said(everyone(), "XBB", kind, id_of(one), chain=chain, at_ms=CLOCK.now_ms())
            chain = statement.chain
            made.append(statement.data)
            xbb.link.send(Attest(ref=len(made), statement=statement.data))
        assert [(await xaa.deliver()).content for _ in made] == made


async def test_a_signal_to_stop_ends_the_service_in_good_order(folder: Path) -> None:
    """SIGTERM drains; the data directory is free afterwards."""
    service = asyncio.create_task(run(settings(folder), no_passphrase, CLOCK))
    await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(service, 10)
    with DataDir(folder):
        pass
