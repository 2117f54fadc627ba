"""An auditor's bundle: which files there are, and the list that names each with its hash.

See ``spec/bundle.md``. The names follow from the sizes of the two logs, so a stranger's name never
becomes a path. The list is not signed: it tells a damaged copy from a whole one, and says what
should be there. What may be believed follows from the pinned root hash alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from protocol import codec
from protocol.documents import MAX_DOCUMENT_BYTES
from protocol.envelope import ManifestBytes
from protocol.errors import FormatError, NotCanonical, TooLarge
from protocol.fields import MAX_UINT, Wire
from protocol.ledger.leaf import MAX_DOCUMENT_LEAF_BYTES, STATEMENT_LEAF_BYTES
from protocol.ledger.note import MAX_NOTE_BYTES
from protocol.ledger.origins import Log
from protocol.ledger.tiles import (
    TILE_WIDTH,
    entries_path,
    number_path,
    parse_entries_path,
    parse_number_path,
    width_at,
)
from protocol.notice import MAX_MANIFEST_BYTES, Header, Manifest, parse_manifest
from protocol.signed import Proof
from protocol.statement import MAX_SIGNED_STATEMENT_BYTES
from protocol.text import format_utc, parse_decimal, parse_hex, parse_utc

LIST_NAME = "bundle.txt"
README_NAME = "README.txt"
TITLE = "almenara-bundle v1"

MAX_PARTS = 200_000
MAX_LIST_BYTES = 32 * 1024 * 1024
MAX_README_BYTES = 64 * 1024
MAX_SIGNED_MANIFEST_BYTES = MAX_MANIFEST_BYTES + 4096
_RECORD_HEAD_BYTES = 12
_EVERYTHING = "all"
_HEADER = ("community", "coordinator", "ack", "dir", "bodies", "from", "made", "program")


class Sort(Enum):
    """What a file of a bundle is."""

    README = "readme"
    CHECKPOINT = "checkpoint"
    POLICY = "policy.txt"
    ENTRIES = "entries"
    DOCUMENT = "documents"
    MILESTONE = "milestones"
    STATEMENTS = "statements"
    HEADERS = "headers"


class Place(NamedTuple):
    """What a name says: of which log a file is, what it is, and its number or size.

    ``width`` is the number of entries in a file of entries.
    """

    sort: Sort
    log: Log | None = None
    number: int = 0
    width: int = 0


class Part(NamedTuple):
    """One file: the SHA-256 of its bytes, how many there are, and its name."""

    digest: bytes
    size: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The list of a bundle.

    Attributes:
        community: The 32-byte id of the community.
        coordinator: Whose ledger it is.
        leaves: The size of the acknowledgement log.
        documents: The size of the directory log.
        member: The member for which it was made, with only what concerns it; None for everything.
        bodies_from: The leaf from which the statements should be there.
        made_ms: When it was exported, by the exporter's clock; nothing follows from it.
        program: What exported it; nothing follows from it.
        parts: Every other file, by name.
    """

    community: bytes
    coordinator: str
    leaves: int
    documents: int
    member: str | None
    bodies_from: int
    made_ms: int
    program: str
    parts: Mapping[str, Part]


class SignedManifest(Wire, frozen=True):
    """A notice without its sealed parts: the manifest's exact bytes, and its sender's proof over them."""

    manifest: ManifestBytes
    proof: Proof


def parse_signed_manifest(data: bytes) -> tuple[SignedManifest, Manifest, Header]:
    """Parse a record of a ``headers`` pack; the signature is not checked.

    Raises:
        FormatError: it is not well formed, or manifest and header do not fit each other.
    """
    signed = codec.decode(data, SignedManifest, limit=MAX_SIGNED_MANIFEST_BYTES, what="signed manifest")
    return (signed, *parse_manifest(signed.manifest))


def part(name: str, data: bytes) -> Part:
    """Return the list's entry for a file."""
    return Part(hashlib.sha256(data).digest(), len(data), name)


def checkpoint_name(log: Log) -> str:
    """Return the name of a log's checkpoint."""
    return f"{log.value}/checkpoint"


def policy_name(log: Log) -> str:
    """Return the name of the policy by which a log's checkpoint is cosigned."""
    return f"{log.value}/policy.txt"


