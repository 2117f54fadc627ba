"""Leaves of both logs, and the frontier of a growing tree."""

from __future__ import annotations

import hashlib
from time import perf_counter

import pytest
from msgspec.structs import replace

from protocol import tree
from protocol.digest import tagged
from protocol.documents import Directory, Root, parse_document, parse_signed_document
from protocol.errors import FormatError, UnknownKind
from protocol.ledger.frontier import Frontier
from protocol.ledger.leaf import (
    DocumentLeaf,
    DocumentType,
    Leaf,
    document_leaf,
    leaf_digest,
    parse_document_leaf,
    parse_leaf,
    statement_leaf,
)
from protocol.statement import StatementKind
from tests.vectors import examples
from tests.vectors.world import COMMUNITY, NOW_MS, packed

LEAVES = [tree.leaf_hash(number.to_bytes(2, "big")) for number in range(1025)]
DIGEST = bytes(range(32))


def number_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:8]


def test_a_leaf_of_a_statement_commits_to_its_exact_signed_bytes() -> None:
    """Version, kind, time and digest: 42 bytes, and another signature is another leaf."""
    data = packed(examples.signed(examples.received(), "node"))
    leaf = statement_leaf(StatementKind.RECEIVED, NOW_MS, data)
    assert leaf.encode() == b"\1\1" + NOW_MS.to_bytes(8, "big") + tagged("leaf", data)
    assert parse_leaf(leaf.encode()) == leaf
    assert statement_leaf(StatementKind.RECEIVED, NOW_MS, data + b"\0").digest != leaf.digest


def test_a_leaf_cannot_be_guessed_without_the_nonce() -> None:
    """Threat 34: who knows all but 32 random bytes cannot tell what a leaf says; with them, it can."""
    true = examples.received()
    signed = examples.signed(true, "node")
    leaf = statement_leaf(StatementKind.RECEIVED, NOW_MS, packed(signed))
    # Even the signature is given away here: the nonce alone hides the statement.
    wrong = statement_leaf(
        StatementKind.RECEIVED, NOW_MS, packed(replace(signed, body=packed(replace(true, nonce=bytes(32)))))
    )
    right = statement_leaf(StatementKind.RECEIVED, NOW_MS, packed(replace(signed, body=packed(true))))
    assert wrong.digest != leaf.digest
    assert right == leaf


@pytest.mark.parametrize("kind", list(StatementKind))
def test_every_kind_of_statement_has_a_leaf(kind: StatementKind) -> None:
    """What the community says is what the log holds."""
    leaf = Leaf(kind, 0, DIGEST)
    assert len(leaf.encode()) == 42
    assert parse_leaf(leaf.encode()) == leaf


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (b"", FormatError),
        (bytes(41), FormatError),
        (bytes(43), FormatError),
        (Leaf(StatementKind.RECEIVED, 253_402_300_800_000, DIGEST).encode(), FormatError),
        (b"\2" + Leaf(StatementKind.RECEIVED, 0, DIGEST).encode()[1:], UnknownKind),
        (b"\1\x63" + bytes(40), UnknownKind),
    ],
)
def test_a_leaf_that_is_no_statements_is_refused(bad: bytes, error: type[FormatError]) -> None:
    """Length, version, kind and time."""
    with pytest.raises(error):
        parse_leaf(bad)


@pytest.mark.parametrize(
    "data", [bytes.fromhex(document) for document in COMMUNITY["documents"]], ids=number_of
)
def test_every_document_of_a_community_has_a_leaf_that_names_it(data: bytes) -> None:
    """Kind, state and version are readable without the document; its bytes are pinned."""
    document = parse_document(parse_signed_document(data).body)
    leaf = parse_document_leaf(document_leaf(document, NOW_MS, data))
    assert (leaf.at_ms, leaf.version, leaf.digest) == (NOW_MS, document.version, leaf_digest(data))
    assert leaf.state == ("" if isinstance(document, Root | Directory) else document.state)
    assert leaf.encode() == document_leaf(document, NOW_MS, data)


