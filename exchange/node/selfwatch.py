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
CHANGED = "own-entry-changed"
"""The alarm for what governance has decided about this state, and what only governance can change."""
NEXT = (
    "If nobody here did this, call two custodians on another channel at once: somebody acts in your name. "
    "Compare what is yours with: almenara key check --data DIR; withdraw a key with: almenara key revoke "
    "KEYID "
    "--since TIME --reason compromised --data DIR --identity FILE"
)
SUSPENDED_NEXT = (
    "Two custodians or more have signed this; no document says why. If nobody told you, ask the secretariat "
    "on "
    "another channel, today. Nothing is lost: this node keeps what you write and goes on by itself when "
    "governance reinstates the state. If your machine or a key may be in other hands, follow "
    "deploy/runbooks/suspected-compromise.md"
)
REINSTATED_NEXT = (
    "Nothing is to be done: the node goes on by itself, and what waited comes now. When it is read, take it "
    "down with: almenara health --dismiss --data DIR --token-file TOKEN"
)
REMOVED_NEXT = "Ask the secretariat why, on another channel: nobody takes anything from this node any more."


class Foreign(NamedTuple):
    """Something about this state that this node did not issue.

    Attributes:
        about: What it is about.
        message: A sentence.
        next: The next step.
        code: The code of the alarm.
    """

    about: str
    message: str
    next: str = NEXT
    code: str = ALARM


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
        gone = f"the directory does not list {state} any more"
        return (Foreign(f"{state} removed", gone, REMOVED_NEXT, CHANGED),)
    found: list[Foreign] = []
    if after.identity != before.identity:
        shown = fingerprint(after.identity)
        message = f"the directory gives {state} another identity key: {shown}"
        found.append(Foreign(shown, message))
    if after.status is not before.status:
        suspended = after.status is StateStatus.SUSPENDED
        message = (
            f"the custodians have suspended {state}: nobody takes anything from it, and what is sent to it "
            "waits"
            if suspended
            else f"the custodians have reinstated {state}: it takes part again"
        )
        helps = SUSPENDED_NEXT if suspended else REINSTATED_NEXT
        found.append(Foreign(f"{state} status", message, helps, CHANGED))
    if after.name != before.name:
        message = f"the directory calls {state} {after.name!r} now, and called it {before.name!r}"
        found.append(Foreign(f"{state} name", message))
    return tuple(found)
