"""The outbox: what a person or script asks becomes a sealed, signed notice that a crash cannot lose.

Nothing is sealed before everything about the request has been checked; notice, deliveries and
the order to send it become durable in one transaction.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

import apsw
import msgspec

from exchange.node.context import NodeContext
from exchange.node.link_state import LinkState
from exchange.node.requests import AttachmentRequest, SubmitRequest
from exchange.node.schemas import SchemaBook
from exchange.node.summary import LockedContent, lock_content, unlock_summary
from exchange.node.views import SkippedView
from exchange.stores.node_books import record_event
from exchange.stores.node_notices import (
    DeliveryRow,
    NoticeRow,
    find_notice,
    find_request,
    insert_deliveries,
    insert_notice,
)
from exchange.stores.node_queue import enqueue
from exchange.stores.node_statements import Pairs, read_pairs, save_pair
from keys.roster import PrekeyChoice
from keys.sealing import SALT_BYTES, PairPosition, SealedNotice, SealFor, seal
from keys.signer import Signer
from keys.wrap import admit_recipient
from protocol import codec
from protocol.delivery import DeliveryState
from protocol.errors import (
    BadRequest,
    IdReused,
    KeyRefused,
    NotFound,
    NoUsableKey,
    TooLarge,
    UnknownState,
)
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
    MediaType,
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


class Outbox:
    """Accepts notices. One instance per node: it numbers the notices to each recipient."""

    def __init__(self, context: NodeContext, schemas: SchemaBook, link_state: LinkState) -> None:
        self._context = context
        self._schemas = schemas
        self._pairs: Pairs | None = None
        self._link_state = link_state

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
            NoUsableKey: a recipient cannot be sealed for; nothing was sealed.
        """
        digest = hashlib.sha256(msgspec.json.encode(request)).digest()
        known = self._context.engine.look_up(lambda db: find_request(db, request_id))
        if known is not None:
            return _repeated(known, digest)
        incident = await self._incident(request)
        while True:
            try:
                return await self._try(request, request_id, digest, incident)
            except _OutOfStep:
                # The notice numbered before this one was not stored: number it again.
                self._pairs = None

    async def _try(
        self, request: SubmitRequest, request_id: str, digest: bytes, incident: bytes
    ) -> Submitted:
        pairs = await self._load_pairs()
        # From here to the write nothing waits, so writes keep the order in which notices are numbered.
        draft = self._draft(request, incident, pairs)
        sealed = seal(draft.header, draft.body, draft.recipients, draft.signer)
        content = lock_content(self._context.vault, sealed.id, draft.body, sealed.content_key)
        row = self._row(draft, sealed, content, request_id, digest)
        for entry in draft.recipients:
            pairs[entry.state] = (entry.position.sequence, sealed.id)
        try:
            await self._context.engine.write(lambda db: _store(db, row, content.body, draft, sealed))
        except apsw.ConstraintError:
            return await self._lost_race(request_id, digest)
        except BaseException:
            # Failed, or cancelled with an outcome that nobody waits for: the store knows the numbers.
            self._pairs = None
            raise
        self._context.outgoing.ring()
        self._context.events.ring()
        return Submitted(row=row, exists=False, skipped=draft.skipped, tails=draft.tails)

    async def _load_pairs(self) -> Pairs:
        if self._pairs is None:
            # Through the writer, so that it comes after every notice numbered before.
            loaded = await self._context.engine.write(read_pairs)
            if self._pairs is None:
                self._pairs = loaded
        return self._pairs

    async def _incident(self, request: SubmitRequest) -> bytes:
        if request.refers_to is None:
            return secrets.token_bytes(16)
        envelope = parse_hex(request.refers_to, what="notice that this one refers to", size=32)
        row = await self._context.engine.read(lambda db: find_notice(db, envelope))
        if row is None:
            raise NotFound(f"the notice {request.refers_to[:12]} that this one refers to is not stored here")
        return bytes.fromhex(unlock_summary(self._context.vault, row).incident)

    async def _lost_race(self, request_id: str, digest: bytes) -> Submitted:
        # Two requests with one id at the same moment: the store let one of them in.
        self._pairs = None
        known = await self._context.engine.read(lambda db: find_request(db, request_id))
        if known is None:
            raise BadRequest("this notice could not be stored beside another one")
        return _repeated(known, digest)

    def _draft(self, request: SubmitRequest, incident: bytes, pairs: Pairs) -> Draft:
        context, now_ms = self._context, self._context.clock.now_ms()
        self._link_state.require_right_clock()
        tag = self._schemas.own_tag(request.severity)
        body = self._body(request, incident)
        chosen, skipped = self._recipients(request, now_ms)
        life_ms = request.life_ms or DEFAULT_LIFE_MS
        signer = context.signer
        expected = response_expected_by(tag.point, sent_ms=now_ms)
        if request.respond_within_ms is not None:
            expected = now_ms + request.respond_within_ms
        header = Header(
            v=1,
            suite=context.directory.allowed_suite(list(chosen)),
            kind=Kind[request.kind.upper()],
            exercise=request.exercise,
            sender=context.state,
            key_id=signer.key_id,
            nonce=secrets.token_bytes(16),
            created_ms=now_ms,
            expires_ms=now_ms + life_ms,
            directory=context.directory.head(),
            recipients=tuple(
                Addressee(state=state, prekey_id=choice.prekey.key_id) for state, choice in chosen.items()
            ),
            severity=tag,
            respond_by_ms=expected,
        )
        return Draft(
            signer=signer,
            header=header,
            body=body,
            recipients=tuple(
                SealFor(state, choice.prekey.public, _position(pairs, state))
                for state, choice in chosen.items()
            ),
            skipped=skipped,
            tails=tuple(state for state, choice in chosen.items() if choice.tail),
        )

    def _recipients(
        self, request: SubmitRequest, now_ms: int
    ) -> tuple[dict[str, PrekeyChoice], tuple[SkippedView, ...]]:
        chosen: dict[str, PrekeyChoice] = {}
        troubles: list[tuple[str, NoUsableKey]] = []
        for code in sorted(set(request.to)):
            if code == self._context.state:
                raise BadRequest(f"{code} is this node's own state; a notice goes to others")
            self._require_member(code, now_ms)
            try:
                chosen[code] = self._prekey(code, now_ms)
            except NoUsableKey as error:
                troubles.append((code, error))
        if troubles and not (request.partial and chosen):
            raise NoUsableKey(
                "; ".join(error.message for _, error in troubles) + "; nothing was sealed or sent",
                hint=troubles[0][1].hint,
            )
        return chosen, tuple(SkippedView(state=code, code=e.code, reason=e.message) for code, e in troubles)

    def _prekey(self, code: str, now_ms: int) -> PrekeyChoice:
        choice = self._context.directory.prekey(code, now_ms)
        try:
            admit_recipient(choice.prekey.public)
        except KeyRefused as error:
            # What one member published must not keep a notice from the others.
            raise NoUsableKey(f"{code} published a sealing key to which nothing can be sealed") from error
        return choice

    def _require_member(self, code: str, now_ms: int) -> None:
        try:
            self._context.directory.state(code, now_ms)
        except UnknownState as error:
            members = ", ".join(entry.code for entry in self._context.directory.states())
            raise UnknownState(f"{error.message}; the members are: {members}") from error

    def _body(self, request: SubmitRequest, incident: bytes) -> Body:
        if len(request.text.encode()) > MAX_TEXT_BYTES:
            raise TooLarge("the text is over 256 KiB", hint="Attach it as a file, or split it.")
        refers_to = None if request.refers_to is None else bytes.fromhex(request.refers_to)
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

    def _row(
        self, draft: Draft, sealed: SealedNotice, content: LockedContent, request_id: str, digest: bytes
    ) -> NoticeRow:
        return NoticeRow(
            id=sealed.id,
            direction="sent",
            sender=self._context.state,
            notice=draft.body.notice,
            manifest=sealed.submission.manifest,
            proof=codec.encode(sealed.submission.proof),
            salt=sealed.submission.payload[:SALT_BYTES],
            created_ms=draft.header.created_ms,
            stored_ms=self._context.clock.now_ms(),
            priority=relay_priority(draft.header.severity.point),
            state=DeliveryState.QUEUED,
            locked_summary=content.summary,
            locked_key=content.key,
            request_id=request_id,
            request_digest=digest,
        )


