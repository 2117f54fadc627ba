"""What an auditor finds in a ledger: that it holds, or precisely where it does not."""

from __future__ import annotations

import dataclasses
import time

import pytest
from msgspec.structs import replace

from exchange.audit.verdict import Finding, Grade, Outcome, Verdict
from exchange.audit.verify.bundle import Options, verify_bundle
from keys import governance
from keys.documents import sign_document
from keys.evidence import Saying, sign_statements
from keys.sealing import SealedNotice
from protocol import codec
from protocol.documents import Compromise, Revocation, Role, StateStatus
from protocol.ledger.bundle import checkpoint_name, headers_name, statements_name
from protocol.ledger.leaf import statement_leaf
from protocol.ledger.origins import Log
from protocol.ledger.pack import encode_pack
from protocol.statement import MERGE_DELAY_MS, SeenCheckpoint, Statement, StatementKind
from protocol.text import format_utc
from tests.bundles import HOUR_MS, SECOND_MS, Memory, Writer, lively, publish, saying
from tests.community import DAY_MS, HUB, YEAR_MS, community, signer

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


# --- A ledger that holds ---


def test_a_whole_day_holds_from_the_pinned_root_hash_alone() -> None:
    """Promise 7: every receipt verifies offline."""
    writer, _ = lively()
    verdict = audit(writer.bundle())
    assert verdict.verdict is Outcome.OK, verdict.findings
    assert verdict.sentence.startswith("OK: 13 leaves and 8 documents")
    assert verdict.checkpoint is not None
    assert verdict.sentence.endswith(f"as of {format_utc(verdict.checkpoint.quorum_ms or 0)}")
    assert verdict.findings == ()
    assert {check.code for check in verdict.checks if check.outcome is not Outcome.OK} == {"disclosures"}


def test_the_figures_name_their_leaves() -> None:
    """Every figure is traceable to a leaf."""
    writer, _ = lively()
    statistics = audit(writer.bundle()).statistics
    assert statistics is not None
    total = statistics.total
    assert (total.notices.count, total.deliveries.count) == (3, 5)
    assert (total.received.leaves, total.accepted.leaves, total.declined.leaves) == ((2, 3, 7), (5,), (8,))
    assert (total.rejected.leaves, total.undelivered.leaves, total.completed.leaves) == ((9,), (12,), (10,))
    assert (total.silent.count, total.silent.leaves) == (1, (1,))


def test_the_figures_are_kept_by_state_and_by_level() -> None:
    """Acknowledgement statistics by state and severity."""
    writer, _ = lively()
    statistics = audit(writer.bundle()).statistics
    assert statistics is not None
    by_state = {one.state: one for one in statistics.states}
    assert by_state["XBB"].sent.leaves == (6,)
    assert by_state["XCC"].got.silent.count == 1
    assert by_state["XBB"].to_answer.median_ms == 62 * SECOND_MS
    (level,) = statistics.severities
    assert (level.schema, level.level, level.tally.deliveries.count) == ("xaa-national", "grave", 5)


def test_the_evidence_tree_brackets_every_step_with_the_witnesses_times() -> None:
    """The recorded time is the coordinator's word; the witnesses bound it."""
    writer, _ = lively()
    notice = audit(writer.bundle()).notices[0]
    step = notice.deliveries[0].steps[1]
    assert (step.kind, step.leaf, step.officer) == ("OPENED", 4, "officer of XBB")
    assert step.not_before_ms is not None
    assert step.not_after_ms is not None
    assert step.not_before_ms <= step.at_ms <= step.not_after_ms


def test_the_history_of_keys_names_documents_and_leaves() -> None:
    """Who could sign what, since which place of the ledger."""
    writer, _ = lively()
    keys = audit(writer.bundle()).keys
    assert {one.role for one in keys} == {
        *("root", "directory", "identity", "coordinator", "log", "node", "officer", "witness")
    }
    assert all(one.leaf == 0 and one.event == "added" for one in keys)


def test_a_sample_verifies_some_signatures_and_says_so(writer: Writer) -> None:
    """Sample mode states what it left out."""
    for _ in range(30):
        writer.notice()
    view = audit(writer.bundle(), sample=8).signatures
    assert view is not None
    assert view.mode == "sample"
    assert 1 <= view.statements_checked < view.statements == 31


