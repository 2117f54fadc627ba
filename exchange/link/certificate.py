"""A party's TLS certificate: self-signed, named for people only, pinned whole in the directory.

ECDSA on P-256, because every TLS 1.3 implementation must support it, while Ed25519 certificates
are still refused by some proxies and hardware. Nothing else rests on it: who the peer is, is
proven by the composite signature of the session's hello.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from protocol.digest import certificate_id
from protocol.errors import FormatError

BACKDATED_MS = 24 * 3600 * 1000
"""A certificate is valid from a day before it was made, for peers whose clock is behind."""


@dataclass(frozen=True)
class Certificate:
    """A certificate with its private key, as PEM text for files and DER for the directory."""

    pem: bytes
    der: bytes
    key_pem: bytes = field(repr=False)

    @property
    def id(self) -> bytes:
        """SHA-256 of the DER, by which the session's transcript names it."""
        return certificate_id(self.der)


def make_certificate(name: str, now_ms: int, life_ms: int) -> Certificate:
    """Return a new self-signed certificate with a new private key.

    Args:
        name: Whose it is, for people who look at it; at most 64 characters.
        now_ms: The time of day, milliseconds UTC.
        life_ms: How long it may be used, milliseconds.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_date(now_ms - BACKDATED_MS))
        .not_valid_after(_date(now_ms + life_ms))
        # Trusted as itself, never as an issuer of others.
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Certificate(
        pem=certificate.public_bytes(serialization.Encoding.PEM),
        der=certificate.public_bytes(serialization.Encoding.DER),
        key_pem=key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )


def certificate_der(pem: bytes) -> bytes:
    """Return the DER of the one certificate in a PEM text.

    Raises:
        FormatError: it holds none, or more than one.
    """
    try:
        found = x509.load_pem_x509_certificates(pem)
    except (ValueError, x509.InvalidVersion) as error:
        raise FormatError("the text holds no certificate") from error
    if len(found) != 1:
        raise FormatError(f"the text holds {len(found)} certificates; one is expected")
    return found[0].public_bytes(serialization.Encoding.DER)


def expires_ms(der: bytes) -> int:
    """Return the last moment at which TLS accepts this certificate, milliseconds UTC.

    Raises:
        FormatError: the bytes are not a certificate.
    """
    try:
        until = x509.load_der_x509_certificate(der).not_valid_after_utc
    except Exception as error:
        # Anybody's bytes, and a parser whose exceptions have no common base: none of them may end a service.
        raise FormatError("the bytes are not a certificate") from error
    return int(until.timestamp()) * 1000


def _date(time_ms: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(time_ms // 1000, tz=datetime.UTC)
