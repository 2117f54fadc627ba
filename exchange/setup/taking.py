"""What members have published since, brought to governance: out of a node, into the community file.

Custodians see only what they sign. Everything else, such as manifests, reaches the nodes through the
coordinator. Before governance replaces a key that a state has lost, or admits on somebody's word, it
takes over what the nodes have.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from exchange.datadir import DataDir
from exchange.setup.governance import Ceremony, publish
from exchange.stores.connection import Place, discard, open_reader
from exchange.stores.node_books import read_documents
from keys.enrolment import load_community
from keys.governance import community_file
from keys.signer import Verifier
from protocol.documents import signed_document_hash
from protocol.errors import SetupError


def community_of(data: Path) -> bytes:
    """Return the community file of everything that a node trusts, in the order in which it came.

    The node may run; what it has is read as it is at one moment.

    Args:
        data: The node's data directory.

    Raises:
        SetupError: the node has not joined a community.
        StoreFailed: its store cannot be read.
    """
    place = DataDir(data)
    if not place.database.exists():
        raise SetupError(
            f"there is no store in {data}",
            hint="Name the data directory of a node that has joined: --data DIR",
        )
    reader = open_reader(Place(place.database))
    try:
        documents = read_documents(reader)
    finally:
        discard(reader)
    if not documents:
        raise SetupError(
            f"the node in {data} has not joined a community",
            hint="Join with: almenara node join --data DIR COMMUNITY-FILE",
        )
    return community_file(documents)


def take(ceremony: Ceremony, offered: bytes, now_ms: int) -> tuple[Ceremony, Sequence[bytes]]:
    """Add to a community what is new in a community file; returns it with the documents that were new.

    Durable when this returns.

    Raises:
        FormatError, TrustError: the file is not to be believed from the pinned root on, or continues
            another history than this folder's; nothing is changed.
        SetupError: the file cannot be written.
    """
    _, documents = load_community(offered, ceremony.trusted.community, Verifier(), now_ms)
    known = {signed_document_hash(document) for document in ceremony.documents}
    fresh = [document for document in documents if signed_document_hash(document) not in known]
    return (publish(ceremony, fresh, now_ms) if fresh else ceremony), fresh
