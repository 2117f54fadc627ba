"""One state's node, put together from its parts; which faces it shows is decided in ``exchange.serve``."""

from __future__ import annotations

import random
from collections.abc import Coroutine
from typing import Any

from exchange.clock import Clock
from exchange.datadir import DataDir
from exchange.node.addresses import Addresses
from exchange.node.answers import Answers
from exchange.node.backoff import Backoff
from exchange.node.bell import Bell
from exchange.node.comparing import load_heads
from exchange.node.context import NodeContext
from exchange.node.courier import Courier
from exchange.node.desk import Desk
from exchange.node.expiring import Expiring
from exchange.node.health import Health
from exchange.node.inbox import Inbox
from exchange.node.keykeeper import Keykeeper
from exchange.node.ledger import Ledger
from exchange.node.link_state import LinkState
from exchange.node.mirror import Mirror, begin_keys, load_directory
from exchange.node.officers import Officers
from exchange.node.openings import Openings
from exchange.node.outbox import Outbox
from exchange.node.papers import Papers
from exchange.node.prekeeper import Prekeeper
from exchange.node.receipts import Receipts
from exchange.node.resealer import Resealer
from exchange.node.restored import read_restored
from exchange.node.schemas import SchemaBook
from exchange.node.sealer import Sealer
from exchange.node.secrets import NodeSecrets
from exchange.node.signing import NodeKeys
from exchange.node.tls_files import Certificates
from exchange.node.tokens import TokenBook
from exchange.passphrases import PassphraseSource
from exchange.pinned_root import read_pinned_root
from exchange.settings import NodeSettings
from exchange.stores.engine import Engine
from exchange.stores.node_books import read_documents, save_fact
from exchange.unsealer.client import Unsealer
from keys.signer import Verifier
from keys.trust import TrustedDirectory
from keys.vault import Vault
from protocol.documents import split_addresses
from protocol.errors import SetupError

MIGRATIONS = "exchange.stores.sql.node"


class Node:
    """The parts of one node, put together.

    Attributes:
        desk: Everything that may be asked of it.
        tokens: Who may ask.
    """

    def __init__(
        self,
        context: NodeContext,
        mirror: Mirror,
        settings: NodeSettings,
        place: DataDir,
        passphrase: PassphraseSource | None,
    ) -> None:
        self._context = context
        receipts = Receipts(context)
        schemas = SchemaBook(context.directory, context.state)
        link_state = LinkState(context.clock)
        sealer = Sealer(context)
        outbox = Outbox(context, schemas, link_state, sealer)
        self._resealer = Resealer(context, sealer, link_state)
        certificates = Certificates(place.keys)
        own = split_addresses(settings.coordinator_urls)
        backoff = Backoff(settings.retry_cap_s, random.random)
        addresses = Addresses(context.state, own, backoff, random.random)
        ledger = Ledger(context, link_state, place.evidence)
        answers = Answers(context, receipts)
        self._courier = Courier(context, certificates, mirror, answers, link_state, addresses, ledger)
        self._inbox = Inbox(context, Openings(context), receipts, self._courier.catch_up, link_state)
        self._prekeeper = Prekeeper(context, link_state)
        self._keykeeper = Keykeeper(context, place.keys, passphrase, Expiring(context, link_state))
        self.tokens = TokenBook(place.access)
        officers = Officers(context, place.officers, link_state)
        papers = Papers(context, mirror, self._keykeeper.look)
        self.desk = Desk(context, outbox, officers, schemas, Health(context, link_state), papers)

    @classmethod
    async def open(
        cls,
        settings: NodeSettings,
        place: DataDir,
        engine: Engine,
        secrets: NodeSecrets,
        unsealer: Unsealer,
        clock: Clock,
    ) -> Node:
        """Return a node whose directory stands where it left off.

        Raises:
            SetupError: the node has not joined a community, or its store was altered.
        """
        require_joined(settings)
        verifier = Verifier()
        directory = TrustedDirectory(read_pinned_root(place.path), verifier)
        load_directory(directory, await engine.read(read_documents))
        context = NodeContext(
            state=settings.state,
            coordinator=settings.coordinator,
            clock=clock,
            engine=engine,
            vault=Vault(secrets.vault_key),
            directory=directory,
            verifier=verifier,
            unsealer=unsealer,
            keys=NodeKeys(settings.state, directory, secrets.signers, secrets.witnesses),
            outgoing=Bell(),
            events=Bell(),
            restored=await read_restored(engine),
        )
        await load_heads(context)
        await begin_keys(context)
        return cls(context, await Mirror.open(context), settings, place, secrets.passphrase)

    def parts(self) -> tuple[Coroutine[Any, Any, None], ...]:
        """Return what runs for as long as the node does."""
        return (
            self._courier.run(self._inbox),
            self._prekeeper.run(),
            self._keykeeper.run(),
            self._resealer.run(),
        )

    async def require_writable(self) -> None:
        """Return once the store has taken a write; raises StoreFailed or OutcomeUnknown if it does not."""
        now_ms = self._context.clock.now_ms()
        await self._context.engine.write(lambda db: save_fact(db, "ready", now_ms))


def require_joined(settings: NodeSettings) -> None:
    """Return only if the node has a state and a coordinator.

    Raises:
        SetupError: it has not joined a community.
    """
    if not settings.state or not settings.coordinator:
        raise SetupError(
            "this node has not joined a community",
            hint="Join with: almenara node join --data DIR COMMUNITY-FILE",
        )
