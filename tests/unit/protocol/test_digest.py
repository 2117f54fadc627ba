"""Tagged hashes: what a hash is of stands in front of it."""

from __future__ import annotations

import hashlib

import pytest

from protocol.digest import certificate_id, kem_key_id, signing_key_id, tag, tagged


def test_a_tagged_hash_is_sha256_of_prefix_label_zero_and_parts() -> None:
    """Written out by hand."""
    assert tagged("eid", b"one", b"two") == hashlib.sha256(b"almenara/1/eid\0onetwo").digest()
    assert tag("wrap") == b"almenara/1/wrap\0"


def test_one_thing_has_another_hash_under_another_label() -> None:
    """A header's hash is never an envelope's id."""
    assert tagged("hdr", b"x") != tagged("eid", b"x")


def test_a_label_cannot_run_into_what_is_hashed() -> None:
    """The zero byte ends it."""
    assert tagged("ab", b"c") != tagged("a", b"bc")


def test_a_label_is_ascii() -> None:
    """Nobody has to think about its encoding."""
    with pytest.raises(UnicodeEncodeError):
        tag("señal")


def test_key_ids_name_the_algorithm_they_are_for() -> None:
    """The same bytes as another kind of key have another id."""
    key = bytes(1984)
    written_out = b"almenara/1/sig\0COMPSIG-MLDSA65-Ed25519-SHA512\0" + key
    assert signing_key_id(key) == hashlib.sha256(written_out).digest()
    assert kem_key_id(key) == hashlib.sha256(b"almenara/1/kem\0\x64\x7a" + key).digest()
    assert certificate_id(key) == hashlib.sha256(key).digest()
