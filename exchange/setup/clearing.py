"""After a rotation: old certificates leave the manifest, and files of keys that are over are deleted.

Nothing is deleted that could still be needed: only what the manifest that the coordinator has
accepted does not list any more, or lists as ended or revoked, and never the last file of a kind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from exchange.datadir import DataDir
from exchange.keystore import read_secret, sync_folder, write_secret
from exchange.link.certificate import certificate_der, expires_ms
from exchange.node.key_files import key_files
from exchange.node.secrets import NODE, WITNESS, unlock_witness
from exchange.node.signing import ROTATE
from exchange.passphrases import PassphraseSource
from exchange.setup import people
from exchange.setup.amending import Amendment
from exchange.setup.files import write_file
from exchange.setup.keyring import described
from keys.trust import MAX_SKEW_MS
from protocol.documents import StateManifest
from protocol.errors import BadRequest, FormatError
from protocol.text import format_utc


@dataclass(frozen=True, slots=True)
class Cleared:
    """What was done: the files that are gone, sentences about those that stay, a new manifest's version."""

    deleted: tuple[Path, ...]
    staying: tuple[str, ...]
    version: int | None


async def clear(amendment: Amendment, passphrase: PassphraseSource) -> Cleared:
    """Delete the files of keys that are over, and list only the newest TLS certificate.

    Args:
        amendment: The node.
        passphrase: Opens the node's witness keys, whose files do not tell which is listed.

    Raises:
        BadRequest: the coordinator has not accepted the newest manifest yet.
        KeyfileError: a file cannot be read; what was deleted before stays deleted.
        TrustError: the node's own rules refuse the manifest.
    """
    if not amendment.handed_over:
        raise BadRequest(
            "the coordinator has not accepted the newest documents of this state yet",
            hint="Let the node reach its coordinator, then repeat. See why it has not: almenara key check "
            "--data DIR",
        )
    manifest, keys = amendment.held.document, amendment.place.keys
    ended = _ended(manifest, amendment.now_ms)
    nodes = _sort(key_files(keys, NODE), lambda path: described(path).key_id in ended)
    witness = manifest.witness.ed25519
    witnesses = _sort(
        key_files(keys, WITNESS), lambda path: unlock_witness(path, passphrase).ed25519 != witness
    )
    certificates = _sort(
        key_files(keys, "tls", ".crt"), lambda path: _is_over(path, manifest, amendment.now_ms)
    )
    # Before anything is deleted: what stays may take over the name of what goes, and is named by that.
    staying = [
        _why(path, _name_after(path, nodes, keys / "node.key"), manifest, ended)
        for path in _told(nodes, ended)
    ]
    deleted = [
        *_delete(nodes, keys / "node.key"),
        *_delete(witnesses, keys / "witness.key"),
        *_delete_pairs(certificates, keys / "tls.crt"),
    ]
    for officer in _replaced_officers(amendment.place, ended):
        people.forget(amendment.place, officer)
        deleted.append(officer.path)
    version = await _list_newest_certificate(amendment, staying)
    return Cleared(tuple(deleted), tuple(staying), version)


@dataclass(frozen=True, slots=True)
class _Sorted:
    go: tuple[Path, ...]
    stay: tuple[Path, ...]


def _sort(paths: Sequence[Path], is_over: Callable[[Path], bool]) -> _Sorted:
    over = tuple(path for path in paths if is_over(path))
    stay = tuple(path for path in paths if path not in over)
    # The last file of a kind is never deleted, whatever the clock or the manifest says.
    return _Sorted(over, stay) if stay else _Sorted((), tuple(paths))


def _delete(files: _Sorted, first: Path) -> tuple[Path, ...]:
    """Delete what is over; the first name goes on, for the oldest file that stays."""
    for path in files.go:
        if path != first:
            path.unlink()
    if first in files.go:
        files.stay[0].replace(first)
    sync_folder(first.parent)
    return files.go


def _delete_pairs(files: _Sorted, first: Path) -> tuple[Path, ...]:
    """Do so with certificates and their keys; at every moment one pair that fits is there."""
    gone = [path for path in files.go if path != first]
    if first in files.go:
        stays = files.stay[0]
        write_secret(_key_of(first), read_secret(_key_of(stays)), replace=True)
        write_file(first, stays.read_bytes())
        gone.append(stays)
    for path in gone:
        path.unlink()
        _key_of(path).unlink(missing_ok=True)
    return files.go


def _key_of(certificate: Path) -> Path:
    return certificate.with_suffix(".key")


def _ended(manifest: StateManifest, now_ms: int) -> frozenset[bytes]:
    over = [key.key_id for key in manifest.keys if key.until_ms + MAX_SKEW_MS <= now_ms]
    return frozenset([*over, *(item.key_id for item in manifest.revoked if item.at_ms <= now_ms)])


def _replaced_officers(place: DataDir, ended: frozenset[bytes]) -> list[people.OfficerKey]:
    """Return the ended keys of officers who have another one."""
    held = tuple(people.officers(place))
    able = {one.name for one in held if one.description.key_id not in ended}
    return [one for one in held if one.description.key_id in ended and one.name in able]


def _is_over(path: Path, manifest: StateManifest, now_ms: int) -> bool:
    der = certificate_der(path.read_bytes())
    return der not in manifest.certificates or expires_ms(der) <= now_ms


def _told(files: _Sorted, ended: frozenset[bytes]) -> tuple[Path, ...]:
    """Return the files of which people must know why they stay: not the newest, unless it is over too."""
    if not files.stay:
        return ()
    newest_is_over = described(files.stay[-1]).key_id in ended
    return files.stay if newest_is_over else files.stay[:-1]


def _name_after(path: Path, files: _Sorted, first: Path) -> Path:
    """Return what a file that stays is called when the others are gone."""
    return first if first in files.go and path == files.stay[0] else path


def _why(path: Path, name: Path, manifest: StateManifest, ended: frozenset[bytes]) -> str:
    """Return why a file stays: read from where it lies now, said of the name that it will have."""
    key_id = described(path).key_id
    if key_id in ended:
        why = "although its key is over: it is the only one here. Make the next one first"
        return f"{name} stays, {why}: {ROTATE}"
    for key in manifest.keys:
        if key.key_id == key_id:
            return f"{name} stays: its key counts until {format_utc(key.until_ms + MAX_SKEW_MS)}"
    return f"{name} stays: no manifest lists its key; delete it by hand if nobody needs it"


async def _list_newest_certificate(amendment: Amendment, staying: list[str]) -> int | None:
    """Publish a manifest without the older certificates, if there are any; their files go the next time."""
    present = amendment.held.document
    if len(present.certificates) == 1:
        return None
    newest = max(present.certificates, key=_expiry)
    manifest = await amendment.publish_manifest(present.keys, present.revoked, certificates=[newest])
    staying.append(
        f"manifest version {manifest.version} lists the newest TLS certificate only: repeat this command "
        "when the coordinator has it, to delete the files of the older ones"
    )
    return manifest.version


def _expiry(der: bytes) -> int:
    try:
        return expires_ms(der)
    except FormatError:
        return 0
