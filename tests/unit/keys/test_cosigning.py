"""A witness's judgement, by the status codes of C2SP tlog-witness."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keys.cosigning import EMPTY_ROOT, NOTHING_YET, Answer, Witnessed, answer_checkpoint
from keys.quorum import quorum_of
from protocol import tree
from protocol.ledger.checkpoint import Checkpoint, parse_checkpoint, sign_with
from protocol.ledger.note import parse_signature_lines
from protocol.ledger.origins import Log
from protocol.ledger.witness import AddCheckpoint, WitnessStatus, format_add_checkpoint
from tests.community import HUB, community, note_secret

SECONDS = 1_772_334_000
ORIGIN = "hub.example/almenara/ack"
NAME = "almenara/test/XAA"
LEAVES = [tree.leaf_hash(bytes([number])) for number in range(40)]
OTHERS = [tree.leaf_hash(bytes([number, 1])) for number in range(40)]


def checkpoint(size: int, leaves: list[bytes] = LEAVES, *, by: str = HUB, origin: str = ORIGIN) -> bytes:
    """Return a signed checkpoint of so many leaves."""
    point = Checkpoint(origin, size, tree.root_of(leaves[:size]))
    return sign_with(point, note_secret(by).sign_log(point, SECONDS)).data


def request(old: int, new: int, leaves: list[bytes] = LEAVES) -> AddCheckpoint:
    """Return an honest request from one size to another."""
    proof = tree.consistency_proof(old, leaves[:new]) if old else ()
    return AddCheckpoint(old, tuple(proof), checkpoint(new, leaves))


def asked(body: AddCheckpoint | bytes, held: Witnessed) -> Answer:
    """Return what XAA's witness answers."""
    data = body if isinstance(body, bytes) else format_add_checkpoint(body)
    keys = quorum_of(community().directory(), HUB, Log.ACK).log
    return answer_checkpoint(data, held, keys, note_secret("XAA"), NAME, SECONDS)


def held(size: int, leaves: list[bytes] = LEAVES) -> Witnessed:
    """Return a witness's memory of so many leaves."""
    return Witnessed(size, tree.root_of(leaves[:size])) if size else NOTHING_YET


@pytest.mark.parametrize(("old", "new"), [(0, 0), (0, 1), (0, 40), (1, 2), (7, 7), (7, 8), (8, 23), (39, 40)])
def test_a_checkpoint_that_continues_is_cosigned_and_remembered(old: int, new: int) -> None:
    """The answer counts with the log's quorum, and the memory grows before it leaves."""
    answer = asked(request(old, new), held(old))
    assert answer.status is WitnessStatus.OK
    assert answer.held == Witnessed(new, tree.root_of(LEAVES[:new]))
    lines = parse_signature_lines(answer.body.decode())
    signed = parse_checkpoint(checkpoint(new)).with_signatures(lines)
    assert quorum_of(community().directory(), HUB, Log.ACK).cosigned(signed) == {"XAA": SECONDS}


@pytest.mark.parametrize(("old", "new"), [(1, 2), (7, 8), (8, 23), (39, 40), (12, 12)])
def test_another_history_is_never_cosigned(old: int, new: int) -> None:
    """A fork, whatever proof it brings, changes nothing here, and the log's own signature stays in hand."""
    for leaves in (OTHERS, LEAVES[: old - 1] + OTHERS[old - 1 :]):
        answer = asked(request(old, new, leaves), held(old))
        assert (answer.status, answer.held, answer.body) == (WitnessStatus.INCONSISTENT, None, b"")
        assert answer.signed is not None
        assert answer.signed.checkpoint.size == new


def test_a_proof_that_is_cut_padded_or_of_other_sizes_is_refused() -> None:
    """Only the one right proof will do."""
    good = request(8, 23)
    for proof in (good.proof[:-1], (*good.proof, bytes(32)), good.proof[::-1], ()):
        assert asked(replace(good, proof=proof), held(8)).status is WitnessStatus.INCONSISTENT
    assert asked(replace(request(0, 5), proof=(bytes(32),)), NOTHING_YET).status is WitnessStatus.INCONSISTENT


@pytest.mark.parametrize("mine", [0, 5, 30, 40])
def test_an_old_size_that_is_not_ours_is_answered_with_ours(mine: int) -> None:
    """A coordinator that was restored from a backup learns it from every witness."""
    answer = asked(request(8, 23), held(mine))
    assert (answer.status, answer.body, answer.held) == (WitnessStatus.CONFLICT, b"%d\n" % mine, None)


def test_what_the_log_did_not_sign_is_forbidden() -> None:
    """Nor a checkpoint with only one of its two signatures."""
    good = request(8, 23)
    forged = checkpoint(23, by="XZZ")
    whole = parse_checkpoint(good.checkpoint)
    halves = [sign_with(whole.checkpoint, [one]).data for one in whole.note.signatures]
    for data in (forged, *halves):
        answer = asked(replace(good, checkpoint=data), held(8))
        assert (answer.status, answer.signed) == (WitnessStatus.FORBIDDEN, None)


def test_another_log_is_unknown() -> None:
    """A witness speaks of the logs in its directory only."""
    other = checkpoint(23, origin="elsewhere.example/ack")
    assert asked(replace(request(8, 23), checkpoint=other), held(8)).status is WitnessStatus.UNKNOWN


def test_rubbish_and_an_old_size_above_the_new_are_malformed() -> None:
    """Nothing is verified for either."""
    assert asked(b"", NOTHING_YET).status is WitnessStatus.MALFORMED
    assert asked(b"old 1\n\n\n", NOTHING_YET).status is WitnessStatus.MALFORMED
    assert asked(AddCheckpoint(24, (), checkpoint(23)), held(24)).status is WitnessStatus.MALFORMED


def test_the_empty_tree_has_one_root_only() -> None:
    """A first checkpoint of size 0 with another root is no tree."""
    point = Checkpoint(ORIGIN, 0, bytes(32))
    data = sign_with(point, note_secret(HUB).sign_log(point, SECONDS)).data
    assert asked(AddCheckpoint(0, (), data), NOTHING_YET).status is WitnessStatus.INCONSISTENT
    assert NOTHING_YET.root == EMPTY_ROOT == tree.root_of([])
