"""A receipt, for any change of any byte: refused, or nothing was changed but a comment."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.receipt import VerifiedReceipt, verify_receipt
from keys.signer import Verifier
from protocol.errors import AlmenaraError, FormatError
from protocol.ledger.receipt import Receipt, StatementSection, format_receipt, parse_receipt
from tests.community import community
from tests.receipts import genuine, material

VERIFIER = Verifier(roots_kept=4096)
WORDS = st.text(st.characters(exclude_categories=("C", "Z"), include_characters=" "), max_size=80)


def outcome(data: bytes) -> VerifiedReceipt | None:
    """Return what a receipt proves, or None if it is refused; nothing else may happen."""
    try:
        return verify_receipt(data, community().id, VERIFIER)
    except AlmenaraError:
        return None


def without_comments(data: bytes) -> bytes:
    """Return the lines of a receipt that are not for people."""
    return b"\n".join(line for line in data.split(b"\n") if not line.startswith(b"#"))


def is_the_same(data: bytes) -> bool:
    """Return whether a receipt proves exactly what the genuine one does, by the same bytes."""
    return outcome(data) == outcome(genuine()) and without_comments(data) == without_comments(genuine())


@settings(max_examples=400)
@given(st.data())
def test_a_changed_byte_is_refused_or_stands_in_a_comment(data: st.DataObject) -> None:
    """No byte of the proof can be changed: every one is covered by a signature or by the spelling."""
    whole = genuine()
    place = data.draw(st.integers(0, len(whole) - 1))
    value = data.draw(st.integers(0, 255).filter(lambda value: value != whole[place]))
    changed = whole[:place] + bytes([value]) + whole[place + 1 :]
    assert outcome(changed) is None or is_the_same(changed)


@settings(max_examples=300)
@given(st.data())
def test_every_line_matters(data: st.DataObject) -> None:
    """A line that is left out, doubled or moved is refused, or was a comment."""
    lines = genuine().split(b"\n")
    place = data.draw(st.integers(0, len(lines) - 2))
    to = data.draw(st.integers(0, len(lines) - 2))
    kind = data.draw(st.sampled_from(["left out", "doubled", "moved"]))
    line = lines[place]
    if kind == "doubled":
        lines.insert(to, line)
    else:
        del lines[place]
        if kind == "moved":
            lines.insert(to, line)
    changed = b"\n".join(lines)
    assert changed == genuine() or outcome(changed) is None or is_the_same(changed)


@pytest.mark.parametrize("at", [0.0, 0.2, 0.5, 0.9, 0.99, 0.9999])
def test_a_truncated_receipt_proves_no_more(at: float) -> None:
    """What was cut off at a line may still be true, of fewer statements; anything else is refused."""
    found = outcome(genuine()[: int(len(genuine()) * at)])
    assert found is None or len(found.statements) < 4


@given(st.binary(max_size=400))
def test_rubbish_is_refused(data: bytes) -> None:
    """Whatever the bytes are, the answer is a sentence and not a crash."""
    assert outcome(data) is None
    assert outcome(b"almenara receipt v1\n\n" + data) is None


@given(st.lists(WORDS, max_size=6))
def test_comments_are_free_and_prove_nothing(comments: list[str]) -> None:
    """Any printable comment may stand there; the proof stays what it is."""
    plain = [one.strip() for one in comments]
    data = format_receipt(material().receipt(comments=tuple(plain)))
    assert outcome(data) == outcome(genuine()) or without_comments(data) != without_comments(genuine())
    assert parse_receipt(data).comments == tuple(plain)


@pytest.mark.parametrize("order", list(permutations(range(4)))[1::5])
def test_the_order_of_statements_changes_nothing(order: tuple[int, ...]) -> None:
    """Statements below one checkpoint may stand in any order; what they prove is in the log's order."""
    receipt: Receipt = material().receipt()
    others = [one for one in receipt.sections if not isinstance(one, StatementSection)]
    statements = [one for one in receipt.sections if isinstance(one, StatementSection)]
    mixed = replace(receipt, sections=(*others, *(statements[place] for place in order)))
    found, plain = outcome(format_receipt(mixed)), outcome(format_receipt(receipt))
    assert found is not None
    assert found == plain


@pytest.mark.parametrize("control", ["\x1b[2J", "\x9b2J", "\u202e", "\r", "\x00"])
def test_a_comment_cannot_steer_a_terminal(control: str) -> None:
    """What is printed for people is printable, or the receipt is refused."""
    data = genuine().replace(b"# Receipt", b"# " + control.encode() + b"Receipt", 1)
    with pytest.raises(FormatError):
        parse_receipt(data)
