"""What a person or script may ask of the node: parsed from JSON, bounded, then typed values."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from protocol.fields import Line

Word = Annotated[str, Meta(max_length=160)]
"""A code, name or reference: bounded, because errors quote it."""


class Ask(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every request; unknown fields are refused."""


class AttachmentRequest(Ask, frozen=True, kw_only=True):
    """A file to attach; content is canonical base64 in JSON."""

    name: Line
    media_type: str = "application/octet-stream"
    content: str


class SubmitRequest(Ask, frozen=True, kw_only=True):
    """A notice to send.

    ``severity`` is ``schema@version:level`` (the version may be left out: the newest known);
    ``life_ms`` is at most seven days, and then nothing is delivered any more; without it a notice
    that was not collected is sealed again. ``partial`` leaves out recipients without a usable key and
    says so, instead of refusing; ``wait_for_keys`` lets them wait until they have one.
    """

    to: Annotated[tuple[Word, ...], Meta(min_length=1, max_length=200)]
    severity: Word
    subject: Line
    text: str
    tlp: Word = "amber"
    kind: Literal["report", "update", "request", "response", "retraction", "closure", "check"] = "report"
    exercise: bool = False
    refers_to: Word | None = None
    language: Word = "en"
    attachments: tuple[AttachmentRequest, ...] = ()
    partial: bool = False
    wait_for_keys: bool = False
    life_ms: Annotated[int, Meta(ge=60_000, le=7 * 24 * 3600 * 1000)] | None = None
    respond_within_ms: Annotated[int, Meta(ge=60_000, le=7 * 24 * 3600 * 1000)] | None = None


class DocumentRequest(Ask, frozen=True, kw_only=True):
    """A signed document to hand in: canonical base64 in JSON."""

    document: str


class AnswerRequest(Ask, frozen=True, kw_only=True):
    """An officer's answer to a received notice; ``reason`` goes with declined only."""

    answer: Literal["accepted", "declined", "completed"]
    reason: Word | None = None
    note: Annotated[str, Meta(max_length=4096)] | None = None
