"""The cosignatures of one checkpoint, gathered until a quorum is full: no waiting, no sending."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog

from keys.quorum import Quorum
from keys.trust import MAX_SKEW_MS
from protocol.errors import BadSignature
from protocol.ledger.checkpoint import SignedCheckpoint
from protocol.ledger.note import NoteSignature, decode_text, parse_signature_lines
from protocol.ledger.origins import Log
from protocol.text import format_utc

log = structlog.get_logger()


@dataclass(slots=True)
class Gathering:
    """Who was asked for a checkpoint, and who has cosigned.

    Attributes:
        signed: The checkpoint with the log's own signatures.
        quorum: Who must have signed it.
        asked: The states that were asked here and have not answered.
        elsewhere: Those that are connected to other processes, and whose cosignatures are not here yet.
        retried: Those that were asked once more, because they had cosigned another size before.
    """

    signed: SignedCheckpoint
    quorum: Quorum
    asked: set[str] = field(default_factory=set)
    elsewhere: set[str] = field(default_factory=set)
    retried: set[str] = field(default_factory=set)
    _lines: dict[str, tuple[NoteSignature, ...]] = field(default_factory=dict)
    _times: dict[str, int] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """The checkpoint's size."""
        return self.signed.checkpoint.size

    @property
    def cosigned(self) -> Mapping[str, int]:
        """Which states have cosigned, and when, seconds UTC."""
        return self._times

    @property
    def full_at(self) -> int | None:
        """When a quorum had cosigned, seconds UTC, or None while it is not full."""
        return self.quorum.time_of(self._times)

    def add(self, state: str, body: bytes, now_s: int) -> None:
        """Take a witness's signature lines; those of unknown keys are left out.

        Args:
            state: The witness.
            body: Its signature lines.
            now_s: The time now, seconds UTC: one false clock must not date the checkpoint of all.

        Raises:
            FormatError: they are no signature lines.
            BadSignature: they do not verify, one of the witness's two is missing, or the time that they
                state is more than ten minutes off.
        """
        keys = self.quorum.witnesses[state]
        lines = parse_signature_lines(decode_text(body, what="answer of a witness"))
        mine = tuple(line for line in lines if any(line.is_by(key) for key in keys))
        alone = Quorum(self.quorum.log, {state: keys}, 1)
        times = alone.cosigned(self.signed.with_signatures(mine))
        if state not in times:
            raise BadSignature(f"{state} did not cosign with both its keys")
        if abs(times[state] - now_s) > MAX_SKEW_MS // 1000:
            raise BadSignature(f"{state} dates its cosignature {format_utc(times[state] * 1000)}")
        self._lines[state], self._times[state] = mine, times[state]

    def witnessed(self) -> SignedCheckpoint:
        """Return the checkpoint with all cosignatures so far, in the order of the states' codes."""
        return self.signed.with_signatures(
            line for state in sorted(self._lines) for line in self._lines[state]
        )


class QuorumNews:
    """Tells the operator when a quorum is missing, and when it is there again.

    Args:
        which: Whose.
        quiet_s: After a start, for so long a missing one is not news.
    """

    def __init__(self, which: Log, quiet_s: float) -> None:
        self._log = which
        self._had: bool | None = None
        self._quiet_until = asyncio.get_running_loop().time() + quiet_s

    def tell(self, gathering: Gathering) -> None:
        """Log how a round ended, if that is another way than the last one."""
        has = gathering.full_at is not None
        starting = self._had is None and not has and asyncio.get_running_loop().time() < self._quiet_until
        if has is self._had or starting:
            return
        self._had = has
        say = log.info if has else log.warning
        say(
            "ledger.quorum" if has else "ledger.no_quorum",
            log=self._log.value,
            size=gathering.size,
            count=len(gathering.cosigned),
            needed=gathering.quorum.needed,
            members=len(gathering.quorum.witnesses),
        )
