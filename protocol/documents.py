"""Root, directory, state manifest, prekey list and publication: layout only.

Every document is signed as bytes and carried as a :class:`SignedDocument`. Which signatures a
document needs, and when it may replace an older one, is decided in ``keys.trust``; here is
only what the bytes must look like. See ``spec/documents.md``.
"""

from __future__ import annotations

from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Literal, TypeAlias, get_args

from msgspec import Meta

from protocol import codec
from protocol.digest import kem_key_id, signing_key_id, tagged
from protocol.errors import FormatError
from protocol.fields import (
    U16,
    Bytes32,
    KemKeyBytes,
    Line,
    Millis,
    PublicKeyBytes,
    SignatureBytes,
    Slug,
    StateCode,
    Wire,
)
from protocol.signed import Context, Proof

MAX_DOCUMENT_BYTES = 512 * 1024
MAX_SIGNATURES = 32

Version = Annotated[int, Meta(ge=1, le=2**63 - 1)]
CertificateBytes = Annotated[bytes, Meta(min_length=1, max_length=2048)]
"""A self-signed TLS certificate in DER: whole, because TLS can only require one it holds."""
CertificateList = Annotated[tuple[CertificateBytes, ...], Meta(min_length=1, max_length=4)]


NoteName = Annotated[str, Meta(max_length=120, pattern=r"\A[!-*,-~]+\Z")]
"""The name of a log or witness in signed notes: printable ASCII without spaces and plus signs."""

MLDSA44_PUBLIC_BYTES = 1312
POSSESSION_BYTES = 64 + 2420


class Role(StrEnum):
    """What a signing key may be used for; one key, one role."""

    ROOT = "root"
    DIRECTORY = "directory"
    IDENTITY = "identity"
    NODE = "node"
    OFFICER = "officer"
    COORDINATOR = "coordinator"


class RoleKeys(Wire, frozen=True):
    """The keys that may sign for a governance role, and how many of them must."""

    threshold: Annotated[int, Meta(ge=1, le=MAX_SIGNATURES)]
    keys: Annotated[tuple[PublicKeyBytes, ...], Meta(min_length=1, max_length=MAX_SIGNATURES)]


class Root(Wire, frozen=True, tag="root"):
    """Who governs: the keys and thresholds of the root and directory roles, and the suite floor.

    ``community`` and ``previous`` are nil in version 1 only; the hash of version 1 *is* the
    community's id, and what a new member pins.
    """

    v: Literal[1]
    community: Bytes32 | None
    version: Version
    previous: Bytes32 | None
    issued_ms: Millis
    expires_ms: Millis
    name: Line
    root: RoleKeys
    directory: RoleKeys
    suites: Annotated[tuple[U16, ...], Meta(min_length=1, max_length=16)]


class NoteKeys(Wire, frozen=True):
    """The two keys of a log or a witness, raw, as C2SP signed notes need them, under one name.

    ``possession`` is an Ed25519 and an ML-DSA-44 signature, one behind the other, by which the
    owner proves that it holds both keys (``spec/documents.md``, "note keys").
    """

    name: NoteName
    ed25519: Bytes32
    mldsa44: Annotated[bytes, Meta(min_length=MLDSA44_PUBLIC_BYTES, max_length=MLDSA44_PUBLIC_BYTES)]
    possession: Annotated[bytes, Meta(min_length=POSSESSION_BYTES, max_length=POSSESSION_BYTES)]


class StateStatus(StrEnum):
    """Whether a member takes part."""

    ACTIVE = "active"
    SUSPENDED = "suspended"


class StateEntry(Wire, frozen=True):
    """One member state: its code, name, status and offline identity key."""

    code: StateCode
    name: Line
    status: StateStatus
    identity: PublicKeyBytes
    since_ms: Millis


Addresses = Annotated[str, Meta(max_length=1000, pattern=r"\Awss://[!-~]{1,194}( wss://[!-~]{1,194}){0,7}\Z")]
"""Up to eight addresses of one coordinator, one space between them; each leads to the same one."""


