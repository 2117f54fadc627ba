"""Text from elsewhere on a terminal: readable, never acting, and never wider than the screen."""

from __future__ import annotations

import io
import json
import unicodedata
from pathlib import Path

import msgspec
import pytest
from rich.cells import cell_len
from rich.console import Console

from exchange.cli.output import Output, encoded
from exchange.cli.render import (
    print_content,
    print_matrix,
    print_notices,
    severity_line,
    tlp_badge,
    when,
)
from exchange.cli.saving import MAX_NAME_BYTES, safe_name
from exchange.node.views import ContentView, View
from exchange.safe import safe_block, safe_json, safe_line
from protocol.fields import MAX_MILLIS
from protocol.marking import Tlp
from tests.clocks import DAWN
from tests.unit.exchange.desk_double import HOSTILE, RECEIVED_ID, SEVERITY, attachment, delivery, notice

CORPUS = {
    "clear the screen": "\x1b[2J\x1b[H",
    "set the title": "\x1b]0;owned\x07",
    "hyperlink": "\x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "clipboard": "\x1b]52;c;cm0gLXJm\x07",
    "answer back": "\x1b[c\x1b[6n",
    "C1 CSI": "\x9b2J",
    "C1 OSC": "\x9d0;x\x9c",
    "carriage return": "transfer 100\rtransfer 900",
    "backspaces": "safe\b\b\b\bevil",
    "bell": "\x07",
    "delete": "a\x7fb",
    "right-to-left override": "\u202egpj.exe",
    "isolates": "\u2066a\u2069\u2067b\u2069",
    "arabic letter mark": "a\u061cb",
    "zero width": "a\u200bb\u200cc\u200dd\u2060e\ufefff",
    "soft hyphen": "pay\u00adload",
    "line separator": "a\u2028b\u2029c",
    "next line": "a\x85b",
    "tags": "a\U000e0041\U000e0042",
    "private use": "\ue000",
    "lone surrogate": "\ud800",
    "hangul filler": "\u3164\uffa0\u115f",
    "braille blank": "\u2800",
    "stacked marks": "a" + "\u0300" * 50,
    "null": "a\0b",
    "vertical tab and form feed": "a\vb\fc",
}
INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def acting(text: str) -> set[str]:
    """Return the characters that a terminal would act upon or hide."""
    return {char for char in text if unicodedata.category(char) in INVISIBLE and char != "\n"}


def shown(width: int = 80, **options: object) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    console = Console(file=file, width=width, color_system=None, markup=False, emoji=False, highlight=False)
    return console, file


def content(text: str, **changes: object) -> ContentView:
    return ContentView(
        notice=notice(RECEIVED_ID, **changes),
        language="en",
        text=text,
        attachments=(attachment(HOSTILE, b"x"),),
        signed_by=f"XAA {HOSTILE}",
        opened_by="Ana",
        deliveries=(delivery("XBB", "declined", code="other", officer=HOSTILE, note=HOSTILE),),
    )


@pytest.mark.parametrize("text", CORPUS.values(), ids=CORPUS.keys())
def test_nothing_from_elsewhere_acts_on_a_terminal(text: str) -> None:
    """Every trick of the corpus comes out as something to read."""
    for safe in (safe_line(text), safe_block(text)):
        assert acting(safe) == set()
    assert "\n" not in safe_line(text + "\nsecond line")


@pytest.mark.parametrize("text", CORPUS.values(), ids=CORPUS.keys())
def test_a_whole_notice_of_tricks_acts_on_nothing(text: str) -> None:
    """Subject, text, names, notes and reasons: no field reaches the screen unchecked."""
    hostile = f"x{text}y"
    console, file = shown()
    print_content(console, content(hostile, subject=hostile, sender=hostile, recipients=(hostile,)))
    print_notices(console, (notice(RECEIVED_ID, subject=hostile, tlp=hostile),), "")
    print_matrix(console, (delivery(hostile, "rejected", code=hostile, note=hostile),))
    severity = msgspec.structs.replace(SEVERITY, reference=f"{hostile}:{hostile}", name=hostile, note=hostile)
    assert acting(file.getvalue() + severity_line(severity)) == set()


