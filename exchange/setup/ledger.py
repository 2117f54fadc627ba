"""Making a coordinator's anchor anew, after its folder was lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from exchange.clock import Clock
from exchange.coordinator.anchor import Anchor
from exchange.coordinator.community import stored_directory
from exchange.coordinator.opening import store_place
from exchange.coordinator.recovery import Ground, require_sound, tree_of
from exchange.datadir import DataDir
from exchange.pinned_root import read_pinned_root
from exchange.restored import RESTORED_FILE
from exchange.settings import CoordinatorSettings
from exchange.stores.ledger_contract import EMPTY
from exchange.stores.opening import AnyStore, open_store
from keys.quorum import quorum_of
from keys.roster import Roster
from keys.signer import Verifier
from protocol.errors import Forked, SetupError
from protocol.ledger.origins import Log


@dataclass(frozen=True, slots=True)
class Found:
    """What the disks have of one log.

    Attributes:
        log: Which log.
        size: How many leaves the newest checkpoint of the database has.
        root: Its root.
        anchored: How many the anchor's has, or None if there is no anchor.
    """

    log: Log
    size: int
    root: bytes
    anchored: int | None


async def recover_anchor(
    settings: CoordinatorSettings, clock: Clock, agree: Callable[[Sequence[Found]], None]
) -> tuple[Found, ...]:
    """Make the anchor anew where it is missing, and return what was found before.

    Whoever agrees says with it that nobody holds anything newer: a place that was restored from a
    backup may go on from here.

    Args:
        settings: Where data directory and anchor are; the coordinator must not run.
        clock: The source of time.
        agree: Shown what was found, before anything is written; raises to stop.

    Raises:
        DataDirBusy: the coordinator runs.
        SetupError: the database is an older copy than the anchor, or damaged; nothing was written.
        StoreFailed: the disk refuses.
    """
    place = DataDir(settings.data)
    with place:
        anchor = Anchor(settings.anchor)
        anchor.open()
        try:
            store = await open_store(store_place(settings), clock)
            try:
                found = await _recover(settings, clock, store, anchor, agree)
            finally:
                await store.close()
            (place.path / RESTORED_FILE).unlink(missing_ok=True)
            return found
        finally:
            anchor.close()


async def _recover(
    settings: CoordinatorSettings,
    clock: Clock,
    store: AnyStore,
    anchor: Anchor,
    agree: Callable[[Sequence[Found]], None],
) -> tuple[Found, ...]:
    pinned = read_pinned_root(settings.data)
    directory = await stored_directory(store, pinned, Verifier(), clock.now_ms())
    code = settings.code or only_coordinator(directory)
    grounds: dict[Log, Ground] = {}
    for log in Log:
        ground = Ground(
            signed=await store.ledger.signed(log),
            anchored=anchor.read(log),
            published=await store.ledger.published(log),
        )
        require_sound(log, quorum_of(directory, code, log).log, ground, unanchored=True)
        await tree_of(store.ledger, log, ground)
        grounds[log] = ground
    found = tuple(_found(log, ground) for log, ground in grounds.items())
    agree(found)
    for log, ground in grounds.items():
        if ground.signed is not None and ground.anchored is None:
            done = await asyncio.to_thread(anchor.swap, log, EMPTY, ground.signed)
            if not done:
                raise Forked(f"the anchor of the log {log} was changed meanwhile")
    return found


def only_coordinator(directory: Roster) -> str:
    """Return the code of the one coordinator that is listed.

    Raises:
        SetupError: there is none, or more than one.
    """
    codes = [entry.code for entry in directory.coordinators()]
    if len(codes) != 1:
        raise SetupError(
            f"the directory lists {len(codes)} coordinators, and the settings do not say which is this one",
            hint="Set code in almenara.toml of the data directory.",
        )
    return codes[0]


def _found(log: Log, ground: Ground) -> Found:
    anchored = None if ground.anchored is None else ground.anchored.extent.size
    return Found(log, ground.extent.size, ground.extent.root, anchored)
