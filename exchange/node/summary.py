"""A notice's content as it lies in the store: locked, with a short summary for lists."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from exchange.stores.node_notices import NoticeRow
from keys.vault import Vault
from protocol import codec
from protocol.notice import Body, parse_body


class Summary(msgspec.Struct, frozen=True):
    """What lists show of the sealed part; kept apart so that a list opens no attachment."""

    subject: str
    tlp: str
    incident: str
    refers_to: str | None
    attachments: int


@dataclass(frozen=True, slots=True)
class LockedContent:
    """The three locked columns of a stored notice."""

    summary: bytes
    body: bytes
    key: bytes


def lock_content(vault: Vault, envelope: bytes, body: Body, content_key: bytes) -> LockedContent:
    """Lock a body, its summary and its content key under the envelope's id."""
    summary, key = lock_cover(vault, envelope, body, content_key)
    return LockedContent(summary, vault.lock("body", envelope, codec.encode(body)), key)


def lock_cover(vault: Vault, envelope: bytes, body: Body, content_key: bytes) -> tuple[bytes, bytes]:
    """Lock a summary and a content key under an envelope's id; its body is kept already."""
    summary = Summary(
        subject=body.subject,
        tlp=body.tlp.value,
        incident=body.incident.hex(),
        refers_to=None if body.refers_to is None else body.refers_to.hex(),
        attachments=len(body.attachments),
    )
    locked = vault.lock("summary", envelope, msgspec.json.encode(summary))
    return locked, vault.lock("content-key", envelope, content_key)


def unlock_summary(vault: Vault, row: NoticeRow) -> Summary:
    """Return a stored notice's summary; raises StoreFailed if the store was altered."""
    return msgspec.json.decode(vault.unlock("summary", row.id, row.locked_summary), type=Summary)


def unlock_body(vault: Vault, envelope: bytes, locked: bytes) -> Body:
    """Return a stored notice's body; raises StoreFailed if the store was altered."""
    return parse_body(vault.unlock("body", envelope, locked))


def unlock_key(vault: Vault, row: NoticeRow) -> bytes:
    """Return a stored notice's content key; raises StoreFailed if the store was altered."""
    return vault.unlock("content-key", row.id, row.locked_key)
