"""A state's keys rotated with an overlap: the next is listed before its use, the old one goes on counting.

Nobody has to switch at the same moment as anybody else. The manifest lists both keys with their
windows; who signs chooses the newest whose window has begun, who verifies takes either.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from msgspec import structs

from exchange.keystore import write_secret
from exchange.link.certificate import expires_ms, make_certificate
from exchange.node.key_files import next_key_file
from exchange.node.secrets import NODE, WITNESS
from exchange.node.tokens import TokenRole
from exchange.setup import people
from exchange.setup.amending import Amendment
from exchange.setup.files import write_file
from exchange.setup.holdings import may_sign
from exchange.setup.keyring import Protect, new_note_secret, new_signer
from exchange.setup.node import CERTIFICATE_LIFE_MS, KEY_LIFE_MS
from exchange.setup.words import DAY_MS
from keys.enrolment import key_entry
from keys.note_keys import NoteRole
from keys.signer import Signer
from keys.trust import MAX_SKEW_MS
from protocol.digest import note_key_id
from protocol.documents import KeyEntry, Role, StateManifest
from protocol.errors import BadRequest, FormatError, TrustError
from protocol.notice import MAX_LIFE_MS
from protocol.text import format_utc

ANNOUNCE_DAYS = 7
"""How long before its use a key is listed."""
OVERLAP_DAYS = 30
"""How long the old key counts beside the new one."""
LEAST_OVERLAP_MS = MAX_LIFE_MS + DAY_MS
"""What was signed with the old key may wait for its coordinator for a notice's longest life."""
LISTED_AFTER_MS = 90 * DAY_MS
"""How long an ended key stays listed: what it signed may still be on its way to a state that was away."""
MOST_CERTIFICATES = 4


@dataclass(frozen=True, slots=True)
class Windows:
    """When the new key is used from, and how long the old one counts beside it; milliseconds.

    Nothing said about the announcement means a week, or none where the node could sign nothing meanwhile.
    """

    announce_ms: int | None = None
    overlap_ms: int = OVERLAP_DAYS * DAY_MS

    def require_possible(self) -> None:
        """Raise BadRequest if what the old key signed could come too late to count."""
        if self.overlap_ms < LEAST_OVERLAP_MS:
            raise BadRequest(
                f"an overlap of {self.overlap_ms // DAY_MS} days is too short: a notice may wait "
                f"{MAX_LIFE_MS // DAY_MS} days for its coordinator",
                hint=f"Give --overlap {LEAST_OVERLAP_MS // DAY_MS} or more. To end a key at once, not in "
                "days: "
                "almenara key revoke --help",
            )
        if self.announce_ms is not None and not 0 <= self.announce_ms <= KEY_LIFE_MS:
            raise BadRequest("a key is announced at most a year ahead", hint="Give fewer days.")

    def ahead_ms(self, *, silent: bool) -> int:
        """Return how long ahead the key is announced.

        Args:
            silent: Whether nothing can be signed until it is in use.

        Raises:
            BadRequest: the node would be silent for as long as was asked for.
        """
        if not silent:
            return ANNOUNCE_DAYS * DAY_MS if self.announce_ms is None else self.announce_ms
        if self.announce_ms:
            raise BadRequest(
                "no node key that lies here may sign now: announced ahead, the new one would leave the node "
                f"silent for {self.announce_ms // DAY_MS} days",
                hint="Leave --announce out: the new key is used as soon as the coordinator knows it.",
            )
        return 0


@dataclass(frozen=True, slots=True)
class Rotated:
    """What was made.

    Attributes:
        what: ``node``, ``witness``, ``tls``, ``officer`` or ``manifest``.
        key: The id of the new key or certificate, in hexadecimal; empty for a manifest alone.
        files: The new files; for an officer, the token to hand over.
        from_ms: From when the new one is used.
        old_until_ms: Until when the old one counts, or None if it is replaced as a whole.
        version: The version of the manifest that lists it.
        until_ms: How long the new one counts.
        by_file: Whether the coordinator lets the node in by no key that it has, so that the manifest reaches
            it as a file only.
    """

    what: str
    key: str
    files: tuple[Path, ...]
    from_ms: int
    old_until_ms: int | None
    version: int
    until_ms: int
    by_file: bool = False


