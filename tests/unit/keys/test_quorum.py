"""Whether log and enough witnesses signed a checkpoint."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keys.note_keys import verify_signature
from keys.quorum import Quorum, policy_text, quorum_of, quorum_size
from keys.trust import TrustedDirectory
from protocol.errors import BadSignature, ThresholdNotMet, UnknownSigner, UnknownState
from protocol.ledger.checkpoint import Checkpoint, SignedCheckpoint, sign_with
from protocol.ledger.note import NoteSignature
from protocol.ledger.origins import Log
from protocol.ledger.policy import parse_policy
from tests.community import CODES, HUB, community, note_secret

SECONDS = 1_772_334_000
ORIGIN = "hub.example/almenara/ack"
POINT = Checkpoint(ORIGIN, 9, bytes(range(32)))


def quorum() -> Quorum:
    """Return the quorum of three states: two of them."""
    return quorum_of(community().directory(), HUB, Log.ACK)


def cosignatures(code: str, seconds: int = SECONDS) -> tuple[NoteSignature, NoteSignature]:
    """Return a state's two cosignatures."""
    return note_secret(code).cosign(POINT, f"almenara/test/{code}", seconds)


def signed(*codes: str, seconds: int = SECONDS) -> SignedCheckpoint:
    """Return the checkpoint as signed by the log and cosigned by these states, one second apart."""
    lines = list(note_secret(HUB).sign_log(POINT, SECONDS))
    for number, code in enumerate(codes):
        lines += cosignatures(code, seconds + number)
    return sign_with(POINT, lines)


@pytest.mark.parametrize(
    ("witnesses", "needed"),
    [(0, 1), (1, 1), (2, 2), (3, 2), (4, 3), (7, 5), (10, 7), (12, 8), (15, 10), (20, 14), (33, 22)],
)
def test_two_quorums_share_an_honest_witness(witnesses: int, needed: int) -> None:
    """q = floor((n+f)/2)+1 with f = floor((n-1)/3), as the table of the design has it."""
    assert quorum_size(witnesses) == needed
    faulty = max(witnesses - 1, 0) // 3
    assert 2 * needed - witnesses > faulty or witnesses == 0


def test_log_and_two_of_three_states_make_a_quorum() -> None:
    """Its time is that of the witness that made it full."""
    found = quorum().require(signed("XCC", "XAA", "XBB"))
    assert found == {"XCC": SECONDS, "XAA": SECONDS + 1, "XBB": SECONDS + 2}
    assert quorum().time_of(found) == SECONDS + 1
    assert quorum().time_of(quorum().require(signed("XAA", "XBB"))) == SECONDS + 1


def test_one_state_alone_is_no_quorum_however_often_it_signs() -> None:
    """States are counted, not signatures."""
    with pytest.raises(ThresholdNotMet, match="1 of 3 witnesses"):
        quorum().require(signed("XAA", "XAA"))
    assert quorum().time_of({}) is None


@pytest.mark.parametrize("left_out", [0, 1])
def test_a_state_counts_only_with_both_kinds_of_cosignature(left_out: int) -> None:
    """Half a cosignature is what remains when one algorithm is broken."""
    half = tuple(one for number, one in enumerate(cosignatures("XBB")) if number != left_out)
    assert set(quorum().cosigned(signed("XAA").with_signatures(half))) == {"XAA"}


@pytest.mark.parametrize("left_out", [0, 1])
def test_the_log_itself_must_sign_with_both_keys(left_out: int) -> None:
    """However many witnesses cosigned."""
    whole = signed("XAA", "XBB", "XCC")
    lines = [one for number, one in enumerate(whole.note.signatures) if number != left_out]
    with pytest.raises(BadSignature, match="not signed with the log's"):
        quorum().require(sign_with(POINT, lines))


def test_a_wrong_signature_in_a_known_name_is_refused() -> None:
    """A note that carries a forgery is no note (C2SP signed-note)."""
    first, _ = cosignatures("XAA")
    forged = replace(first, signature=first.signature[:-1] + bytes([first.signature[-1] ^ 1]))
    with pytest.raises(BadSignature):
        quorum().cosigned(signed("XBB").with_signatures([forged]))


def test_signatures_of_strangers_count_nothing_and_harm_nothing() -> None:
    """Public witnesses may cosign too."""
    stranger = note_secret("XZZ").cosign(POINT, "witness.example/w1", SECONDS)
    assert set(quorum().require(signed("XAA", "XBB").with_signatures(stranger))) == {"XAA", "XBB"}


def test_the_checkpoint_of_another_log_is_refused_by_name() -> None:
    """The two logs of one coordinator are never taken for each other."""
    other = Checkpoint("hub.example/almenara/dir", 9, POINT.root)
    with pytest.raises(UnknownSigner, match="almenara/dir"):
        quorum().require(sign_with(other, note_secret(HUB).sign_log(other, SECONDS)))
    with pytest.raises(UnknownState):
        quorum_of(community().directory(), "HUB2", Log.ACK)


def test_a_state_without_a_manifest_counts_and_cannot_sign() -> None:
    """Nobody makes a quorum smaller by leaving manifests out."""
    built = community()
    trusted = TrustedDirectory(built.id, built.verifier)
    for document in built.documents[:3]:
        trusted.update(document, built.now_ms)
    known = quorum_of(trusted, HUB, Log.ACK)
    assert (set(known.witnesses), known.needed) == ({"XAA"}, 2)
    with pytest.raises(ThresholdNotMet, match="1 of 1 witnesses"):
        known.require(signed("XAA", "XBB", "XCC"))
    # A policy file cannot name witnesses that nobody knows: it asks for all there are.
    policy = parse_policy(policy_text(trusted, HUB, Log.ACK))
    assert policy.is_met({"XAA/ed25519", "XAA/mldsa44"})


@pytest.mark.parametrize("log", Log)
def test_the_policy_file_says_the_same_as_the_quorum(log: Log) -> None:
    """Public tools that read C2SP policies come to our answer about witnesses."""
    policy = parse_policy(policy_text(community().directory(), HUB, log))
    mine = quorum_of(community().directory(), HUB, log)
    assert tuple(one.key for one in policy.logs) == mine.log
    names = {code: {f"{code}/ed25519", f"{code}/mldsa44"} for code in CODES}
    assert not policy.is_met(names["XAA"])
    assert not policy.is_met(names["XAA"] | {"XBB/ed25519", "XCC/mldsa44"})
    assert policy.is_met(names["XAA"] | names["XCC"])
    by_name = {one.name: one.key for one in policy.witnesses}
    for line in cosignatures("XBB"):
        key = next(key for key in by_name.values() if line.is_by(key))
        assert verify_signature(key, POINT, line) == SECONDS
