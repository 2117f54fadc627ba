"""What one member may cost, so that a flood by one does not slow the others down."""

from __future__ import annotations

from dataclasses import dataclass

from protocol.errors import OverQuota


@dataclass(frozen=True, slots=True)
class Allowance:
    """How much a member may bring: steadily per second, and at once after a silence.

    Far above what an honest node does in a crisis; what is refused is kept by the node and sent later.
    """

    items_per_second: float = 500.0
    items_at_once: float = 5_000.0
    bytes_per_second: float = 8.0 * 2**20
    bytes_at_once: float = 64.0 * 2**20


_DAY_SECONDS = 86_400

DAILY_ALLOWANCE = Allowance(
    items_per_second=500_000 / _DAY_SECONDS,
    items_at_once=500_000,
    bytes_per_second=2 * 2**30 / _DAY_SECONDS,
    bytes_at_once=2 * 2**30,
)
"""What a member may bring in a day, because the coordinator and every recipient keep it."""

STATEMENT_ALLOWANCE = Allowance(items_per_second=2_000.0, items_at_once=20_000.0)
DAILY_STATEMENT_ALLOWANCE = Allowance(
    items_per_second=2_000_000 / _DAY_SECONDS,
    items_at_once=2_000_000,
    bytes_per_second=8 * 2**30 / _DAY_SECONDS,
    bytes_at_once=8 * 2**30,
)
"""Statements have budgets of their own: how many receipts a member owes, others decide."""

DOCUMENT_ALLOWANCE = Allowance(
    items_per_second=1 / 600, items_at_once=128, bytes_per_second=64.0, bytes_at_once=4.0 * 2**20
)
"""Documents cost more: every node keeps each of them for ever, and reads all of them at every start. A
member publishes a few a week; at this rate, one that means harm fills a community file in three months."""


class Budget:
    """One member's tokens, filled by time.

    Args:
        allowance: How fast they fill, and how many there can be.
        now: Monotonic seconds.
    """

    def __init__(self, allowance: Allowance, now: float) -> None:
        self._allowance = allowance
        self._items = allowance.items_at_once
        self._bytes = allowance.bytes_at_once
        self._filled = now

    def has(self, size: int, now: float) -> bool:
        """Whether there are tokens now for one item of ``size`` bytes."""
        allowance, passed = self._allowance, max(0.0, now - self._filled)
        self._filled = now
        self._items = min(allowance.items_at_once, self._items + passed * allowance.items_per_second)
        self._bytes = min(allowance.bytes_at_once, self._bytes + passed * allowance.bytes_per_second)
        return self._items >= 1 and self._bytes >= size

    def spend(self, size: int) -> None:
        """Take the tokens of one item of ``size`` bytes, which :meth:`has` has found."""
        self._items -= 1
        self._bytes -= size


class Budgets:
    """The budgets of all members.

    Args:
        allowances: All of them hold, and are the same for everybody.
    """

    def __init__(self, *allowances: Allowance) -> None:
        self._allowances = allowances
        self._budgets: dict[str, tuple[Budget, ...]] = {}

    def charge(self, party: str, size: int, now: float) -> None:
        """Take one item of ``size`` bytes from a member's budget.

        Args:
            party: The code of an authenticated member; there are as many budgets as members.
            size: Bytes.
            now: Monotonic seconds.

        Raises:
            OverQuota: its budget is used up.
        """
        budgets = self._budgets.get(party)
        if budgets is None:
            budgets = tuple(Budget(allowance, now) for allowance in self._allowances)
            self._budgets[party] = budgets
        # Every budget is asked, so that every one is filled, and nothing is taken for what is refused.
        found = [budget.has(size, now) for budget in budgets]
        if not all(found):
            raise OverQuota(f"{party} brings more than its share")
        for budget in budgets:
            budget.spend(size)
