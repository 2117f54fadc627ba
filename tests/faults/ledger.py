"""What the ledger holds: exported by the product's own command, verified offline, and read here."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import apsw

from protocol.ledger.pack import iter_pack
from protocol.statement import (
    CHAIN_START,
    MAX_SIGNED_STATEMENT_BYTES,
    Statement,
    StatementKind,
    parse_statement,
    statement_id,
)
from tests.acceptance.ceremony import HUB
from tests.acceptance.world import World

Recorded = list[tuple[bytes, Statement]]
"""The id and content of every statement, in the ledger's order."""


class Auditor:
    """An auditor with a token of the coordinator, who takes the whole ledger along.

    Args:
        world: The community; its coordinator must serve the ledger.
        port: Where it does.

    Attributes:
        verdict: What the verifier said last.
        tolerated: The codes of what it may find: what was done to the clocks is to be seen in a ledger.
    """

    verdict = ""
    tolerated: frozenset[str] = frozenset()

    def __init__(self, world: World, port: int) -> None:
        self._world = world
        self._url = f"https://127.0.0.1:{port}"
        self._bundle = world.folder / "bundle"
        named = world.run("coordinator", "auditor", "add", "Rosa Prieto", "--data", world.data(HUB), "--json")
        assert named.code == 0, named.err
        self._token = Path(named.object["token"])

    def export(self) -> Recorded | None:
        """Export the ledger, verify it offline, and return what stands in it; None if it does not verify."""
        world, pinned = self._world, self._world.founded.root_hash.hex()
        shutil.rmtree(self._bundle, ignore_errors=True)
        words = ("--url", self._url, "--token-file", self._token, "--community", world.founded.community)
        ran = world.run("audit", "export", *words, "--root-hash", pinned, "-o", self._bundle)
        assert ran.code == 0, ran.err
        ran = world.run("audit", "verify", self._bundle, "--root-hash", pinned, "--json")
        self.verdict = ran.out + ran.err
        failed = {one["code"] for one in ran.object["findings"] if one["severity"] == "failed"}
        return in_bundle(self._bundle) if failed <= self.tolerated else None


def in_bundle(bundle: Path) -> Recorded:
    """Return the statements of a bundle."""
    packs = sorted((bundle / "ack" / "statements").rglob("*"))
    rows: dict[int, bytes] = {}
    for pack in packs:
        if pack.is_file():
            rows |= dict(iter_pack(pack.read_bytes(), MAX_SIGNED_STATEMENT_BYTES))
    return parsed([rows[index] for index in sorted(rows)])


def statements(database: Path) -> Recorded:
    """Return what a coordinator that has ended has recorded, from its own file."""
    db = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        assert db.execute("PRAGMA integrity_check").get == "ok"
        rows = [
            (idx, bytes(data)) for idx, data in db.execute("SELECT idx, data FROM statement ORDER BY idx")
        ]
    finally:
        db.close()
    assert [idx for idx, _ in rows] == list(range(len(rows)))
    return parsed([data for _, data in rows])


def parsed(rows: list[bytes]) -> Recorded:
    """Return signed statements with their ids."""
    return [(statement_id(signed.body), statement) for signed, statement in map(parse_statement, rows)]


def check_chains(recorded: Recorded) -> None:
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


def said(recorded: Recorded, kind: StatementKind) -> Counter[tuple[str, str]]:
    """Return how often each party said one thing of each notice."""
    return Counter((one.party, one.envelope.hex()) for _, one in recorded if one.kind is kind)
