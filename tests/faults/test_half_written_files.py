"""A crash at every step of writing a file: keys, settings, checkpoints are old or new, never half."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from exchange.coordinator.anchor import Anchor
from exchange.keystore import write_secret
from exchange.setup.files import write_file
from exchange.stores.ledger_contract import EMPTY
from protocol.ledger.origins import Log
from tests.unit.exchange.test_anchor import signed

OLD, NEW = b"what was there before\n", b"what shall be there now\n"
STEPS = ("open", "write", "fsync", "replace", "rename", "link", "unlink", "chmod")


class Crash(BaseException):
    """The process ends here: nothing of it runs any more but what Python must."""


class Steps:
    """Counts the steps that touch the disk, and crashes before one of them.

    Args:
        crash_at: Before this step, counted from 1.
    """

    def __init__(self, crash_at: int) -> None:
        self.crash_at = crash_at
        self.taken = 0

    def step(self) -> None:
        """Count one; from the crash on, nothing touches the disk."""
        self.taken += 1
        if self.taken >= self.crash_at:
            raise Crash


def crashing(patch: pytest.MonkeyPatch, crash_at: int) -> Steps:
    """Let every call of the operating system that changes a file be a step."""
    steps = Steps(crash_at)
    for name in STEPS:
        patch.setattr(os, name, before(steps, getattr(os, name)))
    return steps


def before(steps: Steps, call: Callable[..., Any]) -> Callable[..., Any]:
    """Return a call that is a step; closing is none, for a process that ends closes everything."""

    def stepping(*args: Any, **kwargs: Any) -> Any:
        steps.step()
        return call(*args, **kwargs)

    return stepping


def write_public(path: Path) -> None:
    write_file(path, NEW)


def write_key(path: Path) -> None:
    write_secret(path, NEW.decode(), replace=True)


@pytest.mark.parametrize("write", [write_public, write_key])
def test_a_file_is_old_or_new_wherever_its_writer_crashes(
    tmp_path: Path, write: Callable[[Path], None]
) -> None:
    """What is there can be read, whole, and the writer can simply write again."""
    seen = set()
    for crash_at in count(1):
        path = tmp_path / f"{crash_at}.key"
        path.write_bytes(OLD)
        path.chmod(0o600)
        with pytest.MonkeyPatch.context() as patch:
            steps = crashing(patch, crash_at)
            crashed = False
            try:
                write(path)
            except Crash:
                crashed = True
        seen.add(path.read_bytes())
        assert seen <= {OLD, NEW}
        write(path)
        assert path.read_bytes() == NEW
        if not crashed:
            break
    assert seen == {OLD, NEW}
    assert steps.taken >= 4, "the loop met hardly any step"


def test_the_anchor_is_old_or_new_wherever_its_writer_crashes(tmp_path: Path) -> None:
    """Whatever is there is a whole checkpoint, and the next swap goes on from it."""
    old, new = signed(7), signed(8)
    seen = set()
    for crash_at in count(1):
        anchor = Anchor(tmp_path / f"anchor-{crash_at}")
        anchor.open()
        assert anchor.swap(Log.ACK, EMPTY, old)
        crashed = False
        with pytest.MonkeyPatch.context() as patch:
            crashing(patch, crash_at)
            try:
                anchor.swap(Log.ACK, old.extent, new)
            except Crash:
                crashed = True
        held = anchor.read(Log.ACK)
        assert held in (old, new)
        seen.add(held == new)
        if held == old:
            assert anchor.swap(Log.ACK, old.extent, new)
        anchor.close()
        if not crashed:
            break
    assert seen == {False, True}
