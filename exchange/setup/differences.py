"""What differs between a trusted root or directory and the one that would follow it, line by line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from keys.enrolment import fingerprint
from keys.held import Documents
from keys.quorum import quorum_size
from protocol.documents import (
    CoordinatorEntry,
    Directory,
    Role,
    RoleKeys,
    Root,
    StateEntry,
    StateStatus,
)
from protocol.text import format_utc


@dataclass(frozen=True, slots=True)
class Change:
    """One line of what a proposal changes, for people.

    Attributes:
        action: What happens, one word.
        kind: To what: ``state``, ``coordinator``, ``root``, ``directory``.
        code: The member's code, or empty.
        name: What it is called.
        detail: What people should know besides.
        fingerprint: The key that people must compare, or empty.
        unsafe: Whether it takes a safeguard away, so that it must not be overlooked.
    """

    action: str
    kind: str
    code: str
    name: str
    detail: str
    fingerprint: str = ""
    unsafe: bool = False


def directory_changes(trusted: Documents, after: Directory) -> Iterator[Change]:
    """Yield what a directory would change."""
    before = trusted.directory.document if trusted.directory else None
    coordinators = {entry.code: entry for entry in before.coordinators} if before else {}
    yield from _coordinators(coordinators, {entry.code: entry for entry in after.coordinators})
    states = {entry.code: entry for entry in before.states} if before else {}
    yield from _states(trusted, states, {entry.code: entry for entry in after.states})
    known = set(before.compromised) if before else set()
    for entry in after.compromised:
        if entry not in known:
            detail = f"key {entry.key_id.hex()} counts as stolen since {format_utc(entry.since_ms)}"
            yield Change("compromised", "key", entry.party, "", detail)
    if before is not None:
        yield from _quorum(_active(before), _active(after))
        yield from _expiry("directory", before.expires_ms, after.expires_ms)


def root_changes(before: Root, after: Root) -> Iterator[Change]:
    """Yield what a root would change."""
    yield from _role(Role.ROOT, before.root, after.root)
    yield from _role(Role.DIRECTORY, before.directory, after.directory)
    if before.name != after.name:
        yield Change("rename", "root", "", after.name, f"was {before.name}")
    if before.suites != after.suites:
        detail = f"{_suites(before)} -> {_suites(after)}"
        yield Change("suites", "root", "", "", detail, unsafe=not set(after.suites) <= set(before.suites))
    yield from _expiry("root", before.expires_ms, after.expires_ms)


def _states(
    trusted: Documents, before: Mapping[str, StateEntry], after: Mapping[str, StateEntry]
) -> Iterator[Change]:
    for code in sorted({*before, *after}):
        old, new = before.get(code), after.get(code)
        if new is None:
            if old is not None:
                yield Change("remove", "state", code, old.name, "nothing of it counts any more")
        elif old is None:
            again = code in trusted.manifests
            detail = "this code was a member before" if again else "new member"
            yield Change("add", "state", code, new.name, detail, fingerprint(new.identity), unsafe=again)
        else:
            yield from _state(old, new)


def _state(old: StateEntry, new: StateEntry) -> Iterator[Change]:
    if old.identity != new.identity:
        detail = f"replaces {fingerprint(old.identity)}"
        yield Change(
            "replace-identity", "state", new.code, new.name, detail, fingerprint(new.identity), unsafe=True
        )
    if old.status is not new.status:
        action = "suspend" if new.status is StateStatus.SUSPENDED else "reinstate"
        yield Change(action, "state", new.code, new.name, f"{old.status.value} -> {new.status.value}")
    if old.name != new.name:
        yield Change("rename", "state", new.code, new.name, f"was {old.name}")
    if old.since_ms != new.since_ms:
        detail = f"member since {format_utc(old.since_ms)} -> {format_utc(new.since_ms)}"
        yield Change("change", "state", new.code, new.name, detail)


def _coordinators(
    before: Mapping[str, CoordinatorEntry], after: Mapping[str, CoordinatorEntry]
) -> Iterator[Change]:
    for code in sorted({*before, *after}):
        old, new = before.get(code), after.get(code)
        if new is None:
            if old is not None:
                yield Change("remove", "coordinator", code, old.name, old.url)
        elif old is None:
            yield Change("add", "coordinator", code, new.name, new.url, fingerprint(new.key))
        elif old != new:
            yield _coordinator(old, new)


def _coordinator(old: CoordinatorEntry, new: CoordinatorEntry) -> Change:
    parts = [
        f"{what} {was} -> {now}"
        for what, was, now in (("name", old.name, new.name), ("address", old.url, new.url))
        if was != now
    ]
    if old.certificates != new.certificates:
        parts.append("other TLS certificates")
    if old.log != new.log:
        parts.append("other keys of its ledger")
    if old.key != new.key:
        parts.append(f"statement key replaces {fingerprint(old.key)}")
    unsafe = old.key != new.key or old.log != new.log
    return Change(
        "change", "coordinator", new.code, new.name, "; ".join(parts), fingerprint(new.key), unsafe=unsafe
    )


def _role(role: Role, before: RoleKeys, after: RoleKeys) -> Iterator[Change]:
    added = [key for key in after.keys if key not in before.keys]
    dropped = [key for key in before.keys if key not in after.keys]
    for key in added:
        yield Change(
            "add", f"{role} key", "", "", "custodian's new key", fingerprint(key), unsafe=bool(dropped)
        )
    for key in dropped:
        yield Change("remove", f"{role} key", "", "", "signs no more", fingerprint(key))
    was, now = f"{before.threshold} of {len(before.keys)}", f"{after.threshold} of {len(after.keys)}"
    if was != now:
        lowered = after.threshold < before.threshold
        yield Change("threshold", role.value, "", "", f"{was} -> {now}", unsafe=lowered)


def _quorum(before: int, after: int) -> Iterator[Change]:
    old, new = quorum_size(before), quorum_size(after)
    if before != after:
        detail = f"{old} of {before} witnesses -> {new} of {after}"
        yield Change("quorum", "ledger", "", "", detail, unsafe=new < old)


def _expiry(what: str, before: int, after: int) -> Iterator[Change]:
    if before != after:
        detail = f"{format_utc(before)} -> {format_utc(after)}"
        yield Change("expiry", what, "", "", detail, unsafe=after < before)


def _active(directory: Directory) -> int:
    return sum(entry.status is StateStatus.ACTIVE for entry in directory.states)


def _suites(root: Root) -> str:
    return ", ".join(f"0x{suite:04x}" for suite in root.suites)
