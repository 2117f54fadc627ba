"""Receipts: statements that recipients and the coordinator sign about our own notices."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import apsw

from exchange.node.context import NodeContext
from exchange.node.records import ReceiptRecord
from exchange.node.summary import unlock_key
from exchange.node.unsealing import unseal_note
from exchange.stores.node_notices import NoticeRow, find_notice
from keys.detail import detail_info, read_detail
from keys.evidence import check_statement, officer_name
from keys.sealing import decryption_proof
from protocol.documents import Role
from protocol.errors import CannotOpen, NotAddressed, StoreFailed, Tampered
from protocol.notice import parse_manifest
from protocol.statement import SIGNER_ROLE, Statement, parse_statement, statement_id

MANIFESTS_KEPT = 256
UNREADABLE_NOTE = "(the note cannot be opened)"


@dataclass(frozen=True, slots=True)
class Checked:
    """A statement that its party has truly signed; what it is about is another question."""

    id: bytes
    statement: Statement
    data: bytes


class Receipts:
    """Verifies statements about the notices that this node sent."""

    def __init__(self, context: NodeContext) -> None:
        self._context = context

    async def read(self, data: bytes) -> ReceiptRecord:
        """Return a statement that truly is about one of our notices; errors as of the steps below."""
        checked = self.check(data)
        return await self.judge(checked, self.rows([checked]))

    def check(self, data: bytes) -> Checked:
        """Return a statement that its party has truly signed, without a look into the store.

        Raises:
            FormatError, TrustError: it is not well formed, or its signer may not say this.
        """
        context = self._context
        signed, statement = parse_statement(data)
        # What was recorded before its party was suspended, and lay in our mailbox, is not lost.
        check_statement(context.directory, context.verifier, signed, statement, now_ms=None, late=True)
        return Checked(statement_id(signed.body), statement, data)

    def rows(self, checked: Iterable[Checked]) -> dict[bytes, NoticeRow]:
        """Return the stored notices that statements are about, by envelope, in one look into the store.

        Raises:
            StoreFailed: the store cannot be read.
        """
        envelopes = {one.statement.envelope for one in checked}

        def read(db: apsw.Connection) -> dict[bytes, NoticeRow]:
            rows = ((envelope, find_notice(db, envelope)) for envelope in envelopes)
            return {envelope: row for envelope, row in rows if row is not None}

        return self._context.engine.look_up(read) if envelopes else {}

    async def judge(self, checked: Checked, rows: Mapping[bytes, NoticeRow]) -> ReceiptRecord:
        """Return a statement that is about one of our notices, by one who may say it.

        Args:
            checked: The statement.
            rows: What :meth:`rows` has found.

        Raises:
            NotAddressed: it is about no notice of ours, or its party is no recipient of it.
            Tampered: it claims to prove decryption and does not.
            CannotOpen: our own copy of the notice was altered, so that nothing can be compared.
            UnknownSigner: its officer is listed no longer.
            StoreFailed: its note cannot be opened now, and may be later.
        """
        context, statement = self._context, checked.statement
        row = rows.get(statement.envelope)
        if row is None or row.direction != "sent":
            raise NotAddressed("a statement was delivered about a notice that this node did not send")
        self._require_recipient(statement, row)
        self._require_decryption(statement, row)
        note = await self._note(statement)
        locked = None if note is None else context.vault.lock("note", checked.id, note.encode())
        return ReceiptRecord(
            id=checked.id,
            statement=statement,
            officer=officer_name(context.directory, statement, late=True),
            locked_note=locked,
            data=checked.data,
        )

    def _require_recipient(self, statement: Statement, row: NoticeRow) -> None:
        recipients = _recipients(row.manifest)
        if SIGNER_ROLE[statement.kind] is Role.COORDINATOR:
            if statement.about is not None and statement.about not in recipients:
                raise NotAddressed(f"the coordinator speaks of {statement.about}, which is no recipient")
        elif statement.party not in recipients:
            raise NotAddressed(f"{statement.party} answered a notice that was not addressed to it")

    def _require_decryption(self, statement: Statement, row: NoticeRow) -> None:
        if statement.decryption_proof is None:
            return
        key = self._content_key(row)
        if not hmac.compare_digest(
            statement.decryption_proof, decryption_proof(key, statement.envelope, statement.party)
        ):
            raise Tampered(f"{statement.party} claims to have opened a notice and does not hold its key")

    def _content_key(self, row: NoticeRow) -> bytes:
        try:
            return unlock_key(self._context.vault, row)
        except StoreFailed as error:
            # No later try would unlock it: the statement is kept as evidence, and does not wait.
            raise CannotOpen(error.message, hint=error.hint) from error

    async def _note(self, statement: Statement) -> str | None:
        detail = statement.detail
        if detail is None:
            return None
        info = detail_info(detail.prekey_id, statement.envelope, statement.party)
        try:
            return read_detail(await unseal_note(self._context, detail.prekey_id, detail.sealed, info))
        except CannotOpen:
            # The answer itself is genuine and must count; only its note is lost.
            return UNREADABLE_NOTE


@lru_cache(maxsize=MANIFESTS_KEPT)
def _recipients(manifest: bytes) -> frozenset[str]:
    """Return to whom one of our notices went; their statements come close together."""
    return frozenset(addressee.state for addressee in parse_manifest(manifest)[1].recipients)
