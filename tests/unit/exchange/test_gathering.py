"""The cosignatures of one checkpoint: what counts, and when a quorum is full."""

from __future__ import annotations

import pytest

from exchange.coordinator.gathering import Gathering
from keys.quorum import quorum_of
from protocol.errors import BadSignature, FormatError
from protocol.ledger.checkpoint import Checkpoint, SignedCheckpoint, sign_with
from protocol.ledger.origins import Log
from tests.community import HUB, community, note_secret

EVERYONE = community()
QUORUM = quorum_of(EVERYONE.directory(), HUB, Log.ACK)
SECONDS = EVERYONE.now_ms // 1000


def checkpoint(size: int = 7) -> SignedCheckpoint:
    """Return a checkpoint of the hub's log of statements."""
    plain = Checkpoint(QUORUM.log[0].name, size, bytes(32))
    return sign_with(plain, note_secret(HUB).sign_log(plain, SECONDS))


def lines(state: str, signed: SignedCheckpoint, seconds: int = SECONDS) -> list[str]:
    """Return the two signature lines of a state's witness."""
    name = QUORUM.witnesses[state][0].name
    return [one.line for one in note_secret(state).cosign(signed.checkpoint, name, seconds)]


def test_two_of_three_make_a_quorum_and_the_third_is_kept_too() -> None:
    """Its time is that of the witness that made it full; the note verifies as a whole."""
    gathering = Gathering(checkpoint(), QUORUM)
    assert gathering.full_at is None
    gathering.add("XCC", "".join(lines("XCC", gathering.signed, SECONDS + 5)).encode(), SECONDS)
    assert gathering.full_at is None
    gathering.add("XAA", "".join(lines("XAA", gathering.signed, SECONDS + 9)).encode(), SECONDS)
    assert gathering.full_at == SECONDS + 9
    gathering.add("XBB", "".join(lines("XBB", gathering.signed, SECONDS + 1)).encode(), SECONDS)
    assert gathering.full_at == SECONDS + 5
    assert QUORUM.require(gathering.witnessed()) == gathering.cosigned


@pytest.mark.parametrize("kept", [0, 1])
def test_one_signature_of_two_counts_for_nothing(kept: int) -> None:
    """Forging a cosignature takes breaking both."""
    gathering = Gathering(checkpoint(), QUORUM)
    with pytest.raises(BadSignature):
        gathering.add("XAA", lines("XAA", gathering.signed)[kept].encode(), SECONDS)
    assert gathering.cosigned == {}


def test_a_cosignature_of_another_checkpoint_or_by_another_is_refused() -> None:
    """Whoever sends it."""
    gathering = Gathering(checkpoint(), QUORUM)
    with pytest.raises(BadSignature):
        gathering.add("XAA", "".join(lines("XAA", checkpoint(8))).encode(), SECONDS)
    with pytest.raises(BadSignature):
        gathering.add("XAA", "".join(lines("XBB", gathering.signed)).encode(), SECONDS)
    for rubbish in (b"", b"\xff", b"no line\n"):
        with pytest.raises((FormatError, BadSignature)):
            gathering.add("XAA", rubbish, SECONDS)
    assert gathering.full_at is None


def test_lines_of_unknown_keys_are_left_out() -> None:
    """They cannot swell what everybody keeps."""
    gathering = Gathering(checkpoint(), QUORUM)
    body = "".join(lines("XAA", gathering.signed) + lines("XBB", gathering.signed)).encode()
    gathering.add("XAA", body, SECONDS)
    assert list(gathering.cosigned) == ["XAA"]
    assert len(gathering.witnessed().note.signatures) == 4


@pytest.mark.parametrize("off", [-601, 601, 10 * 365 * 86400])
def test_a_cosignature_that_is_dated_far_off_does_not_count(off: int) -> None:
    """One false clock must not date the checkpoint of all, nor keep the next from being a milestone."""
    gathering = Gathering(checkpoint(), QUORUM)
    with pytest.raises(BadSignature):
        gathering.add("XAA", "".join(lines("XAA", gathering.signed, SECONDS + off)).encode(), SECONDS)
    assert gathering.cosigned == {}
