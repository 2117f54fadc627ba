"""The page on sessions says what the code does."""

from __future__ import annotations

from protocol.session.messages import MAX_HANDSHAKE_BYTES, MAX_MESSAGE_BYTES
from protocol.session.session import DELIVERY_WINDOW_BYTES, HANDSHAKE_SECONDS, REQUEST_WINDOW_BYTES
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
