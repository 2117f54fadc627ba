"""Tokens: who asks is proved by a line of text, of which the node keeps a hash only."""

from __future__ import annotations

from pathlib import Path

import pytest

from exchange.node.tokens import (
    Identity,
    TokenBook,
    TokenRole,
    format_token,
    make_token,
    parse_token,
    token_hash,
)
from protocol.errors import FormatError, NotAuthorized


def counted(size: int) -> bytes:
    """Return as many bytes, always the same."""
    return bytes(range(size))


ANA = make_token(TokenRole.OFFICER, "Ana Silva", counted)


@pytest.fixture
def book(tmp_path: Path) -> TokenBook:
    """Return a book that knows Ana's token."""
    (tmp_path / token_hash(ANA)).touch()
    return TokenBook(tmp_path)


def test_a_token_goes_out_and_comes_back() -> None:
    """The one line of text holds role, name and secret."""
    assert parse_token(format_token(ANA)) == ANA
    assert parse_token(f"  {format_token(ANA)}\n") == ANA


def test_a_known_token_says_who_asks(book: TokenBook) -> None:
    """The book returns the identity."""
    assert book.identify(format_token(ANA)) == ANA


def test_a_token_taken_back_is_not_known(book: TokenBook, tmp_path: Path) -> None:
    """Deleting one file takes a token back at once."""
    (tmp_path / token_hash(ANA)).unlink()
    with pytest.raises(NotAuthorized) as caught:
        book.identify(format_token(ANA))
    assert caught.value.hint


@pytest.mark.parametrize("role", ["monitor", "sender"])
def test_a_token_with_its_role_changed_is_not_known(book: TokenBook, role: str) -> None:
    """The hash covers role and name too, so nobody promotes or renames a token."""
    with pytest.raises(NotAuthorized):
        book.identify(format_token(ANA).replace("officer", role))
    with pytest.raises(NotAuthorized):
        book.identify(format_token(ANA).replace("Ana", "Eva"))


WRONG = {
    "empty": "",
    "a password": "hunter2",
    "another prefix": "almenara-token-2:officer:Ana:" + "00" * 32,
    "another role": "almenara-token-1:admin:Ana:" + "00" * 32,
    "a short secret": "almenara-token-1:officer:Ana:" + "00" * 31,
    "upper-case digits": "almenara-token-1:officer:Ana:" + "AB" * 32,
    "a part too many": "almenara-token-1:officer:Ana:more:" + "00" * 32,
    "a path": "almenara-token-1:officer:../../etc:" + "zz" * 32,
    "stray bytes of a header": "almenara-token-1:officer:\udcff:" + "00" * 32,
    "another spelling of a name": "almenara-token-1:officer:%41na:" + "00" * 32,
    "a line feed within": "almenara-token-1:officer:A\nB:" + "00" * 32,
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_token_is_refused(book: TokenBook, name: str) -> None:
    """Anything else is refused with the same kind of error, and never anything but refused."""
    with pytest.raises(NotAuthorized):
        book.identify(WRONG[name])


@pytest.mark.parametrize("name", ["", "x" * 41, "a:b", "a\nb", "a/b", "ana\x00"])
def test_a_name_that_could_confuse_is_refused(name: str) -> None:
    """Names are shown to people and joined with colons."""
    with pytest.raises(FormatError):
        make_token(TokenRole.SENDER, name, counted)


@pytest.mark.parametrize("name", ["Ana Silva", "O'Brien", "João-Pedro", "duty.officer"])
def test_names_of_people_are_accepted(name: str) -> None:
    """People are called what they are called."""
    assert parse_token(format_token(make_token(TokenRole.OFFICER, name, counted))).name == name


def test_each_role_covers_the_ones_before_it() -> None:
    """An officer may send, a sender may look, a monitor may only look."""
    allowed = {
        (role.value, needed.value) for role in TokenRole for needed in TokenRole if role.covers(needed)
    }
    assert allowed == {
        ("monitor", "monitor"),
        ("sender", "monitor"),
        ("sender", "sender"),
        ("officer", "monitor"),
        ("officer", "sender"),
        ("officer", "officer"),
    }


def test_a_secret_is_not_shown_by_accident() -> None:
    """An identity in a log line or traceback does not give its secret away."""
    assert ANA.secret.hex() not in repr(ANA)
    assert repr(ANA.secret) not in repr(ANA)


def test_requiring_a_role_names_both_roles() -> None:
    """The person learns which token is needed."""
    with pytest.raises(NotAuthorized, match=r"officer.*monitor"):
        Identity(TokenRole.MONITOR, "wall", bytes(32)).require(TokenRole.OFFICER)


def test_a_token_is_plain_ascii_whatever_the_name() -> None:
    """Any program can put it into a header, and it comes back as the same person."""
    identity = make_token(TokenRole.OFFICER, "Inés Robledo", lambda size: bytes(size))
    line = format_token(identity)
    assert line.isascii()
    assert parse_token(line) == identity
