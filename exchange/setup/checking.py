"""Do the others hold of us what we hold? Looked at before a switch, while there is time to put it right."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Iterator
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
from exchange.node.secrets import NODE
from exchange.node.selfwatch import ALARM as FOREIGN
from exchange.pinned_root import read_pinned_root
from exchange.setup.amending import Alarm, Reach, open_node
from exchange.setup.holdings import TLS, Holding, Standing, holdings
from exchange.setup.joining import own_identities, own_request
from keys.signer import Verifier
from keys.trust import TrustedDirectory
from protocol.documents import Role, StateStatus

TELLING = frozenset({NOT_HELD, FOREIGN, "prekeys", "prekeys-lost", "documents-missing"})
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
    """Something that is not as it must be, and what to do."""

    message: str
    fix: str


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
    held = holdings(seen.place, seen.state, seen.directory, seen.now_ms)
    return (
        *_membership(seen),
        *_documents(seen),
        *_listed_and_not_held(held),
        *_held_and_not_listed(held),
        *_node_keys(held),
        *_tls(held),
        *_ending(seen),
        *(Finding(alarm.message, alarm.next) for alarm in seen.alarms if alarm.code in TELLING),
    )


def _membership(seen: Glance) -> Iterator[Finding]:
    entry = seen.directory.documents.entry(seen.state)
    if entry is None:
        yield Finding(f"the directory does not list {seen.state}", "Ask the secretariat why.")
        return
    if entry.status is not StateStatus.ACTIVE:
        yield Finding(f"{seen.state} is suspended", "Ask the secretariat why, and what lifts it.")
    if entry.identity not in own_identities(seen.place.path):
        yield Finding(
            "the directory lists an identity key that was not made here",
            "If nobody here asked for that, call two custodians at once: somebody acts in your name.",
        )


def _documents(seen: Glance) -> Iterator[Finding]:
    if seen.directory.documents.manifest(seen.state) is None:
        yield Finding(
            f"{seen.state} has no manifest signed by the identity key that is listed",
            "Sign the next one with that key: almenara key rotate manifest",
        )
    if not seen.handed_over:
        yield Finding(
            "the coordinator has not accepted the newest documents of this state: nobody else knows them",
            "Let the node run and reach its coordinator; see: almenara health",
        )


def _listed_and_not_held(held: Iterable[Holding]) -> Iterator[Finding]:
    for one in held:
        if one.role in (NODE, TLS, Role.OFFICER.value) and one.path is None and _counts(one):
            yield Finding(
                f"{_named(one)} is listed, and its private half is not here",
                "Copy the file here from where it was made. If it is lost: almenara key revoke",
            )


def _held_and_not_listed(held: Iterable[Holding]) -> Iterator[Finding]:
    for one in held:
        if one.standing is Standing.UNLISTED:
            yield Finding(
                f"{one.path} is here, and no manifest lists {_named(one)}: nobody else knows it",
                "Delete it if it was made in vain; a listed one is made with: almenara key rotate",
            )
        elif one.path is not None and one.standing in (Standing.ENDED, Standing.REVOKED):
            yield Finding(
                f"{_named(one)} is {one.standing}, and {one.path} is still here",
                "Delete it with: almenara key rotate finish",
            )


def _node_keys(held: Iterable[Holding]) -> Iterator[Finding]:
    mine = [one for one in held if one.role == NODE and one.path is not None]
    if not any(one.standing is Standing.ACTIVE for one in mine):
        yield Finding(
            "no node key that lies here may sign now: nothing can be sent or acknowledged",
            "Make one with the identity key: almenara key rotate node --announce 0",
        )


def _tls(held: Iterable[Holding]) -> Iterator[Finding]:
    mine = [one for one in held if one.role == TLS and one.path is not None]
    if not any(one.standing is Standing.ACTIVE for one in mine):
        yield Finding(
            "no TLS certificate that lies here is listed and valid: the coordinator refuses this node",
            "Make one with the identity key: almenara key rotate tls",
        )
    for one in mine:
        if one.path is not None and not _fits(one.path):
            yield Finding(
                f"{one.path} and its private key do not belong together, or cannot be loaded",
                "Restore both from backup, or make new ones with: almenara key rotate tls",
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
