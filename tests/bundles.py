"""A ledger in memory, with real keys and signatures, and the auditor's bundle that is made of it.

:class:`Writer` logs documents and statements as a coordinator does, lets the states' witnesses
cosign, and gives the bundle as a mapping from names to bytes. A test may change anything in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from msgspec.structs import replace

from exchange.audit.verify.parts import Found
from keys import enrolment
from keys.documents import sign_document
from keys.evidence import NO_STATEMENT_YET, Chain, Draft, Saying, draft_statement, sign_statements
from keys.note_keys import NoteSecret
from keys.quorum import policy_text
from keys.sealing import PAIR_START, PairPosition, SealedNotice, SealFor, decryption_proof, seal
from keys.signer import Signer
from keys.trust import TrustedDirectory
from protocol import codec
from protocol.documents import Role, parse_document, parse_signed_document
from protocol.ledger.bundle import (
    LIST_NAME,
    README_NAME,
    Listing,
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
from protocol.ledger.checkpoint import Checkpoint, SignedCheckpoint, sign_with
from protocol.ledger.frontier import Frontier
from protocol.ledger.leaf import document_leaf, parse_leaf, statement_leaf
from protocol.ledger.origins import Log, origin
from protocol.ledger.pack import encode_pack
from protocol.ledger.tiles import TILE_WIDTH, encode_entries
from protocol.marking import Tlp
from protocol.notice import Addressee, Body, Header, Kind
from protocol.severity import SeverityTag
from protocol.statement import PROVES_DECRYPTION, SIGNER_ROLE, SeenCheckpoint, StatementKind
from protocol.suite import SUITE_1
from protocol.tree import leaf_hash, root_of
from tests.community import CODES, HUB, YEAR_MS, Community, community

SECOND_MS = 1000
HOUR_MS = 3600 * 1000
GRAVE = SeverityTag(schema="xaa-national", version=1, level="grave", point=4)


class Memory:
    """A source of a bundle that lies in memory."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = files

    def names(self) -> Iterator[Found]:
        yield from (Found(name, len(data)) for name, data in self.files.items())

    def read(self, name: str, limit: int) -> bytes | None:
        data = self.files.get(name)
        return None if data is None else data[: limit + 1]


