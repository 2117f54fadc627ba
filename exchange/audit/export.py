"""Exporting a ledger: fetched, compared with its own signed root, and written whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from exchange.audit.readme import readme
from keys.quorum import policy_text, quorum_of
from keys.signer import Verifier
from keys.trust import TrustedDirectory
from protocol.errors import Forked, FormatError, SetupError, ThresholdNotMet, TrustError, Unreachable
from protocol.ledger.bundle import (
    LIST_NAME,
    MAX_PARTS,
    MAX_SIGNED_MANIFEST_BYTES,
    README_NAME,
    Listing,
    Part,
    checkpoint_name,
    document_name,
    entries_name,
    format_listing,
    headers_name,
    limit_of,
    milestone_name,
    part,
    place_of,
    policy_name,
    statements_name,
    tiles,
)
from protocol.ledger.checkpoint import Checkpoint, SignedCheckpoint, parse_checkpoint
from protocol.ledger.frontier import Frontier
from protocol.ledger.leaf import Leaf, leaf_digest, parse_document_leaf, parse_leaf
from protocol.ledger.note import MAX_NOTE_BYTES
from protocol.ledger.origins import Log
from protocol.ledger.pack import encode_pack, iter_pack
from protocol.ledger.tiles import TILE_WIDTH, parse_entries, width_at
from protocol.statement import MAX_SIGNED_STATEMENT_BYTES, StatementKind, parse_statement
from protocol.text import parse_decimal
from protocol.tree import leaf_hash

MILESTONES = "ack/milestones"
MAX_MILESTONES_BYTES = 8 * 1024 * 1024
RESERVED_PARTS = 8
"""How many files of a bundle are neither leaves, objects nor milestones, at most."""

WAITS = 30
"""How often to ask again, a second apart, for a directory log that has caught up with the ledger."""

Tell = Callable[[str], None]


class Getter(Protocol):
    """Where the ledger's files come from."""

    def get(self, name: str, limit: int) -> bytes | None:
        """Return a file by its name in a bundle; None if there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be exported.

    Attributes:
        community: The pinned 32-byte root hash.
        coordinator: Whose ledger it is.
        member: The member that exports what concerns it; None for an auditor.
        since_ms: Statements recorded before this stay behind, milliseconds UTC; None: all come along.
        made_ms: The time now, milliseconds UTC.
        program: What exports it, such as ``almenara 1.0``.
    """

    community: bytes
    coordinator: str
    member: str | None
    since_ms: int | None
    made_ms: int
    program: str


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written. ``problem`` says why a checkpoint is not witnessed, if one is not."""

    leaves: int
    documents: int
    statements: int
    bytes: int
    problem: str | None


def export(
    source: Getter, wanted: Wanted, folder: Path, tell: Tell, wait: Callable[[float], None]
) -> Exported:
    """Fetch a ledger into a new directory.

    Args:
        source: Where it comes from.
        wanted: What is to be exported.
        folder: A directory that does not exist, or is empty.
        tell: Told of progress, a line at a time.
        wait: Blocks for so many seconds.

    Raises:
        TrustError: what was fetched contradicts its own signatures, or the pinned root hash.
        FormatError: an answer is not well formed.
        Unreachable, NotAuthorized, PeerNotPinned: as :class:`exchange.audit.fetch.LedgerClient`.
        SetupError: the directory holds something, or cannot be written.
    """
    with _new_folder(folder) as place:
        return _Export(source, wanted, place, tell, wait).run()


class _Export:
    """One export into one temporary directory."""

    def __init__(
        self, source: Getter, wanted: Wanted, place: Path, tell: Tell, wait: Callable[[float], None]
    ) -> None:
        self._source = source
        self._wanted = wanted
        self._place = place
        self._tell = tell
        self._wait = wait
        self._parts: dict[str, Part] = {}
        self._announced = 0
        self._statements = 0
        self._from: int | None = None if wanted.since_ms is not None else 0

    def run(self) -> Exported:
        ledger = self._checkpoint(Log.ACK)
        self._write(checkpoint_name(Log.ACK), ledger.data)
        self._ledger(ledger.checkpoint)
        directory = self._caught_up()
        self._write(checkpoint_name(Log.DIRECTORY), directory.data)
        trusted = self._documents(directory.checkpoint)
        problem = self._judge(trusted, ledger, directory)
        self._milestones(ledger.checkpoint.size)
        for log in Log:
            self._write(policy_name(log), policy_text(trusted, self._wanted.coordinator, log).encode())
        self._write(README_NAME, readme(self._wanted.community, self._wanted.member).encode())
        total = sum(one.size for one in self._parts.values()) + self._list(ledger, directory)
        size, documents = ledger.checkpoint.size, directory.checkpoint.size
        return Exported(size, documents, self._statements, total, problem)

    def _list(self, ledger: SignedCheckpoint, directory: SignedCheckpoint) -> int:
        """Write the list last of all, and return its size."""
        data = format_listing(
            Listing(
                community=self._wanted.community,
                coordinator=self._wanted.coordinator,
                leaves=ledger.checkpoint.size,
                documents=directory.checkpoint.size,
                member=self._wanted.member,
                bodies_from=ledger.checkpoint.size if self._from is None else self._from,
                made_ms=self._wanted.made_ms,
                program=self._wanted.program,
                parts=self._parts,
            )
        )
        _write_file(self._place / LIST_NAME, data)
        return len(data)

    # The ledger.

    def _ledger(self, checkpoint: Checkpoint) -> None:
        frontier = Frontier()
        for number, entries in self._entries(Log.ACK, checkpoint.size):
            frontier = frontier.extend(leaf_hash(entry) for entry in entries)
            self._tile(number, [parse_leaf(entry) for entry in entries])
            self._tell(f"{frontier.size} of {checkpoint.size} leaves")
        _require_root(checkpoint, frontier)

    def _tile(self, number: int, leaves: list[Leaf]) -> None:
        """Fetch what belongs to 256 leaves: all since the date, and before it DIRECTORY alone."""
        start = number * TILE_WIDTH
        wanted: set[int] = set()
        for index, leaf in enumerate(leaves, start):
            if self._from is None and leaf.at_ms >= (self._wanted.since_ms or 0):
                self._from = index
            if self._from is not None or leaf.type is StatementKind.DIRECTORY:
                wanted.add(index)
        bodies = self._pack(statements_name(number), wanted, MAX_SIGNED_STATEMENT_BYTES)
        for index, data in bodies:
            if leaves[index - start].digest != leaf_digest(data):
                raise Forked(f"the coordinator's statement {index} is not the one in its own log")
            if leaves[index - start].type is StatementKind.DIRECTORY:
                self._announce(data)
        self._statements += len(bodies)
        relayed = {index for index, _ in bodies if leaves[index - start].type is StatementKind.RELAYED}
        if relayed:
            self._pack(headers_name(number), relayed, MAX_SIGNED_MANIFEST_BYTES)

    def _announce(self, data: bytes) -> None:
        seen = parse_statement(data)[1].seen
        self._announced = max(self._announced, seen.size if seen is not None else 0)

    def _pack(self, name: str, wanted: set[int], limit: int) -> list[tuple[int, bytes]]:
        """Fetch a pack, and keep of it what is wanted: the log has grown since the checkpoint."""
        if not wanted:
            return []
        data = self._source.get(name, _limit(name)) or b""
        kept = [(index, record) for index, record in iter_pack(data, limit) if index in wanted]
        if kept:
            self._write(name, encode_pack(kept))
        return kept

    def _milestones(self, size: int) -> None:
        listed = self._source.get(MILESTONES, MAX_MILESTONES_BYTES) or b""
        lines = listed.decode("ascii", "replace").splitlines()
        sizes = [parse_decimal(line, what="size of a milestone") for line in lines]
        # A list has so many names and no more: of more, every second, third, ... is taken, and the last.
        step = -(-len(sizes) // max(MAX_PARTS - RESERVED_PARTS - len(self._parts), 1)) or 1
        for at in sizes[::-step][::-1]:
            data = self._source.get(milestone_name(at), MAX_NOTE_BYTES) if 0 < at <= size else None
            if data is not None:
                self._write(milestone_name(at), data)

    # The documents.

    def _caught_up(self) -> SignedCheckpoint:
        """Return the directory log's checkpoint, once it holds all documents that the ledger names."""
        for _ in range(WAITS):
            directory = self._checkpoint(Log.DIRECTORY)
            if directory.checkpoint.size >= self._announced:
                return directory
            self._tell("waiting for the directory log")
            self._wait(1.0)
        raise Unreachable(
            f"the ledger names {self._announced} documents, and its directory log has not so many",
            hint="Try again in a minute; if it lasts, the coordinator's ledger has halted.",
        )

    def _documents(self, checkpoint: Checkpoint) -> TrustedDirectory:
        trusted = TrustedDirectory(self._wanted.community, Verifier())
        frontier = Frontier()
        for number, entries in self._entries(Log.DIRECTORY, checkpoint.size):
            frontier = frontier.extend(leaf_hash(entry) for entry in entries)
            for index, entry in enumerate(entries, number * TILE_WIDTH):
                name = document_name(index)
                data = self._source.get(name, _limit(name))
                if data is None:
                    raise FormatError(f"the coordinator does not hand out its document {index}")
                trusted.update(data, parse_document_leaf(entry).at_ms)
                self._write(name, data)
            self._tell(f"{frontier.size} of {checkpoint.size} documents")
        _require_root(checkpoint, frontier)
        return trusted

    # Both logs.

    def _checkpoint(self, log: Log) -> SignedCheckpoint:
        data = self._source.get(checkpoint_name(log), MAX_NOTE_BYTES)
        if data is None:
            raise Unreachable(
                "what answers at this address hands out no checkpoint of the ledger",
                hint="Check the port in --url: it is the one where the ledger is read (ledger_port of the "
                "coordinator), not the one to which nodes connect. If it is right, the ledger is still "
                "empty: try "
                "again after the first notice.",
            )
        return parse_checkpoint(data)

    def _entries(self, log: Log, size: int) -> Iterator[tuple[int, list[bytes]]]:
        for number in range(tiles(size)):
            name = entries_name(log, number, size)
            data = self._source.get(name, _limit(name))
            if data is None:
                raise FormatError(f"the coordinator does not hand out {name}")
            self._write(name, data)
            yield number, parse_entries(data, width_at(0, number, size))

    def _judge(
        self, trusted: TrustedDirectory, ledger: SignedCheckpoint, directory: SignedCheckpoint
    ) -> str | None:
        """Return why a checkpoint is not witnessed, or None; raise if it is not the log's own."""
        problem = None
        for log, signed in ((Log.ACK, ledger), (Log.DIRECTORY, directory)):
            try:
                quorum_of(trusted, self._wanted.coordinator, log).require(signed)
            except ThresholdNotMet as error:
                # Missing witnesses degrade the evidence; they must not keep anybody from taking it.
                problem = error.message
        return problem

    def _write(self, name: str, data: bytes) -> None:
        self._parts[name] = part(name, data)
        _write_file(self._place / name, data)


