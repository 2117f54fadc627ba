"""Checkpoints and what cosignatures cover: the specifications' own examples, and what is refused."""

from __future__ import annotations

import base64

import pytest

from protocol.errors import FormatError
from protocol.ledger.checkpoint import Checkpoint, parse_checkpoint, parse_checkpoint_text, sign_with
from protocol.ledger.cosignature import (
    ed25519_message,
    join_timestamped,
    mldsa44_message,
    split_timestamped,
)
from protocol.ledger.note import NoteSignature, SignatureType
from protocol.ledger.origins import Log, origin

TEXT = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
# C2SP tlog-checkpoint and tlog-cosignature, at their heads.
LOG_LINE = (
    "— example.com/behind-the-sofa "
    "Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
)
WITNESS_LINE = (
    "— witness.example.com/w1 "
    "jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/"
    "zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
)
SIGNED = f"{TEXT}\n{LOG_LINE}{WITNESS_LINE}".encode()
CHECKPOINT = Checkpoint(
    "example.com/behind-the-sofa", 20852163, base64.standard_b64decode(TEXT.splitlines()[2])
)


def test_the_example_of_a_cosigned_checkpoint_is_read_and_written_byte_for_byte() -> None:
    """C2SP tlog-checkpoint and tlog-cosignature: three lines, an empty one, signatures."""
    found = parse_checkpoint(SIGNED)
    assert found.checkpoint == CHECKPOINT
    assert found.checkpoint.text == TEXT
    assert found.data == SIGNED


def test_the_example_of_a_cosignature_states_the_time_that_its_message_states() -> None:
    """C2SP tlog-cosignature: the same second in the signature line and in what is signed."""
    line = parse_checkpoint(SIGNED).note.signatures[1]
    found = split_timestamped(line.signature, SignatureType.COSIGNATURE_ED25519)
    assert found.seconds == 1679315147
    assert ed25519_message(CHECKPOINT, found.seconds) == (
        b"cosignature/v1\n"
        b"time 1679315147\n"
        b"example.com/behind-the-sofa\n"
        b"20852163\n"
        b"CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    )
    assert join_timestamped(*found) == line.signature


def test_what_mldsa44_covers_is_the_structure_of_the_specification() -> None:
    """C2SP tlog-cosignature: label, name, time, origin, start, end and hash, in network order."""
    message = mldsa44_message("w.example/1", CHECKPOINT, 1679315147)
    assert message == (
        b"subtree/v1\n\0"
        + b"\x0bw.example/1"
        + (1679315147).to_bytes(8, "big")
        + b"\x1bexample.com/behind-the-sofa"
        + bytes(8)
        + (20852163).to_bytes(8, "big")
        + CHECKPOINT.root
    )
    assert len(message) == 12 + 12 + 8 + 28 + 16 + 32


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "\n\n\n",
        TEXT + "an extension line\n",
        TEXT + "\n",
        TEXT[:-1],
        TEXT.replace("20852163", "020852163"),
        TEXT.replace("20852163", "+20852163"),
        TEXT.replace("20852163", "-1"),
        TEXT.replace("20852163", "2085 2163"),
        TEXT.replace("20852163", "\u0662"),
        TEXT.replace("20852163", "9223372036854775808"),
        TEXT.replace("20852163", "9" * 5000),
        TEXT.replace("20852163", ""),
        TEXT.replace("q2I=", "q2J="),
        TEXT.replace("q2I=", "q2I"),
        TEXT.replace("q2I=", "q2IA"),
        TEXT.replace("CsUY", ""),
        TEXT.replace("example.com/", "example com/"),
        TEXT.replace("example.com/", "example+com/"),
        TEXT.replace("example.com/behind-the-sofa", ""),
    ],
)
def test_a_checkpoint_in_any_other_spelling_is_refused(bad: str) -> None:
    """One checkpoint, one spelling; and extension lines, which nobody audits, are not accepted."""
    with pytest.raises(FormatError):
        parse_checkpoint_text(bad)


def test_sizes_at_their_bounds_are_read() -> None:
    """From the empty log to 2^63 - 1 leaves."""
    for size in (0, 1, 2**63 - 1):
        checkpoint = Checkpoint("log.example", size, bytes(32))
        assert parse_checkpoint_text(checkpoint.text) == checkpoint
    for size, root in ((-1, bytes(32)), (2**63, bytes(32)), (0, bytes(31))):
        with pytest.raises(FormatError):
            Checkpoint("log.example", size, root)


def test_signatures_are_added_behind_and_replaced_by_the_same_key() -> None:
    """A witness that cosigns again must not fill the note with lines."""
    old, new = NoteSignature("w", b"abcd", b"old"), NoteSignature("w", b"abcd", b"new")
    other = NoteSignature("w", b"efgh", b"other")
    signed = sign_with(CHECKPOINT, [NoteSignature("log", b"1234", b"sig"), old]).with_signatures([new, other])
    assert [one.signature for one in signed.note.signatures] == [b"sig", b"new", b"other"]
    assert parse_checkpoint(signed.data) == signed


@pytest.mark.parametrize("seconds", [0, -1, 2**63])
def test_a_cosignature_always_states_a_time(seconds: int) -> None:
    """Zero, by which C2SP lets a cosigner say nothing about time, is not accepted here."""
    with pytest.raises(FormatError):
        ed25519_message(CHECKPOINT, seconds)
    with pytest.raises(FormatError):
        mldsa44_message("w", CHECKPOINT, seconds)
    with pytest.raises(FormatError):
        join_timestamped(seconds, bytes(64))
    if seconds >= 0:
        with pytest.raises(FormatError):
            split_timestamped(seconds.to_bytes(8, "big") + bytes(64), SignatureType.COSIGNATURE_ED25519)


@pytest.mark.parametrize(
    ("kind", "length"),
    [
        (SignatureType.COSIGNATURE_ED25519, 71),
        (SignatureType.COSIGNATURE_ED25519, 73),
        (SignatureType.COSIGNATURE_ED25519, 2428),
        (SignatureType.MLDSA44, 72),
        (SignatureType.MLDSA44, 2427),
        (SignatureType.MLDSA44, 2429),
        (SignatureType.ED25519, 72),
        (SignatureType.ED25519, 64),
    ],
)
def test_a_timestamped_signature_has_exactly_the_length_of_its_kind(kind: SignatureType, length: int) -> None:
    """And a plain Ed25519 signature has no time."""
    with pytest.raises(FormatError):
        split_timestamped(bytes([0] * 7 + [1] * (length - 7)), kind)


def test_the_two_logs_have_two_names() -> None:
    """A checkpoint of one is never one of the other."""
    assert origin("hub.example", Log.ACK) == "hub.example/ack"
    assert origin("hub.example", Log.DIRECTORY) == "hub.example/dir"
