"""The audit report on paper: PDF/UA-1, the same bytes every time, and a sentence when it cannot be made."""

from __future__ import annotations

import re
import sys
import zlib

import pytest
from msgspec.structs import replace

from exchange.audit.report.pdf import render_pdf, require_typst
from exchange.audit.report.words import LANGUAGES
from exchange.audit.verdict import Outcome
from protocol.errors import SetupError
from tests.unit.exchange.test_report_html import HOSTILE, poisoned, troubled
from tests.unit.exchange.test_report_page import nothing
from tests.verdicts import good


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_paper_is_tagged_and_of_the_standard_that_accessibility_asks_for(language: str) -> None:
    """PDF/UA-1: tagged, titled, with its language; the type setter refuses to make anything else."""
    made = render_pdf(good(4), language)
    assert made.startswith(b"%PDF-1.7")
    everything = made + b"".join(streams(made))
    assert b"pdfuaid:part>1<" in everything
    assert b"/MarkInfo" in everything
    assert b"/StructTreeRoot" in everything
    assert re.search(rb"/Lang\s*\(%s" % {"pt": b"pt-BR"}.get(language, language.encode()), everything)


def test_the_same_verdict_gives_the_same_paper() -> None:
    """The date in the file is the audit's, so two auditors can compare by hash."""
    assert render_pdf(good(3), "es") == render_pdf(good(3), "es")


@pytest.mark.parametrize("text", HOSTILE)
def test_text_from_a_bundle_is_set_and_not_obeyed(text: str) -> None:
    """No name can break the type setting, be it markup, a control character or a foreign script."""
    assert render_pdf(poisoned(text), "en").startswith(b"%PDF")


@pytest.mark.parametrize(
    "text", ["#panic(1)", "$x^2$ *b* _e_ `c` <label> @ref", "漢字 العربية 🔥", '#include "/etc/passwd"']
)
def test_the_language_of_the_type_setter_is_only_text_in_a_bundle(text: str) -> None:
    """Strings reach the type setter as data; a sign that its fonts lack is written as an escape."""
    assert render_pdf(poisoned(text), "fr").startswith(b"%PDF")


def test_paper_is_made_of_any_verdict() -> None:
    """A failed audit, an audit of nothing, one with a disclosure: each can be printed."""
    for verdict in (troubled(), nothing(), replace(nothing(), verdict=Outcome.NOT_CHECKED)):
        assert render_pdf(verdict, "pt").startswith(b"%PDF")


def test_without_the_extra_the_next_step_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has no type setter is told what to install, and that the page prints too."""
    monkeypatch.setitem(sys.modules, "typst", None)
    with pytest.raises(SetupError, match="extra 'report'") as refused:
        require_typst()
    assert "pip install 'almenara[report]'" in refused.value.hint


def streams(data: bytes) -> list[bytes]:
    """Return the content of every compressed stream of a PDF."""
    found = []
    for match in re.finditer(rb"stream\r?\n(.*?)\r?\nendstream", data, re.S):
        try:
            found.append(zlib.decompress(match[1]))
        except zlib.error:
            continue
    return found
