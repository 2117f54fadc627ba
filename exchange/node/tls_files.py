"""Where a node's TLS certificate and key lie, and the hash under which peers know it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from protocol.digest import certificate_id
from protocol.errors import KeyfileError


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """A certificate in PEM, its private key in PEM, and SHA-256 of the certificate in DER."""

    certificate: Path
    key: Path
    id: bytes


def read_tls_files(certificate: Path, key: Path) -> TlsFiles:
    """Return the files with the certificate's hash.

    Raises:
        KeyfileError: the certificate cannot be read.
    """
    try:
        der = ssl.PEM_cert_to_DER_cert(certificate.read_text(encoding="ascii"))
    except (OSError, ValueError) as error:
        raise KeyfileError(f"the TLS certificate {certificate} cannot be read: {error}") from error
    return TlsFiles(certificate=certificate, key=key, id=certificate_id(der))
