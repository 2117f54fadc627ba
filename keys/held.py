"""What is trusted at one moment: an immutable value that :mod:`keys.trust` replaces as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from protocol.digest import signing_key_id
from protocol.documents import (
    Directory,
    Document,
    PrekeyList,
    Publication,
    Root,
    SignedDocument,
    StateEntry,
    StateManifest,
)
from protocol.errors import VersionGap

D_co = TypeVar("D_co", bound=Document, covariant=True)


@dataclass(frozen=True, slots=True)
class Held(Generic[D_co]):
    """A trusted document, its 32-byte hash, and the id of the key that signed for its state.

    ``signed`` is the signed form of a manifest that carries more signatures than were asked for: one may be
    by the identity key that the next directory names.
    """

    document: D_co
    hash: bytes
    signer: bytes | None = None
    signed: SignedDocument | None = None


class Owner(NamedTuple):
    """What a key or certificate was first admitted as; it is never admitted as another."""

    party: str
    use: str


class Former(NamedTuple):
    """A coordinator's statement key that a directory has replaced: the key, and that directory's version."""

    public: bytes
    replaced_in: int


@dataclass(frozen=True, slots=True)
class Documents:
    """Everything trusted at one moment, immutable.

    ``owners``, ``former`` and ``revoked`` outlive the documents that named them: they remember every
    key ever admitted, every statement key that was replaced, and the first revocation of each key by its
    own state. ``suspended`` has, for each state that is suspended now, the directory version that did it.
    """

    root: Held[Root] | None = None
    directory: Held[Directory] | None = None
    manifests: Mapping[str, Held[StateManifest]] = field(default_factory=dict)
    prekeys: Mapping[str, Held[PrekeyList]] = field(default_factory=dict)
    publications: Mapping[tuple[str, str, str], Held[Publication]] = field(default_factory=dict)
    owners: Mapping[bytes, Owner] = field(default_factory=dict)
    former: Mapping[tuple[str, bytes], Former] = field(default_factory=dict)
    revoked: Mapping[tuple[str, bytes], int] = field(default_factory=dict)
    suspended: Mapping[str, int] = field(default_factory=dict)

    def trusted_root(self) -> Held[Root]:
        """Return the root, or raise VersionGap while there is none."""
        if self.root is None:
            raise VersionGap(
                "no root document is trusted yet", hint="Load the community file from its first document on."
            )
        return self.root

    def trusted_directory(self) -> Held[Directory]:
        """Return the directory, or raise VersionGap while there is none."""
        if self.directory is None:
            raise VersionGap(
                "no directory document is trusted yet", hint="Load the documents of the community in order."
            )
        return self.directory

    def compromised_ms(self, party: str, key_id: bytes) -> int | None:
        """Return since when governance confirms that a party's key was in foreign hands, if it does."""
        listed = self.directory.document.compromised if self.directory else ()
        return next((one.since_ms for one in listed if (one.party, one.key_id) == (party, key_id)), None)

    def withdrawn_ms(self, party: str, key_id: bytes) -> int | None:
        """Return from when on a key does not count, as its own state or governance says; None if neither.

        The state chooses its time alone. It bounds what that state says itself, such as its notices;
        what counts as evidence follows from the place in the ledger.
        """
        said = (self.revoked.get((party, key_id)), self.compromised_ms(party, key_id))
        return min((one for one in said if one is not None), default=None)

    def entry(self, code: str) -> StateEntry | None:
        """Return the directory's entry for a state, whatever its status."""
        listed = self.directory.document.states if self.directory else ()
        return next((entry for entry in listed if entry.code == code), None)

    def manifest(self, code: str) -> StateManifest | None:
        """Return a state's manifest if its present identity key signed it."""
        held, entry = self.manifests.get(code), self.entry(code)
        if held is None or entry is None or held.signer != signing_key_id(entry.identity):
            return None
        return held.document
