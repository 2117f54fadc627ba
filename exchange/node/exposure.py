"""What did this key touch? Every notice and statement it signed, and every notice it could open.

A thief writes what times he likes, so what counts as "since" is when something was made, by its own
word, or when it became known here: whichever is later.
"""

from __future__ import annotations

from typing import NamedTuple

import apsw

from exchange.node.context import NodeContext
from exchange.node.doubts import standing_of
from exchange.node.exposure_views import ExposureView, TouchedNotice, TouchedStatement
from exchange.node.showing import HIDDEN, evidence_of
from exchange.node.summary import unlock_summary
from exchange.node.tokens import Identity, TokenRole
from exchange.stores.node_exposure import held_prekeys, notices_of, received_notices, statements_of
from exchange.stores.node_notices import NoticeRow, find_notice
from exchange.stores.node_statements import StatementRow
from protocol.errors import BadRequest, NotFound
from protocol.notice import Header, parse_manifest
from protocol.statement import parse_statement

MIN_PREFIX = 6
PREKEY = "prekey"
NODE, OPENING = "node", "opening"


class _Key(NamedTuple):
    """A key that is asked about: whose, what for, and its ids; several only for all opening keys."""

    party: str
    role: str
    ids: frozenset[bytes]


class _Found(NamedTuple):
    """What the store holds of it."""

    signed: list[NoticeRow]
    statements: list[StatementRow]
    opened: list[NoticeRow]
    sealed: int
    held: frozenset[bytes]


class Exposure:
    """Answers for one node.

    Args:
        context: The node.
    """

    def __init__(self, context: NodeContext) -> None:
        self._context = context

    async def of(self, who: Identity, wanted: str, since_ms: int) -> ExposureView:
        """Return what a key touched.

        Args:
            who: Who asks.
            wanted: The beginning of the key's id, at least six hexadecimal digits; ``node`` for the key
                in use here; ``opening`` for all of this node's daily keys.
            since_ms: What came before is left out; 0 for everything.

        Raises:
            NotFound: no key with such an id was ever listed, and no notice here is sealed to one.
            BadRequest: it is no id, or several keys have it.
        """
        who.require(TokenRole.OFFICER)
        found_key, found = await self._context.engine.read(lambda db: self._search(db, wanted, since_ms))
        return self._view(who, found_key, found, since_ms)

    def _search(self, db: apsw.Connection, wanted: str, since_ms: int) -> tuple[_Key, _Found]:
        key = self._find(db, wanted.lower())
        opened, sealed = self._opened(db, key, since_ms)
        return key, _Found(
            signed=[row for row in notices_of(db, key.party) if _signed(row, key, since_ms)],
            statements=[row for row in statements_of(db, key.party) if _said(row, key, since_ms)],
            opened=opened,
            sealed=sealed,
            held=held_prekeys(db),
        )

    def _opened(self, db: apsw.Connection, key: _Key, since_ms: int) -> tuple[list[NoticeRow], int]:
        """Return the notices that a key could open, and how many it could not."""
        opened: list[NoticeRow] = []
        sealed = 0
        if key.party == self._context.state and key.role == PREKEY:
            for row in received_notices(db):
                if self._prekey_of(row) not in key.ids:
                    sealed += 1
                elif _is_since(row.created_ms, row.stored_ms, since_ms):
                    opened.append(row)
        return opened, sealed

    def _find(self, db: apsw.Connection, wanted: str) -> _Key:
        state = self._context.state
        if wanted == NODE:
            return _Key(state, NODE, frozenset([self._context.signer.key_id]))
        if wanted == OPENING:
            return _Key(state, PREKEY, self._own_prekeys(db))
        if len(wanted) < MIN_PREFIX or any(char not in "0123456789abcdef" for char in wanted):
            raise BadRequest(
                f"{wanted[:70]!r} is no key id",
                hint=f"Give {MIN_PREFIX} or more digits of one, or: node, opening",
            )
        owners = self._context.directory.documents.owners
        found = {
            key_id: _Key(owner.party, str(owner.use), frozenset([key_id]))
            for key_id, owner in owners.items()
            if key_id.hex().startswith(wanted)
        }
        found |= {
            key_id: _Key(state, PREKEY, frozenset([key_id]))
            for key_id in self._own_prekeys(db)
            if key_id.hex().startswith(wanted)
        }
        return _one(found, wanted)

    def _own_prekeys(self, db: apsw.Connection) -> frozenset[bytes]:
        """Return the ids of this node's daily keys that were used or are still here."""
        used = {self._prekey_of(row) for row in received_notices(db)}
        return held_prekeys(db) | frozenset(key for key in used if key is not None)

    def _prekey_of(self, row: NoticeRow) -> bytes | None:
        _, header = parse_manifest(row.manifest)
        return next((one.prekey_id for one in header.recipients if one.state == self._context.state), None)

    def _view(self, who: Identity, key: _Key, found: _Found, since_ms: int) -> ExposureView:
        documents = self._context.directory.documents
        signed = [self._notice(who, row, found.held) for row in found.signed]
        opened = [self._notice(who, row, found.held, sealed_to=True) for row in found.opened]
        standings = {standing_of(documents, key.party, key_id).removeprefix(", ") for key_id in key.ids}
        concerned = {state for one in signed for state in (one.sender, *one.recipients)}
        concerned |= {one.sender for one in opened}
        concerned |= {state for row in found.statements for state in self._told(row)}
        return ExposureView(
            key="" if len(key.ids) != 1 else next(iter(key.ids)).hex(),
            party=key.party,
            role=key.role,
            standing="; ".join(sorted(one for one in standings if one)) or "counts",
            since_ms=since_ms,
            signed=tuple(signed),
            statements=tuple(
                TouchedStatement(
                    id=row.id.hex(),
                    notice=row.envelope.hex(),
                    kind=row.kind.name.lower(),
                    at_ms=row.at_ms,
                    evidence=evidence_of(row, documents),
                )
                for row in found.statements
            ),
            could_open=tuple(opened),
            warn=tuple(sorted(concerned - {self._context.state})),
            sealed=found.sealed,
        )

    def _told(self, row: StatementRow) -> tuple[str, ...]:
        """Return who relies on a statement: whoever sent the notice, and whoever said it."""
        notice = self._context.engine.look_up(lambda db: find_notice(db, row.envelope))
        return (row.party,) if notice is None else (row.party, notice.sender)

    def _notice(
        self, who: Identity, row: NoticeRow, held: frozenset[bytes], *, sealed_to: bool = False
    ) -> TouchedNotice:
        _, header = parse_manifest(row.manifest)
        subject = HIDDEN
        if who.role.covers(TokenRole.SENDER):
            subject = unlock_summary(self._context.vault, row).subject
        return TouchedNotice(
            id=row.id.hex(),
            sender=header.sender,
            recipients=tuple(one.state for one in header.recipients),
            severity=_severity(header),
            subject=subject,
            created_ms=row.created_ms,
            stored_ms=row.stored_ms,
            key_destroyed=sealed_to and self._prekey_of(row) not in held,
        )


