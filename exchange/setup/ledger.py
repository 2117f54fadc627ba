"""Making a coordinator's anchor anew, after its folder was lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

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
from protocol.errors import BadRequest, Forked, SetupError
from protocol.ledger.origins import Log


@dataclass(frozen=True, slots=True)
class Found:
    """What the disks have of one log.

    Attributes:
        log: Which log.
        size: How many leaves the newest checkpoint of the database has.
        root: Its root.
        anchored: How many the anchor's has, or None if there is no anchor.
        alone: Whether nothing here can tell that this is the newest copy: only the members can.
    """

    log: Log
    size: int
    root: bytes
    anchored: int | None
    alone: bool


def require_newest(found: Sequence[Found], members: Mapping[Log, int]) -> None:
    """Return only if no member holds more of a log than the database, as far as people have looked.

    Args:
        found: What the disks have.
        members: The largest size of each log that any member shows; without an anchor, both are needed.

    Raises:
        BadRequest: nobody looked at the members, and nothing else can tell.
        SetupError: a member holds more: this database is an older copy.
    """
    for one in found:
        theirs = members.get(one.log)
        if theirs is None and one.alone:
            raise BadRequest(
                f"there is no anchor of the log {one.log}, so nothing here can tell whether checkpoint "
                f"{one.size} is the newest; if it is not, the next one forks the ledger for good",
                hint="Read the sizes at two members or more: almenara ledger watch --once --data NODE "
                "--token-file TOKEN; then repeat with "
                f"the largest: {' '.join(f'--members-have {item.log}=SIZE' for item in found)}",
            )
        if theirs is not None and theirs > one.size:
            raise SetupError(
                f"a member has checkpoint {theirs} of the log {one.log}, the database {one.size}: the "
                "database is an older copy, and signing would fork the log",
                hint="Look for a newer copy of the database; nothing was changed. If there is none, see the "
                "end of deploy/runbooks/restore-the-coordinator.md.",
            )


async def recover_anchor(
    settings: CoordinatorSettings, clock: Clock, agree: Callable[[Sequence[Found]], None]
) -> tuple[Found, ...]:
    """Make the anchor anew where it is missing, lift what halted a log, and return what was found before.

    Whoever agrees says with it that nobody holds anything newer: a place that was restored from a
    backup may go on from here. A process that runs and has found a log not to be signed says so again.

    Args:
        settings: Where data directory and anchor are; the coordinator must not run.
        clock: The source of time.
        agree: Shown what was found, before anything is written; raises to stop.

    Raises:
        DataDirBusy: the coordinator runs.
        SetupError: the database is an older copy than the anchor, or damaged; nothing was written, and no
            folder is left behind that would look like an anchor.
        StoreFailed: the disk refuses.
    """
    place = DataDir(settings.data)
    with place, _opened(settings.anchor) as anchor:
        store = await open_store(store_place(settings), clock)
        try:
            found = await _recover(settings, clock, store, anchor, agree)
        finally:
            await store.close()
        (place.path / RESTORED_FILE).unlink(missing_ok=True)
        return found


@contextmanager
def _opened(folder: Path) -> Iterator[Anchor]:
    """Take an anchor's folder; if it was made for this and the work fails, it is taken away again.

    An empty folder left behind would be copied around as if it were the anchor.
    """
    is_new, anchor = not folder.exists(), Anchor(folder)
    anchor.open()
    try:
        yield anchor
    except BaseException:
        if is_new and not any(folder.glob("*.checkpoint")):
            # Whoever waits for the lock in it is refused at its next look: nothing was anchored here.
            with suppress(OSError):
                (folder / "lock").unlink()
                folder.rmdir()
        raise
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
    is_restored = (settings.data / RESTORED_FILE).exists()
    found = tuple(_found(log, ground, is_restored=is_restored) for log, ground in grounds.items())
    agree(found)
    for log, ground in grounds.items():
        if ground.signed is not None and ground.anchored is None:
            done = await asyncio.to_thread(anchor.swap, log, EMPTY, ground.signed)
            if not done:
                raise Forked(f"the anchor of the log {log} was changed meanwhile")
    await store.sharing.lift_halts()
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


def _found(log: Log, ground: Ground, *, is_restored: bool) -> Found:
    anchored = None if ground.anchored is None else ground.anchored.extent.size
    alone = anchored is None and (is_restored or ground.extent.size > 0)
    return Found(log, ground.extent.size, ground.extent.root, anchored, alone)
