"""Payload and padding, for every body: what was sealed comes back, and nothing else does."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.payload import CHUNK_BYTES, open_payload, pad, padded_length, seal_payload, unpad
from protocol.errors import CannotOpen

KEY, SALT, CONTEXT = bytes(range(32)), bytes(range(24)), b"context"
SEALED_CHUNK = CHUNK_BYTES + 16
LENGTHS = st.one_of(
    st.integers(0, 5000), st.integers(0, 4).map(lambda n: n * CHUNK_BYTES), st.integers(0, 70_000)
)
relaxed = settings(deadline=None, max_examples=150)


@relaxed
@given(st.binary(max_size=5000))
def test_a_body_comes_back_from_its_padding(body: bytes) -> None:
    """Padding is undone exactly."""
    assert unpad(pad(body)) == body


@relaxed
@given(st.integers(0, 2**32 - 1))
def test_padding_grows_by_little_and_keeps_few_lengths(length: int) -> None:
    """At most 12 percent above 1 KiB, never shorter, and a padded length pads to itself."""
    padded = padded_length(length)
    assert padded >= max(1024, length + 4)
    assert padded <= max(1024, (length + 4) * 1.12)
    assert padded_length(padded - 4) == padded


@relaxed
@given(st.integers(0, 2**31), st.integers(0, 2**20))
def test_a_longer_body_is_never_padded_to_less(length: int, more: int) -> None:
    """Padded lengths keep the order of lengths."""
    assert padded_length(length + more) >= padded_length(length)


@relaxed
@given(st.binary(max_size=3000), st.data())
def test_any_changed_byte_of_the_padding_is_refused(body: bytes, data: st.DataObject) -> None:
    """Every byte behind the body must be zero."""
    padded = bytearray(pad(body))
    places = range(4 + len(body), len(padded))
    if places:
        padded[data.draw(st.sampled_from(places))] ^= data.draw(st.integers(1, 255))
        with pytest.raises(CannotOpen):
            unpad(bytes(padded))


@relaxed
@given(st.integers(0, 2100), st.integers(0, 2), st.sampled_from([1024, 1088, 2048, 2176, 1023, 4]))
def test_whatever_is_unpadded_is_exactly_what_padding_makes(length: int, ones: int, total: int) -> None:
    """One body has one padded form: nothing else is accepted as it."""
    offered = (length.to_bytes(4, "big") + b"\1" * ones).ljust(total, b"\0")
    try:
        body = unpad(offered)
    except CannotOpen:
        return
    assert pad(body) == offered


@relaxed
@given(st.binary(max_size=3000), st.integers(-64, 64).filter(bool))
def test_any_other_total_length_is_refused(body: bytes, change: int) -> None:
    """Neither cut nor grown."""
    padded = pad(body)
    with pytest.raises(CannotOpen):
        unpad(padded[:change] if change < 0 else padded + bytes(change))


@relaxed
@given(LENGTHS)
def test_what_was_sealed_opens(length: int) -> None:
    """For every length, chunk borders among them."""
    plaintext = bytes(length)
    assert open_payload(KEY, seal_payload(KEY, plaintext, CONTEXT, SALT), CONTEXT) == plaintext


@relaxed
@given(LENGTHS, st.data())
def test_any_changed_byte_of_a_payload_is_refused(length: int, data: st.DataObject) -> None:
    """Salt, commitment, chunks and tags: no byte is idle."""
    sealed = bytearray(seal_payload(KEY, bytes(length), CONTEXT, SALT))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(CannotOpen):
        open_payload(KEY, bytes(sealed), CONTEXT)


@relaxed
@given(LENGTHS, st.data())
def test_any_cut_of_a_payload_is_refused(length: int, data: st.DataObject) -> None:
    """At a chunk border as much as anywhere else."""
    sealed = seal_payload(KEY, bytes(length), CONTEXT, SALT)
    borders = st.sampled_from([*range(56, len(sealed), SEALED_CHUNK)])
    with pytest.raises(CannotOpen):
        open_payload(KEY, sealed[: data.draw(borders | st.integers(0, len(sealed) - 1))], CONTEXT)


@relaxed
@given(st.integers(1, 4), st.integers(0, 40), st.data())
def test_any_other_order_of_chunks_is_refused(full: int, rest: int, data: st.DataObject) -> None:
    """Chunks cannot be left out, repeated or swapped, even where their texts are equal."""
    sealed = seal_payload(KEY, bytes(full * CHUNK_BYTES + rest), CONTEXT, SALT)
    chunks = [sealed[start : start + SEALED_CHUNK] for start in range(56, len(sealed), SEALED_CHUNK)]
    order = data.draw(
        st.lists(st.integers(0, full), max_size=full + 2).filter(lambda o: o != [*range(full + 1)])
    )
    with pytest.raises(CannotOpen):
        open_payload(KEY, sealed[:56] + b"".join(chunks[place] for place in order), CONTEXT)


@relaxed
@given(st.binary(max_size=300), st.binary(max_size=40))
def test_only_its_own_key_and_context_open_a_payload(data: bytes, context: bytes) -> None:
    """Arbitrary bytes are no payload, and another context opens none."""
    with pytest.raises(CannotOpen):
        open_payload(KEY, data, context)
    if context != CONTEXT:
        with pytest.raises(CannotOpen):
            open_payload(KEY, seal_payload(KEY, data, CONTEXT, SALT), context)
