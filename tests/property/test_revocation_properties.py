"""No state voids its own past: whatever it signs later, what witnesses had seen stays what it was."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from exchange.audit.verdict import Grade, Outcome
from exchange.audit.verify.bundle import verify_bundle
from keys.receipt import verify_receipt
from keys.signer import Verifier
from protocol.documents import Revocation
from protocol.ledger.receipt import DocumentSection
from protocol.statement import StatementKind
from tests.bundles import HOUR_MS, SECOND_MS, Memory, Writer, publish, saying
from tests.community import DAY_MS, YEAR_MS
from tests.receipts import with_sections

TIMES = st.sampled_from([-YEAR_MS, -2 * HOUR_MS, -HOUR_MS, 0, HOUR_MS, YEAR_MS])
REASONS = st.sampled_from(["compromised", "lost", "retired"])
CHANGES = st.lists(
    st.tuples(st.sampled_from(["node", "officer", "both", "drop", "shorten"]), TIMES, REASONS),
    min_size=1,
    max_size=4,
)


def changes_of(writer: Writer, change: tuple[str, int, str]) -> dict[str, Any]:
    """Return what XBB's next manifest says: keys revoked at any time, left out, or with another life."""
    what, moved_ms, reason = change
    member = writer.built.members["XBB"]
    if what == "drop":
        return {"keys": member.keys[:1]}
    if what == "shorten":
        return {"keys": tuple(replace(key, until_ms=key.from_ms + DAY_MS) for key in member.keys)}
    ids = {"node": [member.node], "officer": [member.officer], "both": [member.node, member.officer]}[what]
    at_ms = max(0, writer.now_ms + moved_ms)
    return {"revoked": tuple(Revocation(key_id=one.key_id, reason=reason, at_ms=at_ms) for one in ids)}


@settings(deadline=None, max_examples=25)
@given(CHANGES)
def test_nothing_that_a_state_signs_later_voids_what_it_said_before(
    changes: list[tuple[str, int, str]],
) -> None:
    """In the ledger, its receipt and answer count, and nothing about them is doubtful (threat 22)."""
    writer = Writer()
    sealed = writer.notice()
    said = [
        writer.say("XBB", saying(kind, sealed, "XBB"))
        for kind in (StatementKind.RECEIVED, StatementKind.OPENED, StatementKind.ACCEPTED)
    ]
    writer.now_ms += SECOND_MS
    writer.milestone()
    for change in changes:
        writer.now_ms += HOUR_MS
        publish(writer, "XBB", **changes_of(writer, change))
        writer.announce()
    verdict = verify_bundle(Memory(writer.bundle()), writer.built.id)
    assert verdict.verdict is Outcome.OK, verdict.findings
    assert not [one for one in verdict.findings if one.severity is not Grade.NOTE]
    assert verdict.statistics is not None
    total = verdict.statistics.total
    assert [total.received.leaves, total.opened.leaves, total.accepted.leaves] == [(leaf,) for leaf in said]


@settings(deadline=None, max_examples=25)
@given(CHANGES)
def test_a_receipt_holds_whatever_its_signer_publishes_afterwards(
    changes: list[tuple[str, int, str]],
) -> None:
    """In a receipt: no document below a statement takes it away."""
    writer = Writer()
    for change in changes:
        publish(writer, "XBB", **changes_of(writer, change))
    later = [DocumentSection(data) for data in writer.documents[len(writer.built.documents) :]]
    data = with_sections(lambda sections: sections.extend(later))
    assert len(verify_receipt(data, writer.built.id, Verifier()).statements) == 4
