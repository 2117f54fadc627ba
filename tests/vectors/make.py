"""Write every vector and every generated block of the pages: ``python -m tests.vectors.make``.

The result depends on nothing but this code and ``fixtures``: a test makes everything again and
compares it with the files.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.vectors import make_ledger, make_receipt, make_spec
from tests.vectors.kept import KEPT, Kept
from tests.vectors.scenarios import encoding, envelope, notice, opening, statement

HERE = Path(__file__).resolve().parent
FORMATS = {
    "encoding": encoding.scenarios,
    "notice": notice.scenarios,
    "envelope": envelope.scenarios,
    "opening": opening.scenarios,
    "statement": statement.scenarios,
}


def vectors(kept: Kept) -> dict[str, str]:
    """Return the text of every vector by its path below this folder."""
    made: dict[str, str] = {}
    for folder, scenarios in FORMATS.items():
        for name, scenario in scenarios(kept):
            path = f"{folder}/{name}.json"
            assert path not in made, f"two scenarios are called {path}"
            made[path] = json.dumps(scenario, indent=1) + "\n"
    return made


def main() -> None:
    """Write the vectors, and keep what was randomised."""
    KEPT.thaw()
    made = vectors(KEPT)
    texts = {"ledger": make_ledger.files(), "receipt": make_receipt.files()}
    pages = make_spec.pages()
    for folder in FORMATS:
        (HERE / folder).mkdir(exist_ok=True)
        for stale in (HERE / folder).glob("*.json"):
            if f"{folder}/{stale.name}" not in made:
                stale.unlink()
    for path, text in made.items():
        (HERE / path).write_text(text)
    for folder, files in texts.items():
        (HERE / folder).mkdir(exist_ok=True)
        for name, text in files.items():
            (HERE / folder / name).write_text(text, "utf-8")
    for page, text in pages.items():
        page.write_text(text, "utf-8")
    KEPT.save()


if __name__ == "__main__":
    main()
