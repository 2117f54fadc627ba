"""``almenara ack``: a named officer's signed answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from exchange.cli.client import notice_path
from exchange.cli.command import Command, Common, common
from exchange.cli.words import NearChoice
from exchange.node.requests import AnswerRequest
from exchange.node.views import AnswerView
from protocol.errors import BadRequest
from protocol.statement import DeclineReason

if TYPE_CHECKING:
    from rich.console import Console

_KINDS = {"accept": "accepted", "decline": "declined", "complete": "completed"}
_REASONS = tuple(reason.value for reason in DeclineReason)


@click.command(
    cls=Command,
    examples=(
        'almenara ack 3f2a9c1e accept --note "On it; call +000 555 0100"',
        "almenara ack 3f2a9c1e decline --reason not-affected",
        "almenara ack 3f2a9c1e complete",
    ),
)
@click.argument("id")
@click.argument("answer", type=NearChoice(tuple(_KINDS)), metavar="accept|decline|complete")
@click.option("--reason", type=NearChoice(_REASONS), help=f"Why you decline: {', '.join(_REASONS)}.")
@click.option("--note", help="Free text that only the notice's sender can read.")
@common
def ack(common: Common, id: str, answer: str, reason: str | None, note: str | None) -> None:
    """Answer a received notice in your own name.

    The answer is signed with your key and cannot be taken back, but a later one may follow it:
    decline after accepting, accept after declining, complete after accepting.
    """
    if answer == "decline" and reason is None:
        raise BadRequest(
            f"declining needs a reason, one of: {', '.join(_REASONS)}", hint="Repeat with --reason REASON."
        )
    if answer != "decline" and reason is not None:
        raise BadRequest("a reason goes with decline only", hint="Put anything else into --note.")
    fields = {"answer": _KINDS[answer], "reason": reason, "note": note}
    try:
        request = msgspec.convert(fields, AnswerRequest)
    except msgspec.ValidationError as error:
        raise BadRequest(f"the answer does not fit: {error}") from error
    view = common.node().ask("POST", notice_path(id, "/answer"), AnswerView, body=request)
    common.out.result(view, lambda console: _print_answer(console, view))


def _print_answer(console: Console, view: AnswerView) -> None:
    from exchange.cli.render import print_facts, when

    held = "the coordinator holds it" if view.recorded else "durable here; the coordinator gets it next"
    rows = [
        ("answer", f"{view.kind} by {view.officer}"),
        ("at", when(view.at_ms)),
        ("notice", view.id),
        ("statement", view.statement),
        ("recorded", held),
    ]
    print_facts(console, rows)
