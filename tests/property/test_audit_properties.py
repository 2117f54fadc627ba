"""Whatever one changes in a bundle, it is found, and nothing else happens."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.audit.verdict import Outcome
from exchange.audit.verify.bundle import Options, verify_bundle
from exchange.audit.verify.tree import StoredTree
from protocol.errors import BadRequest
from protocol.ledger.bundle import LIST_NAME
from protocol.tree import leaf_hash, root_of
from tests.bundles import Memory, lively

WRITER, _ = lively()
FILES = WRITER.bundle()
ROOT = WRITER.built.id
NAMES = sorted(FILES)
# Nothing follows from these two, so nothing is wrong when they say something else.
FREE = ("made ", "program ")


@settings(deadline=None, max_examples=120)
@given(name=st.sampled_from(NAMES), at=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_no_bit_can_be_changed_unseen(name: str, at: int, bit: int) -> None:
    """Every byte of every file counts."""
    data = bytearray(FILES[name])
    data[at % len(data)] ^= 1 << bit
    if name == LIST_NAME and _only_what_is_free(bytes(data)):
        return
    verdict = verify_bundle(Memory({**FILES, name: bytes(data)}), ROOT, Options(sample=1))
    assert verdict.verdict is Outcome.FAILED


@settings(deadline=None, max_examples=60)
@given(name=st.sampled_from(NAMES), at=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_a_list_that_names_the_change_hides_nothing(name: str, at: int, bit: int) -> None:
    """The list is not what is believed: a forger would write it anew."""
    if name in (LIST_NAME, "README.txt"):
        return
    data = bytearray(FILES[name])
    data[at % len(data)] ^= 1 << bit
    verdict = verify_bundle(Memory(WRITER.listed({**FILES, name: bytes(data)})), ROOT)
    assert verdict.verdict is Outcome.FAILED


@settings(deadline=None, max_examples=60)
@given(name=st.sampled_from(NAMES), data=st.binary(max_size=400))
def test_junk_for_any_file_is_a_verdict_and_no_crash(name: str, data: bytes) -> None:
    """Whatever stands in a file: failed, or no bundle at all."""
    if data == FILES[name]:
        return
    try:
        verdict = verify_bundle(Memory({**FILES, name: data}), ROOT)
    except BadRequest:
        return
    assert verdict.verdict is Outcome.FAILED


@settings(deadline=None, max_examples=60)
@given(name=st.sampled_from(NAMES), data=st.binary(max_size=400))
def test_listed_junk_for_any_file_is_a_verdict_and_no_crash(name: str, data: bytes) -> None:
    """So too if the list says that it belongs there."""
    if name in (LIST_NAME, "README.txt"):
        return
    verdict = verify_bundle(Memory(WRITER.listed({**FILES, name: data})), ROOT)
    assert verdict.verdict is Outcome.FAILED


@settings(deadline=None)
@given(sizes=st.lists(st.integers(0, 400), max_size=8), asked=st.integers(0, 2000), kept=st.integers(0, 600))
def test_a_stored_tree_knows_every_earlier_root(sizes: list[int], asked: int, kept: int) -> None:
    """Roots at any size are those of the plain definition, however many leaves are kept."""
    hashes: list[bytes] = []
    tree = StoredTree(lambda number: hashes[256 * number : 256 * (number + 1)], kept)
    for size in sizes:
        more = [leaf_hash(str(len(hashes) + at).encode()) for at in range(size)]
        tree.extend(more)
        hashes += more
    at = asked % (len(hashes) + 1)
    assert tree.root(at) == root_of(hashes[:at])
    assert tree.root(len(hashes)) == root_of(hashes)


def _only_what_is_free(data: bytes) -> bool:
    """Whether a changed list differs only in what nothing follows from."""
    changed = [
        line
        for line, before in zip(data.split(b"\n"), FILES[LIST_NAME].split(b"\n"), strict=False)
        if line != before
    ]
    return all(line.startswith(tuple(word.encode() for word in FREE)) for line in changed)
