"""Keys in a token: they sign as any other, cannot be had, and no restart locks the token."""

from __future__ import annotations

import ssl
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pkcs11
import pytest
from pkcs11 import Attribute, AttributeSensitive

from exchange.hsm import library
from exchange.hsm.held import AES, PRIVATE, HeldKeys
from exchange.hsm.tokens import Tokens
from exchange.keystore import read_secret, write_secret
from exchange.link.certificate import make_certificate
from exchange.passphrases import PassphraseFile
from exchange.setup.keyring import TokenStore, new_note_secret, new_signer, open_signer, write_key
from exchange.unlocking import WithTokens, tokens_of, unlock
from keys.keyfile import KeyKind, describe
from keys.note_keys import NoteRole, NoteSecret
from keys.signature import PublicKey
from keys.signer import Signer, Verifier
from keys.token_uri import TokenUri
from protocol.documents import Role
from protocol.errors import (
    KeyfileError,
    KeyfileUnsafe,
    SetupError,
    TokenFailed,
    WrongPassphrase,
)
from protocol.signed import Context
from tests import softhsm
from tests.softhsm import LABEL, PIN, WRONG_PIN, SoftHsm, fresh_library

pytestmark = softhsm.needed

NOW_MS = 1_772_334_855_926
THERE = TokenUri(LABEL)
NO_PASSPHRASE = PassphraseFile(Path("/nonexistent"))


@pytest.fixture
def hsm(tmp_path: Path) -> Iterator[SoftHsm]:
    """A machine with one token."""
    with softhsm.softhsm(tmp_path / "hsm") as machine:
        yield machine


def source(tokens: Tokens) -> WithTokens:
    """Return what opens key files of these tokens, and no passphrase."""
    return WithTokens(NO_PASSPHRASE, tokens)


def made(path: Path, hsm: SoftHsm) -> Signer:
    """Make a node key in the token, with its file."""
    return new_signer(path, "XAA node", Role.NODE, TokenStore(hsm.tokens(), THERE), NOW_MS)


def opened(path: Path, hsm: SoftHsm, **how: Path) -> Signer:
    """Open a key file as a process that has just started."""
    fresh_library()
    return open_signer(path, Role.NODE, source(hsm.tokens(**how)))


def wrong_pin(folder: Path) -> Path:
    """Return a file with a wrong PIN."""
    write_secret(folder / "wrong", WRONG_PIN + "\n", replace=True)
    return folder / "wrong"


# It is a key as any other.


def test_a_key_in_a_token_signs_and_the_ordinary_verifier_believes_it(tmp_path: Path, hsm: SoftHsm) -> None:
    """Where a half of it is changes nothing for others; opened again it is the same key."""
    key, again = made(tmp_path / "node.key", hsm), opened(tmp_path / "node.key", hsm)
    assert again.public == key.public
    assert again.key_id == describe(read_secret(tmp_path / "node.key")).key_id
    proofs = again.sign_batch(Context.NOTICE, [b"one", b"two", b"three"])
    for obj, proof in zip([b"one", b"two", b"three"], proofs, strict=True):
        Verifier().verify(key.public, Role.NODE, Context.NOTICE, obj, proof)


def test_the_raw_signature_verifies(tmp_path: Path, hsm: SoftHsm) -> None:
    """Both halves cover the same representative, byte for byte as a key of one seed does."""
    made(tmp_path / "node.key", hsm)
    record = unlock(tmp_path / "node.key", KeyKind.SIGNING, "node", source(hsm.tokens()))
    signature = record.signing_key.sign(b"fire on the hill", b"label")
    PublicKey.from_bytes(record.signing_key.public).verify(signature, b"fire on the hill", b"label")


def test_other_kinds_of_keys_are_locked_by_a_key_of_the_token(tmp_path: Path, hsm: SoftHsm) -> None:
    """Witness keys and the vault key are in the file, and the file is worth nothing without the token."""
    store = TokenStore(hsm.tokens(), THERE)
    secret = new_note_secret(tmp_path / "witness.key", "XAA witness", NoteRole.WITNESS, store, NOW_MS)
    write_key(tmp_path / "vault.key", KeyKind.SYMMETRIC, "XAA vault", "vault", b"v" * 32, store, NOW_MS)
    fresh_library()
    tokens = source(hsm.tokens())
    note = unlock(tmp_path / "witness.key", KeyKind.NOTE, "witness", tokens)
    assert NoteSecret.from_seed(note.seed).ed25519 == secret.ed25519
    assert unlock(tmp_path / "vault.key", KeyKind.SYMMETRIC, "vault", tokens).seed == b"v" * 32


