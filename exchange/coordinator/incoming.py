"""The folder through which a running coordinator is handed a newer community file.

Who may write into the data directory drops the file as ``incoming/HASH.alm``, whole, under the hash
of its content. What became of it stands in ``HASH.json`` before the file goes: its documents are in
the store then, or it lies beside as ``HASH.refused``. A crash in between repeats, and changes nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import stat
from pathlib import Path

import msgspec
import structlog

from exchange.coordinator.documents import CommunityDocuments
from keys.trust import TrustedDirectory
from protocol.enrolment import MAX_COMMUNITY_BYTES, parse_community
from protocol.errors import (
    ClockSkew,
    FormatError,
    OutcomeUnknown,
    SetupError,
    StoreFailed,
    TooLarge,
    TrustError,
)

FOLDER = "incoming"
LOOK_SECONDS = 0.5
RETRY_SECONDS = 5.0
"""After the disk refused: what was dropped waits, and is tried again."""
_OFFERED = re.compile(r"[0-9a-f]{64}\.alm")

log = structlog.get_logger()


class Taken(msgspec.Struct, frozen=True, tag="taken"):
    """A file whose documents are in the store: how many were new, and what is served since.

    ``left_out`` has a sentence about each document of a member that does not fit what it has published since.
    """

    added: int
    directory_version: int
    states: tuple[str, ...]
    left_out: tuple[str, ...] = ()


class Rejected(msgspec.Struct, frozen=True, tag="refused"):
    """A file of which nothing, or nothing more, was taken, and why."""

    code: str
    message: str
    hint: str


Answer = Taken | Rejected
_ANSWERS = msgspec.json.Decoder(Answer)


class Incoming:
    """Looks into the folder for as long as the coordinator runs.

    Nothing that lies there can stop the coordinator: what cannot be read or moved is left alone.

    Args:
        data: The data directory.
        documents: Accepts documents, and tells the nodes.
        directory: What is trusted.
    """

    def __init__(self, data: Path, documents: CommunityDocuments, directory: TrustedDirectory) -> None:
        self._folder = data / FOLDER
        self._documents = documents
        self._directory = directory
        self._done_with: set[tuple[str, int, int]] = set()
        """What could not be moved away, by name, inode and time: it is not looked at twice."""

    async def run(self) -> None:
        """Take what is dropped, for ever."""
        while True:
            well = await self.look()
            await asyncio.sleep(LOOK_SECONDS if well else RETRY_SECONDS)

    async def look(self) -> bool:
        """Take what lies there now; False if the disk refused and it must be tried again."""
        marks = _waiting(self._folder)
        self._done_with.intersection_update(marks)
        for mark in marks:
            if mark in self._done_with:
                continue
            try:
                await self._take(self._folder / mark[0])
            except (StoreFailed, OutcomeUnknown) as error:
                log.error("incoming.not_stored", digest=mark[0].partition(".")[0], code=error.code)
                return False
            except Exception as error:
                # What was handed in is foreign: a fault that it causes must not end the coordinator.
                log.error("incoming.stuck", digest=mark[0].partition(".")[0], exc_info=error)
                self._done_with.add(mark)
        return True

    async def _take(self, path: Path) -> None:
        answer: Answer
        try:
            content = await asyncio.to_thread(read_offered, path)
            if content is None:
                return
            offered = await asyncio.to_thread(parse_community, content)
            done = await self._documents.publish_all(offered.documents)
        except (FormatError, TrustError, ClockSkew, SetupError) as error:
            log.warning("incoming.refused", digest=path.stem, code=error.code)
            answer = Rejected(error.code, error.message, error.hint)
        else:
            log.info("incoming.taken", digest=path.stem, count=done.added)
            states = tuple(entry.code for entry in self._directory.states())
            answer = Taken(done.added, self._directory.head().version, states, done.left_out)
        await asyncio.to_thread(_settle, path, answer)


def read_offered(path: Path) -> bytes | None:
    """Return the content of a dropped file, or None if it is gone again.

    Raises:
        FormatError: it is no regular file, or not what its name says: it was not dropped whole.
        TooLarge: it is larger than any community file.
        SetupError: it cannot be read.
    """
    try:
        # Never through a link, and never waiting for a pipe's other end.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SetupError(f"{path.name} cannot be read: {error.strerror}") from error
    try:
        status = os.fstat(descriptor)
        if status.st_size > MAX_COMMUNITY_BYTES:
            raise TooLarge(
                f"{path.name} has more than {MAX_COMMUNITY_BYTES} bytes", hint="Ask for the right file."
            )
        if not stat.S_ISREG(status.st_mode):
            raise FormatError(f"{path.name} is no regular file", hint="Remove it; nothing was taken from it.")
        content = _read(descriptor)
    except OSError as error:
        raise SetupError(f"{path.name} cannot be read: {error.strerror}") from error
    finally:
        os.close(descriptor)
    if hashlib.sha256(content).hexdigest() != path.stem:
        raise FormatError(
            f"{path.name} is not what its name says",
            hint="Hand the file in with: almenara coordinator join --data DIR community.alm",
        )
    return content


def read_answer(folder: Path, name: str) -> Answer | None:
    """Return what became of a file, or None as long as that is not known.

    Args:
        folder: The folder.
        name: The hash of the file's content, in hexadecimal digits.
    """
    try:
        answer: Answer = _ANSWERS.decode((folder / f"{name}.json").read_bytes())
    except (OSError, msgspec.DecodeError):
        return None
    return answer


def _read(descriptor: int) -> bytes:
    pieces: list[bytes] = []
    left = MAX_COMMUNITY_BYTES + 1
    while left and (piece := os.read(descriptor, min(left, 1 << 20))):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def _waiting(folder: Path) -> list[tuple[str, int, int]]:
    """Return what was dropped, oldest first."""
    found: list[tuple[int, str, int]] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if _OFFERED.fullmatch(entry.name):
                    status = entry.stat(follow_symlinks=False)
                    found.append((status.st_mtime_ns, entry.name, status.st_ino))
    except OSError:
        # The folder is not there yet, or a file went while it was looked at: the next look sees.
        return []
    return [(name, inode, at) for at, name, inode in sorted(found)]


def _settle(path: Path, answer: Answer) -> None:
    """Say what became of a file, then take the file away."""
    said = path.with_suffix(".json")
    part = path.with_name(f".{said.name}")
    part.write_bytes(msgspec.json.encode(answer))
    part.replace(said)
    if isinstance(answer, Taken):
        path.unlink(missing_ok=True)
    else:
        path.replace(path.with_suffix(".refused"))
