"""What every part of a node shares: who it is, its clock, store, keys and bells."""

from __future__ import annotations

from dataclasses import dataclass, field

from exchange.clock import Clock
from exchange.node.bell import Bell
from exchange.node.heads import Heads
from exchange.node.restored import Restored
from exchange.node.signing import NodeKeys
from exchange.stores.engine import Engine
from exchange.unsealer.client import Unsealer
from keys.note_keys import NoteSecret
from keys.signer import Signer, Verifier
from keys.trust import TrustedDirectory
from keys.vault import Vault


@dataclass(frozen=True, slots=True)
class NodeContext:
    """One node's identity and means.

    Args:
        state: The code of the state this node speaks for.
        coordinator: The code of the coordinator it uses.
        clock: The only source of time.
        engine: The node's store.
        vault: Locks what the store must not reveal.
        directory: The trusted documents.
        verifier: Checks signatures.
        unsealer: Opens what was sealed to this node; the keys for it are in another process.
        keys: The node's signing keys; which one is used depends on the time.
        outgoing: Rings when there is something for the coordinator.
        events: Rings when there is a new event.
        heads: The newest verified checkpoints of the ledger.
        restored: Whether the store is an older copy, so that nothing may be signed.
    """

    state: str
    coordinator: str
    clock: Clock
    engine: Engine
    vault: Vault = field(repr=False)
    directory: TrustedDirectory
    verifier: Verifier
    unsealer: Unsealer
    keys: NodeKeys
    outgoing: Bell
    events: Bell
    heads: Heads = field(default_factory=Heads)
    restored: Restored = field(default_factory=Restored)

    @property
    def signer(self) -> Signer:
        """The node key that signs now; take it once for one piece of work, for the next may differ.

        Raises:
            UnknownSigner: none may sign now.
            NodeRestored: the store is an older copy.
        """
        self.restored.require_own_word()
        return self.keys.signer(self.clock.now_ms())

    @property
    def witness(self) -> NoteSecret:
        """The keys with which this node cosigns checkpoints of the ledger now.

        Raises:
            NodeRestored: the store is an older copy.
        """
        self.restored.require_own_word()
        return self.keys.witness()
