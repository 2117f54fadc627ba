"""Telling people that another member's key counts no more, and how much came from it."""

from __future__ import annotations

from typing import NamedTuple

import apsw

from exchange.node.exposure import counts_of
from exchange.stores.node_books import has_alarm, raise_alarm, record_event
from keys.held import Documents
from protocol.text import format_utc

ALARM = "peer-key-revoked"
ORDINARY = frozenset({"withdrawn", "retired"})
"""Reasons for which nobody needs to be alarmed: an event says so."""


class Withdrawn(NamedTuple):
    """A key of another party that was withdrawn just now, and from when on it is said not to count."""

    party: str
    key_id: bytes
    since_ms: int
    confirmed: bool
    reason: str = "confirmed by governance"

    @property
    def is_ordinary(self) -> bool:
        """Whether it ended as keys do: somebody left, or the key was no longer wanted."""
        return not self.confirmed and self.reason in ORDINARY


def newly_withdrawn(state: str, before: Documents, after: Documents) -> tuple[Withdrawn, ...]:
    """Return the keys of others that were revoked or confirmed as compromised between two moments.

    A revocation of what was never a key of that party says nothing to anybody, and could bury what does.
    """
    revoked = [
        Withdrawn(party, key_id, since_ms, confirmed=False, reason=_reason(after, party, key_id))
        for (party, key_id), since_ms in after.revoked.items()
        if (party, key_id) not in before.revoked
        if key_id in after.owners and after.owners[key_id].party == party
    ]
    listed = after.directory.document.compromised if after.directory else ()
    confirmed = [
        Withdrawn(one.party, one.key_id, one.since_ms, confirmed=True)
        for one in listed
        if before.compromised_ms(one.party, one.key_id) != one.since_ms
    ]
    return tuple(one for one in (*revoked, *confirmed) if one.party != state)


def _reason(documents: Documents, party: str, key_id: bytes) -> str:
    manifest = documents.manifest(party)
    listed = () if manifest is None else manifest.revoked
    return next((item.reason for item in listed if item.key_id == key_id), "for no known reason")


def tell_withdrawn(db: apsw.Connection, found: Withdrawn, now_ms: int) -> None:
    """Raise the alarm, with how many notices and statements of that time are here; without any, note it."""
    name = found.key_id.hex()
    about = f"{name} {'confirmed' if found.confirmed else 'revoked'}"
    if has_alarm(db, ALARM, about):
        return
    notices, statements = counts_of(db, found.party, found.key_id, found.since_ms)
    if found.is_ordinary or (notices, statements) == (0, 0):
        # Nobody is concerned: an officer who left, or a key of which nothing has come here since.
        detail = f"{found.party} has ended the key {name[:16]} ({found.reason}); nothing is to be done here"
        record_event(db, now_ms, "keys.ended", state=found.party, detail=detail)
        return
    who = "governance confirms that a key" if found.confirmed else f"{found.party} has revoked a key"
    what = f" of {found.party} was compromised" if found.confirmed else ""
    message = (
        f"{who}{what} as of {format_utc(found.since_ms)}; since then it signed {notices} notice(s) and "
        f"{statements} statement(s) that this node has"
    )
    hint = (
        f"See each one: almenara key exposure {name[:16]} --since {format_utc(found.since_ms)} --data DIR "
        f"--token-file TOKEN; call {found.party} on another channel about them"
    )
    raise_alarm(db, ALARM, about, message, hint, now_ms)
    record_event(db, now_ms, "keys.revoked", state=found.party, code=ALARM, detail=message)
