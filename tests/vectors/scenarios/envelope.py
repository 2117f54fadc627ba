"""Submissions and deliveries: every check before anything is opened. See ``spec/envelope.md``."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from protocol.notice import Addressee, DirectoryHead, parse_manifest
from protocol.signed import Context, Proof
from tests.vectors.kept import Kept
from tests.vectors.world import HOUR_MS, NOW_MS, Parts, body, fixed, header, packed, prekey, sealed, secret

Scenario = dict[str, str | int | None]


def scenarios(kept: Kept) -> Iterator[tuple[str, Scenario]]:
    """Yield each scenario with its name."""
    yield from _submissions(kept)
    yield from _parts(kept)
    yield from _headers(kept)
    yield from _signatures(kept)
    yield from _deliveries(kept)


def flipped(data: bytes, position: int) -> bytes:
    """Return ``data`` with the lowest bit of one byte changed."""
    changed = bytearray(data)
    changed[position] ^= 1
    return bytes(changed)


def plain(kept: Kept) -> Parts:
    """Return the envelope that most scenarios change: from XAA, for XBB alone."""
    return sealed(kept, header("XBB"), packed(body()))


def _submission(
    comment: str, layer: str, code: str | None, data: bytes, *, by: str = "XAA", now_ms: int = NOW_MS
) -> Scenario:
    return {
        "comment": comment,
        "layer": layer,
        "code": code,
        "type": "submission",
        "by": by,
        "now_ms": now_ms,
        "input": data.hex(),
    }


def _delivery(
    comment: str, layer: str, code: str | None, data: bytes, *, me: str = "XBB", now_ms: int = NOW_MS
) -> Scenario:
    return {
        "comment": comment,
        "layer": layer,
        "code": code,
        "type": "delivery",
        "me": me,
        "now_ms": now_ms,
        "input": data.hex(),
    }


def _submissions(kept: Kept) -> Iterator[tuple[str, Scenario]]:
    good = plain(kept)
    two = sealed(kept, header("XBB", "XCC"), packed(body()), name="envelope for two")
    yield "submission-good", _submission("To XBB.", "none", None, good.submission())
    yield "submission-good-two-recipients", _submission("To XBB and XCC.", "none", None, two.submission())
    yield (
        "submission-by-another",
        _submission("XCC brings it.", "signer", "unknown-signer", good.submission(), by="XCC"),
    )
    yield "submission-tag-of-delivery", _submission("A delivery.", "shape", "malformed", good.delivery())
    data = good.submission()
    yield "submission-byte-too-many", _submission("It ends late.", "encoding", "malformed", data + b"\0")
    yield "submission-byte-missing", _submission("It ends early.", "encoding", "malformed", data[:-1])
    yield (
        "submission-over-the-limit",
        _submission("2,031,617 bytes are refused unread; here are the first.", "size", "too-large", data[:64])
        | {"repeat_last_byte_to": 2031617},
    )
    swapped = two.submission(wraps=(two.wraps[1], two.wraps[0]))
    yield "submission-wraps-swapped", _submission("XCC's wrap first.", "parts", "tampered", swapped)
    yield (
        "submission-wrap-missing",
        _submission("One wrap of two.", "parts", "tampered", two.submission(wraps=two.wraps[:1])),
    )


def _parts(kept: Kept) -> Iterator[tuple[str, Scenario]]:
    good = plain(kept)
    wrap, payload = good.wraps[0], good.payload

    def tampered(comment: str, data: bytes) -> Scenario:
        return _delivery(comment, "parts", "tampered", data)

    yield "wrap-changed", tampered("A bit of the wrap.", good.delivery(wrap=flipped(wrap, 700)))
    yield "wrap-one-byte-short", _delivery("1207 bytes.", "shape", "malformed", good.delivery(wrap=wrap[:-1]))
    yield "payload-changed", tampered("A bit of the last tag.", good.delivery(payload=flipped(payload, 1095)))
    yield "payload-salt-changed", tampered("A bit of the salt.", good.delivery(payload=flipped(payload, 0)))
    yield "payload-shorter", tampered("The last byte is cut.", good.delivery(payload=payload[:-1]))
    yield "payload-empty", tampered("No payload at all.", good.delivery(payload=b""))
    other = sealed(kept, header("XBB", nonce=fixed("other nonce", 16)), packed(body()), name="other envelope")
    yield "payload-of-another-envelope", tampered("Genuine, elsewhere.", good.delivery(payload=other.payload))
    yield "wrap-of-another-envelope", tampered("Genuine, elsewhere.", good.delivery(wrap=other.wraps[0]))
    yield (
        "manifest-of-another-envelope",
        _delivery(
            "The signature is over another.",
            "signature",
            "bad-signature",
            good.delivery(manifest=other.manifest),
        ),
    )


def _headers(kept: Kept) -> Iterator[tuple[str, Scenario]]:
    def made(**changes: object) -> Parts:
        return sealed(kept, header("XBB", **changes), packed(body()))

    yield (
        "suite-of-tests",
        _delivery("Suite 0x7f00, rightly signed.", "suite", "suite-refused", made(suite=0x7F00).delivery()),
    )
    yield (
        "suite-reserved",
        _submission("Suite 0x0002, rightly signed.", "suite", "suite-refused", made(suite=2).submission()),
    )
    other_head = DirectoryHead(version=1, hash=fixed("another directory", 32))
    yield (
        "directory-forked",
        _delivery(
            "Another directory of this version.", "directory", "forked", made(directory=other_head).delivery()
        ),
    )
    unborn = DirectoryHead(version=2, hash=fixed("a later directory", 32))
    yield (
        "directory-unknown",
        _delivery(
            "A later version says nothing against it.", "none", None, made(directory=unborn).delivery()
        ),
    )
    good = plain(kept)
    later = NOW_MS + 72 * HOUR_MS
    yield "expired", _delivery("At its very end.", "expiry", "expired", good.delivery(), now_ms=later)
    yield (
        "expired-not-quite",
        _delivery("A millisecond before.", "none", None, good.delivery(), now_ms=later - 1),
    )
    yield (
        "submission-expired",
        _submission("At its end.", "expiry", "expired", good.submission(), now_ms=later),
    )
    early = NOW_MS - 600_000
    yield (
        "submission-ten-minutes-early",
        _submission("Tolerated.", "none", None, good.submission(), now_ms=early),
    )
    yield (
        "submission-from-the-future",
        _submission(
            "Ten minutes and a millisecond.", "clock", "clock-skew", good.submission(), now_ms=early - 1
        ),
    )
    stranger = (Addressee(state="XDD", prekey_id=prekey("XBB").key_id),)
    outside = sealed(kept, header(recipients=stranger), packed(body()))
    yield (
        "submission-to-no-member",
        _submission("XDD is no member.", "addressee", "not-addressed", outside.submission()),
    )


def _signatures(kept: Kept) -> Iterator[tuple[str, Scenario]]:
    good = plain(kept)
    proof = good.proof

    def refused(comment: str, proof: Proof) -> Scenario:
        return _delivery(comment, "signature", "bad-signature", good.delivery(proof=proof))

    def with_signature(signature: bytes) -> Proof:
        return msgspec.structs.replace(proof, signature=signature)

    manifest, _ = parse_manifest(good.manifest)
    foreign = manifest.header.replace(secret("XAA", "node").key_id, secret("XBB", "node").key_id)
    yield (
        "signer-of-another-state",
        _delivery(
            "XBB's node key in XAA's name.",
            "signer",
            "unknown-signer",
            good.delivery(manifest=packed(msgspec.structs.replace(manifest, header=foreign))),
        ),
    )
    by_officer = sealed(
        kept,
        header("XBB", key_id=secret("XAA", "officer").key_id),
        packed(body()),
        signer=secret("XAA", "officer"),
    )
    yield (
        "signer-is-an-officer",
        _delivery("A person's key signs no notice.", "signer", "unknown-signer", by_officer.delivery()),
    )
    as_statement = sealed(kept, header("XBB"), packed(body()), context=Context.STATEMENT)
    yield (
        "signature-as-statement",
        _delivery(
            "Signed under the context of statements.", "signature", "bad-signature", as_statement.delivery()
        ),
    )
    yield (
        "signature-mldsa-changed",
        refused("A bit of the first half.", with_signature(flipped(proof.signature, 9))),
    )
    yield (
        "signature-ed25519-changed",
        refused("A bit of the second half.", with_signature(flipped(proof.signature, 3372))),
    )
    other = kept.proofs(secret("XBB", "node"), Context.NOTICE, [good.manifest])[0]
    mixed = proof.signature[:3309] + other.signature[3309:]
    yield "signature-half-by-another", refused("XBB's Ed25519 half.", with_signature(mixed))
    yield (
        "proof-index-outside",
        _delivery(
            "Number 1 of 1.",
            "proof",
            "malformed",
            good.delivery(proof=msgspec.structs.replace(proof, index=1)),
        ),
    )
    yield (
        "proof-path-too-long",
        _delivery(
            "One hash too many.",
            "proof",
            "malformed",
            good.delivery(proof=msgspec.structs.replace(proof, path=(bytes(32),))),
        ),
    )
    yield (
        "proof-path-too-short",
        _delivery(
            "Two objects, no path.",
            "proof",
            "malformed",
            good.delivery(proof=msgspec.structs.replace(proof, size=2)),
        ),
    )
    batch = kept.proofs(secret("XAA", "node"), Context.NOTICE, [b"another object", good.manifest])
    yield "proof-of-two-good", _delivery("Second of two.", "none", None, good.delivery(proof=batch[1]))
    yield (
        "proof-of-two-other-place",
        refused("The first's place.", msgspec.structs.replace(batch[1], index=0)),
    )
    yield (
        "proof-of-two-other-sibling",
        refused("Another sibling.", msgspec.structs.replace(batch[1], path=(bytes(32),))),
    )


def _deliveries(kept: Kept) -> Iterator[tuple[str, Scenario]]:
    two = sealed(kept, header("XBB", "XCC"), packed(body()), name="envelope for two")
    yield "delivery-good-second", _delivery("XCC's copy.", "none", None, two.delivery(1), me="XCC")
    yield (
        "delivery-to-a-third-state",
        _delivery("XAA's own notice comes back.", "addressee", "not-addressed", two.delivery(0), me="XAA"),
    )
    yield (
        "delivery-of-another-recipient",
        _delivery("XCC's copy at XBB.", "parts", "tampered", two.delivery(1), me="XBB"),
    )
    yield (
        "delivery-number-and-wrap-differ",
        _delivery("XCC's number, XBB's wrap.", "parts", "tampered", two.delivery(0, index=1), me="XCC"),
    )
    yield (
        "delivery-number-outside",
        _delivery("Recipient number 2 of 2.", "parts", "tampered", two.delivery(0, index=2)),
    )
    data = two.delivery(0)
    at = data.index(b"\x00\xc5\x04\xb8")
    yield (
        "delivery-number-not-shortest",
        _delivery(
            "Recipient number 0 as uint 8.", "encoding", "not-canonical", data[:at] + b"\xcc" + data[at:]
        ),
    )