def test_a_leaf_of_a_document_has_its_parts_in_order() -> None:
    """Version, kind, time, state behind its length, document version, digest."""
    state = DocumentLeaf(DocumentType.PUBLICATION, 2, "XAA", 3, DIGEST)
    assert state.encode() == b"\1\5" + bytes(7) + b"\2\3XAA" + bytes(7) + b"\3" + DIGEST
    root = DocumentLeaf(DocumentType.ROOT, 2, "", 1, DIGEST)
    assert root.encode() == b"\1\1" + bytes(7) + b"\2\0" + bytes(7) + b"\1" + DIGEST
    longest = DocumentLeaf(DocumentType.MANIFEST, 0, "A" * 16, 2**63 - 1, DIGEST)
    for leaf in (state, root, longest):
        assert parse_document_leaf(leaf.encode()) == leaf


GOOD = DocumentLeaf(DocumentType.MANIFEST, 0, "XAA", 1, DIGEST)


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        GOOD.encode()[:10],
        GOOD.encode()[:11],
        GOOD.encode()[:-1],
        GOOD.encode() + b"\0",
        b"\2" + GOOD.encode()[1:],
        b"\1\6" + GOOD.encode()[2:],
        b"\1\0" + GOOD.encode()[2:],
        DocumentLeaf(DocumentType.MANIFEST, 253_402_300_800_000, "XAA", 1, DIGEST).encode(),
        DocumentLeaf(DocumentType.MANIFEST, 0, "", 1, DIGEST).encode(),
        DocumentLeaf(DocumentType.ROOT, 0, "XAA", 1, DIGEST).encode(),
        DocumentLeaf(DocumentType.MANIFEST, 0, "xaa", 1, DIGEST).encode(),
        DocumentLeaf(DocumentType.MANIFEST, 0, "X", 1, DIGEST).encode(),
        DocumentLeaf(DocumentType.MANIFEST, 0, "-AA", 1, DIGEST).encode(),
        DocumentLeaf(DocumentType.MANIFEST, 0, "A" * 17, 1, DIGEST).encode(),
        DocumentLeaf(DocumentType.MANIFEST, 0, "XAA", 0, DIGEST).encode(),
        DocumentLeaf(DocumentType.MANIFEST, 0, "XAA", 2**63, DIGEST).encode(),
    ],
)
def test_a_leaf_that_is_no_documents_is_refused(bad: bytes) -> None:
    """Length, version, kind, time, state and document version; none of them ends in a crash."""
    with pytest.raises(FormatError):
        parse_document_leaf(bad)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 7, 8, 255, 256, 257, 1024, 1025])
def test_the_frontier_has_the_root_of_the_tree(size: int) -> None:
    """Leaf by leaf, or all at once, or from where another stopped."""
    grown = Frontier()
    for leaf in LEAVES[:size]:
        grown = grown.append(leaf)
    assert grown == Frontier().extend(LEAVES[:size])
    assert grown == Frontier().extend(LEAVES[: size // 3]).extend(LEAVES[size // 3 : size])
    assert grown.root == tree.root_of(LEAVES[:size])


def test_a_frontier_does_not_change() -> None:
    """A checkpoint that fails to be stored leaves what was there."""
    before = Frontier().extend(LEAVES[:5])
    root = before.root
    before.extend(LEAVES[5:])
    assert (before.size, before.root) == (5, root)


@pytest.mark.parametrize(
    ("size", "peaks"),
    [(-1, ()), (0, (DIGEST,)), (1, ()), (3, (DIGEST,)), (2, (DIGEST, DIGEST)), (1, (b"short",))],
)
def test_peaks_that_do_not_fit_the_size_are_refused(size: int, peaks: tuple[bytes, ...]) -> None:
    """One for every bit of the size, 32 bytes each."""
    with pytest.raises(FormatError):
        Frontier(size, peaks)


def test_a_hundred_thousand_leaves_are_appended_in_a_second() -> None:
    """The sequencer's own share of a burst is small; ten times slower than measured would still pass."""
    started = perf_counter()
    Frontier().extend(LEAVES[0] for _ in range(100_000))
    assert perf_counter() - started < 1
