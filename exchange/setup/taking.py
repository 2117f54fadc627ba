"""What members have published since, brought to governance: out of a node, into the community file.

Custodians see only what they sign. Everything else, such as manifests, reaches the nodes through the
coordinator. Before governance replaces a key that a state has lost, or admits on somebody's word, it
takes over what the nodes have.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from exchange.datadir import DataDir
from exchange.setup.governance import Ceremony, republish
from exchange.stores.connection import Place, discard, open_reader
from exchange.stores.node_books import read_documents
from keys.enrolment import load_community
from keys.governance import community_file
from keys.signer import Verifier
from protocol.documents import (
    PrekeyList,
    Publication,
    StateManifest,
    parse_document,
    parse_signed_document,
    signed_document_hash,
)
from protocol.errors import Forked, SetupError, TrustError

MemberDocument = StateManifest | PrekeyList | Publication


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


@dataclass(frozen=True, slots=True)
class Merged:
    """What became of two histories of one community.

    Attributes:
        ceremony: The community afterwards.
        fresh: The documents that were new to it.
        dropped: Documents of before that do not fit what the nodes have.
    """

    ceremony: Ceremony
    fresh: tuple[bytes, ...]
    dropped: tuple[bytes, ...]


def take(ceremony: Ceremony, offered: bytes, now_ms: int, *, give_way: bool = False) -> Merged:
    """Add to a community what is new in a community file.

    Roots and directories have one history only, and both must agree on it. About what members publish the
    nodes know better: a manifest that came with a proposal, and that its state has overtaken meanwhile, is
    left behind, so that governance can go on deciding. Durable when this returns.

    Args:
        ceremony: The community as it is kept here.
        offered: A community file.
        now_ms: The time now, milliseconds UTC.
        give_way: Leave behind also roots and directories of this folder that lost a race: they were signed
            here and never reached the nodes, which took another one of the same version.

    Raises:
        FormatError, TrustError: the file is not to be believed from the pinned root on; nothing is changed.
        Forked: its roots or directories are others than this folder's; nothing is changed.
        SetupError: the file cannot be written.
    """
    trusted, documents = load_community(offered, ceremony.trusted.community, Verifier(), now_ms)
    known = {signed_document_hash(document) for document in ceremony.documents}
    fresh = tuple(document for document in documents if signed_document_hash(document) not in known)
    kept, dropped = list(documents), []
    theirs = {signed_document_hash(document) for document in documents}
    for document in ceremony.documents:
        if signed_document_hash(document) in theirs:
            continue
        try:
            trusted.update(document, now_ms)
            kept.append(document)
        except TrustError as error:
            about = parse_document(parse_signed_document(document).body)
            if not (give_way or isinstance(about, MemberDocument)):
                raise Forked(
                    f"what this folder decided does not continue what the nodes have: {error.message}",
                    hint="Find out with the other custodians who signed the other one. If it is right, and "
                    "this folder's never reached the nodes: repeat with --give-way, then propose it again.",
                ) from error
            dropped.append(document)
    if not fresh and not dropped:
        return Merged(ceremony, (), ())
    return Merged(republish(ceremony, kept, now_ms), fresh, tuple(dropped))