# Nobody can have it.


def test_the_private_halves_cannot_be_read(tmp_path: Path, hsm: SoftHsm) -> None:
    """Not even by whoever knows the PIN: the token gives neither the Ed25519 key nor the AES key."""
    made(tmp_path / "node.key", hsm)
    fresh_library()
    token = pkcs11.lib(str(hsm.module)).get_token(token_label=LABEL)
    session = token.open(user_pin=PIN)
    for kind in (AES, PRIVATE):
        (key,) = session.get_objects({Attribute.CLASS: kind[0], Attribute.KEY_TYPE: kind[1]})
        assert key[Attribute.NEVER_EXTRACTABLE]
        with pytest.raises(AttributeSensitive):
            key[Attribute.VALUE]


def test_files_that_are_stolen_without_the_token_cannot_sign(tmp_path: Path, hsm: SoftHsm) -> None:
    """Threat 29: another machine, with another token of the same name, opens nothing."""
    made(tmp_path / "node.key", hsm)
    hsm.pull_out()
    with pytest.raises(TokenFailed, match="is not here"):
        opened(tmp_path / "node.key", hsm)
    hsm.make()
    with pytest.raises(TokenFailed, match="with that serial number is not here"):
        opened(tmp_path / "node.key", hsm)
    # Not even if the thief says that it is the right token.
    text = (tmp_path / "node.key").read_text()
    serial = describe(text).protection.uri
    assert serial is not None
    ours = hsm.tokens().seen()[0].serial
    (tmp_path / "node.key").write_text(text.replace(serial.serial, ours))
    with pytest.raises(TokenFailed, match="has no AES key called XAA node"):
        opened(tmp_path / "node.key", hsm)


def test_without_a_library_a_key_in_a_token_is_refused_with_the_next_step(
    tmp_path: Path, hsm: SoftHsm
) -> None:
    """The file names a token and never the library, because loading a library runs its code."""
    made(tmp_path / "node.key", hsm)
    with pytest.raises(SetupError) as refused:
        open_signer(tmp_path / "node.key", Role.NODE, NO_PASSPHRASE)
    assert "pkcs11_module" in refused.value.hint


@pytest.mark.parametrize(
    ("line", "changed"),
    [("name: XAA node", "name: XBB node"), ("role: node", "role: root"), ("T", "U")],
)
def test_an_altered_file_does_not_open(tmp_path: Path, hsm: SoftHsm, line: str, changed: str) -> None:
    """What a file says about its key is bound to the secret in the token's own encryption."""
    path = tmp_path / "node.key"
    made(path, hsm)
    text = path.read_text()
    if line == "T":
        head, secret = text.rstrip("\n").rsplit(" ", 1)
        path.write_text(f"{head} {'B' if secret[0] == 'A' else 'A'}{secret[1:]}\n")
    else:
        path.write_text(text.replace(line, changed))
    with pytest.raises(WrongPassphrase, match="do not open what is stored"):
        opened(path, hsm)


def test_a_file_shorter_than_any_encryption_does_not_open(tmp_path: Path, hsm: SoftHsm) -> None:
    """A cut file is refused before the token is asked."""
    path = tmp_path / "node.key"
    made(path, hsm)
    head = path.read_text().rstrip("\n").rsplit(" ", 1)[0]
    path.write_text(f"{head} AAAA\n")
    with pytest.raises(WrongPassphrase, match="shorter"):
        opened(path, hsm)


def test_a_key_that_was_destroyed_in_the_token_is_gone(tmp_path: Path, hsm: SoftHsm) -> None:
    """No copy of the file brings it back."""
    path = tmp_path / "node.key"
    made(path, hsm)
    uri = describe(path.read_text()).protection.uri
    assert uri is not None
    tokens = hsm.tokens()
    HeldKeys(tokens.token(uri), uri).destroy()
    with pytest.raises(TokenFailed, match="has no AES key"):
        opened(path, hsm)


