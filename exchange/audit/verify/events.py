"""What was said about each notice, kept in little memory until the whole ledger was read.

A statement can come weeks after its notice, so nothing may be forgotten; a million of them must
fit. Each is a few dozen bytes in one of 256 buffers, by the first byte of its envelope's id; at the
end the buffers are taken apart one after another.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Generic, NamedTuple, TypeVar

from protocol.notice import Header
from protocol.severity import SeverityTag
from protocol.statement import Statement, StatementKind

T = TypeVar("T")

_EVENT = struct.Struct(">32sIQBHHH")
_HEADER = struct.Struct(">QQQQHHBBB")
_PLACE = struct.Struct(">H")
_NONE_MS = 2**64 - 1
MAX_NAMES = 0xFFFF
BUFFERS = 256


class Event(NamedTuple):
    """One statement about a notice. ``party`` is whom it is about, for UNDELIVERED."""

    envelope: bytes
    leaf: int
    said_ms: int
    kind: StatementKind
    party: str
    code: str | None
    officer: str | None


class Relayed(NamedTuple):
    """What the open part of a relayed notice says; nothing of its content."""

    leaf: int
    created_ms: int
    expires_ms: int
    respond_by_ms: int | None
    sender: str
    kind: int
    exercise: bool
    severity: SeverityTag
    recipients: tuple[str, ...]


class _Names(Generic[T]):
    """Small numbers for values that come again and again; 0 is None."""

    def __init__(self) -> None:
        self._numbers: dict[T | None, int] = {None: 0}
        self._names: list[T | None] = [None]

    def number(self, name: T | None) -> int:
        number = self._numbers.get(name)
        if number is None:
            # Past the end all share the last name: only adversaries have so many.
            if len(self._names) >= MAX_NAMES:
                return MAX_NAMES - 1
            number = self._numbers[name] = len(self._names)
            self._names.append(name)
        return number

    def name(self, number: int) -> T | None:
        return self._names[number]


class Events:
    """Collects events and relayed headers, and gives them back by envelope."""

    def __init__(self) -> None:
        self._events = [bytearray() for _ in range(BUFFERS)]
        self._headers: list[bytearray] = [bytearray() for _ in range(BUFFERS)]
        self._parties: _Names[str] = _Names()
        self._codes: _Names[str] = _Names()
        self._officers: _Names[str] = _Names()
        self._tags: _Names[SeverityTag] = _Names()

    def add(self, leaf: int, statement: Statement, officer: str | None) -> None:
        """Keep one statement about an envelope."""
        self._events[statement.envelope[0]] += _EVENT.pack(
            statement.envelope,
            leaf,
            statement.at_ms,
            statement.kind,
            self._parties.number(statement.about or statement.party),
            self._codes.number(statement.code),
            self._officers.number(officer),
        )

    def add_header(self, envelope: bytes, leaf: int, header: Header) -> None:
        """Keep the open part of the notice that was relayed at a leaf."""
        number = self._parties.number
        respond = _NONE_MS if header.respond_by_ms is None else header.respond_by_ms
        buffer = self._headers[envelope[0]]
        buffer += _HEADER.pack(
            leaf,
            header.created_ms,
            header.expires_ms,
            respond,
            number(header.sender),
            self._tags.number(header.severity),
            header.kind,
            header.exercise,
            len(header.recipients),
        )
        for addressee in header.recipients:
            buffer += _PLACE.pack(number(addressee.state))

    def by_envelope(self) -> Iterator[tuple[bytes, list[Event], dict[int, Relayed]]]:
        """Yield each envelope with its events by leaf, and the headers by the leaf of RELAYED.

        What was given back is forgotten.
        """
        for number in range(BUFFERS):
            headers = dict(self._read_headers(self._headers[number]))
            grouped: dict[bytes, list[Event]] = {}
            for event in self._read_events(self._events[number]):
                grouped.setdefault(event.envelope, []).append(event)
            self._events[number] = self._headers[number] = bytearray()
            for envelope, events in grouped.items():
                yield envelope, events, headers

    def _read_events(self, buffer: bytearray) -> Iterator[Event]:
        for envelope, leaf, said_ms, kind, party, code, officer in _EVENT.iter_unpack(buffer):
            yield Event(
                envelope,
                leaf,
                said_ms,
                StatementKind(kind),
                str(self._parties.name(party)),
                self._codes.name(code),
                self._officers.name(officer),
            )

    def _read_headers(self, buffer: bytearray) -> Iterator[tuple[int, Relayed]]:
        at = 0
        while at < len(buffer):
            leaf, created, expires, respond, sender, severity, kind, exercise, count = _HEADER.unpack_from(
                buffer, at
            )
            at += _HEADER.size
            tag = self._tags.name(severity)
            assert tag is not None  # noqa: S101 - add_header put one there
            recipients = tuple(
                str(self._parties.name(number))
                for (number,) in _PLACE.iter_unpack(buffer[at : at + _PLACE.size * count])
            )
            at += _PLACE.size * count
            yield (
                leaf,
                Relayed(
                    leaf=leaf,
                    created_ms=created,
                    expires_ms=expires,
                    respond_by_ms=None if respond == _NONE_MS else respond,
                    sender=str(self._parties.name(sender)),
                    kind=kind,
                    exercise=bool(exercise),
                    severity=tag,
                    recipients=recipients,
                ),
            )
