"""The data directory: its layout, its modes, and its lock."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from exchange.datadir import FOLDERS, DataDir
from protocol.errors import DataDirBusy, SetupError

HOLD = """
import sys
from pathlib import Path
from exchange.datadir import DataDir
directory = DataDir(Path(sys.argv[1]))
directory.lock()
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def directory(tmp_path: Path) -> DataDir:
    """Make a data directory."""
    made = DataDir(tmp_path / "data")
    made.create()
    return made


def test_the_directories_are_for_their_owner_only(directory: DataDir) -> None:
    """The directory and every folder in it have mode 0700."""
    folders = [directory.path, *(directory.path / name for name in FOLDERS)]
    assert {folder.stat().st_mode & 0o777 for folder in folders} == {0o700}


def test_making_it_twice_is_harmless(directory: DataDir) -> None:
    """A second start finds the folders and keeps what is in them."""
    (directory.keys / "node.key").write_text("kept")
    directory.create()
    assert (directory.keys / "node.key").read_text() == "kept"


def test_a_second_opener_is_told_who_has_it(directory: DataDir) -> None:
    """The lock names the process that holds it."""
    with directory, pytest.raises(DataDirBusy, match=str(os.getpid())):
        DataDir(directory.path).lock()


def test_the_lock_is_given_back(directory: DataDir) -> None:
    """After the first let go, the next may have it; letting go twice is harmless."""
    with directory:
        pass
    directory.unlock()
    with DataDir(directory.path):
        pass


def test_a_killed_process_holds_no_lock(directory: DataDir) -> None:
    """The lock of another process is seen while it lives and gone when it is killed."""
    command = [sys.executable, "-c", HOLD, str(directory.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"locked\n"
        with pytest.raises(DataDirBusy, match=str(holder.pid)):
            directory.lock()
        holder.kill()
    with directory:
        assert directory.lock_file.read_text() == f"{os.getpid()}\n"


def test_a_directory_that_others_can_write_is_refused(directory: DataDir) -> None:
    """Whoever can write the directory could replace the database or a key."""
    directory.path.chmod(0o770)
    with pytest.raises(SetupError) as refused:
        directory.lock()
    assert f"chmod 700 {directory.path}" in refused.value.hint


def test_a_missing_directory_is_a_setup_error(tmp_path: Path) -> None:
    """Locking makes nothing."""
    with pytest.raises(SetupError, match="no data directory"):
        DataDir(tmp_path / "nowhere").lock()


def test_a_file_in_its_place_is_a_setup_error(tmp_path: Path) -> None:
    """A name that is taken by a file is refused with a sentence."""
    (tmp_path / "data").write_text("a file")
    with pytest.raises(SetupError, match="cannot be made"):
        DataDir(tmp_path / "data").create()
