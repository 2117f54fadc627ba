"""The colours of the report, by what they mean, for a light page, a dark page and paper.

Text colours have a contrast of at least 4.5:1 against every ground they stand on, fills and
lines that carry meaning 3:1 (WCAG 2.2, 1.4.3 and 1.4.11); a test computes both from the page.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

LIGHT: Mapping[str, str] = MappingProxyType(
    {
        "paper": "#faf8f4",
        "card": "#ffffff",
        "tint": "#f1ede5",
        "ink": "#1b2129",
        "soft": "#525b67",
        "line": "#dcd6ca",
        "axis": "#8a8f98",
        "ember": "#9a3a12",
        "link": "#7c3010",
        "ok": "#17623a",
        "ok-tint": "#e4f2e9",
        "bad": "#a0151d",
        "bad-tint": "#fbe7e6",
        "warn": "#735000",
        "warn-tint": "#f9eed3",
        "deep": "#2b4a6b",
        "mid": "#5d7f9f",
        "pale": "#7c8a9a",
        "track": "#e8e3d9",
    }
)
DARK: Mapping[str, str] = MappingProxyType(
    {
        "paper": "#12151a",
        "card": "#1a1f26",
        "tint": "#222932",
        "ink": "#ece8df",
        "soft": "#aeb5bf",
        "line": "#343c47",
        "axis": "#7a828e",
        "ember": "#f2a06c",
        "link": "#f5b084",
        "ok": "#84d6a6",
        "ok-tint": "#16301f",
        "bad": "#ff9f98",
        "bad-tint": "#3d1a1b",
        "warn": "#ebc46c",
        "warn-tint": "#33290f",
        "deep": "#9cc3ea",
        "mid": "#6f97c0",
        "pale": "#7d8793",
        "track": "#2a313b",
    }
)
TEXTS = ("ink", "soft", "ember", "link", "ok", "bad", "warn")
"""Colours that words have."""
GROUNDS = ("paper", "card", "tint")
"""Colours that any words may stand on."""
TINTED: tuple[tuple[str, str], ...] = (
    ("ok", "ok-tint"),
    ("bad", "bad-tint"),
    ("warn", "warn-tint"),
    ("ink", "ok-tint"),
)
TINTED += (("ink", "bad-tint"), ("ink", "warn-tint"))
"""Pairs of words and ground beyond that."""
FILLS = ("ember", "ok", "bad", "warn", "deep", "mid", "pale", "axis")
"""Colours of marks and bars that carry meaning."""


def variables(colours: Mapping[str, str]) -> str:
    """Return the colours as the custom properties of a style sheet."""
    return "".join(f"--{name}:{value};" for name, value in colours.items())


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours such as ``#1b2129``, from 1 to 21. Source: WCAG 2.2."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    channels = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    red, green, blue = (
        channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4 for channel in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