class CoordinatorEntry(Wire, frozen=True):
    """One coordinator: where it answers, the key it signs statements with, its certificates, its log.

    ``url`` holds one address or several, see :attr:`addresses`.
    """

    code: StateCode
    name: Line
    url: Addresses
    key: PublicKeyBytes
    possession: Proof
    certificates: CertificateList
    log: NoteKeys

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses, in the order of the document."""
        return split_addresses(self.url)


def split_addresses(text: str) -> tuple[str, ...]:
    """Return the addresses of a text with one space between them; none, if it is empty."""
    return tuple(text.split(" ")) if text else ()


MAX_COMPROMISED = 256


class Compromise(Wire, frozen=True):
    """A key that governance confirms was in foreign hands from a time on.

    ``party`` is the state or coordinator whose key it was.
    """

    party: StateCode
    key_id: Bytes32
    since_ms: Millis


class Directory(Wire, frozen=True, tag="directory"):
    """Who is a member, which coordinators serve the community, and which keys were stolen."""

    v: Literal[1]
    community: Bytes32
    version: Version
    previous: Bytes32 | None
    issued_ms: Millis
    expires_ms: Millis
    root_version: Version
    states: Annotated[tuple[StateEntry, ...], Meta(max_length=200)]
    coordinators: Annotated[tuple[CoordinatorEntry, ...], Meta(max_length=16)]
    compromised: Annotated[tuple[Compromise, ...], Meta(max_length=MAX_COMPROMISED)]


class KeyEntry(Wire, frozen=True):
    """One online key of a state: node or officer, its window, and its proof of possession."""

    key: PublicKeyBytes
    role: Role
    owner: Line
    from_ms: Millis
    until_ms: Millis
    possession: Proof

    @property
    def key_id(self) -> bytes:
        """The 32-byte id by which signatures name this key."""
        return signing_key_id(self.key)


class Revocation(Wire, frozen=True):
    """A key its own state has withdrawn."""

    key_id: Bytes32
    reason: Slug
    at_ms: Millis


class StateManifest(Wire, frozen=True, tag="manifest"):
    """The online keys, certificates, suites and witness of one state, signed by its identity key."""

    v: Literal[1]
    community: Bytes32
    state: StateCode
    version: Version
    previous: Bytes32 | None
    issued_ms: Millis
    expires_ms: Millis
    keys: Annotated[tuple[KeyEntry, ...], Meta(min_length=1, max_length=48)]
    certificates: CertificateList
    suites: Annotated[tuple[U16, ...], Meta(min_length=1, max_length=16)]
    revoked: Annotated[tuple[Revocation, ...], Meta(max_length=256)]
    witness: NoteKeys


class Prekey(Wire, frozen=True):
    """One day's public sealing key and its windows: when to use it, how long it is kept."""

    public: KemKeyBytes
    use_from_ms: Millis
    use_until_ms: Millis
    keep_until_ms: Millis

    @property
    def key_id(self) -> bytes:
        """The 32-byte id by which envelopes name this key."""
        return kem_key_id(self.public)


class PrekeyList(Wire, frozen=True, tag="prekeys"):
    """The sealing keys a state publishes ahead, signed by its node key.

    With ``tail`` set, the last key may be used for up to :data:`TAIL_MS` after its day, and
    everyone shows "reduced forward secrecy" while it is.
    """

    v: Literal[1]
    community: Bytes32
    state: StateCode
    version: Version
    previous: Bytes32 | None
    issued_ms: Millis
    expires_ms: Millis
    keys: Annotated[tuple[Prekey, ...], Meta(min_length=1, max_length=32)]
    tail: bool


TAIL_MS = 60 * 24 * 3600 * 1000


class Publication(Wire, frozen=True, tag="publication"):
    """A state's own signed document for the members, such as its severity schema."""

    v: Literal[1]
    community: Bytes32
    state: StateCode
    topic: Slug
    name: Slug
    version: Version
    previous: Bytes32 | None
    issued_ms: Millis
    content: Annotated[bytes, Meta(max_length=65536)]


Document: TypeAlias = Root | Directory | StateManifest | PrekeyList | Publication
_KINDS: dict[int | str, type[Document]] = codec.tags_of(*get_args(Document))

