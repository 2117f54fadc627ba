"""Watching what others are told about this state: whatever this node did not issue, a person must see.

Every node has every document, so nothing can be said about a state behind its back.
"""

from __future__ import annotations

from typing import NamedTuple

from keys.enrolment import fingerprint
from protocol.documents import (
    Document,
    PrekeyList,
    Publication,
    StateEntry,
    StateManifest,
    StateStatus,
)

ALARM = "own-entry-foreign"
NEXT = (
    "If nobody here did this, call two custodians on another channel at once: somebody acts in your name. "
    "Compare what is yours with: almenara key check; withdraw a key with: almenara key revoke."
)


class Foreign(NamedTuple):
    """Something about this state that this node did not issue: what it is about, and a sentence."""

    about: str
    message: str


def foreign_document(state: str, document: Document, digest: bytes) -> tuple[Foreign, ...]:
    """Return what a person must see if a document, new to this node, is in its own state's name.

    Args:
        state: This node's state.
        document: A document that is trusted, came from the coordinator, and was not known here.
        digest: Its hash.
    """
    match document:
        case StateManifest():
            what = "manifest"
        case PrekeyList():
            what = "list of daily keys"
        case Publication():
            what = f"publication {document.topic}/{document.name}"
        case _:
            return ()
    if document.state != state:
        return ()
    message = f"a {what} of {state}, version {document.version}, is in force that this node did not issue"
    return (Foreign(digest.hex(), message),)


def changed_entry(before: StateEntry | None, after: StateEntry | None) -> tuple[Foreign, ...]:
    """Return what a person must see of a change of this state's entry in the directory."""
    if before is None or before == after:
        return ()
    state = before.code
    if after is None:
        return (Foreign(f"{state} removed", f"the directory does not list {state} any more"),)
    found: list[Foreign] = []
    if after.identity != before.identity:
        shown = fingerprint(after.identity)
        message = f"the directory gives {state} another identity key: {shown}"
        found.append(Foreign(shown, message))
    if after.status is not before.status:
        suspended = after.status is StateStatus.SUSPENDED
        message = f"the directory {'suspends' if suspended else 'reinstates'} {state}"
        found.append(Foreign(f"{state} {after.status}", message))
    if after.name != before.name:
        message = f"the directory calls {state} {after.name!r} now, and called it {before.name!r}"
        found.append(Foreign(f"{state} name", message))
    return tuple(found)
