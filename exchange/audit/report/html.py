"""The page in HTML: one file, no script, nothing from elsewhere, the same bytes every time.

Everything is escaped by default; text from the bundle is made visible first, so that it can
neither hide nor turn the text around it. The page forbids itself every connection: its only
style sheet is named by its hash.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from exchange.audit.report import charts as drawn
from exchange.audit.report.colours import DARK, LIGHT, variables
from exchange.audit.report.headline import headline, lead
from exchange.audit.report.model import (
    MAX_LINKS,
    MAX_STEPS,
    Page,
    page_of,
    sources_of,
)
from exchange.audit.report.reading import (
    checkpoints_of,
    marking_of,
    milestones_of,
    missing_witnesses,
    said,
    ways_of,
)
from exchange.audit.report.rules import Rules
from exchange.audit.report.scene import MARKS, fluid_svg
from exchange.audit.report.terms import Terms
from exchange.audit.report.words import Words, iso
from exchange.audit.verdict import NoticeEvidence, Verdict
from exchange.safe import safe_block, safe_line
from exchange.version import VERSION
from protocol.ledger.bundle import document_name, statements_name
from protocol.ledger.tiles import TILE_WIDTH


def render_html(verdict: Verdict, language: str) -> bytes:
    """Return the report on a verdict as one HTML file.

    Args:
        verdict: What the verifier found.
        language: One of :data:`exchange.audit.report.words.LANGUAGES`.
    """
    words = Words(language)
    environment = _environment(language)
    template = environment.get_template("report.html.j2")
    return template.render(_values(page_of(verdict), words)).encode()


@cache
def style_sheet() -> str:
    """Return the style sheet of the page, with the colours filled in."""
    template = _environment("en").get_template("report.css.j2")
    return template.render(light=Markup(variables(LIGHT)), dark=Markup(variables(DARK)))  # noqa: S704


@cache
def _environment(language: str) -> Environment:
    environment = Environment(
        loader=PackageLoader("exchange.audit.report"),
        autoescape=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        keep_trailing_newline=True,
    )
    words = Words(language)
    environment.globals.update(
        _=words.say,
        ngettext=lambda one, many, n: words.say_n(one, many, n),
        number=words.number,
        max_links=MAX_LINKS,
        max_ways=drawn.MAX_WAYS,
        max_steps=MAX_STEPS,
        version=VERSION,
        ways_of=ways_of,
        said=said,
        none=None,
    )
    environment.filters.update(
        plain=safe_line,
        block=safe_block,
        iso=iso,
        mark=MARKS.__getitem__,
        svg=lambda chart: fluid_svg(chart.scene, chart.name, chart.title, chart.description),
        statement_file=lambda index: statements_name(index // TILE_WIDTH),
        document_file=document_name,
    )
    return environment


def _values(page: Page, words: Words) -> Mapping[str, Any]:
    verdict, terms, rules = page.verdict, Terms(words), Rules(words)
    style = style_sheet()
    name, what = safe_line(verdict.community.name) or "Almenara", words.say("Audit report")
    return {
        "page": page,
        "v": verdict,
        "words": words,
        "terms": terms,
        "rule": rules.rule,
        "found": rules.finding,
        "next_step": rules.next_step,
        "english": Markup("") if words.language == "en" else Markup(' lang="en"'),
        "headline": headline(verdict, words),
        "lead": lead(page, words),
        "title": f"{terms.standing(verdict.verdict)} · {what} · {name}",
        "marking": marking_of(verdict),
        "style": Markup(style),  # noqa: S704  (ours, from the package)
        "style_hash": f"sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}",
        "sections": _sections(page, words),
        "charts": _charts(page, terms),
        "one_way": lambda notice, name: drawn.one_way(notice, name, terms),
        "marks_of": _marks_of,
        "parts_named": lambda part, n: f"{words.number(n)} {terms.tag(part)}",
        "listed": frozenset(row.index for row in page.leaves.shown),
        "evidence": frozenset(notice.envelope for notice in page.notices.shown),
        "sources": tuple(sources_of(page)),
        "milestones": milestones_of(verdict),
        "witnessed": tuple(_witnessed(page, terms)),
    }


def _sections(page: Page, words: Words) -> tuple[tuple[str, str], ...]:
    say = words.say
    answers = (
        ("time-line", say("Time line of notices and answers")),
        ("latency", say("How long answers took")),
        ("states", say("Who answered")),
        ("silent", say("Silent and declined")),
    )
    disclosed = (("disclosed", say("Notices that a state disclosed to the auditor")),)
    return (
        ("checks", say("What was checked")),
        ("unchecked", say("What could not be checked")),
        ("findings", say("Findings and next steps")),
        *(answers if page.verdict.statistics else ()),
        ("evidence", say("Evidence for each notice")),
        *(disclosed if page.verdict.disclosed else ()),
        ("keys", say("Key history")),
        ("checkpoints", say("Checkpoints and witnesses")),
        ("leaves", say("Leaves that this page names")),
        ("again", say("How to check this again")),
    )


def _charts(page: Page, terms: Terms) -> Mapping[str, drawn.Chart]:
    return {
        "over_time": drawn.over_time(page.periods, page.period_ms, terms),
        "ways": drawn.ways(page.notices.shown, terms),
        "latencies": drawn.latencies(page.levels.shown, terms),
        "outcomes": drawn.outcomes(page.recipients, terms),
        "growth": drawn.growth(milestones_of(page.verdict).shown, terms),
    }


def _witnessed(page: Page, terms: Terms) -> Any:
    for one in checkpoints_of(page.verdict):
        missing = missing_witnesses(page.verdict, one)
        yield one, missing, drawn.witnesses(one, missing, f"witnesses-{safe_line(one.log)}", terms)


def _marks_of(notice: NoticeEvidence) -> tuple[tuple[str, int], ...]:
    """Return how many recipients of a notice answered, were late, stayed silent, or failed."""
    ways = notice.deliveries
    counts = (
        ("answered", sum(way.outcome in ("accepted", "declined", "completed") for way in ways)),
        ("late", sum(way.late for way in ways)),
        ("silent", sum(way.silent for way in ways)),
        ("failed", sum(way.outcome in ("rejected", "undelivered") for way in ways)),
    )
    return tuple((name, n) for name, n in counts if n)
