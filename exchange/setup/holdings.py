"""What a node holds, beside what the community is told of it: every key and certificate, and how it stands.

Nothing secret is opened: a key file says its id, and the manifest says what that id may do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from exchange.datadir import DataDir
from exchange.expiries import DAY_MS
from exchange.link.certificate import certificate_der, expires_ms
from exchange.node.key_files import key_files
from exchange.node.secrets import NODE, WITNESS
from exchange.setup import people
from exchange.setup.keyring import described
from keys.roster import Roster
from keys.trust import MAX_SKEW_MS
from protocol.digest import certificate_id, note_key_id
from protocol.documents import KeyEntry, Role, StateManifest
from protocol.errors import FormatError, KeyfileError

TLS = "tls"
DAILY = "daily keys"
MANIFEST = "manifest"


class Standing(StrEnum):
    """What the directory says of a key."""

    ACTIVE = "active"
    ANNOUNCED = "announced"
    ENDED = "ended"
    REVOKED = "revoked"
    UNLISTED = "unlisted"


@dataclass(frozen=True, slots=True)
class Holding:
    """One key, certificate or document.

    Attributes:
        role: ``node``, ``witness``, ``officer``, ``tls``, ``daily keys`` or ``manifest``.
        owner: Whose it is.
        id: In hexadecimal.
        public: The public half, if the manifest lists it.
        from_ms: From when it is used.
        until_ms: Until when it counts.
        standing: What the directory says of it.
        path: Where the secret half lies; None if it is not here.
        protection: How the file is protected.
    """

    role: str
    owner: str
    id: str
    public: bytes | None
    from_ms: int | None
    until_ms: int | None
    standing: Standing
    path: Path | None
    protection: str

    def is_over(self, now_ms: int) -> bool:
        """Whether nobody needs its file any more: by no clock that may be right does it still count."""
        ended = self.until_ms is not None and self.until_ms + MAX_SKEW_MS <= now_ms
        return self.standing is Standing.REVOKED or (self.standing is Standing.ENDED and ended)

    def days_left(self, now_ms: int) -> int | None:
        """Return how many whole days are left, or None if it does not end."""
        return None if self.until_ms is None else (self.until_ms - now_ms) // DAY_MS


def holdings(place: DataDir, state: str, roster: Roster, now_ms: int) -> tuple[Holding, ...]:
    """Return everything that is held here or listed for this state.

    Raises:
        KeyfileError: a file is damaged, or open to others.
    """
    manifest = roster.documents.manifest(state)
    found = [
        *_signing(place, state, manifest, roster, now_ms),
        *_certificates(place, state, manifest, now_ms),
    ]
    if manifest is not None:
        found.append(_witness(place, state, manifest))
        digest = roster.documents.manifests[state].hash.hex()
        ends_ms = manifest.expires_ms
        standing = Standing.ACTIVE if ends_ms > now_ms else Standing.ENDED
        found.append(
            Holding(MANIFEST, state, digest, None, manifest.issued_ms, ends_ms, standing, None, "signed")
        )
    return (*found, *_daily(state, roster, now_ms))


def may_sign(place: DataDir, state: str, roster: Roster, now_ms: int) -> bool:
    """Whether a node key that lies here may sign now; no other file is looked at.

    Raises:
        KeyfileError: a node key's file is damaged, or open to others.
    """
    manifest = roster.documents.manifest(state)
    here = {described(path).key_id for path in key_files(place.keys, NODE) if path.exists()}
    return any(
        entry.key_id in here
        and entry.role is Role.NODE
        and _standing(entry, roster.documents.revoked.get((state, entry.key_id)), now_ms) is Standing.ACTIVE
        for entry in (() if manifest is None else manifest.keys)
    )


def _signing(
    place: DataDir, state: str, manifest: StateManifest | None, roster: Roster, now_ms: int
) -> Iterator[Holding]:
    files = {described(path).key_id: path for path in key_files(place.keys, NODE) if path.exists()}
    files |= {one.description.key_id: one.path for one in people.officers(place)}
    for entry in () if manifest is None else manifest.keys:
        path = files.pop(entry.key_id, None)
        standing = _standing(entry, roster.documents.revoked.get((state, entry.key_id)), now_ms)
        yield Holding(
            entry.role.value,
            entry.owner,
            entry.key_id.hex(),
            entry.key,
            entry.from_ms + MAX_SKEW_MS,
            entry.until_ms,
            standing,
            path,
            "" if path is None else described(path).protection.word,
        )
    for key_id, path in files.items():
        known = described(path)
        word = known.protection.word
        yield Holding(known.role, known.name, key_id.hex(), None, None, None, Standing.UNLISTED, path, word)


def _standing(entry: KeyEntry, revoked_ms: int | None, now_ms: int) -> Standing:
    if revoked_ms is not None and revoked_ms <= now_ms:
        return Standing.REVOKED
    if entry.until_ms <= now_ms:
        return Standing.ENDED
    return Standing.ACTIVE if entry.from_ms + MAX_SKEW_MS <= now_ms else Standing.ANNOUNCED


def _certificates(
    place: DataDir, state: str, manifest: StateManifest | None, now_ms: int
) -> Iterator[Holding]:
    files: dict[bytes, Path] = {}
    for path in key_files(place.keys, TLS, ".crt"):
        if path.exists() and path.with_suffix(".key").exists():
            files[_der(path)] = path
    listed = () if manifest is None else manifest.certificates
    for der in (*listed, *(one for one in files if one not in listed)):
        try:
            until_ms = expires_ms(der)
        except FormatError:
            until_ms = 0
        standing = Standing.ACTIVE if until_ms > now_ms else Standing.ENDED
        if der not in listed:
            standing = Standing.UNLISTED
        name = certificate_id(der).hex()
        yield Holding(TLS, state, name, der, None, until_ms, standing, files.get(der), "none")


def _der(path: Path) -> bytes:
    try:
        return certificate_der(path.read_bytes())
    except (OSError, FormatError) as error:
        raise KeyfileError(
            f"the TLS certificate {path} cannot be read", hint="Restore it from backup."
        ) from error


def _witness(place: DataDir, state: str, manifest: StateManifest) -> Holding:
    # Its file does not say which public key it holds: the newest is the one that was listed last.
    newest = [path for path in key_files(place.keys, WITNESS) if path.exists()]
    path = newest[-1] if newest else None
    return Holding(
        WITNESS,
        state,
        note_key_id(manifest.witness.ed25519).hex(),
        manifest.witness.ed25519 + manifest.witness.mldsa44,
        None,
        None,
        Standing.ACTIVE,
        path,
        "" if path is None else described(path).protection.word,
    )


def _daily(state: str, roster: Roster, now_ms: int) -> Iterator[Holding]:
    held = roster.documents.prekeys.get(state)
    if held is None:
        return
    last, first = held.document.keys[-1], held.document.keys[0]
    standing = Standing.ACTIVE if last.use_until_ms > now_ms else Standing.ENDED
    if held.signer is not None and (state, held.signer) in roster.documents.revoked:
        standing = Standing.REVOKED
    yield Holding(
        DAILY,
        f"list {held.document.version}",
        held.hash.hex(),
        None,
        first.use_from_ms,
        last.use_until_ms,
        standing,
        None,
        "in the node's store",
    )
