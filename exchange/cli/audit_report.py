"""``almenara audit report``: verify a bundle, and write the verdict as a page that people can look at."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from exchange.cli.auditing import verified
from exchange.cli.command import Command
from exchange.cli.exits import Exit
from exchange.cli.local import FILE, FOLDER, Local, local
from exchange.cli.root_hash import pinned_root, root_hash_option
from exchange.cli.words import NearChoice
from protocol.errors import BadRequest

if TYPE_CHECKING:
    from exchange.audit.verdict import Verdict

# The same as exchange.audit.report.words.LANGUAGES, which would load Babel for every --help.
LANGUAGES = ("en", "es", "pt", "fr")


@click.command(
    "report",
    cls=Command,
    examples=(
        "almenara audit report bundle/ --root-hash root-hash -o report.html",
        "almenara audit report bundle/ --root-hash root-hash -o informe.html --lang es",
        "almenara audit report bundle/ --root-hash root-hash -o rapport.html --lang fr --pdf",
    ),
    epilog="PDF needs the extra: pip install 'almenara[report]'. It is tagged, of the standard PDF/UA-1.",
)
@click.argument("path", type=FOLDER)
@root_hash_option
@click.option(
    "-o",
    "--output",
    type=FILE,
    required=True,
    metavar="FILE",
    help="Where to: a name ending in .html or .pdf.",
)
@click.option(
    "--lang",
    "language",
    type=NearChoice(LANGUAGES),
    default="en",
    show_default=True,
    help="The language of the page.",
)
@click.option("--force", is_flag=True, help="Replace files of these names.")
@click.option("--pdf", "also_pdf", is_flag=True, help="Also write FILE with the ending .pdf.")
@click.option(
    "--sample", type=click.IntRange(min=1), metavar="N", help="Verify about N statements' signatures only."
)
@click.option(
    "--disclosure",
    "disclosures",
    type=FILE,
    multiple=True,
    metavar="FILE",
    help="A notice that a state opened for you; its text will stand in the page.",
)
@local
def report(
    console: Local,
    path: Path,
    root_hash: str | None,
    output: Path,
    language: str,
    also_pdf: bool,
    force: bool,
    sample: int | None,
    disclosures: Sequence[Path],
) -> int:
    """Verify the bundle PATH and write the result as one page, to be read, printed and handed on.

    The page needs no network, no script and no program but a browser. The same bundle gives the same
    bytes; its date is the last time the witnesses vouched for the ledger. Times are in UTC.

    Exit code 0: everything that was checked holds. 3: the page is written, and says what is wrong.
    """
    pinned = pinned_root(root_hash)
    targets = list(_targets(output, also_pdf=also_pdf))
    _require_outside(path, targets)
    if not force:
        _require_free(targets)
    _require_tools(targets)
    verdict = verified(path, pinned, sample=sample, disclosures=disclosures)
    for target in targets:
        _write(target, verdict, language)
    written = [str(target) for target in targets]
    fields = {"verdict": verdict.verdict, "sentence": verdict.sentence, "written": written}
    console.show(fields, verdict.sentence, f"Written: {', '.join(written)}")
    from exchange.audit.verdict import Outcome

    return Exit.OK if verdict.verdict is Outcome.OK else Exit.VERIFICATION


def _targets(output: Path, *, also_pdf: bool) -> Iterator[Path]:
    yield output
    if also_pdf and output.suffix.lower() != ".pdf":
        yield output.with_suffix(".pdf")


def _require_outside(bundle: Path, targets: Sequence[Path]) -> None:
    """Refuse to write into the bundle: one file more, and it would not verify again."""
    inside = Path(os.path.realpath(bundle))
    for target in targets:
        if Path(os.path.realpath(target)).is_relative_to(inside):
            raise BadRequest(
                f"{target} lies inside the bundle, which must stay as it is",
                hint="Write the report somewhere else with -o FILE.",
            )


def _require_free(targets: Sequence[Path]) -> None:
    """Refuse to replace a file, as export and proof do: an earlier report may be somebody's evidence."""
    for target in targets:
        if target.exists():
            raise BadRequest(
                f"there is a file {target} already", hint="Choose another name with -o, or add --force."
            )


def _require_tools(targets: Sequence[Path]) -> None:
    """Say that something is missing before the bundle is read, which can take a minute."""
    if any(target.suffix.lower() == ".pdf" for target in targets):
        from exchange.audit.report.pdf import require_typst

        require_typst()


def _write(target: Path, verdict: Verdict, language: str) -> None:
    from exchange.audit.report.html import render_html
    from exchange.audit.report.pdf import render_pdf
    from exchange.setup.files import write_file

    render = render_pdf if target.suffix.lower() == ".pdf" else render_html
    # What a state disclosed to the auditor is not for everybody on this machine.
    write_file(target, render(verdict, language), mode=0o600 if verdict.disclosed else 0o644)
