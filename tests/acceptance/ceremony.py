"""A community set up as by hand, on real files: governance 2 of 3, a coordinator, three nodes.

Everything is made once per test run and never changed; a test that changes something works on
:meth:`Founded.copy`.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from exchange.clock import Clock, SystemClock
from exchange.passphrases import PassphraseFile
from exchange.setup import coordinator, governance, joining, node, proposing
from exchange.setup.keyring import Protect, unprotected
from exchange.setup.publishing import sign_and_publish
from exchange.setup.reviewing import Review, review

CODES = ("XAA", "XBB", "XCC")
HUB = "HUB"
CUSTODIANS, THRESHOLD = 3, 2
NO_PASSPHRASE = PassphraseFile(Path("/nonexistent"))
"""A source that fails if it is asked."""


@dataclass(frozen=True, slots=True)
class Founded:
    """Where everything lies."""

    base: Path
    root_hash: bytes
    port: int

    @property
    def governance(self) -> Path:
        """The community's directory."""
        return self.base / "governance"

    @property
    def community(self) -> Path:
        """The community file."""
        return self.governance / "community.alm"

    def data(self, code: str) -> Path:
        """Return the data directory of a node or of the coordinator."""
        return self.base / code

    def request(self, code: str) -> Path:
        """Return the request of a node or of the coordinator."""
        return self.data(code) / "request.alm"

    def token(self, code: str) -> Path:
        """Return the file of the officer's token of a state."""
        return next((self.data(code) / "tokens").glob("officer-*.token"))

    def copy(self, base: Path) -> Founded:
        """Return the same community at another place, free to be changed."""
        shutil.copytree(self.base, base, dirs_exist_ok=True)
        return replace(self, base=base)


def found(
    base: Path,
    clock: Clock,
    *,
    port: int = 8443,
    protect: Protect = unprotected,
    urls: Sequence[str] = (),
) -> Founded:
    """Hold the ceremony in a folder, up to the point where everybody asks to be admitted.

    Args:
        base: The folder.
        clock: The source of time.
        port: Where the coordinator listens.
        protect: How its keys and the nodes' are kept.
        urls: Where nodes reach it, if not there.
    """
    now_ms = clock.now_ms()
    pinned = governance.create_community(
        base / "governance",
        "Community of the tests",
        keys=CUSTODIANS,
        threshold=THRESHOLD,
        protect=unprotected,
        now_ms=now_ms,
    )
    founded = Founded(base, pinned, port)
    new_coordinator(founded, HUB, clock, protect, urls)
    for code in CODES:
        new_node(founded, code, clock, protect)
    return founded


def new_coordinator(
    founded: Founded, code: str, clock: Clock, protect: Protect = unprotected, urls: Sequence[str] = ()
) -> coordinator.NewCoordinator:
    """Set up one more coordinator that listens on this machine."""
    return coordinator.create_coordinator(
        founded.data(code),
        code=code,
        name=f"Coordinator {code}",
        root_hash=founded.root_hash,
        host="127.0.0.1",
        port=founded.port,
        urls=urls,
        protect=protect,
        now_ms=clock.now_ms(),
    )


def new_node(founded: Founded, code: str, clock: Clock, protect: Protect = unprotected) -> node.NewNode:
    """Set up one more node; the first three states publish their bundled schema."""
    work = node.create_node(
        founded.data(code),
        state=code,
        name=f"CSIRT of {code}",
        root_hash=founded.root_hash,
        officer=f"Officer of {code}",
        severity=f"bundled:{code.lower()}-national" if code in CODES else None,
        protect=protect,
        clock=clock,
    )
    return asyncio.run(work)


def admit(founded: Founded, codes: Sequence[str], clock: Clock) -> Review:
    """Let the custodians admit those who ask, with as many keys as they need; no member attests."""
    now_ms = clock.now_ms()
    ceremony = governance.read_ceremony(founded.governance, now_ms)
    requests = [founded.request(code) for code in codes]
    proposal = proposing.admit(ceremony, requests, now_ms, why=proposing.Why(unattested="a test"))
    assert proposal is not None
    reviewed = review(ceremony.trusted, proposal, now_ms)
    keys = governance.choose_keys(ceremony, [])
    sign_and_publish(ceremony, reviewed, keys, NO_PASSPHRASE, now_ms)
    return reviewed


def join(founded: Founded, clock: Clock) -> None:
    """Let everybody take over the community file."""
    asyncio.run(coordinator.join_community(founded.data(HUB), founded.community, clock))
    for code in CODES:
        asyncio.run(
            joining.join_community(founded.data(code), founded.community, coordinator=None, clock=clock)
        )


@pytest.fixture(scope="session")
def ceremony(tmp_path_factory: pytest.TempPathFactory) -> Founded:
    """The community with everybody admitted and joined, ready to run; not to be changed."""
    clock = SystemClock()
    founded = found(tmp_path_factory.mktemp("ceremony"), clock)
    admit(founded, [HUB, *CODES], clock)
    join(founded, clock)
    return founded


@pytest.fixture(scope="session")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Founded:
    """The community with everybody's request, before anybody is admitted; not to be changed."""
    return found(tmp_path_factory.mktemp("applied"), SystemClock())
