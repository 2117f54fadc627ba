"""The ledger's store keeps its contract: rows are leaves, tiles grow, checkpoints are swapped."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import pytest

from exchange.stores.contract import Entry, MailPlace, NewEnvelope, NewStatement
from exchange.stores.ledger_contract import EMPTY, Extent, ReadTile, SignedExtent, Spot, Witnessing
from protocol import tree
from protocol.documents import parse_document, parse_signed_document
from protocol.errors import StoreFailed
from protocol.ledger.bundle import parse_signed_manifest
from protocol.ledger.leaf import document_leaf, statement_leaf
from protocol.ledger.origins import Log
from protocol.ledger.tiles import Tile, TileHashes, split_hashes
from protocol.notice import DEFAULT_LIFE_MS
from protocol.statement import StatementKind
from tests.community import HUB, community
from tests.envelopes import id_of, sent
from tests.stores import Store

EVERYONE = community()
NOW_MS = EVERYONE.now_ms


def statement(
    envelope: bytes,
    *,
    party: str = "XBB",
    kind: StatementKind = StatementKind.RECEIVED,
    expired: MailPlace | None = None,
) -> NewStatement:
    """Return a statement; the store does not look into its bytes."""
    return NewStatement(
        id=secrets.token_bytes(32),
        envelope=envelope,
        party=party,
        kind=kind,
        at_ms=NOW_MS,
        received_ms=NOW_MS + 5,
        data=secrets.token_bytes(50),
        mail_to=(),
        expired=expired,
    )


def envelope(to: tuple[str, ...]) -> NewEnvelope:
    """Return an envelope of XAA with real parts."""
    parts = sent(EVERYONE, to=to)
    name = id_of(parts)
    return NewEnvelope(
        id=name,
        sender="XAA",
        recipients=to,
        created_ms=NOW_MS,
        expires_ms=NOW_MS + DEFAULT_LIFE_MS,
        received_ms=NOW_MS + 5,
        submission=parts,
        relayed=statement(name, party=HUB, kind=StatementKind.RELAYED),
    )


def fakes(count: int) -> list[bytes]:
    """Return leaf hashes."""
    return [tree.leaf_hash(b"%d" % number) for number in range(count)]


def root_at(size: int) -> Callable[[ReadTile], bytes]:
    """Return the calculation of a tree's root from its tiles."""
    return lambda read: tree.root_by(size, TileHashes(read, size).subtree)


async def test_the_leaves_are_made_from_the_rows(store: Store) -> None:
    """Of a statement its kind, the coordinator's time and its signed bytes; in the order of the rows."""
    said = [statement(bytes(32)) for _ in range(5)]
    await store.commit(said, None)
    leaves = [statement_leaf(one.kind, one.received_ms, one.data).encode() for one in said]
    assert await store.ledger.entries(Log.ACK, 1, 3) == tuple(leaves[1:4])
    page = await store.ledger.leaf_hashes(Log.ACK, 0, limit=4)
    assert page.hashes == tuple(tree.leaf_hash(leaf) for leaf in leaves[:4])
    assert page.last == said[3].id
    assert (await store.ledger.leaf_hashes(Log.ACK, 5, limit=4)).hashes == ()


async def test_the_leaves_of_the_directory_log_are_the_documents(store: Store) -> None:
    """Of a document its kind, state and version too."""
    await store.append_documents(EVERYONE.documents, NOW_MS)
    parsed = [parse_document(parse_signed_document(data).body) for data in EVERYONE.documents]
    expected = [
        document_leaf(document, NOW_MS, data)
        for document, data in zip(parsed, EVERYONE.documents, strict=True)
    ]
    assert await store.ledger.entries(Log.DIRECTORY, 0, 99) == tuple(expected)
    assert await store.ledger.document(2) == EVERYONE.documents[2]
    assert await store.ledger.document(99) is None


async def test_a_checkpoint_is_swapped_only_for_the_one_expected(store: Store) -> None:
    """Whoever expects another one changes nothing."""
    said = [statement(bytes(32)) for _ in range(2)]
    await store.commit(said, None)
    ledger = store.ledger
    first = SignedExtent(Extent(1, bytes(32)), b"one")
    second = SignedExtent(Extent(2, bytes(32)), b"two")
    assert await ledger.signed(Log.ACK) is None
    assert await ledger.swap(Log.ACK, EMPTY, first, said[0].id)
    assert not await ledger.swap(Log.ACK, EMPTY, second, said[1].id)
    assert await ledger.signed(Log.ACK) == first
    assert await ledger.swap(Log.ACK, first.extent, second, said[1].id)
    assert await ledger.signed(Log.ACK) == second
    assert await ledger.signed(Log.DIRECTORY) is None


async def test_no_checkpoint_stands_over_rows_that_are_not_there(store: Store) -> None:
    """Whatever a reader saw, the writer looks again in the same transaction."""
    said = statement(bytes(32))
    await store.commit([said], None)
    new = SignedExtent(Extent(1, bytes(32)), b"one")
    with pytest.raises(StoreFailed):
        await store.ledger.swap(Log.ACK, EMPTY, new, bytes(32))
    beyond = SignedExtent(Extent(2, bytes(32)), b"two")
    with pytest.raises(StoreFailed):
        await store.ledger.swap(Log.ACK, EMPTY, beyond, said.id)
    assert await store.ledger.signed(Log.ACK) is None


