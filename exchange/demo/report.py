"""What the audience sees: the story line by line, then who was told what, and when."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import msgspec
from rich.console import Console
from rich.text import Text

from exchange.cli.output import Output
from exchange.clock import Clock
from exchange.node.views import DeliveryView, NoticeView, SeverityView, StatusView
from exchange.safe import safe_line
from protocol.text import format_utc

WIDTH = 98
INDENT = 19
_ANSWERS = ("declined", "accepted", "completed")
_STYLES = {"accepted": "green", "declined": "yellow", "completed": "green"}


class Told(msgspec.Struct, frozen=True):
    """One line of the story: when, who, what."""

    at_ms: int
    who: str
    what: str
    details: tuple[str, ...]


class Detail(msgspec.Struct, frozen=True):
    """One notice at one recipient, as its sender can prove it."""

    notice: str
    kind: str
    refers_to: str | None
    subject: str
    tlp: str
    severity: str
    recipient: str
    severity_there: str | None
    state: str
    reached_ms: dict[str, int]
    code: str | None
    officer: str | None
    note: str | None


class Ledger(msgspec.Struct, frozen=True):
    """The ledger at the end, as XAA's node has verified it."""

    origin: str
    size: int
    root: str
    needed: int
    witnesses: tuple[str, ...]
    merge_delay_ms: int | None


class Audited(msgspec.Struct, frozen=True):
    """What the auditor's commands said: about the bundle, and about the bundle with one byte changed.

    ``folder`` is where bundle, report and receipt lie, or None if they were removed.
    """

    exit: int
    verdict: str
    leaves: int
    documents: int
    statements: int
    receipt_exit: int
    altered_leaf: int
    altered_exit: int
    altered_verdict: str
    altered_findings: tuple[str, ...]
    folder: str | None


class Summary(msgspec.Struct, frozen=True):
    """The outcome in numbers.

    ``answered`` counts deliveries to which a named officer gave an answer; ``tampered_refused``
    counts damaged copies that a node refused; ``readable_at_coordinator`` counts texts of the
    notices that a search of everything the coordinator keeps could find.
    """

    notices: int
    deliveries: int
    received: int
    answered: int
    tampered_refused: int
    readable_at_coordinator: int
    ledger: Ledger
    audit: Audited
    seconds: float
    folder: str | None
    details: tuple[Detail, ...]
    story: tuple[Told, ...]


class Teller:
    """Prints the story as it happens, unless only JSON is wanted; keeps it in any case.

    Args:
        out: The command's output.
        clock: When things happen.
    """

    def __init__(self, out: Output, clock: Clock) -> None:
        self._clock = clock
        self._console: Console | None = None if out.as_json else out.console()
        self.told: list[Told] = []

    def chapter(self, title: str) -> None:
        """Begin a part of the story."""
        self._print(Text(f"\n{title}", style="bold"))

    def say(self, who: str, what: str, *details: str, style: str = "", at: int | None = None) -> None:
        """Tell one thing that has just happened, or happened ``at`` milliseconds UTC."""
        told = Told(self._clock.now_ms() if at is None else at, who, what, details)
        self.told.append(told)
        first, *rest = _wrapped(what)
        self._print(
            Text.assemble((clock_time(told.at_ms), "dim"), "  ", (f"{who:<5}", "bold"), (first, style))
        )
        for line in (*rest, *(line for detail in details for line in _wrapped(detail))):
            self._print(Text(" " * INDENT + line, style=style if line in rest else ""))

    def table(self, statuses: Sequence[StatusView]) -> None:
        """Print each notice at each recipient with the time of each step."""
        head = ("notice", "to", "accepted", "relayed", "received", "opened", "answered")
        self._print(Text(_row(head), style="bold"))
        for status in statuses:
            for delivery in status.deliveries:
                answer = answer_of(delivery)
                line = Text(_row(_cells(status.notice, delivery)))
                if answer is not None:
                    line.append(f" {answer}", style=_STYLES[answer])
                self._print(line)

    def lines(self, *lines: str) -> None:
        """Print lines as they are."""
        for line in lines:
            self._print(Text(line))

    def _print(self, text: Text) -> None:
        if self._console is not None:
            # Lines are wrapped here already: a narrow terminal may break them, a pipe must not.
            self._console.print(text, soft_wrap=True)
            self._console.file.flush()


def answer_of(delivery: DeliveryView) -> str | None:
    """Return how an officer answered: the newest answer, or None."""
    answered = [name for name in _ANSWERS if name in delivery.reached_ms]
    return max(answered, key=lambda name: delivery.reached_ms[name], default=None)


def clock_time(millis: int) -> str:
    """Return the time of day, UTC, to the millisecond."""
    return format_utc(millis)[11:23]


def own_words(severity: SeverityView) -> str:
    """Return a level as its sender says it."""
    return f"{severity.name} [{severity.reference}]"


def local_words(severity: SeverityView) -> str:
    """Return a level as the reader's own schema would call it, which is advice only."""
    if severity.local is None:
        return f"no word of its own ({severity.note})"
    others = [code for code in severity.local_candidates if not severity.local.endswith(f":{code}")]
    doubt = f", possibly {' or '.join(others)}" if others else ""
    return f"{severity.local_name} [{severity.local}]{doubt}"


def detail_of(status: StatusView, delivery: DeliveryView, there: NoticeView | None) -> Detail:
    """Return one row of the result; ``there`` is the notice as its recipient sees it."""
    notice = status.notice
    return Detail(
        notice=notice.id,
        kind=notice.kind,
        refers_to=notice.refers_to,
        subject=notice.subject,
        tlp=notice.tlp,
        severity=notice.severity.reference,
        recipient=delivery.recipient,
        severity_there=None if there is None else there.severity.local,
        state=delivery.state,
        reached_ms={"accepted_by_node" if n == "queued" else n: t for n, t in delivery.reached_ms.items()},
        code=delivery.code,
        officer=delivery.officer,
        note=delivery.note,
    )


def _cells(notice: NoticeView, delivery: DeliveryView) -> tuple[str, ...]:
    answer = answer_of(delivery)
    steps = ("queued", "relayed", "received", "opened", *([answer] if answer else []))
    times = (clock_time(delivery.reached_ms[step]) if step in delivery.reached_ms else "-" for step in steps)
    return (f"{notice.kind} {notice.id[:6]}", delivery.recipient, *times)


def _row(cells: Sequence[str]) -> str:
    widths = (13, 3, 12, 12, 12, 12, 12)
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=False)).rstrip()


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(safe_line(text), WIDTH - INDENT, break_long_words=False, break_on_hyphens=False) or [
        ""
    ]
