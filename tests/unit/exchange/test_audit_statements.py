"""Statements that are altered, misplaced, forged, dropped or doubled are named by an audit."""

from __future__ import annotations

from msgspec.structs import replace

from exchange.audit.verdict import Grade, Outcome
from keys.evidence import sign_statements
from keys.sealing import SealedNotice
from protocol import codec
from protocol.documents import Role
from protocol.ledger.bundle import statements_name
from protocol.statement import Statement
from tests.audits import K, audit, failures, finding, sealed, writer
from tests.bundles import Writer, lively, saying
from tests.community import signer

FIXTURES = (sealed, writer)
"""A ledger that is written, and a notice in it."""


# --- Statements ---


def test_one_flipped_byte_names_its_leaf() -> None:
    """A statement that was altered is named, and the others are still judged."""
    writer, _ = lively()
    files = writer.bundle()
    name = statements_name(0)
    start = files[name].index(writer.statements[5])
    data = bytearray(files[name])
    data[start + 100] ^= 1
    verdict = audit({**files, name: bytes(data)})
    assert ("statement-differs", 5) in failures(verdict)
    assert [leaf for _, leaf in failures(verdict) if leaf is not None] == [5]
    assert "leaf 5" in verdict.sentence


def test_two_statements_that_changed_places_are_named() -> None:
    """Reordered: each leaf commits to its own statement."""
    writer, _ = lively()
    writer.statements[2], writer.statements[3] = writer.statements[3], writer.statements[2]
    assert {leaf for code, leaf in failures(audit(writer.bundle())) if code == "statement-differs"} == {2, 3}


def test_a_statement_by_a_key_of_nobody_counts_nothing(writer: Writer, sealed: SealedNotice) -> None:
    """Only keys that the documents give a role to count."""
    stranger = signer("stranger", Role.NODE)
    leaf = writer.say("XBB", saying(K.RECEIVED, sealed, "XBB"), signer=stranger)
    assert failures(audit(writer.bundle())) == [("signer", leaf)]


def test_a_machine_cannot_answer_for_a_person(writer: Writer, sealed: SealedNotice) -> None:
    """An officer's statement by a node key is refused: the roles are those of the documents."""
    node = writer.built.members["XBB"].node
    draft = writer.draft("XBB", saying(K.RECEIVED, sealed, "XBB"))
    said = codec.decode(draft.body, Statement, limit=10_000, what="statement")
    statement = codec.encode(replace(said, kind=K.ACCEPTED))
    data = sign_statements(node, [draft._replace(body=statement)])[0]
    leaf = writer.log(data, K.ACCEPTED)
    assert ("signer", leaf) in failures(audit(writer.bundle()))


def test_a_forged_signature_is_found(writer: Writer, sealed: SealedNotice) -> None:
    """The coordinator can log what it likes; it cannot sign for others."""
    draft = writer.draft("XBB", saying(K.RECEIVED, sealed, "XBB"))
    data = sign_statements(writer.built.members["XCC"].node, [draft])[0]
    leaf = writer.log(data, K.RECEIVED)
    assert ("bad-signature", leaf) in failures(audit(writer.bundle()))


# --- Series ---


def test_a_dropped_statement_is_a_gap_at_the_next_one(writer: Writer, sealed: SealedNotice) -> None:
    """Promise 8: a dropped acknowledgement is caught."""
    writer.announce()
    writer.draft("XBB", saying(K.RECEIVED, sealed, "XBB"))
    leaf = writer.say("XBB", saying(K.RECEIVED, sealed, "XBB"))
    assert failures(audit(writer.bundle())) == [("gap", leaf)]


def test_a_gap_behind_the_first_exported_leaf_could_not_be_checked(
    writer: Writer, sealed: SealedNotice
) -> None:
    """What lacks may have been logged before that leaf: nobody is accused of it."""
    writer.announce()
    first = writer.say("XBB", saying(K.RECEIVED, sealed, "XBB"))
    writer.draft("XBB", saying(K.RECEIVED, sealed, "XBB"))
    leaf = writer.say("XBB", saying(K.RECEIVED, sealed, "XBB"))
    verdict = audit(writer.bundle(bodies_from=first))
    assert verdict.verdict is Outcome.OK, verdict.findings
    assert (finding(verdict, "gap").leaf, finding(verdict, "gap").severity) == (leaf, Grade.UNCHECKED)


def test_statements_of_one_key_may_overtake_each_other(writer: Writer, sealed: SealedNotice) -> None:
    """The order on the way is not the order of the series."""
    member = writer.built.members["XBB"].officer
    drafts = [
        writer.draft("XBB", saying(kind, sealed, "XBB")) for kind in (K.OPENED, K.ACCEPTED, K.COMPLETED)
    ]
    signed = sign_statements(member, drafts)
    for number, kind in ((1, K.ACCEPTED), (2, K.COMPLETED), (0, K.OPENED)):
        writer.log(signed[number], kind)
    verdict = audit(writer.bundle())
    assert verdict.verdict is Outcome.OK, verdict.findings


def test_two_statements_under_one_number_are_a_fork(writer: Writer, sealed: SealedNotice) -> None:
    """A key used by two machines, or restored from a backup, shows."""
    writer.say("XBB", saying(K.RECEIVED, sealed, "XBB"))
    del writer.chains[writer.built.members["XBB"].node.key_id]
    other = writer.notice()
    leaf = writer.say("XBB", saying(K.RECEIVED, other, "XBB"))
    assert failures(audit(writer.bundle())) == [("fork", leaf)]


def test_a_statement_that_is_logged_twice_is_found(writer: Writer, sealed: SealedNotice) -> None:
    """Recorded once: a replay in the log is the coordinator's own."""
    leaf = writer.say("XBB", saying(K.RECEIVED, sealed, "XBB"))
    again = writer.log(writer.statements[leaf], K.RECEIVED)
    assert failures(audit(writer.bundle())) == [("logged-twice", again)]
