"""Header, manifest and body: what their layout promises."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from protocol import codec
from protocol.errors import FormatError, TooLarge, UnknownKind
from protocol.notice import (
    MAX_ATTACHED_BYTES,
    MAX_BODY_BYTES,
    MAX_HEADER_BYTES,
    MAX_LIFE_MS,
    MAX_MANIFEST_BYTES,
    MAX_RECIPIENTS,
    MAX_SEALED_BYTES,
    MAX_TEXT_BYTES,
    Addressee,
    Attachment,
    BlobRef,
    Header,
    Kind,
    Manifest,
    envelope_id,
    header_hash,
    parse_body,
    parse_manifest,
)
from tests.vectors.world import NOW_MS, body, header, packed

HASH = bytes(range(32))


def manifest(of: Header, **changes: Any) -> bytes:
    plain = Manifest(
        header=packed(of),
        wrap_hashes=(HASH,) * len(of.recipients),
        payload_hash=HASH,
        payload_length=1096,
        blobs=(),
    )
    return packed(msgspec.structs.replace(plain, **changes))


def addressees(count: int) -> tuple[Addressee, ...]:
    return tuple(Addressee(state=f"X{number:015d}", prekey_id=HASH) for number in range(count))


def test_a_manifest_gives_itself_and_its_header() -> None:
    """Both parsed, from one object."""
    found, head = parse_manifest(manifest(header("XBB", "XCC")))
    assert head == header("XBB", "XCC")
    assert found.header == codec.encode(head)


def test_a_notice_may_name_two_hundred_states_and_live_seven_days() -> None:
    """The largest header and manifest fit their own limits."""
    largest = header(recipients=addressees(MAX_RECIPIENTS), expires_ms=NOW_MS + MAX_LIFE_MS)
    data = manifest(largest)
    assert len(packed(largest)) <= MAX_HEADER_BYTES
    assert len(data) <= MAX_MANIFEST_BYTES
    assert len(parse_manifest(data)[1].recipients) == MAX_RECIPIENTS


@pytest.mark.parametrize("change", [0, -1, MAX_LIFE_MS + 1])
def test_a_life_of_nothing_or_of_more_than_seven_days_is_refused(change: int) -> None:
    """A prekey is kept for the longest life and a day."""
    with pytest.raises(FormatError, match="seven days"):
        parse_manifest(manifest(header("XBB", expires_ms=NOW_MS + change)))


@pytest.mark.parametrize("codes", [("XCC", "XBB"), ("XBB", "XBB")])
def test_recipients_out_of_order_or_twice_are_refused(codes: tuple[str, ...]) -> None:
    """One list of recipients has one spelling."""
    with pytest.raises(FormatError, match="sorted and unique"):
        parse_manifest(manifest(header(*codes)))


def test_a_manifest_has_one_wrap_for_each_recipient() -> None:
    """Neither a stranger's wrap nor a missing one."""
    for hashes in ((HASH,), (HASH,) * 3):
        with pytest.raises(FormatError, match="one wrap"):
            parse_manifest(manifest(header("XBB", "XCC"), wrap_hashes=hashes))


def test_blobs_are_refused_as_an_unknown_kind() -> None:
    """A reader that cannot fetch them must not show the notice without them."""
    with pytest.raises(UnknownKind):
        parse_manifest(manifest(header("XBB"), blobs=(BlobRef(hash=HASH, length=1),)))


def test_a_payload_longer_than_the_inline_limit_is_refused() -> None:
    """Before it arrives."""
    parse_manifest(manifest(header("XBB"), payload_length=MAX_SEALED_BYTES))
    with pytest.raises(FormatError, match="inline limit"):
        parse_manifest(manifest(header("XBB"), payload_length=MAX_SEALED_BYTES + 1))


@pytest.mark.parametrize("field", ["v", "kind", "sender", "nonce", "key_id", "exercise"])
def test_a_header_with_a_field_of_another_type_is_refused(field: str) -> None:
    """No field is optional, and none is converted."""
    with pytest.raises(FormatError):
        parse_manifest(manifest(header("XBB", **{field: "x"})))


@pytest.mark.parametrize("code", ["X", "xbb", "XBB ", "X_B", "-XB", "XBB\n", "X" * 17, "ÑAA"])
def test_a_state_code_is_short_capital_ascii(code: str) -> None:
    """It stands in key derivations, byte by byte."""
    with pytest.raises(FormatError):
        parse_manifest(manifest(header("XBB", sender=code)))


def test_all_seven_kinds_are_read() -> None:
    """And no eighth."""
    for kind in Kind:
        assert parse_manifest(manifest(header("XBB", kind=kind)))[1].kind is kind
    with pytest.raises(FormatError):
        parse_manifest(manifest(header("XBB", kind=len(Kind) + 1)))


def test_header_hash_and_envelope_id_are_hashes_of_different_things() -> None:
    """Even over the same bytes."""
    assert header_hash(b"x") != envelope_id(b"x")


def test_the_longest_text_is_counted_in_bytes() -> None:
    """A limit in characters alone would allow four times as much."""
    assert parse_body(packed(body(text="ñ" * (MAX_TEXT_BYTES // 2)))).text
    with pytest.raises(FormatError, match="256 KiB"):
        parse_body(packed(body(text="ñ" * (MAX_TEXT_BYTES // 2 + 1))))


def test_attachments_are_counted_together() -> None:
    """A megabyte in all, in one or in many."""

    def files(*sizes: int) -> bytes:
        made = tuple(Attachment(name="a", media_type="a/b", content=bytes(size)) for size in sizes)
        return packed(body(attachments=made))

    half = MAX_ATTACHED_BYTES // 2
    assert len(parse_body(files(half, half)).attachments) == 2
    with pytest.raises(FormatError, match="1 MiB in all"):
        parse_body(files(half, half, 1))


def test_the_largest_body_fits_its_limit() -> None:
    """Text, 32 attachments with the longest names, and everything around them."""
    name, media = "日" * 200, "a" * 49 + "/" + "b" * 50
    share = MAX_ATTACHED_BYTES // 32
    files = tuple(Attachment(name=name, media_type=media, content=bytes(share)) for _ in range(32))
    data = packed(body(text="a" * MAX_TEXT_BYTES, attachments=files, subject="日" * 200))
    assert len(data) <= MAX_BODY_BYTES
    assert parse_body(data)
    with pytest.raises(TooLarge):
        parse_body(bytes(MAX_BODY_BYTES + 1))


@pytest.mark.parametrize("subject", ["", "a\nb", "a\tb", "a" * 201, "\x1b[31m"])
def test_a_subject_is_one_line_that_can_be_shown(subject: str) -> None:
    """It is what a duty officer sees first."""
    with pytest.raises(FormatError):
        parse_body(packed(body(subject=subject)))
