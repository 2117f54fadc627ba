"""A bundle of any size on disk, with every signature real: what an auditor of years would be handed.

Rounds of :data:`ROUND` notices; in each, everybody signs what it says in one batch, as under load. A
notice to two states makes seven leaves: RELAYED, and of each state RECEIVED, OPENED and ACCEPTED.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from keys.evidence import NO_STATEMENT_YET, Saying, draft_statement, sign_statements
from keys.quorum import policy_text
from keys.signer import Signer
from protocol import codec
from protocol.ledger.bundle import (
    LIST_NAME,
    README_NAME,
    Listing,
    Part,
    SignedManifest,
    checkpoint_name,
    document_name,
    entries_name,
    format_listing,
    headers_name,
    milestone_name,
    part,
    policy_name,
    statements_name,
    tiles,
)
from protocol.ledger.leaf import statement_leaf
from protocol.ledger.origins import Log
from protocol.ledger.pack import encode_pack
from protocol.ledger.tiles import TILE_WIDTH, encode_entries
from protocol.notice import DEFAULT_LIFE_MS, Addressee, Header, Kind, Manifest, envelope_id
from protocol.signed import Context
from protocol.statement import PROVES_DECRYPTION, StatementKind
from protocol.suite import SUITE_1
from tests.bundles import GRAVE, Writer
from tests.community import HUB

ROUND = 16
ROUND_MS = 1000
MILESTONE_ROUNDS = 60
SENDER, RECIPIENTS = "XAA", ("XBB", "XCC")
ANSWERS = (StatementKind.RECEIVED, StatementKind.OPENED, StatementKind.ACCEPTED)


@dataclass
class BigLedger(Writer):
    """A writer whose statements go to the disk, and whose leaves alone stay in memory.

    Attributes:
        folder: Where the bundle is written.
    """

    folder: Path = field(default_factory=Path)
    _bodies: list[tuple[int, bytes]] = field(default_factory=list)
    _heads: list[tuple[int, bytes]] = field(default_factory=list)
    _parts: dict[str, Part] = field(default_factory=dict)

    def fill(self, leaves: int) -> None:
        """Write rounds until there are at least so many leaves, then the rest of the bundle."""
        self.announce()
        self._bodies.append((0, self.statements[0]))
        rounds = 0
        while len(self.leaves) < leaves:
            self._round()
            self.now_ms += ROUND_MS
            rounds += 1
            if rounds % MILESTONE_ROUNDS == 0:
                self.milestone()
        self._flush(everything=True)
        self._finish()

    def _round(self) -> None:
        manifests = [self._manifest(number) for number in range(ROUND)]
        proofs = self.built.members[SENDER].node.sign_batch(Context.NOTICE, manifests)
        first = len(self.leaves)
        names = [envelope_id(manifest) for manifest in manifests]
        self._say(HUB, self.built.hub, [Saying(kind=StatementKind.RELAYED, envelope=name) for name in names])
        self._heads += [
            (first + number, codec.encode(SignedManifest(*signed)))
            for number, signed in enumerate(zip(manifests, proofs, strict=True))
        ]
        for kind in ANSWERS:
            for state in RECIPIENTS:
                proof = hashlib.sha256(state.encode()).digest() if kind in PROVES_DECRYPTION else None
                said = [Saying(kind=kind, envelope=name, decryption_proof=proof) for name in names]
                self._say(state, self.signer(state, kind), said)
        self._flush(everything=False)

    def _manifest(self, number: int) -> bytes:
        salt = hashlib.sha256(f"{len(self.leaves)} {number}".encode()).digest()
        header = Header(
            v=1,
            suite=SUITE_1,
            kind=Kind.REPORT,
            exercise=False,
            sender=SENDER,
            key_id=self.built.members[SENDER].node.key_id,
            nonce=salt[:16],
            created_ms=self.now_ms,
            expires_ms=self.now_ms + DEFAULT_LIFE_MS,
            directory=self.trusted.head(),
            recipients=tuple(
                Addressee(code, self.trusted.prekey(code, self.now_ms).prekey.key_id) for code in RECIPIENTS
            ),
            severity=GRAVE,
            respond_by_ms=self.now_ms + 3_600_000,
        )
        # An auditor without a disclosure never sees what these are hashes of.
        manifest = Manifest(
            header=codec.encode(header),
            wrap_hashes=(salt,) * len(RECIPIENTS),
            payload_hash=salt,
            payload_length=2048,
            blobs=(),
        )
        return codec.encode(manifest)

    def _say(self, party: str, signer: Signer, sayings: list[Saying]) -> None:
        chain = self.chains.get(signer.key_id, NO_STATEMENT_YET)
        drafts = []
        for saying in sayings:
            nonce = hashlib.sha256(f"{party} {signer.role} {chain.sequence}".encode()).digest()
            draft = draft_statement(
                saying,
                party=party,
                signer=signer,
                at_ms=self.now_ms,
                nonce=nonce,
                directory=self.trusted.head(),
                chain=chain,
            )
            chain = draft.chain
            drafts.append(draft)
        self.chains[signer.key_id] = chain
        for saying, data in zip(sayings, sign_statements(signer, drafts), strict=True):
            self._bodies.append((len(self.leaves), data))
            self.leaves.append(statement_leaf(saying.kind, self.now_ms, data).encode())

    def _flush(self, *, everything: bool) -> None:
        """Write the packs of the ranges that are full."""
        full = len(self.leaves) // TILE_WIDTH + everything
        for number, bodies in _by_tile(self._bodies, full):
            self._put(statements_name(number), encode_pack(bodies))
        for number, heads in _by_tile(self._heads, full):
            self._put(headers_name(number), encode_pack(heads))
        self._bodies = [one for one in self._bodies if one[0] // TILE_WIDTH >= full]
        self._heads = [one for one in self._heads if one[0] // TILE_WIDTH >= full]

    def _finish(self) -> None:
        """Write what is made of the leaves and documents, and the list last."""
        self._put(README_NAME, b"A bundle of the benchmarks.\n")
        for log, leaves in ((Log.ACK, self.leaves), (Log.DIRECTORY, self.dir_leaves)):
            self._put(checkpoint_name(log), self.signed(log).data)
            self._put(policy_name(log), policy_text(self.trusted, HUB, log).encode())
            for number in range(tiles(len(leaves))):
                some = leaves[number * TILE_WIDTH : (number + 1) * TILE_WIDTH]
                self._put(entries_name(log, number, len(leaves)), encode_entries(some))
        for index, data in enumerate(self.documents):
            self._put(document_name(index), data)
        for size, data in self.milestones.items():
            self._put(milestone_name(size), data)
        listing = Listing(
            community=self.built.id,
            coordinator=HUB,
            leaves=len(self.leaves),
            documents=len(self.documents),
            member=None,
            bodies_from=0,
            made_ms=self.now_ms,
            program="benchmarks",
            parts=self._parts,
        )
        (self.folder / LIST_NAME).write_bytes(format_listing(listing))

    def _put(self, name: str, data: bytes) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self._parts[name] = part(name, data)


def _by_tile(records: list[tuple[int, bytes]], below: int) -> Iterator[tuple[int, list[tuple[int, bytes]]]]:
    """Yield the records of each range that is complete."""
    found: dict[int, list[tuple[int, bytes]]] = {}
    for index, data in records:
        if index // TILE_WIDTH < below:
            found.setdefault(index // TILE_WIDTH, []).append((index, data))
    yield from found.items()
