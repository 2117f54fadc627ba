"""How fresh the directory is: when witnesses last said that there is nothing newer.

A coordinator that keeps back a revocation or a newer directory shows an old list that verifies. What
it cannot do is have a quorum of states cosign that list anew, every minute, while they see a newer
one. So the newest witnessed time of the directory log bounds how long this node can have been
deceived (the role of TUF's timestamp; decision 0027).
"""

from __future__ import annotations

import apsw

from exchange.node.views import AlarmView
from exchange.stores.node_ledger import newest_checkpoint
from protocol.ledger.origins import Log
from protocol.text import format_utc

ALARM = "directory-stale"
HOUR_MS = 3_600_000
WARN_MS = 6 * HOUR_MS
DOUBTFUL_MS = 24 * HOUR_MS
MAX_LOST_MS = 72 * HOUR_MS


def stale_directory(db: apsw.Connection, now_ms: int) -> AlarmView | None:
    """Return what a person must know if the directory was not witnessed for hours, or None.

    A community that never had a quorum has nothing to compare: it is told of that by
    ``witness-pending``, not here.

    Args:
        db: The node's store.
        now_ms: The time now, milliseconds UTC.
    """
    newest = newest_checkpoint(db, Log.DIRECTORY)
    if newest is None or now_ms - newest.witnessed_ms < WARN_MS:
        return None
    age_ms = now_ms - newest.witnessed_ms
    return AlarmView(
        code=ALARM,
        message=f"the directory was last witnessed at {format_utc(newest.witnessed_ms)}, "
        f"{age_ms // HOUR_MS} hours ago: {_meaning(age_ms)}",
        next="Ask another member which version it has (almenara members); if it is newer than yours, the "
        "coordinator is keeping documents back. Silent witnesses: almenara ledger watch --once --data DIR "
        "--token-file TOKEN",
        since_ms=newest.witnessed_ms,
    )


def _meaning(age_ms: int) -> str:
    if age_ms >= MAX_LOST_MS:
        return "members, keys and revocations of days may be unknown here; confirm who answers by telephone"
    if age_ms >= DOUBTFUL_MS:
        return "a key that is new here, or was revoked since, may be kept from you; confirm grave answers"
    return "a newer directory or a revocation may not have come here yet"
