"""The verdict of an audit as text: the verdict in one line, then what was checked and what could not be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from exchange.audit.verdict import Check, CheckpointView, Finding, Outcome, ReceiptVerdict, Verdict
from exchange.cli.render import print_facts, print_table, when
from exchange.safe import safe_block, safe_line

if TYPE_CHECKING:
    from rich.console import Console

_MARKS = {Outcome.OK: "ok", Outcome.FAILED: "FAILED", Outcome.NOT_CHECKED: "not checked"}


def print_verdict(console: Console, verdict: Verdict) -> None:
    """Print the verdict on a bundle."""
    _say(console, verdict.sentence)
    _say(console, "")
    for finding in verdict.findings:
        _print_finding(console, finding)
    print_facts(console, list(_facts(verdict)))
    rows = [(_MARKS[check.outcome], safe_line(check.sentence), _counts(check)) for check in verdict.checks]
    print_table(console, ("", "what was checked", "how often"), rows)
    for notice in verdict.disclosed:
        _say(console, "")
        _say(console, f"Disclosed: {notice.envelope[:12]} of {notice.sender}, leaf {notice.leaf}")
        _say(console, f"  {notice.subject}")
        for line in safe_block(notice.text).split("\n"):
            _say(console, f"│ {line}")


def print_receipt(console: Console, verdict: ReceiptVerdict) -> None:
    """Print the verdict on a receipt."""
    _say(console, verdict.sentence)
    for finding in verdict.findings:
        _print_finding(console, finding)
    if verdict.verdict is Outcome.OK:
        rows = [
            (
                step.kind,
                safe_line(step.party),
                safe_line(step.officer or "-"),
                when(step.at_ms),
                when(step.not_after_ms),
                str(step.leaf),
            )
            for step in verdict.steps
        ]
        print_table(console, ("said", "of", "by", "recorded", "witnessed by", "leaf"), rows)


def _say(console: Console, line: str) -> None:
    console.print(safe_line(line), soft_wrap=True)


def _print_finding(console: Console, finding: Finding) -> None:
    more = f" (and {finding.more} more of this kind)" if finding.more else ""
    _say(
        console,
        f"{finding.severity.value.upper()} {finding.where}: {finding.sentence}{more} [{finding.code}]",
    )
    _say(console, f"  next: {finding.next}")
    _say(console, "")


def _facts(verdict: Verdict) -> Iterator[tuple[str, str]]:
    yield "community", f"{safe_line(verdict.community.name) or 'unknown'}, {verdict.community.id[:16]}"
    if verdict.coordinator is not None:
        yield "coordinator", safe_line(f"{verdict.coordinator.code}, {verdict.coordinator.name}")
    if verdict.range is not None:
        covered = verdict.range
        yield "ledger", f"{covered.leaves} leaves, {covered.bodies} statements, {covered.documents} documents"
        if covered.bodies_from:
            yield "from", f"leaf {covered.bodies_from}; what was said before is not in the bundle"
        if covered.member is not None:
            yield "made for", f"{safe_line(covered.member)}: only what concerns it is in the bundle"
        yield "times", f"{when(covered.first_ms)} to {when(covered.last_ms)}"
    for view in (verdict.checkpoint, verdict.directory_checkpoint):
        if view is not None:
            yield f"{view.log} checkpoint", _checkpoint(view)
    if verdict.signatures is not None:
        signed = verdict.signatures
        yield (
            "signatures",
            f"{signed.mode}: {signed.statements_checked} of {signed.statements} statements, "
            f"{signed.notices_checked} of {signed.notices} notices",
        )


def _checkpoint(view: CheckpointView) -> str:
    states = ", ".join(one.state for one in view.witnesses) or "nobody"
    return (
        f"{view.size} leaves, root {view.root[:16]}, cosigned by {states} ({view.needed} needed), "
        f"{when(view.quorum_ms)}"
    )


def _counts(check: Check) -> str:
    parts = [f"{check.done}"]
    if check.failed:
        parts.append(f"{check.failed} failed")
    if check.left_out:
        parts.append(f"{check.left_out} not checked")
    return ", ".join(parts)
