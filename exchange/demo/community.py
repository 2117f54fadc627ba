"""The ceremony before the story: governance, a coordinator and three nodes, set up as by hand.

Key files are left without a passphrase, which the set-up only does when told so: everything here
lives for minutes, in a folder that only this user can read.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from exchange.clock import Clock
from exchange.demo import cast
from exchange.demo.nodes import RunningNode
from exchange.demo.processes import Crew
from exchange.demo.stage import LOOPBACK, Stage, free_port
from exchange.passphrases import PassphraseFile
from exchange.setup import coordinator, governance, joining, node, proposing
from exchange.setup.files import COMMUNITY_FILE
from exchange.setup.keyring import unprotected
from exchange.setup.publishing import sign_and_publish
from exchange.setup.reviewing import review
from protocol.fingerprint import groups

RETRY_CAP_S = 0.5
WITNESS_S = 0.5
GOVERNANCE = "governance"


@dataclass(frozen=True, slots=True)
class Founded:
    """A community that is ready to run, and what its members pinned."""

    stage: Stage
    root_hash: str
    admitted: tuple[str, ...]
    community: Path


def found(folder: Path, clock: Clock) -> Founded:
    """Hold the whole ceremony in a folder: keys, requests, admission by two of three, joining.

    Args:
        folder: An empty folder that only this user can read.
        clock: The source of time.

    Raises:
        AlmenaraError: as the functions of :mod:`exchange.setup`.
    """
    pinned = governance.create_community(
        folder / GOVERNANCE,
        cast.COMMUNITY,
        keys=cast.CUSTODIANS,
        threshold=cast.THRESHOLD,
        protect=unprotected,
        now_ms=clock.now_ms(),
    )
    hub = folder / cast.HUB.lower()
    port, ledger_port = free_port(), free_port()
    asked = coordinator.create_coordinator(
        hub,
        code=cast.HUB,
        name=cast.HUB_NAME,
        root_hash=pinned,
        host=LOOPBACK,
        port=port,
        urls=(),
        protect=unprotected,
        now_ms=clock.now_ms(),
        ledger_port=ledger_port,
    )
    _add_settings(hub / "almenara.toml", f"witness_s = {WITNESS_S}")
    made = {state.code: _new_node(folder, state, pinned, clock) for state in cast.STATES}
    community, admitted = _admit(folder, [asked.request, *(one.request for one in made.values())], clock)
    asyncio.run(coordinator.join_community(hub, community, clock))
    nodes: dict[str, RunningNode] = {}
    for state in cast.STATES:
        data = folder / state.folder
        asyncio.run(joining.join_community(data, community, coordinator=None, clock=clock))
        # The node comes back quickly, and keeps its socket here whatever other settings say.
        _add_settings(data / "almenara.toml", f'socket = "api.sock"\nretry_cap_s = {RETRY_CAP_S}')
        nodes[state.code] = RunningNode(state, data, made[state.code].tokens[0])
    stage = Stage(folder, port, ledger_port, nodes, Crew(folder))
    return Founded(stage, groups(pinned), admitted, community)


def _new_node(folder: Path, state: cast.State, pinned: bytes, clock: Clock) -> node.NewNode:
    return asyncio.run(
        node.create_node(
            folder / state.folder,
            state=state.code,
            name=state.name,
            root_hash=pinned,
            officer=state.officer,
            severity=f"bundled:{state.schema}",
            protect=unprotected,
            clock=clock,
        )
    )


def _admit(folder: Path, requests: list[Path], clock: Clock) -> tuple[Path, tuple[str, ...]]:
    """Let governance admit all who ask; return its community file and who was admitted."""
    now_ms = clock.now_ms()
    ceremony = governance.read_ceremony(folder / GOVERNANCE, now_ms)
    proposal = proposing.admit(ceremony, requests, now_ms)
    if proposal is None:
        return folder / GOVERNANCE / COMMUNITY_FILE, ()
    reviewed = review(ceremony.trusted, proposal, now_ms)
    # Never read: the keys have no passphrase.
    none = PassphraseFile(folder / "no-passphrase")
    sign_and_publish(ceremony, reviewed, governance.choose_keys(ceremony, []), none, now_ms)
    added = tuple(change.code for change in reviewed.changes if change.action == "add")
    return folder / GOVERNANCE / COMMUNITY_FILE, added


def _add_settings(path: Path, lines: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{lines}\n")
