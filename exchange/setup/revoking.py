"""Ending a key at once, because it was stolen or lost: what that takes is shown before anything is signed.

A revocation counts from its place in the ledger on. What the key said before stays said; only
governance can make doubtful what a thief may have said since.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from exchange.node.key_files import next_key_file
from exchange.node.secrets import NODE
from exchange.node.signing import BY_FILE, ROTATE
from exchange.setup import people
from exchange.setup.amending import Amendment
from exchange.setup.keyring import Protect, new_signer
from exchange.setup.node import KEY_LIFE_MS
from keys.enrolment import key_entry
from keys.trust import MAX_SKEW_MS
from protocol.documents import KeyEntry, Revocation, Role
from protocol.errors import BadRequest, FormatError, NotFound, SetupError, TrustError
from protocol.text import format_utc

MIN_PREFIX = 6
SILENCED = (
    "It is the last node key: without --replace the node is silent from then on, and the coordinator does "
    "not "
    f"let it in any more. To end that, make the next key: {ROTATE}; then {BY_FILE}."
)
REASONS = ("compromised", "lost", "retired")
OTHERS = {
    "witness": "almenara key rotate witness --data DIR --identity FILE",
    "tls": "almenara key rotate tls --data DIR --identity FILE; then, when the coordinator has it: almenara "
    "key "
    "rotate finish --data DIR --identity FILE",
    "identity": "almenara node succeed-identity --data DIR --identity FILE --new-key NEW; if it is lost: see "
    "deploy/runbooks/lost-identity-key.md",
    "prekeys": "almenara key revoke node --since TIME --reason compromised --replace --data DIR --identity "
    "FILE; "
    "it replaces every daily key too",
}
"""What is replaced, not revoked: nothing is judged by it later."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What revoking a key would do.

    Attributes:
        entry: The key.
        since_ms: From when on it is said not to count.
        reason: Why.
        silences: Whether no node key would be left that signs now.
        steps: What happens, and what people have to do, one sentence each.
    """

    entry: KeyEntry
    since_ms: int
    reason: str
    silences: bool
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Revoked:
    """What was published: the key, the manifest's version, and the new node key if one was made."""

    key: str
    version: int
    replacement: str | None
    file: Path | None


def plan(amendment: Amendment, wanted: str, since_ms: int, reason: str) -> Plan:
    """Return what revoking a key would do; nothing is changed.

    Args:
        amendment: The node, with its state's identity key.
        wanted: The beginning of the key's id, ``node`` for the key in use, or an officer's name.
        since_ms: From when on it is said not to count.
        reason: One of :data:`REASONS`.

    Raises:
        NotFound: the manifest lists no such key, or it is revoked already.
        BadRequest: several keys are meant, it is of a kind that is replaced, or the time is in the future.
    """
    if since_ms > amendment.now_ms:
        raise BadRequest(
            f"{format_utc(since_ms)} has not come yet: a revocation takes effect at once",
            hint="Give --since a time that has passed, such as the last time when the key was surely safe.",
        )
    entry = _find(amendment, wanted)
    others = [key for key in _usable(amendment) if key.key_id != entry.key_id]
    silences = entry.role is Role.NODE and not others
    steps = _steps(amendment, entry, since_ms, reason)
    if silences:
        steps.append(SILENCED)
    return Plan(entry, since_ms, reason, silences, tuple(steps))


def require_said(planned: Plan, *, replace: bool, silence: bool) -> None:
    """Return only if what was asked for is possible, and a silence was asked for if there will be one.

    Raises:
        BadRequest: a key that is no node key cannot be replaced in the same step.
        SetupError: the state could sign nothing afterwards, and that was not asked for.
    """
    if replace and planned.entry.role is not Role.NODE:
        raise BadRequest(
            "only a node key is replaced in the same step",
            hint="Leave --replace out, then: almenara officer add NAME --data DIR --identity FILE",
        )
    if planned.silences and not replace and not silence:
        raise SetupError(
            "this is the last node key: the node could send nothing and confirm nothing",
            hint="Make a new one in the same step with --replace. With --silence the node is silent, and "
            "not let "
            "in any more: its next key then reaches the coordinator only as a file that somebody carries.",
        )


