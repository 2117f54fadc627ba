"""A drawing as a list of shapes, written as fluid SVG for a page or as fixed SVG for paper.

Across, a place is a share of the width between 0 and 1; down, it is a length in pixels. So a
chart grows with the window while its words keep their size, without a script. Colours are names
of classes: the page's style sheet gives them, and paper gets the light ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from markupsafe import Markup, escape

from exchange.audit.report.colours import LIGHT

_ON_PAPER = {**LIGHT, "late": "url(#late)", "silent": "url(#silent)", "broken": "url(#broken)"}
Anchor = Literal["start", "middle", "end"]
_EDGE = 0.012
"""How far the outermost places stay from the edges, so that no mark is cut."""

MARKS: Mapping[str, str] = MappingProxyType(
    {
        "disc": "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z",
        "ring": "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0zM-2.5 0a2.5 2.5 0 1 1 5 0a2.5 2.5 0 1 1 -5 0z",
        "diamond": "M0 -6.5L6.5 0L0 6.5L-6.5 0z",
        "cross": "M-5 -3.4L-3.4 -5L0 -1.6L3.4 -5L5 -3.4L1.6 0L5 3.4L3.4 5L0 1.6L-3.4 5L-5 3.4L-1.6 0z",
        "square": "M-4.6 -4.6H4.6V4.6H-4.6z",
        "triangle": "M0 -6L6 5H-6z",
        "bar": "M-1.2 -8H1.2V8H-1.2z",
    }
)
"""The outlines of the marks, about a point."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A filled box from one share of the width to another."""

    x0: float
    x1: float
    y: float
    height: float
    fill: str


@dataclass(frozen=True, slots=True)
class Rule:
    """A thin line; vertical if both ends lie at the same share."""

    x0: float
    y0: float
    x1: float
    y1: float
    stroke: str = "axis"
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Label:
    """A line of words; a minor one gives way on a narrow screen."""

    x: float
    y: float
    text: str
    fill: str = "soft"
    anchor: Anchor = "start"
    strong: bool = False
    minor: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """A small sign at a point: its form says what it is, its colour repeats it."""

    x: float
    y: float
    form: str
    fill: str


Shape = Bar | Rule | Label | Mark


@dataclass(frozen=True, slots=True)
class Scene:
    """A whole drawing.

    Args:
        height: In pixels.
        shapes: In the order in which they are drawn.
    """

    height: float
    shapes: tuple[Shape, ...]


def fluid_svg(scene: Scene, name: str, title: str, description: str) -> Markup:
    """Return the drawing as inline SVG that is as wide as its place.

    Args:
        scene: What to draw.
        name: A word for the ids inside, once on a page.
        title: What it shows, for those who hear the page.
        description: What there is to see in it, in a sentence.
    """
    inside = Markup("").join(_fluid(shape) for shape in scene.shapes)
    return Markup(
        '<svg class="chart" role="img" width="100%" height="{height}" aria-labelledby="{name}-t {name}-d">'
        '<title id="{name}-t">{title}</title><desc id="{name}-d">{description}</desc>{inside}</svg>'
    ).format(height=_n(scene.height), name=name, title=title, description=description, inside=inside)


def fixed_svg(scene: Scene, width: float, font: str) -> str:
    """Return the drawing as a file of its own, with the colours of paper.

    Args:
        scene: What to draw.
        width: In pixels.
        font: The family of its words.
    """
    inside = Markup("").join(_fixed(shape, width) for shape in scene.shapes)
    return str(
        Markup(
            '<svg xmlns="http://www.w3.org/2000/svg" width="{w}" height="{h}" viewBox="0 0 {w} {h}" '
            'font-family="{font}" font-size="12">{patterns}{inside}</svg>'
        ).format(patterns=_PATTERNS, w=_n(width), h=_n(scene.height), font=font, inside=inside)
    )


_PATTERNS = Markup(
    '<defs><pattern id="late" width="6" height="6" patternUnits="userSpaceOnUse" '
    'patternTransform="rotate(45)"><path d="M1.5 0V6" stroke-width="3" stroke="{late}"/></pattern>'
    '<pattern id="silent" width="4" height="4" patternUnits="userSpaceOnUse">'
    '<path d="M1 0V4" stroke-width="2" stroke="{silent}"/></pattern>'
    '<pattern id="broken" width="6" height="6" patternUnits="userSpaceOnUse">'
    '<path d="M0 0L6 6M6 0L0 6" stroke-width="1.5" stroke="{broken}"/></pattern></defs>'
).format(late=LIGHT["ok"], silent=LIGHT["ember"], broken=LIGHT["bad"])


def at(fraction: float) -> float:
    """Return a share between 0 and 1 as a place that keeps clear of the edges."""
    return _EDGE + min(max(fraction, 0.0), 1.0) * (1 - 2 * _EDGE)


def _n(value: float) -> str:
    """Return a number in few digits, the same on every machine."""
    return f"{value:.2f}".rstrip("0").rstrip(".") or "0"


def _p(share: float) -> str:
    return f"{_n(share * 100)}%"


def _fluid(shape: Shape) -> Markup:
    match shape:
        case Bar():
            return Markup('<rect class="f-{}" x="{}" y="{}" width="{}" height="{}"/>').format(
                shape.fill, _p(shape.x0), _n(shape.y), _p(max(shape.x1 - shape.x0, 0)), _n(shape.height)
            )
        case Rule():
            return Markup('<line class="s-{}{}" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(
                shape.stroke,
                " dash" if shape.dashed else "",
                *(_p(shape.x0), _n(shape.y0), _p(shape.x1), _n(shape.y1)),
            )
        case Label():
            return Markup('<text class="t-{}{}{}" x="{}" y="{}" text-anchor="{}">{}</text>').format(
                shape.fill,
                " strong" if shape.strong else "",
                " minor" if shape.minor else "",
                *(_p(shape.x), _n(shape.y), shape.anchor, shape.text),
            )
        case Mark():
            return Markup(
                '<svg class="mark" x="{}" y="{}" overflow="visible"><path class="f-{}" d="{}"/></svg>'
            ).format(_p(shape.x), _n(shape.y), shape.fill, MARKS[shape.form])


def _fixed(shape: Shape, width: float) -> Markup:
    match shape:
        case Bar():
            across = max(shape.x1 - shape.x0, 0) * width
            return Markup('<rect fill="{}" x="{}" y="{}" width="{}" height="{}"/>').format(
                _ON_PAPER[shape.fill], _n(shape.x0 * width), _n(shape.y), _n(across), _n(shape.height)
            )
        case Rule():
            return Markup('<line stroke="{}" stroke-width="1"{} x1="{}" y1="{}" x2="{}" y2="{}"/>').format(
                _ON_PAPER[shape.stroke],
                Markup(' stroke-dasharray="3 3"') if shape.dashed else "",
                *(_n(shape.x0 * width), _n(shape.y0), _n(shape.x1 * width), _n(shape.y1)),
            )
        case Label():
            return Markup('<text fill="{}" x="{}" y="{}" text-anchor="{}"{}>{}</text>').format(
                *(_ON_PAPER[shape.fill], _n(shape.x * width), _n(shape.y), shape.anchor),
                Markup(' font-weight="bold"') if shape.strong else "",
                escape(shape.text),
            )
        case Mark():
            return Markup('<path fill="{}" transform="translate({} {})" d="{}"/>').format(
                _ON_PAPER[shape.fill], _n(shape.x * width), _n(shape.y), MARKS[shape.form]
            )
