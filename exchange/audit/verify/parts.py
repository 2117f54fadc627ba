"""The files of a bundle: compared with the list before anything in them is looked at.

The verifier touches no disk: a :class:`Source` gives it names and bytes. Everything is bounded
before it is read, and every name is one that the sizes of the logs call for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from exchange.audit.verify.record import Place, Record
from protocol.errors import BadRequest, FormatError
from protocol.ledger.bundle import (
    LIST_NAME,
    MAX_LIST_BYTES,
    MAX_PARTS,
    Listing,
    belongs,
    parse_listing,
    place_of,
    required_names,
)

_PARTS = "parts"


class Found(NamedTuple):
    """One file of a source: its name, and its size in bytes; None if it is no regular file."""

    name: str
    size: int | None


class Source(Protocol):
    """Where a bundle is read from. Names have slashes, and no file outside is ever reachable."""

    def names(self) -> Iterator[Found]:
        """Yield every file, in any order; links and devices too, with the size None."""

    def read(self, name: str, limit: int) -> bytes | None:
        """Return a file's bytes, at most ``limit`` + 1 of them; None if there is no such regular file."""


class Parts:
    """The listed files of a bundle, each compared with the list's hash when it is read.

    Args:
        source: Where the files are.
        listing: What the list says.
        record: Where what is wrong is recorded.
    """

    def __init__(self, source: Source, listing: Listing, record: Record) -> None:
        self._source = source
        self._record = record
        self._told: set[str] = set()
        self.listing = listing

    def check_names(self) -> bool:
        """Compare the files that are there with the list; False if there is no end of them."""
        listed = self.listing.parts
        seen: set[str] = set()
        for count, (name, size) in enumerate(self._source.names()):
            if count > MAX_PARTS + 1:
                self._tell("too-many-files", f"there are more than {MAX_PARTS} files", "the bundle")
                return False
            if size is None:
                self._tell("not-a-file", f"{name} is a link or no regular file", name)
            elif name == LIST_NAME:
                continue
            elif name not in listed:
                self._tell("extra-file", f"{name} is not on the bundle's list", name)
            elif size != listed[name].size:
                self._tell("wrong-size", f"{name} has {size} bytes, by the list {listed[name].size}", name)
            seen.add(name)
        for name in listed:
            if name not in seen:
                self._tell("missing-file", f"{name} is on the list and not in the bundle", name)
        self._check_grammar()
        return True

    def read(self, name: str, *, again: bool = False) -> bytes | None:
        """Return a listed file's bytes; None if it is missing or has not the listed size.

        Bytes with another hash are recorded, and returned: what they break shows further on.
        A file that is read ``again`` is compared, and not counted a second time.
        """
        part = self.listing.parts.get(name)
        if part is None:
            return None
        data = self._source.read(name, part.size)
        if data is None or len(data) != part.size:
            if name not in self._told:
                self._tell("wrong-size", f"{name} cannot be read, or changed its size", name)
            return None
        if hashlib.sha256(data).digest() == part.digest:
            self._record.passed(_PARTS, 0 if again else 1)
        elif name not in self._told:
            self._tell("wrong-hash", f"{name} is not the file that the list names: it was altered", name)
        return data

    def has(self, name: str) -> bool:
        """Return whether a file is on the list."""
        return name in self.listing.parts

    def _check_grammar(self) -> None:
        """Compare the list with what logs of these sizes call for."""
        listing = self.listing
        for name in listing.parts:
            if not belongs(place_of(name), listing.leaves, listing.documents):
                self._tell("extra-file", f"logs of these sizes have no file {name}", name)
        for name in required_names(listing.leaves, listing.documents):
            if name not in listing.parts:
                self._tell(
                    "missing-file", f"logs of these sizes have a file {name}, which is not listed", name
                )

    def _tell(self, code: str, sentence: str, name: str) -> None:
        self._told.add(name)
        self._record.failed(_PARTS, code, sentence, Place(name))


def read_listing(source: Source, record: Record) -> Listing | None:
    """Return the bundle's list, or None after recording what is wrong with it.

    Raises:
        BadRequest: there is none, so this is no bundle.
    """
    data = source.read(LIST_NAME, MAX_LIST_BYTES)
    if data is None:
        raise BadRequest(
            f"this is no bundle: it has no {LIST_NAME}",
            hint="Name the directory that `almenara audit export` made, or a receipt file.",
        )
    try:
        return parse_listing(data)
    except FormatError as error:
        record.failed(_PARTS, "list", error.message, Place(LIST_NAME))
        return None
