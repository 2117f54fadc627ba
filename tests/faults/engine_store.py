"""What the engine itself is asked to write: a numbered row, now and then taken back."""

from __future__ import annotations

import random
from dataclasses import dataclass

import apsw

from exchange.stores.migrate import packaged
from exchange.stores.writer import Work
from tests.faults.cuts import Changed, Subject


@dataclass(frozen=True)
class Insert:
    """One row with a body, taken back if the work changes its mind."""

    name: bytes
    body: bytes
    changes: bool

    def __call__(self, db: apsw.Connection) -> bytes:
        """Insert the row."""
        number = int.from_bytes(self.name, "big")
        db.execute("INSERT INTO entry (number, body) VALUES (?, ?)", (number, self.body))
        if self.changes:
            raise Changed
        return self.name


def make_work(chance: random.Random) -> tuple[bytes, Work]:
    """Return a row that nobody has written before."""
    body = chance.randbytes(chance.choice((20, 300, 3_000, 9_000)))
    # 56 bits: the number fits SQLite's, and two are not drawn alike.
    insert = Insert(chance.randbytes(7), body, changes=chance.random() < 0.1)
    return insert.name, insert


def examine(db: apsw.Connection) -> set[bytes]:
    """Return the rows that are there; those that the migrations make have negative numbers."""
    rows = db.execute("SELECT number FROM entry WHERE number >= 0")
    return {int(str(number)).to_bytes(7, "big") for (number,) in rows}


ENGINE = Subject(packaged("tests.faults.migrations"), make_work, examine, reach=120)
