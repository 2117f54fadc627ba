"""``almenara send --dry-run``: who could read the notice, under which label, and how large it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from exchange.api.routes import Members
from exchange.cli.command import Common
from exchange.cli.exits import Exit
from exchange.node.requests import SubmitRequest
from exchange.node.views import MemberView, NodeView, TranslationView
from protocol.documents import StateStatus
from protocol.errors import BadRequest, UnknownState
from protocol.marking import Tlp, parse_tlp
from protocol.reference import parse_reference

if TYPE_CHECKING:
    from rich.console import Console

    from exchange.cli.client import NodeClient


def rehearse(common: Common, node: NodeClient, request: SubmitRequest) -> int:
    """Show what sending would do; nothing is sealed and nothing is sent.

    Raises:
        UnknownState: a recipient is no member.
        UnknownSeverity: the level is not known here.
        BadRequest: a recipient is this node's own state, or is both left out and waited for.
    """
    if node.ask("GET", "/v1/node", NodeView).state in request.to:
        raise BadRequest("a notice goes to others, not to this node's own state")
    if request.partial and request.wait_for_keys:
        raise BadRequest("a recipient without a key is either left out or waited for, not both")
    members = {member.code: member for member in node.ask("GET", "/v1/members", Members).members}
    for code in request.to:
        if code not in members:
            raise UnknownState(f"{code} is no member of this community")
        if members[code].status != StateStatus.ACTIVE and not request.partial:
            raise UnknownState(
                f"{code} is {members[code].status}",
                hint=f"Leave out {code}, or repeat with --partial, which leaves out whoever cannot be sent "
                "to.",
            )
    query = {"from": request.severity, "to": parse_reference(request.severity).schema}
    severity = node.ask("GET", "/v1/severity/translate", TranslationView, query=query).source
    readers = tuple(members[code] for code in request.to)
    able = [reader for reader in readers if reader.usable_key]
    waits = tuple(reader.code for reader in readers if not reader.usable_key) if request.wait_for_keys else ()
    would_send = request.wait_for_keys or len(able) == len(readers) or (request.partial and bool(able))
    sizes = {
        "text_bytes": len(request.text.encode()),
        "attachments": len(request.attachments),
        "attached_bytes": sum(_size(file.content) for file in request.attachments),
    }
    tlp = parse_tlp(request.tlp)
    fields: dict[str, Any] = {
        "dry_run": True,
        "would_send": would_send,
        "would_wait": waits,
        "recipients": readers,
        "tlp": tlp.label,
    }
    fields |= {"severity": severity, **sizes}
    common.out.result(fields, lambda console: _print_rehearsal(console, readers, tlp, fields, would_send))
    return Exit.OK if would_send else Exit.FAILED


def _size(base64_text: str) -> int:
    return len(base64_text) // 4 * 3 - base64_text.count("=")


def _print_rehearsal(
    console: Console, readers: tuple[MemberView, ...], tlp: Tlp, said: dict[str, Any], would_send: bool
) -> None:
    from exchange.cli.render import print_facts, print_table, tlp_badge

    console.print(tlp_badge(tlp.label))
    rows = [
        (one.code, one.name, f"{'' if one.usable_key else 'NO KEY: '}{one.key_note or 'usable'}")
        for one in readers
    ]
    print_table(console, ("could read it", "name", "key"), rows)
    refused = "would be REFUSED: a recipient has no usable key (see --wait-for-keys and --partial)"
    sent = "would be sent"
    if waits := said["would_wait"]:
        sent = f"would be accepted, and wait for a key of {', '.join(waits)}"
    facts = [
        ("sharing", tlp.definition),
        ("severity", str(said["severity"])),
        ("text", f"{said['text_bytes']} bytes"),
        ("attached", f"{said['attachments']} files, {said['attached_bytes']} bytes"),
        ("result", f"{sent if would_send else refused}; nothing was sent"),
    ]
    print_facts(console, facts)
