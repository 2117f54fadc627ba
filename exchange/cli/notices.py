"""``almenara inbox``, ``outbox`` and ``show``: lists, and one notice read by a named officer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from exchange.api.routes import Notices
from exchange.cli.client import notice_path
from exchange.cli.command import Command, Common, common
from exchange.node.views import ContentView, NoticeView

if TYPE_CHECKING:
    from rich.console import Console

_LIMIT = click.option(
    "--limit", default=50, show_default=True, type=click.IntRange(1, 1000), help="How many."
)
_BEFORE = click.option(
    "--before", type=int, metavar="MS", help="Only older ones: a time in milliseconds UTC."
)


@click.command(
    cls=Command, examples=("almenara inbox", "almenara inbox --unread", "almenara inbox --json | jq .notices")
)
@click.option("--unread", is_flag=True, help="Only what nobody has opened.")
@_LIMIT
@_BEFORE
@common
def inbox(common: Common, unread: bool, limit: int, before: int | None) -> None:
    """List received notices: unread ones first, then by severity and time."""
    query = {"unread": "true" if unread else None, "limit": limit, "before": before}
    _list(common, "/v1/inbox", query, "Nothing here. New notices appear by themselves; see: almenara watch")


@click.command(cls=Command, examples=("almenara outbox", "almenara outbox --limit 5 --json"))
@_LIMIT
@_BEFORE
@common
def outbox(common: Common, limit: int, before: int | None) -> None:
    """List sent notices, newest first."""
    query = {"limit": limit, "before": before}
    _list(common, "/v1/outbox", query, "Nothing was sent yet; see: almenara send --help")


def _list(common: Common, address: str, query: Mapping[str, object], empty: str) -> None:
    found = common.node().ask("GET", address, Notices, query=query)

    common.out.result(found, lambda console: _print_list(console, found.notices, empty))
    unread = next((notice for notice in found.notices if notice.unread), None)
    if unread is not None and not common.out.as_json:
        common.out.message(f"  next: almenara show {unread.id[:12]}{common.again}")


def _print_list(console: Console, notices: tuple[NoticeView, ...], empty: str) -> None:
    from exchange.cli.render import print_notices

    print_notices(console, notices, empty)


def _print_one(console: Console, content: ContentView) -> None:
    from exchange.cli.render import print_content

    print_content(console, content)


@click.command(
    cls=Command,
    examples=(
        "almenara show 3f2a9c1e",
        "almenara show 3f2a9c1e --save-attachments ./case-17",
        "almenara show 3f2a9c1e --peek        # the outside only; signs nothing",
    ),
)
@click.argument("id")
@click.option(
    "--save-attachments", metavar="DIR", type=click.Path(path_type=Path), help="Write the files there."
)
@click.option("--peek", is_flag=True, help="Show the outside only, and sign nothing.")
@common
def show(common: Common, id: str, save_attachments: Path | None, peek: bool) -> None:
    """Read a notice.

    Reading a received notice signs OPENED in your name, once: the sender learns that a person has
    seen it. Attachments are never opened; they are written only with --save-attachments, under
    safe names, and never over a file that is there.
    """
    node = common.node()
    if peek:
        row = node.ask("GET", notice_path(id), NoticeView)
        common.out.result(row, lambda console: _print_list(console, (row,), ""))
        return
    content = node.ask("POST", notice_path(id, "/open"), ContentView)
    saved: list[str] = []
    if save_attachments is not None:
        from exchange.cli.saving import save

        saved = [str(path) for path in save(content.attachments, save_attachments)]
    fields = msgspec.to_builtins(content) | {"saved": saved}
    common.out.result(fields, lambda console: _print_one(console, content))
    if not common.out.as_json:
        for path in saved:
            common.out.message(f"saved {path}")
        _say_next(common, content, saved=save_attachments is not None)


def _say_next(common: Common, content: ContentView, *, saved: bool) -> None:
    """Tell a person what may be done with what was read."""
    short = content.notice.id[:12]
    if content.attachments and not saved:
        common.out.message(f"  next: almenara show {short} --save-attachments DIR{common.again}")
    if content.notice.direction == "received" and content.notice.state == "opened":
        common.out.message(
            f"  next: almenara ack {short} accept{common.again}; or in its place: decline --reason REASON"
        )