def entries_name(log: Log, number: int, size: int) -> str:
    """Return the name of one file of entries of a log of this size."""
    return f"{log.value}/{entries_path(number, width_at(0, number, size))}"


def document_name(index: int) -> str:
    """Return the name of one signed trust document, by its leaf in the directory log."""
    return f"dir/documents/{number_path(index)}"


def milestone_name(size: int) -> str:
    """Return the name of an earlier checkpoint, by the size of the log it speaks of."""
    return f"ack/milestones/{size}"


def statements_name(number: int) -> str:
    """Return the name of the pack of signed statements of leaves ``256 * number`` and after."""
    return f"ack/statements/{number_path(number)}"


def headers_name(number: int) -> str:
    """Return the name of the pack of signed manifests of the notices relayed at those leaves."""
    return f"ack/headers/{number_path(number)}"


def tiles(size: int) -> int:
    """Return how many files of entries a log of this size has."""
    return -(-size // TILE_WIDTH)


def place_of(name: str) -> Place:
    """Return what a name says.

    Raises:
        FormatError: no file of a bundle is called so.
    """
    if name == README_NAME:
        return Place(Sort.README)
    head, _, rest = name.partition("/")
    if head not in (Log.ACK.value, Log.DIRECTORY.value) or not name.isascii():
        raise FormatError("no file of a bundle has this name")
    log = Log(head)
    if rest in (Sort.CHECKPOINT.value, Sort.POLICY.value):
        return Place(Sort(rest), log)
    if rest.startswith("tile/entries/"):
        return Place(Sort.ENTRIES, log, *parse_entries_path(rest))
    return _numbered(log, *rest.partition("/")[::2])


def limit_of(place: Place) -> int:
    """Return the largest size in bytes of a file, which is checked before it is read."""
    match place.sort:
        case Sort.README:
            return MAX_README_BYTES
        case Sort.CHECKPOINT | Sort.MILESTONE | Sort.POLICY:
            return MAX_NOTE_BYTES
        case Sort.ENTRIES:
            leaf = STATEMENT_LEAF_BYTES if place.log is Log.ACK else MAX_DOCUMENT_LEAF_BYTES
            return place.width * (2 + leaf)
        case Sort.DOCUMENT:
            return MAX_DOCUMENT_BYTES
        case Sort.STATEMENTS:
            return TILE_WIDTH * (_RECORD_HEAD_BYTES + MAX_SIGNED_STATEMENT_BYTES)
        case Sort.HEADERS:
            return TILE_WIDTH * (_RECORD_HEAD_BYTES + MAX_SIGNED_MANIFEST_BYTES)


def required_names(leaves: int, documents: int) -> Iterable[str]:
    """Yield the names that every bundle of logs of these sizes has."""
    yield README_NAME
    for log, size in ((Log.ACK, leaves), (Log.DIRECTORY, documents)):
        yield checkpoint_name(log)
        yield policy_name(log)
        for number in range(tiles(size)):
            yield entries_name(log, number, size)
    for index in range(documents):
        yield document_name(index)


def belongs(place: Place, leaves: int, documents: int) -> bool:
    """Return whether a bundle of logs of these sizes may have such a file."""
    match place.sort:
        case Sort.README | Sort.CHECKPOINT | Sort.POLICY:
            return True
        case Sort.ENTRIES:
            size = leaves if place.log is Log.ACK else documents
            return 0 < place.width == width_at(0, place.number, size)
        case Sort.DOCUMENT:
            return place.number < documents
        case Sort.MILESTONE:
            return 0 < place.number <= leaves
        case Sort.STATEMENTS | Sort.HEADERS:
            return place.number < tiles(leaves)


def format_listing(listing: Listing) -> bytes:
    """Return the bytes of ``bundle.txt``."""
    bodies = _EVERYTHING if listing.member is None else f"member {listing.member}"
    values = (
        listing.community.hex(),
        listing.coordinator,
        listing.leaves,
        listing.documents,
        bodies,
        listing.bodies_from,
        format_utc(listing.made_ms),
        listing.program,
    )
    lines = [TITLE, *(f"{key} {value}" for key, value in zip(_HEADER, values, strict=True)), ""]
    lines += [f"{one.digest.hex()} {one.size} {one.name}" for _, one in sorted(listing.parts.items())]
    return "".join(f"{line}\n" for line in lines).encode("ascii")


def parse_listing(data: bytes) -> Listing:
    """Return what ``bundle.txt`` says.

    Raises:
        TooLarge: it is over 32 MiB, or names more than 200,000 files.
        FormatError: it is not the one spelling of a list, or a file is named twice, is not one of a
            bundle's, or is over the limit of its kind.
    """
    if len(data) > MAX_LIST_BYTES:
        raise TooLarge(f"the list of the bundle is over {MAX_LIST_BYTES} bytes")
    try:
        *lines, rest = data.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise FormatError("the list of the bundle is not ASCII") from error
    if rest or lines[:1] != [TITLE]:
        raise FormatError(f"the list of the bundle does not begin with {TITLE!r}, or its end is missing")
    head, rows = lines[1 : len(_HEADER) + 1], lines[len(_HEADER) + 1 :]
    if len(rows) - 1 > MAX_PARTS:
        raise TooLarge(f"the list of the bundle names more than {MAX_PARTS} files")
    if rows[:1] != [""]:
        raise FormatError("the list of the bundle has no empty line after its head")
    values = [_value(line, key) for line, key in zip(head, _HEADER, strict=True)]
    community, coordinator, leaves, documents, bodies, bodies_from, made, program = values
    listing = Listing(
        community=parse_hex(community, what="community of the bundle", size=32),
        coordinator=coordinator,
        leaves=parse_decimal(leaves, what="number of leaves"),
        documents=parse_decimal(documents, what="number of documents"),
        member=_member(bodies),
        bodies_from=parse_decimal(bodies_from, what="first leaf with a statement"),
        made_ms=parse_utc(made, what="time of the bundle"),
        program=program,
        parts=_parts(rows[1:]),
    )
    # Before anybody counts up to a size that is only claimed.
    if tiles(listing.leaves) + tiles(listing.documents) + listing.documents > MAX_PARTS:
        raise TooLarge(f"a bundle of logs of these sizes has more than {MAX_PARTS} files")
    if format_listing(listing) != data:
        raise NotCanonical("the list of the bundle is not sorted, or not in its one permitted spelling")
    return listing


def _numbered(log: Log, folder: str, number: str) -> Place:
    if log is Log.DIRECTORY and folder == Sort.DOCUMENT.value:
        return Place(Sort.DOCUMENT, log, parse_number_path(number))
    if log is Log.ACK and folder == Sort.MILESTONE.value:
        return Place(Sort.MILESTONE, log, parse_decimal(number, what="size of a milestone", limit=MAX_UINT))
    if log is Log.ACK and folder in (Sort.STATEMENTS.value, Sort.HEADERS.value):
        return Place(Sort(folder), log, parse_number_path(number))
    raise FormatError("no file of a bundle has this name")


def _value(line: str, key: str) -> str:
    if not line.startswith(f"{key} ") or not line.isprintable() or len(line) > 200:
        raise FormatError(f"the list of the bundle does not say its {key} where it should")
    return line[len(key) + 1 :]


def _member(bodies: str) -> str | None:
    if bodies == _EVERYTHING:
        return None
    word, _, code = bodies.partition(" ")
    if word != "member" or not code:
        raise FormatError("the list of the bundle does not say whose statements it holds")
    return code


def _parts(rows: list[str]) -> dict[str, Part]:
    parts: dict[str, Part] = {}
    for row in rows:
        columns = row.split(" ")
        if len(columns) != 3:
            raise FormatError("a line of the bundle's list is not a hash, a size and a name")
        digest, size, name = columns
        if name in parts:
            raise FormatError(f"the bundle's list names {name} twice")
        limit = limit_of(place_of(name))
        entry = Part(
            parse_hex(digest, what="hash of a file", size=32),
            parse_decimal(size, what="size of a file"),
            name,
        )
        if entry.size > limit:
            raise TooLarge(f"{name} has {entry.size} bytes by the bundle's list; at most {limit} are allowed")
        parts[name] = entry
    return parts
