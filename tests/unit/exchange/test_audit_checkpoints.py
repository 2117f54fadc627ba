"""Documents, checkpoints and roots that do not hold are named by an audit."""

from __future__ import annotations

import pytest

from exchange.audit.verify.bundle import verify_bundle
from keys import governance
from keys.documents import sign_document
from keys.sealing import SealedNotice
from protocol.documents import Role
from protocol.ledger.bundle import checkpoint_name
from protocol.ledger.leaf import statement_leaf
from protocol.ledger.origins import Log
from tests.audits import K, audit, failures, finding, sealed, writer
from tests.bundles import Memory, Writer, lively
from tests.community import DAY_MS, YEAR_MS, community, signer

FIXTURES = (sealed, writer)
"""A ledger that is written, and a notice in it."""


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
