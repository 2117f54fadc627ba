"""An officer's note, sealed so that only the notice's sender reads it.

HPKE as for wraps (``keys.wrap``), to the sender's prekey of the day. The plaintext is padded in
steps so that its length tells little: ``u16 length || text || zeros``. It is text as the
profile has it, so that a terminal or a page can show it. See ``spec/statement.md``. Unsealing it
needs the secret key, and is done elsewhere (``keys.opening``).
"""

from __future__ import annotations

from keys.wrap import seal_to
from protocol.codec import check_text
from protocol.digest import tag
from protocol.errors import CannotOpen, FormatError
from protocol.statement import SealedDetail

STEP_BYTES = 512
MAX_NOTE_BYTES = 8 * 1024


def seal_detail(text: str, prekey: bytes, prekey_id: bytes, envelope: bytes, party: str) -> SealedDetail:
    """Seal a note about ``envelope`` by ``party`` to the prekey of the notice's sender.

    Raises:
        FormatError: the note is over 8 KiB of UTF-8, not NFC, or holds control characters.
        KeyRefused: the prekey is not admitted.
    """
    check_text(text)
    data = text.encode()
    if len(data) > MAX_NOTE_BYTES:
        raise FormatError("the note is over 8 KiB", hint="Shorten the note, or send it as a notice.")
    framed = len(data).to_bytes(2, "big") + data
    padded = framed + bytes(-len(framed) % STEP_BYTES)
    return SealedDetail(
        prekey_id=prekey_id, sealed=seal_to(prekey, detail_info(prekey_id, envelope, party), padded)
    )


def read_detail(padded: bytes) -> str:
    """Return the note in what was sealed.

    Raises:
        CannotOpen: it is padded as no note is, or is no text that can be shown.
    """
    length = int.from_bytes(padded[:2], "big")
    data, rest = padded[2 : 2 + length], padded[2 + length :]
    expected = 2 + length + -(2 + length) % STEP_BYTES
    if len(padded) != expected or any(rest):
        raise CannotOpen("the note's padding is wrong")
    try:
        text = data.decode()
        check_text(text)
    except (UnicodeDecodeError, FormatError) as error:
        raise CannotOpen("the note is not text that can be shown") from error
    return text


def detail_info(prekey_id: bytes, envelope: bytes, party: str) -> bytes:
    """Return what the sealing binds: the prekey's id, the notice, and who speaks of it."""
    return tag("detail") + prekey_id + envelope + party.encode("ascii")
