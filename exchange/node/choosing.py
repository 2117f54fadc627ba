"""Choosing the one key to which a recipient's copy is sealed now, or saying why there is none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from keys.roster import PrekeyChoice
from keys.trust import TrustedDirectory
from keys.wrap import admit_recipient
from protocol.errors import KeyRefused, NoUsableKey


@dataclass(frozen=True, slots=True)
class Chosen:
    """A key to seal to, and the id of the key by which its state had signed for it."""

    choice: PrekeyChoice
    signer: bytes | None

    @property
    def key_id(self) -> bytes:
        """Names the key in a header."""
        return self.choice.prekey.key_id


class Choices(NamedTuple):
    """Which recipients can be sealed for now, and why the others cannot."""

    usable: dict[str, Chosen]
    missing: dict[str, NoUsableKey]


def choose(directory: TrustedDirectory, code: str, now_ms: int) -> Chosen:
    """Return the key to seal to for one state.

    Raises:
        UnknownState, DocumentExpired: it may not be sent to at all.
        NoUsableKey: it has no key that can be used now; the message says why.
    """
    choice = directory.prekey(code, now_ms)
    try:
        admit_recipient(choice.prekey.public)
    except KeyRefused as error:
        # What one member published must not keep a notice from the others.
        raise NoUsableKey(f"{code} published a sealing key to which nothing can be sealed") from error
    held = directory.documents.prekeys.get(code)
    return Chosen(choice, None if held is None else held.signer)


def choose_all(directory: TrustedDirectory, codes: Iterable[str], now_ms: int) -> Choices:
    """Return the keys of several states, and why some have none.

    Raises:
        UnknownState, DocumentExpired: one of them may not be sent to at all.
    """
    choices = Choices({}, {})
    for code in codes:
        try:
            choices.usable[code] = choose(directory, code, now_ms)
        except NoUsableKey as error:
            choices.missing[code] = error
    return choices