async def rotate_node(amendment: Amendment, protect: Protect, windows: Windows) -> Rotated:
    """Make the next node key, and list it with its window.

    Raises:
        BadRequest: a next key is announced already, or the windows do not fit.
        KeyfileError: the file cannot be written.
        TrustError, FormatError: the node's own rules refuse the manifest; nothing is changed.
    """
    windows.require_possible()
    place, state = amendment.place, amendment.state
    silent = not may_sign(place, state, amendment.directory, amendment.now_ms)
    windows = replace(windows, announce_ms=windows.ahead_ms(silent=silent))
    _require_none_announced(amendment, Role.NODE, f"node of {amendment.state}")
    path = next_key_file(amendment.place.keys, NODE)
    fresh = new_signer(path, f"{amendment.state} node", Role.NODE, protect(), amendment.now_ms)
    entry, keys, until_ms = _with_next(amendment, fresh, f"node of {amendment.state}", windows)
    manifest = await _published(amendment, keys, undo=path.unlink)
    made = _rotated("node", entry, (path,), until_ms, manifest)
    return replace(made, by_file=silent)


async def rotate_officer(amendment: Amendment, name: str, windows: Windows) -> Rotated:
    """Make an officer's next key and token; the old ones work until the overlap ends.

    Raises:
        NotFound: there is no such officer.
        BadRequest, KeyfileError, TrustError, FormatError: as :func:`rotate_node`.
    """
    windows.require_possible()
    windows = replace(windows, announce_ms=windows.announce_ms or 0)
    place = amendment.place
    officer = people.officer_named(place, name)
    _require_none_announced(amendment, Role.OFFICER, officer.name)
    _require_one(amendment, officer.name)
    identity = people.new_identity(TokenRole.OFFICER, officer.name)
    fresh = people.new_officer_key(place, identity, amendment.now_ms)
    entry, keys, until_ms = _with_next(amendment, fresh, officer.name, windows)
    token = people.grant(place, identity, people.next_token_path(place, identity))
    made = people.officer_named(place, officer.name)
    manifest = await _published(amendment, keys, undo=lambda: people.forget(place, made))
    return _rotated("officer", entry, (token,), until_ms, manifest)


async def rotate_witness(amendment: Amendment, protect: Protect) -> Rotated:
    """Make the next witness keys. The node cosigns with them once the coordinator has the manifest.

    A checkpoint that the old keys cosigned stays proved: it is judged by the documents of its place.

    Raises:
        KeyfileError, TrustError, FormatError: as :func:`rotate_node`.
    """
    present, now_ms, state = amendment.held.document, amendment.now_ms, amendment.state
    path = next_key_file(amendment.place.keys, WITNESS)
    secret = new_note_secret(path, f"{state} witness", NoteRole.WITNESS, protect(), now_ms)
    witness = secret.keys(present.witness.name, state, NoteRole.WITNESS, amendment.directory.community)
    try:
        manifest = await amendment.publish_manifest(_listed(amendment), present.revoked, witness=witness)
    except (TrustError, FormatError):
        path.unlink()
        raise
    key = note_key_id(witness.ed25519).hex()
    return Rotated("witness", key, (path,), now_ms, None, manifest.version, manifest.expires_ms)


async def rotate_tls(amendment: Amendment) -> Rotated:
    """Make the next TLS certificate, listed beside the old one and shown from the next connection on.

    Raises:
        KeyfileError, SetupError, TrustError, FormatError: as :func:`rotate_node`.
    """
    present, now_ms = amendment.held.document, amendment.now_ms
    made = make_certificate(amendment.state, now_ms, CERTIFICATE_LIFE_MS)
    certificate = next_key_file(amendment.place.keys, "tls", ".crt")
    key = certificate.with_suffix(".key")
    write_secret(key, made.key_pem.decode("ascii"))
    # Last: the node looks for certificates, and finds this one only with its key.
    write_file(certificate, made.pem)
    kept = [der for der in present.certificates if expires_ms(der) > now_ms][-(MOST_CERTIFICATES - 1) :]
    try:
        manifest = await amendment.publish_manifest(
            _listed(amendment), present.revoked, certificates=[*kept, made.der]
        )
    except (TrustError, FormatError):
        certificate.unlink()
        key.unlink()
        raise
    until_ms = max((expires_ms(der) for der in kept), default=now_ms)
    ends_ms = expires_ms(made.der)
    return Rotated("tls", made.id.hex(), (certificate, key), now_ms, until_ms, manifest.version, ends_ms)


