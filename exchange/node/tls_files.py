"""Where a node's TLS certificates and keys lie, and which of them is shown at the next connection."""

from __future__ import annotations

import ssl
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from exchange.link.certificate import expires_ms
from exchange.node.key_files import key_files
from protocol.digest import certificate_id
from protocol.errors import FormatError, KeyfileError


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """A certificate in PEM, its private key in PEM, and the certificate in DER."""

    certificate: Path
    key: Path
    der: bytes

    @property
    def id(self) -> bytes:
        """SHA-256 of the certificate, under which peers know it."""
        return certificate_id(self.der)


class Certificates:
    """The certificates in a folder; looked at anew for every connection, so that a new one needs no restart.

    Args:
        folder: Where ``tls.crt`` and ``tls.key`` lie, and beside them ``tls-2.crt``...

    Raises:
        KeyfileError: the first certificate cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        read_tls_files(*_pair(folder / "tls.crt"))

    def held(self) -> tuple[TlsFiles, ...]:
        """Return those that can be read and have their key beside them, oldest first."""
        found: list[TlsFiles] = []
        for path in key_files(self._folder, "tls", ".crt"):
            if not path.with_suffix(".key").exists():
                continue
            try:
                found.append(read_tls_files(*_pair(path)))
            except KeyfileError:
                # The others still open a session; key check names the file.
                continue
        return tuple(found)

    def to_show(self, listed: Collection[bytes], now_ms: int) -> tuple[TlsFiles, ...]:
        """Return the certificates to try, best first.

        Args:
            listed: Those that the coordinator knows, in DER.
            now_ms: The time now, milliseconds UTC.

        Raises:
            KeyfileError: none can be read.
        """
        newest_first = tuple(reversed(self.held()))
        if not newest_first:
            raise KeyfileError(
                f"no TLS certificate in {self._folder} can be read",
                hint="Restore it from backup, or make a new one with: almenara key rotate tls --data DIR "
                "--identity FILE",
            )
        good = [one for one in newest_first if one.der in listed and not _ended(one.der, now_ms)]
        # This clock may be the wrong one: without a good one, each is tried.
        return tuple(good) or newest_first


def read_tls_files(certificate: Path, key: Path) -> TlsFiles:
    """Return the files with the certificate itself.

    Raises:
        KeyfileError: the certificate cannot be read.
    """
    try:
        der = ssl.PEM_cert_to_DER_cert(certificate.read_text(encoding="ascii"))
    except (OSError, ValueError) as error:
        raise KeyfileError(f"the TLS certificate {certificate} cannot be read: {error}") from error
    return TlsFiles(certificate=certificate, key=key, der=der)


def _pair(certificate: Path) -> tuple[Path, Path]:
    return certificate, certificate.with_suffix(".key")


def _ended(der: bytes, now_ms: int) -> bool:
    try:
        return expires_ms(der) <= now_ms
    except FormatError:
        return True