@pytest.mark.parametrize("steps", [(1, 254, 1, 1, 300), (70_000,), (256, 65_280, 1), (255, 1, 511)])
async def test_tiles_grow_to_the_tree_of_their_leaves(store: Store, steps: tuple[int, ...]) -> None:
    """However the leaves come, every level has the roots that RFC 6962 asks for."""
    hashes = fakes(sum(steps))
    at = 0
    for step in steps:
        new = Extent(at + step, tree.root_of(hashes[: at + step]))
        await store.ledger.lay_out(Log.ACK, at, hashes[at : at + step], new)
        # Again, as after a crash.
        await store.ledger.lay_out(Log.ACK, at, hashes[at : at + step], new)
        at += step
        assert await store.ledger.on_tiles(Log.ACK, root_at(at)) == new.root
        assert await store.ledger.published(Log.ACK) == new


async def test_a_partial_tile_is_the_beginning_of_what_grew_from_it(store: Store) -> None:
    """A tile that was published once can be read for ever; what never was cannot."""
    hashes = fakes(300)
    await store.ledger.lay_out(Log.ACK, 0, hashes, Extent(300, bytes(32)))

    async def read(tile: Tile) -> bytes:
        return await store.ledger.on_tiles(Log.ACK, lambda read: read(tile))

    assert split_hashes(await read(Tile(0, 0, 17)), 17) == hashes[:17]
    assert split_hashes(await read(Tile(0, 1, 44)), 44) == hashes[256:]
    for tile in (Tile(0, 1, 45), Tile(0, 2, 1), Tile(1, 0, 2), Tile(2, 0, 1)):
        with pytest.raises(StoreFailed):
            await read(tile)


async def test_every_published_size_is_remembered(store: Store) -> None:
    """A size between two of them was never published."""
    hashes = fakes(20)
    for size in (3, 10, 20):
        first = (await store.ledger.published(Log.ACK)).size
        await store.ledger.lay_out(Log.ACK, first, hashes[first:size], Extent(size, bytes(32)))
    found = [size for size in range(25) if await store.ledger.is_published(Log.ACK, size, size + 1)]
    assert found == [3, 10, 20]
    assert await store.ledger.is_published(Log.ACK, 11, 21)
    assert not await store.ledger.is_published(Log.DIRECTORY, 0, 100)


async def test_a_member_reads_what_concerns_it_and_an_auditor_everything(
    store: Store,
) -> None:
    """A recipient does not learn from the ledger how another one answered."""
    both, other = envelope(("XBB", "XCC")), envelope(("XCC",))
    place = MailPlace("XBB", 1)
    entries: list[Entry] = [
        statement(bytes(32), party=HUB, kind=StatementKind.DIRECTORY),
        both,
        statement(both.id, party="XBB"),
        statement(both.id, party="XCC"),
        statement(both.id, party="XAA", kind=StatementKind.WITHDRAWN),
        other,
        statement(other.id, party="XCC"),
        statement(both.id, party=HUB, kind=StatementKind.UNDELIVERED, expired=place),
    ]
    await store.commit(entries, None)
    expected = {
        None: list(range(8)),
        "XAA": list(range(8)),
        "XBB": [0, 1, 2, 4, 7],
        "XCC": [0, 1, 3, 4, 5, 6],
        "XZZ": [0],
    }
    for reader, indexes in expected.items():
        found = await store.ledger.statements_for(reader, 0, 256)
        assert [index for index, _ in found] == indexes, reader
    assert [index for index, _ in await store.ledger.statements_for(None, 2, 3)] == [2, 3, 4]
    headers = await store.ledger.headers_for("XBB", 0, 256)
    assert [index for index, _ in headers] == [1]
    assert parse_signed_manifest(headers[0][1])[0].manifest == both.submission.manifest
    assert [index for index, _ in await store.ledger.headers_for("XCC", 0, 256)] == [1, 5]
    assert [index for index, _ in await store.ledger.headers_for(None, 2, 9)] == [5]


async def test_a_code_that_is_part_of_another_is_another(store: Store) -> None:
    """XB is not XBB."""
    await store.commit([envelope(("XBB",))], None)
    for reader in ("XB", "BB", "X"):
        assert await store.ledger.statements_for(reader, 0, 9) == ()


async def test_statements_are_found_by_their_ids(store: Store) -> None:
    """With the time in their leaf."""
    said = [statement(bytes(32)) for _ in range(3)]
    await store.commit(said, None)
    spots = await store.ledger.spots([said[2].id, said[0].id, bytes(32)])
    assert spots == {said[2].id: Spot(2, NOW_MS + 5), said[0].id: Spot(0, NOW_MS + 5)}


async def test_the_newest_directory_statement_is_found(store: Store) -> None:
    """What was said last about documents."""
    assert await store.ledger.announced() is None
    said = [statement(bytes(32), kind=StatementKind.DIRECTORY) for _ in range(2)]
    await store.commit([*said, statement(bytes(32))], None)
    assert await store.ledger.announced() == said[1].data


async def test_some_witnessed_checkpoints_are_kept_for_ever(store: Store) -> None:
    """The newest always; of the others one each minute, and of one size the first."""
    ledger = store.ledger
    for size, seconds in ((5, 0), (9, 59), (12, 60), (12, 125), (20, 130)):
        note = b"%d at %d" % (size, seconds)
        await ledger.save_witnessed(Log.ACK, Witnessing(size, seconds * 1000, note), apart_ms=60_000)
    assert await ledger.witnessed(Log.ACK) == Witnessing(20, 130_000, b"20 at 130")
    assert await ledger.milestones(Log.ACK) == (5, 12, 20)
    assert await ledger.milestone(Log.ACK, 12) == b"12 at 60"
    assert await ledger.milestone(Log.ACK, 9) is None
    assert await ledger.witnessed(Log.DIRECTORY) is None
