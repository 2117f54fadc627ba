"""Bundles that are damaged, altered or made to hurt: a precise finding, in bounded time and memory."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from exchange.audit.folder import Folder
from exchange.audit.verdict import Finding, Grade, Verdict
from exchange.audit.verify.bundle import verify_bundle
from exchange.audit.verify.parts import Found
from protocol.errors import BadRequest
from protocol.ledger.bundle import LIST_NAME, MAX_PARTS, document_name, statements_name
from tests.bundles import Memory, Writer, lively, write
from tests.community import community

Files = dict[str, bytes]
PACK = statements_name(0)
ROOT = community().id


@pytest.fixture(scope="module")
def writer() -> Writer:
    return lively()[0]


@pytest.fixture
def files(writer: Writer) -> Files:
    return writer.bundle()


def failed(verdict: Verdict) -> list[Finding]:
    return [one for one in verdict.findings if one.severity is Grade.FAILED]


def audit(files: Mapping[str, bytes]) -> list[Finding]:
    return failed(verify_bundle(Memory(files), ROOT))


# --- Files ---


def truncated(files: Files) -> None:
    files[PACK] = files[PACK][:-1]


def removed(files: Files) -> None:
    del files[PACK]


def renamed(files: Files) -> None:
    files["ack/statements/001"] = files.pop(PACK)


def added(files: Files) -> None:
    files["ack/statements/notes.txt"] = b"x"


def grown(files: Files) -> None:
    files[PACK] += b"x"


def exchanged(files: Files) -> None:
    files[document_name(2)], files[document_name(3)] = files[document_name(3)], files[document_name(2)]


DAMAGE: dict[str, tuple[Callable[[Files], None], str, str]] = {
    "truncated": (truncated, "wrong-size", PACK),
    "missing": (removed, "missing-file", PACK),
    "renamed": (renamed, "extra-file", "ack/statements/001"),
    "one too many": (added, "extra-file", "ack/statements/notes.txt"),
    "grown": (grown, "wrong-size", PACK),
    "exchanged": (exchanged, "wrong-size", document_name(2)),
}


@pytest.mark.parametrize("case", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_file_is_named(files: Files, case: tuple[Callable[[Files], None], str, str]) -> None:
    """Truncated, renamed, added or exchanged parts each get a finding with their name."""
    change, code, where = case
    change(files)
    assert (code, where) in {(one.code, one.where) for one in audit(files)}


def test_of_a_copy_that_was_broken_off_the_missing_files_come_first(files: Files) -> None:
    """Without the trust documents nothing else holds: whoever reads that first looks in the wrong place."""
    gone = [name for name in files if name.startswith("dir/")]
    for name in gone:
        del files[name]
    verdict = verify_bundle(Memory(files), ROOT)
    assert {one.code for one in verdict.findings[: len(gone)]} == {"missing-file"}
    assert f"not whole, {len(gone)} of its files are missing, first dir/" in verdict.sentence
    assert verdict.sentence.startswith("FAILED")


def lines(files: Files) -> list[bytes]:
    return files[LIST_NAME].splitlines(keepends=True)


LISTS: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "cut off": lambda lines: [*lines[:-1], lines[-1][:-1]],
    "a line twice": lambda lines: [*lines, lines[-1]],
    "two lines exchanged": lambda lines: [*lines[:-2], lines[-1], lines[-2]],
    "no head": lambda lines: lines[1:],
    "another version": lambda lines: [b"almenara-bundle v2\n", *lines[1:]],
    "a path that leaves the bundle": lambda lines: [*lines, b"0" * 64 + b" 1 ../secret\n"],
    "an absolute path": lambda lines: [*lines, b"0" * 64 + b" 1 /etc/passwd\n"],
    "a size beyond the limit": lambda lines: [
        line.replace(b" ", b" 9999999999", 1) if line.endswith(b"README.txt\n") else line for line in lines
    ],
    "sizes that no bundle has": lambda lines: [
        b"ack 9223372036854775807\n" if line.startswith(b"ack ") else line for line in lines
    ],
    "a size with a leading zero": lambda lines: [
        b"ack 013\n" if line.startswith(b"ack ") else line for line in lines
    ],
    "other digits": lambda lines: [
        "ack ١٣\n".encode() if line.startswith(b"ack ") else line for line in lines
    ],
}


@pytest.mark.parametrize("change", LISTS.values(), ids=LISTS)
def test_a_list_that_is_not_one_is_refused_as_a_whole(
    files: Files, change: Callable[[list[bytes]], list[bytes]]
) -> None:
    """The list has one spelling, and its sizes are bounded before anything is counted."""
    files[LIST_NAME] = b"".join(change(lines(files)))
    (found,) = audit(files)
    assert (found.code, found.where) == ("list", LIST_NAME)


def test_a_listed_file_that_these_logs_do_not_have_is_refused(writer: Writer, files: Files) -> None:
    """Which files there are follows from the sizes of the logs."""
    files["ack/statements/007"] = files[PACK]
    assert ("extra-file", "ack/statements/007") in {
        (one.code, one.where) for one in audit(writer.listed(files))
    }


def test_a_pack_with_a_record_twice_is_refused(writer: Writer, files: Files) -> None:
    """Duplicated: indexes rise strictly."""
    files[PACK] += files[PACK]
    assert ("pack", PACK) in {(one.code, one.where) for one in audit(writer.listed(files))}


def test_what_is_no_bundle_at_all_is_said_to_be_none() -> None:
    """Unusable input is not a failed verification."""
    with pytest.raises(BadRequest, match=r"no bundle"):
        verify_bundle(Memory({"README.txt": b"x"}), ROOT)


# --- Directories ---


def test_a_bundle_in_a_directory_is_the_same(files: Files, tmp_path: Path) -> None:
    """The verifier reads through one small door."""
    write(files, tmp_path)
    assert verify_bundle(Folder(tmp_path), ROOT) == verify_bundle(Memory(files), ROOT)


def test_a_link_in_a_bundle_is_not_followed(files: Files, tmp_path: Path) -> None:
    """A bundle cannot make the auditor read another file of its machine."""
    outside = tmp_path / "outside"
    outside.write_bytes(files[PACK])
    bundle = write(files, tmp_path / "bundle")
    (bundle / PACK).unlink()
    (bundle / PACK).symlink_to(outside)
    found = failed(verify_bundle(Folder(bundle), ROOT))
    assert ("not-a-file", PACK) in {(one.code, one.where) for one in found}
    assert "statement-missing" in {one.code for one in found}


def test_a_folder_that_is_a_link_is_not_followed(files: Files, tmp_path: Path) -> None:
    """Nor is any folder on the way."""
    bundle = write(files, tmp_path / "bundle")
    (bundle / "ack").rename(tmp_path / "elsewhere")
    (bundle / "ack").symlink_to(tmp_path / "elsewhere")
    assert Folder(bundle).read(PACK, 10) is None
    assert "missing-file" in {one.code for one in failed(verify_bundle(Folder(bundle), ROOT))}


def test_a_pipe_in_a_bundle_does_not_hold_the_auditor(files: Files, tmp_path: Path) -> None:
    """A file that never ends, or never begins, is none."""
    bundle = write(files, tmp_path)
    (bundle / PACK).unlink()
    os.mkfifo(bundle / PACK)
    assert Folder(bundle).read(PACK, 10) is None
    assert "not-a-file" in {one.code for one in failed(verify_bundle(Folder(bundle), ROOT))}


def test_no_name_leaves_the_directory(tmp_path: Path) -> None:
    """Path tricks reach nothing."""
    (tmp_path / "secret").write_bytes(b"x")
    folder = tmp_path / "bundle"
    folder.mkdir()
    for name in ("../secret", "a/../../secret", str(tmp_path / "secret"), ""):
        assert Folder(folder).read(name, 10) is None


class Endless:
    """A source with more files than anybody counts."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self.asked = 0

    def names(self) -> Iterator[Found]:
        while True:
            self.asked += 1
            yield Found(f"junk/{self.asked}", 1)

    def read(self, name: str, limit: int) -> bytes | None:
        data = self._files.get(name)
        return None if data is None else data[: limit + 1]


