"""The charts of the audit report: figures become places, and no place lies outside the drawing."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
from msgspec.structs import replace

from exchange.audit.report.charts import (
    MARK_OF,
    MAX_WAYS,
    PARTS,
    Chart,
    growth,
    in_buckets,
    latencies,
    on_axis,
    one_way,
    outcomes,
    over_time,
    ways,
    witnesses,
)
from exchange.audit.report.colours import LIGHT
from exchange.audit.report.html import style_sheet
from exchange.audit.report.model import (
    Period,
    page_of,
)
from exchange.audit.report.scene import MARKS, Bar, Label, Mark, Rule, Scene, at, fixed_svg, fluid_svg
from exchange.audit.report.terms import Terms
from exchange.audit.report.words import Words
from exchange.audit.verdict import Bucket, MilestoneView
from tests.verdicts import START_MS, good

TERMS = Terms(Words("en"))
HOUR_MS = 3_600_000


def every_chart() -> list[Chart]:
    verdict = good()
    page = page_of(verdict)
    assert verdict.checkpoint is not None
    return [
        over_time(page.periods, page.period_ms, TERMS),
        ways(page.notices.shown, TERMS),
        one_way(page.notices.shown[0], "one", TERMS),
        latencies(page.levels.shown, TERMS),
        outcomes(page.states.shown, TERMS),
        growth(verdict.milestones, TERMS),
        witnesses(verdict.checkpoint, ("XZZ",), "w", TERMS),
    ]


@pytest.mark.parametrize("chart", every_chart(), ids=lambda chart: chart.name)
def test_everything_lies_inside_the_drawing(chart: Chart) -> None:
    """No mark is cut off, on a wide screen or a narrow one."""
    for shape in chart.scene.shapes:
        match shape:
            case Bar():
                assert 0 <= shape.x0 <= shape.x1 <= 1
                assert 0 <= shape.y <= shape.y + shape.height <= chart.scene.height
            case Rule():
                assert all(0 <= x <= 1 for x in (shape.x0, shape.x1))
                assert all(0 <= y <= chart.scene.height for y in (shape.y0, shape.y1))
            case Label() | Mark():
                assert 0 <= shape.x <= 1
                assert 0 <= shape.y <= chart.scene.height


@pytest.mark.parametrize("chart", every_chart(), ids=lambda chart: chart.name)
def test_both_ways_to_draw_are_well_formed_and_have_colours(chart: Chart) -> None:
    """The page and the paper draw the same shapes, each with colours that exist."""
    fluid = fluid_svg(chart.scene, chart.name, chart.title, chart.description)
    root = ET.fromstring(str(fluid))
    assert [child.tag for child in root][:2] == ["title", "desc"]
    assert len(root) == len(chart.scene.shapes) + 2
    classes = {name for node in root.iter() for name in node.get("class", "").split()}
    assert all(f".{name}" in style_sheet() for name in classes if name[:2] in ("f-", "s-"))
    fixed = ET.fromstring(fixed_svg(chart.scene, 600, "Serif"))
    assert len(fixed) == len(chart.scene.shapes) + 1
    assert fixed.get("viewBox", "").startswith("0 0 600 ")


def test_words_in_a_drawing_are_escaped() -> None:
    """A state's name cannot end the drawing."""
    scene = Scene(10, (Label(0.5, 5, '</svg><script>"&'),))
    for drawing in (str(fluid_svg(scene, "n", "<t>", '"d"')), fixed_svg(scene, 100, "Serif")):
        assert "<script" not in drawing
        ET.fromstring(drawing)


def test_numbers_in_a_drawing_are_short_and_the_same_everywhere() -> None:
    """No seventeenth digit makes two machines' reports differ."""
    drawing = fixed_svg(Scene(10, (Bar(1 / 3, 2 / 3, 0.1 + 0.2, 1, "ok"), Rule(0, 0, 1, 1, "mid"))), 100, "S")
    assert 'x="33.33" y="0.3" width="33.33" height="1"' in drawing
    assert not re.search(r"\d\.\d{3}", drawing)


def test_places_keep_clear_of_the_edges() -> None:
    """Whatever lies outside is drawn at the edge."""
    assert 0 < at(-3) == at(0) < at(0.5) == 0.5 < at(1) == at(7) < 1


