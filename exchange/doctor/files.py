"""Checks of the directory itself: whose it is, its keys, its tokens."""

from __future__ import annotations

import os
import shlex
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path

from exchange.backup.contents import Role
from exchange.doctor.patient import Finding, Patient, ok, problem, warning
from exchange.keystore import read_secret
from keys.keyfile import KeyDescription, KeyKind, describe
from protocol.digest import certificate_id, signing_key_id
from protocol.documents import Role as KeyRole
from protocol.errors import KeyfileError

NEEDED = {
    Role.NODE: ("node.key", "witness.key", "vault.key", "opening.key", "tls.crt", "tls.key"),
    Role.COORDINATOR: ("statement.key", "log.key", "tls.crt", "tls.key"),
}


def directory_is_private(patient: Patient) -> Finding:
    """The data directory belongs to this user, and nobody else can read it."""
    try:
        status = patient.data.stat()
    except OSError as error:
        return problem(f"{patient.data} cannot be looked at: {error.strerror}", "Name it with --data DIR.")
    quoted = shlex.quote(str(patient.data))
    if status.st_uid != os.geteuid():
        return problem(
            f"{patient.data} belongs to another user", f"Run as its owner, or: chown -R USER {quoted}"
        )
    if status.st_mode & 0o077:
        mode = f"{stat.S_IMODE(status.st_mode):04o}"
        return problem(f"{patient.data} is open to others (mode {mode})", f"chmod 700 {quoted}")
    return ok(f"{patient.data} is this user's alone")


def place_is_complete(patient: Patient) -> Finding:
    """The directory was set up to its end, and pins a community."""
    owner = patient.owner
    return ok(f"the {owner.role} of {owner.party}, in the community {owner.root_hash.hex()[:16]}")


def settings_are_fit(patient: Patient) -> Finding:
    """Every setting is known and of its type."""
    patient.settings  # noqa: B018  (reading them is the check)
    return ok("the settings are fit")


def key_files_are_there(patient: Patient) -> Finding:
    """Every key that the service needs lies in its place."""
    needed = NEEDED[patient.owner.role]
    missing = [name for name in needed if not (patient.place.keys / name).exists()]
    if missing:
        return problem(
            f"missing in {patient.place.keys}: {', '.join(missing)}",
            "Restore them from a backup; a key that is lost for good has a runbook in deploy/runbooks.",
        )
    return ok(f"all {len(needed)} files of keys are there")


def key_files_are_private(patient: Patient) -> Finding:
    """Every secret file is this user's alone, and well formed."""
    count = 0
    for path in _secret_files(patient):
        # Raises with the command that repairs it.
        text = read_secret(path)
        if not path.name.startswith("tls"):
            describe(text)
        count += 1
    return ok(f"{count} secret files are this user's alone")


def key_files_are_protected(patient: Patient) -> Finding:
    """Whoever copies the disk cannot use the keys."""
    lying_open = [path.name for path, key in _keys(patient) if not key.protection.is_sealed]
    if lying_open:
        return warning(
            f"nothing protects {', '.join(lying_open)}: whoever copies the disk has them",
            "Fit for a trial only. For production set the place up with a passphrase or a token.",
        )
    return ok("the keys are protected where they lie")


def keys_are_those_published(patient: Patient) -> Finding:
    """The community knows the keys that lie here: the node key, the statement key, the certificate."""
    keys = {key.key_id: path for path, key in _keys(patient) if key.kind is KeyKind.SIGNING}
    if patient.is_node:
        manifest = patient.directory.documents.manifest(patient.owner.party)
        listed = () if manifest is None else manifest.keys
        known = any(entry.key_id in keys for entry in listed if entry.role is KeyRole.NODE)
        certificates = () if manifest is None else manifest.certificates
    else:
        entry = patient.directory.coordinator(patient.owner.party)
        known = signing_key_id(entry.key) in keys
        certificates = entry.certificates
    if not known:
        return problem(
            "no signing key that lies here is one that the community knows",
            "The files are of another place or time: restore the right backup, or see lost-node-key.md.",
        )
    mine = {_certificate(path) for path in patient.place.keys.glob("tls*.crt")}
    if not mine & {certificate_id(one) for one in certificates}:
        return problem(
            "the community knows another TLS certificate than those that lie here",
            "Restore the right backup.",
        )
    return ok("the community knows these keys")


def identity_key_is_away(patient: Patient) -> Finding:
    """The key that says who the state is lies on offline media, not on a machine with a network."""
    if not patient.is_node:
        return ok("a coordinator has no identity key")
    path = patient.place.keys / "identity.key"
    if path.exists():
        return warning(
            f"the state's identity key lies in {path}",
            "Copy it to two offline media, compare the copies, then remove it here: no node needs it.",
        )
    return ok("the identity key is not on this machine")


def tokens_are_handed_over(patient: Patient) -> Finding:
    """No token waits in clear on the disk."""
    waiting = sorted(path.name for path in patient.place.tokens.glob("*.token"))
    if waiting:
        return warning(
            f"tokens that wait to be handed over: {', '.join(waiting)}",
            f"Give each to its person or program, then delete it from {patient.place.tokens}.",
        )
    return ok("no token waits to be handed over")


def _secret_files(patient: Patient) -> Iterator[Path]:
    for folder in (patient.place.keys, patient.place.officers):
        yield from sorted(folder.glob("*.key"))


def _keys(patient: Patient) -> Iterator[tuple[Path, KeyDescription]]:
    for path in sorted(patient.place.keys.glob("*.key")):
        if not path.name.startswith("tls"):
            yield path, describe(read_secret(path))


def _certificate(path: Path) -> bytes:
    try:
        return certificate_id(ssl.PEM_cert_to_DER_cert(path.read_text("ascii")))
    except (OSError, ValueError) as error:
        raise KeyfileError(
            f"the TLS certificate {path} is damaged", hint="Restore it from backup."
        ) from error
