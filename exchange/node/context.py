"""What every part of a node shares: who it is, its clock, store, keys and bells."""

from __future__ import annotations

from dataclasses import dataclass, field

from exchange.clock import Clock
from exchange.node.bell import Bell
from exchange.node.heads import Heads
from exchange.stores.engine import Engine
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
        signer: The node key.
        witness: The keys with which this node cosigns checkpoints of the ledger.
        outgoing: Rings when there is something for the coordinator.
        events: Rings when there is a new event.
        heads: The newest verified checkpoints of the ledger.
    """

    state: str
    coordinator: str
    clock: Clock
    engine: Engine
    vault: Vault = field(repr=False)
    directory: TrustedDirectory
    verifier: Verifier
    signer: Signer
    witness: NoteSecret
    outgoing: Bell
    events: Bell
    heads: Heads = field(default_factory=Heads)
