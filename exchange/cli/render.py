"""Views as text for people: never colour alone, never more than a terminal shows, both clocks.

Every text that came from elsewhere passes :mod:`exchange.safe` here, and a notice's own text
stands behind a bar, so that it cannot pretend to be this program.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from exchange.node.views import (
    AttemptView,
    ContentView,
    DeliveryView,
    NoticeView,
    SeverityView,
    WaitingView,
)
from exchange.safe import safe_block, safe_line
from protocol.errors import FormatError
from protocol.marking import BACKGROUND, EXERCISE_MARK, parse_tlp

SHORT_ID = 12
_BAR = "│ "
_UNBOUNDED = 100_000
_MATRIX = ("queued", "relayed", "received", "opened")
_ENDS = ("completed", "accepted", "declined", "rejected", "refused", "undelivered")


def when(millis: int | None) -> str:
    """Return a time in UTC and, where the machine's zone is another, in local time too."""
    if millis is None:
        return "-"
    moment = datetime.fromtimestamp(millis / 1000, UTC)
    shown = f"{moment:%Y-%m-%d %H:%M:%S}Z"
    try:
        local = moment.astimezone()
    except (OverflowError, OSError, ValueError):
        # Others choose some of these times: one at the end of the year 9999 must not hide a list.
        return shown
    if local.utcoffset() == moment.utcoffset():
        return shown
    day = "" if local.date() == moment.date() else f"{local:%Y-%m-%d} "
    return f"{shown} ({day}{local:%H:%M} here)"


def tlp_badge(tlp: str) -> Text:
    """Return the TLP label, in FIRST's colours on black where there is colour."""
    try:
        label = parse_tlp(tlp)
    except FormatError:
        return Text(safe_line(tlp))
    return Text(label.label, style=f"bold {label.colour} on {BACKGROUND}")


def severity_line(severity: SeverityView) -> str:
    """Return the sender's level first, then what the reader would call it, always as advice."""
    level = severity.reference.rpartition(":")[2]
    schema = severity.reference.rpartition(":")[0]
    name = "" if severity.name.lower() == level else f" {severity.name}"
    point = "no reference point" if severity.point is None else f"reference point {severity.point} of 5"
    parts = [f"{level}{name} ({schema})"]
    translated = severity.local is not None and severity.local != severity.reference
    if severity.local is not None and translated:
        local_schema, _, local_level = severity.local.rpartition(":")
        named = f" {severity.local_name}" if severity.local_name else ""
        parts.append(f" ≈ {local_level}{named}" + (f" ({local_schema})" if local_schema else ""))
        others = [one.rpartition(":")[2] for one in severity.local_candidates]
        doubt = " or ".join(one for one in others if one != local_level)
        parts.append(f", possibly {doubt}" * bool(doubt))
    ending = (severity.note or "advisory" * translated) if translated or severity.local is None else ""
    return safe_line("".join(parts) + f", {point}" + (f"; {ending}" if ending else ""))


def print_notices(console: Console, notices: Sequence[NoticeView], empty: str) -> None:
    """Print a list: three short lines for each notice, which fit 80 columns."""
    if not notices:
        console.print(Text(empty))
    for notice in notices:
        _print_heading(console, notice)
        _line(console, severity_line(notice.severity))
        _line(console, when(notice.received_ms or notice.created_ms), style="dim")
        if notice.respond_by_ms is not None:
            _line(console, f"response expected by {when(notice.respond_by_ms)}", style="dim")


def _print_heading(console: Console, notice: NoticeView) -> None:
    if notice.exercise:
        console.print(Text(EXERCISE_MARK["en"], style="bold reverse"))
    line = Text(f"{notice.id[:SHORT_ID]}  ", style="bold")
    line.append_text(tlp_badge(notice.tlp))
    to = ",".join(notice.recipients[:6]) + (
        f" +{len(notice.recipients) - 6}" if notice.recipients[6:] else ""
    )
    line.append(f"  {safe_line(notice.sender)} → {safe_line(to)}  {notice.kind}  ")
    line.append("UNREAD" if notice.unread else notice.state, style="bold" if notice.unread else "")
    console.print(line)
    files = f"  [{notice.attachments} attached]" if notice.attachments else ""
    _line(console, f"{safe_line(notice.subject)}{files}", style="bold" if notice.unread else "")


def print_content(console: Console, content: ContentView) -> None:
    """Print a notice with its text behind a bar, and its attachments by name, type and hash."""
    notice = content.notice
    _print_heading(console, notice)
    rows = [
        ("severity", severity_line(notice.severity)),
        ("sent", when(notice.created_ms)),
        ("received", when(notice.received_ms)),
        ("valid until", when(notice.expires_ms)),
        ("response by", when(notice.respond_by_ms)),
        ("verified", f"signed by {content.signed_by}"),
        ("id", notice.id),
        ("incident", notice.incident),
        ("refers to", notice.refers_to or "-"),
        ("opened by", content.opened_by or "-"),
    ]
    print_facts(console, [row for row in rows if row[1] != "-"])
    console.print()
    for line in safe_block(content.text).rstrip("\n").split("\n"):
        _print_barred(console, line)
    if content.attachments:
        console.print()
    for file in content.attachments:
        console.print("attached:")
        _line(console, f"{safe_line(file.name)}  {safe_line(file.media_type)}  {file.bytes} bytes")
        _line(console, f"sha256 {safe_line(file.sha256)}", style="dim")
    if content.deliveries:
        console.print()
        print_matrix(console, content.deliveries)


