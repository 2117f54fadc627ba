"""The payload: commitment first, every chunk in its place, and one canonical padding."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keys import payload as payload_module
from keys.payload import open_payload, pad, padded_length, seal_payload, unpad
from protocol.errors import CannotOpen, LocalProtocolError
from tests.unit.keys.vectors import outside_vectors, own_scenarios

KEY = bytes(range(32))
SALT = bytes(range(24))
CONTEXT = b"the header's hash"
WYCHEPROOF = "wycheproof-cobblestone-256.json"
CHUNK = 16384
SEALED_CHUNK = CHUNK + 16


def sealed(length: int) -> bytes:
    """Return a payload whose every byte tells its place."""
    return seal_payload(KEY, plain(length), CONTEXT, SALT)


def plain(length: int) -> bytes:
    """Return bytes that differ from chunk to chunk."""
    return hashlib.shake_256(b"plain").digest(length)


@pytest.mark.parametrize("length", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 5])
def test_a_payload_opens_to_what_was_sealed(length: int) -> None:
    """Also at the borders of chunks, where the last one is empty."""
    data = sealed(length)
    assert len(data) == 56 + length + 16 * (length // CHUNK + 1)
    assert open_payload(KEY, data, CONTEXT) == plain(length)


def test_another_key_context_salt_or_commitment_is_refused_before_any_chunk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The commitment is compared first: no chunk is decrypted under a key it does not name."""
    data = sealed(100)

    def forbidden(*_: object) -> bytes:
        raise AssertionError("a chunk was decrypted")

    monkeypatch.setattr(payload_module, "_open_chunks", forbidden)
    flipped_salt = bytes([data[0] ^ 1]) + data[1:]
    flipped_commitment = data[:55] + bytes([data[55] ^ 1]) + data[56:]
    for key, offered, context in (
        (bytes(32), data, CONTEXT),
        (KEY, data, b"another header's hash"),
        (KEY, flipped_salt, CONTEXT),
        (KEY, flipped_commitment, CONTEXT),
    ):
        with pytest.raises(CannotOpen):
            open_payload(key, offered, context)


def test_chunks_cannot_be_cut_swapped_repeated_or_added() -> None:
    """Each chunk's nonce says its place; the last one is short."""
    data = sealed(2 * CHUNK + 9)
    header, rest = data[:56], data[56:]
    first, second, last = rest[:SEALED_CHUNK], rest[SEALED_CHUNK : 2 * SEALED_CHUNK], rest[2 * SEALED_CHUNK :]
    for chunks in (
        (first, second),
        (first, last),
        (second, last),
        (second, first, last),
        (first, first, last),
        (first, second, second, last),
        (first, second, last, last),
        (first, second, last[:-1]),
        (first, second, last[:15]),
        (last,),
        (),
    ):
        with pytest.raises(CannotOpen):
            open_payload(KEY, b"".join((header, *chunks)), CONTEXT)


@pytest.mark.parametrize("length", [0, 1, 55, 56, 71])
def test_what_is_too_short_to_be_a_payload_is_refused(length: int) -> None:
    """Salt, commitment and one tag are the least there can be."""
    with pytest.raises(CannotOpen):
        open_payload(KEY, sealed(0)[:length], CONTEXT)


def test_every_failure_looks_the_same() -> None:
    """A sender learns nothing from how a payload fails."""
    data, said = sealed(10), set()
    for key, bad in ((KEY, b""), (b"short", data), (bytes(32), data), (KEY, data[:-1]), (KEY, data + b"\0")):
        with pytest.raises(CannotOpen) as caught:
            open_payload(key, bad, CONTEXT)
        said.add((caught.value.message, caught.value.hint))
    assert len(said) == 1


@pytest.mark.parametrize(("key", "salt"), [(KEY[1:], SALT), (KEY, SALT[1:]), (KEY, SALT + b"\0")])
def test_sealing_with_a_wrong_length_is_our_bug(key: bytes, salt: bytes) -> None:
    """Neither a short key nor a short salt is ever stretched."""
    with pytest.raises(LocalProtocolError):
        seal_payload(key, b"", CONTEXT, salt)


