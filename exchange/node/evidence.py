"""Evidence: what proves that somebody lied, as a file that explains itself.

It is kept in the store, in the transaction of the alarm that speaks of it, and written out as a file
named by its hash: ``evidence/ledger-forked-3f2a9c1e5d6b7a80.txt``. A file that was lost is written again.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import apsw
import structlog

from exchange.node.context import NodeContext
from exchange.stores.node_books import has_alarm, raise_alarm, record_event
from exchange.stores.node_ledger import evidence_names, find_evidence, insert_evidence, list_evidence
from protocol.text import format_base64, format_utc

HEADER = "almenara evidence v1"
_WIDTH = 76
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Exhibit:
    """One thing that somebody has signed: a note verbatim, or bytes."""

    title: str
    content: bytes = field(repr=False)
    is_text: bool = True


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a person must know about the ledger, with what proves it.

    Args:
        code: The stable code of the alarm.
        about: What it is about, so that the same is told once.
        message: One sentence: what is wrong.
        next: What a duty officer should do.
        exhibits: What proves it; empty if nothing does but this node's own word.
        event: The name of the event.
        envelope: The notice concerned, if it is one.
        state: The party concerned, if it is one.
    """

    code: str
    about: str
    message: str
    next: str
    exhibits: tuple[Exhibit, ...] = ()
    event: str = "ledger.alarm"
    envelope: bytes | None = None
    state: str | None = None


def report(db: apsw.Connection, state: str, finding: Finding, now_ms: int) -> None:
    """Raise the alarm, record the event and keep the evidence, once for each thing it is about."""
    if has_alarm(db, finding.code, finding.about):
        return
    next_, name, text = finding.next, "", b""
    if finding.exhibits:
        text = evidence_text(state, finding, now_ms)
        # What was dismissed and is still wrong is told again, with the file that is there.
        name = find_evidence(db, finding.code, finding.about) or file_name(finding.code, text)
        next_ = f"{next_} The evidence lies in the node's data directory: evidence/{name}"
    raise_alarm(db, finding.code, finding.about, finding.message, next_, now_ms)
    if not has_alarm(db, finding.code, finding.about):
        # As many of this code stand as a person can use: the rest would only fill the stream.
        return
    if name:
        insert_evidence(db, name, finding.code, finding.about, now_ms, text)
    record_event(
        db,
        now_ms,
        finding.event,
        envelope=finding.envelope,
        state=finding.state,
        code=finding.code,
        detail=name or finding.message,
    )


def evidence_text(state: str, finding: Finding, now_ms: int) -> bytes:
    """Return a file that explains itself: in words first, then what was signed, byte for byte."""
    lines = [HEADER]
    for sentence in (
        f"{finding.code}, found by the node of {state} at {format_utc(now_ms)}.",
        f"{finding.message}.",
        finding.next,
        "Each exhibit stands below exactly as it was signed: notes as text, statements in base64. Whoever "
        "has the community's trust documents can verify their signatures. Keep this file as it is.",
    ):
        lines += [f"# {line}".rstrip() for line in textwrap.wrap(sentence, 98)]
        lines.append("#")
    lines.pop()
    for number, exhibit in enumerate(finding.exhibits, start=1):
        lines += ["", f"exhibit {number}: {exhibit.title}", *_shown(exhibit)]
    return ("\n".join(lines) + "\n").encode()


def file_name(code: str, text: bytes) -> str:
    """Return the name of a file of evidence: what it is, and the beginning of its hash."""
    return f"{code}-{hashlib.sha256(text).hexdigest()[:16]}.txt"


def export(folder: Path, pieces: Sequence[tuple[str, bytes]]) -> list[str]:
    """Write the pieces that are not there, each durable; return the names of those that were written.

    Raises:
        OSError: the disk refuses; what is missing is written the next time.
    """
    missing = [(name, text) for name, text in pieces if not (folder / name).exists()]
    if not missing:
        return []
    folder.mkdir(mode=0o700, exist_ok=True)
    for name, text in missing:
        _write(folder / name, text)
    return [name for name, _ in missing]


async def export_all(context: NodeContext, folder: Path) -> None:
    """Write out what evidence the store holds and the folder does not.

    A disk that refuses is told of in the log, and stops nothing: the store has it all.
    """
    names = await context.engine.read(evidence_names)
    if all((folder / name).exists() for name in names):
        return
    pieces = await context.engine.read(list_evidence)
    try:
        written = await asyncio.to_thread(export, folder, pieces)
    except OSError as error:
        _log.error("evidence.not_written", reason=error.strerror)
        return
    for name in written:
        _log.warning("evidence.written", file=name)


def _shown(exhibit: Exhibit) -> list[str]:
    if exhibit.is_text:
        return exhibit.content.decode().removesuffix("\n").split("\n")
    text = format_base64(exhibit.content)
    return [text[at : at + _WIDTH] for at in range(0, len(text), _WIDTH)]


def _write(path: Path, text: bytes) -> None:
    """Write a file under another name first: a piece of evidence is there whole or not at all."""
    draft = path.with_suffix(".part")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
