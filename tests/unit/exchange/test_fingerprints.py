"""Fingerprints as people see them, and what they are told when two differ."""

from __future__ import annotations

import hashlib

import pytest
import segno

from exchange import fingerprints
from protocol.errors import BadRequest, UnknownSigner
from protocol.fingerprint import parse, words

DIGEST = hashlib.sha256(b"a key").digest()
LIGHT = {"█": (True, True), "▀": (True, False), "▄": (False, True), " ": (False, False)}


def test_the_drawing_is_the_code_with_a_quiet_zone() -> None:
    """Every module, read back from the half blocks; light is drawn, so that the picture stands on black."""
    drawn = fingerprints.qr(DIGEST)
    rows: list[list[bool]] = []
    for line in drawn:
        rows += ([LIGHT[half][0] for half in line], [LIGHT[half][1] for half in line])
    code = segno.make_qr(fingerprints.qr_text(DIGEST), error="m")
    expected = [[not module for module in row] for row in code.matrix_iter(border=4)]
    assert rows[: len(expected)] == expected
    assert all(rows[0])
    assert max(len(line) for line in drawn) <= 80


def test_a_scanned_code_is_what_is_compared() -> None:
    """A reader shows the text of the code, and the command takes it as it is."""
    assert parse(fingerprints.qr_text(DIGEST)) == DIGEST
    fingerprints.require_same(DIGEST, fingerprints.qr_text(DIGEST), "the key")


def test_a_scanned_code_with_one_wrong_part_is_refused_and_named() -> None:
    """Somebody put up another code."""
    scanned = fingerprints.qr_text(DIGEST).split()
    scanned[6] = "DEADBEEF"
    with pytest.raises(UnknownSigner, match=r"this is not the key of XAA: group 7 is .* there"):
        fingerprints.require_same(DIGEST, " ".join(scanned), "the key of XAA")


def test_words_with_one_wrong_part_are_refused_and_named() -> None:
    """The person asks for that word once more."""
    heard = words(DIGEST)[0].split() + words(DIGEST)[1].split()
    heard[3] = "zorro"
    with pytest.raises(UnknownSigner, match=f"word 4 is {words(DIGEST)[0].split()[3]} here, and zorro there"):
        fingerprints.require_same(DIGEST, " ".join(heard), "the key")


def test_another_key_is_not_told_in_thirty_lines() -> None:
    """Where everything differs, three examples do."""
    other = hashlib.sha256(b"another key").digest()
    with pytest.raises(UnknownSigner, match="and 33 more differ"):
        fingerprints.require_same(DIGEST, " ".join(words(other)), "the key")


def test_too_little_is_refused() -> None:
    """It would compare nothing worth comparing."""
    with pytest.raises(BadRequest) as caught:
        fingerprints.require_same(DIGEST, DIGEST.hex()[:24], "the key")
    assert "four lines" in caught.value.hint


def test_a_person_sees_digits_and_words() -> None:
    """In lines that fit on a terminal and can be read aloud."""
    shown = list(fingerprints.lines(DIGEST))
    assert len(shown) == 6
    assert parse(" ".join(shown[:2])) == parse(" ".join(shown[2:])) == DIGEST
    assert max(map(len, shown)) <= 80
