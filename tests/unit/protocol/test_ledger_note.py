"""Signed notes and verifier keys: the specification's own examples, and what is refused."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from protocol.errors import FormatError, TooLarge, UnknownKind
from protocol.ledger.note import (
    MAX_SIGNATURES,
    Note,
    NoteSignature,
    SignatureType,
    VerifierKey,
    parse_note,
    parse_signature_lines,
    parse_vkey,
)

# C2SP signed-note, section "Example".
VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
NOTE = (
    "This is an example message.\n"
    "\n"
    "— example.com/foo "
    "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
).encode()
# C2SP signed-note, at its head: a text with an empty line of its own.
POEM = (
    "Ognuno sta solo sul cuor della terra\n"
    "trafitto da un raggio di sole:\n"
    "\n"
    "ed è subito sera.\n"
    "\n"
    "— quasimodo.example/salvatore "
    "NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n"
).encode()


def test_the_example_of_a_verifier_key_is_read_and_written_byte_for_byte() -> None:
    """C2SP signed-note: name, key id, type and key."""
    key = parse_vkey(VKEY)
    assert (key.name, key.type, key.key_id.hex()) == ("example.com/foo", SignatureType.ED25519, "530d903a")
    assert str(key) == VKEY


def test_the_example_of_a_note_verifies_under_the_example_of_a_key() -> None:
    """C2SP signed-note: the signature covers the text with its newline, without the empty line."""
    note, key = parse_note(NOTE), parse_vkey(VKEY)
    assert note.text == "This is an example message.\n"
    assert note.signatures[0].is_by(key)
    Ed25519PublicKey.from_public_bytes(key.public).verify(note.signatures[0].signature, note.text.encode())
    assert note.encode() == NOTE


def test_the_last_empty_line_separates_text_and_signatures() -> None:
    """C2SP signed-note: a text may hold empty lines, and letters beyond ASCII."""
    note = parse_note(POEM)
    assert note.text.endswith("\n\ned è subito sera.\n")
    assert note.encode() == POEM


def test_lines_of_unknown_keys_are_kept() -> None:
    """C2SP signed-note: a reader ignores them, and whoever knows them needs them."""
    line = NoteSignature("nobody", b"1234", bytes(5)).line
    note = parse_note(NOTE + line.encode())
    assert [one.name for one in note.signatures] == ["example.com/foo", "nobody"]
    assert not note.signatures[1].is_by(parse_vkey(VKEY))


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"text\n",
        b"text\n\n",
        NOTE[:-1],
        NOTE + b"\n",
        NOTE.replace(b"\n\n", b"\n"),
        NOTE.replace("—".encode(), b"-"),
        NOTE.replace("— ".encode(), "—".encode()),
        NOTE.replace("— ".encode(), "—  ".encode()),
        NOTE.replace(b"/foo ", b"/foo  "),
        NOTE.replace(b"/foo ", b"+foo "),
        NOTE.replace(b"/foo ", "\u00a0foo ".encode()),
        NOTE.replace(b"example.com/foo ", b" "),
        NOTE.replace(b"aQM=", b"aQN="),
        NOTE.replace(b"aQM=", b"aQM"),
        NOTE.replace(b"aQM=\n", b"aQM= \n"),
        NOTE.replace(b"\n", b"\r\n"),
        NOTE.replace(b"example message", b"example\tmessage"),
        NOTE.replace(b"example message", b"example\0message"),
        NOTE.replace(b"example message", b"example\xffmessage"),
        "text\n\n— name AAAA\n".encode(),
        "text\n\n— name AAAAAA==\n".encode(),
    ],
)
def test_a_note_in_any_other_spelling_is_refused(bad: bytes) -> None:
    """One note, one spelling: no stray spaces, no lax base64, no controls, no missing newline."""
    with pytest.raises(FormatError):
        parse_note(bad)


def test_a_note_over_its_limits_is_refused_before_it_is_taken_apart() -> None:
    """In bytes and in signatures; C2SP asks for at least 16, we read 512."""
    line = NoteSignature("name", b"1234", b"x")
    assert len(parse_note(Note("text\n", (line,) * MAX_SIGNATURES).encode()).signatures) == MAX_SIGNATURES
    with pytest.raises(TooLarge, match="signatures"):
        parse_note(Note("text\n", (line,) * (MAX_SIGNATURES + 1)).encode())
    with pytest.raises(TooLarge, match="bytes"):
        parse_note(NOTE, limit=len(NOTE) - 1)


def test_signature_lines_alone_are_read_as_a_witness_sends_them() -> None:
    """C2SP tlog-witness: the answer is signature lines, and nothing else."""
    lines = (NoteSignature("w/1", b"abcd", b"one"), NoteSignature("w/2", b"efgh", b"two"))
    assert parse_signature_lines("".join(one.line for one in lines)) == lines
    for bad in ("", "\n", lines[0].line + "\n", lines[0].line[:-1]):
        with pytest.raises(FormatError):
            parse_signature_lines(bad)


@pytest.mark.parametrize("kind", list(SignatureType))
def test_every_type_of_key_survives_its_text(kind: SignatureType) -> None:
    """And one public key has another id under every type."""
    key = VerifierKey("witness.example/w1", kind, bytes(1312 if kind is SignatureType.MLDSA44 else 32))
    assert parse_vkey(str(key)) == key
    others = {
        VerifierKey(key.name, other, key.public).key_id
        for other in SignatureType
        if len(key.public) == 32 and other is not SignatureType.MLDSA44
    }
    assert len(others) == (0 if kind is SignatureType.MLDSA44 else 2)


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ("", FormatError),
        ("example.com/foo", FormatError),
        (VKEY.replace("530d903a", "530d903b"), FormatError),
        (VKEY.replace("530d903a", "530D903A"), FormatError),
        (VKEY.replace("530d903a", "0530d903a"), FormatError),
        (VKEY.replace("/foo", "/fop"), FormatError),
        (VKEY.replace("AekyeR", "AukyeR"), UnknownKind),
        (VKEY + "=", FormatError),
        (VKEY + "\n", FormatError),
        (VKEY[:-4], FormatError),
        ("+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", FormatError),
        ("a b+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", FormatError),
        ("example.com/foo+530d903a+", UnknownKind),
    ],
)
def test_a_verifier_key_in_any_other_spelling_is_refused(bad: str, error: type[FormatError]) -> None:
    """Its id is computed again, and a type that is not used here is not guessed at."""
    with pytest.raises(error):
        parse_vkey(bad)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\u2003b", "a\ud800b", "a" * 256, "é" * 128])
def test_a_key_has_no_name_that_would_not_fit_a_signature_line(name: str) -> None:
    """No spaces of any alphabet, no plus sign, at most 255 bytes."""
    with pytest.raises(FormatError):
        VerifierKey(name, SignatureType.ED25519, bytes(32))
