"""The anchor: one file for each log, compared and replaced as a whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from exchange.coordinator.anchor import Anchor
from exchange.stores.ledger_contract import EMPTY, Extent, SignedExtent
from protocol.errors import DataDirBusy, SetupError, StoreFailed
from protocol.ledger.checkpoint import Checkpoint, sign_with
from protocol.ledger.origins import Log
from tests.community import note_secret

ORIGIN = "hub.example/almenara/ack"


def signed(size: int, root: bytes = bytes(32)) -> SignedExtent:
    """Return a checkpoint of the hub."""
    checkpoint = Checkpoint(ORIGIN, size, root)
    note = sign_with(checkpoint, note_secret("HUB").sign_log(checkpoint, 1_772_335_000))
    return SignedExtent(Extent(size, root), note.data)


@pytest.fixture
def anchor(tmp_path: Path) -> Anchor:
    """Return an open anchor in a folder that did not exist."""
    made = Anchor(tmp_path / "far" / "anchor")
    made.open()
    return made


def test_what_was_anchored_is_read_again(anchor: Anchor) -> None:
    """Also by the next process."""
    one = signed(7)
    assert anchor.read(Log.ACK) is None
    assert anchor.swap(Log.ACK, EMPTY, one)
    anchor.close()
    anchor.open()
    assert anchor.read(Log.ACK) == one
    assert anchor.read(Log.DIRECTORY) is None


def test_it_is_swapped_only_for_the_one_expected(anchor: Anchor) -> None:
    """Size and root must both be those that the caller knows."""
    assert anchor.swap(Log.ACK, EMPTY, signed(7))
    assert not anchor.swap(Log.ACK, EMPTY, signed(8))
    assert not anchor.swap(Log.ACK, Extent(7, bytes([1]) * 32), signed(8))
    held = anchor.read(Log.ACK)
    assert held is not None
    assert held.extent == Extent(7, bytes(32))
    assert anchor.swap(Log.ACK, held.extent, signed(8))


def test_two_coordinators_cannot_share_one(anchor: Anchor) -> None:
    """The second is refused while the first has it."""
    other = Anchor(anchor.folder)
    with pytest.raises(DataDirBusy, match="another coordinator"):
        other.open()
    anchor.close()
    other.open()


def test_a_half_written_file_counts_for_nothing(anchor: Anchor) -> None:
    """A crash before the rename leaves the old checkpoint, and the next one is written over the rest."""
    assert anchor.swap(Log.ACK, EMPTY, signed(7))
    (anchor.folder / "ack.new").write_bytes(b"half")
    held = anchor.read(Log.ACK)
    assert held is not None
    assert held.extent.size == 7
    assert anchor.swap(Log.ACK, held.extent, signed(9))
    assert not (anchor.folder / "ack.new").exists()


def test_a_damaged_file_is_refused_with_a_hint(anchor: Anchor) -> None:
    """It is not taken for a log that has not begun."""
    (anchor.folder / "ack.checkpoint").write_bytes(b"rubbish")
    with pytest.raises(SetupError, match="damaged") as caught:
        anchor.read(Log.ACK)
    assert "coordinator recover" in caught.value.hint


def test_a_disk_that_refuses_is_told(anchor: Anchor) -> None:
    """And what was anchored before is still there."""
    assert anchor.swap(Log.ACK, EMPTY, signed(7))
    (anchor.folder / "ack.new").mkdir()
    with pytest.raises(StoreFailed):
        anchor.swap(Log.ACK, Extent(7, bytes(32)), signed(8))
    held = anchor.read(Log.ACK)
    assert held is not None
    assert held.extent.size == 7


def test_a_folder_that_cannot_be_made_is_a_setup_error(tmp_path: Path) -> None:
    """The hint names the setting."""
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(SetupError) as caught:
        Anchor(tmp_path / "file" / "anchor").open()
    assert "anchor" in caught.value.hint
