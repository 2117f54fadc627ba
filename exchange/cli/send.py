"""``almenara send``: one notice to some states, with one id that survives every failure."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Any

import click
import msgspec

from exchange.api.problems import REPEATABLE
from exchange.cli.client import RequestTrace
from exchange.cli.command import Command, Common, common
from exchange.cli.exits import Exit
from exchange.cli.pending import PendingRequest, new_request_id, pending_folder
from exchange.cli.waiting import MILESTONES, exit_after, failed, missing, wait_for
from exchange.cli.words import LengthOfTime, NearChoice, Parsed, language, states, subject
from exchange.clock import SystemClock
from exchange.node.milestones import Milestone
from exchange.node.requests import SubmitRequest
from exchange.node.views import StatusView, SubmittedView
from protocol.errors import AlmenaraError, BadRequest, OutcomeUnknown, StoreFailed, Unreachable
from protocol.marking import Tlp, parse_tlp
from protocol.reference import Reference, format_reference, parse_reference
from protocol.urgency import MINUTE_MS

if TYPE_CHECKING:
    from rich.console import Console

    from exchange.cli.client import NodeClient

MANY = 10
SEALED_LATER = (
    "whoever waits gets it in an envelope of its own: under another id than this one, which its people see, "
    "and "
    "with a time to answer that begins then; almenara status shows both"
)
_WEEK_MS = 7 * 24 * 60 * MINUTE_MS
_UNSETTLED = (OutcomeUnknown, StoreFailed, Unreachable)
_KINDS = ("report", "update", "request", "response", "retraction", "closure", "check")
_LIFE = LengthOfTime(MINUTE_MS, _WEEK_MS)


@click.command(
    cls=Command,
    examples=(
        'almenara send --to XBB,XCC --severity xaa-national@1:grave --tlp amber --subject "Wiper" report.md',
        'almenara send -t XBB --severity xaa-national:grave -s "Update" --kind update --refers-to 3f2a9c1e -',
        "almenara send … --attach bundle.json --wait received --timeout 120 --json",
        "almenara send … --wait-for-keys      # who has no usable key gets it once there is one",
        "almenara send … --dry-run            # who could read it; sends nothing",
    ),
)
@click.argument("report")
@click.option(
    "-t", "--to", "recipients", multiple=True, required=True, metavar="STATES", help="Such as XBB,XCC."
)
@click.option(
    "--severity", required=True, type=Parsed("level", parse_reference), help="schema@version:level."
)
@click.option(
    "--tlp", default="amber", show_default=True, type=Parsed("label", parse_tlp), help="TLP 2.0 label."
)
@click.option(
    "-s", "--subject", required=True, type=Parsed("text", subject), help="One line; sealed like the text."
)
@click.option(
    "-a", "--attach", "attach", multiple=True, metavar="FILE", help="Attach a file; may be repeated."
)
@click.option("--kind", type=NearChoice(_KINDS), default="report", show_default=True, help="What it is.")
@click.option("--refers-to", metavar="ID", help="The notice that this one speaks of; the beginning will do.")
@click.option("--exercise", is_flag=True, help="Mark it so that it can never pass for real.")
@click.option(
    "--lang",
    default="en",
    show_default=True,
    type=Parsed("code", language),
    help="The language of the text, such as pt-BR.",
)
@click.option("--partial", is_flag=True, help="Leave out states without a usable key, and say so.")
@click.option(
    "--wait-for-keys", is_flag=True, help="Let states without a usable key wait; they get it by themselves."
)
@click.option("--life", type=_LIFE, help="Deliver it only for so long, such as 24h; at most 7d.")
@click.option("--respond-within", type=_LIFE, help="When an answer is expected, such as 4h.")
@click.option("--id", "request_id", metavar="REQUEST_ID", help="Repeat an earlier try under its own id.")
@click.option("--wait", "milestone", type=NearChoice(MILESTONES), help="Wait until all have got so far.")
@click.option(
    "--timeout", default=60.0, show_default=True, type=click.FloatRange(min=0), help="Seconds to wait."
)
@click.option("--dry-run", is_flag=True, help="Show who could read it; send nothing.")
@click.option("--yes", is_flag=True, help="Do not ask, for scripts.")
@common
def send(
    common: Common,
    milestone: Milestone | None,
    timeout: float,
    request_id: str | None,
    dry_run: bool,
    yes: bool,
    **draft: Any,
) -> int:
    """Send the notice in REPORT (a text file, or - for standard input).

    It is accepted when this ends with exit code 0 or 6: the node holds it durably and sends it by
    itself until every recipient has it, or --life is over. A state without a usable key makes it fail
    before anything is sealed, unless you choose --partial or --wait-for-keys. Repeating a command whose
    outcome is unknown is always safe.
    """
    request = _draft(**draft)
    if request_id is not None and REPEATABLE.fullmatch(request_id) is None:
        raise BadRequest("--id is not 8 to 64 letters, digits, '-' and '_'")
    node = common.node()
    if dry_run:
        from exchange.cli.rehearsing import rehearse

        return rehearse(common, node, request)
    _confirm(common, request, yes=yes)
    submitted = _submit(common, node, request, request_id)
    if milestone is None:
        common.out.result(submitted, lambda console: _print_submitted(console, submitted))
        return Exit.NOT_YET if submitted.waiting else Exit.OK
    if not common.out.as_json:
        common.out.text(lambda console: _print_submitted(console, submitted))
    status = wait_for(node, submitted.id, milestone, timeout, SystemClock())
    return _tell(common, submitted, status, milestone)


def _draft(
    *,
    report: str,
    recipients: tuple[str, ...],
    severity: Reference,
    tlp: Tlp,
    attach: tuple[str, ...],
    lang: str,
    life: int | None,
    respond_within: int | None,
    **same: Any,
) -> SubmitRequest:
    from exchange.cli.drafting import read_attachments, read_report

    fields = {
        "to": states(recipients),
        "severity": format_reference(severity),
        "text": read_report(report),
        "tlp": tlp.value,
        "language": lang,
        "attachments": read_attachments(attach),
        "life_ms": life,
        "respond_within_ms": respond_within,
    }
    try:
        return msgspec.convert(same | fields, SubmitRequest, from_attributes=True)
    except msgspec.ValidationError as error:
        raise BadRequest(f"the notice does not fit: {error}") from error


def _confirm(common: Common, request: SubmitRequest, *, yes: bool) -> None:
    """Ask before what is hard to take back: the strictest label, or very many recipients."""
    count = len(request.to)
    if yes or (request.tlp != Tlp.RED and count <= MANY):
        return
    what = f"{parse_tlp(request.tlp).label} to {count} recipient{'s' * (count > 1)}: {', '.join(request.to)}"
    if not common.may_ask:
        raise BadRequest(
            f"sending {what} needs a confirmation, and there is nobody to ask",
            hint="Check the recipients with --dry-run, then repeat with --yes.",
        )
    typed = click.prompt(f"About to send {what}.\nType the number of recipients to go on", err=True)
    if str(typed).strip() != str(count):
        raise BadRequest("not confirmed; nothing was sent", hint=f"To send it, type {count} when asked.")


def _submit(
    common: Common, node: NodeClient, request: SubmitRequest, request_id: str | None
) -> SubmittedView:
    pending = None
    if request_id is None:
        pending = PendingRequest(pending_folder(), msgspec.json.encode(request))
        try:
            request_id = pending.claim(SystemClock().now_ms())
        except OSError as error:
            request_id = new_request_id()
            common.out.message(
                f"almenara: the request id is not kept on disk ({error.strerror}): {request_id}"
            )
    try:
        view = node.ask("POST", "/v1/notices", SubmittedView, body=request, request_id=request_id)
    except _UNSETTLED as error:
        start = f"{error.hint} Then r" if isinstance(error, Unreachable) else "R"
        error.hint = f"{start}epeat it; it cannot be sent twice: {_again(request_id)}"
        error.__cause__ = RequestTrace(request_id, error.code)
        raise
    except AlmenaraError:
        if pending is not None:
            pending.settle()
        raise
    if pending is not None:
        pending.settle()
    return view


def _again(request_id: str) -> str:
    """Return the command line that repeats this one under the same id."""
    words = [word for word in sys.argv[1:] if not word.startswith("--id=")]
    if "--id" in words:
        place = words.index("--id")
        del words[place : place + 2]
    return shlex.join(["almenara", *words, "--id", request_id])


def _print_submitted(console: Console, view: SubmittedView) -> None:
    from rich.text import Text

    from exchange.cli.render import print_facts, severity_line, when

    said = "accepted, and on its way"
    if view.exists:
        said = "already accepted, nothing was sent again"
    elif len(view.waiting) == len(view.recipients):
        said = "accepted, and kept until there is a key; nothing was sent yet"
    console.print(Text(said, style="bold"))
    rows = [
        ("id", view.id),
        ("to", ", ".join(view.recipients)),
        *((f"waits for {one.state}", f"{one.reason}. {one.next}") for one in view.waiting),
        *(("left out", f"{skipped.state}: {skipped.reason} [{skipped.code}]") for skipped in view.skipped),
        ("severity", severity_line(view.severity)),
        ("response by", when(view.respond_by_ms)),
        ("request", view.request_id),
    ]
    if view.waiting:
        rows.append(("note", SEALED_LATER))
    if view.reduced_forward_secrecy:
        rows.append(("warning", f"reduced forward secrecy for {', '.join(view.reduced_forward_secrecy)}"))
    print_facts(console, [row for row in rows if row[1] != "-"])


def _tell(common: Common, submitted: SubmittedView, status: StatusView, milestone: Milestone) -> int:
    from exchange.cli.render import print_matrix

    late, lost = missing(status.deliveries, milestone), failed(status.deliveries)
    fields: dict[str, Any] = msgspec.to_builtins(submitted)
    waited = {"milestone": milestone, "reached": not late and not lost, "missing": late, "failed": lost}
    common.out.result(
        fields | {"waited": waited, "deliveries": status.deliveries},
        lambda console: print_matrix(console, status.deliveries),
    )
    if lost:
        common.out.message(f"almenara: not delivered to {', '.join(lost)}; tell them by other means.")
    if late:
        common.out.message(
            f"almenara: accepted, but not yet {milestone} by {', '.join(late)}. The node goes on by itself.\n"
            f"  next: almenara status {submitted.id[:12]}{common.again}"
        )
    return exit_after(status.deliveries, milestone)
