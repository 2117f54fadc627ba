"""The keys of one name in a token: an Ed25519 key pair, and an AES key that locks what must lie outside.

Both are made in the token, marked as never to leave it, and that is checked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass, PKCS11Error
from pkcs11.mechanisms import GCMParams

from exchange.hsm.token import Session, Token
from keys.token_uri import TokenUri
from protocol.errors import KeyRefused, TokenFailed, WrongPassphrase

if TYPE_CHECKING:
    import pkcs11

AES = (ObjectClass.SECRET_KEY, KeyType.AES)
PRIVATE = (ObjectClass.PRIVATE_KEY, KeyType.EC_EDWARDS)
PUBLIC = (ObjectClass.PUBLIC_KEY, KeyType.EC_EDWARDS)

TAG_BITS = 128
_AES_BITS = 256
# The object identifier 1.3.101.112 in DER. Source: RFC 8410, section 3.
_ED25519 = bytes.fromhex("06032b6570")
# A DER octet string of 32 bytes, as PKCS#11 3.0 writes a point; others leave it out.
_POINT = bytes.fromhex("0420")
_STAYS = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False}


class DoesNotOpen(WrongPassphrase):
    """The token is open and has the key, and what is stored was altered or locked by another key."""


class HeldHalf:
    """An Ed25519 key in a token; see :class:`keys.signature.Ed25519Half`."""

    def __init__(self, token: Token, uri: TokenUri) -> None:
        self._token = token
        self._uri = uri
        self.public = token.use("find a key", lambda session: _public(session, uri))

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature."""

        def work(session: Session) -> bytes:
            key: Any = session.find(PRIVATE, self._uri)
            return bytes(key.sign(message, mechanism=Mechanism.EDDSA))

        return self._token.use("sign", work)


class HeldKeys:
    """The keys of one name; see :class:`keys.protection.TokenKeys`."""

    def __init__(self, token: Token, uri: TokenUri) -> None:
        self._token = token
        self.uri = uri

    def encrypt(self, nonce: bytes, secret: bytes, bound: bytes) -> bytes:
        """Return ``secret`` by AES-256-GCM, with its tag."""

        def work(session: Session) -> bytes:
            key: Any = session.find(AES, self.uri)
            return bytes(key.encrypt(secret, **_gcm(nonce, bound)))

        return self._token.use("encrypt", work)

    def decrypt(self, nonce: bytes, data: bytes, bound: bytes) -> bytes:
        """Return what was encrypted."""

        def work(session: Session) -> bytes:
            key: Any = session.find(AES, self.uri)
            return bytes(key.decrypt(data, **_gcm(nonce, bound)))

        if len(data) < TAG_BITS // 8:
            raise DoesNotOpen("what is stored is shorter than anything that a token encrypts")
        try:
            return self._token.use("decrypt", work)
        except TokenFailed as failed:
            # Each library has its own name for a tag that is wrong: so ask whether the key works at all.
            self.encrypt(bytes(12), bytes(16), b"almenara: does this key work?")
            raise DoesNotOpen(
                f"the keys {self.uri.object or self.uri.id.hex()} of the token {self.uri.token} do not open "
                "what is stored: it was altered, or locked by another key",
                hint="Restore the file from backup; nothing was changed.",
            ) from failed

    def ed25519(self) -> HeldHalf:
        """Return the Ed25519 key of this name."""
        return HeldHalf(self._token, self.uri)

    def destroy(self) -> None:
        """Destroy everything of this name; nothing happens if there is nothing.

        Raises:
            TokenFailed: the token cannot be used now.
        """

        def work(session: Session) -> None:
            for found in session.all(None, self.uri):
                found.destroy()

        self._token.use("destroy a key", work)


def make_keys(token: Token, label: str, id_: bytes, *, signing: bool) -> HeldKeys:
    """Make an AES key in a token, and an Ed25519 key pair if it is to sign.

    Args:
        token: Which.
        label: What they are called, for people.
        id_: Their CKA_ID: random bytes, so that no two keys are ever taken for each other.
        signing: Whether there is to be a key pair.

    Raises:
        TokenFailed: the token cannot do this.
        KeyRefused: it made keys that could leave it; they are destroyed again.
    """
    seen = token.seen()
    uri = TokenUri(token=seen.label, serial=seen.serial, object=label, id=id_)

    def work(session: Session) -> None:
        _make(session, label, id_, signing=signing)

    token.use("make a key", work, again=False)
    return HeldKeys(token, uri)


def _make(session: Session, label: str, id_: bytes, *, signing: bool) -> None:
    made: list[pkcs11.Object] = []
    try:
        made.append(_make_aes(session, label, id_))
        if signing:
            made += _make_ed25519(session, label, id_)
        if not all(one[Attribute.NEVER_EXTRACTABLE] for one in made if one.object_class != PUBLIC[0]):
            raise KeyRefused("the token made keys that can be copied out of it; use another token")
    except (PKCS11Error, KeyRefused):
        for one in made:
            one.destroy()
        raise


def _make_aes(session: Session, label: str, id_: bytes) -> pkcs11.Object:
    return session.handle.generate_key(
        KeyType.AES,
        _AES_BITS,
        id=id_,
        label=label,
        store=True,
        capabilities=MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT,
        template=_STAYS,
    )


def _make_ed25519(session: Session, label: str, id_: bytes) -> tuple[pkcs11.Object, pkcs11.Object]:
    curve = session.handle.create_domain_parameters(
        KeyType.EC_EDWARDS, {Attribute.EC_PARAMS: _ED25519}, local=True
    )
    return curve.generate_keypair(
        id=id_,
        label=label,
        store=True,
        mechanism=Mechanism.EC_EDWARDS_KEY_PAIR_GEN,
        capabilities=MechanismFlag.SIGN | MechanismFlag.VERIFY,
        private_template=_STAYS,
    )


def _public(session: Session, uri: TokenUri) -> bytes:
    session.find(PRIVATE, uri)
    point = cast(bytes, session.find(PUBLIC, uri)[Attribute.EC_POINT])
    raw = point.removeprefix(_POINT) if len(point) == len(_POINT) + 32 else point
    if len(raw) != 32:
        raise TokenFailed(
            f"the token {uri.token} gives an Ed25519 public key of {len(raw)} bytes",
            hint="Use another token: this one writes its keys as nobody else does.",
        )
    return raw


def _gcm(nonce: bytes, bound: bytes) -> dict[str, Any]:
    return {"mechanism": Mechanism.AES_GCM, "mechanism_param": GCMParams(nonce, bound, TAG_BITS)}