def test_a_token_that_gives_garbage_does_not_sign(
    tmp_path: Path, hsm: SoftHsm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes from the token is checked before it leaves: peers would refuse it one by one."""
    key = made(tmp_path / "node.key", hsm)
    monkeypatch.setattr("exchange.hsm.token.Token.use", lambda *_, **__: bytes(64))
    with pytest.raises(TokenFailed, match="does not verify"):
        key.sign(Context.NOTICE, b"x")


def test_nothing_is_left_in_the_token_if_the_file_cannot_be_written(tmp_path: Path, hsm: SoftHsm) -> None:
    """A key that no file names would lie there for ever."""
    tokens = hsm.tokens()
    with pytest.raises(KeyfileError, match="cannot be written"):
        new_signer(tmp_path / "no" / "node.key", "x", Role.NODE, TokenStore(tokens, THERE), NOW_MS)
    left = tokens.token(THERE).use("look", lambda session: session.all(None, THERE))
    assert left == []


# Which token.


def test_two_tokens_of_one_label_must_be_told_apart(tmp_path: Path, hsm: SoftHsm) -> None:
    """Neither is guessed; the hint names both, and a file names the one that it was made in."""
    key = made(tmp_path / "node.key", hsm)
    hsm.make()
    fresh_library()
    with pytest.raises(KeyfileError, match="2 tokens called almenara") as refused:
        made(tmp_path / "other.key", hsm)
    for token in hsm.tokens().seen():
        assert str(token.uri) in refused.value.hint
    assert opened(tmp_path / "node.key", hsm).public == key.public


def test_a_library_that_others_could_replace_is_not_loaded(tmp_path: Path, hsm: SoftHsm) -> None:
    """Loading it would run whatever they put there."""
    copy = tmp_path / "library.so"
    copy.write_bytes(hsm.module.read_bytes())
    copy.chmod(0o775)
    with pytest.raises(KeyfileUnsafe, match="could be replaced by others"):
        tokens_of(copy, hsm.pin_file).seen()


@pytest.mark.parametrize("content", [None, b"not a library"])
def test_a_library_that_is_none_is_an_error_of_ours(tmp_path: Path, content: bytes | None) -> None:
    """With the name of the setting in the hint."""
    if content is not None:
        (tmp_path / "library.so").write_bytes(content)
    with pytest.raises(SetupError) as refused:
        tokens_of(tmp_path / "library.so", None).seen()
    assert "--pkcs11-module" in refused.value.hint


def test_the_errors_of_a_library_are_not_taken_for_those_of_tls(tmp_path: Path, hsm: SoftHsm) -> None:
    """SoftHSM and Python share one OpenSSL: what it leaves behind made the next certificate unusable."""
    der = make_certificate("XAA", NOW_MS, 1000).der
    key = made(tmp_path / "node.key", hsm)
    loads(der)
    opened(tmp_path / "node.key", hsm).sign(Context.NOTICE, b"x")
    loads(der)
    path = tmp_path / "node.key"
    path.write_text(path.read_text().replace("XAA", "XBB"))
    with pytest.raises(KeyfileError):
        opened(path, hsm)
    loads(der)
    hsm.pull_out()
    with pytest.raises(TokenFailed):
        key.sign(Context.NOTICE, b"x")
    loads(der)


def loads(certificate: bytes) -> None:
    """Have Python's TLS take a certificate."""
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cadata=certificate)


# The token is pulled out.


def test_a_token_that_is_pulled_out_fails_with_a_next_step_and_works_when_it_is_back(
    tmp_path: Path, hsm: SoftHsm
) -> None:
    """The process goes on; it opens the token again by itself, with the PIN that was right."""
    made(tmp_path / "node.key", hsm)
    key = opened(tmp_path / "node.key", hsm)
    hsm.pull_out()
    for _ in range(2):
        with pytest.raises(TokenFailed) as failed:
            key.sign(Context.NOTICE, b"x")
        assert "almenara key token" in failed.value.hint
    hsm.put_back()
    Verifier().verify(key.public, Role.NODE, Context.NOTICE, b"x", key.sign(Context.NOTICE, b"x"))


# The PIN.


def test_a_wrong_pin_is_offered_once_by_a_process(tmp_path: Path, hsm: SoftHsm) -> None:
    """However many key files want the token."""
    made(tmp_path / "node.key", hsm)
    fresh_library()
    tokens = source(hsm.tokens(wrong_pin(tmp_path)))
    with pytest.raises(WrongPassphrase, match="refused the PIN"):
        open_signer(tmp_path / "node.key", Role.NODE, tokens)
    for _ in range(3):
        with pytest.raises(WrongPassphrase, match="it is not offered twice"):
            open_signer(tmp_path / "node.key", Role.NODE, tokens)


