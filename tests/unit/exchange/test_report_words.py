"""The words of the audit report: every message in every language, numbers and times as written there."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from msgspec.structs import replace

from exchange.audit.report.blocks import fit
from exchange.audit.report.html import render_html
from exchange.audit.report.model import (
    page_of,
)
from exchange.audit.report.paper import Paper
from exchange.audit.report.pdf import render_pdf
from exchange.audit.report.rules import FINDINGS
from exchange.audit.report.terms import NOTICES, OUTCOMES, REASONS, STATEMENTS, Terms
from exchange.audit.report.words import LANGUAGES, SOURCE, Words, catalogue, iso
from exchange.audit.verdict import MilestoneView, Outcome
from exchange.audit.verify.record import NEXT, RULES
from protocol.delivery import DeliveryState
from protocol.fields import MAX_MILLIS
from protocol.notice import Kind
from protocol.statement import DeclineReason, StatementKind
from tests.unit.exchange.test_report_page import nothing
from tests.verdicts import disclosed, findings, good

TRANSLATIONS = tuple(language for language in LANGUAGES if language != SOURCE)
REPORT = Path(str(resources.files("exchange.audit.report")))
VERIFIER = Path(str(resources.files("exchange.audit.verify")))
KEYWORDS = {"_": None, "N_": None, "say": None, "ngettext": (1, 2), "say_n": (1, 2)}
PLACEHOLDER = re.compile(r"%\([a-z]+\)s|%")


def messages() -> set[str | tuple[str, str]]:
    """Return every message that the code, the templates and the verifier's tables hold."""
    found: set[str | tuple[str, str]] = {*RULES.values(), *NEXT.values()}
    methods = [("**.py", "python"), ("**.j2", "jinja2")]
    for _, _, message, _, _ in extract_from_dir(
        str(REPORT), methods, {"**.j2": {"silent": "false"}}, KEYWORDS
    ):
        found.add(message if isinstance(message, str) else (message[0], message[1]))
    return found


def entries(language: str) -> Iterator[Message]:
    catalog: Catalog = read_po(io.BytesIO(catalogue(language)), abort_invalid=True)
    return (message for message in catalog if message.id)


def forms(text: str | tuple[str, ...] | list[str] | None) -> tuple[str, ...]:
    """Return a message's singular and plural, or its only form."""
    return (text,) if isinstance(text, str) else tuple(text or ())


@pytest.mark.parametrize("language", TRANSLATIONS)
def test_every_message_is_in_every_catalogue_and_no_other(language: str) -> None:
    """Nothing falls back to English unseen, and nothing stale is kept."""
    there = {
        message.id if isinstance(message.id, str) else tuple(message.id) for message in entries(language)
    }
    assert messages() - there == set()
    assert there - messages() == set()


@pytest.mark.parametrize("language", TRANSLATIONS)
def test_every_translation_is_there_and_fills_in_the_same(language: str) -> None:
    """No translation is empty, doubtful, or loses a value that the English sentence tells."""
    for message in entries(language):
        assert not message.fuzzy, message.id
        for source, translated in zip(forms(message.id), forms(message.string), strict=True):
            assert translated, source
            assert sorted(PLACEHOLDER.findall(source)) == sorted(PLACEHOLDER.findall(translated)), source
            assert translated[0].islower() == source[0].islower() or source[0] == "%", (source, translated)
            assert translated.endswith(".") == source.endswith("."), (source, translated)


@pytest.mark.parametrize("language", TRANSLATIONS)
def test_long_sentences_are_really_translated(language: str) -> None:
    """A catalogue is not a copy of the English."""
    same = [
        one.id
        for one in entries(language)
        if one.id == one.string and len(one.id) > 24 and isinstance(one.id, str)
    ]
    assert same == []


