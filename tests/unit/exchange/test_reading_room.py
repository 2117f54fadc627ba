"""The ledger over HTTPS: byte for byte what C2SP asks for, to those who may read it, and nothing else."""

from __future__ import annotations

import asyncio
import secrets
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from exchange.coordinator import reading_room
from exchange.coordinator.service import Coordinator
from exchange.datadir import DataDir
from exchange.link.guard import ServerLimits
from exchange.link.tls import client_context
from exchange.setup.auditors import add_auditor, auditors, revoke_auditor
from exchange.stores.contract import NewStatement
from keys.quorum import policy_text, quorum_of
from protocol import codec, tree
from protocol.documents import signed_document_hash
from protocol.errors import BadRequest, NotFound
from protocol.ledger.bundle import parse_signed_manifest
from protocol.ledger.checkpoint import parse_checkpoint
from protocol.ledger.leaf import parse_leaf, statement_leaf
from protocol.ledger.origins import Log
from protocol.ledger.pack import iter_pack
from protocol.ledger.tiles import Tile, entries_path, new_tiles, parse_entries, split_hashes, tile_root
from protocol.session.messages import Accepted, Attest, Submit
from protocol.statement import MAX_SIGNED_STATEMENT_BYTES, StatementKind, parse_statement
from tests.community import HUB
from tests.envelopes import id_of, said, sent
from tests.hubs import CLOCK, certificate, directory, documents, everyone, node, running
from tests.ledger_services import folder, quickly
from tests.patience import PATIENCE_S

BYTES = "application/octet-stream"
TEXT = "text/plain; charset=utf-8"
FIXTURES = (folder, quickly)
"""A coordinator that hurries, as :mod:`tests.ledger_services` makes it."""


@dataclass
class Answer:
    """What came back."""

    status: int
    body: bytes
    headers: dict[str, str]


@dataclass
class Visitor:
    """Somebody who reads."""

    port: int
    context: ssl.SSLContext
    headers: dict[str, str]

    async def get(self, path: str, method: str = "GET", **extra: str) -> Answer:
        """Ask for a path below the prefix, or for one that begins with a slash."""
        where = path if path.startswith("/") else f"/v1/ledger/{path}"
        # As it is, with dots and percent signs.
        url = URL(f"https://127.0.0.1:{self.port}{where}", encoded=True)
        async with (
            aiohttp.ClientSession(headers={**self.headers, **extra}) as http,
            http.request(method, url, ssl=self.context, allow_redirects=False) as answer,
        ):
            return Answer(answer.status, await answer.read(), dict(answer.headers))

    async def body(self, path: str) -> bytes:
        """Return what is at a path, where there must be something."""
        answer = await self.get(path)
        assert answer.status == 200, (path, answer.status)
        return answer.body


def member(tmp_path: Path, port: int, code: str) -> Visitor:
    """Return a member that shows its node's certificate."""
    mine = tmp_path / secrets.token_hex(4)
    mine.mkdir()
    (mine / "tls.crt").write_bytes(certificate(code).pem)
    (mine / "tls.key").write_bytes(certificate(code).key_pem)
    return Visitor(port, client_context(mine / "tls.crt", mine / "tls.key", [certificate(HUB).der]), {})


