"""A coordinator whose statement key and certificate change while it runs, on real TLS."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from exchange.keystore import write_secret
from exchange.link.certificate import make_certificate
from exchange.link.client import connect
from exchange.link.handshake import Identity, authenticate_as_node
from exchange.link.tls import client_context
from keys import governance
from keys.evidence import verify_statement
from keys.keyfile import KeyKind, KeyRecord, format_secret
from keys.protection import Unprotected
from keys.signature import SecretKey
from keys.signer import Signer, sign_possession
from keys.trust import TrustedDirectory
from protocol import codec
from protocol.documents import CoordinatorEntry, Role
from protocol.errors import PeerNotPinned, SetupError, TrustError, UnknownSigner, Unreachable
from protocol.session.messages import Accepted, Publish, Submit
from protocol.statement import parse_statement
from tests.community import HUB, YEAR_MS
from tests.envelopes import sent
from tests.hubs import CLOCK, Node, certificate, directory, everyone, node, prepare, running

SEED = hashlib.sha512(b"the next statement key").digest()
NEXT = Signer(SecretKey.from_seed(SEED), Role.COORDINATOR)


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """Return a prepared data directory."""
    data = tmp_path / "hub"
    await prepare(data)
    return data


def hold_next_key(folder: Path) -> None:
    """Put the next statement key beside the present one."""
    record = KeyRecord(KeyKind.SIGNING, "statement key 2", "coordinator", SEED, everyone().now_ms)
    write_secret(folder / "keys" / "statement-2.key", format_secret(record, Unprotected()))


def entry_with_next_key() -> CoordinatorEntry:
    """Return the coordinator's entry with its next statement key."""
    return msgspec.structs.replace(
        directory().coordinator(HUB),
        key=NEXT.public,
        possession=sign_possession(NEXT, HUB, everyone().id),
    )


def listing(trusted: TrustedDirectory, entry: CoordinatorEntry) -> bytes:
    """Return the next directory with this entry, signed."""
    following = governance.next_directory(
        trusted, trusted.states(), [entry], now_ms=CLOCK.now_ms(), life_ms=YEAR_MS
    )
    return everyone().signed_by_governance(following)


async def relayed(xaa: Node, ref: int) -> bytes:
    """Submit a notice and return the coordinator's signed RELAYED."""
    answer = await xaa.ask(Submit(ref=ref, submission=codec.encode(sent(everyone(), to=("XBB",)))))
    assert isinstance(answer, Accepted)
    assert answer.statement is not None
    return answer.statement


async def publish(xaa: Node, ref: int, document: bytes) -> None:
    """Hand a document in, and take the news of it."""
    xaa.link.send(Publish(ref=ref, document=document))
    kinds = [type(await xaa.next()).__name__ for _ in range(2)]
    assert sorted(kinds) == ["Accepted", "Documents"]


async def test_a_statement_key_changes_under_a_session_and_nothing_is_lost(
    folder: Path, tmp_path: Path
) -> None:
    """What was said before counts on; what is said after is by the key that the directory lists."""
    hold_next_key(folder)
    async with running(folder) as (_, port), node(tmp_path, "XAA", port) as xaa:
        before = await relayed(xaa, 1)
        new = listing(directory(), entry_with_next_key())
        await publish(xaa, 2, new)
        after = await relayed(xaa, 3)
    assert parse_statement(before)[1].key_id == everyone().hub.key_id
    assert parse_statement(after)[1].key_id == NEXT.key_id
    trusted = directory()
    trusted.update(new, CLOCK.now_ms())
    for data in (before, after):
        verify_statement(trusted, everyone().verifier, data, now_ms=CLOCK.now_ms())


async def test_a_node_that_was_away_while_the_key_changed_still_comes_in(
    folder: Path, tmp_path: Path
) -> None:
    """It is greeted with the key that its directory lists, or it could never fetch the next one."""
    hold_next_key(folder)
    new = listing(directory(), entry_with_next_key())
    async with running(folder) as (_, port):
        async with node(tmp_path, "XAA", port) as xaa:
            await publish(xaa, 1, new)
        async with node(tmp_path, "XBB", port) as xbb:
            assert xbb.link.session.hello


async def test_after_a_restart_the_listed_key_signs(folder: Path, tmp_path: Path) -> None:
    """The choice follows from the documents alone, so a restart changes nothing about it."""
    hold_next_key(folder)
    async with running(folder) as (_, port), node(tmp_path, "XAA", port) as xaa:
        await publish(xaa, 1, listing(directory(), entry_with_next_key()))
        await relayed(xaa, 2)
    async with running(folder) as (_, port), node(tmp_path, "XAA", port) as xaa:
        statement = parse_statement(await relayed(xaa, 1))[1]
    assert (statement.key_id, statement.sequence) == (NEXT.key_id, 3)


