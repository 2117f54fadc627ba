"""A community of three custodians and threshold two, and somebody who types its commands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from exchange.clock import SystemClock
from tests.acceptance.ceremony import Founded, new_node
from tests.unit.exchange.test_setup_cli import Terminal

CLOCK = SystemClock()


@dataclass(frozen=True)
class Desk:
    """One community of three custodians and threshold two, and somebody who types."""

    terminal: Terminal
    founded: Founded

    @property
    def place(self) -> tuple[str, Path]:
        """Where the community is."""
        return ("--in", self.founded.governance)

    def key(self, name: str) -> Path:
        """Return a custodian's key file."""
        return self.founded.governance / "keys" / f"{name}.key"

    def file(self, name: str) -> Path:
        """Return a file that travels."""
        return self.founded.base / name

    def propose(self, *words: str | Path, name: str = "1") -> Path:
        """Write a proposal down."""
        path = self.file(f"{name}.proposal")
        self.terminal.json("governance", "propose", *words, *self.place, "-o", path)
        return path

    def words_to_sign(self, proposal: Path, key: str) -> tuple[str | Path, ...]:
        """Return the command with which a custodian signs."""
        return (
            *("governance", "sign", proposal, "--community", self.founded.community),
            *("--root-hash", self.founded.root_hash.hex(), "--key", self.key(key), "--yes"),
        )

    def sign(self, proposal: Path, *keys: str) -> list[Path]:
        """Let custodians sign."""
        return [Path(self.terminal.json(*self.words_to_sign(proposal, key))["signature"]) for key in keys]

    def publish(self, proposal: Path, signatures: Sequence[Path]) -> dict[str, Any]:
        """Publish, successfully."""
        return self.terminal.json("governance", "publish", proposal, *signatures, *self.place)

    def refused(self, *words: str | Path) -> tuple[int, dict[str, Any]]:
        """Run what must fail, and leave the community as it is."""
        before = self.founded.community.read_bytes()
        outcome = self.terminal.refused(*words)
        assert self.founded.community.read_bytes() == before
        return outcome


@pytest.fixture
def desk(terminal: Terminal, ceremony: Founded, tmp_path: Path) -> Desk:
    """A community of the test's own."""
    return Desk(terminal, ceremony.copy(tmp_path / "c"))


def attest(desk: Desk, code: str, request: Path) -> Path:
    data, out = desk.founded.data(code), desk.file(f"{code}.attestation")
    made = desk.terminal.json(
        *("node", "attest", request, "--data", data, "--identity", data / "keys" / "identity.key"),
        *("--channel", "in person", "--channel", "telephone", "-o", out, "--yes"),
    )
    assert made["attested_by"] == code
    return out


@pytest.fixture
def newcomer(desk: Desk) -> Path:
    """The request of a fourth state."""
    new_node(desk.founded, "XDD", CLOCK)
    return desk.founded.request("XDD")