async def renew_manifest(amendment: Amendment) -> Rotated:
    """Sign the present manifest anew for another year; no key changes.

    Raises:
        TrustError: as :func:`rotate_node`.
    """
    manifest = await amendment.publish_manifest(_listed(amendment), amendment.held.document.revoked)
    return Rotated("manifest", "", (), amendment.now_ms, None, manifest.version, manifest.expires_ms)


def _with_next(
    amendment: Amendment, fresh: Signer, owner: str, windows: Windows
) -> tuple[KeyEntry, list[KeyEntry], int | None]:
    """Return a new key's entry, all keys of the next manifest, and when the old one ends, if it counts."""
    use_from_ms = amendment.now_ms + (windows.announce_ms or 0)
    until_ms = use_from_ms + windows.overlap_ms
    entry = key_entry(
        fresh,
        state=amendment.state,
        community=amendment.directory.community,
        owner=owner,
        # Others' clocks may be a little behind this one; this node waits for as long.
        from_ms=use_from_ms - MAX_SKEW_MS,
        until_ms=use_from_ms + KEY_LIFE_MS,
    )
    listed = _listed(amendment)
    counting = {key.key_id for key in _counting(amendment, fresh.role, owner)}
    keys = [structs.replace(key, until_ms=until_ms) if key.key_id in counting else key for key in listed]
    return entry, [*keys, entry], until_ms if counting else None


def _counting(amendment: Amendment, role: Role, owner: str) -> list[KeyEntry]:
    """Return the listed keys of this kind that count, now or later: neither ended nor revoked."""
    manifest = amendment.held.document
    revoked = {item.key_id for item in manifest.revoked}
    return [
        key
        for key in manifest.keys
        if (key.role, key.owner) == (role, owner)
        and key.until_ms > amendment.now_ms
        and key.key_id not in revoked
    ]


def _listed(amendment: Amendment) -> list[KeyEntry]:
    """Return the keys to list further: all but those that ended long ago."""
    oldest_ms = amendment.now_ms - LISTED_AFTER_MS
    return [key for key in amendment.held.document.keys if key.until_ms > oldest_ms]


def _require_none_announced(amendment: Amendment, role: Role, owner: str) -> None:
    for key in _counting(amendment, role, owner):
        begins_ms = key.from_ms + MAX_SKEW_MS
        if begins_ms > amendment.now_ms:
            raise BadRequest(
                f"the next {role} key {key.key_id.hex()[:16]} is announced for {format_utc(begins_ms)}",
                hint="Wait until it is in use. If you need one sooner, or it was made by mistake, withdraw "
                "it "
                f"and repeat this: {_ending(amendment, key)}",
            )


def _require_one(amendment: Amendment, owner: str) -> None:
    """Refuse a third key of an officer: a token that works and that nobody knows of is as good as stolen."""
    counting = _counting(amendment, Role.OFFICER, owner)
    if len(counting) > 1:
        older, newer = counting[0], counting[-1]
        raise BadRequest(
            f"{owner} has {len(counting)} keys that count: {newer.key_id.hex()[:16]} is the newest, and "
            f"{older.key_id.hex()[:16]} counts until {format_utc(older.until_ms)}",
            hint="Use the newest one's token. If that was lost, end its key and repeat this: "
            f"{_ending(amendment, newer, reason='lost')}",
        )


def _ending(amendment: Amendment, key: KeyEntry, reason: str = "retired") -> str:
    """Return the command that ends a key now."""
    return (
        f"almenara key revoke {key.key_id.hex()[:16]} --since {format_utc(amendment.now_ms)} --reason "
        f"{reason} "
        "--data DIR --identity FILE"
    )


async def _published(
    amendment: Amendment, keys: Sequence[KeyEntry], undo: Callable[[], object]
) -> StateManifest:
    try:
        return await amendment.publish_manifest(keys, amendment.held.document.revoked)
    except (TrustError, FormatError):
        # Nothing was published, so what was made for it is of no use to anybody.
        undo()
        raise


def _rotated(
    what: str, entry: KeyEntry, files: tuple[Path, ...], old_until_ms: int | None, manifest: StateManifest
) -> Rotated:
    return Rotated(
        what,
        entry.key_id.hex(),
        files,
        entry.from_ms + MAX_SKEW_MS,
        old_until_ms,
        manifest.version,
        entry.until_ms,
    )
