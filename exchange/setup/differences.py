"""What differs between a trusted root or directory and the one that would follow it, line by line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from exchange.setup.governance import DIRECTORY_LIFE_MS, ROOT_LIFE_MS
from keys.enrolment import fingerprint
from keys.held import Documents
from keys.quorum import quorum_size
from protocol.digest import certificate_id, signing_key_id
from protocol.documents import (
    Compromise,
    CoordinatorEntry,
    Directory,
    Role,
    RoleKeys,
    Root,
    StateEntry,
    StateStatus,
)
from protocol.text import format_utc

COMPROMISABLE = frozenset({Role.NODE, Role.OFFICER, Role.COORDINATOR})
"""Whose keys a directory can call compromised: what they signed is judged by their time in the ledger."""


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
    yield from _coordinators(trusted, coordinators, {entry.code: entry for entry in after.coordinators})
    states = {entry.code: entry for entry in before.states} if before else {}
    yield from _states(trusted, states, after)
    known = set(before.compromised) if before else set()
    for entry in after.compromised:
        if entry not in known:
            yield _compromise(trusted, entry)
    if before is not None:
        yield from _quorum(_active(before), _active(after))
        yield from _expiry("directory", before.expires_ms, after, DIRECTORY_LIFE_MS)


def root_changes(before: Root, after: Root) -> Iterator[Change]:
    """Yield what a root would change."""
    yield from _role(Role.ROOT, before.root, after.root)
    yield from _role(Role.DIRECTORY, before.directory, after.directory)
    if before.name != after.name:
        yield Change("rename", "root", "", after.name, f"was {before.name}")
    if before.suites != after.suites:
        detail = f"{_suites(before)} -> {_suites(after)}"
        yield Change("suites", "root", "", "", detail, unsafe=not set(after.suites) <= set(before.suites))
    yield from _expiry("root", before.expires_ms, after, ROOT_LIFE_MS)


def _states(trusted: Documents, before: Mapping[str, StateEntry], after: Directory) -> Iterator[Change]:
    listed = {entry.code: entry for entry in after.states}
    for code in sorted({*before, *listed}):
        old, new = before.get(code), listed.get(code)
        if new is None:
            if old is not None:
                yield Change("remove", "state", code, old.name, "nothing of it counts any more")
        elif old is None:
            again = _was_a_party(trusted, code)
            detail = "this code was a party before" if again else "new member"
            if new.status is not StateStatus.ACTIVE:
                detail += f", added as {new.status.value.upper()}"
            stolen = _is_stolen(after, new)
            detail += ", THIS KEY COUNTS AS STOLEN" if stolen else ""
            unsafe = again or stolen or new.status is not StateStatus.ACTIVE
            yield Change("add", "state", code, new.name, detail, fingerprint(new.identity), unsafe=unsafe)
        else:
            yield from _state(trusted, old, new, is_stolen=_is_stolen(after, new))


def _state(trusted: Documents, old: StateEntry, new: StateEntry, *, is_stolen: bool) -> Iterator[Change]:
    if old.identity != new.identity:
        detail = f"replaces {fingerprint(old.identity)}"
        if signing_key_id(new.identity) in trusted.owners:
            # Attestations from its first time still count, so only people can see that it returns.
            detail += ", THIS KEY WAS LISTED BEFORE"
        detail += ", THIS KEY COUNTS AS STOLEN" if is_stolen else ""
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


def _is_stolen(directory: Directory, state: StateEntry) -> bool:
    return signing_key_id(state.identity) in {one.key_id for one in directory.compromised}


def _was_a_party(trusted: Documents, code: str) -> bool:
    return any(owner.party == code for owner in trusted.owners.values())


def _compromise(trusted: Documents, entry: Compromise) -> Change:
    detail = f"key {entry.key_id.hex()} counts as stolen since {format_utc(entry.since_ms)}"
    owner = trusted.owners.get(entry.key_id)
    if owner is None or owner.party != entry.party:
        return Change("compromised", "key", entry.party, "", f"{detail}: NO SUCH KEY IS KNOWN", unsafe=True)
    if owner.use not in COMPROMISABLE:
        detail = f"{detail}: of a {owner.use} key this changes nothing; replace it instead"
        return Change("compromised", "key", entry.party, owner.use, detail, unsafe=True)
    began_ms = _began_ms(trusted, entry)
    early = entry.since_ms < began_ms
    if early:
        detail = f"{detail}: BEFORE IT WAS IN USE, {format_utc(began_ms)}; all that it ever said is doubted"
    return Change("compromised", "key", entry.party, owner.use, detail, unsafe=early)


def _began_ms(trusted: Documents, entry: Compromise) -> int:
    """Return the earliest time at which a key can have said anything, as far as documents still tell."""
    manifest = trusted.manifests.get(entry.party)
    listed = manifest.document.keys if manifest else ()
    windows = [key.from_ms for key in listed if key.key_id == entry.key_id]
    # Of a key that no manifest lists, only that it spoke to somebody who was a member.
    states = trusted.directory.document.states if trusted.directory else ()
    return min(windows or [state.since_ms for state in states], default=0)


def _coordinators(
    trusted: Documents, before: Mapping[str, CoordinatorEntry], after: Mapping[str, CoordinatorEntry]
) -> Iterator[Change]:
    for code in sorted({*before, *after}):
        old, new = before.get(code), after.get(code)
        if new is None:
            if old is not None:
                yield Change("remove", "coordinator", code, old.name, old.url)
        elif old is None:
            again = _was_a_party(trusted, code)
            detail = f"{new.url}; this code was a party before" if again else new.url
            yield Change("add", "coordinator", code, new.name, detail, fingerprint(new.key), unsafe=again)
        elif old != new:
            yield _coordinator(old, new)


def _coordinator(old: CoordinatorEntry, new: CoordinatorEntry) -> Change:
    parts = [
        f"{what} {was} -> {now}"
        for what, was, now in (("name", old.name, new.name), ("address", old.url, new.url))
        if was != now
    ]
    for sign, listed, others in (
        ("-", old.certificates, new.certificates),
        ("+", new.certificates, old.certificates),
    ):
        parts += [
            f"{sign} TLS certificate {certificate_id(der).hex()}" for der in listed if der not in others
        ]
    if old.log != new.log:
        parts.append("other keys of its ledger")
    if old.key != new.key:
        parts.append(f"statement key replaces {fingerprint(old.key)}")
    moved = old.url != new.url or not set(old.certificates) & set(new.certificates)
    unsafe = moved or old.key != new.key or old.log != new.log
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
    if len(added) >= after.threshold:
        detail = f"{len(added)} NEW KEYS REACH THE THRESHOLD OF {after.threshold} ALONE"
        yield Change("newcomers", role.value, "", "", detail, unsafe=True)
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


def _expiry(what: str, before: int, after: Root | Directory, usual_ms: int) -> Iterator[Change]:
    """Yield another expiry: unsafe if it is nearer than before, or far beyond what this program proposes."""
    if before != after.expires_ms:
        detail = f"{format_utc(before)} -> {format_utc(after.expires_ms)}"
        far = after.expires_ms - after.issued_ms > 2 * usual_ms
        yield Change("expiry", what, "", "", detail, unsafe=far or after.expires_ms < before)


def _active(directory: Directory) -> int:
    return sum(entry.status is StateStatus.ACTIVE for entry in directory.states)


def _suites(root: Root) -> str:
    return ", ".join(f"0x{suite:04x}" for suite in root.suites)
