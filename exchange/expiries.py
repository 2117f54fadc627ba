"""The expiry board: everything of a community that ends, who has to renew it, and when to say so.

Pure: it answers from the trusted documents and the time it is given. A node warns of what is its
own and notes what is its peers'; a coordinator writes it into its log; the command shows all of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from exchange.link.certificate import expires_ms
from keys.roster import Roster
from protocol.digest import certificate_id
from protocol.documents import KeyEntry, Role, StateManifest, StateStatus
from protocol.errors import FormatError
from protocol.text import format_utc

DAY_MS = 24 * 3600 * 1000
GOVERNANCE = "governance"
THRESHOLDS = (60, 30, 14, 7, 1, 0)
"""Days before the end at which it is said; 0 says that it has ended."""
DAILY_THRESHOLDS = (5, 1, 0)
"""Those of daily keys, which a node renews by itself a week ahead: it is said when that has failed."""


class What(StrEnum):
    """What ends."""

    ROOT = "root document"
    DIRECTORY = "directory"
    MANIFEST = "manifest"
    NODE_KEY = "node key"
    OFFICER_KEY = "officer key"
    CERTIFICATE = "TLS certificate"
    DAILY_KEYS = "daily keys"


@dataclass(frozen=True, slots=True)
class Expiry:
    """One thing that ends.

    Attributes:
        party: Whose it is: a state's or coordinator's code, or ``governance``.
        what: What it is.
        id: The hash or key id that names this very thing, in hexadecimal.
        name: Whose key it is, or nothing.
        ends_ms: When it ends.
        followed: Whether the next one of its kind is listed already, so that nothing is lost at the end.
    """

    party: str
    what: What
    id: str
    name: str
    ends_ms: int
    followed: bool

    def days_left(self, now_ms: int) -> int:
        """Return how many whole days are left; negative once it has ended."""
        return (self.ends_ms - now_ms) // DAY_MS

    def due(self, now_ms: int) -> int | None:
        """Return the last threshold that was passed, in days, or None while there is time.

        What is followed by a next one is never due.
        """
        if self.followed:
            return None
        thresholds = DAILY_THRESHOLDS if self.what is What.DAILY_KEYS else THRESHOLDS
        passed = [days for days in thresholds if self.ends_ms - now_ms <= days * DAY_MS]
        return min(passed, default=None)

    def sentence(self, now_ms: int) -> str:
        """Return in words what ends and when, without whose it is."""
        whose = f" of {self.name}" if self.what is What.OFFICER_KEY else ""
        left = self.days_left(now_ms)
        when = "ended" if self.ends_ms <= now_ms else f"ends in {left} {'day' if left == 1 else 'days'},"
        return f"{self.what}{whose} {when} on {format_utc(self.ends_ms)[:10]}"


def board(roster: Roster) -> tuple[Expiry, ...]:
    """Return everything that ends, what ends next first; suspended states are left out."""
    found = [*_governance(roster), *_coordinators(roster)]
    for state in roster.states():
        if state.status is StateStatus.ACTIVE:
            found += _state(roster, state.code)
    return tuple(sorted(found, key=lambda one: (one.ends_ms, one.party, one.what, one.id)))


def _governance(roster: Roster) -> Iterator[Expiry]:
    documents = roster.documents
    if documents.root is not None:
        held = documents.root
        yield Expiry(GOVERNANCE, What.ROOT, held.hash.hex(), "", held.document.expires_ms, followed=False)
    if documents.directory is not None:
        listed = documents.directory
        ends_ms = listed.document.expires_ms
        yield Expiry(GOVERNANCE, What.DIRECTORY, listed.hash.hex(), "", ends_ms, followed=False)


def _coordinators(roster: Roster) -> Iterator[Expiry]:
    for entry in roster.coordinators():
        yield from _certificates(entry.code, entry.certificates)


def _state(roster: Roster, code: str) -> Iterator[Expiry]:
    documents = roster.documents
    manifest = documents.manifest(code)
    if manifest is not None:
        digest = documents.manifests[code].hash.hex()
        yield Expiry(code, What.MANIFEST, digest, "", manifest.expires_ms, followed=False)
        yield from _keys(code, manifest, {key_id for state, key_id in documents.revoked if state == code})
        yield from _certificates(code, manifest.certificates)
    held = documents.prekeys.get(code)
    if held is not None:
        ends_ms = held.document.keys[-1].use_until_ms
        yield Expiry(code, What.DAILY_KEYS, held.hash.hex(), "", ends_ms, followed=False)


def _keys(code: str, manifest: StateManifest, revoked: set[bytes]) -> Iterator[Expiry]:
    living = [key for key in manifest.keys if key.key_id not in revoked]
    for key in living:
        what = What.NODE_KEY if key.role is Role.NODE else What.OFFICER_KEY
        followed = any(_follows(key, other) for other in living)
        yield Expiry(code, what, key.key_id.hex(), key.owner, key.until_ms, followed)


def _follows(key: KeyEntry, other: KeyEntry) -> bool:
    """Whether another key of the same use begins before this one ends, and outlasts it."""
    if other.role is not key.role or (key.role is Role.OFFICER and other.owner != key.owner):
        return False
    return other.from_ms < key.until_ms < other.until_ms


def _certificates(party: str, certificates: Sequence[bytes]) -> Iterator[Expiry]:
    ends: dict[bytes, int] = {}
    for der in certificates:
        try:
            ends[der] = expires_ms(der)
        except FormatError:
            continue  # nobody can use it, so that its end changes nothing
    last_ms = max(ends.values(), default=0)
    for der, ends_ms in ends.items():
        name = certificate_id(der).hex()
        yield Expiry(party, What.CERTIFICATE, name, "", ends_ms, followed=ends_ms < last_ms)