def test_a_length_of_time_lies_further_right_the_longer_it_is() -> None:
    """Both axes are monotone, from nothing to more than a week."""
    buckets = [Bucket(1000, 0), Bucket(60_000, 0), Bucket(HOUR_MS, 0), Bucket(None, 0)]
    times = [-5, 0, 1, 500, 1000, 1001, 30_000, 60_000, HOUR_MS, HOUR_MS + 1, 10**12]
    for places in ([in_buckets(time, buckets) for time in times], [on_axis(time) for time in times]):
        assert places == sorted(places)
        assert all(0 <= place <= 1 for place in places)
    assert in_buckets(1000, buckets) == pytest.approx(0.25)


def test_bars_are_as_long_as_the_shares_they_show() -> None:
    """The parts of a state's deliveries fill its bar exactly, in order."""
    states = page_of(good()).states.shown
    chart = outcomes(states, TERMS)
    tracks = [shape for shape in chart.scene.shapes if isinstance(shape, Bar) and shape.fill == "track"]
    parts = [shape for shape in chart.scene.shapes if isinstance(shape, Bar) and shape.fill != "track"]
    assert len(tracks) == len(states)
    for state, track in zip(states, tracks, strict=True):
        mine = [part for part in parts if part.y == track.y]
        assert mine[0].x0 == track.x0
        assert mine[-1].x1 == pytest.approx(track.x1, abs=0.01)
        share = (mine[0].x1 - mine[0].x0) / (track.x1 - track.x0)
        first = state.to_answer.count - state.got.late.count
        assert share == pytest.approx(first / state.got.deliveries.count, abs=0.01)


def test_heights_are_in_proportion_up_and_down() -> None:
    """Notices and answers share one scale, so the two can be compared."""
    periods = [Period(START_MS, 2, 6), Period(START_MS + HOUR_MS, 4, 0)]
    shapes = over_time(periods, HOUR_MS, TERMS).scene.shapes
    bars = [shape for shape in shapes if isinstance(shape, Bar)]
    up, down, most = bars[0], bars[1], bars[2]
    assert down.height == pytest.approx(3 * up.height)
    assert most.height == pytest.approx(2 * up.height)
    assert up.y + up.height == pytest.approx(down.y)


def test_marks_and_parts_differ_in_form_not_only_in_colour() -> None:
    """Whoever sees no colours can tell answers from silence."""
    answers = ("received", "opened", "accepted", "completed", "declined", "rejected", "due")
    assert len({MARK_OF[kind][0] for kind in answers}) == len(answers)
    assert all(MARK_OF[kind][0] in MARKS for kind in MARK_OF)
    assert len(set(PARTS.values())) == len(PARTS)
    solid = [fill for fill in PARTS.values() if fill in LIGHT]
    assert len(solid) == 2, "patterns tell the others apart"


def test_many_notices_are_drawn_as_far_as_eyes_can_follow() -> None:
    """A chart has a limit; the table below says what it leaves out."""
    notices = page_of(good(60)).notices.shown
    rules = [
        shape for shape in ways(notices, TERMS).scene.shapes if isinstance(shape, Rule) and not shape.dashed
    ]
    assert len(rules) == MAX_WAYS


def test_charts_of_nothing_are_drawn_too() -> None:
    """An empty ledger gives an empty chart, not an error."""
    verdict = good()
    assert verdict.checkpoint is not None
    alone = replace(verdict.checkpoint, witnesses=())
    for chart in (
        over_time((), 1000, TERMS),
        ways((), TERMS),
        latencies((), TERMS),
        outcomes((), TERMS),
        growth((), TERMS),
        growth((MilestoneView(0, 0),), TERMS),
        witnesses(alone, (), "w", TERMS),
    ):
        ET.fromstring(str(fluid_svg(chart.scene, chart.name, chart.title, chart.description)))


def test_what_a_chart_says_aloud_are_its_figures() -> None:
    """The description of a chart tells the numbers, not that there is a chart."""
    page = page_of(good())
    assert "median" in latencies(page.levels.shown, TERMS).description
    assert "XDD: 14 of 18 answered" in outcomes(page.states.shown, TERMS).description
    assert "2026" in over_time(page.periods, page.period_ms, TERMS).description