async def test_a_coordinator_whose_listed_key_is_not_here_stops_and_says_so(
    folder: Path, tmp_path: Path
) -> None:
    """Nobody would believe it; a person must bring the key."""
    async with running(folder) as (coordinator, port), node(tmp_path, "XAA", port) as xaa:
        xaa.link.send(Publish(ref=1, document=listing(directory(), entry_with_next_key())))
        with pytest.raises(SetupError, match=NEXT.key_id.hex()[:16]) as found:
            await asyncio.wait_for(coordinator.failed(), 10)
    assert "coordinator rotate" in found.value.hint


async def test_a_statement_that_names_the_new_directory_is_refused_from_the_old_key() -> None:
    """Whoever stole a replaced key cannot go on with it."""
    trusted = directory()
    version = trusted.head().version
    trusted.update(listing(trusted, entry_with_next_key()), CLOCK.now_ms())
    old = everyone().hub.key_id
    find = trusted.signer_key
    assert find(HUB, old, Role.COORDINATOR, CLOCK.now_ms(), knew=version) == everyone().hub.public
    for knew in (version + 1, None):
        with pytest.raises(UnknownSigner):
            find(HUB, old, Role.COORDINATOR, CLOCK.now_ms(), knew=knew)


@asynccontextmanager
async def pinning(folder: Path, port: int, pinned: Sequence[bytes]) -> AsyncIterator[bytes]:
    """Connect XAA with these certificates pinned; yield the SHA-256 of the one that was shown."""
    mine = folder / "xaa"
    mine.mkdir(exist_ok=True)
    (mine / "tls.crt").write_bytes(certificate("XAA").pem)
    (mine / "tls.key").write_bytes(certificate("XAA").key_pem)
    context = client_context(mine / "tls.crt", mine / "tls.key", pinned)
    link = await connect(
        f"wss://127.0.0.1:{port}", context, clock=CLOCK, own_certificate=certificate("XAA").id
    )
    try:
        yield link.peer_certificate
    finally:
        await link.close()


async def test_a_certificate_is_announced_then_shown_and_no_session_ends(
    folder: Path, tmp_path: Path
) -> None:
    """Listed behind the old one it is only known; listed first, or alone, it is used from then on."""
    fresh = make_certificate(HUB, CLOCK.now_ms(), 3_600_000)
    write_secret(folder / "keys" / "tls-2.key", fresh.key_pem.decode())
    (folder / "keys" / "tls-2.crt").write_bytes(fresh.pem)
    old, new = certificate(HUB), fresh
    trusted = directory()
    entry = trusted.coordinator(HUB)
    both = listing(trusted, msgspec.structs.replace(entry, certificates=(old.der, new.der)))
    trusted.update(both, CLOCK.now_ms())
    last = listing(trusted, msgspec.structs.replace(entry, certificates=(new.der,)))
    async with running(folder) as (_, port), node(tmp_path, "XBB", port) as xbb:
        await publish(xbb, 1, both)
        async with pinning(tmp_path, port, [old.der, new.der]) as shown:
            assert shown == old.id
        await publish(xbb, 2, last)
        async with pinning(tmp_path, port, [old.der, new.der]) as shown:
            assert shown == new.id
        with pytest.raises((PeerNotPinned, Unreachable, TrustError)):
            async with pinning(tmp_path, port, [old.der]):
                raise AssertionError
        one = sent(everyone(), sender="XBB", to=("XAA",))
        assert isinstance(await xbb.ask(Submit(ref=3, submission=codec.encode(one))), Accepted)


async def test_a_session_over_the_new_certificate_is_bound_to_it(folder: Path, tmp_path: Path) -> None:
    """Both sides sign the certificate of this very connection, also when it was changed meanwhile."""
    fresh = make_certificate(HUB, CLOCK.now_ms(), 3_600_000)
    write_secret(folder / "keys" / "tls-2.key", fresh.key_pem.decode())
    (folder / "keys" / "tls-2.crt").write_bytes(fresh.pem)
    trusted = directory()
    entry = trusted.coordinator(HUB)
    only = listing(trusted, msgspec.structs.replace(entry, certificates=(fresh.der,)))
    async with running(folder) as (_, port):
        async with node(tmp_path, "XBB", port) as xbb:
            await publish(xbb, 1, only)
        trusted.update(only, CLOCK.now_ms())
        mine = tmp_path / "mine"
        mine.mkdir()
        (mine / "tls.crt").write_bytes(certificate("XAA").pem)
        (mine / "tls.key").write_bytes(certificate("XAA").key_pem)
        link = await connect(
            f"wss://127.0.0.1:{port}",
            client_context(mine / "tls.crt", mine / "tls.key", [fresh.der]),
            clock=CLOCK,
            own_certificate=certificate("XAA").id,
        )
        me = Identity("XAA", everyone().members["XAA"].node, everyone().verifier, trusted)
        await authenticate_as_node(link, me, coordinator=HUB, nonce=bytes(32), now_ms=CLOCK.now_ms())
        await link.close()
