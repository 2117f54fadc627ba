"""How people write a severity: ``xaa-national@1:grave``, a schema, a version and a level.

``reference = schema ["@" version] [":" level]``. Nothing else is understood: no spaces, no
capitals, no leading zero, so that one severity has one spelling.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from protocol.errors import FormatError

MAX_SCHEMA_VERSION = 0xFFFF

_SLUG = r"[a-z0-9][a-z0-9.-]{0,63}"
_REFERENCE = re.compile(rf"({_SLUG})(?:@([1-9][0-9]{{0,4}}))?(?::({_SLUG}))?")


class Reference(NamedTuple):
    """A schema, and perhaps a version and a level of it, as people write them."""

    schema: str
    version: int | None
    level: str | None


def parse_reference(text: str) -> Reference:
    """Return the parts of ``schema``, ``schema@version``, ``schema:level`` or all three.

    Raises:
        FormatError: the text is written in any other way.
    """
    match = _REFERENCE.fullmatch(text)
    if match is None:
        raise _refused(text, "is not written schema@version:level")
    schema, version, level = match.groups()
    number = None if version is None else int(version)
    if number is not None and number > MAX_SCHEMA_VERSION:
        raise _refused(text, f"has a version over {MAX_SCHEMA_VERSION}")
    return Reference(schema, number, level)


def _refused(text: str, why: str) -> FormatError:
    return FormatError(
        f"the severity {text[:80]!r} {why}",
        hint="Write it like xaa-national@1:grave; see the levels with: almenara severity list",
    )


def format_reference(reference: Reference) -> str:
    """Return the one spelling that :func:`parse_reference` reads back."""
    version = "" if reference.version is None else f"@{reference.version}"
    level = "" if reference.level is None else f":{reference.level}"
    return f"{reference.schema}{version}{level}"
