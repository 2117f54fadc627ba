"""A receipt made without a node, from the fictitious community's keys: what tests change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from keys.evidence import NO_STATEMENT_YET, Chain
from protocol import codec
from protocol.ledger.receipt import (
    CheckpointSection,
    DocumentSection,
    NoticeSection,
    Receipt,
    Section,
    StatementSection,
    format_receipt,
)
from protocol.statement import StatementKind, parse_statement, statement_id
from tests.clocks import FixedClock
from tests.community import HUB, Community, community
from tests.envelopes import id_of, said, sent
from tests.ledgers import ALL, PlayedLedger

COMMENTS = ("Receipt for a notice of the tests", "", "  XBB received it")
K = StatementKind


@dataclass(frozen=True)
class Material:
    """A notice of XAA to XBB and XCC, the signed statements about it, and the log they stand in."""

    everyone: Community
    played: PlayedLedger
    notice: NoticeSection
    envelope: bytes
    statements: tuple[bytes, ...]

    @property
    def documents(self) -> tuple[Section, ...]:
        """The community's documents but for prekey lists."""
        return tuple(DocumentSection(data) for data in self.everyone.documents if b"prekeys" not in data[:64])

    def checkpoint(self, by: Sequence[str] = ALL, size: int | None = None) -> CheckpointSection:
        """Return the log's checkpoint, cosigned by these states."""
        return CheckpointSection(self.played.witnessed(size, by).data)

    def statement(self, data: bytes) -> StatementSection:
        """Return a statement with its place."""
        name = statement_id(parse_statement(data)[0].body)
        (place,) = self.played.locate([name]).places
        return StatementSection(place.at_ms, data, place.index, place.path)

    def receipt(self, **changes: object) -> Receipt:
        """Return the whole genuine receipt."""
        sections = (
            *self.documents,
            self.notice,
            self.checkpoint(),
            *(self.statement(data) for data in self.statements),
        )
        plain = Receipt(self.everyone.id, HUB, sections, COMMENTS)
        return replace(plain, **changes)  # type: ignore[arg-type]


@lru_cache
def material() -> Material:
    """Return a notice that XBB has received and accepted, and XCC has not; always the same one."""
    everyone = community()
    clock = FixedClock(everyone.now_ms)
    submission = sent(everyone)
    envelope = id_of(submission)
    parts = [(HUB, K.RELAYED), ("XBB", K.RECEIVED), ("XBB", K.OPENED), ("XBB", K.ACCEPTED)]
    chains: dict[tuple[str, bool], Chain] = {}
    made = []
    for party, kind in parts:
        key = (party, kind in (K.OPENED, K.ACCEPTED))
        one = said(everyone, party, kind, envelope, chain=chains.get(key, NO_STATEMENT_YET))
        chains[key] = one.chain
        made.append(one.data)
    played = PlayedLedger(everyone, clock)
    played.fill(5)
    for data in made:
        played.record(data)
        played.fill(1)
    notice = NoticeSection(submission.manifest, codec.encode(submission.proof))
    return Material(everyone, played, notice, envelope, tuple(made))


@lru_cache
def genuine() -> bytes:
    """Return the bytes of a genuine receipt."""
    return format_receipt(material().receipt())


def with_sections(change: Callable[[list[Section]], None]) -> bytes:
    """Return a receipt whose parts were changed in place."""
    receipt = material().receipt()
    sections = list(receipt.sections)
    change(sections)
    return format_receipt(replace(receipt, sections=tuple(sections)))
