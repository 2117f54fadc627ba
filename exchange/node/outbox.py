"""The outbox: what a person or script asks becomes a sealed, signed notice that a crash cannot lose.

Nothing is sealed before everything about the request has been checked; notice, deliveries and
the order to send it become durable in one transaction.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

import apsw
import msgspec

from exchange.node.again import NO_KEY, wait
from exchange.node.choosing import Chosen, choose_all
from exchange.node.context import NodeContext
from exchange.node.link_state import LinkState
from exchange.node.requests import AttachmentRequest, SubmitRequest
from exchange.node.schemas import SchemaBook
from exchange.node.sealer import Draft, Sealer, addressees, queued
from exchange.node.summary import LockedContent, lock_content, unlock_summary
from exchange.node.suspended import SUSPENDED
from exchange.node.views import SkippedView
from exchange.stores.node_books import record_event
from exchange.stores.node_notices import (
    DeliveryRow,
    NewNotice,
    NoticeRow,
    find_notice,
    find_request,
    insert_deliveries,
    insert_notice,
)
from exchange.stores.node_sealing import envelopes_of
from keys.sealing import SALT_BYTES, SealedNotice
from keys.signer import Signer
from protocol import codec
from protocol.delivery import DeliveryState
from protocol.errors import BadRequest, IdReused, NotFound, NoUsableKey, TooLarge, UnknownState
from protocol.marking import parse_tlp
from protocol.notice import (
    DEFAULT_LIFE_MS,
    MAX_ATTACHED_BYTES,
    MAX_ATTACHMENTS,
    MAX_TEXT_BYTES,
    Addressee,
    Attachment,
    Body,
    Header,
    Kind,
    Manifest,
    MediaType,
    envelope_id,
)
from protocol.text import parse_base64, parse_hex
from protocol.urgency import relay_priority, response_expected_by


@dataclass(frozen=True, slots=True)
class Submitted:
    """A notice that is durable here; ``exists`` if an earlier request with this id made it."""

    row: NoticeRow
    exists: bool
    skipped: tuple[SkippedView, ...]
    tails: tuple[str, ...]
    sealed_for: tuple[str, ...] = ()
    """All recipients, by code, if nobody waits and the notice is new."""


class Outbox:
    """Accepts notices, checks them, and has them sealed."""

    def __init__(
        self, context: NodeContext, schemas: SchemaBook, link_state: LinkState, sealer: Sealer
    ) -> None:
        self._context = context
        self._schemas = schemas
        self._link_state = link_state
        self._sealer = sealer

    async def submit(self, request: SubmitRequest, request_id: str) -> Submitted:
        """Accept a notice; it is durable and will be sent when this returns.

        Args:
            request: What to say, to whom.
            request_id: Made by the client before its first try. The same id with the same
                request returns the first result and sends nothing twice.

        Raises:
            IdReused: the id made another notice before.
            BadRequest, FormatError, TooLarge: the request is wrong; nothing was sealed.
            ClockSkew: this machine's clock is known to be wrong; nothing was sealed.
            NodeRestored: the store is an older copy, so that numbers could be used twice.
            NoUsableKey: a recipient cannot be sealed for; nothing was sealed.
        """
        self._context.restored.require_own_word()
        digest = hashlib.sha256(msgspec.json.encode(request)).digest()
        known = self._context.engine.look_up(lambda db: find_request(db, request_id))
        if known is not None:
            return _repeated(known, digest)
        asked = _Asked(request, request_id, digest, self._body(request, *await self._referred(request)))
        try:
            return await self._accept(asked)
        except apsw.ConstraintError:
            # Two requests with one id at the same moment: the store let one of them in.
            known = await self._context.engine.read(lambda db: find_request(db, request_id))
            if known is None:
                raise BadRequest("this notice could not be stored beside another one") from None
            return _repeated(known, digest)

    async def _accept(self, asked: _Asked) -> Submitted:
        self._link_state.require_right_clock()
        plan = self._plan(asked.request)
        if not plan.usable:
            return await self._accept_unsealed(asked, plan)
        made: list[NoticeRow] = []

        def rows(draft: Draft, sealed: SealedNotice) -> NewNotice:
            new = self._new(asked, plan, draft, sealed)
            made[:] = [new.row]
            return new

        def store(db: apsw.Connection, draft: Draft, sealed: SealedNotice) -> None:
            new = rows(draft, sealed)
            _store(db, new.row, new.body, plan)

        def make(signer: Signer) -> Draft:
            header = self._header(asked.request, signer, addressees(plan.usable), tuple(plan.usable))
            return Draft(header, asked.body, plan.usable)

        await self._sealer.seal(make, store, None if plan.waiting else rows)
        return _submitted(made[0], plan)

    async def _accept_unsealed(self, asked: _Asked, plan: _Plan) -> Submitted:
        """Accept a notice that nobody can be sealed for yet; its name is that of a manifest of nothing."""
        nobody = tuple(Addressee(state=code, prekey_id=bytes(32)) for code in plan.waiting)
        header = self._header(asked.request, self._context.signer, nobody)
        manifest = codec.encode(
            Manifest(
                header=codec.encode(header),
                wrap_hashes=(bytes(32),) * len(nobody),
                payload_hash=bytes(32),
                payload_length=0,
                blobs=(),
            )
        )
        name = envelope_id(manifest)
        # A random key: nobody can claim to have opened what was never sealed.
        content = lock_content(self._context.vault, name, asked.body, secrets.token_bytes(32))
        row = self._row(asked, header, name, content, manifest=manifest, state=DeliveryState.WAITING)
        await self._context.engine.write(lambda db: _store(db, row, content.body, plan))
        self._context.events.ring()
        return _submitted(row, plan)

    async def _referred(self, request: SubmitRequest) -> tuple[bytes, bytes | None]:
        """Return the incident, and the envelope that the notice refers to: one that left this node."""
        if request.refers_to is None:
            return secrets.token_bytes(16), None
        named = parse_hex(request.refers_to, what="notice that this one refers to", size=32)

        def read(db: apsw.Connection) -> list[NoticeRow]:
            found = [find_notice(db, name) for name in (named, *envelopes_of(db, named))]
            return [row for row in found if row is not None]

        rows = await self._context.engine.read(read)
        if not rows:
            raise NotFound(f"the notice {request.refers_to[:12]} that this one refers to is not stored here")
        referred = next((row for row in rows if row.is_sealed), rows[0])
        return bytes.fromhex(unlock_summary(self._context.vault, referred).incident), referred.id

    def _plan(self, request: SubmitRequest) -> _Plan:
        """Return who is sealed for now, who waits and who is left out, as the sender chose."""
        now_ms, codes = self._context.clock.now_ms(), sorted(set(request.to))
        if request.partial and request.wait_for_keys:
            raise BadRequest("a recipient without a key is either left out or waited for, not both")
        for code in codes:
            if code == self._context.state:
                raise BadRequest(f"{code} is this node's own state; a notice goes to others")
            if not self._context.directory.is_suspended(code):
                self._require_member(code, now_ms)
        suspended = [code for code in codes if self._context.directory.is_suspended(code)]
        codes = [code for code in codes if code not in suspended]
        if suspended and not (request.partial and codes):
            raise _suspended(suspended, codes)
        usable, missing = choose_all(self._context.directory, codes, now_ms)
        if missing and not (request.wait_for_keys or (request.partial and usable)):
            raise NoUsableKey(
                "; ".join(error.message for error in missing.values()) + "; nothing was sealed or sent",
                hint=next(iter(missing.values())).hint,
            )
        if request.wait_for_keys:
            return _Plan(usable, waiting=tuple(missing))
        skipped = [
            SkippedView(state=code, code=one.code, reason=one.message) for code, one in missing.items()
        ]
        skipped += [
            SkippedView(state=code, code=SUSPENDED, reason=f"{code} is suspended") for code in suspended
        ]
        return _Plan(usable, skipped=tuple(skipped))

    def _require_member(self, code: str, now_ms: int) -> None:
        try:
            self._context.directory.state(code, now_ms)
        except UnknownState as error:
            members = ", ".join(entry.code for entry in self._context.directory.states())
            raise UnknownState(f"{error.message}; the members are: {members}") from error

    def _header(
        self,
        request: SubmitRequest,
        signer: Signer,
        recipients: tuple[Addressee, ...],
        sealed_for: Sequence[str] = (),
    ) -> Header:
        context, now_ms = self._context, self._context.clock.now_ms()
        tag = self._schemas.own_tag(request.severity)
        expected = response_expected_by(tag.point, sent_ms=now_ms)
        if request.respond_within_ms is not None:
            expected = now_ms + request.respond_within_ms
        return Header(
            v=1,
            suite=context.directory.allowed_suite(sealed_for),
            kind=Kind[request.kind.upper()],
            exercise=request.exercise,
            sender=context.state,
            key_id=signer.key_id,
            nonce=secrets.token_bytes(16),
            created_ms=now_ms,
            expires_ms=now_ms + (request.life_ms or DEFAULT_LIFE_MS),
            directory=context.directory.head(),
            recipients=recipients,
            severity=tag,
            respond_by_ms=expected,
        )

    def _body(self, request: SubmitRequest, incident: bytes, refers_to: bytes | None) -> Body:
        if len(request.text.encode()) > MAX_TEXT_BYTES:
            raise TooLarge("the text is over 256 KiB", hint="Attach it as a file, or split it.")
        return Body(
            v=1,
            sender=self._context.state,
            notice=secrets.token_bytes(16),
            incident=incident,
            refers_to=refers_to,
            tlp=parse_tlp(request.tlp),
            language=request.language,
            subject=request.subject,
            text=request.text,
            attachments=_attachments(request),
        )

    def _new(self, asked: _Asked, plan: _Plan, draft: Draft, sealed: SealedNotice) -> NewNotice:
        content = lock_content(self._context.vault, sealed.id, asked.body, sealed.content_key)
        row = self._row(
            asked,
            draft.header,
            sealed.id,
            content,
            manifest=sealed.submission.manifest,
            proof=codec.encode(sealed.submission.proof),
            salt=sealed.submission.payload[:SALT_BYTES],
        )
        return NewNotice(row, content.body, queued(plan.usable, row.stored_ms))

    def _row(
        self,
        asked: _Asked,
        header: Header,
        name: bytes,
        content: LockedContent,
        *,
        manifest: bytes,
        proof: bytes = b"",
        salt: bytes = b"",
        state: DeliveryState = DeliveryState.QUEUED,
    ) -> NoticeRow:
        life_ms = asked.request.life_ms
        if life_ms is None and header.kind is Kind.CHECK:
            # It tests the way as it is now: that nobody collected it is the answer.
            life_ms = DEFAULT_LIFE_MS
        return NoticeRow(
            id=name,
            direction="sent",
            sender=self._context.state,
            notice=asked.body.notice,
            manifest=manifest,
            proof=proof,
            salt=salt,
            created_ms=header.created_ms,
            stored_ms=self._context.clock.now_ms(),
            priority=relay_priority(header.severity.point),
            state=state,
            locked_summary=content.summary,
            locked_key=content.key,
            request_id=asked.request_id,
            request_digest=asked.digest,
            until_ms=None if life_ms is None else header.created_ms + life_ms,
        )


@dataclass(frozen=True, slots=True)
class _Asked:
    """One request, with the body that it makes."""

    request: SubmitRequest
    request_id: str
    digest: bytes
    body: Body


@dataclass(frozen=True, slots=True)
class _Plan:
    """What becomes of each recipient."""

    usable: dict[str, Chosen]
    waiting: tuple[str, ...] = ()
    skipped: tuple[SkippedView, ...] = ()


def _store(db: apsw.Connection, row: NoticeRow, body: bytes, plan: _Plan) -> None:
    """Store a notice with a delivery for each recipient; those without a key begin to wait."""
    insert_notice(db, row, body)
    at_ms = row.stored_ms
    waiting = [DeliveryRow(code, DeliveryState.WAITING, at_ms, NO_KEY, tail=False) for code in plan.waiting]
    insert_deliveries(db, row.id, [*queued(plan.usable, at_ms), *waiting])
    if plan.usable:
        record_event(db, at_ms, "notice.queued", envelope=row.id, state=",".join(plan.usable))
    for code in plan.waiting:
        wait(db, row, code, NO_KEY, at_ms)


def _submitted(row: NoticeRow, plan: _Plan) -> Submitted:
    tails = tuple(code for code, one in plan.usable.items() if one.choice.tail)
    sealed_for = () if plan.waiting else tuple(sorted(plan.usable))
    return Submitted(row, exists=False, skipped=plan.skipped, tails=tails, sealed_for=sealed_for)


def _repeated(known: NoticeRow, digest: bytes) -> Submitted:
    if known.request_digest != digest:
        raise IdReused("this request id was used before for a notice with other content")
    return Submitted(row=known, exists=True, skipped=(), tails=())


def _media_type(file: AttachmentRequest) -> str:
    try:
        return msgspec.convert(file.media_type, MediaType)
    except msgspec.ValidationError as error:
        raise BadRequest(
            f"the media type {file.media_type[:60]!r} of attachment {file.name} is not a plain one",
            hint="Write it in lower case without parameters, such as application/stix+json.",
        ) from error


def _attachments(request: SubmitRequest) -> tuple[Attachment, ...]:
    if len(request.attachments) > MAX_ATTACHMENTS:
        raise TooLarge(f"a notice has at most {MAX_ATTACHMENTS} attachments")
    files = tuple(
        Attachment(
            name=file.name,
            media_type=_media_type(file),
            content=parse_base64(file.content, what=f"attachment {file.name}"),
        )
        for file in request.attachments
    )
    size = sum(len(file.content) for file in files)
    if size > MAX_ATTACHED_BYTES:
        raise TooLarge(f"the attachments have {size} bytes; at most 1 MiB in all travels with a notice")
    return files


def _suspended(suspended: Sequence[str], others: Sequence[str]) -> UnknownState:
    """Return the refusal of a notice that names suspended states: who could be warned now, and how."""
    names = " and ".join(suspended)
    hint = "Nothing can be sent to it. If it must know now, ask the secretariat first."
    if others:
        hint = (
            f"To warn the others now, leave out {names}: --to {','.join(others)}; or repeat with --partial, "
            "which leaves out whoever cannot be sent to, and says so. The secretariat knows why."
        )
    verb = "is" if len(suspended) == 1 else "are"
    return UnknownState(f"{names} {verb} suspended; nothing was sealed or sent, to nobody", hint=hint)
