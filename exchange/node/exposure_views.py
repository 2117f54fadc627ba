"""What faces show of a key that was in foreign hands."""

from __future__ import annotations

from exchange.node.views import View


class TouchedNotice(View, frozen=True, kw_only=True):
    """A notice that a key signed, or could open; no subject for a monitor's token.

    ``key_destroyed`` says of one that it could open that the daily key is gone here: whoever took
    it before has it still, and nobody can take it now.
    """

    id: str
    sender: str
    recipients: tuple[str, ...]
    severity: str
    subject: str
    created_ms: int
    stored_ms: int
    key_destroyed: bool = False


class TouchedStatement(View, frozen=True, kw_only=True):
    """A statement that a key signed, and how far it is proved."""

    id: str
    notice: str
    kind: str
    at_ms: int
    evidence: str


class ExposureView(View, frozen=True, kw_only=True):
    """What one key touched, as far as this node knows.

    Attributes:
        key: Its id, in hexadecimal.
        party: Whose key it is.
        role: What it is for.
        standing: ``counts``, or since when it does not and who says so.
        since_ms: What came before is left out; 0 for everything.
        signed: Notices that it signed.
        statements: Receipts, answers and promises that it signed.
        could_open: Received notices that were sealed to it.
        warn: The states that are concerned.
        sealed: How many other received notices it could not open.
    """

    key: str
    party: str
    role: str
    standing: str
    since_ms: int
    signed: tuple[TouchedNotice, ...]
    statements: tuple[TouchedStatement, ...]
    could_open: tuple[TouchedNotice, ...]
    warn: tuple[str, ...]
    sealed: int