class _OutOfStep(Exception):
    """A notice whose number does not follow the last one stored; never leaves this module."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A checked notice before it is sealed, and the key that will sign it."""

    signer: Signer
    header: Header
    body: Body
    recipients: tuple[SealFor, ...]
    skipped: tuple[SkippedView, ...]
    tails: tuple[str, ...]


def _position(pairs: Pairs, state: str) -> PairPosition:
    sequence, previous = pairs.last(state)
    return PairPosition(sequence=sequence + 1, previous=previous)


def _store(
    db: apsw.Connection, row: NoticeRow, locked_body: bytes, draft: Draft, sealed: SealedNotice
) -> None:
    insert_notice(db, row, locked_body)
    stored = read_pairs(db)
    if any(entry.position != _position(stored, entry.state) for entry in draft.recipients):
        raise _OutOfStep
    insert_deliveries(
        db,
        row.id,
        [
            DeliveryRow(entry.state, DeliveryState.QUEUED, row.stored_ms, None, entry.state in draft.tails)
            for entry in draft.recipients
        ],
    )
    for entry in draft.recipients:
        save_pair(db, entry.state, entry.position.sequence, row.id)
    enqueue(db, "submit", row.priority, row.id, codec.encode(sealed.submission))
    record_event(
        db, row.stored_ms, "notice.queued", envelope=row.id, state=",".join(e.state for e in draft.recipients)
    )


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
