"""What is signed: type and received bytes, in a batch tree, under one context for each kind."""

from __future__ import annotations

import hashlib

import pytest

from protocol import codec
from protocol.errors import FormatError
from protocol.signed import (
    MAX_BATCH,
    Context,
    Proof,
    batch_leaf,
    batch_root,
    pae,
    root_implied,
    signing_message,
)
from protocol.tree import inclusion_path

SIGNATURE = bytes(3373)


def proof(index: int, size: int, path: tuple[bytes, ...] = ()) -> Proof:
    return Proof(signature=SIGNATURE, index=index, size=size, path=path)


def test_the_pre_authentication_encoding_is_that_of_dsse() -> None:
    """The example of the DSSE specification, protocol.md."""
    assert pae(b"http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_type_and_object_cannot_run_into_each_other() -> None:
    """Both carry their length."""
    assert pae(b"a", b"b c") != pae(b"a 3 b", b"c")
    assert pae(b"", b"") == b"DSSEv1 0  0 "


def test_contexts_and_media_types_are_all_different() -> None:
    """Two separations, each enough."""
    assert len({context.label for context in Context}) == len(Context)
    assert len({context.media_type for context in Context}) == len(Context)
    assert all(len(context.label) <= 255 for context in Context)


def test_one_object_alone_has_its_leaf_as_root() -> None:
    """A batch of one."""
    leaf = hashlib.sha256(b"\0" + hashlib.sha256(pae(Context.NOTICE.media_type, b"x")).digest()).digest()
    assert batch_leaf(Context.NOTICE, b"x") == leaf == batch_root(Context.NOTICE, [b"x"])
    assert root_implied(Context.NOTICE, b"x", proof(0, 1)) == leaf


def test_the_same_bytes_as_another_kind_have_another_root() -> None:
    """A notice is no statement, whatever its bytes."""
    assert len({batch_root(context, [b"x"]) for context in Context}) == len(Context)


def test_the_message_names_the_type_and_the_root() -> None:
    """The root is never signed bare."""
    root = bytes(range(32))
    assert signing_message(Context.STATEMENT, root) == pae(Context.STATEMENT.media_type, root)


@pytest.mark.parametrize("size", [2, 3, MAX_BATCH])
def test_every_object_of_a_batch_implies_the_same_root(size: int) -> None:
    """One signature is enough for all."""
    objects = [number.to_bytes(2, "big") for number in range(size)]
    hashes = [batch_leaf(Context.STATEMENT, one) for one in objects]
    root = batch_root(Context.STATEMENT, objects)
    for index in {0, 1, size // 2, size - 1}:
        found = proof(index, size, inclusion_path(index, hashes))
        assert root_implied(Context.STATEMENT, objects[index], found) == root
        assert root_implied(Context.STATEMENT, b"other", found) != root


def test_a_proof_that_does_not_fit_itself_is_malformed() -> None:
    """Before anything is verified."""
    for bad in (proof(1, 1), proof(0, 2), proof(0, 1, (bytes(32),)), proof(2, 3, ())):
        with pytest.raises(FormatError):
            root_implied(Context.NOTICE, b"x", bad)


@pytest.mark.parametrize(
    "bad",
    [
        proof(0, 0),
        proof(256, 256),
        proof(0, 257),
        proof(0, 1, (bytes(32),) * 9),
        proof(0, 2, (bytes(31),)),
        Proof(signature=bytes(3372), index=0, size=1, path=()),
    ],
)
def test_a_proof_out_of_bounds_has_no_encoding(bad: Proof) -> None:
    """A decoded proof needs no bounds checked again."""
    with pytest.raises(FormatError):
        codec.encode(bad)
