"""What an error of PostgreSQL means: is the connection dead, is the whole server, is the outcome known?"""

from __future__ import annotations

import asyncio

import asyncpg

from protocol.errors import StoreFailed

REFUSALS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
    asyncio.IncompleteReadError,
)
"""What asyncpg raises when the server refuses, is not there, or is not the one it was."""

READ_ONLY = "25006"
"""The server takes no writes: it is a standby by now, whatever it was when the connection was made."""

SHUTTING_DOWN = frozenset({"57P01", "57P02", "57P03"})
PASSING = frozenset({"40001", "40P01"})
"""Serialization failure and deadlock: nothing was done, and trying again is what they ask for."""

LOCK_NOT_HAD = "55P03"
TOO_MANY = frozenset({"53300", "53400"})
DAMAGED = frozenset({"XX001", "XX002"})
"""Data or index corrupted: a page's checksum does not fit, or what is in it makes no sense."""

MISTAKES = ("22", "23", "42")
"""Classes of errors that the statement itself is to blame for."""


def state_of(error: BaseException) -> str:
    """Return the five characters by which PostgreSQL names an error, or nothing."""
    return str(getattr(error, "sqlstate", None) or "")


def is_mistake(error: BaseException) -> bool:
    """Whether the statement is to blame, so that trying again or elsewhere would not help."""
    return isinstance(error, asyncpg.PostgresError) and state_of(error)[:2] in MISTAKES


def is_lost(error: BaseException) -> bool:
    """Whether the connection, or the server behind it, is gone or not the one to write to any more."""
    state = state_of(error)
    return state == READ_ONLY or state in SHUTTING_DOWN or state.startswith("08") or not state


def refusal(error: BaseException, shown: str) -> StoreFailed:
    """Return what is told to whoever asked: nothing was written.

    Args:
        error: What asyncpg raised.
        shown: The database's address, without secrets.
    """
    state = state_of(error)
    what = f"{type(error).__name__} {state}".rstrip()
    if state in TOO_MANY:
        return StoreFailed(
            f"the database {shown} has no connection left ({what})",
            hint="Raise max_connections of the server, or run fewer processes on it.",
        )
    if state == LOCK_NOT_HAD:
        return StoreFailed(
            f"the database {shown} was busy for too long ({what})",
            hint="Look for a transaction that holds a lock: SELECT * FROM pg_stat_activity",
        )
    if state in DAMAGED:
        return StoreFailed(
            f"the database {shown} found damaged pages on its disk ({what})",
            hint="Let a standby take over, keep the damaged disk as it is, and make that server anew.",
        )
    return StoreFailed(
        f"the database {shown} refused the work ({what})",
        hint="Check that a server that takes writes is reachable, and that its standby is connected.",
    )
