"""Key text: what goes in comes out, labels cannot be swapped, and nothing secret is ever shown."""

from __future__ import annotations

import traceback
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keys.keyfile import KeyDescription, KeyKind, KeyRecord, describe, format_secret, parse_secret
from keys.protection import InToken, Passphrase, Protection, Token, Unprotected
from keys.signature import PublicKey, SecretKey, SplitKey
from keys.token_uri import TokenUri
from protocol.errors import AlmenaraError, KeyfileError, TokenFailed, TooLarge, WrongPassphrase
from protocol.text import format_base64
from tests.fixed_token import FixedToken

SEED = bytes(range(64))
CREATED_MS = 1_772_334_855_926
RECORD = KeyRecord(kind=KeyKind.SIGNING, name="XAA node 2026", role="node", seed=SEED, created_ms=CREATED_MS)
SALT = bytes(range(32))
CHEAP = Passphrase(b"correct horse", memory_kib=64, iterations=1)
TOKEN = Token(bytes(range(100, 132)))


def never(_: KeyDescription) -> Protection:
    """Stand where nothing may be asked for."""
    raise AssertionError("an unprotected file asked for a passphrase")


def offering(protection: Protection) -> Callable[[KeyDescription], Protection]:
    """Answer every question with one protection."""
    return lambda _: protection


OPEN = format_secret(RECORD, Unprotected())
SEALED = format_secret(RECORD, CHEAP, salt=SALT)
BY_TOKEN = format_secret(RECORD, TOKEN, salt=SALT)


@pytest.mark.parametrize("kind", KeyKind)
@pytest.mark.parametrize("protection", [Unprotected(), CHEAP, TOKEN], ids=["none", "passphrase", "token"])
def test_every_kind_comes_back_from_every_protection(kind: KeyKind, protection: Protection) -> None:
    """The plain round trip."""
    seed = SEED if kind in (KeyKind.SIGNING, KeyKind.NOTE) else SEED[:32]
    record = KeyRecord(kind=kind, name="Ñandú · 2026", role="node", seed=seed, created_ms=CREATED_MS)
    text = format_secret(record, protection, salt=b"" if isinstance(protection, Unprotected) else SALT)
    assert parse_secret(text, offering(protection)) == record


def test_an_unprotected_file_has_one_form() -> None:
    """Formatting what was parsed gives the same text, and nothing is asked for."""
    assert format_secret(parse_secret(OPEN, never), Unprotected()) == OPEN


@pytest.mark.parametrize("created_ms", [0, 1, 999, 1_772_334_855_001, 1_772_334_855_926, 4_102_444_799_999])
def test_every_creation_time_comes_back_to_the_millisecond(created_ms: int) -> None:
    """A time that came back changed would make the file unreadable."""
    record = KeyRecord(kind=KeyKind.TLS, name="tls", role="node", seed=b"der", created_ms=created_ms)
    assert parse_secret(format_secret(record, Unprotected()), never).created_ms == created_ms


def test_comments_and_blank_lines_carry_no_meaning() -> None:
    """An operator may write beside a key what it is for."""
    commented = "# kept in the safe, shelf 2\n\n" + OPEN.replace("role:", "\n# for the node\nrole:") + "\n\n"
    assert parse_secret(commented, never) == RECORD


def test_a_file_describes_itself_without_being_opened() -> None:
    """Kind, name, role, id, time and protection stand in the clear."""
    described = describe(SEALED)
    assert (described.kind, described.name, described.role) == (KeyKind.SIGNING, "XAA node 2026", "node")
    assert described.key_id == SecretKey.from_seed(SEED).key_id
    assert (described.created_ms, described.protection.word) == (CREATED_MS, "passphrase")
    assert (describe(OPEN).protection.word, describe(BY_TOKEN).protection.word) == ("none", "token")


def test_the_one_who_is_asked_sees_what_is_to_be_opened() -> None:
    """A prompt can name the key."""
    asked: list[KeyDescription] = []

    def provider(description: KeyDescription) -> Protection:
        asked.append(description)
        return CHEAP

    parse_secret(SEALED, provider)
    assert asked == [describe(SEALED)]


