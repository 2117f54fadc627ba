"""The page on sessions says what the code does."""

from __future__ import annotations

import re
from typing import get_args

from protocol.documents import MAX_DOCUMENT_BYTES
from protocol.envelope import MAX_SUBMISSION_BYTES
from protocol.session.messages import (
    MAX_DOCUMENTS_BYTES,
    MAX_HANDSHAKE_BYTES,
    MAX_MESSAGE_BYTES,
    Message,
)
from protocol.session.session import DELIVERY_WINDOW_BYTES, HANDSHAKE_SECONDS, REQUEST_WINDOW_BYTES
from protocol.statement import MAX_SIGNED_STATEMENT_BYTES
from tests.vectors.make_session_diagram import PAGE, brought_up_to_date


def test_the_generated_parts_of_the_page_are_current() -> None:
    """Run ``python -m tests.vectors.make_session_diagram`` after a change of the table."""
    page = PAGE.read_text("utf-8")
    assert brought_up_to_date(page) == page


def test_the_numbers_on_the_page_are_those_of_the_code() -> None:
    """Limits that are written by hand are compared."""
    page = PAGE.read_text("utf-8")
    assert f"{MAX_MESSAGE_BYTES:,}".replace(",", " ") in page
    assert f"{MAX_HANDSHAKE_BYTES:,}".replace(",", " ") in page
    assert f"complete {HANDSHAKE_SECONDS:g}\nseconds" in page
    assert REQUEST_WINDOW_BYTES == DELIVERY_WINDOW_BYTES == 8 * 1024 * 1024
    for what, limit in (
        ("submission", MAX_SUBMISSION_BYTES),
        ("content", MAX_SUBMISSION_BYTES),
        ("statement", MAX_SIGNED_STATEMENT_BYTES),
        ("document", MAX_DOCUMENT_BYTES),
    ):
        assert f"| `{what}` | bytes ≤ {limit} |" in page
    assert (
        f"bytes ≤ {MAX_DOCUMENT_BYTES} | consecutive documents, at most {MAX_DOCUMENTS_BYTES} bytes" in page
    )


def test_every_field_of_every_message_has_a_row() -> None:
    """A message can be written and read from the page alone."""
    table = PAGE.read_text("utf-8").split("| field | type | meaning |\n", 1)[1].split("\n\n", 1)[0]
    named = {name for row in table.splitlines() for name in re.findall(r"`([a-z_]+)`", row.split("|")[1])}
    assert named == {name for kind in get_args(Message) for name in kind.__struct_fields__}
