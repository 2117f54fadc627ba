"""Receipts as files: everything that this node can prove about one notice, verified before it is given.

Each part is put below the trust documents by which it was judged when it came; the finished file is
verified from the pinned root hash alone, exactly as an auditor will, before anybody gets it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import apsw

from exchange.node.context import NodeContext
from exchange.node.doubts import doubtful_since
from exchange.node.showing import evidence_of
from exchange.node.telling import printable, tell, utc
from exchange.node.views import PendingView, ProofView
from exchange.stores.node_books import read_documents
from exchange.stores.node_ledger import CheckpointRow, find_checkpoint, find_place
from exchange.stores.node_notices import NoticeRow
from exchange.stores.node_statements import StatementRow, list_statements
from keys.held import Documents
from keys.receipt import ReceiptJudge, VerifiedReceipt, verify_receipt
from keys.signer import Verifier
from protocol.documents import Directory, Root, StateManifest, parse_document, parse_signed_document
from protocol.errors import FormatError, NotFound, TrustError
from protocol.ledger.origins import Log
from protocol.ledger.receipt import (
    MAX_COMMENTS,
    CheckpointSection,
    DocumentSection,
    NoticeSection,
    Receipt,
    Section,
    StatementSection,
    format_receipt,
)
from protocol.notice import parse_manifest
from protocol.statement import parse_statement

_LAST_WORDS = (
    "",
    "These lines are for people, and nothing proves that they were not changed. What is proved stands below;",
    "verify it, without any network, against the root hash of the community that you have pinned:",
    "  almenara audit verify FILE --root-hash ROOT-HASH",
)


@dataclass(frozen=True, slots=True)
class Proved:
    """A receipt, and what it does not hold yet.

    Attributes:
        data: The file's bytes.
        verified: What it proves.
        pending: Statements that this node has and cannot prove yet, oldest first.
    """

    data: bytes = field(repr=False)
    verified: VerifiedReceipt
    pending: tuple[StatementRow, ...]


@dataclass(frozen=True, slots=True)
class _Item:
    """A statement with its place, the checkpoint that it stands under, and whose key signed it."""

    row: StatementRow
    checkpoint: CheckpointRow
    section: StatementSection
    signer: tuple[str, bytes]


@dataclass(frozen=True, slots=True)
class _Material:
    """What the store has, of one moment."""

    documents: list[bytes]
    notice: NoticeSection
    items: list[_Item]
    pending: list[StatementRow]


class Proofs:
    """Makes receipts.

    Args:
        context: The node.
    """

    def __init__(self, context: NodeContext) -> None:
        self._context = context

    async def prove(self, notice: NoticeRow) -> Proved:
        """Return the receipt of one notice.

        Raises:
            NotFound: nothing about it is in the witnessed ledger yet.
        """
        context = self._context
        material = await context.engine.read(lambda db: _gather(db, notice))
        if material.items:
            # Signatures by the hundred, in a large community: not on the loop that carries notices.
            proved = await asyncio.to_thread(
                _make,
                _undoubted(material, context.directory.documents),
                context.directory.community,
                context.coordinator,
                context.verifier,
            )
            if proved is not None:
                return proved
        raise NotFound(
            f"nothing about notice {notice.id.hex()[:12]} is in the witnessed ledger yet",
            hint="Wait some seconds and ask again. If it lasts, see who has witnessed: almenara ledger "
            "watch --once --data DIR --token-file TOKEN",
        )


def proof_view(id_: str, proved: Proved, documents: Documents, others: tuple[str, ...]) -> ProofView:
    """Return a receipt as it is given out; ``others`` are the notice's other envelopes."""
    return ProofView(
        id=id_,
        receipt=proved.data.decode(),
        statements=len(proved.verified.statements),
        pending=tuple(
            PendingView(
                kind=row.kind.name.lower(),
                party=row.party,
                at_ms=row.at_ms,
                evidence=evidence_of(row, documents),
            )
            for row in proved.pending
        ),
        others=others,
    )


def _gather(db: apsw.Connection, notice: NoticeRow) -> _Material:
    items, pending = [], []
    # Many statements stand under one checkpoint, and a checkpoint is large.
    find = lru_cache(lambda size: find_checkpoint(db, Log.ACK, size))
    for row in list_statements(db, notice.id):
        place = find_place(db, row.id)
        checkpoint = None if place is None else find(place.size)
        if place is None or checkpoint is None:
            pending.append(row)
            continue
        section = StatementSection(place.at_ms, row.body, place.index, place.path)
        statement = parse_statement(row.body)[1]
        items.append(_Item(row, checkpoint, section, (statement.party, statement.key_id)))
    items.sort(key=lambda one: (one.checkpoint.documents, one.checkpoint.size, one.section.index))
    return _Material(
        read_documents(db), NoticeSection(bytes(notice.manifest), bytes(notice.proof)), items, pending
    )