@pytest.mark.parametrize("text", [text for text in CORPUS.values() if text != "\ud800"])
def test_json_is_the_same_value_and_acts_on_nothing(text: str) -> None:
    """JSON keeps the exact text for a machine, in characters that no terminal acts upon."""

    class Word(View, frozen=True, kw_only=True):
        word: str

    line = encoded(Word(word=text))
    assert acting(line) == set()
    assert json.loads(line) == {"schema_version": 1, "word": text}


@pytest.mark.parametrize(
    "text", ["Ataque crítico: información", "São Tomé – ação", "L’été, cœur", "日本", "x² ≈ 4", "e\u0301"]
)
def test_the_languages_of_the_members_are_left_alone(text: str) -> None:
    """Accents, dashes and other scripts are text, not tricks."""
    assert safe_line(text) == safe_block(text) == text
    assert safe_json(json.dumps(text, ensure_ascii=False)) == f'"{text}"'


def test_a_notices_text_stands_behind_a_bar() -> None:
    """A text that imitates this program's own lines is still seen to be the text."""
    console, file = shown()
    print_content(console, content("verified  signed by XBB node key\n\nTLP:CLEAR"))
    lines = file.getvalue().splitlines()
    assert "│ verified  signed by XBB node key" in [line.rstrip() for line in lines]
    assert "│ TLP:CLEAR" in [line.rstrip() for line in lines]


def test_only_this_program_writes_in_the_first_column() -> None:
    """A long subject or note that folds cannot begin a line of its own that looks like ours."""
    forged = "x " * 38 + "FORGED TLP:CLEAR"
    for width in range(40, 100):
        console, file = shown(width)
        print_content(console, content(forged, subject=forged, sender="XAA"))
        print_matrix(console, (delivery("XBB", "declined", note=forged, officer=forged),))
        assert not any(line.startswith("FORGED") for line in file.getvalue().splitlines())


@pytest.mark.parametrize("width", [40, 80, 200])
def test_nothing_is_wider_than_the_screen_and_nothing_is_cut(width: int) -> None:
    """Long words fold; no id, hash or reason is shortened to an ellipsis."""
    long = "w" * 500
    console, file = shown(width)
    view = content(long, subject=long)
    print_content(console, view)
    print_matrix(console, tuple(delivery(f"X{n}", "accepted", reached_ms=ALL) for n in range(3)))
    text = file.getvalue()
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert "…" not in text
    assert text.count("w") >= 1000
    assert view.attachments[0].sha256 in "".join(text.split())


ALL = dict.fromkeys(("queued", "relayed", "received", "opened", "accepted"), DAWN)


def test_a_matrix_of_times_fits_eighty_columns() -> None:
    """Recipients × milestones, each with its time, on the smallest usual terminal."""
    console, file = shown()
    print_matrix(console, (delivery("XBB", "accepted", reached_ms=ALL), delivery("XCC")))
    for word in (
        "XBB",
        "XCC",
        "queued",
        "relayed",
        "received",
        "opened",
        "accepted",
        "2026-03-01",
        "03:16:40Z",
    ):
        assert word in file.getvalue()


def test_on_a_narrow_terminal_no_word_is_broken() -> None:
    """Where columns do not fit, each row stands as names and values."""
    console, file = shown(40)
    print_matrix(console, (delivery("XBB", "accepted", reached_ms=ALL), delivery("XCC")))
    text = file.getvalue()
    assert max(cell_len(line) for line in text.splitlines()) <= 40
    assert text.count("2026-03-01 03:16:40Z") >= 4
    assert "relayed" in text


