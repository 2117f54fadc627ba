"""A whole fictitious community in memory, for any test that needs a trusted directory.

Governance is 2 of 3. The states XAA, XBB and XCC each have an identity, a node and an officer
key, a certificate and 14 daily prekeys; the coordinator is HUB. All keys follow from their
labels, so that a test may ask for the same key twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from keys import enrolment, governance
from keys.documents import sign_document
from keys.note_keys import NoteRole, NoteSecret
from keys.prekeys import SecretPrekey, make_prekeys
from keys.signature import SecretKey
from keys.signer import Signer, Verifier
from keys.trust import TrustedDirectory
from protocol.documents import (
    CoordinatorEntry,
    Document,
    KeyEntry,
    NoteKeys,
    Role,
    RoleKeys,
    Root,
    StateEntry,
    StateStatus,
    document_hash,
    parse_signed_document,
)

NOW_MS = 1_772_334_000_000  # 2026-03-01T03:00:00Z
DAY_MS = 24 * 3600 * 1000
YEAR_MS = 365 * DAY_MS
CODES = ("XAA", "XBB", "XCC")
HUB = "HUB"
NAMES = {"XAA": "Aurelia", "XBB": "Borealis", "XCC": "Celestia"}
PREKEY_DAYS = 14


def seed_of(key: Signer) -> bytes:
    """Return the secret bytes of a key, to write a key file."""
    assert isinstance(key._secret, SecretKey)
    return key._secret.seed


@lru_cache(maxsize=256)
def signer(label: str, role: Role) -> Signer:
    """Return the key that follows from a label such as ``"XAA node"``."""
    return Signer(SecretKey.from_seed(hashlib.sha512(f"{label} {role}".encode()).digest()), role)


def role_keys(threshold: int, signers: Sequence[Signer]) -> RoleKeys:
    """Return the keys of these signers under a threshold."""
    return RoleKeys(threshold=threshold, keys=tuple(one.public for one in signers))


@lru_cache(maxsize=64)
def note_secret(party: str) -> NoteSecret:
    """Return the keys of a party's log or witness, which follow from its code."""
    return NoteSecret(hashlib.sha512(f"{party} note".encode()).digest())


def witness_keys(code: str, community_id: bytes) -> NoteKeys:
    """Return a state's witness keys as its manifest lists them."""
    return note_secret(code).keys(f"almenara/test/{code}", code, NoteRole.WITNESS, community_id)


def log_keys(code: str, community_id: bytes) -> NoteKeys:
    """Return a coordinator's log keys as its entry lists them."""
    return note_secret(code).keys(f"{code.lower()}.example/almenara", code, NoteRole.LOG, community_id)


def certificate(party: str) -> bytes:
    """Return a stand-in for a party's TLS certificate, which the trusted directory never looks into."""
    return hashlib.sha256(f"{party} certificate".encode()).digest()


@dataclass(frozen=True, slots=True)
class Member:
    """One state, with every secret it has."""

    code: str
    name: str
    identity: Signer
    node: Signer
    officer: Signer
    witness: NoteSecret
    prekeys: tuple[SecretPrekey, ...]
    entry: StateEntry
    keys: tuple[KeyEntry, ...]


@dataclass(frozen=True, slots=True)
class Community:
    """Everybody and everything that was signed, in the order of acceptance."""

    now_ms: int
    id: bytes
    roots: tuple[Signer, ...]
    directories: tuple[Signer, ...]
    members: Mapping[str, Member]
    hub: Signer
    hub_entry: CoordinatorEntry
    log: NoteSecret
    documents: tuple[bytes, ...]
    verifier: Verifier

    def directory(self) -> TrustedDirectory:
        """Return a fresh directory that accepted every document."""
        trusted = TrustedDirectory(self.id, self.verifier)
        for document in self.documents:
            trusted.update(document, self.now_ms)
        return trusted

    def signed_by_governance(self, document: Document) -> bytes:
        """Return a root or directory document, signed by two of three."""
        signers = self.roots if isinstance(document, Root) else self.directories
        return sign_document(document, signers[:2])


