"""Do the others hold of us what we hold? Looked at before a switch, while there is time to put it right."""

from __future__ import annotations

import shlex
import ssl
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from exchange.clock import Clock
from exchange.datadir import DataDir
from exchange.expiries import board
from exchange.node.expiring import ALARM as EXPIRY
from exchange.node.expiring import NEXT as RENEW
from exchange.node.keykeeper import ALARM as NOT_HELD
from exchange.node.mirror import load_directory
from exchange.node.restored import ALARM as RESTORED
from exchange.node.secrets import NODE
from exchange.node.selfwatch import ALARM as FOREIGN
from exchange.node.signing import BY_FILE, NOT_LET_IN, ROTATE
from exchange.pinned_root import read_pinned_root
from exchange.setup.amending import Alarm, Reach, open_node
from exchange.setup.holdings import TLS, Holding, Standing, holdings, may_sign
from exchange.setup.joining import own_identities, own_request
from keys.signer import Verifier
from keys.trust import TrustedDirectory
from protocol.documents import Role, StateStatus

TELLING = frozenset({NOT_HELD, FOREIGN, "prekeys", "prekeys-lost", "documents-missing", RESTORED, NOT_LET_IN})
"""Alarms of the node that are about keys and are found by nobody else; those about expiry are found here."""


