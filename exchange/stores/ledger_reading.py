"""What stands behind the leaves, and who may read which of it: an auditor all, a member what concerns it.

A member sees what was said by itself or to itself: all that was said of its own notices; of those
it received, the relaying, the sender's word, its own, and that it did not collect them. DIRECTORY is
for everybody.
"""

from __future__ import annotations

import apsw

from protocol import codec
from protocol.ledger.bundle import SignedManifest
from protocol.signed import Proof
from protocol.statement import StatementKind

MAX_PROOF_BYTES = 4096

# Codes have no spaces, and stand between spaces.
ADDRESSED = "instr(' ' || e.recipients || ' ', ' ' || :reader || ' ') > 0"

CONCERNS = f"""
    :reader IS NULL OR s.party = :reader OR e.sender = :reader OR s.kind = {StatementKind.DIRECTORY.value}
    OR ({ADDRESSED} AND (
        s.party = e.sender OR s.kind = {StatementKind.RELAYED.value}
        OR EXISTS (SELECT 1 FROM undelivered AS u WHERE u.statement = s.idx AND u.recipient = :reader)))
"""  # noqa: S608  (all parts are constants of this module)

STATEMENTS = f"""
    SELECT s.idx, s.data FROM statement AS s LEFT JOIN envelope AS e ON e.id = s.envelope
    WHERE s.idx >= :first AND s.idx < :first + :count AND ({CONCERNS})
    ORDER BY s.idx
"""  # noqa: S608  (all parts are constants of this module)

HEADERS = f"""
    SELECT s.idx, e.manifest, e.proof
    FROM statement AS s JOIN envelope AS e ON e.id = s.envelope AND e.relayed = s.idx
    WHERE s.idx >= :first AND s.idx < :first + :count
        AND (:reader IS NULL OR e.sender = :reader OR {ADDRESSED})
    ORDER BY s.idx
"""  # noqa: S608  (all parts are constants of this module)


def statements(
    db: apsw.Connection, reader: str | None, first: int, count: int
) -> tuple[tuple[int, bytes], ...]:
    """Return index and signed form of the statements that a reader may see, of a range of leaves."""
    rows = db.execute(STATEMENTS, {"reader": reader, "first": first, "count": count})
    return tuple((index, data) for index, data in rows)


def headers(db: apsw.Connection, reader: str | None, first: int, count: int) -> tuple[tuple[int, bytes], ...]:
    """Return, for each RELAYED leaf of a range that a reader may see, the envelope's signed manifest."""
    rows = db.execute(HEADERS, {"reader": reader, "first": first, "count": count})
    return tuple((index, encoded(manifest, proof)) for index, manifest, proof in rows)


def encoded(manifest: bytes, proof: bytes) -> bytes:
    """Return a manifest with its signature as one object."""
    parsed = codec.decode(proof, Proof, limit=MAX_PROOF_BYTES, what="stored proof")
    return codec.encode(SignedManifest(manifest=manifest, proof=parsed))
