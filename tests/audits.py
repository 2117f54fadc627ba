"""A ledger of the tests as an auditor gets it: the verdict, and what in it failed."""

from __future__ import annotations

import pytest

from exchange.audit.verdict import Finding, Grade, Verdict
from exchange.audit.verify.bundle import Options, verify_bundle
from keys.sealing import SealedNotice
from protocol.documents import Revocation
from protocol.statement import StatementKind
from tests.bundles import Memory, Writer, publish
from tests.community import community

K = StatementKind


def audit(files: dict[str, bytes], **options: object) -> Verdict:
    return verify_bundle(Memory(files), community().id, Options(**options))  # type: ignore[arg-type]


def failures(verdict: Verdict) -> list[tuple[str, int | None]]:
    return [(one.code, one.leaf) for one in verdict.findings if one.severity is Grade.FAILED]


def finding(verdict: Verdict, code: str) -> Finding:
    return next(one for one in verdict.findings if one.code == code)


@pytest.fixture
def writer() -> Writer:
    return Writer()


@pytest.fixture
def sealed(writer: Writer) -> SealedNotice:
    return writer.notice()


def revoke(writer: Writer, code: str, at_ms: int) -> None:
    """Log a manifest that revokes a state's node key from a time on."""
    key_id = writer.built.members[code].node.key_id
    publish(writer, code, revoked=(Revocation(key_id=key_id, reason="lost", at_ms=at_ms),))
