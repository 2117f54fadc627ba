"""What a person types during the set-up, checked: codes, names, addresses, hashes, file names."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from ipaddress import ip_address

import msgspec

from protocol import codec, fingerprint
from protocol.documents import Addresses, split_addresses
from protocol.errors import BadRequest, FormatError
from protocol.fields import Line, StateCode

NAME_DIGITS = 16
"""How much of the community's id stands in the names of logs and witnesses."""
DAY_MS = 24 * 3600 * 1000
YEAR_MS = 365 * DAY_MS

_NOT_PLAIN = re.compile(r"[^a-z0-9]+")
_ADDRESS = re.compile(r"wss://[!-~]{1,194}")


def party_code(text: str) -> str:
    """Return the code of a state or coordinator.

    Raises:
        BadRequest: it is no code.
    """
    try:
        return msgspec.convert(text, StateCode)
    except msgspec.ValidationError as error:
        raise BadRequest(
            f"{text!r} is no code of a state or coordinator",
            hint="Use 2 to 16 capital letters, digits and dashes, such as XAA or HUB.",
        ) from error


def line(text: str, what: str) -> str:
    """Return a name of one line, in Unicode normal form C.

    Raises:
        BadRequest: it is empty, too long, or not one line of plain text.
    """
    plain = unicodedata.normalize("NFC", text.strip())
    try:
        codec.check_text(plain)
        return msgspec.convert(plain, Line)
    except (msgspec.ValidationError, FormatError):
        raise BadRequest(
            f"the {what} is not one line of 1 to 200 characters", hint="Choose another."
        ) from None


def root_hash(text: str) -> bytes:
    """Return the hash of a community's first root, typed as digits or as words, however they are spaced.

    Raises:
        BadRequest: it is not a whole hash, or a part of it is wrong; the message says which.
    """
    try:
        return fingerprint.parse(text)
    except FormatError as error:
        raise BadRequest(
            f"this is no root hash: {error.message}",
            hint="Copy it from the record of the ceremony: eight groups of digits, or four lines of words.",
        ) from error


def addresses(urls: Sequence[str], host: str, port: int) -> str:
    """Return the addresses at which nodes reach a coordinator, as the directory writes them.

    Args:
        urls: What was asked for, or nothing to make one of host and port.
        host: The address on which the coordinator listens.
        port: The port on which it listens.

    Raises:
        BadRequest: one is no ``wss://`` address, or none follows from host and port, or there are too many.
    """
    for url in urls:
        if not _ADDRESS.fullmatch(url):
            raise BadRequest(f"{url!r} is no address of a coordinator", hint="Write it as wss://host:port")
    if urls:
        together = " ".join(dict.fromkeys(urls))
        try:
            return msgspec.convert(together, Addresses)
        except msgspec.ValidationError:
            raise BadRequest(
                f"these {len(urls)} addresses are too many, or together too long",
                hint="The directory takes eight, with at most 1000 characters.",
            ) from None
    if port == 0 or host in ("", "0.0.0.0", "::"):  # noqa: S104  (compared, not bound)
        raise BadRequest(
            f"nodes cannot reach a coordinator at {host or 'every address'}, port {port}",
            hint="Say how they reach it with: --url wss://host:port",
        )
    return f"wss://{_bracketed(host)}:{port}"


def log_name(url: str, code: str, community: bytes) -> str:
    """Return the name under which a coordinator's logs sign: its host, its community, its code.

    C2SP recommends a name like a URL without its scheme; nobody has to be reached under it.

    Args:
        url: How nodes reach the coordinator; of several addresses the first gives the name.
        code: Its code in the directory.
        community: The 32-byte id of the community.
    """
    host = split_addresses(url)[0].removeprefix("wss://").split("/")[0]
    return f"{host}/almenara/{community.hex()[:NAME_DIGITS]}/{code}".replace("+", "%2B")


def witness_name(state: str, community: bytes) -> str:
    """Return the name under which a state's witness signs; nodes have no address to be named after."""
    return f"almenara/{community.hex()[:NAME_DIGITS]}/{state}"


def file_name(name: str) -> str:
    """Return a name of lower-case ASCII letters, digits and dashes for a person or thing."""
    ascii_ = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode("ascii")
    return _NOT_PLAIN.sub("-", ascii_.lower()).strip("-") or "unnamed"


def _bracketed(host: str) -> str:
    try:
        return f"[{host}]" if ip_address(host).version == 6 else host
    except ValueError:
        return host