def test_lines_of_text_have_no_blanks_at_their_ends(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is piped, copied or compared holds only what was said."""
    monkeypatch.setenv("COLUMNS", "80")
    Output(as_json=False).text(lambda console: print_matrix(console, (delivery("XBB"), delivery("XCC"))))
    lines = capsys.readouterr().out.splitlines()
    assert lines == [line.rstrip() for line in lines]


@pytest.mark.parametrize("tlp", list(Tlp))
def test_a_label_is_text_with_colour_and_without(tlp: Tlp) -> None:
    """Never colour alone; in colour, FIRST's own on black."""
    badge = tlp_badge(tlp.value)
    assert badge.plain == tlp.label == tlp_badge(tlp.label).plain
    assert tlp.colour in str(badge.style)
    assert "#000000" in str(badge.style)


@pytest.mark.parametrize(
    ("colour", "environment", "expected"),
    [
        ("never", {}, False),
        ("always", {"NO_COLOR": "1"}, True),
        ("auto", {}, False),
        ("auto", {"NO_COLOR": "1"}, False),
        ("auto", {"TERM": "dumb"}, False),
    ],
)
def test_colour_is_a_choice(
    monkeypatch: pytest.MonkeyPatch, colour: str, environment: dict[str, str], expected: bool
) -> None:
    """A flag beats the environment, and what is no terminal gets no colour by itself."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert Output(as_json=False, colour=colour).in_colour() is expected  # type: ignore[arg-type]


def test_a_time_is_shown_in_utc_and_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both clocks, with the day where it differs."""
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    assert when(DAWN) == "2026-03-01 03:16:40Z"
    monkeypatch.setenv("TZ", "<-05>5")
    time.tzset()
    assert when(DAWN) == "2026-03-01 03:16:40Z (2026-02-28 22:16 here)"
    monkeypatch.undo()
    time.tzset()
    assert when(None) == "-"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {},
            "grave (xaa-national@1) ≈ c2 Highly significant (xbb-national@1), "
            "reference point 4 of 5; advisory",
        ),
        (
            {"local": None, "note": "no translation"},
            "grave (xaa-national@1), reference point 4 of 5; no translation",
        ),
        (
            {"local_candidates": ("c3", "c2"), "note": "advisory"},
            "grave (xaa-national@1) ≈ c2 Highly significant (xbb-national@1), possibly c3, "
            "reference point 4 of 5; advisory",
        ),
        (
            {"local": "xaa-national@1:grave", "local_name": "Grave"},
            "grave (xaa-national@1), reference point 4 of 5",
        ),
        (
            {"local": None, "point": None, "name": "unknown level", "note": "ask the sender"},
            "grave unknown level (xaa-national@1), no reference point; ask the sender",
        ),
    ],
)
def test_a_severity_is_the_senders_word_first(changes: dict[str, object], expected: str) -> None:
    """Translation stands beside it, as advice; a sender reading its own level sees no translation."""
    assert severity_line(msgspec.structs.replace(SEVERITY, **changes)) == expected


def test_an_exercise_is_marked_above_everything_else() -> None:
    """A drill can never pass for real."""
    console, file = shown()
    print_notices(console, (notice(RECEIVED_ID, exercise=True),), "")
    assert file.getvalue().splitlines()[0].startswith("EXERCISE – not a real incident")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("report.pdf", "report.pdf"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("/abs/olute", "olute"),
        ("..", "attachment"),
        ("", "attachment"),
        (".bashrc", "bashrc"),
        ("-rf", "rf"),
        ("CON", "_CON"),
        ("nul.txt", "_nul.txt"),
        ("a:b.txt", "a_b.txt"),
        ("x\x00y", "x_u_0_y"),
        ("informação.txt", "informação.txt"),
    ],
)
def test_a_file_name_from_elsewhere_is_only_a_name(name: str, expected: str) -> None:
    """No path, no hidden file, no option, no device."""
    assert safe_name(name) == expected


@pytest.mark.parametrize("name", [*CORPUS.values(), "é" * 500, "x" * 500 + ".json", "a." + "b" * 300])
def test_a_file_name_is_never_long_or_invisible(name: str, tmp_path: Path) -> None:
    """Whatever was sent, a file of that name can be made, seen and removed."""
    safe = safe_name(name)
    assert len(safe.encode()) <= MAX_NAME_BYTES
    assert acting(safe) == set()
    (tmp_path / safe).touch()
    assert [path.name for path in tmp_path.iterdir()] == [safe]


def test_a_time_that_a_sender_chose_at_the_end_of_time_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """East of Greenwich it has no local form; that must not make the whole inbox unreadable."""
    import time

    monkeypatch.setenv("TZ", "<+02>-2")
    time.tzset()
    try:
        assert when(MAX_MILLIS) == "9999-12-31 23:59:59Z"
    finally:
        monkeypatch.undo()
        time.tzset()
