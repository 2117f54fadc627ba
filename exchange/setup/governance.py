"""Governance by hand: a community is founded, read again, and gets further documents.

What changes it is proposed, reviewed and signed in :mod:`~exchange.setup.proposing`,
:mod:`~exchange.setup.reviewing`, :mod:`~exchange.setup.signing` and :mod:`~exchange.setup.publishing`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from exchange.pinned_root import ROOT_HASH_FILE
from exchange.setup import words
from exchange.setup.files import COMMUNITY_FILE, make_folder, new_place, read_file, write_file
from exchange.setup.keyring import Protect, described, new_signer
from keys.documents import sign_document
from keys.enrolment import load_community
from keys.governance import community_file, first_root
from keys.keyfile import KeyDescription
from keys.signer import Verifier
from keys.trust import TrustedDirectory
from protocol.digest import signing_key_id
from protocol.documents import CoordinatorEntry, Role, RoleKeys, StateEntry, signed_document_hash
from protocol.enrolment import MAX_COMMUNITY_BYTES
from protocol.errors import BadRequest, KeyfileError, ThresholdNotMet
from protocol.fingerprint import groups

MOST_KEYS = 9
ROOT_LIFE_MS = 5 * words.YEAR_MS
DIRECTORY_LIFE_MS = words.YEAR_MS


@dataclass(frozen=True, slots=True)
class Ceremony:
    """A community as its governance keeps it: what is trusted, from the documents in order."""

    folder: Path
    trusted: TrustedDirectory
    documents: tuple[bytes, ...]

    @property
    def entries(self) -> tuple[tuple[StateEntry, ...], tuple[CoordinatorEntry, ...]]:
        """The states and coordinators listed now; none before the first directory."""
        held = self.trusted.documents.directory
        return ((), ()) if held is None else (held.document.states, held.document.coordinators)


def create_community(
    folder: Path, name: str, *, keys: int, threshold: int, protect: Protect, now_ms: int
) -> bytes:
    """Make the keys of governance and the first root; return the root hash that everybody pins.

    In ``folder`` are then ``keys/root-1.key`` and so on, ``keys/directory-1.key`` and so on,
    ``community.alm`` and ``root-hash``.

    Args:
        folder: A directory that does not exist, or is empty.
        name: What the community is called.
        keys: How many custodians there are; each has a root key and a directory key.
        threshold: How many of them must sign.
        protect: How the key files are protected.
        now_ms: The time now, milliseconds UTC.

    Raises:
        BadRequest: the name or the numbers do not fit.
        SetupError, KeyfileError: the files cannot be written; nothing is left behind.
    """
    name = words.line(name, "community's name")
    if not 1 <= threshold <= keys <= MOST_KEYS:
        raise BadRequest(
            f"{threshold} of {keys} keys cannot govern a community",
            hint=f"Use 1 to {MOST_KEYS} keys, and a threshold of 1 up to their number, such as 2 of 3.",
        )
    with new_place(folder):
        make_folder(folder / "keys")
        protection = protect()
        signers = {
            role: [
                new_signer(
                    key_path(folder, role, number), f"{name}: {role} {number}", role, protection, now_ms
                )
                for number in range(1, keys + 1)
            ]
            for role in (Role.ROOT, Role.DIRECTORY)
        }
        root, directory = (
            RoleKeys(threshold=threshold, keys=tuple(signer.public for signer in signers[role]))
            for role in (Role.ROOT, Role.DIRECTORY)
        )
        first = first_root(name, root, directory, now_ms=now_ms, life_ms=ROOT_LIFE_MS)
        signed = sign_document(first, signers[Role.ROOT][:threshold])
        pinned = signed_document_hash(signed)
        write_file(folder / ROOT_HASH_FILE, f"{groups(pinned)}\n".encode())
        write_file(folder / COMMUNITY_FILE, community_file([signed]))
    return pinned


def read_ceremony(folder: Path, now_ms: int) -> Ceremony:
    """Read a community and verify every document of it again, from its own root hash on.

    Raises:
        SetupError: the folder holds no community.
        FormatError, TrustError, ClockSkew: a document in it is not to be believed.
    """
    text = read_file(folder / ROOT_HASH_FILE, 200, "root hash").decode("ascii", "replace")
    return read_from(folder / COMMUNITY_FILE, words.root_hash(text), now_ms)


def read_from(community: Path, pinned: bytes, now_ms: int) -> Ceremony:
    """Read a community file that lies anywhere, trusting nothing but the root hash.

    Raises:
        SetupError: it cannot be read.
        FormatError, TrustError, ClockSkew: a document in it is not to be believed.
    """
    data = read_file(community, MAX_COMMUNITY_BYTES, "community file")
    trusted, documents = load_community(data, pinned, Verifier(), now_ms)
    return Ceremony(community.parent, trusted, documents)


def choose_keys(ceremony: Ceremony, named: Sequence[Path]) -> tuple[Path, ...]:
    """Return the key files to sign a directory with: those named, else the first that suffice.

    Raises:
        ThresholdNotMet: there are too few here.
        KeyfileError: one is no directory key of this community, or cannot be read.
    """
    role = ceremony.trusted.root.directory
    listed = {signing_key_id(key) for key in role.keys}
    paths = named or sorted((ceremony.folder / "keys").glob(f"{Role.DIRECTORY.value}-*.key"))
    usable: dict[bytes, Path] = {}
    for path in paths:
        description = described(path)
        if description.key_id in listed:
            usable.setdefault(description.key_id, path)
        elif named:
            raise _not_ours(path, description)
    if len(usable) < role.threshold:
        raise ThresholdNotMet(
            f"{len(usable)} directory keys are here; {role.threshold} of {len(role.keys)} must sign",
            hint="Bring the other custodians' key files together here, and name each with --key FILE.",
        )
    return tuple(usable.values())[: len(usable) if named else role.threshold]


def publish(ceremony: Ceremony, signed: Sequence[bytes], now_ms: int) -> Ceremony:
    """Append documents to the community, after replaying all of it; durable when this returns.

    Raises:
        FormatError, TrustError: the documents are not to be believed; the file is as it was.
        SetupError: the file cannot be written.
    """
    return republish(ceremony, [*ceremony.documents, *signed], now_ms)


def republish(ceremony: Ceremony, documents: Sequence[bytes], now_ms: int) -> Ceremony:
    """Keep these documents as the community's, after replaying all of them; durable when this returns.

    Raises:
        FormatError, TrustError: the documents are not to be believed; the file is as it was.
        SetupError: the file cannot be written.
    """
    data = community_file(documents)
    trusted, loaded = load_community(data, ceremony.trusted.community, Verifier(), now_ms)
    write_file(ceremony.folder / COMMUNITY_FILE, data)
    return replace(ceremony, trusted=trusted, documents=loaded)


def key_path(folder: Path, role: Role, number: int) -> Path:
    """Return where a custodian's key lies."""
    return folder / "keys" / f"{role.value}-{number}.key"


def _not_ours(path: Path, description: KeyDescription) -> KeyfileError:
    return KeyfileError(
        f"{path} is a key of role {description.role}, not one of this community's directory keys",
        hint="Name the custodians' directory keys, such as --key keys/directory-1.key",
    )
