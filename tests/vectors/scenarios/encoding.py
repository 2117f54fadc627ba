"""Encoding: what the MessagePack profile refuses. See ``spec/encoding.md``."""

from __future__ import annotations

from collections.abc import Iterator

from tests.vectors.kept import Kept

Scenario = dict[str, str | int | None]

HASH = bytes(range(32))
NAME = b"\xa8humo.txt"
TYPE = b"\xaatext/plain"


def scenarios(kept: Kept) -> Iterator[tuple[str, Scenario]]:
    """Yield each scenario with its name; these need nothing random."""
    yield from _numbers()
    yield from _lengths()
    yield from _types()
    yield from _texts()
    yield from _wholes()


def _head(version: bytes, digest: bytes = b"\xc4\x20" + HASH, start: bytes = b"\x92") -> bytes:
    return start + version + digest


def _file(name: bytes, content: bytes = b"\xc4\x00") -> bytes:
    return b"\x93" + name + TYPE + content


def _scenario(comment: str, layer: str, code: str | None, data: bytes, type_: str = "head") -> Scenario:
    return {"comment": comment, "layer": layer, "code": code, "type": type_, "input": data.hex()}


def _canonical(comment: str, data: bytes, type_: str = "head") -> Scenario:
    return _scenario(comment, "encoding", "not-canonical", data, type_)


def _foreign(comment: str, data: bytes, type_: str = "head") -> Scenario:
    return _scenario(comment, "encoding", "malformed", data, type_)


def _shape(comment: str, data: bytes, type_: str = "head") -> Scenario:
    return _scenario(comment, "shape", "malformed", data, type_)


def _good(comment: str, data: bytes, type_: str = "head") -> Scenario:
    return _scenario(comment, "none", None, data, type_)


def _numbers() -> Iterator[tuple[str, Scenario]]:
    yield "good-smallest-number", _good("0 is one byte.", _head(b"\x00"))
    yield "good-largest-number", _good("2^63-1.", _head(b"\xcf\x7f" + b"\xff" * 7))
    yield "number-in-two-bytes", _canonical("5 written as uint 8.", _head(b"\xcc\x05"))
    yield "number-in-nine-bytes", _canonical("5 written as uint 64.", _head(b"\xcf" + bytes(7) + b"\x05"))
    yield "number-as-signed", _canonical("5 written as int 8.", _head(b"\xd0\x05"))
    yield "number-negative", _shape("-1.", _head(b"\xff"))
    yield "number-2-to-the-63", _shape("One above the largest number.", _head(b"\xcf\x80" + bytes(7)))
    yield "number-as-float", _shape("5.0 is not 5.", _head(b"\xcb\x40\x14" + bytes(6)))
    yield "number-as-true", _shape("true is not 1.", _head(b"\xc3"))
    yield "number-as-text", _shape("Text is not a number.", _head(b"\xa15"))
    yield "number-as-nil", _shape("Nil stands only where a table says so.", _head(b"\xc0"))


def _lengths() -> Iterator[tuple[str, Scenario]]:
    long_bytes = b"\xc5\x00\x20" + HASH
    yield "bytes-with-long-length", _canonical("32 bytes as bin 16.", _head(b"\x01", long_bytes))
    yield "text-with-long-length", _canonical("8 bytes of text as str 8.", _file(b"\xd9\x08humo.txt"), "file")
    yield (
        "array-with-long-length",
        _canonical("Two members as array 16.", _head(b"\x01", start=b"\xdc\x00\x02")),
    )
    yield (
        "array-length-beyond-end",
        _foreign("An array of 2^32-1 members in 40 bytes.", b"\xdd" + b"\xff" * 39),
    )
    yield "bytes-length-beyond-end", _foreign("33 bytes are promised.", _head(b"\x01", b"\xc4\x21" + HASH))
    yield "member-missing", _shape("One member of two.", b"\x91\x01")
    yield "member-too-many", _shape("Three members of two.", b"\x93\x01\xc4\x20" + HASH + b"\xc0")
    yield "hash-one-byte-short", _shape("A hash of 31 bytes.", _head(b"\x01", b"\xc4\x1f" + HASH[:31]))


def _types() -> Iterator[tuple[str, Scenario]]:
    yield "bytes-as-text", _shape("32 bytes of text.", _head(b"\x01", b"\xd9\x20" + b"a" * 32))
    yield "text-as-bytes", _shape("A name as bin.", _file(b"\xc4\x08humo.txt"), "file")
    yield "map-for-array", _foreign("A map of two members.", b"\x82\x01\xc4\x20" + HASH + b"\x02\xc0")
    yield "map-empty", _shape("There is no map, not even an empty one.", b"\x80")
    yield "extension", _foreign("An extension type.", _head(b"\xd4\x05\x00"))
    yield "timestamp", _foreign("The timestamp extension.", _head(b"\xd6\xff" + bytes(4)))
    yield "byte-never-used", _foreign("0xc1 is not MessagePack.", _head(b"\xc1"))


def _texts() -> Iterator[tuple[str, Scenario]]:
    def named(text: bytes) -> bytes:
        return _file(bytes([0xA0 + len(text)]) + text)

    yield "good-text", _good("Composed letters.", named("señal".encode()), "file")
    yield "text-decomposed", _canonical("n and a combining tilde.", named(b"sen\xcc\x83al"), "file")
    yield "text-with-bell", _foreign("U+0007.", named(b"a\x07b"), "file")
    yield "text-with-escape", _foreign("U+001B starts a terminal sequence.", named(b"a\x1b[2J"), "file")
    yield "text-with-delete", _foreign("U+007F.", named(b"a\x7fb"), "file")
    yield "text-with-c1-control", _foreign("U+0085.", named(b"a\xc2\x85b"), "file")
    yield "text-with-surrogate", _foreign("U+D800 in UTF-8.", named(b"a\xed\xa0\x80"), "file")
    yield "text-overlong", _foreign("U+0000 in two bytes.", named(b"a\xc0\x80"), "file")
    yield "text-latin-1", _foreign("Not UTF-8.", named(b"se\xf1al"), "file")
    yield "line-with-line-feed", _shape("A line holds no line feed.", named(b"a\nb"), "file")
    yield "line-empty", _shape("A line has at least one character.", named(b""), "file")


def _wholes() -> Iterator[tuple[str, Scenario]]:
    good = _head(b"\x01")
    yield "good", _good("Version 1 and a hash.", good)
    yield "empty", _foreign("No byte at all.", b"")
    yield "byte-missing", _foreign("The last byte is missing.", good[:-1])
    yield "byte-too-many", _foreign("One byte follows.", good + b"\x00")
    yield "twice", _foreign("Two objects.", good + good)
    yield "nested-too-deep", _foreign("2000 arrays in arrays.", b"\x91" * 2000)
    yield (
        "over-the-limit",
        _scenario("4097 bytes where 4096 are allowed.", "size", "too-large", b"\xc0" * 4097),
    )
