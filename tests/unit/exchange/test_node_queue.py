"""What was handed over is forgotten cheaply, and nothing else is deleted less thoroughly for that."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from exchange.stores.connection import Place, open_writer
from exchange.stores.migrate import migrate, packaged
from exchange.stores.node_queue import (
    enqueue_envelopes,
    queue_length,
    read_queue,
    read_small_queue,
    remove_all,
)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[apsw.Connection]:
    """Return the writing connection of a node's store."""
    place = Place(tmp_path / "node.db")
    place.create()
    opened = open_writer(place)
    migrate(opened, packaged("exchange.stores.sql.node"), 0)
    yield opened
    opened.close()


def test_what_was_answered_is_gone_and_the_rest_keeps_its_order(db: apsw.Connection) -> None:
    """However many at once."""
    enqueue_envelopes(db, [(1, secrets.token_bytes(32), b"x" * 9_000) for _ in range(150)])
    numbers = [row.number for row in read_queue(db, 1000, ())]
    remove_all(db, numbers[:140])
    assert [row.number for row in read_queue(db, 1000, ())] == numbers[140:]
    assert queue_length(db) == 10


@pytest.mark.parametrize("numbers", [[1], []])
def test_afterwards_what_is_deleted_is_overwritten_again(db: apsw.Connection, numbers: list[int]) -> None:
    """Destroyed keys must be gone from the file."""
    enqueue_envelopes(db, [(1, bytes(32), b"x" * 9_000)])
    remove_all(db, numbers)
    assert db.execute("PRAGMA secure_delete").get == 1


def test_a_failure_leaves_it_so_too(db: apsw.Connection) -> None:
    """Whatever the disk says."""
    enqueue_envelopes(db, [(1, bytes(32), b"x")])
    db.execute("CREATE TRIGGER refuse BEFORE DELETE ON outgoing BEGIN SELECT raise(ABORT, 'no'); END")
    with pytest.raises(apsw.ConstraintError):
        remove_all(db, [1])
    assert db.execute("PRAGMA secure_delete").get == 1


def test_a_small_queue_is_read_at_once_and_a_large_one_is_not_touched(db: apsw.Connection) -> None:
    """What is read on the loop must not hold it up."""
    enqueue_envelopes(db, [(1, secrets.token_bytes(32), b"x" * 1_000) for _ in range(3)])
    small = read_small_queue(db, 10, (), 3_000)
    assert small == read_queue(db, 10, ())
    assert read_small_queue(db, 10, (), 2_999) is None
    assert [row.number for row in read_small_queue(db, 10, (1,), 2_000) or ()] == [2, 3]