@dataclass
class Writer:
    """A coordinator's two logs; ``now_ms`` is its clock, which tests move."""

    built: Community = field(default_factory=community)
    now_ms: int = 0
    documents: list[bytes] = field(default_factory=list)
    dir_leaves: list[bytes] = field(default_factory=list)
    statements: list[bytes] = field(default_factory=list)
    leaves: list[bytes] = field(default_factory=list)
    headers: dict[int, bytes] = field(default_factory=dict)
    milestones: dict[int, bytes] = field(default_factory=dict)
    chains: dict[bytes, Chain] = field(default_factory=dict)
    announced: int = 0

    def __post_init__(self) -> None:
        self.now_ms = self.now_ms or self.built.now_ms
        self.trusted = TrustedDirectory(self.built.id, self.built.verifier)
        for document in self.built.documents:
            self.document(document)

    @property
    def log_name(self) -> str:
        return self.trusted.coordinator(HUB).log.name

    def document(self, data: bytes) -> int:
        """Log a signed trust document."""
        self.trusted.update(data, self.now_ms)
        return self.force_document(data)

    def force_document(self, data: bytes) -> int:
        """Log a document, whether it may be believed or not."""
        document = parse_document(parse_signed_document(data).body)
        self.documents.append(data)
        self.dir_leaves.append(document_leaf(document, self.now_ms, data))
        return len(self.documents) - 1

    def log(self, data: bytes, kind: StatementKind, at_ms: int | None = None) -> int:
        """Log a signed statement; returns its leaf."""
        self.statements.append(data)
        self.leaves.append(statement_leaf(kind, self.now_ms if at_ms is None else at_ms, data).encode())
        return len(self.statements) - 1

    def draft(
        self, party: str, saying: Saying, *, signer: Signer | None = None, said_ms: int | None = None
    ) -> Draft:
        """Write a statement that continues its key's series."""
        key = signer or self.signer(party, saying.kind)
        number = len(self.chains), self.chains.get(key.key_id, NO_STATEMENT_YET).sequence
        draft = draft_statement(
            saying,
            party=party,
            signer=key,
            at_ms=self.now_ms if said_ms is None else said_ms,
            nonce=hashlib.sha256(repr((party, number)).encode()).digest(),
            directory=self.trusted.head(),
            chain=self.chains.get(key.key_id, NO_STATEMENT_YET),
        )
        self.chains[key.key_id] = draft.chain
        return draft

    def say(
        self,
        party: str,
        saying: Saying,
        *,
        signer: Signer | None = None,
        said_ms: int | None = None,
        at_ms: int | None = None,
    ) -> int:
        """Sign and log one statement; the documents are announced first if there are new ones."""
        self.announce()
        draft = self.draft(party, saying, signer=signer, said_ms=said_ms)
        key = signer or self.signer(party, saying.kind)
        return self.log(sign_statements(key, [draft])[0], saying.kind, at_ms)

    def signer(self, party: str, kind: StatementKind) -> Signer:
        """Return the key with which a party says such a thing."""
        match SIGNER_ROLE[kind]:
            case Role.COORDINATOR:
                return self.built.hub
            case Role.OFFICER:
                return self.built.members[party].officer
            case _:
                return self.built.members[party].node

    def announce(self) -> None:
        """Say that the documents logged so far count from here on, if there are new ones."""
        if self.announced == len(self.documents):
            return
        self.announced = len(self.documents)
        root = root_of([leaf_hash(leaf) for leaf in self.dir_leaves])
        seen = SeenCheckpoint(origin(self.log_name, Log.DIRECTORY), self.announced, root)
        self.say(HUB, Saying(kind=StatementKind.DIRECTORY, envelope=root, seen=seen))

    def seen(self) -> SeenCheckpoint:
        """Return the ledger as it is now, as a signer names it."""
        checkpoint = self.checkpoint(Log.ACK)
        return SeenCheckpoint(checkpoint.origin, checkpoint.size, checkpoint.root)

    # Notices.

    def notice(
        self,
        sender: str = "XAA",
        recipients: Sequence[str] = ("XBB", "XCC"),
        *,
        severity: SeverityTag = GRAVE,
        respond_in_ms: int | None = HOUR_MS,
        relay: bool = True,
    ) -> SealedNotice:
        """Seal a notice and log that it was relayed."""
        member = self.built.members[sender]
        choices = {code: self.trusted.prekey(code, self.now_ms).prekey for code in recipients}
        header = Header(
            v=1,
            suite=SUITE_1,
            kind=Kind.REPORT,
            exercise=False,
            sender=sender,
            key_id=member.node.key_id,
            nonce=hashlib.sha256(str(len(self.leaves)).encode()).digest()[:16],
            created_ms=self.now_ms,
            expires_ms=self.now_ms + 72 * HOUR_MS,
            directory=self.trusted.head(),
            recipients=tuple(Addressee(code, choices[code].key_id) for code in recipients),
            severity=severity,
            respond_by_ms=None if respond_in_ms is None else self.now_ms + respond_in_ms,
        )
        sealed = seal(
            header,
            body(sender),
            [SealFor(code, choices[code].public, PairPosition(1, PAIR_START)) for code in recipients],
            member.node,
        )
        if relay:
            self.relay(sealed)
        return sealed

    def relay(self, sealed: SealedNotice) -> int:
        """Log RELAYED for a notice, with its header."""
        leaf = self.say(HUB, Saying(kind=StatementKind.RELAYED, envelope=sealed.id))
        submission = sealed.submission
        self.headers[leaf] = codec.encode(SignedManifest(submission.manifest, submission.proof))
        return leaf

    def answer(
        self,
        state: str,
        kind: StatementKind,
        sealed: SealedNotice,
        *,
        said_ms: int | None = None,
        at_ms: int | None = None,
    ) -> int:
        """Log what a state says about a notice."""
        return self.say(state, saying(kind, sealed, state, self.seen()), said_ms=said_ms, at_ms=at_ms)

    # Checkpoints.

    def checkpoint(self, log: Log, size: int | None = None) -> Checkpoint:
        """Return a log's unsigned checkpoint."""
        leaves = self.leaves if log is Log.ACK else self.dir_leaves
        count = len(leaves) if size is None else size
        frontier = Frontier().extend(leaf_hash(leaf) for leaf in leaves[:count])
        return Checkpoint(origin(self.log_name, log), count, frontier.root)

    def signed(
        self, log: Log, witnesses: Sequence[str] = CODES, *, at_ms: int | None = None
    ) -> SignedCheckpoint:
        """Return a log's checkpoint, signed and cosigned now."""
        seconds = (self.now_ms if at_ms is None else at_ms) // 1000
        checkpoint = self.checkpoint(log)
        signed = sign_with(checkpoint, self.built.log.sign_log(checkpoint, seconds))
        for code in witnesses:
            manifest = self.trusted.documents.manifest(code)
            assert manifest is not None
            signed = signed.with_signatures(
                self.witness(code).cosign(checkpoint, manifest.witness.name, seconds)
            )
        return signed

    def witness(self, code: str) -> NoteSecret:
        """Return a state's witness keys."""
        return self.built.members[code].witness

    def milestone(self, witnesses: Sequence[str] = CODES, *, at_ms: int | None = None) -> int:
        """Keep the ledger's checkpoint as it is now; returns its size."""
        size = len(self.leaves)
        self.milestones[size] = self.signed(Log.ACK, witnesses, at_ms=at_ms).data
        return size

    # The bundle.

    def bundle(
        self,
        *,
        member: str | None = None,
        bodies_from: int = 0,
        concerns: Sequence[int] | None = None,
        witnesses: Sequence[str] = CODES,
    ) -> dict[str, bytes]:
        """Return the files of a bundle of everything so far."""
        files = {README_NAME: b"A bundle of the tests.\n"}
        for log, leaves in ((Log.ACK, self.leaves), (Log.DIRECTORY, self.dir_leaves)):
            files[checkpoint_name(log)] = self.signed(log, witnesses).data
            files[policy_name(log)] = policy_text(self.trusted, HUB, log).encode()
            for number in range(tiles(len(leaves))):
                some = leaves[number * TILE_WIDTH : (number + 1) * TILE_WIDTH]
                files[entries_name(log, number, len(leaves))] = encode_entries(some)
        for index, data in enumerate(self.documents):
            files[document_name(index)] = data
        for size, data in self.milestones.items():
            files[milestone_name(size)] = data
        there = self._there(bodies_from, concerns)
        for number in range(tiles(len(self.leaves))):
            span = range(number * TILE_WIDTH, (number + 1) * TILE_WIDTH)
            bodies = [(index, self.statements[index]) for index in there if index in span]
            heads = [
                (index, self.headers[index]) for index in there if index in span and index in self.headers
            ]
            files |= {statements_name(number): encode_pack(bodies)} if bodies else {}
            files |= {headers_name(number): encode_pack(heads)} if heads else {}
        return self.listed(files, member=member, bodies_from=bodies_from)

    def listed(
        self, files: Mapping[str, bytes], *, member: str | None = None, bodies_from: int = 0
    ) -> dict[str, bytes]:
        """Return the files with a list that names each as it is."""
        parts = {name: part(name, data) for name, data in files.items() if name != LIST_NAME}
        listing = Listing(
            community=self.built.id,
            coordinator=HUB,
            leaves=len(self.leaves),
            documents=len(self.documents),
            member=member,
            bodies_from=bodies_from,
            made_ms=self.now_ms,
            program="tests",
            parts=parts,
        )
        return {**files, LIST_NAME: format_listing(listing)}

    def _there(self, bodies_from: int, concerns: Sequence[int] | None) -> list[int]:
        directory = [
            index
            for index, leaf in enumerate(self.leaves)
            if parse_leaf(leaf).type is StatementKind.DIRECTORY
        ]
        wanted = range(bodies_from, len(self.leaves)) if concerns is None else concerns
        return sorted({*directory, *wanted})


