"""``almenara audit report``: a page from a real bundle, and what the command refuses."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path

import pytest

from exchange.audit.verify.record import RULES
from exchange.cli.exits import Exit
from exchange.cli.program import run
from protocol import codec
from protocol.disclosure import Disclosure
from protocol.ledger.bundle import statements_name
from tests.bundles import lively, write
from tests.community import community


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    writer, _ = lively()
    return write(writer.bundle(), tmp_path / "bundle")


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who has no settings."""
    monkeypatch.delenv("ALMENARA_ROOT_HASH", raising=False)


def report(bundle: Path, output: Path, *more: str) -> int:
    pin = ("--root-hash", community().id.hex())
    return run(["audit", "report", str(bundle), *pin, "-o", str(output), *more])


def test_a_bundle_that_holds_becomes_a_page(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The page is written, its verdict is told, and the exit code is that of the verdict."""
    page = tmp_path / "report.html"
    assert report(bundle, page, "--json") == Exit.OK
    told = json.loads(capsys.readouterr().out)
    assert told["verdict"] == "ok"
    assert told["written"] == [str(page)]
    text = page.read_text()
    assert "The evidence holds." in text
    assert 'lang="en"' in text
    assert stat.S_IMODE(page.stat().st_mode) == 0o644


@pytest.mark.parametrize(
    ("language", "headline"),
    [
        ("es", "La evidencia se sostiene."),
        ("pt", "As evidências se sustentam."),
        ("fr", "Les preuves tiennent."),
    ],
)
def test_the_page_speaks_the_language_that_was_asked_for(
    bundle: Path, tmp_path: Path, language: str, headline: str
) -> None:
    """``--lang`` is enough; nothing else changes, and every rule of the verifier is in that language."""
    page = tmp_path / "page.html"
    assert report(bundle, page, "--lang", language) == Exit.OK
    text = page.read_text()
    assert headline in text
    assert not [rule for rule in RULES.values() if rule[1:] in text]


def test_one_changed_byte_makes_a_page_that_says_where(bundle: Path, tmp_path: Path) -> None:
    """A failed audit is reported on too, with exit code 3, and names the leaf."""
    pack = bundle / statements_name(0)
    data = bytearray(pack.read_bytes())
    data[len(data) // 2] ^= 1
    pack.write_bytes(bytes(data))
    page = tmp_path / "report.html"
    assert report(bundle, page) == Exit.VERIFICATION
    text = page.read_text()
    assert "The evidence does not hold." in text
    assert 'href="#ack-' in text.split('id="findings"')[1].split("</section>")[0]


def test_the_same_bundle_gives_the_same_files(bundle: Path, tmp_path: Path) -> None:
    """Two auditors compare their reports by hash, on paper as well."""
    for name in ("one", "two"):
        assert report(bundle, tmp_path / f"{name}.html", "--pdf") == Exit.OK
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()
    assert (tmp_path / "one.pdf").read_bytes() == (tmp_path / "two.pdf").read_bytes()
    assert (tmp_path / "one.pdf").read_bytes().startswith(b"%PDF")


def test_a_report_that_is_there_is_replaced_only_by_force(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It may be what somebody relies on; export and proof refuse as well."""
    page = tmp_path / "report.html"
    page.write_text("mine")
    assert report(bundle, page, "--json") == Exit.USAGE
    assert "--force" in json.loads(capsys.readouterr().out)["error"]["next"]
    assert page.read_text() == "mine"
    assert report(bundle, page, "--force") == Exit.OK
    assert page.read_text() != "mine"


def test_paper_alone_is_written_by_its_ending(bundle: Path, tmp_path: Path) -> None:
    """``-o report.pdf`` needs no further flag, and leaves no page behind."""
    assert report(bundle, tmp_path / "report.pdf") == Exit.OK
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "report.pdf"]


def test_what_a_state_disclosed_is_for_the_auditor_alone(tmp_path: Path) -> None:
    """A page with the text of a notice says its label, and nobody else on the machine can read it."""
    writer, (sealed, *_) = lively()
    submission = sealed.submission
    opened = Disclosure(
        manifest=submission.manifest,
        proof=submission.proof,
        payload=submission.payload,
        content_key=sealed.content_key,
    )
    file = tmp_path / "notice.disclosure"
    file.write_bytes(codec.encode(opened))
    page = tmp_path / "report.html"
    assert report(write(writer.bundle(), tmp_path / "b"), page, "--disclosure", str(file)) == Exit.OK
    assert "The registry does not answer." in page.read_text()
    assert "TLP:AMBER" in page.read_text()
    assert stat.S_IMODE(page.stat().st_mode) == 0o600


def test_without_the_extra_nothing_is_read_or_written(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who asks for paper without a type setter is told what to install, at once."""
    monkeypatch.setitem(sys.modules, "typst", None)
    assert report(bundle, tmp_path / "report.html", "--pdf") == Exit.FAILED
    assert "pip install 'almenara[report]'" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_the_report_never_goes_into_the_bundle(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One file more would make the bundle fail its next audit."""
    (tmp_path / "link").symlink_to(bundle)
    for output in (bundle / "report.html", bundle / "ack" / "report.html", tmp_path / "link" / "report.html"):
        assert report(bundle, output) == Exit.USAGE
        assert "must stay as it is" in capsys.readouterr().err
    assert not list(bundle.rglob("report.html"))


def test_without_a_root_hash_there_is_no_report(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A page on a bundle that nothing pins would prove nothing."""
    assert run(["audit", "report", str(bundle), "-o", str(tmp_path / "report.html")]) == Exit.USAGE
    assert "--root-hash" in capsys.readouterr().err


def test_a_language_that_is_not_spoken_is_refused_with_the_nearest(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A near miss is told which language may have been meant."""
    assert report(bundle, tmp_path / "report.html", "--lang", "pt-BR") == Exit.USAGE
    assert "Did you mean pt?" in capsys.readouterr().err


def test_the_languages_of_the_command_are_those_of_the_report() -> None:
    """The list is written twice, so that --help need not load Babel."""
    from exchange.audit.report.words import LANGUAGES
    from exchange.cli import audit_report

    assert audit_report.LANGUAGES == LANGUAGES
