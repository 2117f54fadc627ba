"""That a place was filled from a backup: said in the place itself, until a person has dealt with it.

A coordinator has a file for it; a node's store has a fact, which the node can set by itself when it
finds out that somebody laid an older copy there (:mod:`exchange.node.restored`).
"""

from __future__ import annotations

from pathlib import Path

from protocol.errors import SetupError

RESTORED_FILE = "restored"
RESTORED_FACT = "restored"
"""Milliseconds UTC: when the backup was made that the store came from."""


def require_reconciled(data: Path) -> None:
    """Return only if a coordinator's data directory was not restored, or somebody said how it stands.

    Raises:
        SetupError: it was restored, and signing from it could fork its ledger.
    """
    mark = data / RESTORED_FILE
    if not mark.exists():
        return
    raise SetupError(
        f"the data directory {data} was restored from a backup of {mark.read_text('utf-8').strip()}, and "
        "nobody has compared it with what the members hold",
        hint="Follow deploy/runbooks/restore-the-coordinator.md: put the anchor back, read the sizes at two "
        "members or more, then: almenara coordinator recover --data DIR --members-have ack=SIZE "
        "--members-have "
        "dir=SIZE",
    )
