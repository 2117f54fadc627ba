"""The judgement of one statement at its place of the ledger: is it genuine, and what does it prove?"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from exchange.audit.verify.chains import Chains
from exchange.audit.verify.clock import CLOCK_SLACK_MS
from exchange.audit.verify.disclosure import Disclosures
from exchange.audit.verify.documents import DirectoryLog
from exchange.audit.verify.doubts import Doubts
from exchange.audit.verify.events import Events
from exchange.audit.verify.keys import KeyBook
from exchange.audit.verify.record import Record, document_at, leaf_at
from exchange.audit.verify.tree import StoredTree
from keys.quorum import Quorum, quorum_of
from keys.roster import Roster
from keys.signer import Verifier
from protocol.digest import tagged
from protocol.documents import Role
from protocol.errors import AlmenaraError, FormatError
from protocol.ledger.bundle import SignedManifest, parse_signed_manifest
from protocol.ledger.leaf import Leaf, leaf_digest
from protocol.ledger.origins import Log, origin
from protocol.notice import DirectoryHead, Header, envelope_id
from protocol.signed import Context, Proof
from protocol.statement import (
    MERGE_DELAY_MS,
    SIGNER_ROLE,
    SeenCheckpoint,
    SignedStatement,
    Statement,
    StatementKind,
    parse_statement,
    statement_id,
)
from protocol.text import format_utc

_SCALE = 2**64


class Sample:
    """Which objects' signatures are looked at: all, or some that the checkpoint's root chooses.

    Nobody can know the choice before the ledger is closed by the root, so nobody can avoid it.

    Args:
        root: The root of the ledger's checkpoint.
        wanted: About how many to choose; None for all.
        total: Out of how many.
    """

    def __init__(self, root: bytes, wanted: int | None, total: int) -> None:
        self._root = root
        self._all = wanted is None or wanted >= total
        self._below = 0 if wanted is None or not total else _SCALE * wanted // total

    def takes(self, leaf: int) -> bool:
        """Return whether the signatures behind this leaf are looked at."""
        if self._all:
            return True
        chosen = tagged("audit-sample", self._root, leaf.to_bytes(8, "big"))
        return int.from_bytes(chosen[:8], "big") < self._below


@dataclass(slots=True)
class Counted:
    """How many signed objects there were, and of how many the signature was verified."""

    total: int = 0
    checked: int = 0

    def count(self, *, checked: bool) -> None:
        """Count one more."""
        self.total += 1
        self.checked += checked


class Judge:
    """Judges statements in the order of their leaves; keeps the rules that hold at this place.

    Args:
        documents: The directory log, verified.
        tree: The ledger's leaves, at least up to the one that is judged.
        coordinator: Whose ledger it is.
        log_name: The log's name, without ``/ack``.
        verifier: Checks signatures.
        sample: Which signatures to check.
        chains: The signers' series.
        events: What is kept for the notices.
        disclosures: Notices that a state opened.
        doubts: What compromised keys signed.
        record: Where what is wrong is recorded.
    """

    def __init__(
        self,
        documents: DirectoryLog,
        tree: StoredTree,
        *,
        coordinator: str,
        log_name: str,
        verifier: Verifier,
        sample: Sample,
        chains: Chains,
        events: Events,
        disclosures: Disclosures,
        doubts: Doubts,
        record: Record,
    ) -> None:
        self._documents = documents
        self._replay = documents.replay()
        self._tree = tree
        self._coordinator = coordinator
        self._ack = origin(log_name, Log.ACK)
        self._dir = origin(log_name, Log.DIRECTORY)
        self._verifier = verifier
        self._sample = sample
        self._chains = chains
        self._events = events
        self._disclosures = disclosures
        self._doubts = doubts
        self._record = record
        self._book = KeyBook(self._replay.roster, coordinator)
        self._final: Quorum | None = None
        self._named_ms: int | None = None
        self._right_heads: set[tuple[int, bytes]] = set()
        self.advances: list[tuple[int, int]] = []
        self.statements = Counted()
        self.notices = Counted()

    @property
    def roster(self) -> Roster:
        """The documents that hold at this place."""
        return self._replay.roster

    def quorums(self) -> tuple[Quorum, ...]:
        """Return who must have signed a checkpoint: by the documents at this place, then by all."""
        found: list[Quorum] = []
        # Where documents name no coordinator, nobody's signature counts.
        with suppress(AlmenaraError):
            found.append(self._book.quorum())
        with suppress(AlmenaraError):
            self._final = self._final or quorum_of(self._documents.final, self._coordinator, Log.ACK)
            found.append(self._final)
        return tuple(found)

    def leaf(self, index: int, leaf: Leaf) -> None:
        """Judge the place of a leaf, whatever it commits to: no document was held back before it."""
        if leaf.type is StatementKind.DIRECTORY:
            return
        next_ms = self._documents.logged_ms(self._replay.size)
        if next_ms is not None and leaf.at_ms > next_ms + CLOCK_SLACK_MS:
            sentence = (
                f"document {self._replay.size} had been logged since {format_utc(next_ms)}, and the ledger "
                "went on without it: it may have revoked a key that counted here"
            )
            self._record.missing("directories", "held-back", sentence, leaf_at(index))

    def statement(self, index: int, leaf: Leaf, data: bytes, *, chained: bool) -> Statement | None:
        """Judge one statement; return it if it is genuine.

        Args:
            index: Its leaf.
            leaf: What the log commits to.
            data: The signed statement of the bundle.
            chained: Whether the bundle should hold its signer's statements around it.
        """
        record, place = self._record, leaf_at(index)
        if leaf_digest(data) != leaf.digest:
            sentence = f"the statement of leaf {index} is not, byte for byte, the one that the log holds"
            record.lost("statements", "statement-differs", sentence, place)
            return None
        try:
            signed, statement = parse_statement(data)
            if statement.kind is not leaf.type:
                raise FormatError("the leaf says another kind than its statement")
        except FormatError as error:
            record.lost("statements", "statement-malformed", error.message, place)
            return None
        record.passed("statements")
        if statement.kind is StatementKind.DIRECTORY:
            # The signer's key too is judged by what it announces: the first one makes it known.
            self._advance(index, leaf, statement)
        officer = self._signed(index, leaf, signed, statement)
        if officer is None:
            return None
        self._doubts.statement(index, statement)
        if chained:
            self._chains.follow(index, statement, statement_id(signed.body))
        self._check_seen(index, statement)
        self._check_head(index, statement.directory)
        if statement.kind is not StatementKind.DIRECTORY:
            role = SIGNER_ROLE[statement.kind]
            self._events.add(index, statement, officer if role is Role.OFFICER else None)
            self._disclosures.compare(index, statement)
        return statement

    def header(self, index: int, leaf: Leaf, relayed: Statement, data: bytes) -> None:
        """Judge the signed manifest of the notice that was relayed at this leaf."""
        try:
            signed, _, header = parse_signed_manifest(data)
            if envelope_id(signed.manifest) != relayed.envelope:
                raise FormatError("the header is not that of the notice that was relayed here")
            self._sender(index, leaf, signed, header)
        except AlmenaraError as error:
            self._record.failed("notices", "header", error.message, leaf_at(index))
            return
        self._doubts.header(index, header)
        self._check_head(index, header.directory)
        for addressee in header.recipients:
            if self._documents.published(addressee.state, addressee.prekey_id):
                self._record.passed("prekeys")
            else:
                sentence = f"the notice is sealed to a key that {addressee.state} has not published"
                self._record.failed("prekeys", "unknown-prekey", sentence, leaf_at(index))
        self._events.add_header(relayed.envelope, index, header)
        self._record.passed("notices")

    def _advance(self, index: int, leaf: Leaf, statement: Statement) -> None:
        seen, place = statement.seen, leaf_at(index)
        if seen is None or seen.origin != self._dir:
            self._record.failed("directories", "directory", "this names no directory log of ours", place)
        elif seen.size > self._documents.tree.size:
            sentence = f"this speaks of {seen.size} documents; the bundle has {self._documents.tree.size}"
            self._record.failed("directories", "directory", sentence, place)
        elif self._documents.tree.root(seen.size) != seen.root:
            sentence = f"the first {seen.size} documents are not those that were in force from here on"
            self._record.failed("directories", "seen-other-directory", sentence, place)
        elif seen.size < self._replay.size:
            self._record.failed("directories", "directory", "this takes documents back", place)
        else:
            self._check_logged(range(self._replay.size, seen.size), leaf.at_ms)
            self._replay.advance(seen.size)
            self._book = KeyBook(self._replay.roster, self._coordinator)
            self.advances.append((index, seen.size))
            self._record.passed("directories")

    def _check_logged(self, documents: range, named_ms: int) -> None:
        """Documents are logged after the last DIRECTORY statement and before the one that names them."""
        for index in documents:
            logged_ms = self._documents.logged_ms(index)
            if logged_ms is None:
                continue
            early = self._named_ms is not None and logged_ms < self._named_ms - CLOCK_SLACK_MS
            if early or logged_ms > named_ms + CLOCK_SLACK_MS:
                sentence = (
                    f"it is recorded at {format_utc(logged_ms)}; the ledger did not have it at "
                    f"{format_utc(self._named_ms or 0)}, and named it at {format_utc(named_ms)}"
                )
                self._record.failed("times", "document-time", sentence, document_at(index))
        self._named_ms = named_ms

    def _signed(self, index: int, leaf: Leaf, signed: SignedStatement, statement: Statement) -> str | None:
        """Return the name of the key's owner if the signature counts here."""
        role = SIGNER_ROLE[statement.kind]
        try:
            self._book.require_suite(statement.suite)
            life = self._book.may_sign(statement.party, statement.key_id, role, statement.at_ms, leaf.at_ms)
        except AlmenaraError as error:
            self._record.lost("signers", "signer", error.message, leaf_at(index))
            return None
        if leaf.at_ms >= life.until_ms:
            sentence = "the key's life was over when this was logged; it says it was made before"
            self._record.unchecked("signers", "key-life", sentence, leaf_at(index))
        else:
            self._record.passed("signers")
        if role is Role.COORDINATOR and abs(statement.at_ms - leaf.at_ms) > MERGE_DELAY_MS + CLOCK_SLACK_MS:
            sentence = (
                f"the coordinator dates this {format_utc(statement.at_ms)}, and recorded it at "
                f"{format_utc(leaf.at_ms)}: a promise must be in the ledger within a minute"
            )
            self._record.failed("times", "late-promise", sentence, leaf_at(index))
        checked = statement.kind is StatementKind.DIRECTORY or self._sample.takes(index)
        self.statements.count(checked=checked)
        if not checked:
            self._record.left_out("signatures")
        elif not self._verify(index, life.public, role, Context.STATEMENT, signed.body, signed.proof):
            return None
        return life.owner

    def _sender(self, index: int, leaf: Leaf, signed: SignedManifest, header: Header) -> None:
        self._book.require_suite(header.suite)
        life = self._book.may_sign(header.sender, header.key_id, Role.NODE, header.created_ms, leaf.at_ms)
        envelope = envelope_id(signed.manifest)
        checked = self._sample.takes(index) or self._disclosures.has(envelope)
        self.notices.count(checked=checked)
        if not checked:
            self._record.left_out("signatures")
            return
        if self._verify(index, life.public, Role.NODE, Context.NOTICE, signed.manifest, signed.proof):
            self._disclosures.relayed(index, envelope)

    def _verify(
        self, index: int, public: bytes, role: Role, context: Context, obj: bytes, proof: Proof
    ) -> bool:
        try:
            self._verifier.verify(public, role, context, obj, proof)
        except AlmenaraError as error:
            self._record.lost("signatures", "bad-signature", error.message, leaf_at(index))
            return False
        self._record.passed("signatures")
        return True

    def _check_seen(self, index: int, statement: Statement) -> None:
        seen = statement.seen
        if seen is None or statement.kind is StatementKind.DIRECTORY:
            return
        if seen.origin == self._dir:
            self._check_seen_documents(index, statement.party, seen)
        elif seen.origin != self._ack:
            self._record.left_out("gossip")
        elif seen.size <= index and self._tree.root(seen.size) == seen.root:
            self._record.passed("gossip")
        else:
            sentence = (
                f"{statement.party} had verified a ledger of {seen.size} leaves that is not this one: "
                "two versions of the ledger were shown"
            )
            self._record.failed("gossip", "seen-other-ledger", sentence, leaf_at(index))

    def _check_seen_documents(self, index: int, party: str, seen: SeenCheckpoint) -> None:
        if seen.size > self._documents.tree.size:
            # Its signer may have seen documents that came after this bundle's.
            self._record.left_out("gossip")
        elif self._documents.tree.root(seen.size) == seen.root:
            self._record.passed("gossip")
        else:
            sentence = f"{party} had verified {seen.size} documents that are not these: two logs were shown"
            self._record.failed("gossip", "seen-other-directory", sentence, leaf_at(index))

    def _check_head(self, index: int, head: DirectoryHead) -> None:
        if (head.version, head.hash) in self._right_heads:
            self._record.passed("directories")
            return
        known: Mapping[int, bytes] = self._documents.versions
        if head.version not in known:
            self._record.left_out("directories")
        elif known[head.version] == head.hash:
            self._right_heads.add((head.version, head.hash))
            self._record.passed("directories")
        else:
            sentence = (
                f"its signer looked keys up in another directory version {head.version} than the log "
                "holds: two directories were shown"
            )
            self._record.failed("directories", "seen-other-directory", sentence, leaf_at(index))