def test_secret_files_look_unmistakably_secret() -> None:
    """To people, and to scanners that look for leaked keys."""
    assert OPEN.startswith("# SECRET.")
    assert OPEN.splitlines()[-1].startswith("ALMENARA-SECRET-KEY-1 ")
    assert SEALED.splitlines()[-1].startswith("ALMENARA-SECRET-KEY-1-ENCRYPTED ")


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        (SEALED, Passphrase(b"wrong horse")),
        (SEALED, Passphrase(b"correct horse ")),
        (BY_TOKEN, Token(bytes(32))),
    ],
)
def test_a_wrong_passphrase_or_token_is_said_to_be_wrong(text: str, offered: Protection) -> None:
    """And nothing else is said."""
    with pytest.raises(WrongPassphrase):
        parse_secret(text, offering(offered))


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        (SEALED, TOKEN),
        (SEALED, Unprotected()),
        (BY_TOKEN, CHEAP),
        (SEALED, Passphrase(b"")),
        (BY_TOKEN, Token(b"short")),
    ],
)
def test_another_kind_of_protection_than_asked_for_is_refused(text: str, offered: Protection) -> None:
    """A node does not guess what an operator meant."""
    with pytest.raises(KeyfileError) as caught:
        parse_secret(text, offering(offered))
    assert not isinstance(caught.value, WrongPassphrase)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("role: node", "role: officer"),
        ("name: XAA node 2026", "name: XBB node 2026"),
        ("kind: signing", "kind: tls"),
        ("created: 2026-", "created: 2025-"),
        ("memory-kib=64", "memory-kib=128"),
        ("iterations=1", "iterations=2"),
        ("id: ", "id: f"),
    ],
)
def test_a_protected_file_cannot_be_relabelled(old: str, new: str) -> None:
    """Every header line is authenticated with the secret."""
    altered = SEALED.replace(old, new)
    if old == "id: ":
        name, _, value = next(line for line in SEALED.splitlines() if line.startswith("id")).partition(": ")
        altered = SEALED.replace(value, ("1" if value[0] == "0" else "0") + value[1:])
        assert name == "id"
    assert altered != SEALED
    with pytest.raises(WrongPassphrase):
        parse_secret(altered, offering(CHEAP))


def test_an_id_that_does_not_belong_to_the_secret_is_noticed() -> None:
    """Also where no cipher watches over the header."""
    other = SecretKey.generate().key_id.hex()
    with pytest.raises(KeyfileError):
        parse_secret(OPEN.replace(RECORD.key_id.hex(), other), never)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("memory-kib=64", "memory-kib=1048577"),
        ("memory-kib=64", "memory-kib=99999999999"),
        ("memory-kib=64", "memory-kib=7"),
        ("memory-kib=64", "memory-kib=064"),
        ("iterations=1", "iterations=11"),
        ("iterations=1", "iterations=0"),
        ("lanes=1", "lanes=5"),
        ("lanes=1", "lanes=-1"),
        ("argon2id", "argon2i"),
        ("passphrase argon2id", "pkcs11 uri"),
        (f"salt={format_base64(SALT)}", f"salt={format_base64(SALT[:16])}"),
        (f"salt={format_base64(SALT)}", "salt=%"),
    ],
)
def test_costs_out_of_bounds_are_refused_before_anything_is_computed(old: str, new: str) -> None:
    """A file from elsewhere cannot make a node work for hours; it is not even asked for."""
    assert old in SEALED
    for reader in (describe, lambda text: parse_secret(text, never)):
        with pytest.raises(KeyfileError):
            reader(SEALED.replace(old, new))


@pytest.mark.parametrize(
    "protection",
    [
        Passphrase(b""),
        Passphrase(b"x", memory_kib=2**21),
        Passphrase(b"x", iterations=11),
        Passphrase(b"x", lanes=0),
        Token(b"short"),
    ],
)
def test_what_could_not_be_read_is_not_written(protection: Protection) -> None:
    """Bounds hold in both directions."""
    with pytest.raises(KeyfileError):
        format_secret(RECORD, protection, salt=SALT)


@pytest.mark.parametrize(("protection", "salt"), [(CHEAP, b""), (TOKEN, SALT[:31]), (Unprotected(), SALT)])
def test_a_salt_is_given_exactly_where_one_is_needed(protection: Protection, salt: bytes) -> None:
    """A forgotten salt must not become a constant one."""
    with pytest.raises(KeyfileError):
        format_secret(RECORD, protection, salt=salt)


