"""Is this receipt true? From the pinned root hash alone; no clock, no network, no other file.

Each part of a receipt is judged by the trust documents that stand above it, so that a key counts
where it counted when its statement was logged, however the community has changed since. The leaf is
recomputed from the statement in hand, never taken from the file; its path must lead to a checkpoint
that the log and a quorum of witnesses have signed. See ``protocol/spec/receipt.md``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from keys.evidence import check_statement, officer_name
from keys.quorum import Quorum, active_states, quorum_of
from keys.signer import Verifier
from keys.trust import MAX_SKEW_MS, TrustedDirectory
from protocol import codec
from protocol.documents import Role
from protocol.errors import (
    AlmenaraError,
    Forked,
    FormatError,
    TrustError,
    UnknownSigner,
    UnknownState,
    VersionGap,
    WrongCommunity,
)
from protocol.fields import MAX_MILLIS
from protocol.ledger.checkpoint import Checkpoint, parse_checkpoint, sign_with
from protocol.ledger.leaf import statement_leaf
from protocol.ledger.origins import Log
from protocol.ledger.receipt import (
    CheckpointSection,
    DocumentSection,
    NoticeSection,
    Section,
    StatementSection,
    parse_receipt,
)
from protocol.notice import Header, envelope_id, parse_manifest
from protocol.signed import Context, Proof
from protocol.statement import SIGNER_ROLE, Statement, StatementKind, parse_statement, statement_id
from protocol.text import format_utc
from protocol.tree import leaf_hash, root_from_path

MAX_PROOF_BYTES = 8 * 1024
_LINES = 2
"""How many signature lines a log or witness has in a checkpoint: one of each type."""


@dataclass(frozen=True, slots=True)
class VerifiedStatement:
    """One statement that its party signed and that stands in the witnessed log.

    Attributes:
        id: The statement's 32-byte id.
        kind: What is said.
        party: Who says it.
        key_id: The 32-byte id of the key that signed.
        subject: Of whose delivery it speaks; None if of every recipient's, as RELAYED does.
        officer: The person who signed, as the state's manifest names it; None for a machine's.
        code: The reason, for the kinds that have one.
        at_ms: When, by the signer's own clock, milliseconds UTC.
        recorded_ms: When the coordinator says that it recorded it.
        witnessed_ms: By when a quorum of witnesses had cosigned a checkpoint over it: the one time of
            the three that no single party could choose.
        index: Its leaf's index in the statement log.
    """

    id: bytes
    kind: StatementKind
    party: str
    key_id: bytes
    subject: str | None
    officer: str | None
    code: str | None
    at_ms: int
    recorded_ms: int
    witnessed_ms: int
    index: int


@dataclass(frozen=True, slots=True)
class VerifiedCheckpoint:
    """A checkpoint that the log and a quorum signed.

    Attributes:
        checkpoint: What it says.
        cosigned: Which states cosigned it, and when, seconds UTC.
        witnesses: How many active states the directory lists.
        needed: How many make a quorum.
        witnessed_ms: By when the quorum was complete, milliseconds UTC.
        directory_version: The version of the directory that says who the witnesses are.
    """

    checkpoint: Checkpoint
    cosigned: dict[str, int]
    witnesses: int
    needed: int
    witnessed_ms: int
    directory_version: int


@dataclass(frozen=True, slots=True)
class VerifiedReceipt:
    """A receipt in which everything is proved, except for its comments.

    Attributes:
        community: The 32-byte id of the community: the root hash that was pinned.
        community_name: Its name, as the newest root in the receipt gives it.
        names: The names of its states, by code, as the newest directory in the receipt gives them.
        coordinator: The code of the coordinator whose log this is.
        origin: The name of that log.
        envelope: The id of the notice.
        header: The visible part of the notice, as its sender signed it.
        checkpoints: The checkpoints, in order.
        statements: The statements, in order of their leaves.
    """

    community: bytes
    community_name: str
    names: dict[str, str]
    coordinator: str
    origin: str
    envelope: bytes
    header: Header = field(repr=False)
    checkpoints: tuple[VerifiedCheckpoint, ...]
    statements: tuple[VerifiedStatement, ...]


def verify_receipt(data: bytes, pinned_root_hash: bytes, verifier: Verifier) -> VerifiedReceipt:
    """Return what a receipt proves, or raise: a receipt of which one part is false proves nothing.

    Args:
        data: The file's bytes.
        pinned_root_hash: The 32-byte hash of the community's first root document, from the ceremony.
        verifier: Checks signatures; may be shared.

    Raises:
        FormatError: it is no receipt, or a part of it is not well formed; the message says which.
        WrongCommunity: it is about another community.
        TrustError: a part may not be believed; the message says which, the subclass which rule it
            breaks: a signature, a signer, a quorum, a path that leads elsewhere.
    """
    receipt = parse_receipt(data)
    if receipt.community != pinned_root_hash:
        raise WrongCommunity(
            f"the receipt is of the community {receipt.community.hex()}, not of the pinned one",
            hint="Compare the digits of the root hash with those; a community has one, from its ceremony.",
        )
    judge = ReceiptJudge(receipt.community, receipt.coordinator, verifier)
    for number, section in enumerate(receipt.sections, start=1):
        with _naming(f"part {number} of the receipt ({_NAMES[type(section)]})"):
            judge.take(section)
    return judge.verdict()


_NAMES: dict[type[Section], str] = {
    DocumentSection: "document",
    NoticeSection: "notice",
    CheckpointSection: "checkpoint",
    StatementSection: "statement",
}


@contextmanager
def _naming(part: str) -> Iterator[None]:
    """Let an error say where it arose; what an auditor reads must lead to the line."""
    try:
        yield
    except AlmenaraError as error:
        error.message = f"{part}: {error.message}"
        error.args = (error.message,)
        raise


_OF_SENDER = frozenset({StatementKind.WITHDRAWN, StatementKind.SUPERSEDED})
_OF_ALL = _OF_SENDER | {StatementKind.RELAYED}


class _Notice(NamedTuple):
    envelope: bytes
    header: Header
    recipients: frozenset[str]


class ReceiptJudge:
    """Takes the parts of a receipt in order; what it holds was proved.

    A part that it refuses changes nothing, so that whoever makes a receipt finds by it below which
    documents a part can stand.

    Args:
        community: The 32-byte root hash that was pinned.
        coordinator: The code of the coordinator whose log is spoken of.
        verifier: Checks signatures.
    """

    def __init__(self, community: bytes, coordinator: str, verifier: Verifier) -> None:
        self._coordinator = coordinator
        self._verifier = verifier
        self._directory = TrustedDirectory(community, verifier)
        self._notice: _Notice | None = None
        self._checkpoints: list[VerifiedCheckpoint] = []
        self._roots: dict[int, bytes] = {}
        self._statements: dict[bytes, VerifiedStatement] = {}
        self._indexes: set[int] = set()

    def take(self, section: Section) -> None:
        """Prove one part by those above it.

        Raises:
            FormatError, TrustError: it is not proved.
        """
        match section:
            case DocumentSection():
                # Documents were judged by the time when they came; here only their chains count.
                if not self._directory.update(section.data, MAX_MILLIS).changed:
                    raise FormatError("the document stands here twice")
            case NoticeSection():
                self._take_notice(section)
            case CheckpointSection():
                self._take_checkpoint(section)
            case StatementSection():
                self._take_statement(section)

    def trimmed(self, data: bytes) -> bytes:
        """Return a checkpoint with those signatures alone that the documents so far can prove.

        Raises:
            FormatError, TrustError: it is no checkpoint of this log, or a signature is false.
        """
        signed = parse_checkpoint(data)
        quorum = self._quorum()
        quorum.require_log(signed)
        pairs = [quorum.log, *(quorum.witnesses[state] for state in quorum.cosigned(signed))]
        names = {(key.name, key.key_id) for pair in pairs for key in pair}
        kept = [one for one in signed.note.signatures if (one.name, one.key_id) in names]
        return sign_with(signed.checkpoint, kept).data

    def verdict(self) -> VerifiedReceipt:
        """Return what was proved, if it is a receipt at all.

        Raises:
            FormatError: it is none.
            KeyRevoked: a part may be a thief's, by a directory of the receipt itself.
        """
        if self._notice is None or not self._statements:
            raise FormatError("the receipt holds no statement in the ledger, and proves nothing")
        self._require_uncompromised()
        return VerifiedReceipt(
            community=self._directory.community,
            community_name=self._directory.root.name,
            names={entry.code: entry.name for entry in self._directory.states()},
            coordinator=self._coordinator,
            origin=self._checkpoints[-1].checkpoint.origin,
            envelope=self._notice.envelope,
            header=self._notice.header,
            checkpoints=tuple(self._checkpoints),
            statements=tuple(sorted(self._statements.values(), key=lambda one: one.index)),
        )

    def _take_notice(self, section: NoticeSection) -> None:
        if self._notice is not None:
            raise FormatError("a receipt is about one notice")
        _, header = parse_manifest(section.manifest)
        proof = codec.decode(section.proof, Proof, limit=MAX_PROOF_BYTES, what="proof")
        self._directory.require_suite(header.suite)
        self._directory.require_unrevoked(header.sender, header.key_id)
        key = self._directory.signer_key(header.sender, header.key_id, Role.NODE, header.created_ms)
        self._verifier.verify(key, Role.NODE, Context.NOTICE, section.manifest, proof)
        recipients = frozenset(addressee.state for addressee in header.recipients)
        self._notice = _Notice(envelope_id(section.manifest), header, recipients)

    def _take_checkpoint(self, section: CheckpointSection) -> None:
        signed = parse_checkpoint(section.data)
        size, root = signed.checkpoint.size, signed.checkpoint.root
        if self._roots.get(size, root) != root:
            raise Forked(f"two checkpoints of this receipt name different roots for size {size} of the log")
        quorum = self._quorum()
        cosigned = quorum.require(signed)
        if len(signed.note.signatures) != _LINES * (1 + len(cosigned)):
            # Whoever changes a line must not turn it into one that is passed over.
            raise UnknownSigner("the checkpoint has signatures that no document above can prove")
        seconds = quorum.time_of(cosigned)
        if seconds is None or seconds > MAX_MILLIS // 1000:
            raise FormatError("the time of a cosignature is out of bounds")
        self._roots[size] = root
        self._checkpoints.append(
            VerifiedCheckpoint(
                checkpoint=signed.checkpoint,
                cosigned=cosigned,
                witnesses=active_states(self._directory),
                needed=quorum.needed,
                witnessed_ms=seconds * 1000,
                directory_version=self._directory.head().version,
            )
        )

    def _quorum(self) -> Quorum:
        try:
            return quorum_of(self._directory, self._coordinator, Log.ACK)
        except UnknownState as error:
            raise UnknownSigner(error.message) from error

    def _take_statement(self, section: StatementSection) -> None:
        if self._notice is None or not self._checkpoints:
            raise FormatError("a statement stands below the notice and a checkpoint, or proves nothing")
        signed, statement = parse_statement(section.data)
        name = statement_id(signed.body)
        if name in self._statements or section.index in self._indexes:
            raise FormatError("the statement stands here twice")
        self._require_about(statement, self._notice)
        check_statement(self._directory, self._verifier, signed, statement, now_ms=None)
        under = self._checkpoints[-1]
        self._require_unrevoked(statement, under)
        self._require_known(statement, under)
        _require_place(statement, section, under)
        self._indexes.add(section.index)
        self._statements[name] = VerifiedStatement(
            id=name,
            kind=statement.kind,
            party=statement.party,
            key_id=statement.key_id,
            subject=_subject(statement),
            officer=officer_name(self._directory, statement),
            code=statement.code,
            at_ms=statement.at_ms,
            recorded_ms=section.at_ms,
            witnessed_ms=under.witnessed_ms,
            index=section.index,
        )

    def _require_about(self, statement: Statement, notice: _Notice) -> None:
        """Refuse a genuine statement that is about something else, or by somebody else."""
        if statement.envelope != notice.envelope:
            raise TrustError("the statement is genuine or not, but about another notice")
        party, role = statement.party, SIGNER_ROLE[statement.kind]
        if role is Role.COORDINATOR:
            expected = party == self._coordinator
        elif statement.kind in _OF_SENDER:
            expected = party == notice.header.sender
        else:
            expected = party in notice.recipients
        if not expected or (statement.about is not None and statement.about not in notice.recipients):
            raise UnknownSigner(f"{party} may not say {statement.kind.name} about this notice")

    def _require_known(self, statement: Statement, under: VerifiedCheckpoint) -> None:
        """Refuse a checkpoint judged by fewer states than the statement's own signer knew of."""
        if self._directory.contradicts(statement.directory):
            raise Forked(f"{statement.party} knew another directory version {statement.directory.version}")
        if statement.directory.version > under.directory_version:
            raise VersionGap(
                f"{statement.party} knew directory version {statement.directory.version}; the checkpoint "
                f"above is judged by version {under.directory_version}"
            )

    def _require_unrevoked(self, statement: Statement, under: VerifiedCheckpoint) -> None:
        """Refuse what stands below its key's revocation, unless witnesses had it before that time."""
        withdrawn_ms = self._directory.documents.withdrawn_ms(statement.party, statement.key_id)
        if withdrawn_ms is not None and under.witnessed_ms >= withdrawn_ms:
            self._directory.require_unrevoked(statement.party, statement.key_id)

    def _require_uncompromised(self) -> None:
        """Refuse what a thief may have signed, wherever the directory that says so stands."""
        documents, notice = self._directory.documents, self._notice
        assert notice is not None  # noqa: S101 - the caller has looked
        signers = [(one.party, one.key_id, one.witnessed_ms) for one in self._statements.values()]
        # The notice was there when the first statement about it was.
        first_ms = min(witnessed_ms for _, _, witnessed_ms in signers)
        for party, key_id, witnessed_ms in [*signers, (notice.header.sender, notice.header.key_id, first_ms)]:
            since_ms = documents.compromised_ms(party, key_id)
            if since_ms is not None and witnessed_ms >= since_ms:
                self._directory.require_unrevoked(party, key_id)


def _require_place(statement: Statement, section: StatementSection, under: VerifiedCheckpoint) -> None:
    leaf = leaf_hash(statement_leaf(statement.kind, section.at_ms, section.data).encode())
    root = root_from_path(leaf, section.index, under.checkpoint.size, section.path)
    if root != under.checkpoint.root:
        raise TrustError(
            f"this {statement.kind.name} of {statement.party} is not leaf {section.index} of the log: "
            "its path does not lead to the checkpoint's root"
        )
    if section.at_ms > under.witnessed_ms + MAX_SKEW_MS:
        raise TrustError(
            f"the leaf claims to be recorded at {format_utc(section.at_ms)}, after it was witnessed"
        )


def _subject(statement: Statement) -> str | None:
    if statement.about is not None:
        return statement.about
    return None if statement.kind in _OF_ALL else statement.party
