"""Group commit, without threads: many pieces of work, one flush, one truthful outcome each.

Every outcome is one of three, and the power-cut tests hold the writer to it:

- a value: the work is committed and flushed; no power cut can take it back;
- an error of the work itself, or :class:`StoreFailed`: nothing of this work is in the database;
- :class:`OutcomeUnknown`: the commit failed half-way; the work may be there or not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import apsw

from exchange.stores.connection import REFUSALS, Place, discard, open_writer
from protocol.errors import AlmenaraError, OutcomeUnknown, StoreFailed

Work = Callable[[apsw.Connection], object]
"""Statements on the connection it is given, without BEGIN, COMMIT or ROLLBACK.

It may be run a second time, after the first was rolled back, so it must have no other effect.
"""


class Outcome(NamedTuple):
    """What became of one piece of work: a value if ``error`` is None."""

    value: object
    error: Exception | None


@dataclass(slots=True)
class WriterCounters:
    """What the writer did since it was opened."""

    works: int = 0
    commits: int = 0
    largest_batch: int = 0
    reopened: int = 0


class Refused(Exception):
    """The transaction of a whole batch ended without a commit; never leaves this module.

    Args:
        verdict: What each caller is told.
        singly: Whether the works may succeed one by one, because only one of them is to blame.
    """

    def __init__(self, verdict: Exception, *, singly: bool = False) -> None:
        super().__init__()
        self.verdict = verdict
        self.singly = singly

    def outcome(self) -> Outcome:
        """Return the verdict for one caller, as an exception of its own."""
        if not isinstance(self.verdict, AlmenaraError):
            return Outcome(None, self.verdict)
        error = type(self.verdict)(self.verdict.message, hint=self.verdict.hint)
        error.__cause__ = self.__cause__
        return Outcome(None, error)


class WriterCore:
    """The writing connection of one database. Not thread-safe: one thread owns it.

    After a failed commit the connection is closed; the next batch opens it again by itself.

    Args:
        place: The database, which exists.

    Raises:
        StoreFailed: It cannot be opened.
        SetupError: Its folder cannot hold a WAL.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.counters = WriterCounters()
        self._identity = place.identity()
        self._db: apsw.Connection | None = open_writer(place)

    @property
    def db(self) -> apsw.Connection:
        """The open connection, for migrations; opened again and cleaned if a commit had failed.

        Raises:
            StoreFailed: It cannot be opened.
        """
        if self._db is None:
            self._db = self._reopen()
        return self._db

    @property
    def in_doubt(self) -> bool:
        """Whether something failed since the last commit. Any thread may ask."""
        return self._db is None

    def run(self, batch: Sequence[Work]) -> list[Outcome]:
        """Run each work in its own savepoint, commit once, and return an outcome for each.

        Values are durable when this returns. Never raises for a failing work or disk.
        """
        self.counters.works += len(batch)
        self.counters.largest_batch = max(self.counters.largest_batch, len(batch))
        try:
            return self._commit(batch)
        except Refused as refused:
            if refused.singly and len(batch) > 1:
                return [self._run_singly(work) for work in batch]
            return [refused.outcome() for _ in batch]

    def close(self) -> None:
        """Close the connection, at any time and without complaint: what was claimed is durable already.

        SQLite folds the WAL into the database if nobody else has it open.
        """
        self._drop()

    def _run_singly(self, work: Work) -> Outcome:
        """Commit one work of a refused batch by itself, so that only the guilty one is refused."""
        try:
            return self._commit([work])[0]
        except Refused as refused:
            return refused.outcome()

    def _commit(self, batch: Sequence[Work]) -> list[Outcome]:
        """Run the batch in one transaction; raise Refused if it did not end in a commit."""
        db = self._begin()
        outcomes = [self._run_one(db, work) for work in batch]
        try:
            db.execute("COMMIT")
        except apsw.ConstraintError as error:
            self._rollback(db)
            raise Refused(error, singly=True) from error
        except (apsw.FullError, apsw.BusyError) as error:
            # The commit record is the last thing written: refused before it, nothing is there.
            self._rollback(db)
            raise Refused(self._nothing_written(error), singly=True) from error
        except Exception as error:
            self._drop()
            raise Refused(OutcomeUnknown("the disk failed while the work was being committed")) from error
        self.counters.commits += 1
        return outcomes

    def _begin(self) -> apsw.Connection:
        try:
            db = self.db
            self._require_same_file()
            db.execute("BEGIN IMMEDIATE")
        except StoreFailed as error:
            raise Refused(error) from error
        except Exception as error:
            self._drop()
            raise Refused(self._nothing_written(error)) from error
        return db

    def _run_one(self, db: apsw.Connection, work: Work) -> Outcome:
        """Run one work; its own error undoes only itself, a refusing disk ends the transaction."""
        try:
            db.execute("SAVEPOINT work")
            try:
                outcome = Outcome(work(db), None)
            except Exception as error:
                if isinstance(error, REFUSALS) or not db.in_transaction:
                    raise
                db.execute("ROLLBACK TO work")
                outcome = Outcome(None, deliverable(error))
            db.execute("RELEASE work")
        except Exception as error:
            self._rollback(db)
            full = isinstance(error, apsw.FullError)
            if not full:
                self._drop()
            raise Refused(self._nothing_written(error), singly=full) from error
        return outcome

    def _nothing_written(self, error: Exception) -> StoreFailed:
        return StoreFailed(f"the database {self.place.path} refused the work ({type(error).__name__})")

    def _require_same_file(self) -> None:
        if self.place.identity() != self._identity:
            raise StoreFailed(
                f"the database {self.place.path} was replaced while it was open",
                hint="Stop this process, put the right file back, and start it again.",
            )

    def _rollback(self, db: apsw.Connection) -> None:
        """Undo the transaction; if even that fails, drop the connection, which undoes it too."""
        try:
            if db.in_transaction:
                db.execute("ROLLBACK")
        except apsw.Error:
            self._drop()

    def _drop(self) -> None:
        """Forget the connection; after a failure the next batch opens a new one."""
        db, self._db = self._db, None
        if db is not None:
            discard(db)

    def _reopen(self) -> apsw.Connection:
        """Open again after a failure, and empty the whole WAL into the database before new work.

        A kernel may forget the pages of a failed fsync and report the next one as good. Frames
        appended behind such a hole would be unreadable after a power cut, so the WAL is emptied
        first. Source: "Can Applications Recover from fsync Failures?" (USENIX ATC 2020).
        """
        self._require_same_file()
        db = open_writer(self.place)
        try:
            db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except apsw.Error as error:
            discard(db)
            raise self._nothing_written(error) from error
        self.counters.reopened += 1
        return db


def deliverable(error: Exception) -> Exception:
    """Return the error in a form that a future accepts: StopIteration alone is not one."""
    if isinstance(error, StopIteration):
        return RuntimeError("the work raised StopIteration")
    return error