def _undoubted(material: _Material, documents: Documents) -> _Material:
    """Leave out what a thief may have signed: a receipt of which one part is doubtful proves nothing."""
    doubtful = [item for item in material.items if doubtful_since(documents, item.row) is not None]
    items = [item for item in material.items if item not in doubtful]
    _, header = parse_manifest(material.notice.manifest)
    since_ms = documents.compromised_ms(header.sender, header.key_id)
    if since_ms is not None and all(item.checkpoint.witnessed_ms >= since_ms for item in items):
        items = []
    pending = [*material.pending, *(item.row for item in doubtful)]
    return replace(material, items=items, pending=pending)


def _make(material: _Material, community: bytes, coordinator: str, verifier: Verifier) -> Proved | None:
    """Return the finished receipt, or None if nothing could be proved."""
    composer = _Composer(material, ReceiptJudge(community, coordinator, verifier))
    sections, left = composer.compose()
    if not any(isinstance(section, StatementSection) for section in sections):
        return None
    pending = tuple(sorted([*material.pending, *left], key=lambda row: row.at_ms))
    plain = Receipt(community, coordinator, tuple(sections))
    verified = verify_receipt(format_receipt(plain), community, verifier)
    words = [*tell(verified), *_not_yet(pending)]
    # However many officers have answered: the file must stay one that its reader takes.
    comments = (*words[: MAX_COMMENTS - len(_LAST_WORDS)], *_LAST_WORDS)
    return Proved(format_receipt(replace(plain, comments=comments)), verified, pending)


class _Composer:
    """Puts each part below the first documents that prove it, from those on that judged it here."""

    def __init__(self, material: _Material, judge: ReceiptJudge) -> None:
        self._material = material
        self._judge = judge
        self._sections: list[Section] = []
        self._waiting = list(material.items)
        self._has_notice = False
        self._revoked = _first_revocations(material.documents)
        self._under: bytes | None = None
        """The checkpoint above, while no document came after it."""

    def compose(self) -> tuple[list[Section], list[StatementRow]]:
        """Return the parts in order, and the statements that no documents of this node prove."""
        for number, data in enumerate(self._material.documents, start=1):
            if _concerns(data):
                self._add(DocumentSection(data))
                self._under = None
            self._place_parts(number)
            if not self._waiting:
                break
        return self._sections, [item.row for item in self._waiting]

    def _place_parts(self, number: int) -> None:
        """Place what was judged by so many documents, if they prove it."""
        if not self._has_notice:
            self._has_notice = self._try(self._material.notice)
        ready = [item for item in self._waiting if self._earliest(item) <= number]
        if self._has_notice:
            placed = [item for item in ready if self._place(item)]
            self._waiting = [item for item in self._waiting if item not in placed]

    def _earliest(self, item: _Item) -> int:
        """Return by how many documents an item is judged at the earliest.

        The coordinator logs nothing by a revoked key, so what it logged was there before the revocation,
        also if this node came to know of it later; an auditor sees whether that is so.
        """
        return min(item.checkpoint.documents, self._revoked.get(item.signer, item.checkpoint.documents))

    def _place(self, item: _Item) -> bool:
        try:
            section = CheckpointSection(self._judge.trimmed(item.checkpoint.note))
        except (FormatError, TrustError):
            return False
        if self._under != section.data:
            if not self._is_proved(section):
                return False
            self._under = None
            if not self._is_proved(item.section):
                return False
            self._sections += [section, item.section]
            self._under = section.data
            return True
        return self._try(item.section)

    def _try(self, section: Section) -> bool:
        if not self._is_proved(section):
            return False
        self._sections.append(section)
        return True

    def _add(self, section: DocumentSection) -> None:
        self._judge.take(section)
        self._sections.append(section)

    def _is_proved(self, section: Section) -> bool:
        try:
            self._judge.take(section)
        except (FormatError, TrustError):
            return False
        return True


def _first_revocations(documents: Sequence[bytes]) -> dict[tuple[str, bytes], int]:
    """Return how many documents stand before the one that first revokes each key."""
    found: dict[tuple[str, bytes], int] = {}
    for number, data in enumerate(documents):
        document = parse_document(parse_signed_document(data).body)
        if isinstance(document, StateManifest):
            for item in document.revoked:
                found.setdefault((document.state, item.key_id), number)
    return found


def _concerns(data: bytes) -> bool:
    """Whether a document says who governs, who is a member, or with which keys somebody signs."""
    return isinstance(parse_document(parse_signed_document(data).body), Root | Directory | StateManifest)


def _not_yet(pending: Sequence[StatementRow]) -> list[str]:
    """Return what a person must know is missing; it is this node's word, and not proved."""
    if not pending:
        return []
    return [
        "",
        "Not in this receipt, because it is not in the witnessed ledger yet, or its key is compromised:",
        *(
            printable(f"  {utc(row.at_ms)}  {row.kind.name.lower()} of {row.party}")
            + ("" if row.officer is None else printable(f" by {row.officer}"))
            for row in pending
        ),
    ]