@dataclass(frozen=True, slots=True)
class Counting:
    """A token that notes every PIN that it is given."""

    inner: pkcs11.Token
    pins: list[str]

    def open(self, **how: Any) -> pkcs11.Session:
        """Open a session."""
        if "user_pin" in how:
            self.pins.append(how["user_pin"])
        return self.inner.open(**how)


@pytest.fixture
def offered(hsm: SoftHsm, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every PIN that reaches a token from now on."""
    pins: list[str] = []
    real = library._seen
    monkeypatch.setattr(
        library, "_seen", lambda token: replace(real(token), handle=cast(Any, Counting(token, pins)))
    )
    return pins


def saying(monkeypatch: pytest.MonkeyPatch, **flags: Any) -> None:
    """Have every token say this of itself."""
    real = library._seen
    monkeypatch.setattr(library, "_seen", lambda token: replace(real(token), **flags))


@pytest.mark.parametrize("reports", [True, False], ids=["it-reports-it", "it-reports-nothing"])
def test_a_service_that_is_restarted_for_ever_offers_a_wrong_pin_once(
    tmp_path: Path, hsm: SoftHsm, offered: list[str], monkeypatch: pytest.MonkeyPatch, reports: bool
) -> None:
    """A token locks itself after a few; it says that the last login failed, or our mark says so."""
    made(tmp_path / "node.key", hsm)
    offered.clear()
    if not reports:
        saying(monkeypatch, last_login_failed=False)
    for _ in range(10):
        with pytest.raises(WrongPassphrase) as refused:
            opened(tmp_path / "node.key", hsm, pin_file=wrong_pin(tmp_path), marks=tmp_path)
        assert "almenara key token --login" in refused.value.hint
    assert offered == [WRONG_PIN]


def test_after_a_wrong_pin_even_the_right_one_waits_for_a_person(
    tmp_path: Path, hsm: SoftHsm, offered: list[str]
) -> None:
    """A service cannot know that it is right now; once a person has tried it, all is as before."""
    path = tmp_path / "node.key"
    made(path, hsm)
    with pytest.raises(WrongPassphrase):
        opened(path, hsm, pin_file=wrong_pin(tmp_path), marks=tmp_path)
    offered.clear()
    with pytest.raises(WrongPassphrase, match="no PIN was offered"):
        opened(path, hsm, marks=tmp_path)
    assert offered == []
    asked: list[str] = []
    fresh_library()

    def agree(question: str) -> bool:
        asked.append(question)
        return True

    tokens = tokens_of(hsm.module, hsm.pin_file, marks=tmp_path, confirm=agree)
    open_signer(path, Role.NODE, source(tokens))
    assert asked == ["The token almenara was given a wrong PIN last. Is the PIN certainly right now?"]
    opened(path, hsm, marks=tmp_path)
    assert not list(tmp_path.glob("pin-refused-*"))


@pytest.mark.parametrize(
    ("flag", "sentence"), [("one_try_left", "has one try left"), ("locked", "is locked by wrong PINs")]
)
def test_the_last_try_is_never_taken_by_a_program(
    tmp_path: Path,
    hsm: SoftHsm,
    offered: list[str],
    monkeypatch: pytest.MonkeyPatch,
    flag: str,
    sentence: str,
) -> None:
    """What a token says of itself is read before any PIN is offered."""
    made(tmp_path / "node.key", hsm)
    offered.clear()
    saying(monkeypatch, **{flag: True})
    with pytest.raises(WrongPassphrase, match=sentence):
        opened(tmp_path / "node.key", hsm)
    assert offered == []


def test_nothing_tells_the_pin(tmp_path: Path, hsm: SoftHsm) -> None:
    """No message, mark or printed object has it, right or wrong."""
    made(tmp_path / "node.key", hsm)
    fresh_library()
    tokens = hsm.tokens(wrong_pin(tmp_path), tmp_path)
    with pytest.raises(WrongPassphrase) as refused:
        open_signer(tmp_path / "node.key", Role.NODE, source(tokens))
    (mark,) = tmp_path.glob("pin-refused-*")
    told = "".join(traceback.format_exception(refused.value)) + mark.read_text() + repr(vars(tokens))
    assert WRONG_PIN not in told
