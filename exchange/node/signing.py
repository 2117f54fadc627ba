"""Which of a node's keys signs now: several are held, their windows overlap, and one follows another.

A key signs from the day that the state's own manifest gives it, and only once the coordinator has
accepted that manifest: before, nobody else could know the key. So a switch needs no appointment.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from exchange.node.bell import Bell
from keys.note_keys import NoteSecret
from keys.roster import Roster
from keys.signer import Signer
from keys.trust import MAX_SKEW_MS
from protocol.documents import Role, StateManifest
from protocol.errors import UnknownSigner

NOT_LET_IN = "not-let-in"
"""The alarm of a node of which the coordinator knows no key that counts."""
ROTATE = "almenara key rotate node --data DIR --identity FILE"
BY_FILE = (
    "carry the newest manifest to the coordinator as a file: almenara node community --data DIR -o "
    "community.alm; it is not secret; the coordinator's operator types: almenara coordinator join --data HUB "
    "community.alm"
)
"""What to do when the coordinator knows no key by which it would let this node in."""


class NodeKeys:
    """The node keys and witness keys that this node holds.

    Args:
        state: The code of the state.
        directory: The trusted documents.
        signers: The node keys, unlocked.
        witnesses: The keys with which this node cosigns, unlocked; at least one.

    Attributes:
        changed: Rings when the coordinator has accepted a new manifest, so that other keys may count.
    """

    def __init__(
        self, state: str, directory: Roster, signers: Iterable[Signer], witnesses: Iterable[NoteSecret]
    ) -> None:
        self._state = state
        self._directory = directory
        self._signers = {signer.key_id: signer for signer in signers}
        self._witnesses = list(witnesses)
        self._accepted: StateManifest | None = None
        self._waiting: dict[bytes, StateManifest] = {}
        self.changed = Bell()

    # What the coordinator knows.

    @property
    def accepted(self) -> StateManifest | None:
        """The newest own manifest that the coordinator has, or None if that is not known."""
        manifest = self._directory.documents.manifest(self._state)
        return self._accepted if self._waiting else manifest

    @property
    def awaits_coordinator(self) -> bool:
        """Whether an own manifest is on its way, so that another key may count soon."""
        return bool(self._waiting)

    def begin(self, accepted: StateManifest | None, waiting: dict[bytes, StateManifest]) -> None:
        """Say where things stand at the start.

        Args:
            accepted: The newest own manifest that the coordinator has accepted, if one is known.
            waiting: Those that it must still be given, by their hash, in order.
        """
        self._accepted, self._waiting = accepted, dict(waiting)

    def queue(self, digest: bytes, manifest: StateManifest) -> None:
        """Say that a new own manifest waits to be handed over; call it before it is trusted here."""
        self._accepted = self.accepted
        self._waiting[digest] = manifest

    def has_accepted(self, digest: bytes) -> None:
        """Say that the coordinator has accepted a document of this hash, whatever it is."""
        if digest in self._waiting:
            self._accepted = self._waiting.pop(digest)
            self.changed.ring()

    def wait_only_for(self, queued: Collection[bytes]) -> None:
        """Say which documents are still to be handed over; what is not among them was accepted."""
        for digest in [digest for digest in self._waiting if digest not in queued]:
            self.has_accepted(digest)

    # What is held.

    def hold(self, signer: Signer) -> None:
        """Take up one more node key."""
        self._signers[signer.key_id] = signer

    def hold_witness(self, secret: NoteSecret) -> None:
        """Take up one more pair of witness keys."""
        self._witnesses.append(secret)

    def holds(self, key_id: bytes) -> bool:
        """Whether this node has the secret half of a node key."""
        return key_id in self._signers

    def holds_witness(self, ed25519: bytes) -> bool:
        """Whether this node has the secret half of a witness's Ed25519 key."""
        return any(secret.ed25519 == ed25519 for secret in self._witnesses)

    # What is used.

    def signer(self, now_ms: int) -> Signer:
        """Return the node key that signs now: the one whose window began last.

        Raises:
            UnknownSigner: none may, so that nobody would believe what it signed.
        """
        usable, why = self._usable(now_ms)
        if not usable and self._directory.is_suspended(self._state):
            raise UnknownSigner(
                f"{self._state} is suspended: nobody would believe what it signs",
                hint="Ask the secretariat why; this node goes on by itself when governance reinstates it.",
            )
        if not usable:
            raise UnknownSigner(
                f"no node key of {self._state} may sign now: {why}",
                hint="See what is wrong with each: almenara key check --data DIR; make one that is used at "
                f"once: {ROTATE}; then {BY_FILE}",
            )
        return usable[0]

    def greeting(self, now_ms: int) -> tuple[Signer, ...]:
        """Return the node keys to prove who we are with, best first; without a usable one, all.

        By a clock that is wrong none may be usable, and it is the session that shows the right time.
        """
        usable, _ = self._usable(now_ms)
        return usable or tuple(reversed(self._signers.values()))

    def can_come_in(self, now_ms: int) -> bool:
        """Whether the coordinator knows a key of this node that counts, so that it would let it in."""
        manifest = self.accepted
        if manifest is None:
            return True
        documents = self._directory.documents
        revoked = {item.key_id for item in manifest.revoked}
        return any(
            key.key_id in self._signers and key.from_ms <= now_ms < key.until_ms and key.key_id not in revoked
            for key in manifest.keys
            if key.role is Role.NODE and documents.compromised_ms(self._state, key.key_id) is None
        )

    def witness(self) -> NoteSecret:
        """Return the keys to cosign with: those of the manifest that the coordinator has."""
        manifest = self.accepted
        if manifest is not None:
            for secret in self._witnesses:
                if secret.ed25519 == manifest.witness.ed25519:
                    return secret
        return self._witnesses[-1]

    def _usable(self, now_ms: int) -> tuple[tuple[Signer, ...], str]:
        """Return the keys that may sign, best first, and why the last one that may not does not."""
        usable: list[tuple[bool, int, Signer]] = []
        why = "this node holds none"
        for key_id, signer in self._signers.items():
            try:
                entry = self._directory.node_key(self._state, key_id, now_ms)
            except UnknownSigner as error:
                why = error.message
                continue
            if self._is_known(key_id, now_ms):
                # Not the first at once: by a clock that is a little behind, its window has not begun.
                usable.append((entry.from_ms + MAX_SKEW_MS <= now_ms, entry.from_ms, signer))
            else:
                why = f"the coordinator has not accepted the manifest with key {key_id.hex()[:16]} yet"
        usable.sort(key=lambda one: one[:2])
        return tuple(signer for _, _, signer in reversed(usable)), why

    def _is_known(self, key_id: bytes, now_ms: int) -> bool:
        manifest = self.accepted
        if manifest is None:
            return True
        return any(
            key.key_id == key_id and key.role is Role.NODE and key.from_ms <= now_ms < key.until_ms
            for key in manifest.keys
        )