@dataclass(frozen=True, slots=True)
class Glance:
    """A node looked at: what lies in its folder, what it trusts, and its alarms.

    Attributes:
        place: Its data directory.
        state: The code of its state.
        directory: What it trusts, verified anew from the pinned root.
        handed_over: Whether the coordinator, and so everybody, has all documents of this state.
        runs: Whether it runs.
        alarms: What it says itself.
        now_ms: When it was looked at.
    """

    place: DataDir
    state: str
    directory: TrustedDirectory
    handed_over: bool
    runs: bool
    alarms: tuple[Alarm, ...]
    now_ms: int


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it must be, and what to do.

    Attributes:
        message: What is wrong.
        fix: What to do.
        grave: Whether the node cannot do its work until then; otherwise something is to be tidied up.
    """

    message: str
    fix: str
    grave: bool = False


async def glance(data: Path, clock: Clock, reach: Reach | None) -> Glance:
    """Look at a node, whether it runs or not; nothing is changed.

    Args:
        data: Its data directory.
        clock: The source of time.
        reach: Reaches the node if it runs.

    Raises:
        DataDirBusy: another process has the data directory, and cannot be reached.
        SetupError: it is no node's, or its store was altered.
    """
    place = DataDir(data)
    async with AsyncExitStack() as stack:
        state = own_request(data).code
        node, runs = await open_node(place, clock, reach, stack)
        documents, handed_over = await node.documents()
        alarms = tuple(await node.alarms())
    directory = TrustedDirectory(read_pinned_root(data), Verifier())
    load_directory(directory, documents)
    return Glance(place, state, directory, handed_over, runs, alarms, clock.now_ms())


def check(seen: Glance) -> tuple[Finding, ...]:
    """Return everything that is not as it must be; nothing if others hold of us what we hold.

    Raises:
        KeyfileError: a file is damaged, or open to others.
    """
    return (
        *_membership(seen),
        *_documents(seen),
        *keys_found(seen),
        *_ending(seen),
        *_alarms(seen.alarms),
    )


def keys_found(seen: Glance) -> tuple[Finding, ...]:
    """Return what is not as it must be about keys and certificates alone; the doctor asks for it too.

    Raises:
        KeyfileError: as :func:`check`.
    """
    held = holdings(seen.place, seen.state, seen.directory, seen.now_ms)
    return (
        *_listed_and_not_held(held),
        *_held_and_not_listed(held, seen.now_ms),
        *_node_keys(seen),
        *_tls(held),
    )


def _alarms(alarms: Iterable[Alarm]) -> Iterator[Finding]:
    for alarm in alarms:
        if alarm.code in TELLING:
            yield Finding(alarm.message, alarm.next, grave=alarm.code == RESTORED)


def _membership(seen: Glance) -> Iterator[Finding]:
    entry = seen.directory.documents.entry(seen.state)
    if entry is None:
        yield Finding(f"the directory does not list {seen.state}", "Ask the secretariat why.", grave=True)
        return
    if entry.status is not StateStatus.ACTIVE:
        yield Finding(f"{seen.state} is suspended", "Ask the secretariat why, and what lifts it.", grave=True)
    if entry.identity not in own_identities(seen.place.path):
        yield Finding(
            "the directory lists an identity key that was not made here",
            "If nobody here asked for that, call two custodians at once: somebody acts in your name.",
        )


def _documents(seen: Glance) -> Iterator[Finding]:
    if seen.directory.documents.manifest(seen.state) is None:
        yield Finding(
            f"{seen.state} has no manifest signed by the identity key that is listed",
            "Sign the next one with that key: almenara key rotate manifest --data DIR --identity FILE",
            grave=True,
        )
    if not seen.handed_over:
        yield Finding(
            "the coordinator has not accepted the newest documents of this state: nobody else knows them",
            "Let the node run and reach its coordinator. If that refuses it (almenara health --data DIR "
            f"--token-file TOKEN), because it knows none of the keys here that count: {BY_FILE}",
        )


def _listed_and_not_held(held: Iterable[Holding]) -> Iterator[Finding]:
    for one in held:
        if one.role in (NODE, TLS, Role.OFFICER.value) and one.path is None and _counts(one):
            yield Finding(
                f"{_named(one)} is listed, and its private half is not here",
                _when_lost(one),
            )


def _when_lost(one: Holding) -> str:
    if one.role == TLS:
        return (
            "Copy both files here from where they were made. If they are lost: almenara key rotate tls "
            "--data DIR "
            "--identity FILE"
        )
    return (
        "Copy the file here from where it was made. If it is lost, end it: almenara key revoke "
        f"{one.id[:16]} --since TIME --reason lost --data DIR --identity FILE"
    )


def _held_and_not_listed(held: Sequence[Holding], now_ms: int) -> Iterator[Finding]:
    for one in held:
        if one.standing is Standing.UNLISTED:
            yield Finding(
                f"{one.path} is here, and no manifest lists {_named(one)}: nobody else knows it",
                f"Delete it if it was made in vain; a listed one is made with: {_rotation(one)}",
            )
        elif one.path is not None and one.is_over(now_ms):
            if _has_successor(one, held, now_ms):
                yield Finding(
                    f"{_named(one)} is {one.standing}, and {one.path} is still here",
                    "Delete it with: almenara key rotate finish --data DIR --identity FILE",
                )
            elif one.role == Role.OFFICER.value:
                owner = shlex.quote(one.owner)
                yield Finding(
                    f"{_named(one)} is {one.standing}: {one.owner} can answer nothing",
                    f"Take the token back: almenara officer revoke {owner} --data DIR --identity FILE; "
                    f"then, if {one.owner} stays: almenara officer add {owner} --data DIR --identity FILE",
                )


def _has_successor(gone: Holding, held: Iterable[Holding], now_ms: int) -> bool:
    """Whether another of its kind stays: the last file of a kind is never deleted."""
    return any(
        one.path is not None and not one.is_over(now_ms)
        for one in held
        if one.role == gone.role and (one.owner == gone.owner or one.role != Role.OFFICER.value)
    )


def _rotation(one: Holding) -> str:
    """Return the command that makes the next key of a kind."""
    what = f"officer {shlex.quote(one.owner)}" if one.role == Role.OFFICER.value else one.role
    return f"almenara key rotate {what} --data DIR --identity FILE"


def _node_keys(seen: Glance) -> Iterator[Finding]:
    if not may_sign(seen.place, seen.state, seen.directory, seen.now_ms):
        yield Finding(
            "no node key that lies here may sign now: nothing can be sent or acknowledged, and the "
            "coordinator "
            "lets nobody in by it",
            f"Make one with the identity key, used at once: {ROTATE}; then {BY_FILE}",
            grave=True,
        )


def _tls(held: Iterable[Holding]) -> Iterator[Finding]:
    mine = [one for one in held if one.role == TLS and one.path is not None]
    if not any(one.standing is Standing.ACTIVE for one in mine):
        yield Finding(
            "no TLS certificate that lies here is listed and valid: the coordinator refuses this node",
            "Make one with the identity key: almenara key rotate tls --data DIR --identity FILE",
            grave=True,
        )
    for one in mine:
        if one.path is not None and not _fits(one.path):
            yield Finding(
                f"{one.path} and its private key do not belong together, or cannot be loaded",
                "Restore both from backup, or make new ones with: almenara key rotate tls --data DIR "
                "--identity FILE",
                grave=True,
            )


def _ending(seen: Glance) -> Iterator[Finding]:
    """Return what ends soon; the node's own alarms of this kind would say the same again."""
    for one in board(seen.directory):
        if one.party == seen.state and one.due(seen.now_ms) is not None:
            yield Finding(f"this state's {one.sentence(seen.now_ms)} [{EXPIRY}]", RENEW[one.what])


def _counts(one: Holding) -> bool:
    return one.standing in (Standing.ACTIVE, Standing.ANNOUNCED)


def _named(one: Holding) -> str:
    whose = f" of {one.owner}" if one.role == Role.OFFICER.value else ""
    return f"{one.role} key {one.id[:16]}{whose}"


def _fits(certificate: Path) -> bool:
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    except (OSError, ssl.SSLError):
        return False
    return True
