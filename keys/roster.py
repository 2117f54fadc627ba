"""Looking up who may do what, in the documents that are trusted now.

:class:`Roster` only answers; what it answers from is replaced by :mod:`keys.trust` as a whole.
An online key counts while its state is active, the state's manifest is signed by the identity
key that the directory names *now* and has not expired, and the key is inside its own window
and not revoked.

A revocation counts from its place in the log on. Whoever takes something new asks
:meth:`Roster.require_unrevoked`, whatever times the object and the revocation state; whoever judges
what was logged before does not, because a revocation that came later changes nothing about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from keys.held import Documents
from protocol.digest import signing_key_id
from protocol.documents import (
    TAIL_MS,
    CoordinatorEntry,
    Directory,
    KeyEntry,
    Prekey,
    PrekeyList,
    Role,
    Root,
    StateEntry,
    StateStatus,
)
from protocol.errors import (
    DocumentExpired,
    KeyRevoked,
    NoUsableKey,
    SuiteRefused,
    UnknownSigner,
    UnknownState,
)
from protocol.notice import DirectoryHead
from protocol.suite import KNOWN_SUITES
from protocol.text import format_utc


class PrekeyChoice(NamedTuple):
    """The one prekey to seal to now; with ``tail`` set, forward secrecy is reduced."""

    prekey: Prekey
    tail: bool


class Published(NamedTuple):
    """The newest trusted version of one publication of one state."""

    state: str
    name: str
    version: int
    content: bytes


class Roster:
    """Answers from the trusted documents. Times are UTC milliseconds, given by the caller."""

    def __init__(self, community: bytes) -> None:
        self._community = community
        self._trusted = Documents()

    @property
    def community(self) -> bytes:
        """The community's 32-byte id: the hash of its first root document, as pinned."""
        return self._community

    @property
    def root(self) -> Root:
        """The trusted root. Raises VersionGap while there is none."""
        return self._trusted.trusted_root().document

    @property
    def directory(self) -> Directory:
        """The trusted directory. Raises VersionGap while there is none."""
        return self._trusted.trusted_directory().document

    @property
    def documents(self) -> Documents:
        """Everything that is trusted at this moment, as one immutable value."""
        return self._trusted

    def head(self) -> DirectoryHead:
        """Return version and hash of the directory; version 0 and zeros while there is none."""
        held = self._trusted.directory
        if held is None:
            return DirectoryHead(version=0, hash=bytes(32))
        return DirectoryHead(version=held.document.version, hash=held.hash)

    def contradicts(self, head: DirectoryHead) -> bool:
        """Return whether a peer resolved keys from another directory of this same version."""
        mine = self.head()
        return head.version == mine.version and head.hash != mine.hash

    def require_fresh(self, now_ms: int) -> None:
        """Return only if neither the root nor the directory has expired.

        Raises:
            DocumentExpired: one has; members and keys may have changed since.
            VersionGap: there is none yet.
        """
        for what, expires_ms in (("root", self.root.expires_ms), ("directory", self.directory.expires_ms)):
            if expires_ms <= now_ms:
                raise DocumentExpired(
                    f"the {what} document expired at {format_utc(expires_ms)}",
                    hint=f"Ask the secretariat for the next {what} document; check this machine's clock.",
                )

    def states(self) -> tuple[StateEntry, ...]:
        """Return every listed state, suspended ones too, sorted by code."""
        return self._trusted.directory.document.states if self._trusted.directory else ()

    def coordinators(self) -> tuple[CoordinatorEntry, ...]:
        """Return every listed coordinator, sorted by code."""
        return self._trusted.directory.document.coordinators if self._trusted.directory else ()

    def is_suspended(self, code: str) -> bool:
        """Return whether the directory lists a state as suspended."""
        entry = self._trusted.entry(code)
        return entry is not None and entry.status is StateStatus.SUSPENDED

    def state(self, code: str, now_ms: int) -> StateEntry:
        """Return an active state of a directory that has not expired.

        Raises:
            UnknownState: it is not listed, or suspended.
            DocumentExpired: root or directory has expired at ``now_ms``.
        """
        self.require_fresh(now_ms)
        return self._active(code)

    def coordinator(self, code: str) -> CoordinatorEntry:
        """Return a coordinator. Raises UnknownState if the directory lists none of this code."""
        for entry in self.coordinators():
            if entry.code == code:
                return entry
        raise UnknownState(f"{code} is not a coordinator in the directory")

    def node_key(self, state: str, key_id: bytes, at_ms: int) -> KeyEntry:
        """Return the node key of this id, if it may sign for this state now.

        Raises:
            KeyRevoked: it is revoked, whatever time the revocation states.
            UnknownSigner: it may not; the message says why.
        """
        self.require_unrevoked(state, key_id)
        return self._key(state, key_id, Role.NODE, at_ms)

    def officer_key(self, state: str, key_id: bytes, at_ms: int) -> KeyEntry:
        """Return the officer key of this id, if it may sign for this state now.

        Raises:
            KeyRevoked: it is revoked, whatever time the revocation states.
            UnknownSigner: it may not; the message says why.
        """
        self.require_unrevoked(state, key_id)
        return self._key(state, key_id, Role.OFFICER, at_ms)

    def officer_name(self, state: str, key_id: bytes, at_ms: int, *, knew: int | None = None) -> str:
        """Return who had this officer key at this time, revoked since or not.

        With ``knew``, also if the state was suspended only by a later directory than that version.

        Raises:
            UnknownSigner: the state's manifest does not list it for that time.
        """
        return self._key(state, key_id, Role.OFFICER, at_ms, knew).owner

    def require_unrevoked(self, party: str, key_id: bytes) -> None:
        """Return only if neither its own state nor governance has withdrawn this key.

        Raises:
            KeyRevoked: one has, whatever time it names.
        """
        name = key_id.hex()[:16]
        since_ms = self._trusted.compromised_ms(party, key_id)
        if since_ms is not None:
            raise KeyRevoked(
                f"governance confirms that the key {name} of {party} is compromised "
                f"since {format_utc(since_ms)}"
            )
        if (party, key_id) in self._trusted.revoked:
            raise KeyRevoked(f"{party} has revoked its key {name}")

    def signer_key(
        self,
        party: str,
        key_id: bytes,
        role: Role,
        at_ms: int,
        *,
        knew: int | None = None,
        late: bool = False,
    ) -> bytes:
        """Return the public key with which this party signs in this role at this time.

        Whether the key was revoked is not asked here: see :meth:`require_unrevoked`.

        Args:
            party: A state's code, or a coordinator's for the role COORDINATOR.
            key_id: The id that the signed object names.
            role: NODE, OFFICER or COORDINATOR.
            at_ms: The time that the signed object states.
            knew: The directory version that the signed object names, if it names one: a statement key
                counts for what was said before a directory replaced it.
            late: A coordinator has recorded the object, and it only arrives now: a state's key counts for
                what was said before a directory suspended the state.

        Raises:
            UnknownSigner: it may not; the message says why.
        """
        if role is not Role.COORDINATOR:
            return self._key(party, key_id, role, at_ms, knew if late else None).key
        for entry in self.coordinators():
            if entry.code == party and signing_key_id(entry.key) == key_id:
                return entry.key
        former = self._trusted.former.get((party, key_id))
        if former is not None and knew is not None and knew < former.replaced_in:
            return former.public
        raise UnknownSigner(f"the directory names no coordinator {party} with this key")

    def prekey(self, state: str, now_ms: int) -> PrekeyChoice:
        """Return the one prekey to which a notice for this state is sealed now.

        It is the key whose day it is. After the last day it is the last key, for up to
        :data:`protocol.documents.TAIL_MS`, if the list allows it. Nobody is asked.

        Raises:
            UnknownState, DocumentExpired: as :meth:`state`.
            NoUsableKey: there is none; the message says why.
        """
        listed = self._usable_prekeys(state, now_ms)
        last = listed.keys[-1]
        if listed.tail and last.use_until_ms <= now_ms < last.use_until_ms + TAIL_MS:
            # A silent node publishes no new list: its tail key outlives the list's own expiry.
            return PrekeyChoice(last, tail=True)
        if listed.expires_ms <= now_ms:
            raise NoUsableKey(f"the prekey list of {state} expired at {format_utc(listed.expires_ms)}")
        for prekey in listed.keys:
            if prekey.use_from_ms <= now_ms < prekey.use_until_ms:
                return PrekeyChoice(prekey, tail=False)
        if now_ms >= last.use_until_ms:
            ended = format_utc(last.use_until_ms)
            raise NoUsableKey(f"the last sealing key of {state} ended at {ended}: its node is silent")
        raise NoUsableKey(
            f"{state} published no sealing key for this time; its next one starts later",
            hint="Check this machine's clock; if it is right, warn that state by other means.",
        )

    def require_suite(self, suite: int) -> None:
        """Return only if the root allows this suite and this program knows it.

        Raises:
            SuiteRefused: otherwise.
        """
        if suite not in self.root.suites or suite not in KNOWN_SUITES:
            raise SuiteRefused(f"the suite 0x{suite:04x} is not allowed in this community")

    def allowed_suite(self, states: Sequence[str]) -> int:
        """Return the root's first suite that this program and all these states support.

        Raises:
            SuiteRefused: there is none.
        """
        offers = [manifest.suites if (manifest := self._trusted.manifest(code)) else () for code in states]
        for suite in self.root.suites:
            if suite in KNOWN_SUITES and all(suite in offer for offer in offers):
                return suite
        raise SuiteRefused(
            "no cryptographic suite is allowed here and supported by all the recipients",
            hint="Send to fewer recipients at a time to find the one whose manifest is missing or old.",
        )

    def certificates(self, party: str) -> frozenset[bytes]:
        """Return the TLS certificates pinned for a party, in DER; none if it takes no part now."""
        for coordinator in self.coordinators():
            if coordinator.code == party:
                return frozenset(coordinator.certificates)
        entry, manifest = self._trusted.entry(party), self._trusted.manifest(party)
        if entry is None or manifest is None or entry.status is not StateStatus.ACTIVE:
            return frozenset()
        return frozenset(manifest.certificates)

    def publications(self, topic: str) -> tuple[Published, ...]:
        """Return the newest version of each publication on a topic, by state and name."""
        return tuple(
            Published(state, name, held.document.version, held.document.content)
            for (state, about, name), held in sorted(self._trusted.publications.items())
            if about == topic
        )

    def _active(self, code: str) -> StateEntry:
        entry = self._trusted.entry(code)
        if entry is None:
            raise UnknownState(f"{code} is not a member state in the directory")
        if entry.status is not StateStatus.ACTIVE:
            raise UnknownState(
                f"{code} is suspended", hint="Leave it out; the secretariat knows why it is suspended."
            )
        return entry

    def _key(self, state: str, key_id: bytes, role: Role, at_ms: int, knew: int | None = None) -> KeyEntry:
        entry, manifest = self._trusted.entry(state), self._trusted.manifest(state)
        was_active = knew is not None and knew < self._trusted.suspended.get(state, 0)
        if entry is None or not (entry.status is StateStatus.ACTIVE or was_active):
            raise UnknownSigner(f"{state} is not an active state of the directory")
        if manifest is None:
            raise UnknownSigner(f"{state} has no manifest signed by its present identity key")
        if manifest.expires_ms <= at_ms:
            raise UnknownSigner(f"the manifest of {state} expired at {format_utc(manifest.expires_ms)}")
        for key in manifest.keys:
            if key.key_id == key_id and key.role is role:
                break
        else:
            raise UnknownSigner(f"{state} lists no {role} key {key_id.hex()[:16]}")
        if not key.from_ms <= at_ms < key.until_ms:
            raise UnknownSigner(f"the {role} key {key_id.hex()[:16]} of {state} was not valid at that time")
        return key

    def _usable_prekeys(self, state: str, now_ms: int) -> PrekeyList:
        """Return the state's prekey list, if senders may use it at all."""
        self.state(state, now_ms)
        held = self._trusted.prekeys.get(state)
        if held is None:
            raise NoUsableKey(f"{state} has published no sealing keys yet")
        manifest = self._trusted.manifest(state)
        if manifest is None:
            raise NoUsableKey(f"{state} has no manifest signed by its present identity key")
        if held.signer not in {key.key_id for key in manifest.keys}:
            raise NoUsableKey(f"the sealing keys of {state} were signed by a key that it no longer lists")
        if held.signer is not None and self._trusted.withdrawn_ms(state, held.signer) is not None:
            raise NoUsableKey(f"the sealing keys of {state} were signed by a key that is revoked")
        return held.document
