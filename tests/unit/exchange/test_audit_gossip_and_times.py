"""What signers saw, and the witnesses' times, catch what a lone ledger could hide."""

from __future__ import annotations

import dataclasses

import pytest
from msgspec.structs import replace

from exchange.audit.verdict import Outcome
from keys.evidence import Saying, sign_statements
from keys.sealing import SealedNotice
from protocol.statement import MERGE_DELAY_MS, SeenCheckpoint
from tests.audits import K, audit, failures, revoke, sealed, writer
from tests.bundles import HOUR_MS, SECOND_MS, Writer, publish, saying
from tests.community import HUB

FIXTURES = (sealed, writer)
"""A ledger that is written, and a notice in it."""


# --- Gossip ---


def test_a_ledger_that_a_signer_saw_and_that_is_not_this_one_is_found(
    writer: Writer, sealed: SealedNotice
) -> None:
    """Promise 8: two versions of the ledger; every statement is gossip."""
    seen = replace(writer.seen(), root=bytes(32))
    leaf = writer.say("XBB", saying(K.RECEIVED, sealed, "XBB", seen))
    assert failures(audit(writer.bundle())) == [("seen-other-ledger", leaf)]


def test_a_ledger_larger_than_there_was_is_another_one(writer: Writer, sealed: SealedNotice) -> None:
    """Nobody can have seen leaves that were logged later."""
    writer.say("XCC", saying(K.RECEIVED, sealed, "XCC"))
    later = writer.seen()
    writer.leaves.pop(), writer.statements.pop()
    writer.chains.pop(writer.built.members["XCC"].node.key_id)
    leaf = writer.say("XBB", saying(K.RECEIVED, sealed, "XBB", later))
    assert failures(audit(writer.bundle())) == [("seen-other-ledger", leaf)]


def test_a_directory_that_a_signer_saw_and_that_was_never_logged_is_found(
    writer: Writer, sealed: SealedNotice
) -> None:
    """Different directories shown to different nodes contradict each other in the ledger."""
    head = writer.trusted.head()
    writer.trusted.head = lambda: replace(head, hash=bytes(32))  # type: ignore[method-assign]
    leaf = writer.say("XBB", saying(K.RECEIVED, sealed, "XBB"))
    assert failures(audit(writer.bundle())) == [("seen-other-directory", leaf)]


def test_an_announcement_of_other_documents_is_found(writer: Writer, sealed: SealedNotice) -> None:
    """From which place on documents count is the coordinator's word, and it must fit its own log."""
    seen = SeenCheckpoint(f"{writer.log_name}/dir", 3, bytes(32))
    leaf = writer.say(HUB, Saying(kind=K.DIRECTORY, envelope=seen.root, seen=seen))
    assert failures(audit(writer.bundle())) == [("seen-other-directory", leaf)]


def test_a_directory_log_that_a_signer_saw_and_that_is_not_this_one_is_found(
    writer: Writer, sealed: SealedNotice
) -> None:
    """Two directory logs are two sets of keys."""
    seen = SeenCheckpoint(f"{writer.log_name}/dir", 3, bytes(32))
    leaf = writer.say("XBB", dataclasses.replace(saying(K.RECEIVED, sealed, "XBB"), seen=seen))
    assert failures(audit(writer.bundle())) == [("seen-other-directory", leaf)]


def test_a_document_that_is_held_back_is_found_at_every_leaf_that_went_on_without_it(
    writer: Writer, sealed: SealedNotice
) -> None:
    """A revocation counts from where the coordinator names it, and so it must name it at once."""
    revoke(writer, "XBB", writer.now_ms)
    writer.now_ms += HOUR_MS
    draft = writer.draft("XBB", saying(K.RECEIVED, sealed, "XBB"))
    data = sign_statements(writer.built.members["XBB"].node, [draft])[0]
    leaf = writer.log(data, K.RECEIVED)
    writer.now_ms += SECOND_MS
    assert failures(audit(writer.bundle())) == [("held-back", leaf)]


# --- Times ---


@pytest.mark.parametrize("hours", [-2, 2], ids=["back", "forth"])
def test_a_document_that_is_dated_elsewhere_is_found(
    writer: Writer, sealed: SealedNotice, hours: int
) -> None:
    """The place of a document in time is bounded by the ledger that names it."""
    writer.now_ms += 5 * HOUR_MS
    publish(writer, "XAA")
    writer.announce()
    writer.now_ms += hours * HOUR_MS
    publish(writer, "XCC")
    writer.now_ms += SECOND_MS - hours * HOUR_MS
    writer.announce()
    verdict = audit(writer.bundle())
    place = f"document {len(writer.documents) - 1}"
    assert [(one.code, one.where) for one in verdict.findings] == [("document-time", place)]


def test_a_promise_that_was_logged_late_is_found(writer: Writer) -> None:
    """What the coordinator promises is in the ledger within a minute."""
    sealed = writer.notice("XBB", ("XAA",))
    leaf = writer.say(
        HUB,
        Saying(kind=K.UNDELIVERED, envelope=sealed.id, about="XAA", code="expired"),
        said_ms=writer.now_ms - HOUR_MS,
    )
    assert failures(audit(writer.bundle())) == [("late-promise", leaf)]


def test_a_back_dated_leaf_is_outside_the_witnesses_times(writer: Writer, sealed: SealedNotice) -> None:
    """Back-dating: two checkpoints bracket every leaf."""
    writer.now_ms += HOUR_MS
    writer.milestone()
    writer.now_ms += SECOND_MS
    at_ms = writer.now_ms - HOUR_MS // 2
    leaf = writer.say("XBB", saying(K.RECEIVED, sealed, "XBB"), said_ms=at_ms, at_ms=at_ms)
    assert failures(audit(writer.bundle())) == [("time-outside", leaf)]


def test_a_leaf_may_be_as_old_as_the_merge_delay_allows(writer: Writer, sealed: SealedNotice) -> None:
    """What waited for its checkpoint is not back-dated."""
    writer.now_ms += HOUR_MS
    writer.milestone()
    at_ms = writer.now_ms - MERGE_DELAY_MS
    writer.say("XBB", saying(K.RECEIVED, sealed, "XBB"), said_ms=at_ms, at_ms=at_ms)
    verdict = audit(writer.bundle())
    assert verdict.verdict is Outcome.OK, verdict.findings


def test_a_post_dated_leaf_is_outside_the_witnesses_times(writer: Writer, sealed: SealedNotice) -> None:
    """Nobody cosigns what is recorded later."""
    leaf = writer.say("XBB", saying(K.RECEIVED, sealed, "XBB"), at_ms=writer.now_ms + HOUR_MS)
    assert failures(audit(writer.bundle())) == [("time-outside", leaf)]
