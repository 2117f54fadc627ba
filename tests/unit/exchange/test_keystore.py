"""Secret files: private, whole, durable; and where passphrases may come from."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from exchange.keystore import LARGEST_FILE, read_credential, read_secret, write_secret
from exchange.passphrases import (
    PassphraseCredential,
    PassphraseFile,
    PassphrasePrompt,
    PassphraseSource,
    passphrase_source,
)
from protocol.errors import KeyfileError, KeyfileUnsafe

ROOT = os.geteuid() == 0


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """Write one key file."""
    path = tmp_path / "node.key"
    write_secret(path, "secret text\n")
    return path


def test_what_is_written_is_read_back(key: Path) -> None:
    """The text comes back unchanged, and no temporary file is left."""
    assert read_secret(key) == "secret text\n"
    assert list(key.parent.iterdir()) == [key]


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o777])
def test_the_mode_is_0600_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    """Neither a lax nor an odd umask changes the mode."""
    before = os.umask(umask)
    try:
        write_secret(tmp_path / "node.key", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "node.key").stat().st_mode & 0o777 == 0o600


def test_a_key_is_not_overwritten_by_accident(key: Path) -> None:
    """Without replace the old key stays."""
    with pytest.raises(KeyfileError, match="already"):
        write_secret(key, "other")
    assert read_secret(key) == "secret text\n"
    write_secret(key, "other", replace=True)
    assert read_secret(key) == "other"
    assert list(key.parent.iterdir()) == [key]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o601])
def test_a_key_that_others_can_read_is_refused(key: Path, mode: int) -> None:
    """The hint is the exact command."""
    key.chmod(mode)
    with pytest.raises(KeyfileUnsafe) as refused:
        read_secret(key)
    assert f"chmod 600 {key}" in refused.value.hint


@pytest.mark.skipif(not ROOT, reason="only root can give files away")
def test_a_key_of_another_owner_is_refused(key: Path) -> None:
    """A key that somebody else put there is not used."""
    os.chown(key, 12345, -1)
    with pytest.raises(KeyfileUnsafe, match="another user"):
        read_secret(key)


def test_a_symbolic_link_is_refused(key: Path) -> None:
    """A link could be turned to another file between two looks."""
    link = key.with_name("link.key")
    link.symlink_to(key)
    with pytest.raises(KeyfileUnsafe, match="symbolic link"):
        read_secret(link)


def test_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    """A pipe under the name does not hold the service up."""
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(KeyfileUnsafe, match="regular"):
        read_secret(tmp_path / "pipe")


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    """The path is in the message and a next step in the hint."""
    with pytest.raises(KeyfileError, match="cannot be opened") as refused:
        read_secret(tmp_path / "none.key")
    assert refused.value.hint


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", b"x" * (LARGEST_FILE + 1)])
def test_what_cannot_be_a_key_is_refused(key: Path, data: bytes) -> None:
    """Bytes that are not text, and files larger than any key, are refused without quoting them."""
    key.write_bytes(data)
    with pytest.raises(KeyfileError) as refused:
        read_secret(key)
    assert refused.value.__cause__ is None


def test_a_missing_folder_is_a_keyfile_error(tmp_path: Path) -> None:
    """Writing where there is no folder fails with a sentence."""
    with pytest.raises(KeyfileError, match="cannot be written"):
        write_secret(tmp_path / "nowhere" / "node.key", "x")


def test_a_passphrase_file_gives_its_one_line(tmp_path: Path) -> None:
    """The line end is not part of the passphrase; inner and outer spaces are."""
    write_secret(tmp_path / "p", " correct horse \n")
    assert PassphraseFile(tmp_path / "p").passphrase() == " correct horse "


@pytest.mark.parametrize("text", ["", "\n", "one\ntwo\n"])
def test_a_passphrase_is_exactly_one_line(tmp_path: Path, text: str) -> None:
    """An empty file or two lines are a mistake, not a passphrase."""
    write_secret(tmp_path / "p", text)
    with pytest.raises(KeyfileError, match="exactly one line"):
        PassphraseFile(tmp_path / "p").passphrase()


def test_a_readable_passphrase_file_is_refused(tmp_path: Path) -> None:
    """A passphrase is guarded like a key."""
    write_secret(tmp_path / "p", "x\n")
    (tmp_path / "p").chmod(0o644)
    with pytest.raises(KeyfileUnsafe):
        PassphraseFile(tmp_path / "p").passphrase()


@pytest.mark.parametrize(("mode", "safe"), [(0o400, True), (0o440, True), (0o444, False), (0o460, False)])
def test_a_credential_may_show_an_access_list_but_not_be_open(key: Path, mode: int, safe: bool) -> None:
    """Group read is how an access list shows; anything wider is refused."""
    key.chmod(mode)
    if safe:
        assert read_credential(key) == "secret text\n"
    else:
        with pytest.raises(KeyfileUnsafe):
            read_credential(key)


def prompt(*answers: str, confirm: bool = False, interactive: bool = True) -> PassphrasePrompt:
    """Return a prompt at which somebody types these answers."""
    typed = iter(answers)
    return PassphrasePrompt("node key", confirm, lambda _text: next(typed), lambda: interactive)


def test_a_new_passphrase_is_asked_for_twice() -> None:
    """Two equal answers are taken, two different ones are not."""
    assert prompt("a", "a", confirm=True).passphrase() == "a"
    with pytest.raises(KeyfileError, match="differ"):
        prompt("a", "b", confirm=True).passphrase()


def test_without_a_terminal_nobody_is_asked() -> None:
    """A service without a terminal gets a hint instead of hanging."""
    with pytest.raises(KeyfileError, match="no terminal"):
        prompt(interactive=False).passphrase()


def chosen(tmp_path: Path, *, file: Path | None, environment: dict[str, str]) -> PassphraseSource:
    """Choose a source for the node key."""
    return passphrase_source("node key", file=file, credential="node-key", environment=environment)


def test_a_named_file_comes_before_a_credential_before_a_prompt(tmp_path: Path) -> None:
    """The most explicit source is taken."""
    credentials = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert isinstance(chosen(tmp_path, file=None, environment=credentials), PassphrasePrompt)
    (tmp_path / "node-key").write_text("x\n")
    assert isinstance(chosen(tmp_path, file=None, environment=credentials), PassphraseCredential)
    assert isinstance(chosen(tmp_path, file=tmp_path / "p", environment=credentials), PassphraseFile)
    assert isinstance(chosen(tmp_path, file=None, environment={}), PassphrasePrompt)
