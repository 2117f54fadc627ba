"""The Traffic Light Protocol 2.0: how far the recipients of a notice may pass it on.

Facts from FIRST, "Traffic Light Protocol (TLP)", version 2.0, August 2022. The source of the
information sets the label; who wants to share more widely asks the source. It is no
classification of secrecy and no licence. See ``spec/marking.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from protocol.errors import FormatError


class Tlp(StrEnum):
    """A TLP 2.0 label; the value is what stands on the wire, from strictest to freest."""

    RED = "red"
    AMBER_STRICT = "amber+strict"
    AMBER = "amber"
    GREEN = "green"
    CLEAR = "clear"

    @property
    def label(self) -> str:
        """The label as FIRST writes it: capitals, no space after the colon."""
        return f"TLP:{self.value.upper()}"

    @property
    def strictness(self) -> int:
        """0 for CLEAR up to 4 for RED; compare these, never the text."""
        return _STRICTNESS[self]

    @property
    def definition(self) -> str:
        """What recipients may do, in one English sentence."""
        return _DEFINITIONS[self]

    @property
    def colour(self) -> str:
        """The text colour as ``#RRGGBB``, to be shown on :data:`BACKGROUND`."""
        return _COLOURS[self]


BACKGROUND = "#000000"

_STRICTNESS: Mapping[Tlp, int] = MappingProxyType({tlp: 4 - place for place, tlp in enumerate(Tlp)})

_DEFINITIONS: Mapping[Tlp, str] = MappingProxyType(
    {
        Tlp.RED: "For the eyes and ears of individual recipients only, no further disclosure.",
        Tlp.AMBER_STRICT: "Limited disclosure, recipients can only spread this on a need-to-know basis "
        "within their organization.",
        Tlp.AMBER: "Limited disclosure, recipients can only spread this on a need-to-know basis "
        "within their organization and its clients.",
        Tlp.GREEN: "Limited disclosure, recipients can spread this within their community, "
        "but not via publicly accessible channels.",
        Tlp.CLEAR: "Recipients can spread this to the world, there is no limit on disclosure.",
    }
)

_COLOURS: Mapping[Tlp, str] = MappingProxyType(
    {
        Tlp.RED: "#FF2B2B",
        Tlp.AMBER_STRICT: "#FFC000",
        Tlp.AMBER: "#FFC000",
        Tlp.GREEN: "#33FF00",
        Tlp.CLEAR: "#FFFFFF",
    }
)

EXERCISE_MARK: Mapping[str, str] = MappingProxyType(
    {
        "en": "EXERCISE – not a real incident",
        "es": "EJERCICIO – no es un incidente real",
        "pt": "EXERCÍCIO – não é um incidente real",
        "fr": "EXERCICE – ceci n’est pas un incident réel",
    }
)
"""What stands over every showing of an exercise, in the four languages of the OAS."""


def parse_tlp(text: str) -> Tlp:
    """Return the label that a person wrote: ``amber``, ``TLP:AMBER``, ``tlp:amber+strict``.

    ``white``, the name of CLEAR in TLP 1.0, is understood and never written again.

    Raises:
        FormatError: the text is no label; the message lists the labels.
    """
    word = text.lower().removeprefix("tlp:")
    if word == "white":
        return Tlp.CLEAR
    for tlp in Tlp:
        if word == tlp.value:
            return tlp
    allowed = ", ".join(tlp.value for tlp in Tlp)
    raise FormatError(
        f"{text[:40]!r} is not a TLP 2.0 label; the labels are: {allowed}",
        hint="Choose one of the labels named above; amber is usual between states.",
    )