@pytest.mark.parametrize(
    ("body", "padded"),
    [(0, 1024), (1020, 1024), (1021, 1088), (1084, 1088), (1085, 1152), (2044, 2048), (2045, 2176),
     (65532, 65536), (65533, 67584), (1_000_000, 1_015_808)],
)  # fmt: skip
def test_lengths_are_padded_as_padme_says(body: int, padded: int) -> None:
    """Worked by hand from the published rule, with 1 KiB as the least."""
    assert padded_length(body) == padded
    assert len(pad(bytes(body))) == padded


def test_the_body_comes_back_from_its_padding() -> None:
    """Length first, then the body, then zeros."""
    padded = pad(b"body\0")
    assert padded[:9] == b"\0\0\0\5body\0"
    assert not any(padded[9:])
    assert unpad(padded) == b"body\0"


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"\0\0\0",
        pad(b"body")[:-1],
        pad(b"body") + b"\0",
        pad(b"body")[:-1] + b"\1",
        b"\0\0\0\4body\1" + bytes(1015),
        pad(b"body") + bytes(64),
        b"\0\0\0\4body",
        b"\xff\xff\xff\xff" + bytes(1020),
        (1021).to_bytes(4, "big") + bytes(1020),
    ],
    ids=[
        "empty", "no-length", "short", "long", "last-not-zero", "first-not-zero", "next-bucket", "unpadded",
        "length-beyond-end", "length-by-one-beyond-end",
    ],
)  # fmt: skip
def test_padding_has_one_form_only(bad: bytes) -> None:
    """Anything that padding would not have made is refused."""
    with pytest.raises(CannotOpen):
        unpad(bad)


def recorded(monkeypatch: pytest.MonkeyPatch, *names: str) -> list[str]:
    """Note in order which of the payload's layers are entered."""
    reached: list[str] = []

    def noting(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def entered(*args: Any) -> Any:
            reached.append(name)
            return real(*args)

        return entered

    for name in names:
        monkeypatch.setattr(payload_module, name, noting(name, getattr(payload_module, name)))
    return reached


@pytest.mark.parametrize("scenario", own_scenarios("payload"))
def test_our_own_vectors(scenario: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file names the layer that must refuse, and no later layer is reached."""
    key, data = bytes.fromhex(scenario["key"]), bytes.fromhex(scenario["data"])
    context, body = bytes.fromhex(scenario["context"]), bytes.fromhex(scenario["body"])
    layer = scenario["layer"]
    reached = recorded(monkeypatch, "_derive", "_open_chunks", "unpad")
    if layer == "none":
        assert seal_payload(key, pad(body), context, bytes.fromhex(scenario["salt"])) == data
        assert unpad(open_payload(key, data, context)) == body
        return
    with pytest.raises(CannotOpen):
        payload_module.unpad(open_payload(key, data, context))
    depth = {"length": 0, "commitment": 1, "chunk": 2, "padding": 3}[layer]
    assert reached == ["_derive", "_open_chunks", "unpad"][:depth]


def test_the_wycheproof_vectors() -> None:
    """C2SP/wycheproof, Cobblestone-256: every case, and the raw chunk key where it is given."""
    cases = [case for group in outside_vectors(WYCHEPROOF)["testGroups"] for case in group["tests"]]
    for case in cases:
        key, context = bytes.fromhex(case["key"]), bytes.fromhex(case["ctx"])
        data = zlib.decompress(bytes.fromhex(case["ct"]))
        if case["result"] == "invalid":
            with pytest.raises(CannotOpen):
                open_payload(key, data, context)
            continue
        opened = open_payload(key, data, context)
        assert (len(opened), hashlib.sha512(opened).hexdigest()) == (case["msgLength"], case["msgSha512"])
        assert seal_payload(key, opened, context, data[:24]) == data
        chunk_cipher = AESGCM(bytes.fromhex(case["aeadKey"]))
        first = chunk_cipher.decrypt(bytes.fromhex(case["baseNonce"]), data[56 : 56 + SEALED_CHUNK], None)
        assert first == opened[:CHUNK]
    assert len(cases) == 35
