"""A receipt in words: every kind of answer, in UTC, and nothing that a name could smuggle in."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from exchange.node.telling import tell, utc
from keys.receipt import VerifiedReceipt, VerifiedStatement, verify_receipt
from keys.signer import Verifier
from protocol.ledger.receipt import MAX_COMMENT_CHARS, format_receipt, parse_receipt
from protocol.statement import StatementKind
from tests.community import community
from tests.receipts import genuine, material

K = StatementKind


def receipt(**changes: object) -> VerifiedReceipt:
    """Return a verified receipt with some of it changed."""
    found = verify_receipt(genuine(), community().id, Verifier())
    return replace(found, **changes)  # type: ignore[arg-type]


def saying(kind: StatementKind, **changes: object) -> VerifiedReceipt:
    """Return a receipt whose one statement is of a kind."""
    plain: VerifiedStatement = receipt().statements[1]
    one = replace(plain, kind=kind, **changes)  # type: ignore[arg-type]
    return receipt(statements=(one,))


def text(found: VerifiedReceipt) -> str:
    """Return the words on one line, as they are read."""
    return " ".join(" ".join(tell(found)).split())


@pytest.mark.parametrize(
    ("kind", "changes", "words"),
    [
        (K.RECEIVED, {}, "received by its node (leaf 7)"),
        (K.OPENED, {"officer": "Ana José"}, "opened by Ana José (leaf 7)"),
        (K.DECLINED, {"officer": "Ana", "code": "no-capacity"}, "declined by Ana: no-capacity (leaf 7)"),
        (K.REJECTED, {"code": "cannot-open"}, "rejected by its node: cannot-open (leaf 7)"),
        (K.UNDELIVERED, {"code": "expired"}, "not delivered, says the coordinator: expired (leaf 7)"),
        (
            K.WITHDRAWN,
            {"subject": None, "party": "XAA"},
            "withdrawn by its sender at 2026-03-01 03:00:00 UTC",
        ),
    ],
)
def test_each_answer_has_its_words(kind: StatementKind, changes: dict[str, object], words: str) -> None:
    """A machine's receipt is never told as a person's, and a reason is never left out."""
    assert words in text(saying(kind, **changes))


def test_an_exercise_is_called_one() -> None:
    """Nobody must take a rehearsal's receipt for a real one's."""
    found = receipt()
    assert "EXERCISE" not in text(found)
    header = msgspec.structs.replace(found.header, exercise=True)
    assert "THIS WAS AN EXERCISE" in text(replace(found, header=header))


def test_who_witnessed_is_said_with_how_many_were_needed() -> None:
    """The one time that nobody could choose stands with those who vouch for it."""
    assert "3 of 3 states had witnessed the ledger of 13 leaves (2 are needed): XAA, XBB, XCC." in text(
        receipt()
    )


def test_silence_is_said() -> None:
    """A recipient of whom nothing is proved is named, too."""
    assert "XCC (Celestia): nothing of it is in this receipt" in text(receipt())


@pytest.mark.parametrize("name", ["\x1b[2Jevil", "a\u202eb", "tab\tbed", "x" * 5000, "line\u2028feed"])
def test_a_name_cannot_spoil_the_file(name: str) -> None:
    """Officers' and states' names are chosen by others; the comments made of them are always readable."""
    found = replace(saying(K.OPENED, officer=name), names={"XBB": name, "XAA": name}, community_name=name)
    lines = tell(found)
    assert all(line.isprintable() and len(line) <= MAX_COMMENT_CHARS for line in lines)
    whole = format_receipt(material().receipt(comments=tuple(lines)))
    assert parse_receipt(whole).comments == tuple(line.rstrip(" ") for line in lines)


def test_times_are_utc_to_the_second() -> None:
    """The same on every machine, in every zone, and before a leap second that POSIX does not count."""
    assert utc(1_483_228_799_999) == "2016-12-31 23:59:59 UTC"
    assert utc(253_402_300_799_999) == "9999-12-31 23:59:59 UTC"