def counts_of(db: apsw.Connection, party: str, key_id: bytes, since_ms: int) -> tuple[int, int]:
    """Return how many notices and statements by a key this node has since a time."""
    key = _Key(party, "", frozenset([key_id]))
    notices = sum(_signed(row, key, since_ms) for row in notices_of(db, party))
    return notices, sum(_said(row, key, since_ms) for row in statements_of(db, party))


def _signed(row: NoticeRow, key: _Key, since_ms: int) -> bool:
    _, header = parse_manifest(row.manifest)
    return header.key_id in key.ids and _is_since(row.created_ms, row.stored_ms, since_ms)


def _said(row: StatementRow, key: _Key, since_ms: int) -> bool:
    _, statement = parse_statement(row.body)
    known_ms = row.at_ms if row.witnessed_ms is None else row.witnessed_ms
    return statement.key_id in key.ids and _is_since(row.at_ms, known_ms, since_ms)


def _is_since(said_ms: int, known_ms: int, since_ms: int) -> bool:
    return max(said_ms, known_ms) >= since_ms


def _severity(header: Header) -> str:
    tag = header.severity
    return f"{tag.schema}@{tag.version}:{tag.level}"


def _one(found: dict[bytes, _Key], wanted: str) -> _Key:
    if not found:
        raise NotFound(
            f"no key of any member has an id that starts with {wanted}",
            hint="See the ids of this node's keys with: almenara key list --data DIR; of others', in the "
            "alarm that named it.",
        )
    if len(found) > 1:
        raise BadRequest(f"several keys have an id that starts with {wanted}", hint="Give more digits.")
    return next(iter(found.values()))