def _limit(name: str) -> int:
    return limit_of(place_of(name))


def _require_root(checkpoint: Checkpoint, frontier: Frontier) -> None:
    if frontier.root != checkpoint.root:
        raise Forked(
            f"the leaves of {checkpoint.origin} do not give the root that it signed",
            hint="Keep the checkpoint: it is evidence. Tell the members on another channel.",
        )


def _write_file(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise SetupError(
            f"the bundle cannot be written: {error.strerror}", hint="Check the disk's free space."
        ) from error


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """Give a directory beside the wanted one, which takes its name only when all is well."""
    try:
        if folder.exists() and any(folder.iterdir()):
            raise SetupError(
                f"the directory {folder} is not empty", hint="Name a new directory with --output."
            )
        folder.parent.mkdir(parents=True, exist_ok=True)
        place = folder.with_name(f".{folder.name}.{secrets.token_hex(8)}")
        place.mkdir()
    except OSError as error:
        raise SetupError(
            f"the directory {folder} cannot be made: {error.strerror}", hint="Choose another with --output."
        ) from error
    try:
        yield place
        os.rename(place, folder)
    except TrustError as error:
        # What contradicts its own signatures is what an auditor must be able to show.
        kept = folder.with_name(f"{folder.name}.evidence-{place.name.rpartition('.')[2]}")
        os.rename(place, kept)
        raise type(error)(error.message, hint=f"{error.hint} What was fetched is kept in {kept}.") from error
    finally:
        shutil.rmtree(place, ignore_errors=True)
