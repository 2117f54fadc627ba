"""A node whose store is an older copy of itself signs nothing: it would use numbers a second time.

Its store says so when it was restored from a backup. A copy that was laid there otherwise, as a
machine's snapshot is, is found out by this node's own signatures, which others show it: a checkpoint
that it cosigned, a list of daily keys that it signed, and of which it knows nothing. What others sign
is no reason to stop: whoever lies could stop a node with it.

Not everything can be found out: if nothing that this node signed since the copy was made has been
shown to it, it goes on. It looks at what it is shown before it signs anything in its first session.
"""

from __future__ import annotations

import asyncio

import apsw
import structlog

from exchange.restored import RESTORED_FACT
from exchange.stores.engine import Engine
from exchange.stores.node_books import read_fact, record_event, save_fact
from protocol.errors import NodeRestored
from protocol.text import format_utc

ALARM = "restored"
CAUGHT_UP = "restored-caught-up"
"""The fact that holds when a restored node last had every document that the coordinator lists."""
NEXT = (
    "What comes in can be read, and waits at the coordinator. If somebody restored this node, follow "
    "deploy/runbooks/restore-a-node.md. If nobody did, take its node key for stolen: stop the node, end the "
    "key with: almenara key revoke node --since TIME --reason compromised --replace --data DIR --identity "
    "FILE; "
    "then: almenara node reconcile --data DIR --identity FILE"
)
_log = structlog.get_logger()


class Restored:
    """Whether this node's store is an older copy, as far as it knows.

    Attributes:
        since_ms: From when the copy is, or when it was found out; None if all is well.
        caught_up: Whether this node has read every document that there is since it was started.
        looked: Set once the first session has shown what others know of this node.
    """

    def __init__(self, since_ms: int | None = None) -> None:
        self.since_ms = since_ms
        self.caught_up = False
        self.looked = asyncio.Event()

    def require_own_word(self) -> None:
        """Return only if this node goes on from its own last word.

        Raises:
            NodeRestored: its store is an older copy.
        """
        if self.since_ms is not None:
            since = format_utc(self.since_ms)
            raise NodeRestored(f"{either(since)}: it signs nothing", hint=NEXT)


def either(since: str) -> str:
    """Return in words what may have happened: this node cannot tell an older copy from a stolen key."""
    return f"this node's store is an older copy, of {since} or before, or somebody else holds its node key"


async def read_restored(engine: Engine) -> Restored:
    """Return what the store says at the start."""
    since_ms = await engine.read(lambda db: read_fact(db, RESTORED_FACT))
    return Restored(since_ms or None)


def find_out(db: apsw.Connection, state: str, why: str, now_ms: int) -> None:
    """Note in the store that it is an older copy; call :func:`take_note` once that is durable."""
    if read_fact(db, RESTORED_FACT):
        return
    save_fact(db, RESTORED_FACT, now_ms)
    record_event(db, now_ms, "node.restored", state=state, code=ALARM, detail=why)


def take_note(restored: Restored, now_ms: int) -> None:
    """Sign nothing from now on."""
    if restored.since_ms is None:
        restored.since_ms = now_ms
        _log.error("node.restored", code=ALARM)


def caught_up(db: apsw.Connection, now_ms: int) -> None:
    """Note that this restored node has every document there is, its own newer ones among them."""
    save_fact(db, CAUGHT_UP, now_ms)