@lru_cache(maxsize=8)
def community(now_ms: int = NOW_MS) -> Community:
    """Return the community as it is at ``now_ms``; its first documents are an hour old."""
    issued_ms = now_ms - 3600 * 1000
    verifier = Verifier()
    roots = tuple(signer(f"custodian {number}", Role.ROOT) for number in (1, 2, 3))
    directories = tuple(signer(f"secretary {number}", Role.DIRECTORY) for number in (1, 2, 3))
    root = sign_document(
        governance.first_root(
            "Community of the tests",
            role_keys(2, roots),
            role_keys(2, directories),
            now_ms=issued_ms,
            life_ms=YEAR_MS,
        ),
        roots[:2],
    )
    name = document_hash(parse_signed_document(root).body)
    trusted = TrustedDirectory(name, verifier)
    trusted.update(root, now_ms)
    members = {code: new_member(code, name, issued_ms) for code in CODES}
    hub = signer(HUB, Role.COORDINATOR)
    hub_entry = enrolment.coordinator_entry(
        hub,
        code=HUB,
        name="Hub of the tests",
        url="wss://127.0.0.1:8443/",
        community=name,
        certificates=[certificate(HUB)],
        log=log_keys(HUB, name),
    )
    directory = sign_document(
        governance.next_directory(
            trusted,
            [member.entry for member in members.values()],
            [hub_entry],
            now_ms=issued_ms,
            life_ms=YEAR_MS,
        ),
        directories[:2],
    )
    published = [data for member in members.values() for data in member_documents(member, name, issued_ms)]
    return Community(
        now_ms=now_ms,
        id=name,
        roots=roots,
        directories=directories,
        members=members,
        hub=hub,
        hub_entry=hub_entry,
        log=note_secret(HUB),
        documents=(root, directory, *published),
        verifier=verifier,
    )


def member_documents(
    member: Member, community_id: bytes, issued_ms: int, shown: bytes | None = None
) -> list[bytes]:
    """Return a state's first manifest and prekey list, signed; ``shown`` is a certificate for TLS."""
    manifest = enrolment.next_manifest(
        None,
        state=member.code,
        community=community_id,
        keys=member.keys,
        certificates=[certificate(member.code) if shown is None else shown],
        witness=witness_keys(member.code, community_id),
        now_ms=issued_ms,
        life_ms=YEAR_MS,
    )
    prekeys = enrolment.next_prekeys(
        None,
        state=member.code,
        community=community_id,
        keys=[prekey.public for prekey in member.prekeys],
        now_ms=issued_ms,
        life_ms=(PREKEY_DAYS + 2) * DAY_MS,
        tail=True,
    )
    return [sign_document(manifest, [member.identity]), sign_document(prekeys, [member.node])]


def new_member(code: str, community_id: bytes, issued_ms: int) -> Member:
    """Return a state with all its keys, valid for a year; nothing of it is published."""
    identity, node = signer(code, Role.IDENTITY), signer(code, Role.NODE)
    officer = signer(code, Role.OFFICER)
    name = NAMES.get(code, f"State {code}")
    keys = tuple(
        enrolment.key_entry(
            key,
            state=code,
            community=community_id,
            owner=owner,
            from_ms=issued_ms - DAY_MS,
            until_ms=issued_ms + YEAR_MS,
        )
        for key, owner in ((node, f"node of {code}"), (officer, f"officer of {code}"))
    )
    entry = StateEntry(
        code=code, name=name, status=StateStatus.ACTIVE, identity=identity.public, since_ms=issued_ms
    )
    prekeys = _prekeys(code, issued_ms)
    return Member(code, name, identity, node, officer, note_secret(code), prekeys, entry, keys)


def _prekeys(code: str, issued_ms: int) -> tuple[SecretPrekey, ...]:
    seeds = iter(hashlib.sha256(f"{code} prekey {day} {issued_ms}".encode()).digest() for day in range(32))
    return make_prekeys(issued_ms, PREKEY_DAYS, lambda _: next(seeds))
