"""The receipt's vectors, in text: one that is true, and how others differ from it that must be refused.

Written with the others by ``python -m tests.vectors.make``.
"""

from __future__ import annotations

import json
from itertools import takewhile

from protocol.ledger.receipt import format_receipt
from tests.vectors import receipts
from tests.vectors.make_spec_ledger import shortened
from tests.vectors.world import COMMUNITY

SHOWN_LINES = 2


def files() -> dict[str, str]:
    """Return the text of every file by its name in the folder ``receipt``."""
    good = format_receipt(receipts.receipt()).decode()
    changes = [
        {"code": code, "why": why, **change(good, data.decode())} for code, why, data in receipts.refused()
    ]
    return {
        "pinned.txt": f"{COMMUNITY['community']}\n",
        "good.txt": good,
        "refused.json": json.dumps(changes, indent=1, ensure_ascii=False) + "\n",
    }


def change(good: str, bad: str) -> dict[str, object]:
    """Return how many first and last lines two texts share, and what stands between them in the second."""
    old, new = good.split("\n"), bad.split("\n")
    first = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(old, new, strict=False))))
    rest = zip(reversed(old[first:]), reversed(new[first:]), strict=False)
    last = len(list(takewhile(lambda pair: pair[0] == pair[1], rest)))
    return {"first": first, "last": last, "between": new[first : len(new) - last]}


def changed(good: str, change: dict[str, object]) -> str:
    """Return the text that a change makes of the good one."""
    lines, first, last = good.split("\n"), change["first"], change["last"]
    assert isinstance(first, int)
    assert isinstance(last, int)
    assert isinstance(change["between"], list)
    return "\n".join([*lines[:first], *change["between"], *lines[len(lines) - last :]])


def page() -> str:
    """Return the example of the page: the whole receipt, with its base64 cut short."""
    shown: list[str] = []
    lines = format_receipt(receipts.receipt()).decode().removesuffix("\n").split("\n")
    run = 0
    for line in lines:
        run = run + 1 if len(line) == 76 and " " not in line else 0
        if run <= SHOWN_LINES:
            shown.append(line)
        elif run == SHOWN_LINES + 1:
            shown.append("...")
    return shortened("\n".join(shown))


BLOCKS = {"receipt": page}
