"""What people type during the set-up."""

from __future__ import annotations

import pytest

from exchange.setup import words
from protocol.errors import BadRequest
from protocol.fingerprint import groups
from protocol.fingerprint import words as spoken


@pytest.mark.parametrize("text", ["", "x", "xaa", "X A", "-XA", "X" * 17, "ÑAA", "XAA\n"])
def test_a_bad_code_is_refused_with_an_example(text: str) -> None:
    """A code becomes part of every address, so only plain capitals, digits and dashes pass."""
    with pytest.raises(BadRequest) as caught:
        words.party_code(text)
    assert "XAA" in caught.value.hint


def test_a_root_hash_may_be_copied_in_groups_and_in_capitals() -> None:
    """People read it aloud in eight groups; the hash they type is the same."""
    digest = bytes(range(32))
    assert words.root_hash(groups(digest)) == digest
    assert words.root_hash(groups(digest).replace(" ", "\n").upper()) == digest
    assert words.root_hash(f"  {digest.hex().upper()}\n") == digest


@pytest.mark.parametrize("text", ["", "ab", "g" * 64, "0" * 63, "0" * 65, "0x" + "0" * 62, "\u0660" * 64])
def test_what_is_no_root_hash_is_refused(text: str) -> None:
    """A root hash that is cut short would pin nothing."""
    with pytest.raises(BadRequest):
        words.root_hash(text)


def test_a_root_hash_may_be_typed_in_words() -> None:
    """Whoever got it over the telephone has words."""
    digest = bytes(range(32))
    assert words.root_hash("\n".join(spoken(digest))) == digest


def test_a_root_hash_with_one_wrong_word_says_where() -> None:
    """It is typed by a person, who must find the slip."""
    lines = [line.split() for line in spoken(bytes(range(32)))]
    lines[2][4] = "zorro"
    with pytest.raises(BadRequest, match=r"line 3 of the words is wrong: .*zorro"):
        words.root_hash(" ".join(word for line in lines for word in line))
    lines[2][4] = "gibberish"
    with pytest.raises(BadRequest, match="word 23, 'gibberish', is not in the list"):
        words.root_hash(" ".join(word for line in lines for word in line))


@pytest.mark.parametrize("text", ["", "  ", "two\nlines", "bell\a", "x" * 201])
def test_a_name_is_one_plain_line(text: str) -> None:
    """Names stand in documents that everybody shows."""
    with pytest.raises(BadRequest):
        words.line(text, "name")


def test_a_name_typed_in_pieces_is_put_together() -> None:
    """Some keyboards write an accent as a character of its own."""
    assert words.line(" Jose\u0301 ", "name") == "José"


@pytest.mark.parametrize(
    ("urls", "host", "expected"),
    [
        ((), "127.0.0.1", "wss://127.0.0.1:8443"),
        ((), "hub.example", "wss://hub.example:8443"),
        ((), "2001:db8::1", "wss://[2001:db8::1]:8443"),
        (("wss://hub.example:443",), "0.0.0.0", "wss://hub.example:443"),
        (("wss://a.example", "wss://b.example", "wss://a.example"), "::", "wss://a.example wss://b.example"),
    ],
)
def test_the_address_follows_from_host_and_port(urls: tuple[str, ...], host: str, expected: str) -> None:
    """What the directory says is where nodes connect to; several are written with a space between two."""
    assert words.addresses(urls, host, 8443) == expected


@pytest.mark.parametrize(
    ("urls", "host", "port"),
    [
        ((), "0.0.0.0", 8443),
        ((), "::", 8443),
        ((), "127.0.0.1", 0),
        (("https://hub.example",), "127.0.0.1", 8443),
        (("ws://hub.example",), "127.0.0.1", 8443),
        (("wss://",), "127.0.0.1", 8443),
        (("wss://a.example", "hub.example"), "127.0.0.1", 8443),
        (("wss://a.example wss://b.example",), "127.0.0.1", 8443),
    ],
)
def test_an_address_that_nodes_cannot_use_is_refused(urls: tuple[str, ...], host: str, port: int) -> None:
    """Otherwise it would be found out only after governance has signed it."""
    with pytest.raises(BadRequest) as caught:
        words.addresses(urls, host, port)
    assert "wss://" in caught.value.hint


def test_more_addresses_than_the_directory_takes_are_refused() -> None:
    """Eight processes at most: the document says so."""
    urls = [f"wss://hub{number}.example" for number in range(9)]
    assert words.addresses(urls[:8], "", 0).count("wss://") == 8
    with pytest.raises(BadRequest, match="too many"):
        words.addresses(urls, "", 0)
    with pytest.raises(BadRequest, match="too long"):
        words.addresses([f"wss://{letter * 194}" for letter in "abcdef"], "", 0)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Ana Silva", "ana-silva"), ("José O'Neil", "jose-o-neil"), ("../../etc", "etc"), ("李雷", "unnamed")],
)
def test_a_file_name_never_holds_what_a_path_means(name: str, expected: str) -> None:
    """A person's name cannot leave the folder of tokens."""
    assert words.file_name(name) == expected
