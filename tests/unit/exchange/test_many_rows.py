"""Many rows in few calls, whatever their number."""

from __future__ import annotations

import apsw
import pytest

from exchange.stores.many_rows import LENGTHS, insert_rows, parts, select_among


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 17, 127, 128, 129, 400])
def test_all_rows_arrive_in_order_and_are_found_again(size: int) -> None:
    """At and beside each length that a statement may have."""
    db = apsw.Connection(":memory:")
    db.execute("CREATE TABLE thing (name TEXT PRIMARY KEY, number INTEGER) STRICT")
    insert_rows(db, "INSERT INTO thing VALUES", [(f"n{number}", number) for number in range(size)])
    rows = [number for (number,) in db.execute("SELECT number FROM thing ORDER BY rowid")]
    assert rows == list(range(size))
    query = "SELECT name, number FROM thing WHERE name IN {ids}"
    names = [f"n{number}" for number in range(0, 2 * size, 2)]
    assert sorted(number for _, number in select_among(db, query, names)) == list(range(0, size, 2))


def test_only_a_few_lengths_are_used() -> None:
    """So that each statement is prepared once."""
    assert {len(part) for part in parts(range(1000))} <= set(LENGTHS)