def stranger(port: int) -> Visitor:
    """Return somebody without a certificate, who knows the coordinator's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=certificate(HUB).der)
    return Visitor(port, context, {})


def auditor(folder: Path, port: int, name: str = "Ana Silva") -> Visitor:
    """Return an auditor with a new token."""
    token = add_auditor(DataDir(folder), name).read_text().strip()
    visitor = stranger(port)
    visitor.headers["Authorization"] = f"Bearer {token}"
    return visitor


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[tuple[Coordinator, int, int]]:
    """Run a coordinator; yield it with the ports of its sessions and of its ledger."""
    async with running(folder) as (coordinator, port):
        assert coordinator.ledger_port is not None
        yield coordinator, port, coordinator.ledger_port


async def record(coordinator: Coordinator, count: int) -> None:
    """Record so many statements and publish them."""
    rows = [
        NewStatement(
            id=secrets.token_bytes(32),
            envelope=bytes(32),
            party="XCC",
            kind=StatementKind.RECEIVED,
            at_ms=CLOCK.now_ms(),
            received_ms=CLOCK.now_ms(),
            data=secrets.token_bytes(40),
            mail_to=(),
        )
        for _ in range(count)
    ]
    await coordinator._parts.store.commit(rows, None)
    await publish(coordinator)


async def publish(coordinator: Coordinator) -> None:
    """Wait until the coordinator, by itself, has made a checkpoint over everything that is recorded."""
    count = len(await coordinator._parts.store.statements(0, 1000))
    coordinator._ledger._sequencers[Log.ACK].grown()
    async with asyncio.timeout(PATIENCE_S):
        while coordinator._ledger.heads.ack.size < count:  # noqa: ASYNC110 - nobody is woken by it here
            await asyncio.sleep(0.01)


async def test_tiles_and_entries_make_the_tree_of_the_checkpoint(folder: Path) -> None:
    """A reader that knows nothing but C2SP rebuilds every level from the entries, and meets the root."""
    async with serving(folder) as (coordinator, _, port):
        await record(coordinator, 300)
        ana = auditor(folder, port)
        answer = await ana.get("ack/checkpoint")
        assert answer.headers["Content-Type"] == TEXT
        signed = parse_checkpoint(answer.body)
        quorum_of(directory(), HUB, Log.ACK).require_log(signed)
        size = signed.checkpoint.size
        assert size == 300
        leaves: list[bytes] = []
        for number, width in ((0, 256), (1, 44)):
            page = await ana.get(f"ack/{entries_path(number, width)}")
            assert page.headers["Content-Type"] == BYTES
            assert "immutable" in page.headers["Cache-Control"]
            leaves += parse_entries(page.body, width)
        hashes = [tree.leaf_hash(leaf) for leaf in leaves]
        assert tree.root_of(hashes) == signed.checkpoint.root
        assert {parse_leaf(leaf).type for leaf in leaves} == {StatementKind.RECEIVED}
        levels = {0: hashes, 1: [tree.root_of(hashes[:256])]}
        for tile in new_tiles(0, size):
            body = await ana.body(f"ack/{tile.path}")
            first = tile.number * 256
            assert split_hashes(body, tile.width) == levels[tile.level][first : first + tile.width]
        whole = await ana.body("ack/tile/0/000")
        assert tile_root(whole) == levels[1][0]


async def test_a_partial_tile_is_there_for_every_published_size_and_no_other(folder: Path) -> None:
    """Also after the log has grown past it."""
    async with serving(folder) as (coordinator, _, port):
        ana = auditor(folder, port)
        for count in (3, 4, 253):
            await record(coordinator, count)
        for width, status in ((3, 200), (7, 200), (4, 404), (6, 404), (8, 404)):
            tile = await ana.get(f"ack/{Tile(0, 0, width).path}")
            entries = await ana.get(f"ack/{entries_path(0, width)}")
            assert (tile.status, entries.status) == (status, status), width
        for path, status in (("tile/0/001.p/4", 200), ("tile/1/000.p/1", 200), ("tile/0/000", 200)):
            assert (await ana.get(f"ack/{path}")).status == status
        for path in ("tile/1/000", "tile/0/001", "tile/2/000.p/1", "tile/0/001.p/5", "tile/63/000"):
            assert (await ana.get(f"ack/{path}")).status == 404


BAD_PATHS = [
    "",
    "ack",
    "ack/",
    "ack/checkpoint/",
    "ack/checkpoint?x=1",
    "ack//checkpoint",
    "ack/%63heckpoint",
    "ACK/checkpoint",
    "foo/checkpoint",
    "ack/tile/0/0",
    "ack/tile/00/000",
    "ack/tile/0/0000",
    "ack/tile/0/000.p/0",
    "ack/tile/0/000.p/256",
    "ack/tile/0/000.p/01",
    "ack/tile/0/000.p/-1",
    "ack/tile/64/000",
    "ack/tile/0/x000/000",
    "ack/tile/entries/../../checkpoint",
    "ack/tile/entries/x000/x000",
    "ack/milestones/",
    "ack/milestones/01",
    "ack/milestones/9999",
    "dir/milestones/1",
    "ack/documents/000",
    "dir/statements/000",
    "dir/documents/0",
    "dir/documents/999",
    "ack/statements/001",
    "ack/headers/x999/999",
    "ack/tile/0/" + "x999/" * 12 + "999",
    "../../etc/passwd",
    "/v1/ledger",
    "/v1/session",
    "/livez",
    "/readyz",
    "/",
]


async def test_paths_that_name_nothing_are_not_found(folder: Path) -> None:
    """There is one spelling of each path, and nothing outside."""
    async with serving(folder) as (coordinator, _, port):
        await record(coordinator, 3)
        ana = auditor(folder, port)
        for path in BAD_PATHS:
            answer = await ana.get(path)
            assert answer.status == 404, path
            assert answer.body == b"not found\n"


async def test_who_is_neither_auditor_nor_member_learns_nothing(folder: Path, tmp_path: Path) -> None:
    """Not even what there is; a damaged or withdrawn token is no token."""
    async with serving(folder) as (coordinator, _, port):
        await record(coordinator, 1)
        ana = auditor(folder, port)
        assert (await ana.get("ack/checkpoint")).status == 200
        token = ana.headers["Authorization"]
        bad = [
            token[:-1] + ("0" if token[-1] != "0" else "1"),
            token.replace(":auditor:", ":officer:"),
            token.removeprefix("Bearer "),
            "Basic " + token.removeprefix("Bearer "),
            "Bearer ",
            "Bearer x",
        ]
        for wrong in [*bad, None]:
            visitor = stranger(port)
            if wrong is not None:
                visitor.headers["Authorization"] = wrong
            for path in ("ack/checkpoint", "ack/nothing", "/"):
                answer = await visitor.get(path)
                assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        revoke_auditor(DataDir(folder), "Ana Silva")
        assert (await ana.get("ack/checkpoint")).status == 401


async def test_only_get_without_a_body_and_no_page_of_a_browser(folder: Path) -> None:
    """Nobody writes here."""
    async with serving(folder) as (coordinator, _, port):
        await record(coordinator, 1)
        ana = auditor(folder, port)
        for method in ("POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"):
            assert (await ana.get("ack/checkpoint", method)).status == 405
        assert (await ana.get("ack/checkpoint", Origin="https://evil.example")).status == 403
        assert (await ana.get("ack/checkpoint", **{"Content-Length": "0"})).status == 400


async def test_a_certificate_that_is_not_listed_is_refused_in_the_handshake(
    folder: Path, tmp_path: Path
) -> None:
    """A member that was taken out of the directory is a stranger."""
    async with serving(folder) as (_, _, port):
        with pytest.raises(aiohttp.ClientError):
            await member(tmp_path, port, "XZZ").get("ack/checkpoint")


async def test_a_member_reads_what_concerns_it(folder: Path, tmp_path: Path) -> None:
    """By its certificate; packs hold its own statements, the tree is the same for all."""
    async with serving(folder) as (coordinator, port, ledger):
        async with node(tmp_path, "XAA", port) as xaa, node(tmp_path, "XBB", port) as xbb:
            one = sent(everyone(), to=("XBB",))
            assert isinstance(await xaa.ask(Submit(ref=1, submission=codec.encode(one))), Accepted)
            await xbb.deliver()
            made = said(everyone(), "XBB", StatementKind.RECEIVED, id_of(one), at_ms=CLOCK.now_ms())
            assert isinstance(await xbb.ask(Attest(ref=1, statement=made.data)), Accepted)
        await publish(coordinator)
        readers = {code: member(tmp_path, ledger, code) for code in ("XAA", "XBB", "XCC")}
        readers["all"] = auditor(folder, ledger)
        kinds = {}
        for name, reader in readers.items():
            pack = await reader.body("ack/statements/000")
            kinds[name] = {
                index: parse_statement(data)[1].kind
                for index, data in iter_pack(pack, MAX_SIGNED_STATEMENT_BYTES)
            }
            headers = dict(iter_pack(await reader.body("ack/headers/000"), 2**20))
            assert set(headers) == (set() if name == "XCC" else {1})
            for data in headers.values():
                assert parse_signed_manifest(data)[0].manifest == one.manifest
            assert parse_entries(await reader.body("ack/tile/entries/000.p/3"), 3)
        whole = {0: StatementKind.DIRECTORY, 1: StatementKind.RELAYED, 2: StatementKind.RECEIVED}
        assert kinds == {"XAA": whole, "XBB": whole, "all": whole, "XCC": {0: StatementKind.DIRECTORY}}


async def test_packs_hold_what_the_leaves_commit_to(folder: Path) -> None:
    """Leaf by leaf, in files of 256."""
    async with serving(folder) as (coordinator, _, port):
        await record(coordinator, 300)
        ana = auditor(folder, port)
        leaves = parse_entries(await ana.body("ack/tile/entries/001.p/44"), 44)
        pack = dict(iter_pack(await ana.body("ack/statements/001"), MAX_SIGNED_STATEMENT_BYTES))
        assert list(pack) == list(range(256, 300))
        for leaf, data in zip(leaves, pack.values(), strict=True):
            parsed = parse_leaf(leaf)
            assert statement_leaf(parsed.type, parsed.at_ms, data).encode() == leaf


async def test_documents_policies_and_milestones_are_there(folder: Path, tmp_path: Path) -> None:
    """Everything by which a statement is judged, and who must have cosigned."""
    async with serving(folder) as (_, port, ledger):
        async with node(tmp_path, "XAA", port) as xaa, node(tmp_path, "XBB", port) as xbb:
            await xaa.ask(Submit(ref=1, submission=codec.encode(sent(everyone(), to=("XBB",)))))
            await asyncio.gather(*(one.until_witnessed(Log.ACK, 2) for one in (xaa, xbb)))
            await asyncio.gather(*(one.until_witnessed(Log.DIRECTORY, 1) for one in (xaa, xbb)))
        ana = auditor(folder, ledger)
        for log in Log:
            policy = await ana.body(f"{log}/policy.txt")
            assert policy.decode() == policy_text(directory(), HUB, log)
            signed = parse_checkpoint(await ana.body(f"{log}/checkpoint"))
            quorum_of(directory(), HUB, log).require(signed)
        for index, data in enumerate(documents()):
            assert signed_document_hash(await ana.body(f"dir/documents/{index:03}")) == signed_document_hash(
                data
            )
        sizes = (await ana.body("ack/milestones")).decode().split()
        assert sizes[-1:] == ["2"]
        kept = parse_checkpoint(await ana.body(f"ack/milestones/{sizes[-1]}"))
        quorum_of(directory(), HUB, Log.ACK).require(kept)


async def test_one_connection_serves_many_requests(folder: Path) -> None:
    """An export of thousands of files does not need thousands of handshakes."""
    async with serving(folder) as (coordinator, _, port):
        await record(coordinator, 5)
        ana = auditor(folder, port)
        connector = aiohttp.TCPConnector(limit=1)
        async with aiohttp.ClientSession(headers=ana.headers, connector=connector) as http:
            for _ in range(50):
                url = f"https://127.0.0.1:{port}/v1/ledger/ack/tile/0/000.p/5"
                async with http.get(url, ssl=ana.context) as answer:
                    assert answer.status == 200
                    assert answer.headers["Server"] == "almenara"
        assert len(coordinator._room._door.doorkeeper) <= 1


async def test_a_stranger_is_cut_off_and_a_reader_is_not(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who says nothing, or is not known, has so many seconds; who reads may go on."""
    monkeypatch.setattr(reading_room, "LIMITS", ServerLimits(http_seconds=1.0, connections_per_address=2))
    async with serving(folder) as (coordinator, _, port):
        await record(coordinator, 5)
        ana = auditor(folder, port)
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=ana.context)
        connector = aiohttp.TCPConnector(limit=1)
        url = f"https://127.0.0.1:{port}/v1/ledger/ack/tile/0/000.p/5"
        async with aiohttp.ClientSession(headers=ana.headers, connector=connector) as http:
            loop = asyncio.get_running_loop()
            end = loop.time() + 2.0
            # Both places of this address are taken, until the silent one is cut.
            while loop.time() < end or len(coordinator._room._door.doorkeeper) > 1:
                async with http.get(url, ssl=ana.context) as answer:
                    assert answer.status == 200
                await asyncio.sleep(0.1)
                assert loop.time() < end + PATIENCE_S
        assert await asyncio.wait_for(reader.read(), PATIENCE_S) == b""
        writer.close()


