"""The report on paper: PDF/UA-1, tagged, set by typst, which comes with the extra ``report``."""

from __future__ import annotations

import json
from importlib import resources
from importlib.util import find_spec
from typing import Final

from exchange.audit.report.model import (
    page_of,
)
from exchange.audit.report.paper import Paper
from exchange.audit.report.sheet import FONT
from exchange.audit.report.words import Words, seconds
from exchange.audit.verdict import Verdict
from protocol.errors import SetupError

STANDARD: Final = "ua-1"
HINT = "Install it with: pip install 'almenara[report]'. The HTML page prints well without it."


def require_typst() -> None:
    """Return if PDF can be written here.

    Raises:
        SetupError: the extra is not installed; the hint says how to get it.
    """
    if find_spec("typst") is None:
        raise SetupError("a PDF needs the extra 'report' of almenara, which is not installed", hint=HINT)


def render_pdf(verdict: Verdict, language: str) -> bytes:
    """Return the report on a verdict as one accessible PDF file.

    Args:
        verdict: What the verifier found.
        language: One of :data:`exchange.audit.report.words.LANGUAGES`.

    Raises:
        SetupError: the extra is not installed.
    """
    require_typst()
    import typst

    page = page_of(verdict)
    data = json.dumps(Paper(page, Words(language)).document(), ensure_ascii=False)
    source = resources.files(__package__).joinpath("templates", "report.typ").read_bytes()
    # The date is the audit's, not today's: the same bundle gives the same file.
    return typst.compile(
        source,
        sys_inputs={"data": data, "font": FONT},
        ignore_system_fonts=True,
        pdf_standards=STANDARD,
        timestamp=seconds(page.at_ms or 0),
    )
