"""``almenara audit``: the verdict in one line, the exit codes, and what it asks for first."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from exchange.cli.exits import Exit
from exchange.cli.program import run
from keys.governance import community_file
from protocol import codec
from protocol.disclosure import Disclosure
from protocol.ledger.bundle import statements_name
from tests.bundles import Writer, lively, write
from tests.community import community

RECEIPTS = Path(__file__).resolve().parents[2] / "vectors" / "receipt"


@pytest.fixture(autouse=True)
def without_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nobody's settings reach these tests."""
    for name in [name for name in os.environ if name.startswith("ALMENARA_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a file with the root hash, as the ceremony writes it."""
    path = tmp_path / "root-hash"
    digits = community().id.hex()
    path.write_text(" ".join(digits[at : at + 8] for at in range(0, 64, 8)) + "\n")
    return path


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Return a bundle that holds."""
    return write(lively()[0].bundle(), tmp_path / "bundle")


def told(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    code = run([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out, err


def as_json(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, dict[str, Any]]:
    code, out, _ = told(capsys, *words, "--json")
    (line,) = out.splitlines()
    return code, dict(json.loads(line))


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_a_bundle_that_holds_is_exit_0(bundle: Path, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The verdict in one line, then what was checked."""
    code, out, _ = told(capsys, "audit", "verify", bundle, "--root-hash", root)
    assert code == Exit.OK
    assert out.splitlines()[0].startswith("OK: 13 leaves")
    assert "every statement is, byte for byte" in " ".join(out.split())


def test_a_flipped_byte_is_exit_3_and_names_the_leaf(
    bundle: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the first line, for a person, and as a field, for a program."""
    flip(bundle / statements_name(0), 20_000)
    code, out, _ = told(capsys, "audit", "verify", bundle, "--root-hash", root)
    assert code == Exit.VERIFICATION
    assert out.splitlines()[0].startswith("FAILED: ")
    assert "leaf 5" in out.splitlines()[0]
    code, fields = as_json(capsys, "audit", "verify", bundle, "--root-hash", root)
    assert (code, fields["verdict"], fields["schema_version"]) == (Exit.VERIFICATION, "failed", 1)
    assert 5 in [one["leaf"] for one in fields["findings"]]


def test_the_root_hash_may_be_given_as_digits_or_by_the_environment(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """However it is written down."""
    digits = community().id.hex()
    assert told(capsys, "audit", "verify", bundle, "--root-hash", digits.upper())[0] == Exit.OK
    monkeypatch.setenv("ALMENARA_ROOT_HASH", digits)
    assert told(capsys, "audit", "verify", bundle)[0] == Exit.OK


def test_without_a_root_hash_nothing_is_believed(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2, with the next step: never from the bundle itself."""
    code, fields = as_json(capsys, "audit", "verify", bundle)
    assert code == Exit.USAGE
    assert "Never take it from the bundle" in fields["error"]["next"]


def test_what_is_no_bundle_is_exit_2(tmp_path: Path, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Unusable input is told apart from a failed verification."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "junk").write_bytes(os.urandom(2000))
    for path in (tmp_path / "empty", tmp_path / "junk", tmp_path / "missing"):
        code, fields = as_json(capsys, "audit", "verify", path, "--root-hash", root)
        assert (code, fields["error"]["code"]) == (Exit.USAGE, "bad-request")


def test_another_community_is_exit_3(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A genuine bundle of somebody else proves nothing here."""
    code, out, _ = told(capsys, "audit", "verify", bundle, "--root-hash", "00" * 32)
    assert code == Exit.VERIFICATION
    assert "not of the pinned one" in out.splitlines()[0]


def test_a_sample_says_how_many_were_looked_at(
    bundle: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sample mode is never taken for the whole."""
    code, fields = as_json(capsys, "audit", "verify", bundle, "--root-hash", root, "--sample", "2")
    assert (code, fields["signatures"]["mode"]) == (Exit.OK, "sample")
    assert "by sample" in fields["sentence"]


def test_a_disclosed_notice_is_shown_behind_a_bar(
    tmp_path: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A notice's own text cannot pretend to be the verdict."""
    writer = Writer()
    sealed = writer.notice()
    bundle = write(writer.bundle(), tmp_path / "bundle")
    submission = sealed.submission
    file = tmp_path / "notice.disclosure"
    file.write_bytes(
        codec.encode(
            Disclosure(
                manifest=submission.manifest,
                proof=submission.proof,
                payload=submission.payload,
                content_key=sealed.content_key,
            )
        )
    )
    code, out, _ = told(capsys, "audit", "verify", bundle, "--root-hash", root, "--disclosure", file)
    assert code == Exit.OK
    assert "│ The registry does not answer." in out


def test_a_receipt_is_verified_by_the_same_command(capsys: pytest.CaptureFixture[str]) -> None:
    """One command for whatever an auditor is given."""
    pinned = (RECEIPTS / "pinned.txt").read_text().strip()
    code, out, _ = told(capsys, "audit", "verify", RECEIPTS / "good.txt", "--root-hash", pinned)
    assert code == Exit.OK
    assert out.startswith("OK: ")


def test_a_receipt_that_was_altered_is_exit_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One letter of a signed part is enough."""
    pinned = (RECEIPTS / "pinned.txt").read_text().strip()
    text = (RECEIPTS / "good.txt").read_text()
    altered = tmp_path / "receipt.txt"
    altered.write_text(text.replace("A", "B", 3))
    code, fields = as_json(capsys, "audit", "verify", altered, "--root-hash", pinned)
    assert (code, fields["verdict"]) == (Exit.VERIFICATION, "failed")
    assert fields["findings"][0]["next"]


def test_a_receipt_of_another_community_is_exit_3(capsys: pytest.CaptureFixture[str]) -> None:
    """The pinned root hash decides."""
    code, fields = as_json(capsys, "audit", "verify", RECEIPTS / "good.txt", "--root-hash", "00" * 32)
    assert (code, fields["findings"][0]["code"]) == (Exit.VERIFICATION, "wrong-community")


def test_an_export_needs_a_token_or_a_member(
    tmp_path: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The next step names both."""
    file = tmp_path / "community.alm"
    file.write_bytes(community_file(community().documents))
    where = ["audit", "export", "--url", "https://127.0.0.1:1"]
    words: list[str | Path] = [*where, "--community", file, "--root-hash", root]
    code, fields = as_json(capsys, *words, "-o", tmp_path / "out")
    assert (code, fields["error"]["code"]) == (Exit.AUTHORITY, "not-authorized")
    assert "--member" in fields["error"]["next"]
    assert not (tmp_path / "out").exists()


def test_a_date_that_is_none_is_refused(
    tmp_path: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is asked of anybody."""
    file = tmp_path / "community.alm"
    file.write_bytes(community_file(community().documents))
    token = tmp_path / "token"
    token.write_text("almenara-token-1:auditor:Ana:" + "00" * 32 + "\n")
    token.chmod(0o600)
    where = ["audit", "export", "--url", "https://127.0.0.1:1"]
    words: list[str | Path] = [*where, "--community", file, "--root-hash", root]
    code, fields = as_json(
        capsys, *words, "--token-file", token, "--since", "yesterday", "-o", tmp_path / "out"
    )
    assert (code, fields["error"]["code"]) == (Exit.USAGE, "bad-request")
