"""How much of what was asked for is returned: whole items, never none of them for being large."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from exchange.stores.contract import MailItem

T = TypeVar("T")


def item_size(item: MailItem) -> int:
    """Return how many bytes an item has."""
    return len(item.content)


def bounded(rows: Iterable[T], size_of: Callable[[T], int], limit: int, max_bytes: int) -> tuple[T, ...]:
    """Return the first rows, at most ``limit``, and more than ``max_bytes`` only if the first is."""
    taken: list[T] = []
    size = 0
    for row in rows:
        size += size_of(row)
        if taken and size > max_bytes:
            break
        taken.append(row)
        if len(taken) == limit:
            break
    return tuple(taken)
