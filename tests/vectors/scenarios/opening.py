"""Deliveries that are genuine and do not open. See ``spec/envelope.md``, "Opening"."""

from __future__ import annotations

from collections.abc import Iterator

from keys.payload import pad, seal_payload
from tests.vectors.kept import Kept
from tests.vectors.scenarios.envelope import flipped
from tests.vectors.world import NOW_MS, Parts, body, fixed, header, packed, sealed

Scenario = dict[str, str | int | None]


def scenarios(kept: Kept) -> Iterator[tuple[str, Scenario]]:
    """Yield each scenario with its name; all are signed by XAA and addressed to XBB."""
    content = packed(body())
    yield (
        "good",
        _opening("It opens.", "none", sealed(kept, header("XBB"), content))
        | {
            "body": content.hex(),
            "sequence": 1,
        },
    )
    later = (7).to_bytes(8, "big") + fixed("envelope before", 32)
    yield (
        "good-seventh",
        _opening("Number 7.", "none", sealed(kept, header("XBB"), content, position=later))
        | {
            "body": content.hex(),
            "sequence": 7,
        },
    )
    yield from _wraps(kept, content)
    yield from _payloads(kept, content)
    yield from _contents(kept)


def _opening(comment: str, layer: str, parts: Parts) -> Scenario:
    return {
        "comment": comment,
        "layer": layer,
        "code": None if layer == "none" else "cannot-open",
        "type": "opening",
        "me": "XBB",
        "now_ms": NOW_MS,
        "input": parts.delivery().hex(),
    }


def _wraps(kept: Kept, content: bytes) -> Iterator[tuple[str, Scenario]]:
    plain = header("XBB")

    def positioned(number: int, previous: bytes) -> Parts:
        return sealed(kept, plain, content, position=number.to_bytes(8, "big") + previous)

    other = sealed(kept, plain, content, bound_to=fixed("another header", 32))
    yield "wrap-of-another-header", _opening("The info names another header.", "wrap", other)
    wrong = sealed(kept, plain, content, wrapped_key=fixed("another content key", 32))
    yield "content-key-wrong", _opening("One recipient is given another key.", "payload", wrong)
    yield "position-0", _opening("Numbers start at 1.", "position", positioned(0, bytes(32)))
    yield "position-2-after-nothing", _opening("Nothing before.", "position", positioned(2, bytes(32)))
    yield "position-1-after-something", _opening("Something before.", "position", positioned(1, b"\1" * 32))
    yield (
        "position-first-of-an-epoch",
        _opening("The first of a later epoch.", "none", positioned((3241620 << 32) + 1, bytes(32))),
    )
    yield (
        "position-0-of-an-epoch",
        _opening("Numbers start at 1 in every epoch.", "position", positioned(3241620 << 32, bytes(32))),
    )
    yield (
        "position-first-of-an-epoch-after-something",
        _opening("An epoch continues nothing.", "position", positioned((3241620 << 32) + 1, b"\1" * 32)),
    )
    yield "position-2-to-the-63", _opening("One too high.", "position", positioned(2**63, b"\1" * 32))


def _payloads(kept: Kept, content: bytes) -> Iterator[tuple[str, Scenario]]:
    plain = header("XBB")
    good = sealed(kept, plain, content).payload

    def carrying(payload: bytes) -> Parts:
        return sealed(kept, plain, content, payload=payload)

    unbound = seal_payload(fixed("content key of envelope", 32), pad(content), b"", fixed("salt", 24))
    yield "payload-of-another-header", _opening("Its context is empty.", "payload", carrying(unbound))
    yield "payload-commitment-changed", _opening("A bit of it.", "payload", carrying(flipped(good, 24)))
    yield "payload-chunk-changed", _opening("A bit of it.", "payload", carrying(flipped(good, 56)))
    yield "payload-without-chunks", _opening("Salt and commitment.", "payload", carrying(good[:56]))
    yield "payload-empty", _opening("No byte.", "payload", carrying(b""))
    short = len(content).to_bytes(4, "big") + content
    yield "padding-missing", _opening("No zeros.", "padding", sealed(kept, plain, b"", padded=short))
    longer = pad(content) + bytes(32)
    yield "padding-longer", _opening("32 zeros more.", "padding", sealed(kept, plain, b"", padded=longer))
    marked = flipped(pad(content), 1023)
    yield (
        "padding-not-zero",
        _opening("The last byte is 1.", "padding", sealed(kept, plain, b"", padded=marked)),
    )
    beyond = b"\xff" * 4 + bytes(1020)
    yield "padding-length-beyond", _opening("4 GiB.", "padding", sealed(kept, plain, b"", padded=beyond))


def _contents(kept: Kept) -> Iterator[tuple[str, Scenario]]:
    plain = header("XBB")
    yield "body-not-messagepack", _opening("0xc1.", "body", sealed(kept, plain, b"\xc1"))
    yield "body-empty", _opening("No byte.", "body", sealed(kept, plain, b""))
    long_form = packed(body()).replace(b"\x9a\x01", b"\x9a\xcc\x01", 1)
    yield "body-not-canonical", _opening("v as uint 8.", "body", sealed(kept, plain, long_form))
    stolen = packed(body(sender="XCC"))
    yield (
        "body-of-another-sender",
        _opening("XCC's words in XAA's name.", "sender", sealed(kept, plain, stolen)),
    )
