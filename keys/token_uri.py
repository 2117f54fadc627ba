"""The name of keys in a token: a PKCS#11 URI (RFC 7512) with a token, and one name of an object.

::

    pkcs11:token=almenara;serial=90d036b35bf44e45;object=XAA%20node;id=%8F%02%1C

Only these four attributes are understood. A PIN has no place in a name; and a name must never
choose the library that is loaded to look for it, because loading a library runs its code.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from protocol.errors import KeyfileError

SCHEME = "pkcs11:"
MAX_URI = 1024

_NAMES = ("token", "serial", "object", "id")
# RFC 7512, section 2.3: pk11-pchar, with the escapes checked apart.
_VALUE = re.compile(r"(?:[A-Za-z0-9\-._~:\[\]@!$'()*+,=&]|%[0-9A-Fa-f]{2})+")
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_WHY_NOT = {
    "module-path": "the library is named by the setting pkcs11_module alone",
    "module-name": "the library is named by the setting pkcs11_module alone",
    "pin-value": "a PIN never stands in a name: it comes from a file, a credential or a terminal",
    "pin-source": "where the PIN comes from is a setting of its own, pin_file",
}


@dataclass(frozen=True, slots=True)
class TokenUri:
    """Which token, and which keys in it.

    Args:
        token: The token's label.
        serial: Its serial number, which tells two tokens of one label apart; empty if not said.
        object: The label of the keys; empty in the name of a whole token.
        id: Their CKA_ID; empty likewise.
    """

    token: str
    serial: str = ""
    object: str = ""
    id: bytes = b""

    @property
    def names_keys(self) -> bool:
        """Whether it names keys, and not a whole token."""
        return bool(self.object or self.id)

    @property
    def whole(self) -> TokenUri:
        """The name of the token alone."""
        return TokenUri(self.token, self.serial)

    def __str__(self) -> str:
        texts = (("token", self.token), ("serial", self.serial), ("object", self.object))
        parts = [f"{name}={_escaped(value.encode())}" for name, value in texts if value]
        if self.id:
            parts.append("id=" + "".join(f"%{byte:02X}" for byte in self.id))
        return SCHEME + ";".join(parts)


def parse_token_uri(text: str) -> TokenUri:
    """Return the meaning of a PKCS#11 URI, with its attributes in any order.

    Raises:
        KeyfileError: it is no such URI, names no token, or has an attribute that is not understood.
    """
    if not text.startswith(SCHEME) or len(text) > MAX_URI:
        raise _refused("it does not begin with pkcs11:, or is too long")
    if "?" in text:
        raise _refused(_reason(text.partition("?")[2]))
    found: dict[str, bytes] = {}
    for part in text.removeprefix(SCHEME).split(";"):
        name, _, value = part.partition("=")
        if name not in _NAMES:
            raise _refused(_reason(part))
        if name in found or not _VALUE.fullmatch(value):
            raise _refused(f"its attribute {name} is empty, badly written, or there twice")
        found[name] = _unescaped(value)
    if "token" not in found:
        raise _refused("it names no token")
    return TokenUri(
        token=_text(found["token"]),
        serial=_text(found.get("serial", b"")),
        object=_text(found.get("object", b"")),
        id=found.get("id", b""),
    )


def _reason(attributes: str) -> str:
    name = attributes.partition("=")[0]
    return _WHY_NOT.get(name, "it has an attribute other than token, serial, object and id")


def _escaped(value: bytes) -> str:
    return "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in value)


def _unescaped(value: str) -> bytes:
    first, *rest = value.encode("ascii").split(b"%")
    return first + b"".join(bytes((int(part[:2], 16),)) + part[2:] for part in rest)


def _text(value: bytes) -> str:
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        raise _refused("a name in it is not UTF-8") from None
    if not text.isprintable() or text != text.strip():
        raise _refused("a name in it is not printable, or has spaces at its ends")
    return text


def _refused(why: str) -> KeyfileError:
    # The URI is not quoted: somebody may have written a PIN into it.
    return KeyfileError(
        f"this is not the name of keys in a token: {why}",
        hint="Write it as pkcs11:token=LABEL, with ;serial=NUMBER if two tokens have one label.",
    )
