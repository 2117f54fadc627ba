"""The X-Wing wrap: exact lengths, everything bound, and one answer for every failure."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from keys.opening import RecipientKey
from keys.wrap import SEALING_OVERHEAD, admit_recipient, seal_to, wrap
from protocol.digest import kem_key_id
from protocol.errors import CannotOpen, KeyRefused, LocalProtocolError
from tests.unit.keys.vectors import own_scenarios

KEY = RecipientKey.from_seed(bytes(range(32)))
INFO = b"everything the wrap is bound to"
CONTENT = bytes(range(72))
PUBLIC_OF_THE_FIXED_SEED = "c9a3565ffde4f72b51661be391ee13e46378d7f06dd5c8bf5af9d2cfb5b8336b"


def test_a_wrap_opens_with_its_key_and_binding() -> None:
    """The plain round trip, with the size the suite fixes."""
    wrapped = wrap(KEY.public, INFO, CONTENT)
    assert len(wrapped) == 1208
    assert KEY.unwrap(wrapped, INFO) == CONTENT


def test_two_wraps_of_one_text_differ() -> None:
    """Every wrap draws its own encapsulation."""
    assert wrap(KEY.public, INFO, CONTENT) != wrap(KEY.public, INFO, CONTENT)


@pytest.mark.parametrize("info", [b"", INFO[:-1], INFO + b"\0", bytes(len(INFO))])
def test_another_binding_does_not_open(info: bytes) -> None:
    """Everything that matters stands in ``info``."""
    with pytest.raises(CannotOpen):
        KEY.unwrap(wrap(KEY.public, INFO, CONTENT), info)


def test_another_key_does_not_open() -> None:
    """The recipient's key is part of the encapsulation."""
    with pytest.raises(CannotOpen):
        RecipientKey.generate().unwrap(wrap(KEY.public, INFO, CONTENT), INFO)


@pytest.mark.parametrize("position", range(0, 1208, 53))
def test_a_changed_byte_does_not_open(position: int) -> None:
    """Neither half of the encapsulation, nor the text, nor the tag, has an idle byte."""
    changed = bytearray(wrap(KEY.public, INFO, CONTENT))
    changed[position] ^= 0x80
    with pytest.raises(CannotOpen):
        KEY.unwrap(bytes(changed), INFO)


def test_every_failure_looks_the_same() -> None:
    """A sender learns nothing from how a wrap fails."""
    wrapped = wrap(KEY.public, INFO, CONTENT)
    low_order = wrapped[:1088] + bytes(32) + wrapped[1120:]
    said = set()
    for bad in (b"", wrapped[:-1], wrapped + b"\0", low_order, bytes(1208), b"\xff" * 1208):
        with pytest.raises(CannotOpen) as caught:
            KEY.unwrap(bad, INFO)
        said.add((caught.value.message, caught.value.hint, caught.value.peer_code))
    assert len(said) == 1


@pytest.mark.parametrize("length", [0, 71, 73])
def test_a_wrap_holds_exactly_72_bytes(length: int) -> None:
    """Another length is our own bug, and an opened wrap can have no other."""
    with pytest.raises(LocalProtocolError):
        wrap(KEY.public, INFO, bytes(length))
    with pytest.raises(CannotOpen):
        KEY.unwrap(seal_to(KEY.public, INFO, bytes(length)), INFO)


@pytest.mark.parametrize("length", [0, 1, 4096])
def test_a_sealed_text_may_have_any_length(length: int) -> None:
    """The general form grows a text by a fixed overhead."""
    sealed = seal_to(KEY.public, INFO, bytes(length))
    assert len(sealed) == length + SEALING_OVERHEAD
    assert KEY.open_sealed(sealed, INFO) == bytes(length)
    with pytest.raises(CannotOpen):
        KEY.open_sealed(sealed[:-1], INFO)


@pytest.mark.parametrize(
    "public",
    [
        b"",
        KEY.public[:-1],
        KEY.public + b"\0",
        KEY.public[:1184] + bytes(32),
        KEY.public[:1184] + b"\x01" + bytes(31),
        b"\xff" * 1184 + KEY.public[1184:],
    ],
    ids=["empty", "short", "long", "x25519-zero", "x25519-one", "mlkem-out-of-range"],
)
def test_a_key_to_which_nothing_can_be_sealed_is_refused(public: bytes) -> None:
    """Refused when admitted, and again whenever it is used."""
    for _ in range(2):
        with pytest.raises(KeyRefused):
            admit_recipient(public)
    with pytest.raises(KeyRefused):
        wrap(public, INFO, CONTENT)


def test_a_good_key_is_admitted() -> None:
    """Admission says nothing about a key that works."""
    admit_recipient(KEY.public)


@pytest.mark.parametrize("length", [0, 31, 33, 96])
def test_a_seed_of_another_length_is_refused(length: int) -> None:
    """The secret form is the 32-byte seed and nothing else."""
    with pytest.raises(KeyRefused):
        RecipientKey.from_seed(bytes(length))


def test_a_seed_gives_the_same_key_again() -> None:
    """A fixed seed has a fixed public key; this one was computed when the test was written."""
    assert RecipientKey.from_seed(KEY.seed).public == KEY.public
    assert len(KEY.public) == 1216
    assert hashlib.sha256(KEY.public).hexdigest() == PUBLIC_OF_THE_FIXED_SEED
    assert RecipientKey.generate().public != KEY.public


def test_the_drafts_own_seed_gives_its_public_key() -> None:
    """draft-connolly-cfrg-xwing-kem, appendix C, first vector: both ends of the 1216 bytes."""
    seed = bytes.fromhex("7f9c2ba4e88f827d616045507605853ed73b8093f6efbc88eb1a6eacfa66ef26")
    public = RecipientKey.from_seed(seed).public.hex()
    assert public.startswith("e2236b35a8c24b39b10aa1323a96a919a2ced88400633a7b07131713fc14b2b5")
    assert public.endswith("859edb06eff389b27dce59844570216223593d4ba32d9abac8cd049040ef6534")


def test_the_text_form_shows_the_key_id_and_no_secret() -> None:
    """A key that reaches a log tells only which key it is."""
    assert repr(KEY) == f"RecipientKey({kem_key_id(KEY.public).hex()})"


@pytest.mark.parametrize("scenario", own_scenarios("wrap"))
def test_our_own_vectors(scenario: dict[str, Any]) -> None:
    """Each file names the layer that must refuse, or none."""
    key = RecipientKey.from_seed(bytes.fromhex(scenario["seed"]))
    wrapped, info = bytes.fromhex(scenario["wrapped"]), bytes.fromhex(scenario["info"])
    assert key.public.hex() == scenario["public"]
    assert (len(wrapped) != 1208) == (scenario["layer"] == "length")
    if scenario["layer"] == "none":
        assert key.unwrap(wrapped, info).hex() == scenario["plaintext"]
        return
    with pytest.raises(CannotOpen):
        key.unwrap(wrapped, info)
