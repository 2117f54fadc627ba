"""Waiting for a milestone: reached, failed, or not yet, and the exit code that says which."""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

from exchange.api.routes import MAX_WAIT_S
from exchange.cli.client import NodeClient, notice_path
from exchange.cli.exits import Exit
from exchange.clock import Clock
from exchange.node.milestones import FAILED, SETTLED, Milestone
from exchange.node.views import DeliveryView, StatusView

MILESTONES: tuple[Milestone, ...] = get_args(Milestone)
_MARGIN_S = 10.0


def wait_for(node: NodeClient, id: str, milestone: Milestone, seconds: float, clock: Clock) -> StatusView:
    """Return the status once every delivery has reached the milestone or failed, or time is up."""
    end = clock.monotonic() + seconds
    while True:
        left = max(end - clock.monotonic(), 0.0)
        step = min(left, MAX_WAIT_S)
        query = {"wait": milestone, "timeout": f"{step:.3f}"}
        status = node.ask(
            "GET", notice_path(id, "/status"), StatusView, query=query, timeout_s=step + _MARGIN_S
        )
        if left <= step or not missing(status.deliveries, milestone):
            return status


def missing(deliveries: Iterable[DeliveryView], milestone: Milestone) -> tuple[str, ...]:
    """Return who has neither reached the milestone nor failed."""
    return tuple(one.recipient for one in deliveries if one.state not in SETTLED[milestone])


def failed(deliveries: Iterable[DeliveryView]) -> tuple[str, ...]:
    """Return those to whom the notice could not be brought."""
    return tuple(one.recipient for one in deliveries if one.state in FAILED)


def exit_after(deliveries: Iterable[DeliveryView], milestone: Milestone) -> Exit:
    """Return how a command that waited ends; a recipient that declined has answered."""
    deliveries = tuple(deliveries)
    if failed(deliveries):
        return Exit.REJECTED
    return Exit.NOT_YET if missing(deliveries, milestone) else Exit.OK
