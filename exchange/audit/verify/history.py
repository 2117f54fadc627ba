"""The history of keys: what each trust document added, removed, revoked, and called compromised."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from exchange.audit.verdict import KeyEvent
from keys.held import Documents
from protocol.digest import signing_key_id, tagged
from protocol.documents import Directory, Document, NoteKeys, Root, StateManifest


class _Key(NamedTuple):
    """One key as a document lists it."""

    party: str
    role: str
    owner: str
    key_id: str
    from_ms: int | None = None
    until_ms: int | None = None


def key_events(
    before: Documents, after: Documents, document: Document, index: int, at_ms: int
) -> Iterator[KeyEvent]:
    """Yield what one accepted document changed about keys.

    Args:
        before: What was trusted before it.
        after: What is trusted with it.
        document: The document.
        index: Its leaf in the directory log.
        at_ms: When it was logged, milliseconds UTC.
    """
    match document:
        case Root():
            old = before.root.document if before.root else None
            source = f"root {document.version}"
            changes = [("added", key) for key in _governance(document) - _governance(old)]
            changes += [("removed", key) for key in _governance(old) - _governance(document)]
        case Directory():
            held = before.directory.document if before.directory else None
            source = f"directory {document.version}"
            changes = [("added", key) for key in _listed(document) - _listed(held)]
            changes += [("removed", key) for key in _listed(held) - _listed(document)]
            changes += _compromised(before, document)
        case StateManifest():
            manifest = before.manifests.get(document.state)
            listed = _online(manifest.document if manifest else None)
            source = f"manifest {document.version} of {document.state}"
            changes = [("added", key) for key in _online(document) - listed]
            changes += _gone(listed - _online(document), document)
            changes += _revoked(before, after, listed | _online(document), document)
        case _:
            return
    for event, key in sorted(changes, key=lambda change: (change[1][:4], change[0])):
        yield KeyEvent(
            document=index, leaf=None, logged_ms=at_ms, event=event, source=source, **key._asdict()
        )


def note_key_id(keys: NoteKeys) -> str:
    """Return a name for the pair of raw keys of a log or witness: a hash over both."""
    return tagged("note-keys", keys.ed25519, keys.mldsa44).hex()


def _governance(root: Root | None) -> set[_Key]:
    if root is None:
        return set()
    return {
        _Key("governance", role, f"{keys.threshold} of {len(keys.keys)}", signing_key_id(key).hex())
        for role, keys in (("root", root.root), ("directory", root.directory))
        for key in keys.keys
    }


def _listed(directory: Directory | None) -> set[_Key]:
    if directory is None:
        return set()
    states = {
        _Key(entry.code, "identity", entry.name, signing_key_id(entry.identity).hex())
        for entry in directory.states
    }
    hubs = {
        _Key(entry.code, "coordinator", entry.name, signing_key_id(entry.key).hex())
        for entry in directory.coordinators
    }
    logs = {
        _Key(entry.code, "log", entry.log.name, note_key_id(entry.log)) for entry in directory.coordinators
    }
    return states | hubs | logs


def _compromised(before: Documents, directory: Directory) -> list[tuple[str, _Key]]:
    """Return the keys that this directory is the first to call compromised, or since an earlier time."""
    held = before.directory.document.compromised if before.directory else ()
    return [
        ("compromised", _Key(one.party, _use(before, one.key_id), "", one.key_id.hex(), one.since_ms))
        for one in directory.compromised
        if one not in held
    ]


def _use(before: Documents, key_id: bytes) -> str:
    owner = before.owners.get(key_id)
    return "unknown" if owner is None else str(owner.use)


def _online(manifest: StateManifest | None) -> set[_Key]:
    if manifest is None:
        return set()
    keys = {
        _Key(manifest.state, key.role.value, key.owner, key.key_id.hex(), key.from_ms, key.until_ms)
        for key in manifest.keys
    }
    witness = manifest.witness
    return keys | {_Key(manifest.state, "witness", witness.name, note_key_id(witness))}


def _gone(keys: set[_Key], manifest: StateManifest) -> list[tuple[str, _Key]]:
    """Return the keys that are no longer listed, without those that were revoked or live longer."""
    told = {one.key_id.hex() for one in manifest.revoked} | {one.key_id.hex() for one in manifest.keys}
    return [("removed", key) for key in keys if key.key_id not in told]


def _revoked(
    before: Documents, after: Documents, known: set[_Key], manifest: StateManifest
) -> list[tuple[str, _Key]]:
    new = {
        key_id.hex()
        for state, key_id in after.revoked
        if state == manifest.state and (state, key_id) not in before.revoked
    }
    named = {key.key_id: key for key in known}
    return [("revoked", named.get(key_id, _Key(manifest.state, "node", "unknown", key_id))) for key_id in new]