def _print_barred(console: Console, line: str) -> None:
    width = max(console.width - len(_BAR), 20)
    for part in Text(line).wrap(console, width, overflow="fold") or [Text()]:
        console.print(Text(_BAR, style="dim").append_text(Text(part.plain.rstrip())), soft_wrap=True)


def print_matrix(console: Console, deliveries: Sequence[DeliveryView]) -> None:
    """Print recipients × milestones with the time of each, and what was said."""
    rows = [
        (delivery.recipient, *(_stamp(delivery.reached_ms.get(one)) for one in _MATRIX), _answer(delivery))
        for delivery in deliveries
    ]
    print_table(console, ("to", *_MATRIX, "answer"), rows)
    for delivery in deliveries:
        for said in _remarks(delivery):
            _line(console, f"{safe_line(delivery.recipient)}: {said}")


def _stamp(millis: int | None) -> str:
    # Two short words, so that five columns of times fold into 80 characters.
    return "-" if millis is None else f"{datetime.fromtimestamp(millis / 1000, UTC):%Y-%m-%d %H:%M:%SZ}"


def _answer(delivery: DeliveryView) -> str:
    if delivery.state not in _ENDS:
        return "-"
    at = delivery.reached_ms.get(delivery.state, delivery.since_ms)
    return f"{delivery.state} {_stamp(at)}"


def _remarks(delivery: DeliveryView) -> Iterable[str]:
    if delivery.waiting is None and (
        delivery.state in _ENDS or delivery.code is not None or delivery.note is not None
    ):
        reason = f" ({safe_line(delivery.code)})" if delivery.code else ""
        officer = f" by {safe_line(delivery.officer)}" if delivery.officer else ""
        yield f"{delivery.state}{reason}{officer}, {when(delivery.since_ms)}"
    if delivery.waiting is not None:
        yield waiting_line(delivery.waiting)
    if delivery.attempts:
        yield f"envelopes: {'; '.join(map(_attempt_line, delivery.attempts))}"
    if delivery.note:
        yield f"note: {safe_line(delivery.note)}"
    if delivery.evidence:
        yield _proved(delivery.evidence)
    if delivery.reduced_forward_secrecy:
        yield "sealed with reduced forward secrecy: that state has published no fresh key"


def waiting_line(waiting: WaitingView) -> str:
    """Return why a recipient waits for a key, whose turn it is and what to do."""
    return (
        f"waiting for a key of {safe_line(waiting.state)} since {when(waiting.since_ms)}, because "
        f"{safe_line(waiting.reason)}. Owner: {safe_line(waiting.owner)}. {safe_line(waiting.next)}"
    )


def _attempt_line(attempt: AttemptView) -> str:
    code = f" ({safe_line(attempt.code)})" if attempt.code else ""
    return f"{safe_line(attempt.envelope)[:SHORT_ID]} {attempt.state}{code} {_stamp(attempt.since_ms)}"


def _proved(evidence: Mapping[str, str]) -> str:
    """Return what is witnessed, with its leaves, and what is not yet, in the order of what happened."""
    groups: dict[str, list[str]] = {}
    for what, how in evidence.items():
        status, _, leaf = safe_line(how).partition(", ")
        groups.setdefault(status, []).append(f"{safe_line(what)} ({leaf})" if leaf else safe_line(what))
    return "; ".join(f"{status}: {', '.join(whats)}" for status, whats in groups.items())


def print_facts(console: Console, rows: Iterable[tuple[str, str]]) -> None:
    """Print names and values in two columns; long values fold under themselves."""
    table = Table(box=None, show_header=False, padding=(0, 1), pad_edge=False)
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, Text(safe_line(value)))
    console.print(table)


def print_table(console: Console, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table whose cells fold; where that would break words, each row as names and values."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(safe_line(cell)) for cell in row))
    if Measurement.get(console, console.options.update(max_width=_UNBOUNDED), table).minimum <= console.width:
        console.print(table)
        return
    for row in rows:
        console.print()
        print_facts(console, [pair for pair in zip(columns, row, strict=True) if pair[1] != "-"])
    console.print()


def _line(console: Console, text: str, style: str = "") -> None:
    # Indented when it folds, too: only this program writes in the first column.
    folded = Text(text, style=style, overflow="fold")
    console.print(Padding(folded, (0, 0, 0, 2), expand=False))
