"""An officer's note: only the notice's sender reads it, and its length tells little."""

from __future__ import annotations

import pytest

from keys.detail import MAX_NOTE_BYTES, STEP_BYTES, seal_detail
from keys.opening import RecipientKey
from keys.wrap import SEALING_OVERHEAD, seal_to
from protocol import codec
from protocol.digest import tag
from protocol.errors import CannotOpen, FormatError, KeyRefused
from protocol.statement import MAX_DETAIL_BYTES, SealedDetail
from tests.openings import open_detail

KEY = RecipientKey.from_seed(bytes(range(32)))
ENVELOPE = bytes(range(32))


def noted(text: str) -> SealedDetail:
    return seal_detail(text, KEY.public, KEY.key_id, ENVELOPE, "XBB")


def framed(padded: bytes) -> SealedDetail:
    """Return a note whose padded form was made by somebody else."""
    info = tag("detail") + KEY.key_id + ENVELOPE + b"XBB"
    return SealedDetail(prekey_id=KEY.key_id, sealed=seal_to(KEY.public, info, padded))


@pytest.mark.parametrize("text", ["", "a", "Recibido.\n\tMañana más.", "a" * 510, "a" * 511, "日" * 2730])
def test_a_note_comes_back(text: str) -> None:
    """Whatever its length up to 8 KiB."""
    assert open_detail(noted(text), KEY, ENVELOPE, "XBB") == text


def test_notes_have_few_lengths() -> None:
    """Yes and no are equally long."""
    lengths = {len(noted(text).sealed) for text in ("", "no", "yes", "a" * 510)}
    assert lengths == {STEP_BYTES + SEALING_OVERHEAD}
    assert len(noted("a" * 511).sealed) == 2 * STEP_BYTES + SEALING_OVERHEAD


def test_the_longest_note_fits_into_a_statement() -> None:
    """And one byte more is refused, counted in UTF-8."""
    longest = noted("a" * MAX_NOTE_BYTES)
    assert len(longest.sealed) <= MAX_DETAIL_BYTES
    assert codec.encode(longest)
    for text in ("a" * (MAX_NOTE_BYTES + 1), "ñ" * (MAX_NOTE_BYTES // 2 + 1)):
        with pytest.raises(FormatError, match="8 KiB"):
            noted(text)


@pytest.mark.parametrize(("envelope", "party"), [(bytes(32), "XBB"), (ENVELOPE, "XCC"), (ENVELOPE, "XB")])
def test_a_note_belongs_to_one_envelope_and_one_party(envelope: bytes, party: str) -> None:
    """It cannot be moved to another answer."""
    with pytest.raises(CannotOpen):
        open_detail(noted("yes"), KEY, envelope, party)


def test_another_key_opens_nothing() -> None:
    """Neither another secret nor another id over the right one."""
    with pytest.raises(CannotOpen):
        open_detail(noted("yes"), RecipientKey.generate(), ENVELOPE, "XBB")
    renamed = SealedDetail(prekey_id=bytes(32), sealed=noted("yes").sealed)
    with pytest.raises(CannotOpen):
        open_detail(renamed, KEY, ENVELOPE, "XBB")


@pytest.mark.parametrize("text", ["\x1b[2J", "a\0b", "a\r\nb", "\x9bm", "sen\u0303al"])
def test_a_note_that_cannot_be_shown_is_not_written(text: str) -> None:
    """It will stand on an officer's screen."""
    with pytest.raises(FormatError):
        noted(text)


@pytest.mark.parametrize("text", [b"\x1b[2J", b"a\0b", b"sen\xcc\x83al", b"\xff", b"\xed\xa0\x80"])
def test_a_note_that_cannot_be_shown_is_not_opened(text: bytes) -> None:
    """Its sender may run another program, or mean harm."""
    with pytest.raises(CannotOpen):
        open_detail(framed((len(text).to_bytes(2, "big") + text).ljust(512, b"\0")), KEY, ENVELOPE, "XBB")


@pytest.mark.parametrize(
    "padded",
    [
        b"",
        b"\0",
        b"\0\1a",
        b"\0\1a".ljust(511, b"\0"),
        b"\0\1a".ljust(1024, b"\0"),
        b"\0\1a".ljust(511, b"\0") + b"\1",
        b"\xff\xff".ljust(512, b"a"),
    ],
)
def test_a_note_has_one_padded_form(padded: bytes) -> None:
    """Unpadded, too long, not zero, or longer than it is."""
    with pytest.raises(CannotOpen):
        open_detail(framed(padded), KEY, ENVELOPE, "XBB")


def test_a_changed_or_cut_note_opens_nothing() -> None:
    """As every sealed thing."""
    good = noted("yes").sealed
    for sealed in (good[:-1], good[:100], b"", good[:-1] + bytes([good[-1] ^ 1]), good + b"\0"):
        with pytest.raises(CannotOpen):
            open_detail(SealedDetail(prekey_id=KEY.key_id, sealed=sealed), KEY, ENVELOPE, "XBB")


def test_a_broken_prekey_is_not_sealed_to() -> None:
    """Before anything is written."""
    with pytest.raises(KeyRefused):
        seal_detail("yes", bytes([255]) * 1216, bytes(32), ENVELOPE, "XBB")