@pytest.mark.parametrize("language", TRANSLATIONS)
def test_nothing_on_the_page_or_the_paper_falls_back_to_english(language: str) -> None:
    """What is really said while a report is made is in the catalogue too."""
    said: set[str] = set()

    class Listening(Words):
        def say(self, message: str, **values: object) -> str:
            said.add(message)
            return super().say(message, **values)

    words = Listening(language)
    verdict = good()
    opened = replace(verdict, findings=findings(), disclosed=(disclosed(verdict.notices[0]),))
    for one in (opened, replace(nothing(), verdict=Outcome.NOT_CHECKED)):
        Paper(page_of(one), words).document()
    known = {message.id for message in entries(language) if isinstance(message.id, str)}
    foreign = {one.sentence for one in opened.checks} | {one.next for one in opened.findings}
    assert said - known - foreign == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_code_of_the_protocol_has_a_term(language: str) -> None:
    """No state, kind or reason is shown as a code."""
    terms = Terms(Words(language))
    known = {*STATEMENTS, *NOTICES, *OUTCOMES, *REASONS}
    assert {kind.name.lower() for kind in (*StatementKind, *Kind)} <= known
    # What waits for a key is not sealed: no ledger and no report knows of it.
    assert {code.value for code in (*DeliveryState, *DeclineReason)} - {DeliveryState.WAITING} <= known
    assert all(terms.reason(reason.value) != reason.value for reason in DeclineReason)


def test_every_finding_of_the_verifier_has_a_name() -> None:
    """A reader of Spanish need not guess what ``gap`` means."""
    codes = set(NEXT)
    for module in VERIFIER.glob("*.py"):
        source = module.read_text(encoding="utf-8")
        codes |= set(re.findall(r'\b(?:failed|unchecked)\(\s*[^,()]+,\s*"([a-z-]+)"', source))
        codes |= set(re.findall(r'\bnote\(\s*"([a-z-]+)"', source))
    assert codes - set(FINDINGS) == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_unknown_code_is_shown_as_itself(language: str) -> None:
    """A newer verifier's words are not guessed at; and they cannot act."""
    terms = Terms(Words(language))
    assert terms.statement("exchanged\u202e") == "exchanged\\u{202e}"
    assert terms.point(17) == terms.point(None) == Words(language).say("Severity unknown")
    assert terms.source("scroll 3") == "scroll 3"
    assert terms.source("something else") == "something else"


def test_nothing_is_said_for_nothing() -> None:
    """An empty sentence of a verifier does not bring up the head of the catalogue."""
    assert Words("es").say("") == ""


def test_a_percent_sign_in_a_sentence_stays_one() -> None:
    """Sentences of a verifier are not formats."""
    assert Words("fr").say("100 % of %(n)s") == "100 % of %(n)s"


AT_MS = 1_767_603_600_123


@pytest.mark.parametrize(
    ("language", "time", "number", "percent"),
    [
        ("en", "5 Jan 2026, 09:00:00 UTC", "1,234,567.5", "46%"),
        ("es", "5 ene 2026, 09:00:00 UTC", "1.234.567,5", "46\xa0%"),
        ("pt", "5 de jan. de 2026, 09:00:00 UTC", "1.234.567,5", "46%"),
        ("fr", "5 janv. 2026, 09:00:00 UTC", "1\u202f234\u202f567,5", "46\xa0%"),
    ],
)
def test_times_and_numbers_are_written_as_in_the_language(
    language: str, time: str, number: str, percent: str
) -> None:
    """Each reader sees dates, numbers and shares as at home, and every time in UTC."""
    words = Words(language)
    assert words.time(AT_MS) == time
    assert words.number(1234567.5) == number
    assert words.percent(46, 100) == percent