MALFORMED = {
    "empty": "",
    "no-secret": "\n".join(OPEN.splitlines()[:-1]),
    "two-secrets": OPEN + OPEN.splitlines()[-1],
    "line-missing": OPEN.replace("role: node\n", ""),
    "lines-swapped": OPEN.replace("name: XAA node 2026\nrole: node", "role: node\nname: XAA node 2026"),
    "newer-version": OPEN.replace("almenara-key: 1", "almenara-key: 2"),
    "unknown-kind": OPEN.replace("kind: signing", "kind: magic"),
    "no-space": OPEN.replace("kind: signing", "kind:signing"),
    "upper-case-id": OPEN.replace(RECORD.key_id.hex(), RECORD.key_id.hex().upper()),
    "short-id": OPEN.replace(RECORD.key_id.hex(), RECORD.key_id.hex()[2:]),
    "other-time-zone": OPEN.replace("926Z", "926+00:00"),
    "bare-date": OPEN.replace("T03:14:15.926Z", ""),
    "blank-name": OPEN.replace("XAA node 2026", " "),
    "control-character-in-name": OPEN.replace("XAA node", "XAA\x1b[2Jnode"),
    "carriage-returns": OPEN.replace("\n", "\r\n"),
    "secret-not-base64": OPEN.replace(format_base64(SEED), "%%%"),
    "secret-not-canonical": OPEN.replace(format_base64(SEED), format_base64(SEED).rstrip("=")),
    "secret-too-short": OPEN.replace(format_base64(SEED), format_base64(SEED[:63])),
    "protected-called-open": SEALED.replace("-ENCRYPTED", ""),
    "open-called-protected": OPEN.replace("SECRET-KEY-1", "SECRET-KEY-1-ENCRYPTED"),
    "something-else": "-----BEGIN PRIVATE KEY-----\n" + "A" * 64 + "\n-----END PRIVATE KEY-----\n",
}


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_file_is_refused_with_a_next_step(text: str) -> None:
    """Every refusal is a key file error with a hint, and repeats nothing secret."""
    with pytest.raises(KeyfileError) as caught:
        parse_secret(text, offering(CHEAP))
    assert caught.value.hint
    assert format_base64(SEED)[:20] not in "".join(traceback.format_exception(caught.value))


def test_an_oversized_file_is_refused_unread() -> None:
    """Nobody keeps a film in a key file."""
    with pytest.raises(TooLarge):
        parse_secret(OPEN + "#" * 40_000, never)


@pytest.mark.parametrize(
    ("kind", "size"),
    [
        (KeyKind.SIGNING, 63),
        (KeyKind.NOTE, 32),
        (KeyKind.RECIPIENT, 64),
        (KeyKind.SYMMETRIC, 0),
        (KeyKind.TLS, 0),
    ],
)
def test_a_record_holds_exactly_what_its_kind_needs(kind: KeyKind, size: int) -> None:
    """A truncated secret is refused before it is written."""
    with pytest.raises(KeyfileError):
        KeyRecord(kind=kind, name="key", role="node", seed=bytes(size), created_ms=0)


@pytest.mark.parametrize("name", ["", " x", "x ", "a\nb", "a" * 201, "a\u2028b"])
def test_a_name_that_a_file_cannot_carry_is_refused(name: str) -> None:
    """One printable line, or a name could forge a header line."""
    with pytest.raises(KeyfileError):
        KeyRecord(kind=KeyKind.TLS, name=name, role="node", seed=b"der", created_ms=0)


def test_no_text_form_or_error_shows_a_secret() -> None:
    """Not the record's, not the protections', not an error's with its whole chain."""
    shown = [repr(RECORD), str(RECORD), repr(CHEAP), repr(TOKEN), repr(describe(OPEN))]
    for text, offered in ((SEALED, Passphrase(b"wrong horse")), (BY_TOKEN, Token(bytes(32)))):
        with pytest.raises(AlmenaraError) as caught:
            parse_secret(text, offering(offered))
        shown.append("".join(traceback.format_exception(caught.value)))
    for secret in (SEED, TOKEN.secret, CHEAP.passphrase):
        for form in (secret.hex(), format_base64(secret), repr(secret), secret.decode("latin-1")):
            assert not any(form in text for text in shown)


def test_the_default_passphrase_cost_is_the_stated_one() -> None:
    """64 MiB and three passes, and it really opens again."""
    text = format_secret(RECORD, Passphrase(b"correct horse"), salt=SALT)
    assert "passphrase argon2id memory-kib=65536 iterations=3 lanes=1 " in text
    assert parse_secret(text, offering(Passphrase(b"correct horse"))) == RECORD


def test_a_file_opens_whatever_costs_the_reader_would_choose() -> None:
    """The file states its own costs."""
    assert parse_secret(SEALED, offering(Passphrase(b"correct horse"))) == RECORD


# Keys in a token; tests/unit/exchange/test_hsm.py has a real one.


URI = TokenUri("almenara", "0123", "XAA node", b"\x01\x02")
IN_TOKEN = InToken(FixedToken(URI, SEED[32:]))
SPLIT = KeyRecord(
    kind=KeyKind.SIGNING,
    name="XAA node 2026",
    role="node",
    seed=SEED[:32],
    created_ms=CREATED_MS,
    half=FixedToken(URI, SEED[32:]),
)
BY_DEVICE = format_secret(SPLIT, IN_TOKEN, salt=SALT[:12])


