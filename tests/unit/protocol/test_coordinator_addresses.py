"""The addresses of a coordinator, as the directory carries them: one field, one space between two."""

from __future__ import annotations

import msgspec
import pytest

from protocol.documents import Addresses, split_addresses
from tests.community import community

SEVERAL = "wss://a.example:8443 wss://b.example:8443 wss://[2001:db8::1]:8443"


def test_several_addresses_are_read_in_the_order_of_the_document() -> None:
    """One address is written as it always was."""
    entry = msgspec.structs.replace(community().hub_entry, url=SEVERAL)
    assert entry.addresses == tuple(SEVERAL.split(" "))
    assert community().hub_entry.addresses == (community().hub_entry.url,)
    assert split_addresses("") == ()


@pytest.mark.parametrize("text", [SEVERAL, "wss://a", f"wss://{'a' * 194}", " ".join(["wss://a"] * 8)])
def test_what_the_page_allows_is_taken(text: str) -> None:
    """The longest address, and the most of them."""
    assert msgspec.convert(text, Addresses) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "wss://",
        "ws://a",
        "wss://a ",
        " wss://a",
        "wss://a  wss://b",
        "wss://a\twss://b",
        "wss://a b",
        "wss://a https://b",
        "wss://a\n",
        "wss://ä.example",
        f"wss://{'a' * 195}",
        " ".join(["wss://a"] * 9),
        " ".join([f"wss://{'a' * 194}"] * 6),
    ],
)
def test_everything_else_is_refused(text: str) -> None:
    """There is one way to write several addresses, so that there is one hash of them."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(text, Addresses)