async def test_more_connections_than_an_address_may_have_are_turned_away(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sessions' listener has its own places and does not notice."""
    monkeypatch.setattr(reading_room, "LIMITS", ServerLimits(connections_per_address=2))
    async with serving(folder) as (coordinator, _, port):
        ana = auditor(folder, port)
        open_ = [await asyncio.open_connection("127.0.0.1", port, ssl=ana.context) for _ in range(2)]
        with pytest.raises((ConnectionError, ssl.SSLError)):
            await asyncio.open_connection("127.0.0.1", port, ssl=ana.context)
        assert coordinator._room._door.doorkeeper.refused == 1
        for _, writer in open_:
            writer.close()


def test_auditors_are_added_listed_and_taken_back(tmp_path: Path) -> None:
    """The coordinator keeps the hash of a token, and nothing that opens anything."""
    place = DataDir(tmp_path)
    place.create()
    path = add_auditor(place, "José Pérez")
    add_auditor(place, "Ana Silva")
    assert path.name == "auditor-jose-perez.token"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in auditors(place)] == ["Ana Silva", "José Pérez"]
    secret = path.read_text().strip().split(":")[-1]
    kept = b"".join(file.read_bytes() + file.name.encode() for file in place.access.iterdir())
    assert secret.encode() not in kept
    with pytest.raises(BadRequest):
        add_auditor(place, "José Pérez")
    revoke_auditor(place, "José Pérez")
    assert [one.name for one in auditors(place)] == ["Ana Silva"]
    assert not path.exists()
    with pytest.raises(NotFound, match="José"):
        revoke_auditor(place, "José Pérez")


async def test_a_full_room_says_when_to_come_back(folder: Path) -> None:
    """503 with Retry-After, before a page is even looked for."""
    async with serving(folder) as (coordinator, _, port):
        ana = auditor(folder, port)
        url = f"https://127.0.0.1:{port}/v1/ledger/ack/checkpoint"
        async with aiohttp.ClientSession(headers=ana.headers) as http:
            coordinator._room._waiting = reading_room.MOST_WAITING
            async with http.get(url, ssl=ana.context) as answer:
                assert answer.status == 503
                assert answer.headers["Retry-After"] == "2"
            coordinator._room._waiting = 0
            async with http.get(url, ssl=ana.context) as answer:
                assert answer.status != 503