CONTEXTS: dict[type, Context] = {
    Root: Context.ROOT,
    Directory: Context.DIRECTORY,
    StateManifest: Context.MANIFEST,
    PrekeyList: Context.PREKEYS,
    Publication: Context.PUBLICATION,
}


class DocumentSignature(Wire, frozen=True):
    """One signature over a document's bytes, by the key with this id. Always a batch of one."""

    key_id: Bytes32
    signature: SignatureBytes

    @property
    def proof(self) -> Proof:
        """The signature as a batch of one."""
        return Proof(signature=self.signature, index=0, size=1, path=())


class SignedDocument(Wire, frozen=True, tag="alm1-document"):
    """A document's exact bytes with the signatures over them."""

    body: Annotated[bytes, Meta(min_length=1, max_length=MAX_DOCUMENT_BYTES)]
    signatures: Annotated[tuple[DocumentSignature, ...], Meta(min_length=1, max_length=MAX_SIGNATURES)]


def parse_signed_document(data: bytes) -> SignedDocument:
    """Parse the outer form; the body stays bytes until its signatures are checked."""
    return codec.decode(data, SignedDocument, limit=MAX_DOCUMENT_BYTES, what="signed document")


def parse_document(body: bytes) -> Document:
    """Parse a document's body and check what its layout promises.

    Raises:
        FormatError: it breaks the profile, its bounds, or the rules named in
            ``spec/documents.md`` under "layout".
    """
    document = codec.decode_one_of(body, _KINDS, limit=MAX_DOCUMENT_BYTES, what="document")
    _check_layout(document)
    return document


def document_hash(body: bytes) -> bytes:
    """Return the 32-byte hash by which later documents and headers name this one."""
    return tagged("doc", body)


def signed_document_hash(data: bytes) -> bytes:
    """Return the hash of the document in a signed form, whoever signed it; nothing is verified.

    Raises:
        FormatError: the bytes are no signed document.
    """
    return document_hash(parse_signed_document(data).body)


def _check_layout(document: Document) -> None:
    if (document.version == 1) != (document.previous is None):
        raise FormatError("version 1 has no previous document, and every later version has one")
    match document:
        case Root():
            if (document.version == 1) != (document.community is None):
                raise FormatError("only the first root document has no community id")
            for keys in (document.root, document.directory):
                if keys.threshold > len(keys.keys):
                    raise FormatError("a threshold is higher than the number of keys")
                _require_unique(keys.keys, "governance keys")
        case Directory():
            _require_sorted([entry.code for entry in document.states], "states")
            _require_sorted([entry.code for entry in document.coordinators], "coordinators")
            states = [entry.code for entry in document.states]
            _require_unique([*states, *(entry.code for entry in document.coordinators)], "party codes")
            identities = [entry.identity for entry in document.states]
            _require_unique([*identities, *(entry.key for entry in document.coordinators)], "keys")
            _require_unique([entry.log.name for entry in document.coordinators], "names of logs")
            stolen = [(entry.party, entry.key_id) for entry in document.compromised]
            if any(later <= earlier for earlier, later in pairwise(stolen)):
                raise FormatError("the compromised keys are not sorted by party and id, or one stands twice")
        case StateManifest():
            _require_unique([entry.key for entry in document.keys], "keys")
            if any(entry.role not in (Role.NODE, Role.OFFICER) for entry in document.keys):
                raise FormatError("a state manifest lists node and officer keys only")
        case PrekeyList():
            _check_prekeys(document)
        case Publication():
            return
    if not isinstance(document, Publication) and document.expires_ms <= document.issued_ms:
        raise FormatError("the document expires before it is issued")


def _check_prekeys(document: PrekeyList) -> None:
    _require_unique([key.public for key in document.keys], "prekeys")
    until = 0
    for key in document.keys:
        if not until <= key.use_from_ms < key.use_until_ms <= key.keep_until_ms:
            raise FormatError("prekey windows are out of order or overlap")
        until = key.use_until_ms


def _require_unique(items: list[str] | list[bytes] | tuple[bytes, ...], what: str) -> None:
    if len(set(items)) != len(items):
        raise FormatError(f"the {what} are not all different")


def _require_sorted(codes: list[str], what: str) -> None:
    if codes != sorted(codes):
        raise FormatError(f"the {what} are not sorted by code")
