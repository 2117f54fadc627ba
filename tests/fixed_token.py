"""A token whose keys are known, so that what it makes can be written into a page."""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keys.token_uri import TokenUri
from protocol.errors import WrongPassphrase


class FixedToken:
    """A token of one name that does not hide its keys: what the format says, without a device."""

    def __init__(self, uri: TokenUri, ed25519_seed: bytes, aes_key: bytes = bytes(32)) -> None:
        self.uri = uri
        self._aes = AESGCM(aes_key)
        self._key = Ed25519PrivateKey.from_private_bytes(ed25519_seed)
        self.public = self._key.public_key().public_bytes_raw()

    def encrypt(self, nonce: bytes, secret: bytes, bound: bytes) -> bytes:
        """Lock."""
        return self._aes.encrypt(nonce, secret, bound)

    def decrypt(self, nonce: bytes, data: bytes, bound: bytes) -> bytes:
        """Unlock."""
        try:
            return self._aes.decrypt(nonce, data, bound)
        except InvalidTag as error:
            raise WrongPassphrase("this token does not open it") from error

    def ed25519(self) -> FixedToken:
        """Return the other half."""
        return self

    def sign(self, message: bytes) -> bytes:
        """Sign."""
        return self._key.sign(message)
