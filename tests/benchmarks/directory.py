"""A directory of 200 members: mirrored from nothing, and brought up to date, by a real node over real TLS.

The floor is the same verification in one bare process: what the node takes longer is session and disk.
"""

from __future__ import annotations

import asyncio
import re
import string
import time
from pathlib import Path
from statistics import median

import apsw
import msgspec

from exchange.link.certificate import make_certificate
from exchange.setup import governance as work
from exchange.setup.coordinator import join_community
from exchange.setup.keyring import open_signer
from keys.documents import sign_document
from keys.enrolment import load_community, next_manifest
from keys.governance import next_directory
from keys.signer import Verifier
from protocol.documents import Role
from protocol.enrolment import parse_community
from protocol.session.messages import Accepted, Publish
from tests.acceptance.ceremony import CODES, HUB, NO_PASSPHRASE, Founded
from tests.acceptance.member import Member, talking
from tests.acceptance.world import CLOCK, World, living, settle
from tests.community import member_documents, new_member

YEAR_MS = 365 * 24 * 3600 * 1000
LOOK_S = 0.002
MEMBERS = 200
"""As many as the directory can list."""


class Directory(msgspec.Struct, frozen=True, kw_only=True):
    """What a full directory costs a node.

    Attributes:
        members: How many states are listed.
        documents: How many documents there are.
        bare_s: To verify all of them in one process that does nothing else, seconds.
        mirrored_s: From a node's start with four documents to all of them on its disk, seconds.
        update_ms: From one more document handed in to its being on a node's disk, median, milliseconds.
        worst_update_ms: The longest of these.
        rss_mb: The most memory that the node has had.
    """

    members: int
    documents: int
    bare_s: float
    mirrored_s: float
    update_ms: float
    worst_update_ms: float
    rss_mb: float


def measure(folder: Path, members: int, updates: int) -> Directory:
    """Found a community of so many members, of which one node is real, and measure that node."""
    founded = settle(folder)
    _admit_many(founded, members)
    asyncio.run(join_community(founded.data(HUB), founded.community, CLOCK))
    community = founded.community.read_bytes()
    documents = len(parse_community(community).documents)
    began = time.perf_counter()
    load_community(community, founded.root_hash, Verifier(), CLOCK.now_ms())
    bare_s = time.perf_counter() - began
    with living(founded) as world:
        world.start(HUB)
        began = time.perf_counter()
        world.launch("XAA")
        _until_stored(world, documents, 60.0)
        mirrored_s = time.perf_counter() - began
        took = asyncio.run(_update(world, documents, updates))
        rss_mb = _peak_mb(world.pid("XAA"))
    return Directory(
        members=members,
        documents=documents,
        bare_s=bare_s,
        mirrored_s=mirrored_s,
        update_ms=median(took),
        worst_update_ms=max(took),
        rss_mb=rss_mb,
    )


def _admit_many(founded: Founded, members: int) -> None:
    """List further states, each with a manifest and fourteen daily keys; nobody runs a node for them."""
    now_ms = CLOCK.now_ms()
    held = work.read_ceremony(founded.governance, now_ms)
    spare = (f"X{a}{b}" for a in string.ascii_uppercase[:25] for b in string.ascii_uppercase)
    codes = [code for code in spare if code not in CODES][: members - len(CODES)]
    fresh = [new_member(code, founded.root_hash, now_ms) for code in codes]
    states = [*held.entries[0], *(one.entry for one in fresh)]
    directory = next_directory(held.trusted, states, held.entries[1], now_ms=now_ms, life_ms=YEAR_MS)
    keys = [open_signer(path, Role.DIRECTORY, NO_PASSPHRASE) for path in work.choose_keys(held, [])]
    documents = [
        data
        for one in fresh
        for data in member_documents(
            one, founded.root_hash, now_ms, make_certificate(one.code, now_ms, YEAR_MS).der
        )
    ]
    work.publish(held, [sign_document(directory, keys), *documents], now_ms)


async def _update(world: World, stored: int, updates: int) -> list[float]:
    """Let another member publish manifests, and return how long each took to reach the node's disk, ms."""
    took: list[float] = []
    identity = open_signer(world.data("XBB") / "keys" / "identity.key", Role.IDENTITY, NO_PASSPHRASE)
    async with talking(world.founded, "XBB") as xbb:
        held = xbb.directory.documents.manifests["XBB"]
        for number in range(updates):
            present = held.document
            manifest = next_manifest(
                held,
                state="XBB",
                community=world.founded.root_hash,
                keys=present.keys,
                certificates=present.certificates,
                now_ms=CLOCK.now_ms(),
                life_ms=YEAR_MS,
            )
            data = sign_document(manifest, [identity])
            xbb.directory.update(data, CLOCK.now_ms())
            held = xbb.directory.documents.manifests["XBB"]
            began = time.perf_counter()
            await _published(xbb, number, data)
            _until_stored(world, stored + number + 1, 10.0)
            took.append((time.perf_counter() - began) * 1000)
    return took


async def _published(xbb: Member, ref: int, data: bytes) -> None:
    xbb.link.send(Publish(ref=ref, document=data))
    while not isinstance(await xbb.link.receive(), Accepted):
        pass


def _until_stored(world: World, documents: int, seconds: float) -> None:
    """Return as soon as the node has so many documents on its disk; looked at from outside."""
    path = world.data("XAA") / "almenara.db"
    end = time.monotonic() + seconds
    while _count(path) < documents:
        if time.monotonic() > end:
            raise AssertionError(f"{_count(path)} of {documents} documents came\n{world.tails()}")
        time.sleep(LOOK_S)


def _count(path: Path) -> int:
    database = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return int(next(iter(database.execute("SELECT count(*) FROM document")))[0])
    except apsw.BusyError:
        return 0
    finally:
        database.close()


def _peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text("ascii")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) / 1024
