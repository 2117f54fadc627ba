"""The names of keys in a token: what is understood, and what a name must never be able to say."""

from __future__ import annotations

import pytest

from keys.token_uri import MAX_URI, TokenUri, parse_token_uri
from protocol.errors import KeyfileError

WHOLE = TokenUri("almenara", "90d036b35bf44e45", "XAA node · 1;2%", bytes(range(250, 256)))


def test_a_name_comes_back() -> None:
    """Whatever stands in it, escaped and read again."""
    text = str(WHOLE)
    assert text == (
        "pkcs11:token=almenara;serial=90d036b35bf44e45;"
        "object=XAA%20node%20%C2%B7%201%3B2%25;id=%FA%FB%FC%FD%FE%FF"
    )
    assert parse_token_uri(text) == WHOLE


def test_attributes_come_in_any_order() -> None:
    """RFC 7512 fixes none; a person may write what other tools print."""
    assert parse_token_uri("pkcs11:id=%41b;object=k;token=a%20b") == TokenUri("a b", object="k", id=b"Ab")


def test_a_token_is_named_without_keys() -> None:
    """The place where keys are made is a whole token."""
    assert not parse_token_uri("pkcs11:token=almenara;serial=1").names_keys
    assert parse_token_uri("pkcs11:token=almenara;object=x").names_keys
    assert parse_token_uri("pkcs11:token=almenara;id=%00").names_keys


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("pkcs11:token=a;object=k?module-path=/tmp/evil.so", "the setting pkcs11_module alone"),
        ("pkcs11:token=a;object=k?module-name=evil", "the setting pkcs11_module alone"),
        ("pkcs11:token=a;object=k;module-path=/tmp/evil.so", "the setting pkcs11_module alone"),
        ("pkcs11:token=a;object=k?pin-value=1234", "a PIN never stands in a name"),
        ("pkcs11:token=a;object=k?pin-source=file:/etc/pin", "a setting of its own"),
        ("pkcs11:token=a;slot-id=1", "other than token, serial, object and id"),
        ("pkcs11:token=a;library-version=3", "other than token"),
        ("pkcs11:token=a;object=k?", "other than token"),
        ("pkcs11:token=a;", "other than token"),
        ("pkcs11:", "other than token"),
        ("pkcs11:object=k", "names no token"),
        ("pkcs11:token=", "empty, badly written"),
        ("pkcs11:token=a;token=b", "there twice"),
        ("pkcs11:token=a b", "badly written"),
        ("pkcs11:token=a%2", "badly written"),
        ("pkcs11:token=a%zz", "badly written"),
        ("pkcs11:token=ñ", "badly written"),
        ("pkcs11:token=a/b", "badly written"),
        ("pkcs11:token=a#b", "badly written"),
        ("pkcs11:token=%FF", "not UTF-8"),
        ("pkcs11:token=a%0Ab", "not printable"),
        ("pkcs11:token=a%00", "not printable"),
        ("pkcs11:token=%20a", "spaces at its ends"),
        ("PKCS11:token=a", "does not begin"),
        (" pkcs11:token=a", "does not begin"),
        ("file:", "does not begin"),
        ("", "does not begin"),
        ("pkcs11:token=" + "a" * MAX_URI, "too long"),
    ],
)
def test_a_name_that_says_more_or_less_is_refused(text: str, why: str) -> None:
    """Above all the library to load, which is code, and a PIN, which does not belong in a file."""
    with pytest.raises(KeyfileError, match=why) as refused:
        parse_token_uri(text)
    assert "1234" not in str(refused.value)
    assert "evil" not in str(refused.value)