async def revoke(amendment: Amendment, planned: Plan, protect: Protect | None, *, silence: bool) -> Revoked:
    """Publish the revocation; with ``protect``, a new node key stands in the same manifest.

    Raises:
        BadRequest, SetupError: as :func:`require_said`.
        KeyfileError: the new key's file cannot be written.
        TrustError, FormatError: this node's own rules refuse the manifest; nothing is changed.
    """
    entry, present = planned.entry, amendment.held.document
    require_said(planned, replace=protect is not None, silence=silence)
    revocation = Revocation(key_id=entry.key_id, reason=planned.reason, at_ms=planned.since_ms)
    keys: Sequence[KeyEntry] = present.keys
    file = made = None
    if protect is not None:
        file = next_key_file(amendment.place.keys, NODE)
        made = _next_entry(amendment, file, protect)
        keys = [*present.keys, made]
    try:
        manifest = await amendment.publish_manifest(keys, [*present.revoked, revocation])
    except (TrustError, FormatError):
        if file is not None:
            file.unlink()
        raise
    if entry.role is Role.OFFICER:
        _take_token_back(amendment, entry)
    return Revoked(entry.key_id.hex(), manifest.version, None if made is None else made.key_id.hex(), file)


def _find(amendment: Amendment, wanted: str) -> KeyEntry:
    if wanted in OTHERS:
        raise BadRequest(
            f"the {wanted} key is replaced, not revoked", hint=f"Replace it with: {OTHERS[wanted]}"
        )
    manifest = amendment.held.document
    revoked = {item.key_id for item in manifest.revoked}
    listed = [key for key in manifest.keys if key.key_id not in revoked]
    meant = [key for key in listed if _is_meant(key, wanted)]
    found = _usable(amendment)[:1] if wanted == "node" else meant
    if not found:
        known = ", ".join(f"{key.key_id.hex()[:16]} ({key.role} of {key.owner})" for key in listed)
        raise NotFound(
            f"{amendment.state} lists no key {wanted!r} that is not revoked yet",
            hint=f"Listed are: {known}" if known else "Every listed key is revoked already.",
        )
    if len(found) > 1:
        raise BadRequest(
            f"{wanted!r} means several keys",
            hint="Give one's id: " + ", ".join(key.key_id.hex()[:16] for key in found),
        )
    return found[0]


def _is_meant(key: KeyEntry, wanted: str) -> bool:
    by_id = len(wanted) >= MIN_PREFIX and key.key_id.hex().startswith(wanted.lower())
    return by_id or (key.role is Role.OFFICER and key.owner == wanted)


def _usable(amendment: Amendment) -> list[KeyEntry]:
    """Return the node keys that sign now, the one in use first."""
    manifest, now_ms = amendment.held.document, amendment.now_ms
    revoked = {item.key_id for item in manifest.revoked}
    usable = [
        key
        for key in manifest.keys
        if key.role is Role.NODE and key.from_ms <= now_ms < key.until_ms and key.key_id not in revoked
    ]
    return sorted(usable, key=lambda key: key.from_ms, reverse=True)


def _steps(amendment: Amendment, entry: KeyEntry, since_ms: int, reason: str) -> list[str]:
    name = entry.key_id.hex()[:16]
    steps = [
        f"The {entry.role} key {name} of {entry.owner} signs nothing from now on; no coordinator takes it.",
        "What it said before stays said: receipts and answers in the ledger keep their weight.",
        f"Notices that it signed since {format_utc(since_ms)} and that are still on their way are refused.",
        "See what it signed and could open, while the node runs: almenara key exposure "
        f"{name} --since {format_utc(since_ms)} --data DIR --token-file TOKEN",
    ]
    if entry.role is Role.NODE:
        steps.append("The daily keys that it signed are used by nobody; a new node key publishes new ones.")
    else:
        steps.append(
            f"The token of {entry.owner} is taken back; give a new one with: "
            f"almenara officer add {shlex.quote(entry.owner)} --data DIR --identity FILE"
        )
    if reason == "compromised":
        steps.append(
            "Call the members that were concerned, and ask the custodians to confirm the theft: only then "
            "does what the thief may have said become doubtful. They prepare it with: almenara governance "
            f"propose confirm-compromise {amendment.state} {name} --since {format_utc(since_ms)} --in "
            "governance "
            f"-o {amendment.state.lower()}.proposal"
        )
    return steps


def _next_entry(amendment: Amendment, file: Path, protect: Protect) -> KeyEntry:
    now_ms, state = amendment.now_ms, amendment.state
    fresh = new_signer(file, f"{state} node", Role.NODE, protect(), now_ms)
    return key_entry(
        fresh,
        state=state,
        community=amendment.directory.community,
        owner=f"node of {state}",
        from_ms=now_ms - MAX_SKEW_MS,
        until_ms=now_ms + KEY_LIFE_MS,
    )


def _take_token_back(amendment: Amendment, entry: KeyEntry) -> None:
    # The key may lie elsewhere: then there is no token of it here either.
    with suppress(NotFound):
        for officer in people.officer_keys(amendment.place, entry.owner):
            if officer.description.key_id == entry.key_id:
                people.forget(amendment.place, officer)
