"""TLS certificates: self-signed, pinned whole."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography import x509

from exchange.link.certificate import BACKDATED_MS, certificate_der, expires_ms, make_certificate
from exchange.link.tls import peer_certificate_id, server_context
from protocol.errors import FormatError, KeyfileError, PeerNotPinned
from tests.clocks import DAWN

YEAR_MS = 365 * 24 * 3600 * 1000
MADE = make_certificate("XAA node", DAWN, YEAR_MS)


def test_a_certificate_fits_the_directory_many_times() -> None:
    """A listed certificate may have 2048 bytes; ours is far smaller."""
    assert len(MADE.der) < 400


def test_a_certificate_may_not_issue_others() -> None:
    """It is trusted as itself only."""
    constraints = x509.load_der_x509_certificate(MADE.der).extensions.get_extension_for_class(
        x509.BasicConstraints
    )
    assert constraints.critical
    assert constraints.value.ca is False


def test_a_certificate_is_valid_from_a_day_before() -> None:
    """A peer whose clock is behind still accepts it."""
    made = x509.load_der_x509_certificate(MADE.der)
    assert made.not_valid_before_utc.timestamp() * 1000 == DAWN - BACKDATED_MS
    assert expires_ms(MADE.der) == DAWN + YEAR_MS


def test_pem_and_der_are_one_certificate_with_one_id() -> None:
    """The id is SHA-256 of the DER."""
    assert certificate_der(MADE.pem) == MADE.der
    assert MADE.id == hashlib.sha256(MADE.der).digest()


def test_a_text_with_no_or_several_certificates_is_refused() -> None:
    """It must be clear which one is meant."""
    for pem in (b"", b"no certificate", MADE.pem + MADE.pem):
        with pytest.raises(FormatError):
            certificate_der(pem)
    with pytest.raises(FormatError):
        expires_ms(b"no certificate")


def test_the_private_key_is_not_shown() -> None:
    """A log line of the object holds no secret."""
    assert "PRIVATE" in MADE.key_pem.decode()
    assert "PRIVATE" not in repr(MADE)


def test_a_broken_entry_of_one_member_does_not_shut_out_the_others(tmp_path: Path) -> None:
    """What OpenSSL cannot read is left out, and the rest is trusted."""
    (tmp_path / "tls.pem").write_bytes(MADE.pem)
    (tmp_path / "tls.key").write_bytes(MADE.key_pem)
    other = make_certificate("XAB node", DAWN, YEAR_MS)
    context = server_context(tmp_path / "tls.pem", tmp_path / "tls.key", [b"broken", other.der, b""])
    assert context.cert_store_stats()["x509"] == 1


def test_a_missing_or_foreign_key_is_reported_with_the_file(tmp_path: Path) -> None:
    """The operator reads which files do not fit."""
    (tmp_path / "tls.pem").write_bytes(MADE.pem)
    (tmp_path / "foreign.key").write_bytes(make_certificate("XAB node", DAWN, YEAR_MS).key_pem)
    for key in ("missing.key", "foreign.key"):
        with pytest.raises(KeyfileError, match=r"tls\.pem"):
            server_context(tmp_path / "tls.pem", tmp_path / key, [])


def test_without_tls_there_is_no_peer_certificate() -> None:
    """No certificate is not some default certificate."""
    with pytest.raises(PeerNotPinned):
        peer_certificate_id(None)


def test_whatever_a_member_lists_as_a_certificate_has_an_end_or_is_malformed() -> None:
    """Its parser raises more than one kind of error; a version it does not know is one of them."""
    at = MADE.der.index(b"\xa0\x03\x02\x01\x02") + 4
    unknown = MADE.der[:at] + b"\x03" + MADE.der[at + 1 :]
    with pytest.raises(FormatError):
        expires_ms(unknown)
    for position in range(len(MADE.der)):
        for value in (0x00, 0x01, 0x03, 0x30, 0x7F, 0x80, 0xFF):
            changed = MADE.der[:position] + bytes((value,)) + MADE.der[position + 1 :]
            with suppress(FormatError):
                assert expires_ms(changed) >= 0
