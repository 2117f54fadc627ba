"""A restored node goes on: with new keys, whose counters begin anew, and with new numbers for its notices.

Nothing that was signed before is taken back: the life of the old keys ends now, and no sooner.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import apsw
from msgspec.structs import replace

from exchange.node.key_files import next_key_file
from exchange.node.officers import officer_key_path
from exchange.node.prekeeper import RECONCILED
from exchange.node.restored import CAUGHT_UP
from exchange.node.secrets import NODE
from exchange.node.tokens import Identity, TokenRole
from exchange.restored import RESTORED_FACT
from exchange.setup import people
from exchange.setup.amending import Amendment
from exchange.setup.keyring import Protect, new_signer
from exchange.setup.node import KEY_LIFE_MS
from exchange.stores.connection import Place, discard, open_writer
from exchange.stores.node_books import read_fact, record_event, save_fact
from exchange.stores.node_statements import PAIR_EPOCH
from keys.enrolment import key_entry
from keys.sealing import epoch_at
from keys.signer import Signer
from keys.trust import MAX_SKEW_MS
from protocol.documents import KeyEntry, Role
from protocol.errors import BadRequest, FormatError, SetupError, TrustError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What people must know about a node that was reconciled.

    Attributes:
        state: Whose node it is.
        node_key: The file of the new node key.
        tokens: New tokens of the officers, to hand over.
        epoch: In which epoch notices are numbered from now on.
    """

    state: str
    node_key: Path
    tokens: tuple[Path, ...]
    epoch: int


@dataclass(frozen=True, slots=True)
class _Fresh:
    """A new key in its file, with what lists it."""

    path: Path
    entry: KeyEntry


async def reconcile(amendment: Amendment, protect: Protect) -> Reconciled:
    """Give a restored node new keys and new numbers; it may sign again when this returns.

    Args:
        amendment: The stopped node, with its state's identity key.
        protect: How the file of the new node key is protected.

    Raises:
        BadRequest: the node was not restored, so there is nothing to reconcile.
        SetupError: it has not caught up with the community's documents yet.
        FormatError: the manifest has no room for more keys.
        TrustError: this node's own rules refuse the manifest; nothing is changed.
    """
    epoch = _in_store(amendment, lambda db: _next_epoch(db, amendment.now_ms))
    names = _officers(amendment)
    identities = [people.new_identity(TokenRole.OFFICER, name) for name in names]
    old = list(people.officers(amendment.place))
    made = [_new_node_key(amendment, protect)]
    try:
        made += [_new_officer_key(amendment, identity) for identity in identities]
        entries = [*_ended(amendment), *(one.entry for one in made)]
        await amendment.publish_manifest(entries, amendment.held.document.revoked)
    except (TrustError, FormatError):
        # Nothing was published, so nobody may come in with what was made for it.
        for one in made:
            one.path.unlink()
        raise
    for officer in old:
        people.forget(amendment.place, officer)
    tokens = tuple(people.grant(amendment.place, identity) for identity in identities)
    # Last: until here the node is one that was restored, and this can be done again.
    _in_store(amendment, lambda db: _go_on(db, amendment, epoch))
    return Reconciled(amendment.state, made[0].path, tokens, epoch)


def _in_store(amendment: Amendment, work: Callable[[apsw.Connection], T]) -> T:
    """Run work in one transaction of the stopped node's store; durable on return."""
    db = open_writer(Place(amendment.place.database))
    try:
        with db:
            done = work(db)
        return done
    finally:
        discard(db)


def _next_epoch(db: apsw.Connection, now_ms: int) -> int:
    """Return the epoch to number in, if this node may be reconciled at all."""
    restored_ms = read_fact(db, RESTORED_FACT)
    if not restored_ms:
        raise BadRequest(
            "this node goes on from its own last word: there is nothing to reconcile",
            hint="Nothing needs to be done. If this was typed before, it has worked. To change keys: "
            "almenara "
            "key rotate --help",
        )
    if read_fact(db, CAUGHT_UP) < restored_ms:
        raise SetupError(
            "this node has not caught up with the community since it was restored",
            hint="It may have forgotten a manifest of its own. Run it until it has reached its coordinator, "
            "stop it, and repeat this.",
        )
    return max(epoch_at(now_ms), read_fact(db, PAIR_EPOCH) + 1)


def _officers(amendment: Amendment) -> list[str]:
    """Return who is an officer now, by the manifest: whoever was taken back since the backup is not."""
    state, revoked = amendment.state, amendment.directory.documents.revoked
    listed = {
        entry.owner
        for entry in amendment.held.document.keys
        if entry.role is Role.OFFICER
        and entry.from_ms <= amendment.now_ms < entry.until_ms
        and (state, entry.key_id) not in revoked
    }
    return sorted(listed)


def _ended(amendment: Amendment) -> Sequence[KeyEntry]:
    """Return the listed keys, of which none signs from now on; what they signed before stays valid."""
    present, now_ms = amendment.held.document.keys, amendment.now_ms
    kept = (entry for entry in present if entry.from_ms < now_ms)
    return [replace(entry, until_ms=min(entry.until_ms, now_ms)) for entry in kept]


def _new_node_key(amendment: Amendment, protect: Protect) -> _Fresh:
    path = next_key_file(amendment.place.keys, NODE)
    name = f"{amendment.state} node"
    signer = new_signer(path, name, Role.NODE, protect(), amendment.now_ms)
    return _Fresh(path, _entry(amendment, signer, f"node of {amendment.state}"))


def _new_officer_key(amendment: Amendment, identity: Identity) -> _Fresh:
    signer = people.new_officer_key(amendment.place, identity, amendment.now_ms)
    path = officer_key_path(amendment.place.officers, identity)
    return _Fresh(path, _entry(amendment, signer, identity.name))


def _entry(amendment: Amendment, signer: Signer, owner: str) -> KeyEntry:
    return key_entry(
        signer,
        state=amendment.state,
        community=amendment.directory.community,
        owner=owner,
        from_ms=amendment.now_ms - MAX_SKEW_MS,
        until_ms=amendment.now_ms + KEY_LIFE_MS,
    )


def _go_on(db: apsw.Connection, amendment: Amendment, epoch: int) -> None:
    save_fact(db, PAIR_EPOCH, epoch)
    save_fact(db, RECONCILED, amendment.now_ms)
    db.execute("DELETE FROM fact WHERE name = ?", (RESTORED_FACT,))
    record_event(db, amendment.now_ms, "node.reconciled", state=amendment.state, detail=f"epoch {epoch}")
