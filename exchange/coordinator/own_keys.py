"""The coordinator's own keys: which statement key signs, and which certificate is shown.

What the directory lists decides, and nothing else. A statement key that the directory replaces is
used on towards nodes that have not seen that directory yet, so that they can come in and fetch it.
Of several listed certificates the first one that is held is shown: a new one is listed behind the
old one until every member has seen it, and then alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from exchange.keystore import read_secret
from exchange.link.certificate import certificate_der
from keys.keyfile import KeyKind, ProtectionProvider, parse_secret
from keys.roster import Roster
from keys.signer import Signer
from protocol.digest import signing_key_id
from protocol.documents import CoordinatorEntry, Role
from protocol.errors import FormatError, KeyfileError, SetupError
from protocol.notice import DirectoryHead


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """A TLS certificate and its private key, as files in PEM, and the certificate in DER."""

    certificate: Path
    key: Path
    der: bytes


class OwnKeys:
    """Chooses by the directory of now. Everything that signs or listens asks here each time.

    Args:
        roster: The trusted documents.
        code: The coordinator's code.
        signers: The statement keys that are held.
        certificates: Returns the certificates that are held; a new one may be laid beside them at any
            time.
    """

    def __init__(
        self,
        roster: Roster,
        code: str,
        signers: Sequence[Signer],
        certificates: Callable[[], Sequence[CertificateFiles]],
    ) -> None:
        self.code = code
        self._roster = roster
        self._signers = {signer.key_id: signer for signer in signers}
        self._certificates = certificates

    def signer(self) -> Signer:
        """Return the statement key that the directory lists.

        Raises:
            SetupError: it is not held; nobody would believe any other.
        """
        listed = signing_key_id(self._entry().key)
        if listed not in self._signers:
            raise SetupError(
                f"the directory lists the statement key {listed.hex()[:16]} for {self.code}, "
                "which is not among keys/statement*.key",
                hint="Restore that key file, or have governance list a key that is here: "
                "almenara coordinator rotate statement-key --data DIR",
            )
        return self._signers[listed]

    def signer_known_to(self, head: DirectoryHead) -> Signer:
        """Return the statement key that a node with this directory expects; else the one of now.

        Raises:
            SetupError: as :meth:`signer`.
        """
        replaced = [
            (former.replaced_in, key_id)
            for (code, key_id), former in self._roster.documents.former.items()
            if code == self.code and head.version < former.replaced_in and key_id in self._signers
        ]
        return self._signers[min(replaced)[1]] if replaced else self.signer()

    def certificate(self) -> CertificateFiles:
        """Return the first listed certificate that is held.

        Raises:
            SetupError: none is; every node would refuse the connection.
            KeyfileError: one cannot be read.
        """
        held = {files.der: files for files in self._certificates()}
        for der in self._entry().certificates:
            if der in held:
                return held[der]
        raise SetupError(
            f"the directory lists no certificate for {self.code} that is among keys/tls*.crt",
            hint="Restore the certificate and its key from backup, or have governance list one that is here: "
            "almenara coordinator rotate certificate --data DIR",
        )

    def _entry(self) -> CoordinatorEntry:
        return self._roster.coordinator(self.code)


def read_signers(folder: Path, provider: ProtectionProvider) -> tuple[Signer, ...]:
    """Return the statement keys of a folder, ``statement.key`` and ``statement-2.key`` and so on.

    Raises:
        KeyfileError: there is none, or one cannot be used from where it lies, or does not open.
        SetupError: one is a key for something else.
    """
    paths = sorted(folder.glob("statement*.key"))
    if not paths:
        raise KeyfileError(
            f"there is no {folder / 'statement.key'}",
            hint="Restore keys/statement.key from backup. Do not make a new one with init.",
        )
    return tuple(read_signer(path, provider) for path in paths)


def read_signer(path: Path, provider: ProtectionProvider) -> Signer:
    """Return one statement key.

    Raises:
        KeyfileError: it cannot be used from where it lies, or does not open.
        SetupError: it is a key for something else.
    """
    record = parse_secret(read_secret(path), provider)
    if record.kind is not KeyKind.SIGNING or record.role != Role.COORDINATOR.value:
        raise SetupError(f"{path} is a {record.role} key, not a coordinator's statement key")
    return Signer(record.signing_key, Role.COORDINATOR)


def read_certificates(folder: Path) -> tuple[CertificateFiles, ...]:
    """Return the certificates of a folder, ``tls.crt`` and ``tls-2.crt`` and so on, that have their keys.

    Raises:
        KeyfileError: one cannot be read.
    """
    found: list[CertificateFiles] = []
    for path in sorted(folder.glob("tls*.crt")):
        try:
            der = certificate_der(path.read_bytes())
        except (OSError, FormatError) as error:
            raise KeyfileError(f"the TLS certificate {path} cannot be read: {error}") from error
        key = path.with_suffix(".key")
        if key.exists():
            found.append(CertificateFiles(path, key, der))
    return tuple(found)
