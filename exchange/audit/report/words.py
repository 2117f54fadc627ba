"""Words, numbers and times in the reader's language; English is the source of every message.

The catalogues are ``locale/<language>.po``, read as they are: nobody has to compile anything, and
a translator can try a change by running the command again. Times are always UTC.
"""

from __future__ import annotations

import io
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import Final

from babel import Locale
from babel.dates import format_date
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, format_percent
from babel.support import NullTranslations, Translations

from protocol.fields import MAX_MILLIS

SOURCE: Final = "en"
LANGUAGES: Final = ("en", "es", "pt", "fr")
"""English is written in the code; the others have a catalogue each."""

_LOCALES: Final = {"en": "en_GB", "es": "es", "pt": "pt_BR", "fr": "fr"}
_TAGS: Final = {"en": "en", "es": "es", "pt": "pt-BR", "fr": "fr"}
_UNITS: Final = (("day", 86_400_000), ("hour", 3_600_000), ("minute", 60_000), ("second", 1000))


class Words:
    """Everything that is said in one language.

    Args:
        language: One of :data:`LANGUAGES`.
    """

    def __init__(self, language: str) -> None:
        self.language = language
        self.locale = Locale.parse(_LOCALES[language])
        self.translations = _translations(language)

    @property
    def tag(self) -> str:
        """The BCP 47 tag of the page, for ``lang`` attributes."""
        return _TAGS[self.language]

    def say(self, message: str, **values: object) -> str:
        """Return a message in this language, with its ``%(name)s`` filled in."""
        # An empty message would be answered with the head of the catalogue.
        text: str = self.translations.ugettext(message) if message else ""
        return text % values if values else text

    def say_n(self, one: str, many: str, n: int, **values: object) -> str:
        """Return a message in the form for ``n`` things; ``%(n)s`` is the number as it is written."""
        text: str = self.translations.ungettext(one, many, n)
        return text % {"n": self.number(n), **values}

    def pair(self, name: str, value: str) -> str:
        """Return a name and its value, with the colon as it is set in this language."""
        return self.say("%(name)s: %(value)s", name=name, value=value)

    def number(self, value: float) -> str:
        """Return a number as it is written in this language."""
        return format_decimal(value, locale=self.locale)

    def percent(self, part: int, whole: int) -> str:
        """Return a share, never rounded up to all nor down to nothing; a dash if there is no whole."""
        if whole <= 0:
            return "–"
        if 0 < part < whole:
            share = min(max(part / whole, 0.01), 0.99)
            return format_percent(round(share, 2), locale=self.locale)
        return format_percent(part / whole, locale=self.locale)

    def date(self, at_ms: int) -> str:
        """Return the day, in UTC."""
        return format_date(_utc(at_ms), "medium", locale=self.locale)

    def time(self, at_ms: int) -> str:
        """Return the day and the time to the second, in UTC, and say so."""
        return f"{self.date(at_ms)}, {_utc(at_ms):%H:%M:%S} UTC"

    def clock(self, at_ms: int) -> str:
        """Return the time of day to the millisecond."""
        return f"{_utc(at_ms):%H:%M:%S}.{at_ms % 1000:03d}"

    def length(self, millis: int) -> str:
        """Return a length of time in its one or two largest units; under a minute in seconds."""
        if millis < 0:
            return f"-{self.length(-millis)}"
        if millis < 60_000:
            seconds = millis / 1000
            return self._unit(round(seconds, 1 if seconds >= 1 else 2), "second")
        parts: list[str] = []
        for name, size in _UNITS:
            count, millis = divmod(millis, size)
            if count or parts:
                parts += [self._unit(count, name)] if count else []
                if len(parts) == 2 or (parts and not count):
                    break
        return " ".join(parts)

    def _unit(self, count: float, name: str) -> str:
        # The tables of Babel say "1 horas" in two of our languages; symbols are the same for any number.
        n = self.number(count)
        match name:
            case "day":
                return self.say("%(n)s\u00a0d", n=n)
            case "hour":
                return self.say("%(n)s\u00a0h", n=n)
            case "minute":
                return self.say("%(n)s\u00a0min", n=n)
            case _:
                return self.say("%(n)s\u00a0s", n=n)


def iso(at_ms: int) -> str:
    """Return a time as machines read it, such as ``2026-01-31T08:00:00.000Z``."""
    return f"{_utc(at_ms):%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03d}Z"


def catalogue(language: str) -> bytes:
    """Return the text of a language's catalogue, as it lies in the package."""
    return resources.files(__package__).joinpath("locale", f"{language}.po").read_bytes()


def seconds(at_ms: int) -> int:
    """Return a time in whole seconds that a calendar can show: a hostile clock ends in the year 9999."""
    return min(max(at_ms, 0), MAX_MILLIS) // 1000


def _utc(at_ms: int) -> datetime:
    return datetime.fromtimestamp(seconds(at_ms), UTC)


@cache
def _translations(language: str) -> NullTranslations:
    if language == SOURCE:
        return NullTranslations()
    compiled = io.BytesIO()
    write_mo(compiled, read_po(io.BytesIO(catalogue(language)), locale=_LOCALES[language]))
    compiled.seek(0)
    return Translations(compiled)
