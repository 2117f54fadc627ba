"""What a thief may have signed, where governance confirms since when a key was in foreign hands.

Its own state may say so too, and that changes nothing about the past: only the threshold of
governance does. Which side of that time a leaf lies on is told by the witnesses, never by a signer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from exchange.audit.verify.clock import WitnessClock
from exchange.audit.verify.record import Record, leaf_at
from keys.held import Documents
from protocol.notice import Header
from protocol.statement import Statement
from protocol.text import format_utc


@dataclass(frozen=True, slots=True)
class Doubtful:
    """The leaves that count for nothing: of statements, and of RELAYED whose notice may be forged."""

    statements: frozenset[int] = frozenset()
    notices: frozenset[int] = frozenset()


class Doubts:
    """Collects what compromised keys signed while the ledger is read, and decides at its end.

    Args:
        documents: All trust documents of the bundle: the newest directory speaks of the past.
        record: Where doubts are recorded.
    """

    def __init__(self, documents: Documents, record: Record) -> None:
        self._documents = documents
        self._record = record
        self._statements: dict[int, tuple[str, int]] = {}
        self._notices: dict[int, tuple[str, int]] = {}

    def statement(self, leaf: int, statement: Statement) -> None:
        """Remember a genuine statement, if its key was compromised at any time."""
        since_ms = self._documents.compromised_ms(statement.party, statement.key_id)
        if since_ms is not None:
            self._statements[leaf] = (statement.party, since_ms)

    def header(self, leaf: int, header: Header) -> None:
        """Remember a genuine notice by the leaf of its RELAYED, if its key was compromised at any time."""
        since_ms = self._documents.compromised_ms(header.sender, header.key_id)
        if since_ms is not None:
            self._notices[leaf] = (header.sender, since_ms)

    def decide(self, clock: WitnessClock) -> Doubtful:
        """Return what was not witnessed before its key was compromised, and record each."""
        statements = _undecided(self._statements, clock)
        notices = _undecided(self._notices, clock)
        for leaf in sorted(statements):
            self._record.doubtful(_sentence("this statement", *self._statements[leaf]), leaf_at(leaf))
        for leaf in sorted(notices):
            sentence = _sentence("the notice that was relayed here", *self._notices[leaf])
            self._record.unchecked("signers", "compromised", sentence, leaf_at(leaf))
        return Doubtful(statements, notices)


def _undecided(signed: Mapping[int, tuple[str, int]], clock: WitnessClock) -> frozenset[int]:
    """Return the leaves that no checkpoint of before the compromise holds."""
    witnessed = {leaf: clock.bracket(leaf).not_after_ms for leaf in signed}
    return frozenset(
        leaf
        for leaf, (_, since_ms) in signed.items()
        if (at_ms := witnessed[leaf]) is None or at_ms >= since_ms
    )


def _sentence(what: str, party: str, since_ms: int) -> str:
    return (
        f"{what} is signed by a key of {party} that governance confirms was compromised since "
        f"{format_utc(since_ms)}, and no quorum had witnessed it before: {party} or a thief said it"
    )