def test_the_sample_is_chosen_by_the_root(writer: Writer) -> None:
    """The same bundle gives the same verdict; another ledger gives another sample."""
    for _ in range(30):
        writer.notice()
    files = writer.bundle()
    assert audit(files, sample=8) == audit(files, sample=8)


ZONES = ("UTC", "Pacific/Kiritimati", "America/Caracas")


@pytest.mark.parametrize("zone", ZONES)
def test_the_verdict_is_the_same_in_every_time_zone(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """I10: the same verdict on any machine, in any locale and time zone."""
    writer, _ = lively()
    files = writer.bundle()
    expected = audit(files)
    monkeypatch.setenv("TZ", zone)
    monkeypatch.setenv("LC_ALL", "tr_TR.UTF-8")
    time.tzset()
    try:
        assert audit(files) == expected
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_leap_second_is_nothing_special() -> None:
    """Times are POSIX milliseconds: the end of 2016-12-31, which had 61 seconds, is a time like others."""
    built = community(1_483_228_799_000)
    writer = Writer(built)
    sealed = writer.notice()
    for _ in range(4):
        writer.now_ms += 500
        writer.answer("XBB", K.OPENED, sealed)
        writer.milestone()
    verdict = verify_bundle(Memory(writer.bundle()), built.id)
    assert verdict.verdict is Outcome.OK, verdict.findings


# --- Part of a ledger ---


def test_statements_before_a_date_are_not_checked_and_nothing_fails() -> None:
    """What is not in the bundle could not be checked; that is not the same as wrong."""
    writer, _ = lively()
    verdict = audit(writer.bundle(bodies_from=6))
    assert verdict.verdict is Outcome.OK, verdict.findings
    assert next(check for check in verdict.checks if check.code == "statements").left_out == 5
    assert verdict.range is not None
    assert (verdict.range.bodies_from, verdict.range.bodies) == (6, 8)


def test_a_member_exports_only_what_concerns_it() -> None:
    """The leaves of all are there; the statements of others are not."""
    writer, _ = lively()
    verdict = audit(writer.bundle(member="XBB", concerns=[1, 2, 4, 5, 6, 8, 9, 10, 11]))
    assert verdict.verdict is Outcome.OK, verdict.findings
    statistics = verdict.statistics
    assert statistics is not None
    assert statistics.total.silent.count == 0


def test_without_member_a_missing_statement_is_a_failure() -> None:
    """An auditor's bundle says that it is complete, and is held to it."""
    writer, _ = lively()
    files = writer.listed({**writer.bundle(concerns=[1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12])})
    assert ("statement-missing", 5) in failures(audit(files))


# --- Documents, checkpoints and roots ---


def test_a_bundle_of_another_community_is_named_as_such() -> None:
    """The pinned root hash decides, whatever the bundle says of itself."""
    writer, _ = lively()
    verdict = verify_bundle(Memory(writer.bundle()), bytes(32))
    assert failures(verdict) == [("wrong-community", None)]


def test_documents_of_another_community_do_not_follow_from_the_pinned_root() -> None:
    """A bundle that claims to be of the pinned community is held to it."""
    writer, _ = lively()
    other = community(writer.built.now_ms + DAY_MS)
    listed = replace_list(writer, other.id)
    verdict = verify_bundle(Memory(listed), other.id)
    assert ("wrong-community", None) in failures(verdict)


def replace_list(writer: Writer, community_id: bytes) -> dict[str, bytes]:
    files = writer.bundle()
    mine, other = writer.built.id.hex(), community_id.hex()
    return {**files, "bundle.txt": files["bundle.txt"].replace(mine.encode(), other.encode())}


@pytest.mark.parametrize("log", Log)
def test_a_checkpoint_without_a_quorum_fails(log: Log) -> None:
    """Too few witnesses: the log could show others something else."""
    writer, _ = lively()
    files = writer.bundle()
    name = checkpoint_name(log)
    files = writer.listed({**files, name: writer.signed(log, ["XAA"]).data})
    verdict = audit(files)
    assert failures(verdict) == [("no-quorum", None)]
    assert finding(verdict, "no-quorum").where == name


@pytest.mark.parametrize("kept", [0, 1])
def test_a_checkpoint_that_lacks_one_of_its_logs_signatures_fails(kept: int) -> None:
    """Both types are asked for everywhere: breaking one of the two is not enough."""
    writer, _ = lively()
    signed = writer.signed(Log.ACK)
    lines = [one for at, one in enumerate(signed.note.signatures) if at not in (0, 1) or at == kept]
    data = "".join([signed.note.text, "\n", *(one.line for one in lines)]).encode()
    verdict = audit(writer.listed({**writer.bundle(), checkpoint_name(Log.ACK): data}))
    assert failures(verdict) == [("bad-checkpoint", None)]


def test_without_mldsa_cosignatures_there_is_no_quorum() -> None:
    """A witness counts only with both of its signatures."""
    writer, _ = lively()
    signed = writer.signed(Log.ACK)
    lines = list(signed.note.signatures[:2])
    lines += [one for one in signed.note.signatures[2:] if len(one.signature) < 100]
    data = "".join([signed.note.text, "\n", *(one.line for one in lines)]).encode()
    verdict = audit(writer.listed({**writer.bundle(), checkpoint_name(Log.ACK): data}))
    assert failures(verdict) == [("no-quorum", None)]


def test_a_missing_checkpoint_is_named() -> None:
    """Leaves without a checkpoint prove nothing."""
    writer, _ = lively()
    files = writer.bundle()
    del files[checkpoint_name(Log.ACK)]
    verdict = audit(files)
    assert ("no-checkpoint", None) in failures(verdict)


def test_another_ledger_of_the_same_size_does_not_give_the_signed_root() -> None:
    """A rewritten log has another root than the one that the witnesses cosigned."""
    writer, (first, *_) = lively()
    cosigned = writer.signed(Log.ACK).data
    data = writer.statements[-1]
    writer.leaves[-1] = statement_leaf(K.UNDELIVERED, writer.now_ms + 1, data).encode()
    files = writer.listed({**writer.bundle(), checkpoint_name(Log.ACK): cosigned})
    assert ("root-differs", None) in failures(audit(files))
    assert first.id


def test_a_milestone_of_another_ledger_is_found() -> None:
    """Every earlier witnessed checkpoint is a beginning of this same log."""
    writer, _ = lively()
    other, _ = lively()
    other.now_ms += 1
    other.notice()
    other.leaves[3] = other.leaves[2]
    size = 11
    other.leaves = other.leaves[:size]
    other.milestone()
    writer.milestones[size] = other.milestones[size]
    verdict = audit(writer.bundle())
    assert finding(verdict, "root-differs").where == f"ack/milestones/{size}"


def test_a_false_policy_file_is_found() -> None:
    """Whoever uses other tools with the policy of the bundle must not be deceived by it."""
    writer, _ = lively()
    files = writer.bundle()
    files["ack/policy.txt"] = files["dir/policy.txt"]
    assert failures(audit(writer.listed(files))) == [("policy", None)]


def test_a_document_that_may_not_be_believed_is_named(writer: Writer, sealed: SealedNotice) -> None:
    """The coordinator cannot slip in a key: documents follow from the root hash."""
    trusted = writer.trusted
    document = governance.next_directory(
        trusted, trusted.states(), trusted.coordinators(), now_ms=writer.now_ms, life_ms=YEAR_MS
    )
    stranger = signer("stranger", Role.DIRECTORY)
    index = writer.force_document(sign_document(document, [stranger]))
    verdict = audit(writer.bundle())
    assert finding(verdict, "threshold-not-met").where == f"document {index}"
    assert sealed.id


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


def revoke(writer: Writer, code: str, at_ms: int) -> None:
    """Log a manifest that revokes a state's node key from a time on."""
    key_id = writer.built.members[code].node.key_id
    publish(writer, code, revoked=(Revocation(key_id=key_id, reason="lost", at_ms=at_ms),))


def test_a_revocation_voids_what_is_logged_after_it_whatever_time_it_states(
    writer: Writer, sealed: SealedNotice
) -> None:
    """A stolen key cannot be used by stating an earlier time."""
    earlier = writer.now_ms
    writer.now_ms += HOUR_MS
    revoke(writer, "XBB", writer.now_ms)
    leaf = writer.say("XBB", saying(K.RECEIVED, sealed, "XBB"), said_ms=earlier)
    assert failures(audit(writer.bundle())) == [("signer", leaf)]


def test_a_revocation_does_not_void_what_was_logged_before_it(writer: Writer, sealed: SealedNotice) -> None:
    """A state cannot take back what it said by dating its revocation back."""
    writer.say("XBB", saying(K.RECEIVED, sealed, "XBB"))
    writer.now_ms += HOUR_MS
    revoke(writer, "XBB", writer.now_ms - 2 * HOUR_MS)
    writer.say("XCC", saying(K.RECEIVED, sealed, "XCC"))
    verdict = audit(writer.bundle())
    assert verdict.verdict is Outcome.OK, verdict.findings
    assert ("revoked", "XBB") in {(one.event, one.party) for one in verdict.keys}


def confirm(writer: Writer, code: str, since_ms: int, key_id: bytes | None = None) -> None:
    """Log a directory that confirms that a key, a state's node key by default, was compromised."""
    key_id = writer.built.members[code].node.key_id if key_id is None else key_id
    trusted = writer.trusted
    document = governance.next_directory(
        trusted,
        trusted.states(),
        trusted.coordinators(),
        now_ms=writer.now_ms,
        life_ms=YEAR_MS,
        compromised=[Compromise(party=code, key_id=key_id, since_ms=since_ms)],
    )
    writer.document(writer.built.signed_by_governance(document))


def stolen(writer: Writer, sealed: SealedNotice) -> tuple[int, int, int]:
    """Log what XBB said before and after a time that witnesses know; return both leaves, and the time."""
    before = writer.say("XBB", saying(K.RECEIVED, sealed, "XBB"))
    writer.milestone()
    writer.now_ms += HOUR_MS
    since_ms = writer.now_ms
    other = writer.notice("XCC", ("XBB",))
    # The thief dates it back; the witnesses know better.
    after = writer.say("XBB", saying(K.RECEIVED, other, "XBB"), said_ms=since_ms - 2 * SECOND_MS)
    writer.now_ms += SECOND_MS
    return before, after, since_ms


def test_a_confirmed_compromise_makes_doubtful_what_was_witnessed_since(
    writer: Writer, sealed: SealedNotice
) -> None:
    """What the thief may have said counts nothing and is named; what was witnessed before stays valid."""
    before, after, since_ms = stolen(writer, sealed)
    confirm(writer, "XBB", since_ms)
    writer.say("XCC", saying(K.RECEIVED, sealed, "XCC"))
    verdict = audit(writer.bundle())
    assert verdict.verdict is Outcome.OK, verdict.findings
    assert [(one.code, one.leaf) for one in verdict.findings] == [("compromised", after)]
    assert verdict.findings[0].severity is Grade.UNCHECKED
    assert "1 statement(s) and 0 notice(s) are by compromised keys" in verdict.sentence
    assert verdict.statistics is not None
    assert before in verdict.statistics.total.received.leaves
    assert after not in verdict.statistics.total.received.leaves
    assert [step.leaf for one in verdict.notices for step in one.doubtful] == [after]
    assert ("compromised", "XBB", "node") in {(one.event, one.party, one.role) for one in verdict.keys}


def test_a_compromise_that_only_its_own_state_claims_voids_nothing(
    writer: Writer, sealed: SealedNotice
) -> None:
    """A state alone cannot make its own past doubtful, whatever reason and time it states."""
    _, _, since_ms = stolen(writer, sealed)
    revoke(writer, "XBB", since_ms)
    writer.say("XCC", saying(K.RECEIVED, sealed, "XCC"))
    verdict = audit(writer.bundle())
    assert (verdict.verdict, verdict.findings) == (Outcome.OK, ())


def test_a_key_that_was_confirmed_as_compromised_says_nothing_from_there_on(
    writer: Writer, sealed: SealedNotice
) -> None:
    """The coordinator had to refuse it, also if its state has not revoked it."""
    confirm(writer, "XBB", writer.now_ms + HOUR_MS)
    leaf = writer.say("XBB", saying(K.RECEIVED, sealed, "XBB"))
    assert failures(audit(writer.bundle())) == [("signer", leaf)]


def test_a_notice_by_a_thief_is_named_and_its_answers_stand(writer: Writer) -> None:
    """Who was told a lie has answered truly all the same."""
    since_ms = writer.now_ms
    forged = writer.notice("XAA", ("XBB",))
    leaf = len(writer.leaves) - 1
    writer.answer("XBB", K.ACCEPTED, forged)
    confirm(writer, "XAA", since_ms)
    writer.announce()
    verdict = audit(writer.bundle())
    assert [(one.code, one.leaf) for one in verdict.findings] == [("compromised", leaf)]
    (notice,) = [one for one in verdict.notices if one.leaf == leaf]
    assert notice.sender_doubtful
    assert notice.deliveries[0].outcome == "accepted"


def test_a_compromised_coordinators_promises_are_doubtful_and_nobody_is_blamed(
    writer: Writer, sealed: SealedNotice
) -> None:
    """Without its promise a notice was never relayed; that is not the failure of the honest."""
    writer.say("XBB", saying(K.RECEIVED, sealed, "XBB"))
    writer.now_ms += 75 * HOUR_MS
    document = governance.next_directory(
        writer.trusted,
        writer.trusted.states(),
        writer.trusted.coordinators(),
        now_ms=writer.now_ms,
        life_ms=YEAR_MS,
        compromised=[Compromise(party=HUB, key_id=writer.built.hub.key_id, since_ms=0)],
    )
    # It is the last word of this ledger: nothing of the compromised coordinator counts behind it.
    writer.document(writer.built.signed_by_governance(document))
    verdict = audit(writer.bundle())
    assert {one.code for one in verdict.findings} == {"compromised", "never-relayed"}
    assert all(one.severity is Grade.UNCHECKED for one in verdict.findings)


@pytest.mark.parametrize("moved_ms", [-2 * DAY_MS, 2 * YEAR_MS])
def test_a_statement_outside_the_life_of_its_key_counts_nothing(
    writer: Writer, sealed: SealedNotice, moved_ms: int
) -> None:
    """Before its first day and after its last, a key says nothing."""
    leaf = writer.say("XBB", saying(K.RECEIVED, sealed, "XBB"), said_ms=writer.now_ms + moved_ms)
    assert failures(audit(writer.bundle())) == [("signer", leaf)]


def test_a_statement_logged_after_the_life_of_its_key_could_not_be_checked(
    writer: Writer, sealed: SealedNotice
) -> None:
    """Whether it was signed in time, the ledger cannot say; that is not the same as wrong."""
    said_ms = writer.now_ms
    member = writer.built.members["XBB"]
    ends = tuple(replace(key, until_ms=said_ms + HOUR_MS) for key in member.keys)
    publish(writer, "XBB", keys=ends)
    writer.now_ms += 2 * HOUR_MS
    leaf = writer.say("XBB", saying(K.RECEIVED, sealed, "XBB"), said_ms=said_ms)
    verdict = audit(writer.bundle())
    assert verdict.verdict is Outcome.OK, verdict.findings
    assert finding(verdict, "key-life").leaf == leaf


def test_a_suspended_state_says_nothing_from_there_on(writer: Writer, sealed: SealedNotice) -> None:
    """Membership is judged at the place of the statement."""
    trusted = writer.trusted
    states = [
        replace(one, status=StateStatus.SUSPENDED) if one.code == "XBB" else one for one in trusted.states()
    ]
    document = governance.next_directory(
        trusted, states, trusted.coordinators(), now_ms=writer.now_ms, life_ms=YEAR_MS
    )
    writer.document(writer.built.signed_by_governance(document))
    leaf = writer.say("XBB", saying(K.RECEIVED, sealed, "XBB"))
    assert ("signer", leaf) in failures(audit(writer.bundle(witnesses=("XAA", "XCC"))))


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


# --- Notices ---


def test_a_statement_about_a_notice_that_was_never_relayed_is_found(writer: Writer) -> None:
    """RELAYED comes first: the coordinator owes what it took."""
    sealed = writer.notice(relay=False)
    leaf = writer.say("XBB", saying(K.RECEIVED, sealed, "XBB"))
    assert failures(audit(writer.bundle())) == [("never-relayed", leaf)]


def test_a_notice_that_is_relayed_twice_is_found(writer: Writer, sealed: SealedNotice) -> None:
    """Replay: one notice, one promise."""
    leaf = writer.relay(sealed)
    assert failures(audit(writer.bundle())) == [("relayed-twice", leaf)]


def test_a_state_that_was_not_addressed_has_no_say(writer: Writer) -> None:
    """Statements about a notice are by those whom it concerns."""
    sealed = writer.notice("XAA", ("XBB",))
    leaf = writer.say("XCC", saying(K.RECEIVED, sealed, "XCC"))
    assert failures(audit(writer.bundle())) == [("not-addressed", leaf)]


def test_a_header_of_another_notice_is_found(writer: Writer, sealed: SealedNotice) -> None:
    """The manifest's hash is the envelope's id, so nothing of the header can be changed."""
    other = writer.notice()
    headers = {**writer.headers, 1: writer.headers[2]}
    files = writer.bundle()
    files[headers_name(0)] = encode_pack(headers.items())
    assert failures(audit(writer.listed(files))) == [("header", 1)]
    assert other.id != sealed.id


def test_a_missing_header_is_named(writer: Writer, sealed: SealedNotice) -> None:
    """Without the header nobody can say to whom a notice went."""
    writer.headers.clear()
    assert failures(audit(writer.bundle())) == [("header-missing", 1)]
    assert sealed.id


CONTRADICTIONS: dict[str, tuple[StatementKind, StatementKind]] = {
    "refused what it had": (K.RECEIVED, K.REJECTED),
    "received what it refused": (K.REJECTED, K.RECEIVED),
    "declined what was complete": (K.COMPLETED, K.DECLINED),
    "completed what was declined": (K.DECLINED, K.COMPLETED),
    "accepted what was complete": (K.COMPLETED, K.ACCEPTED),
    "opened what it refused": (K.REJECTED, K.OPENED),
}


@pytest.mark.parametrize("said", CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_contradictory_statements_are_found(
    writer: Writer, sealed: SealedNotice, said: tuple[StatementKind, StatementKind]
) -> None:
    """Terminal states are terminal; contradictory evidence is itself an alarm."""
    first, second = said
    writer.answer("XBB", first, sealed)
    leaf = writer.answer("XBB", second, sealed)
    assert failures(audit(writer.bundle())) == [("contradiction", leaf)]


def test_the_coordinator_cannot_call_undelivered_what_was_received(
    writer: Writer, sealed: SealedNotice
) -> None:
    """Its own log holds the receipt."""
    writer.answer("XBB", K.RECEIVED, sealed)
    undelivered = Saying(kind=K.UNDELIVERED, envelope=sealed.id, about="XBB", code="expired")
    leaf = writer.say(HUB, undelivered)
    assert failures(audit(writer.bundle())) == [("contradiction", leaf)]


def test_a_late_receipt_after_undelivered_is_no_contradiction(writer: Writer, sealed: SealedNotice) -> None:
    """A recipient may have fetched it at the last moment."""
    writer.say(HUB, Saying(kind=K.UNDELIVERED, envelope=sealed.id, about="XBB", code="expired"))
    writer.answer("XBB", K.RECEIVED, sealed)
    verdict = audit(writer.bundle())
    assert verdict.verdict is Outcome.OK, verdict.findings


def test_a_notice_that_was_sealed_again_is_no_finding(writer: Writer, sealed: SealedNotice) -> None:
    """Its first envelope ends with REJECTED or UNDELIVERED, and the next one is a notice like any other."""
    writer.answer("XBB", K.REJECTED, sealed)
    writer.say(HUB, Saying(kind=K.UNDELIVERED, envelope=sealed.id, about="XCC", code="expired"))
    again = writer.notice("XAA", ("XBB", "XCC"))
    for code in ("XBB", "XCC"):
        writer.answer(code, K.RECEIVED, again)
    # The first one came after all, and the recipient had it already: it has received both.
    writer.answer("XCC", K.RECEIVED, sealed)
    verdict = audit(writer.bundle())
    assert verdict.verdict is Outcome.OK, verdict.findings
    assert failures(verdict) == []


def test_an_expired_notice_without_any_outcome_is_found(writer: Writer, sealed: SealedNotice) -> None:
    """Silence is never a state: the coordinator owes UNDELIVERED."""
    writer.answer("XBB", K.RECEIVED, sealed)
    writer.now_ms += 75 * HOUR_MS
    writer.notice("XBB", ("XAA",))
    assert failures(audit(writer.bundle())) == [("no-outcome", 1)]


def answered_after(wait_ms: int, *, witnessed_ms: int) -> Verdict:
    """One notice with an hour to answer; a checkpoint and then an answer at these times."""
    writer = Writer()
    sealed = writer.notice("XAA", ("XBB",))
    start = writer.now_ms
    writer.now_ms = start + witnessed_ms
    writer.milestone()
    writer.now_ms = start + wait_ms
    writer.answer("XBB", K.ACCEPTED, sealed)
    writer.now_ms = max(writer.now_ms, start + witnessed_ms) + SECOND_MS
    return audit(writer.bundle())


DEADLINES = {
    "in time": (HOUR_MS // 2, HOUR_MS // 4, 0),
    "late, by the witnesses": (2 * HOUR_MS, HOUR_MS + 60_000, 1),
}


@pytest.mark.parametrize("case", DEADLINES.values(), ids=DEADLINES)
def test_deadlines_are_judged_by_the_witnesses(case: tuple[int, int, int]) -> None:
    """An answer that no checkpoint after the deadline holds came late."""
    wait_ms, witnessed_ms, late = case
    verdict = answered_after(wait_ms, witnessed_ms=witnessed_ms)
    assert verdict.verdict is Outcome.OK, verdict.findings
    assert verdict.statistics is not None
    assert verdict.statistics.total.late.count == late


def test_an_open_deadline_is_waiting_and_not_silent(writer: Writer, sealed: SealedNotice) -> None:
    """Nobody is called silent before the witnesses' time has passed the deadline."""
    verdict = audit(writer.bundle())
    assert verdict.statistics is not None
    assert (verdict.statistics.total.waiting.count, verdict.statistics.total.silent.count) == (2, 0)
    assert sealed.id


def test_a_notice_sealed_to_a_key_that_nobody_published_is_found(writer: Writer) -> None:
    """A swapped key shows in the signed header."""
    choice = writer.trusted.prekey("XCC", writer.now_ms)
    writer.trusted.prekey = lambda state, now_ms: choice  # type: ignore[method-assign]
    writer.notice("XAA", ("XBB",))
    assert failures(audit(writer.bundle())) == [("unknown-prekey", 1)]


# --- Much of it ---


def test_findings_are_listed_a_few_times_and_counted_for_the_rest(writer: Writer) -> None:
    """A bundle that is wrong in a thousand places gives a short answer."""
    for _ in range(30):
        sealed = writer.notice(relay=False)
        writer.say("XBB", saying(K.RECEIVED, sealed, "XBB"))
    verdict = audit(writer.bundle())
    listed = [one for one in verdict.findings if one.code == "never-relayed"]
    assert len(listed) == 20
    assert listed[-1].more == 10


def test_evidence_trees_are_capped_and_notable_ones_are_kept() -> None:
    """A report of a million notices still shows who was silent."""
    writer, _ = lively()
    for _ in range(5):
        writer.notice(respond_in_ms=None)
    verdict = audit(writer.bundle(), notices_listed=3)
    assert [one.leaf for one in verdict.notices] == [1, 6, 11]
    assert verdict.notices_left_out == 5


def test_more_than_one_file_of_leaves_holds(writer: Writer) -> None:
    """Files hold 256 leaves each."""
    sealed = writer.notice()
    for _ in range(260):
        writer.answer("XBB", K.OPENED, sealed)
    writer.milestone()
    verdict = audit(writer.bundle())
    assert verdict.verdict is Outcome.OK, verdict.findings