def test_endless_files_are_not_counted_to_the_end(files: Files) -> None:
    """Hard caps before any cryptography."""
    source = Endless(files)
    assert "too-many-files" in {one.code for one in failed(verify_bundle(source, ROOT))}
    assert source.asked <= MAX_PARTS + 3


JUNK = 10 * 1024**3
_CHILD = """
import resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_AS, (1024**3, 1024**3))
from exchange.audit.folder import Folder
from exchange.audit.verify.bundle import verify_bundle
from tests.memory import peak_kib
verdict = verify_bundle(Folder(Path(sys.argv[1])), bytes.fromhex(sys.argv[2]))
print(peak_kib(), verdict.verdict.value, sorted({one.code for one in verdict.findings}))
"""


@pytest.mark.parametrize("name", [LIST_NAME, PACK, "junk.bin", "ack/checkpoint"])
def test_ten_gigabytes_of_junk_are_refused_in_little_memory(files: Files, tmp_path: Path, name: str) -> None:
    """A sparse file of 10 GB, as the list or as a part, costs neither memory nor time."""
    bundle = write(files, tmp_path)
    with (bundle / name).open("wb") as file:
        file.truncate(JUNK)
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, str(bundle), ROOT.hex()],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        cwd=Path(__file__).resolve().parents[3],
    )
    peak, outcome, codes = done.stdout.split(" ", 2)
    assert outcome == "failed"
    assert ("list" if name == LIST_NAME else "wrong-size" if name in files else "extra-file") in codes
    assert int(peak) < 200 * 1024