def test_times_are_utc_wherever_the_report_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time zone and locale of the machine change nothing."""
    before = render_html(good(), "es")
    for zone, locale in (("Pacific/Kiritimati", "ar_EG.UTF-8"), ("America/Lima", "tr_TR.UTF-8")):
        monkeypatch.setenv("TZ", zone)
        monkeypatch.setenv("LC_ALL", locale)
        monkeypatch.setenv("LANGUAGE", locale)
        assert render_html(good(), "es") == before


def test_lengths_of_time_have_at_most_two_units() -> None:
    """A length is as exact as its size deserves."""
    words = Words("en")
    told = {
        0: "0 s",
        42: "0.04 s",
        999: "1 s",
        1500: "1.5 s",
        60_000: "1 min",
        61_000: "1 min 1 s",
        3_600_000: "1 h",
        3_601_000: "1 h",
        5_400_000: "1 h 30 min",
        90_000_000: "1 d 1 h",
        86_400_000 + 59_000: "1 d",
        -1500: "-1.5 s",
    }
    assert {millis: words.length(millis).replace("\xa0", " ") for millis in told} == told


@pytest.mark.parametrize(
    ("language", "day", "seconds"),
    [
        ("en", "1 d 2 h", "1.1 s"),
        ("es", "1 d 2 h", "1,1 s"),
        ("pt", "1 d 2 h", "1,1 s"),
        ("fr", "1 j 2 h", "1,1 s"),
    ],
)
def test_units_of_time_are_symbols_that_do_not_break_from_their_number(
    language: str, day: str, seconds: str
) -> None:
    """A length reads the same for one and for many, and stays on one line."""
    words = Words(language)
    assert words.length(93_600_000).replace("\xa0", " ") == day
    assert words.length(1100) == seconds.replace(" ", "\xa0")


@pytest.mark.parametrize(
    ("part", "whole", "said"), [(0, 9, "0%"), (9, 9, "100%"), (1, 999, "1%"), (998, 999, "99%"), (0, 0, "–")]
)
def test_a_share_never_says_all_or_none_when_it_is_not(part: int, whole: int, said: str) -> None:
    """One silent state among a thousand does not disappear by rounding."""
    assert Words("en").percent(part, whole) == said


@pytest.mark.parametrize(
    ("language", "none", "one", "two"),
    [
        ("es", "0 hojas", "1 hoja", "2 hojas"),
        ("fr", "0 feuille", "1 feuille", "2 feuilles"),
        ("pt", "0 folha", "1 folha", "2 folhas"),
        ("en", "0 leaves", "1 leaf", "2 leaves"),
    ],
)
def test_plurals_follow_the_language(language: str, none: str, one: str, two: str) -> None:
    """Zero is singular in French and Portuguese, plural in Spanish and English."""
    words = Words(language)
    assert [words.say_n("%(n)s leaf", "%(n)s leaves", n) for n in (0, 1, 2)] == [none, one, two]


def test_a_hostile_clock_ends_in_the_year_9999() -> None:
    """A leaf may carry any 64 bits as its time; the page shows the last day there is."""
    for at_ms in (2**64 - 1, MAX_MILLIS + 1, MAX_MILLIS):
        assert Words("es").time(at_ms) == "31 dic 9999, 23:59:59 UTC"
    assert Words("en").time(-1) == "1 Jan 1970, 00:00:00 UTC"
    late = replace(good(2), milestones=(MilestoneView(1, 2**64),))
    notices = tuple(replace(notice, relayed_ms=2**64 - 1, respond_by_ms=2**64) for notice in late.notices)
    assert b"9999" in render_html(replace(late, notices=notices), "fr")
    assert render_pdf(replace(late, notices=notices), "fr").startswith(b"%PDF")


def test_machines_read_the_same_time_in_every_language() -> None:
    """The ``datetime`` of a page is ISO 8601 in UTC."""
    assert iso(AT_MS) == "2026-01-05T09:00:00.123Z"
    assert "2026-01-05T09:22:41" in render_html(good(), "fr").decode()


def test_paper_gets_only_signs_that_its_fonts_have() -> None:
    """A sign that the fonts lack becomes an escape, in every place a string can stand."""
    assert fit({"a": ["漢\u202e", ("Ñandú – ok",)], "n": 3}) == {
        "a": ["\\u{6f22}\\u{202e}", ["Ñandú – ok"]],
        "n": 3,
    }


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_word_of_ours_can_be_printed(language: str) -> None:
    """No catalogue has a sign that paper would show as an escape."""
    words = Words(language)
    every = [words.say(one) for one in messages() if isinstance(one, str)]
    assert [one for one in every if "\\u{" in fit(one)] == []
