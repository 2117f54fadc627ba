"""Which kind of file lies there: looked at before it is parsed, so that a mix-up is called by its name."""

from __future__ import annotations

import re
from pathlib import Path

from protocol.errors import UnknownKind

KINDS = {
    "alm1-community": "community file",
    "alm1-proposal": "proposal",
    "alm1-signature": "signature file",
    "alm1-state-request": "request",
    "alm1-coordinator-request": "request",
    "alm1-custodian-key": "custodian's key",
    "alm1-document": "attestation",
    "alm1-disclosure": "disclosure",
}
"""What people call a file, by the word that it begins with (spec/encoding.md)."""
BEGINNINGS = {
    b"almenara-token-1:": "token, to be given to nobody",
    b"almenara receipt v1": "receipt",
}
USUAL = {
    "request": "it is usually called request.alm, or succession.alm for another identity key",
    "community file": "it is usually called community.alm",
    "proposal": "it is what `almenara governance propose` wrote",
    "signature file": "it is what `almenara governance sign` wrote",
    "attestation": "it is what `almenara node attest` wrote",
    "custodian's key": "it ends in .public",
}
KEY_FILE = "secret key, to be given to nobody"
MOST_COMMENTS = 4096
"""Within how many bytes a key file says what it is, behind its comments."""
_ARRAYS = {0xDC: 3, 0xDD: 5}


def kind_of(data: bytes) -> str | None:
    """Return what people call a file that begins so, or None if it is none of ours."""
    for beginning, kind in BEGINNINGS.items():
        if data.startswith(beginning):
            return kind
    if re.search(rb"^almenara-key: ", data[:MOST_COMMENTS], re.MULTILINE):
        return KEY_FILE
    return KINDS.get(_tag(data))


def require_kind(data: bytes, path: Path, what: str) -> None:
    """Return unless a file of one kind was given where another is needed.

    Args:
        data: How it begins.
        path: Where it lies.
        what: What is needed, as in :data:`KINDS`; for anything else nothing is looked at.

    Raises:
        UnknownKind: it is of another kind; the message names both.
    """
    found = kind_of(data)
    if what in KINDS.values() and found not in (None, what):
        article = "an" if str(found)[0] in "aeiou" else "a"
        raise UnknownKind(
            f"{path} is {article} {found}; this command needs {'an' if what[0] in 'aeiou' else 'a'} {what} "
            "there",
            hint=f"Name the right one; {USUAL.get(what, 'look at the order of the arguments')}.",
        )


def _tag(data: bytes) -> str:
    """Return the text that an array of MessagePack begins with, or nothing."""
    if not data or not (0x90 <= data[0] <= 0x9F or data[0] in _ARRAYS):
        return ""
    start = _ARRAYS.get(data[0], 1)
    if len(data) <= start or not 0xA0 <= data[start] <= 0xBF:
        return ""
    return data[start + 1 : start + 1 + (data[start] & 0x1F)].decode("ascii", "replace")
