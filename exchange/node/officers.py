"""Officers: a named person's own signature on OPENED, ACCEPTED, DECLINED and COMPLETED.

An officer's key lies in the node's data directory, locked with that officer's token. The node
holds the token only while it serves the request, so it cannot answer for a person on its own.
"""

from __future__ import annotations

import asyncio
import shlex
from functools import reduce
from pathlib import Path

import apsw

from exchange.keystore import read_secret
from exchange.node.chains import Said, last_of_chain, say
from exchange.node.context import NodeContext
from exchange.node.delivery_round import store_said
from exchange.node.link_state import LinkState
from exchange.node.summary import unlock_key
from exchange.node.tokens import Identity, TokenRole, token_hash
from exchange.stores.node_books import record_event
from exchange.stores.node_notices import NoticeRow, update_state
from exchange.stores.node_statements import StatementRow, list_statements, save_chain
from keys.detail import seal_detail
from keys.evidence import Saying
from keys.keyfile import KeyDescription, parse_secret
from keys.protection import Protection, Token
from keys.sealing import decryption_proof
from keys.signer import Signer
from protocol.delivery import TRANSITIONS, DeliveryState, advance
from protocol.documents import Role
from protocol.errors import BadRequest, KeyfileError, KeyRevoked, NotAuthorized, UnknownSigner
from protocol.statement import SealedDetail, StatementKind
from protocol.text import format_utc

STATE_AFTER = {
    StatementKind.OPENED: "opened",
    StatementKind.ACCEPTED: "accepted",
    StatementKind.DECLINED: "declined",
    StatementKind.COMPLETED: "completed",
}


def officer_key_path(folder: Path, identity: Identity) -> Path:
    """Return where an officer's key lies: named by the hash of the token that opens it."""
    return folder / f"{token_hash(identity)}.key"