def test_a_signing_key_in_a_token_is_the_key_of_both_halves() -> None:
    """Its file holds one seed; its id and its signatures are those of the key made of two."""
    record = parse_secret(BY_DEVICE, offering(IN_TOKEN))
    assert record.seed == SEED[:32]
    whole = SecretKey.from_seed(SEED)
    assert record.signing_key.public == whole.public
    assert describe(BY_DEVICE).key_id == record.key_id == whole.key_id
    signature = record.signing_key.sign(b"message", b"label")
    PublicKey.from_bytes(whole.public).verify(signature, b"message", b"label")


def test_the_line_names_the_keys_and_nothing_else() -> None:
    """No library, no PIN."""
    line = next(line for line in BY_DEVICE.splitlines() if line.startswith("protection: "))
    assert line == "protection: pkcs11 pkcs11:token=almenara;serial=0123;object=XAA%20node;id=%01%02"
    assert describe(BY_DEVICE).protection.uri == URI


def test_other_kinds_are_whole_in_the_file() -> None:
    """A symmetric key is locked by the token, and leaves it when it is used."""
    record = KeyRecord(KeyKind.SYMMETRIC, "vault", "vault", SEED[:32], CREATED_MS)
    text = format_secret(record, IN_TOKEN, salt=SALT[:12])
    assert parse_secret(text, offering(IN_TOKEN)) == record


@pytest.mark.parametrize(
    ("text", "protection"),
    [
        (BY_DEVICE, CHEAP),
        (BY_DEVICE, TOKEN),
        (SEALED, IN_TOKEN),
        (BY_TOKEN, IN_TOKEN),
        (BY_DEVICE, InToken(FixedToken(TokenUri("almenara", "0123", "XAA other", b"\x01\x02"), SEED[32:]))),
    ],
)
def test_a_token_and_a_passphrase_are_not_taken_for_each_other(text: str, protection: Protection) -> None:
    """Nor the keys of one name for those of another."""
    with pytest.raises(KeyfileError, match="something else was offered"):
        parse_secret(text, offering(protection))


@pytest.mark.parametrize(
    ("line", "changed"),
    [
        ("name: XAA node 2026", "name: XBB node 2026"),
        ("role: node", "role: root"),
        ("kind: signing", "kind: symmetric"),
        ("created: 2026", "created: 2027"),
    ],
)
def test_a_key_in_a_token_cannot_be_relabelled(line: str, changed: str) -> None:
    """The token's own encryption authenticates every line of the header."""
    assert line in BY_DEVICE
    with pytest.raises(WrongPassphrase):
        parse_secret(BY_DEVICE.replace(line, changed), offering(IN_TOKEN))


def test_another_half_under_the_same_name_is_noticed() -> None:
    """The id belongs to both halves together."""
    other = FixedToken(URI, SEED[32:])
    other.public = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw()
    with pytest.raises(KeyfileError, match="id line"):
        parse_secret(BY_DEVICE, offering(InToken(other)))


def test_a_half_that_signs_with_another_key_sends_nothing_out() -> None:
    """A device that fails silently must not make peers refuse what we say."""
    other = FixedToken(URI, SEED[32:])
    other._key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    with pytest.raises(TokenFailed, match="does not verify"):
        SplitKey(SEED[:32], other).sign(b"message", b"label")


@pytest.mark.parametrize(
    "uri",
    [
        "pkcs11:token=almenara",
        "pkcs11:serial=0123;token=almenara;object=k",
        "pkcs11:token=almenara;object=k%2d",
        "pkcs11:token=almenara;object=k;id=%0a",
        "pkcs11:token=almenara;object=a:b",
        "pkcs11:token=almenara;object=k?module-path=/tmp/evil.so",
        "pkcs11:token=almenara;object=k;slot-id=0",
        "",
    ],
)
def test_a_line_that_names_keys_in_another_way_is_refused(uri: str) -> None:
    """A file has one form; whole tokens, other orders, other escapes and more attributes are none."""
    changed = BY_DEVICE.replace(str(URI), uri)
    with pytest.raises(KeyfileError):
        describe(changed)


@pytest.mark.parametrize("size", [0, 11, 13, 32])
def test_a_token_encrypts_with_a_fresh_nonce(size: int) -> None:
    """Twelve random bytes, or nothing is written."""
    with pytest.raises(KeyfileError, match="12 random bytes"):
        format_secret(SPLIT, IN_TOKEN, salt=bytes(size))
