"""``almenara send --dry-run``: who could read the notice, under which label, and how large it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exchange.api.routes import Members
from exchange.cli.command import Common
from exchange.cli.exits import Exit
from exchange.node.requests import SubmitRequest
from exchange.node.views import MemberView
from protocol.errors import UnknownState
from protocol.marking import Tlp, parse_tlp

if TYPE_CHECKING:
    from rich.console import Console

    from exchange.cli.client import NodeClient


def rehearse(common: Common, node: NodeClient, request: SubmitRequest) -> int:
    """Show what sending would do; nothing is sealed and nothing is sent.

    Raises:
        UnknownState: a recipient is no member.
    """
    members = {member.code: member for member in node.ask("GET", "/v1/members", Members).members}
    for code in request.to:
        if code not in members:
            raise UnknownState(f"{code} is no member of this community")
    readers = tuple(members[code] for code in request.to)
    able = [reader for reader in readers if reader.usable_key]
    would_send = bool(able) and (request.partial or len(able) == len(readers))
    sizes = {
        "text_bytes": len(request.text.encode()),
        "attachments": len(request.attachments),
        "attached_bytes": sum(_size(file.content) for file in request.attachments),
    }
    tlp = parse_tlp(request.tlp)
    fields = {"dry_run": True, "would_send": would_send, "recipients": readers, "tlp": tlp.label} | sizes
    common.out.result(fields, lambda console: _print_rehearsal(console, readers, tlp, sizes, would_send))
    return Exit.OK if would_send else Exit.FAILED


def _size(base64_text: str) -> int:
    return len(base64_text) // 4 * 3 - base64_text.count("=")


def _print_rehearsal(
    console: Console, readers: tuple[MemberView, ...], tlp: Tlp, sizes: dict[str, int], would_send: bool
) -> None:
    from exchange.cli.render import new_table, print_facts, tlp_badge
    from exchange.cli.safe import safe_line

    console.print(tlp_badge(tlp.label))
    table = new_table("could read it", "name", "key")
    for reader in readers:
        key = safe_line(reader.key_note) or "usable"
        table.add_row(reader.code, safe_line(reader.name), key if reader.usable_key else f"NO KEY: {key}")
    console.print(table)
    refused = "would be REFUSED: a recipient has no usable key (see --partial)"
    rows = [
        ("sharing", tlp.definition),
        ("text", f"{sizes['text_bytes']} bytes"),
        ("attached", f"{sizes['attachments']} files, {sizes['attached_bytes']} bytes"),
        ("result", f"{'would be sent' if would_send else refused}; nothing was sent"),
    ]
    print_facts(console, rows)
