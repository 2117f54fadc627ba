"""Two rules that every trust document obeys: one version after another, one owner per key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from keys.held import Held, Owner
from keys.signature import PublicKey
from protocol.digest import certificate_id, note_key_id, note_name_id, signing_key_id
from protocol.documents import Directory, Document, NoteKeys, Role, Root, StateManifest
from protocol.errors import Forked, KeyRefused, RolledBack, VersionGap

CERTIFICATE = "certificate"
LOG, WITNESS = "log", "witness"
GOVERNANCE = Owner(party="governance", use="governance")

Owners = Mapping[bytes, Owner]
"""What every key and certificate was first admitted as, by its 32-byte id."""


def following(held: Held[Document] | None) -> tuple[int, bytes | None]:
    """Return the version and the previous hash of the document that comes after this one."""
    return (1, None) if held is None else (held.document.version + 1, held.hash)


def require_next_version(held: Held[Document] | None, document: Document, what: str) -> None:
    """Refuse a document that is older than the trusted one, or skips a version.

    A document of the *same* version passes: whether it is a fork or a forgery is only known
    once its signatures are checked, see :func:`require_unforked`.

    Raises:
        RolledBack, VersionGap: as said.
    """
    trusted = held.document.version if held else 0
    if document.version < trusted:
        raise RolledBack(f"the {what} has version {document.version}; version {trusted} is trusted already")
    if document.version > trusted + 1:
        raise VersionGap(
            f"the {what} has version {document.version}; version {trusted + 1} must be seen first",
            hint="Load the missing versions in order; the session does this by itself.",
        )


def require_unforked(held: Held[Document] | None, document: Document, what: str) -> None:
    """Refuse a document, rightly signed, that does not continue the trusted one.

    Raises:
        Forked: two documents of one version exist, or this one continues another.
    """
    hint = "Keep both documents and tell the secretariat at once: somebody signed two histories."
    if held is not None and document.version == held.document.version:
        raise Forked(f"two different copies of {what} version {document.version} are signed", hint=hint)
    if document.previous != (held.hash if held else None):
        raise Forked(f"the {what} continues another version {document.version - 1}", hint=hint)


def with_governance(owners: Owners, root: Root) -> Owners:
    """Admit a root's keys. The root and directory roles may share theirs.

    Raises:
        KeyRefused: a key is weak, or was admitted as something else.
    """
    keys = {*root.root.keys, *root.directory.keys}
    return _with(owners, ((_admitted(key), GOVERNANCE) for key in keys))


def with_directory(owners: Owners, directory: Directory) -> Owners:
    """Admit the identity keys of states, and the keys and certificates of coordinators.

    Raises:
        KeyRefused: a key is weak, or it or a certificate was admitted as something else.
    """
    states = [(_admitted(entry.identity), Owner(entry.code, Role.IDENTITY)) for entry in directory.states]
    coordinators = [
        (_admitted(entry.key), Owner(entry.code, Role.COORDINATOR)) for entry in directory.coordinators
    ]
    certificates = [
        (certificate_id(certificate), Owner(entry.code, CERTIFICATE))
        for entry in directory.coordinators
        for certificate in entry.certificates
    ]
    logs = [
        claim for entry in directory.coordinators for claim in _note_claims(entry.log, Owner(entry.code, LOG))
    ]
    return _with(owners, [*states, *coordinators, *certificates, *logs])


def with_manifest(owners: Owners, manifest: StateManifest) -> Owners:
    """Admit the online keys and certificates of a state.

    Raises:
        KeyRefused: a key is weak, or it or a certificate was admitted as something else.
    """
    keys = [(_admitted(entry.key), Owner(manifest.state, entry.role)) for entry in manifest.keys]
    certificates = [
        (certificate_id(item), Owner(manifest.state, CERTIFICATE)) for item in manifest.certificates
    ]
    if not manifest.witness.name.endswith(f"/{manifest.state}"):
        # Otherwise a member could take the name that another's witness, or a log, is going to have.
        raise KeyRefused(f"the name of a witness of {manifest.state} ends with /{manifest.state}")
    witness = _note_claims(manifest.witness, Owner(manifest.state, WITNESS))
    return _with(owners, [*keys, *certificates, *witness])


def _note_claims(keys: NoteKeys, owner: Owner) -> list[tuple[bytes, Owner]]:
    """Return what the keys of a log or witness claim: both keys, and the name they sign under.

    An Ed25519 cosignature does not cover its signer's name, so a key must have one owner only.
    """
    names = (note_key_id(keys.ed25519), note_key_id(keys.mldsa44), note_name_id(keys.name))
    return [(name, owner) for name in names]


def _admitted(key: bytes) -> bytes:
    """Return the id of a key that passed admission: one id, one key, one owner."""
    PublicKey.from_bytes(key)
    return signing_key_id(key)


def _with(owners: Owners, claims: Iterable[tuple[bytes, Owner]]) -> Owners:
    grown = dict(owners)
    for name, owner in claims:
        first = grown.setdefault(name, owner)
        if first != owner:
            raise KeyRefused(
                f"{owner.party} claims {name.hex()[:16]} as {owner.use}; "
                f"{first.party} has it as {first.use} already"
            )
    return grown
