"""The audit report as HTML: safe whatever the bundle says, alone in the world, and for everybody."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from msgspec.structs import replace

from exchange.audit.report.colours import DARK, FILLS, GROUNDS, LIGHT, TEXTS, TINTED, contrast
from exchange.audit.report.html import render_html, style_sheet
from exchange.audit.report.words import LANGUAGES
from exchange.audit.verdict import (
    CommunityView,
    CoordinatorView,
    Finding,
    Grade,
    Outcome,
    Verdict,
)
from tests.unit.exchange.test_report_page import nothing
from tests.verdicts import disclosed, findings, good

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style><svg/onload=alert(1)>",
    "' autofocus onfocus=alert(1) x='",
    "{{ 7 * 7 }}{% raw %}",
    "%(n)s %s %",
    "\u202egnp.exe\u2066\u200b\x00\x1b[2J\x07",
    "javascript:alert(1)",
    "&lt;b&gt; <!-- ]]> -->",
)
VOID = {"meta", "br", "img", "input", "link", "path", "rect", "line"}


class Elements(HTMLParser):
    """Every element of a page with its attributes and where it stands."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.all: list[tuple[str, dict[str, str], tuple[str, ...]]] = []
        self._open: list[str] = []
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.all.append((tag, {name: value or "" for name, value in attrs}, tuple(self._open)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.all.append((tag, {name: value or "" for name, value in attrs}, tuple(self._open)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"</{tag}> closes something else"

    def named(self, *tags: str) -> Iterator[dict[str, str]]:
        return (attributes for tag, attributes, _ in self.all if tag in tags)

    def still_open(self) -> list[str]:
        return self._open


def troubled(notices: int = 6) -> Verdict:
    """Return a verdict with everything in it that a page can show."""
    verdict = good(notices)
    opened = (disclosed(verdict.notices[0]),)
    return replace(verdict, verdict=Outcome.FAILED, findings=findings(), disclosed=opened)


def poisoned(text: str) -> Verdict:
    """Return a verdict in which every string that a bundle can choose is this one."""
    verdict = troubled()
    notices = tuple(
        replace(
            notice,
            sender=text,
            schema=text,
            level=text,
            kind=text,
            deliveries=tuple(
                replace(
                    way,
                    state=text,
                    outcome=text,
                    steps=tuple(replace(step, party=text, code=text, officer=text) for step in way.steps),
                )
                for way in notice.deliveries
            ),
        )
        for notice in verdict.notices
    )
    assert verdict.statistics is not None
    assert verdict.checkpoint is not None
    figures = replace(
        verdict.statistics,
        states=tuple(replace(one, state=text, name=text) for one in verdict.statistics.states),
        severities=tuple(replace(one, schema=text, level=text) for one in verdict.statistics.severities),
    )
    return replace(
        verdict,
        sentence=text,
        community=CommunityView(verdict.community.id, text),
        coordinator=CoordinatorView(text, text),
        checks=tuple(replace(one, code=text, sentence=text) for one in verdict.checks),
        findings=(
            Finding(code=text, severity=Grade.FAILED, sentence=text, where=text, next=text),
            Finding(code=text, severity=Grade.UNCHECKED, sentence=text, where=text, next=""),
        ),
        keys=tuple(
            replace(one, party=text, role=text, owner=text, key_id=text, event=text, source=text)
            for one in verdict.keys
        ),
        checkpoint=replace(
            verdict.checkpoint,
            origin=text,
            root=text,
            log=text,
            witnesses=tuple(replace(one, state=text, name=text) for one in verdict.checkpoint.witnesses),
        ),
        statistics=figures,
        notices=notices,
        disclosed=tuple(
            replace(
                one,
                subject=text,
                text=text,
                tlp=text,
                language=text,
                attachments=((text, text, 1, text),),
                recipients=(text,),
            )
            for one in verdict.disclosed
        ),
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_text_from_a_bundle_can_only_be_read(text: str) -> None:
    """Whatever a bundle calls a state, it adds no element, no attribute, and nothing invisible."""
    harmless = Elements(render_html(poisoned("harmless"), "en"))
    page = render_html(poisoned(text), "es")
    elements = Elements(page)
    assert elements.still_open() == []
    assert {tag for tag, *_ in elements.all} <= {tag for tag, *_ in harmless.all}
    assert not [name for _, names, _ in elements.all for name in names if name.startswith("on")]
    assert {name for _, names, _ in elements.all for name in names} <= {
        name for _, names, _ in harmless.all for name in names
    }
    assert not re.search(
        r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069]", page.decode()
    )


def test_every_link_stays_on_the_page() -> None:
    """A link leads to a place that is there, and to nowhere else."""
    for verdict in (troubled(), poisoned("javascript:alert(1)"), nothing()):
        elements = Elements(render_html(verdict, "en"))
        ids = [one["id"] for _, one, _ in elements.all if "id" in one]
        assert len(ids) == len(set(ids)) or verdict.sentence.startswith("javascript")
        links = [one["href"] for one in elements.named("a")]
        assert {link[1:] for link in links if link.startswith("#")} <= set(ids)
        assert all(link.startswith("#") for link in links)


def test_the_page_needs_nothing_from_elsewhere_and_forbids_it() -> None:
    """No script, no font, no picture, no connection: one file, whose only style is named by its hash."""
    page = render_html(troubled(), "en")
    elements = Elements(page)
    tags = {tag for tag, *_ in elements.all}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "base", "form", "audio", "video"}
    assert not [name for _, one, _ in elements.all for name in one if name in ("src", "srcset", "style")]
    assert b"://" not in page
    assert set(re.findall(r"url\(([^)]*)\)", page.decode())) <= {"#p-late", "#p-silent", "#p-broken"}
    assert "@import" not in page.decode()
    policy = next(one["content"] for one in elements.named("meta") if "http-equiv" in one)
    digest = base64.b64encode(hashlib.sha256(style_sheet().encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert page.decode().count("<style>") == 1
    assert f"<style>{style_sheet()}</style>" in page.decode()


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_same_verdict_gives_the_same_bytes(language: str) -> None:
    """Two auditors with the same bundle can compare their reports by hash."""
    assert render_html(troubled(), language) == render_html(troubled(), language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_says_its_language(language: str) -> None:
    """A screen reader pronounces the page, and what stays English, in the right language."""
    elements = Elements(render_html(troubled(), language))
    tag = next(elements.named("html"))["lang"]
    assert tag.partition("-")[0] == language
    others = {one["lang"] for _, one, _ in elements.all if "lang" in one} - {tag}
    assert others == {"en", "es"} - {tag}


def test_the_verdict_comes_first() -> None:
    """The first heading is the verdict, and says it in words."""
    for outcome, words in (
        (Outcome.OK, "The evidence holds."),
        (Outcome.FAILED, "The evidence does not hold."),
    ):
        page = render_html(replace(good(), verdict=outcome), "en").decode()
        heading = re.search(r"<h1>(.*?)</h1>", page)
        assert heading is not None
        assert heading[1] == words
        assert page.index("<h1>") < page.index("<h2")


def test_headings_leave_no_level_out() -> None:
    """Somebody who moves from heading to heading misses nothing."""
    for verdict in (troubled(), good(), nothing()):
        levels = [
            int(tag[1]) for tag, *_ in Elements(render_html(verdict, "fr")).all if re.fullmatch("h[1-6]", tag)
        ]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after - before <= 1 for before, after in pairwise(levels))


def test_the_page_has_its_landmarks() -> None:
    """Header, contents, main part and footer can be jumped to, and the contents can be skipped."""
    elements = Elements(render_html(good(), "en"))
    tags = [tag for tag, *_ in elements.all]
    assert [tags.count(tag) for tag in ("header", "nav", "main", "footer")] == [1, 1, 1, 1]
    assert next(elements.named("a"))["href"] == "#main"
    sections = list(elements.named("section"))
    ids = {one["id"] for _, one, _ in elements.all if "id" in one}
    assert all(one["aria-labelledby"] in ids for one in sections)


def test_every_chart_has_a_title_a_description_and_a_table() -> None:
    """Who does not see a chart hears what it shows, and reads the same figures."""
    page = render_html(good(), "pt").decode()
    charts = re.findall(
        r'<svg class="chart" role="img"[^>]*aria-labelledby="(\S+) (\S+)"(.*?)</desc>', page, re.S
    )
    assert len(charts) >= 7
    for title, description, body in charts:
        assert re.search(rf'<title id="{title}">[^<]+</title><desc id="{description}">[^<]+', body)
    for section in re.findall(r"<section id=.*?</section>", page, re.S):
        if 'class="chart"' in section:
            assert "<table" in section


def test_every_table_has_a_caption_and_heads() -> None:
    """A cell is heard with the heads of its row and column."""
    page = render_html(troubled(), "en").decode()
    tables = re.findall(r"<table>.*?</table>", page, re.S)
    assert len(tables) >= 10
    for table in tables:
        assert "<caption" in table
        assert 'scope="col"' in table
        assert 'scope="row"' in table


def test_nothing_is_said_by_colour_alone() -> None:
    """Every mark of one chart has a form of its own, and every outcome a word."""
    page = render_html(troubled(), "en").decode()
    legend = re.search(
        r'<ul class="legend"[^>]*>((?:(?!</ul>).)*bar|(?:(?!</ul>).)*answer expected.*?)</ul>', page, re.S
    )
    assert legend is not None
    forms = re.findall(r'd="([^"]+)"', legend[1])
    assert len(forms) == len(set(forms)) == 7
    assert page.count("Passed</strong>") == len(good().checks)


def test_colours_have_the_contrast_that_accessibility_asks_for() -> None:
    """Words have 4.5:1 on every ground they can stand on, marks 3:1 (WCAG 2.2, 1.4.3 and 1.4.11)."""
    light, dark, paper = schemes(style_sheet())
    assert (light, dark) == (dict(LIGHT), dict(DARK))
    assert paper == {**LIGHT, "paper": "#ffffff"}
    for scheme in (light, dark, paper):
        pairs = [(text, ground) for text in TEXTS for ground in GROUNDS] + list(TINTED)
        weak = [pair for pair in pairs if contrast(scheme[pair[0]], scheme[pair[1]]) < 4.5]
        assert weak == []
        faint = [
            (fill, ground)
            for fill in FILLS
            for ground in ("paper", "card")
            if contrast(scheme[fill], scheme[ground]) < 3
        ]
        assert faint == []


def test_the_style_sheet_has_no_colour_but_those_that_are_checked() -> None:
    """A colour that is not in the tables would escape the test of contrast."""
    style = style_sheet()
    rest = re.sub(r"--[a-z-]+:#[0-9a-f]{6};", "", style)
    assert set(re.findall(r"#[0-9a-fA-F]{3,8}\b", rest)) <= {"#525b67"}
    assert LIGHT["soft"] == "#525b67"
    assert not re.search(r"\b(rgb|hsl|oklch)a?\(|color:\s*(white|black|red|green|gray|grey)", rest)


def test_contrast_is_computed_as_the_guideline_says() -> None:
    """Black on white is 21:1; the guideline's own grey is 4.54:1."""
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


def test_the_page_moves_only_for_those_who_want_it_and_prints() -> None:
    """Motion waits for a preference, focus can be seen, paper is A4 with everything unfolded."""
    style = style_sheet()
    assert style.count("scroll-behavior") == 1
    assert "@media (prefers-reduced-motion:no-preference){html{scroll-behavior:smooth}}" in style
    assert ":focus-visible{outline:3px" in style
    assert "@page{size:A4" in style
    assert "::details-content" in style


def test_a_page_with_disclosed_text_has_the_strictest_label_of_it() -> None:
    """Whoever is handed the page sees at its head how far it may go."""
    verdict = good(2)
    opened = [disclosed(notice) for notice in verdict.notices]
    for labels, shown in (
        (("clear", "amber+strict"), "TLP:AMBER+STRICT"),
        (("red", "green"), "TLP:RED"),
        (("clear", "unheard of"), "TLP:RED"),
    ):
        both = tuple(replace(one, tlp=tlp) for one, tlp in zip(opened, labels, strict=True))
        page = render_html(replace(verdict, disclosed=both), "en").decode()
        assert f'<strong class="label">{shown}</strong>' in page.partition("<h1>")[0]
    assert 'class="label"' not in render_html(verdict, "en").decode()


def test_a_verdict_on_nothing_still_makes_a_page() -> None:
    """A bundle that could not be read gets a report that says so."""
    page = render_html(nothing(), "es").decode()
    assert "La evidencia no se sostiene." in page
    assert 'id="latency"' not in page


def test_what_was_left_out_is_said() -> None:
    """Sampling, an export by a member, and what could not be checked stand beside the verdict."""
    verdict = good()
    assert verdict.signatures is not None
    assert verdict.range is not None
    page = render_html(
        replace(
            verdict,
            signatures=replace(verdict.signatures, mode="sample", statements_checked=3),
            range=replace(verdict.range, member="XAA"),
            findings=tuple(one for one in findings() if one.severity is Grade.UNCHECKED),
            notices_left_out=1234,
        ),
        "en",
    ).decode()
    assert "Signatures were verified on a sample" in page
    assert "It holds only what concerns XAA." in page
    assert "Some of it could not be checked" in page
    assert "1,234 more" in page


def test_a_large_audit_makes_a_small_page() -> None:
    """A page of the largest verdict stays below what a laptop opens at once."""
    verdict = good(500)
    many = tuple(
        replace(notice, deliveries=tuple(way for _ in range(60) for way in notice.deliveries))
        for notice in verdict.notices
    )
    assert len(render_html(replace(verdict, notices=many, notices_left_out=10**6), "en")) < 5_000_000


def schemes(style: str) -> tuple[dict[str, str], ...]:
    """Return the colours of the light page, the dark page and paper from a style sheet."""
    roots = re.findall(r":root\{([^}]*)\}", style)
    assert len(roots) == 3
    return tuple(dict(re.findall(r"--([a-z-]+):(#[0-9a-f]{6})", root)) for root in roots)
