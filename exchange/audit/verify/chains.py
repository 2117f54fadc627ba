"""Per-signer series: every key numbers what it says and names the statement before.

A gap says that something was dropped, refused, or never sent; two statements under one number are
a fork. Statements of one key can overtake each other on their way, so one that comes early waits.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import NamedTuple

from exchange.audit.verify.record import Record, leaf_at
from protocol.statement import CHAIN_START, Statement

MAX_EARLY = 1024
"""How many statements of one key wait for one before them, until that one is given up."""

_CHECK = "chains"
_MISSING = 0


class _Link(NamedTuple):
    """One statement in its series: its leaf, its id, and the id of the one before."""

    leaf: int
    id: bytes
    previous: bytes


@dataclass(slots=True)
class _Series:
    """What is known of one key: where it stands, what came early, and eight bytes of every id."""

    party: str
    first: int
    next: int
    head: bytes
    early: dict[int, _Link] = field(default_factory=dict)
    ids: array[int] = field(default_factory=lambda: array("Q"))


class Chains:
    """Follows every signer's series in the order of the leaves.

    Args:
        record: Where gaps and forks are recorded.
        complete: Whether every statement should be there, so that a gap is one.
        from_start: Whether that holds from the ledger's first leaf on.
    """

    def __init__(self, record: Record, *, complete: bool, from_start: bool) -> None:
        self._record = record
        self._complete = complete
        self._from_start = complete and from_start
        self._series: dict[bytes, _Series] = {}

    def follow(self, leaf: int, statement: Statement, statement_id: bytes) -> None:
        """Take the next statement of its key; it is genuine, or will be said not to be elsewhere."""
        series = self._series.get(statement.key_id)
        if series is None:
            series = self._begin(statement)
        link = _Link(leaf, statement_id, statement.previous)
        if statement.sequence < series.next:
            self._again(series, statement.sequence, link)
        elif statement.sequence == series.next:
            self._take(series, link)
            self._take_early(series)
        elif self._is_new(series, statement.sequence, link):
            series.early[statement.sequence] = link
            if len(series.early) > MAX_EARLY:
                self._skip(series)

    def finish(self) -> None:
        """Record what never came."""
        for series in self._series.values():
            while series.early:
                self._skip(series)

    def _begin(self, statement: Statement) -> _Series:
        # Without the beginning of the ledger, a series begins where it is first seen.
        first = 1 if self._from_start else statement.sequence
        head = CHAIN_START if self._from_start else statement.previous
        series = _Series(statement.party, first, first, head)
        self._series[statement.key_id] = series
        return series

    def _take(self, series: _Series, link: _Link) -> None:
        if link.previous == series.head:
            self._record.passed(_CHECK)
        else:
            self._record.failed(
                _CHECK,
                "fork",
                f"statement {series.next} of a key of {series.party} follows another one than the log holds",
                leaf_at(link.leaf),
            )
        series.head = link.id
        series.next += 1
        series.ids.append(int.from_bytes(link.id[:8], "big"))

    def _take_early(self, series: _Series) -> None:
        while (link := series.early.pop(series.next, None)) is not None:
            self._take(series, link)

    def _again(self, series: _Series, sequence: int, link: _Link) -> None:
        at = sequence - series.first
        if at < 0:
            # Said before the first that the bundle holds, and logged after it.
            self._record.left_out(_CHECK)
        elif series.ids[at] == _MISSING:
            # The gap was told already; what fills it later is not a fork.
            series.ids[at] = int.from_bytes(link.id[:8], "big")
            self._record.left_out(_CHECK)
        elif series.ids[at] == int.from_bytes(link.id[:8], "big"):
            self._fail_twice(series, sequence, link)
        else:
            self._fail_fork(series, sequence, link)

    def _is_new(self, series: _Series, sequence: int, link: _Link) -> bool:
        waiting = series.early.get(sequence)
        if waiting is None:
            return True
        if waiting.id == link.id:
            self._fail_twice(series, sequence, link)
        else:
            self._fail_fork(series, sequence, link)
        return False

    def _skip(self, series: _Series) -> None:
        """Give up what is missing before the earliest that waits, and go on from there."""
        sequence = min(series.early)
        link = series.early.pop(sequence)
        missing = sequence - series.next
        if missing and self._complete:
            sentence = (
                f"{missing} statement(s) of a key of {series.party} before its number {sequence} are not in "
                "the log: dropped, refused, or never sent"
            )
            if self._from_start:
                self._record.missing(_CHECK, "gap", sentence, leaf_at(link.leaf))
            else:
                # Overtaken on their way, they may stand before the first leaf that was exported.
                self._record.unchecked(_CHECK, "gap", f"{sentence}; or logged earlier", leaf_at(link.leaf))
        elif missing:
            self._record.left_out(_CHECK, missing)
        # The place of what is missing stays empty, so that it is known when it comes after all.
        if missing <= MAX_EARLY:
            series.ids.extend([_MISSING] * missing)
        else:
            series.first = sequence
            del series.ids[:]
        series.head, series.next = link.previous, sequence
        self._take(series, link)
        self._take_early(series)

    def _fail_twice(self, series: _Series, sequence: int, link: _Link) -> None:
        sentence = f"statement {sequence} of a key of {series.party} is in the log twice"
        self._record.failed(_CHECK, "logged-twice", sentence, leaf_at(link.leaf))

    def _fail_fork(self, series: _Series, sequence: int, link: _Link) -> None:
        sentence = f"a key of {series.party} said two different things under its number {sequence}"
        self._record.failed(_CHECK, "fork", sentence, leaf_at(link.leaf))
