"""Flow control: how much may be outstanding in one direction, in messages and in bytes."""

from __future__ import annotations

from collections import OrderedDict


class Window:
    """Numbered items that were sent and not yet answered.

    Args:
        items: At most this many outstanding.
        size: At most this many bytes outstanding; one item is always allowed, however large.
    """

    def __init__(self, items: int, size: int) -> None:
        self._items = items
        self._size = size
        self._outstanding: OrderedDict[int, int] = OrderedDict()
        self._bytes = 0
        self._last = -1

    def __len__(self) -> int:
        return len(self._outstanding)

    def has_room(self, size: int = 0) -> bool:
        """Whether one more item of ``size`` bytes may be sent now."""
        if not self._outstanding:
            return True
        return len(self._outstanding) < self._items and self._bytes + size <= self._size

    def rises(self, number: int) -> bool:
        """Whether ``number`` is higher than every number before it."""
        return number > self._last

    def open(self, number: int, size: int) -> bool:
        """Record an item; False if its number does not rise or there is no room for it."""
        if not self.rises(number) or not self.has_room(size):
            return False
        self._last = number
        self._outstanding[number] = size
        self._bytes += size
        return True

    def close(self, number: int) -> bool:
        """Record the answer to one item; False if that item is not outstanding."""
        size = self._outstanding.pop(number, None)
        if size is None:
            return False
        self._bytes -= size
        return True

    def knows(self, number: int) -> bool:
        """Whether that item is outstanding."""
        return number in self._outstanding

    def close_up_to(self, number: int) -> bool:
        """Record that all items up to ``number`` are answered; False if it was never sent."""
        if number > self._last:
            return False
        while self._outstanding and next(iter(self._outstanding)) <= number:
            self._bytes -= self._outstanding.popitem(last=False)[1]
        return True
