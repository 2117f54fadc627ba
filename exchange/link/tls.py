"""TLS 1.3 with exactly the pinned certificates, and who is at the other end.

Both contexts require a certificate and trust only the self-signed ones that the directory lists.
That alone is not enough: a trusted certificate could be used to issue others, and every member's
certificate is trusted by the coordinator. So after the handshake both sides compare the SHA-256
of the peer's own certificate with what the directory lists *for the party it claims to be*
(:mod:`exchange.link.handshake`).
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Collection
from pathlib import Path

from exchange.link.certificate import certificate_der
from protocol.digest import certificate_id
from protocol.errors import FormatError, KeyfileError, PeerNotPinned


class ServerContext(ssl.SSLContext):
    """A server's TLS context that knows which certificate it shows; each connection keeps its own.

    Attributes:
        own_certificate: SHA-256 of that certificate in DER.
    """

    own_certificate: bytes = b""


def server_context(
    certificate: Path, key: Path, pinned: Collection[bytes], *, optional: bool = False
) -> ServerContext:
    """Return the coordinator's TLS context.

    Args:
        certificate: The coordinator's certificate, a PEM file.
        key: Its private key, an unencrypted PEM file.
        pinned: The DER certificates of all members.
        optional: Whether a peer may come without a certificate; one that it shows must be pinned.

    Raises:
        KeyfileError: the certificate and its key cannot be loaded.
    """
    context = ServerContext(ssl.PROTOCOL_TLS_SERVER)
    _prepare(context, certificate, key, pinned)
    try:
        context.own_certificate = certificate_id(certificate_der(certificate.read_bytes()))
    except (OSError, FormatError) as error:
        raise KeyfileError(f"the TLS certificate {certificate} cannot be read: {error}") from error
    if optional:
        context.verify_mode = ssl.CERT_OPTIONAL
    # Without tickets there is no resumption: every connection shows its certificate afresh.
    context.num_tickets = 0
    return context


def client_context(certificate: Path, key: Path, pinned: Collection[bytes]) -> ssl.SSLContext:
    """Return a node's TLS context.

    Args:
        certificate: The node's certificate, a PEM file.
        key: Its private key, an unencrypted PEM file.
        pinned: The DER certificates of the one coordinator to connect to.

    Raises:
        KeyfileError: the certificate and its key cannot be loaded.
    """
    return _client(certificate, key, pinned)


def reader_context(pinned: Collection[bytes]) -> ssl.SSLContext:
    """Return the TLS context of somebody who shows no certificate, such as an auditor with a token.

    Args:
        pinned: The DER certificates of the one coordinator to connect to.
    """
    return _client(None, None, pinned)


def peer_certificate_id(transport: asyncio.BaseTransport | None) -> bytes:
    """Return SHA-256 of the certificate that the peer itself presented, in DER.

    Raises:
        PeerNotPinned: the connection is not TLS, is gone, or the peer presented none.
    """
    tls = None if transport is None else transport.get_extra_info("ssl_object")
    der = None if tls is None else tls.getpeercert(binary_form=True)
    if not der:
        raise PeerNotPinned("the peer presented no certificate")
    return certificate_id(der)


def own_certificate_id(transport: asyncio.BaseTransport | None) -> bytes:
    """Return SHA-256 of the certificate that this server showed on a connection, in DER.

    Raises:
        PeerNotPinned: the connection is gone, or is not TLS of this server.
    """
    tls = None if transport is None else transport.get_extra_info("ssl_object")
    context = None if tls is None else tls.context
    if not isinstance(context, ServerContext):
        raise PeerNotPinned("the connection ended before it was known with which certificate it began")
    return context.own_certificate


def _client(certificate: Path | None, key: Path | None, pinned: Collection[bytes]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _prepare(context, certificate, key, pinned)
    return context


def _prepare(
    context: ssl.SSLContext, certificate: Path | None, key: Path | None, pinned: Collection[bytes]
) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # the certificate is pinned whole; its name says nothing
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # a listed certificate is its own anchor
    try:
        if certificate is not None:
            context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise KeyfileError(
            f"the TLS certificate {certificate} and its key cannot be loaded: {error}",
            hint="Check both files, or make new ones and publish the certificate in the manifest.",
        ) from error
    for der in pinned:
        # What OpenSSL cannot read, nobody can present: leaving it out trusts nobody more, and
        # one member's broken entry must not shut out all the others.
        with contextlib.suppress(ValueError, ssl.SSLError):
            context.load_verify_locations(cadata=der)