def body(sender: str) -> Body:
    """Return what the tests' notices say."""
    return Body(
        v=1,
        sender=sender,
        notice=bytes(16),
        incident=bytes(16),
        refers_to=None,
        tlp=Tlp.AMBER,
        language="en",
        subject="Outage",
        text="The registry does not answer.",
        attachments=(),
    )


def saying(
    kind: StatementKind, sealed: SealedNotice, state: str, seen: SeenCheckpoint | None = None
) -> Saying:
    """Return what a state says about a notice that it opened."""
    proof = decryption_proof(sealed.content_key, sealed.id, state) if kind in PROVES_DECRYPTION else None
    codes = {StatementKind.DECLINED: "not-affected", StatementKind.REJECTED: "cannot-open"}
    return Saying(kind=kind, envelope=sealed.id, decryption_proof=proof, code=codes.get(kind), seen=seen)


def publish(writer: Writer, code: str, **changes: object) -> None:
    """Log the next manifest of a state."""
    member = writer.built.members[code]
    held = writer.trusted.documents.manifests[code]
    made = enrolment.next_manifest(
        held,
        state=code,
        community=writer.built.id,
        keys=held.document.keys,
        certificates=held.document.certificates,
        now_ms=writer.now_ms,
        life_ms=YEAR_MS,
    )
    writer.document(sign_document(replace(made, **changes), [member.identity]))


def lively(built: Community | None = None) -> tuple[Writer, list[SealedNotice]]:
    """Return a day in which everything happened once: answers, silence, a refusal, an expiry."""
    writer = Writer(built or community())
    first = writer.notice()
    writer.now_ms += 2 * SECOND_MS
    writer.answer("XBB", StatementKind.RECEIVED, first)
    writer.answer("XCC", StatementKind.RECEIVED, first)
    writer.now_ms += 60 * SECOND_MS
    writer.milestone(at_ms=writer.now_ms)
    writer.answer("XBB", StatementKind.OPENED, first)
    writer.answer("XBB", StatementKind.ACCEPTED, first)
    second = writer.notice("XBB", ("XAA", "XCC"))
    writer.now_ms += 60 * SECOND_MS
    writer.milestone()
    writer.answer("XAA", StatementKind.RECEIVED, second)
    writer.answer("XAA", StatementKind.DECLINED, second)
    writer.answer("XCC", StatementKind.REJECTED, second)
    writer.answer("XBB", StatementKind.COMPLETED, first)
    writer.now_ms += 2 * HOUR_MS
    writer.milestone()
    third = writer.notice("XCC", ("XAA",), respond_in_ms=None)
    writer.now_ms += 74 * HOUR_MS
    writer.milestone()
    writer.say(HUB, Saying(kind=StatementKind.UNDELIVERED, envelope=third.id, about="XAA", code="expired"))
    writer.now_ms += 5 * SECOND_MS
    return writer, [first, second, third]


def write(files: Mapping[str, bytes], folder: Path) -> Path:
    """Write a bundle into a folder."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder
