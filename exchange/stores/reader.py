"""Reading beside the writer: each call sees one unchanging snapshot, and waits for nobody."""

from __future__ import annotations

from collections.abc import Sequence

import apsw

from exchange.stores.connection import REFUSALS, Place, discard, open_reader
from exchange.stores.writer import Outcome, Work, deliverable
from protocol.errors import StoreFailed


class ReaderCore:
    """One reading connection. Not thread-safe: one thread owns it.

    Args:
        place: The database, which exists.

    Raises:
        StoreFailed: It cannot be opened.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.reads = 0
        self._db: apsw.Connection | None = open_reader(place)

    def run(self, batch: Sequence[Work]) -> list[Outcome]:
        """Run each work in its own snapshot and return an outcome for each; never raises for them."""
        return [self._run_one(work) for work in batch]

    def close(self) -> None:
        """Close the connection."""
        self._drop()

    def _run_one(self, work: Work) -> Outcome:
        self.reads += 1
        try:
            if self._db is None:
                self._db = open_reader(self.place)
            return self._snapshot(self._db, work)
        except REFUSALS as error:
            # Open anew next time: a connection that met a bad disk may keep bad pages in its cache.
            self._drop()
            failed = StoreFailed(f"the database {self.place.path} cannot be read ({type(error).__name__})")
            failed.__cause__ = error
            return Outcome(None, failed)
        except Exception as error:
            return Outcome(None, deliverable(error))

    def _snapshot(self, db: apsw.Connection, work: Work) -> Outcome:
        """Run the work inside a read transaction, which pins no WAL once it has ended."""
        db.execute("BEGIN")
        try:
            return Outcome(work(db), None)
        finally:
            if db.in_transaction:
                db.execute("ROLLBACK")

    def _drop(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            discard(db)
