"""Which key may say what at one place of the ledger, judged by the documents logged before it.

Not by the time that the statement states, which its signer chooses: a key that was revoked before
this place is refused here, and a revocation that was logged later changes nothing about it.
"""

from __future__ import annotations

from dataclasses import dataclass

from keys.quorum import Quorum, quorum_of
from keys.roster import Roster
from keys.trust import MAX_SKEW_MS
from protocol.digest import signing_key_id
from protocol.documents import Role, StateStatus
from protocol.errors import UnknownSigner
from protocol.ledger.origins import Log
from protocol.text import format_utc


@dataclass(frozen=True, slots=True)
class KeyLife:
    """A key that may be used, its owner's name, and when: from ``from_ms``, before ``until_ms``."""

    public: bytes
    owner: str
    from_ms: int
    until_ms: int

    def covers(self, said_ms: int) -> bool:
        """Return whether the key may be used at this time."""
        return self.from_ms <= said_ms < self.until_ms


_FOR_EVER_MS = 2**63 - 1


class KeyBook:
    """Answers for one place of the ledger; a new one is made whenever the documents grow.

    Args:
        roster: The documents so far.
        coordinator: Whose ledger it is.
    """

    def __init__(self, roster: Roster, coordinator: str) -> None:
        self._roster = roster
        self._coordinator = coordinator
        self._found: dict[tuple[str, bytes, Role], KeyLife | str] = {}
        self._quorum: Quorum | None = None
        self._suites: frozenset[int] | None = None

    def find(self, party: str, key_id: bytes, role: Role) -> KeyLife:
        """Return the key of this id, if the party may use it in this role at this place.

        Raises:
            UnknownSigner: it may not; the message says why.
        """
        wanted = (party, key_id, role)
        found = self._found.get(wanted)
        if found is None:
            found = self._found[wanted] = self._look_up(party, key_id, role)
        if isinstance(found, str):
            raise UnknownSigner(found)
        return found

    def may_sign(self, party: str, key_id: bytes, role: Role, said_ms: int, logged_ms: int) -> KeyLife:
        """Return the key, if it may be used in this role at the time that its object states.

        Raises:
            UnknownSigner: the key has no such role here, or the stated time is outside its life, or
                later than the object was logged.
        """
        life = self.find(party, key_id, role)
        if not life.covers(said_ms):
            raise UnknownSigner(
                f"the {role} key {key_id.hex()[:16]} of {party} is valid from {format_utc(life.from_ms)} "
                f"until {_end(life.until_ms)}; this says {format_utc(said_ms)}"
            )
        if said_ms > logged_ms + MAX_SKEW_MS:
            raise UnknownSigner(f"this claims to be made at {format_utc(said_ms)}, after it was logged")
        return life

    def require_suite(self, suite: int) -> None:
        """Return only if the root allows this suite here. Raises SuiteRefused otherwise."""
        if self._suites is None or suite not in self._suites:
            self._roster.require_suite(suite)
            self._suites = (self._suites or frozenset()) | {suite}

    def quorum(self) -> Quorum:
        """Return who must have signed a checkpoint of the acknowledgement log at this place.

        Raises:
            TrustError, UnknownState: the documents name no such coordinator.
        """
        if self._quorum is None:
            self._quorum = quorum_of(self._roster, self._coordinator, Log.ACK)
        return self._quorum

    def _look_up(self, party: str, key_id: bytes, role: Role) -> KeyLife | str:
        if self._roster.documents.compromised_ms(party, key_id) is not None:
            return (
                f"governance had confirmed before this place that this {role} key of {party} is compromised"
            )
        if role is Role.COORDINATOR:
            return self._coordinator_key(party, key_id)
        documents = self._roster.documents
        entry, manifest = documents.entry(party), documents.manifest(party)
        if entry is None or entry.status is not StateStatus.ACTIVE:
            return f"{party} is not an active state of the directory at this place"
        if manifest is None:
            return f"{party} has no manifest signed by its present identity key at this place"
        if (party, key_id) in documents.revoked:
            return f"{party} had revoked its {role} key {key_id.hex()[:16]} before this place"
        for key in manifest.keys:
            if key.role is role and key.key_id == key_id:
                until_ms = min(key.until_ms, manifest.expires_ms)
                return KeyLife(key.key, key.owner, key.from_ms, until_ms)
        return f"{party} lists no {role} key {key_id.hex()[:16]} at this place"

    def _coordinator_key(self, party: str, key_id: bytes) -> KeyLife | str:
        for entry in self._roster.coordinators():
            if party == self._coordinator == entry.code and signing_key_id(entry.key) == key_id:
                return KeyLife(entry.key, entry.name, 0, _FOR_EVER_MS)
        return f"the directory at this place names no coordinator {party} with this key"


def _end(until_ms: int) -> str:
    return "for ever" if until_ms == _FOR_EVER_MS else format_utc(until_ms)
