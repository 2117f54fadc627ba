"""Write the vectors of the keys room: ``python -m tests.vectors.make_keys``.

Keys, salts and payloads are fixed. Signatures and wraps are randomised by their algorithms, so
each run writes other ones that must give the same answers. Every scenario names the ``layer``
that must refuse it, or ``none``; all byte fields are lower-case hexadecimal.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from keys.opening import RecipientKey
from keys.payload import pad, seal_payload
from keys.signature import SecretKey
from keys.wrap import wrap

FOLDER = Path(__file__).resolve().parent / "keys"
LABEL = "almenara/1/notice"
Scenario = dict[str, str]


def fixed(name: str, size: int) -> bytes:
    """Return bytes that anybody can make again: SHAKE256 of a name."""
    return hashlib.shake_256(b"almenara test vector: " + name.encode()).digest(size)


def flipped(data: bytes, position: int) -> bytes:
    """Return ``data`` with the lowest bit of one byte changed."""
    changed = bytearray(data)
    changed[position] ^= 1
    return bytes(changed)


def signatures() -> Iterator[tuple[str, Scenario]]:
    """Composite signatures: layers ``admission`` and ``signature``."""
    secret, message = SecretKey.from_seed(fixed("signing seed", 64)), b"a small fire on the hill"
    signature = secret.sign(message, LABEL.encode())
    other = secret.sign(b"a great fire on the hill", LABEL.encode())

    def scenario(layer: str, made: bytes, public: bytes = secret.public, label: str = LABEL) -> Scenario:
        return {
            "layer": layer,
            "seed": secret.seed.hex(),
            "public": public.hex(),
            "message": message.hex(),
            "label": label,
            "signature": made.hex(),
        }

    yield "good", scenario("none", signature)
    yield "other-label", scenario("signature", signature, label="almenara/1/statement")
    yield "mldsa-half-changed", scenario("signature", flipped(signature, 100))
    yield "ed25519-half-changed", scenario("signature", flipped(signature, 3309))
    yield "mldsa-half-of-other-message", scenario("signature", other[:3309] + signature[3309:])
    yield "ed25519-half-of-other-message", scenario("signature", signature[:3309] + other[3309:])
    yield "ed25519-half-stripped", scenario("signature", signature[:3309])
    yield "small-order-key", scenario("admission", signature, secret.public[:1952] + bytes(32))
    yield (
        "non-canonical-key",
        scenario("admission", signature, secret.public[:1952] + (2**255 - 10).to_bytes(32, "little")),
    )
    yield "short-key", scenario("admission", signature, secret.public[:-1])


def wraps() -> Iterator[tuple[str, Scenario]]:
    """X-Wing wraps: layers ``length`` and ``unwrap``."""
    key, info, plaintext = RecipientKey.from_seed(fixed("recipient seed", 32)), b"binding", fixed("wrap", 72)
    wrapped = wrap(key.public, info, plaintext)

    def scenario(layer: str, sealed: bytes, bound: bytes = info, seed: bytes = key.seed) -> Scenario:
        return {
            "layer": layer,
            "seed": seed.hex(),
            "public": RecipientKey.from_seed(seed).public.hex(),
            "info": bound.hex(),
            "wrapped": sealed.hex(),
            "plaintext": plaintext.hex(),
        }

    yield "good", scenario("none", wrapped)
    yield "other-info", scenario("unwrap", wrapped, bound=b"Binding")
    yield "other-key", scenario("unwrap", wrapped, seed=fixed("another recipient seed", 32))
    yield "mlkem-part-changed", scenario("unwrap", flipped(wrapped, 0))
    yield "x25519-part-changed", scenario("unwrap", flipped(wrapped, 1088))
    yield "x25519-part-zero", scenario("unwrap", wrapped[:1088] + bytes(32) + wrapped[1120:])
    yield "ciphertext-changed", scenario("unwrap", flipped(wrapped, 1120))
    yield "tag-changed", scenario("unwrap", flipped(wrapped, 1207))
    yield "one-byte-short", scenario("length", wrapped[:-1])
    yield "one-byte-long", scenario("length", wrapped + b"\0")


def payloads() -> Iterator[tuple[str, Scenario]]:
    """Payloads: layers ``length``, ``commitment``, ``chunk`` and ``padding``."""
    key, salt, context, body = fixed("content key", 32), fixed("salt", 24), b"context", fixed("body", 20000)
    sealed = seal_payload(key, pad(body), context, salt)

    def scenario(layer: str, data: bytes, content_key: bytes = key, bound: bytes = context) -> Scenario:
        return {
            "layer": layer,
            "key": content_key.hex(),
            "salt": salt.hex(),
            "context": bound.hex(),
            "data": data.hex(),
            "body": body.hex(),
        }

    def repadded(padded: bytes) -> Scenario:
        return scenario("padding", seal_payload(key, padded, context, salt))

    yield "good", scenario("none", sealed)
    yield "other-key", scenario("commitment", sealed, content_key=fixed("another key", 32))
    yield "other-context", scenario("commitment", sealed, bound=b"Context")
    yield "salt-changed", scenario("commitment", flipped(sealed, 0))
    yield "commitment-changed", scenario("commitment", flipped(sealed, 24))
    yield "first-chunk-changed", scenario("chunk", flipped(sealed, 56))
    yield "last-tag-changed", scenario("chunk", flipped(sealed, len(sealed) - 1))
    yield "last-chunk-missing", scenario("chunk", sealed[: 56 + 16400])
    yield "first-chunk-missing", scenario("chunk", sealed[:56] + sealed[56 + 16400 :])
    yield "empty", scenario("length", b"")
    yield "header-only", scenario("length", sealed[:56])
    yield "pad-byte-not-zero", repadded(flipped(pad(body), len(pad(body)) - 1))
    yield "pad-too-long", repadded(pad(body) + bytes(512))
    yield "pad-missing", repadded(len(body).to_bytes(4, "big") + body)
    yield "length-beyond-end", repadded(b"\xff\xff\xff\xff" + bytes(1020))


def main() -> None:
    """Write every scenario to its own file."""
    FOLDER.mkdir(exist_ok=True)
    for kind, scenarios in (("signature", signatures()), ("wrap", wraps()), ("payload", payloads())):
        for name, scenario in scenarios:
            content = {"scenario": f"{kind}: {name.replace('-', ' ')}", **scenario}
            (FOLDER / f"{kind}-{name}.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