class Officers:
    """Makes officers' statements.

    Args:
        context: The node.
        folder: Where the officers' key files lie.
        link_state: Knows whether this machine's clock is wrong.
    """

    def __init__(self, context: NodeContext, folder: Path, link_state: LinkState) -> None:
        self._context = context
        self._folder = folder
        self._link_state = link_state
        # One statement at a time: the next continues a chain, and must fit what another officer said.
        self._turn = asyncio.Lock()

    async def sign(
        self,
        who: Identity,
        row: NoticeRow,
        kind: StatementKind,
        *,
        code: str | None = None,
        note: str | None = None,
    ) -> StatementRow:
        """Sign and store one statement about a received notice, and queue it for the coordinator.

        Saying the same thing twice returns the first statement.

        Args:
            who: The officer, with the secret that opens the key.
            row: The notice.
            kind: OPENED, ACCEPTED, DECLINED or COMPLETED.
            code: The reason, for DECLINED.
            note: Free text that only the notice's sender can read.

        Raises:
            BadRequest: this state has answered for good, so nothing may follow; or the same was said
                before with another reason or note, which is signed and cannot be changed.
            NotAuthorized: this is no officer's token, or the directory does not list the officer.
            ClockSkew: this machine's clock is wrong; the statement would not be taken.
            NodeRestored: the store is an older copy, so that numbers could be used twice.
            NoUsableKey: a note was given and the sender has no key to seal it for.
        """
        who.require(TokenRole.OFFICER)
        async with self._turn:
            # Through the writer, so that a call which was cut short is seen before this one.
            statements = await self._context.engine.write(lambda db: list_statements(db, row.id))
            mine = [one for one in statements if one.party == self._context.state]
            earlier = _earlier([one for one in mine if one.officer == who.name], kind)
            if earlier is not None:
                self._require_nothing_new(earlier, code, note)
                return earlier
            _require_possible(mine, kind)
            return await self._sign(who, row, kind, code, note)

    async def _sign(
        self, who: Identity, row: NoticeRow, kind: StatementKind, code: str | None, note: str | None
    ) -> StatementRow:
        self._context.restored.require_own_word()
        self._link_state.require_right_clock()
        context, now_ms = self._context, self._context.clock.now_ms()
        signer = self._signer(who, now_ms)
        key = unlock_key(context.vault, row)
        saying = Saying(
            kind=kind,
            envelope=row.id,
            code=code,
            decryption_proof=decryption_proof(key, row.id, context.state),
            detail=None if note is None else self._seal_note(note, row, now_ms),
        )
        chain = await last_of_chain(context, signer.key_id)
        (said,) = say(context, signer, chain, [saying], now_ms)
        locked = None if note is None else context.vault.lock("note", said.draft.statement_id, note.encode())
        await context.engine.write(lambda db: _store(db, context.state, said, who.name, locked, now_ms))
        context.outgoing.ring()
        context.events.ring()
        return StatementRow(
            id=said.draft.statement_id,
            envelope=row.id,
            party=context.state,
            kind=kind,
            at_ms=now_ms,
            officer=who.name,
            code=code,
            recorded=False,
            locked_note=locked,
            body=said.data,
        )

    def _require_nothing_new(self, earlier: StatementRow, code: str | None, note: str | None) -> None:
        if (code is None or code == earlier.code) and (note is None or note == self._note_of(earlier)):
            return
        raise BadRequest(
            f"you have {earlier.kind.name.lower()} this notice already, and that cannot be changed; "
            "nothing was added",
            hint="Tell its sender more in a notice: almenara send REPORT --to SENDER --severity LEVEL "
            "--subject TEXT --kind response --refers-to ID",
        )

    def _note_of(self, statement: StatementRow) -> str | None:
        if statement.locked_note is None:
            return None
        return self._context.vault.unlock("note", statement.id, statement.locked_note).decode()

    def _seal_note(self, note: str, row: NoticeRow, now_ms: int) -> SealedDetail:
        prekey = self._context.directory.prekey(row.sender, now_ms).prekey
        return seal_detail(note, prekey.public, prekey.key_id, row.id, self._context.state)

    def _signer(self, who: Identity, now_ms: int) -> Signer:
        def offer(_: KeyDescription) -> Protection:
            return Token(who.secret)

        try:
            record = parse_secret(read_secret(officer_key_path(self._folder, who)), offer)
        except KeyfileError as error:
            raise NotAuthorized(
                f"there is no key of officer {who.name} that this token opens",
                hint="Use your newest token. If you have none, ask the administrator: almenara officer add "
                f"{shlex.quote(who.name)} --data DIR --identity FILE",
            ) from error
        signer = Signer(record.signing_key, Role.OFFICER)
        try:
            entry = self._context.directory.officer_key(self._context.state, signer.key_id, now_ms)
        except UnknownSigner as error:
            raise self._refusal(who, signer.key_id, now_ms, error) from error
        if entry.owner != who.name:
            raise NotAuthorized(f"the directory lists this officer key for {entry.owner}, not {who.name}")
        return signer

    def _refusal(self, who: Identity, key_id: bytes, now_ms: int, error: UnknownSigner) -> NotAuthorized:
        """Return why an officer cannot answer now, and what helps."""
        state, directory = self._context.state, self._context.directory
        if directory.is_suspended(state):
            return NotAuthorized(
                f"{state} is suspended, so nobody would believe the answer of {who.name}",
                hint="Answer when governance has reinstated it; until then tell the sender on another "
                "channel. "
                "See: almenara health --data DIR --token-file TOKEN",
            )
        manifest = directory.documents.manifest(state)
        entry = next((key for key in manifest.keys if key.key_id == key_id), None) if manifest else None
        hint = (
            f"Ask the administrator for a new token: almenara officer add {shlex.quote(who.name)} --data DIR "
            "--identity FILE"
        )
        if entry is not None and entry.from_ms > now_ms:
            hint = f"Use the earlier token until {format_utc(entry.from_ms)}: this one is announced for then."
        elif entry is not None and not isinstance(error, KeyRevoked):
            hint = "Ask the administrator: almenara key check --data DIR shows what is wrong with the key."
        return NotAuthorized(
            f"the directory does not list {who.name} as an officer now: {error.message}", hint=hint
        )


def _earlier(by_officer: list[StatementRow], kind: StatementKind) -> StatementRow | None:
    """Return what the officer has said already, if saying it again would add nothing."""
    if kind is StatementKind.OPENED:
        return next((one for one in by_officer if one.kind is kind), None)
    return by_officer[-1] if by_officer and by_officer[-1].kind is kind else None


def _require_possible(mine: list[StatementRow], kind: StatementKind) -> None:
    """Refuse an answer that the sender would not count after what this state has said."""
    state = reduce(advance, (one.kind for one in mine), DeliveryState.RECEIVED)
    if kind is not StatementKind.OPENED and kind not in TRANSITIONS[state] and state.name != kind.name:
        raise BadRequest(
            f"this state has {state} the notice; {kind.name.lower()} cannot follow",
            hint="Accept it first, or tell its sender in a notice of your own.",
        )


def _store(
    db: apsw.Connection,
    state: str,
    said: Said,
    officer: str,
    locked_note: bytes | None,
    now_ms: int,
) -> None:
    store_said(db, state, [said], now_ms, officer=officer, locked_note=locked_note)
    save_chain(db, said.key_id, said.draft.chain.sequence, said.draft.chain.previous)
    # A second officer's first look does not take back what a first officer has answered.
    before = "unread" if said.saying.kind is StatementKind.OPENED else None
    update_state(db, said.saying.envelope, STATE_AFTER[said.saying.kind], only_from=before)
    record_event(
        db,
        now_ms,
        f"inbox.{said.saying.kind.name.lower()}",
        envelope=said.saying.envelope,
        code=said.saying.code,
        detail=officer,
    )
