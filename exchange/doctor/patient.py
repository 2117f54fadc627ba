"""What there is to look at: one data directory, read when a check first asks for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import apsw

from exchange.backup.contents import Owner, Role, owner_of
from exchange.configuration import resolve
from exchange.datadir import DataDir
from exchange.node.mirror import load_directory
from exchange.node.views import NodeView
from exchange.pinned_root import read_pinned_root
from exchange.settings import CoordinatorSettings, NodeSettings
from exchange.stores.connection import REFUSALS, Place, discard, open_reader
from exchange.stores.postgres_place import PostgresPlace, parse_place
from keys.signer import Verifier
from keys.trust import TrustedDirectory
from protocol.errors import StoreFailed
from protocol.ledger.origins import Log

if TYPE_CHECKING:
    from exchange.stores.postgres_looking import Condition

T = TypeVar("T")
DAY_MS = 86_400_000


class Level(StrEnum):
    """How a check ended; only a problem makes the command fail."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found: a level, one sentence, and what to do about it (nothing if all is well)."""

    level: Level
    message: str
    fix: str = ""


def ok(message: str) -> Finding:
    """All is well."""
    return Finding(Level.OK, message)


def note(message: str, fix: str = "") -> Finding:
    """Worth knowing; nothing must be done."""
    return Finding(Level.NOTE, message, fix)


def warning(message: str, fix: str) -> Finding:
    """Will become a problem."""
    return Finding(Level.WARNING, message, fix)


def problem(message: str, fix: str) -> Finding:
    """Something does not work, or is not safe."""
    return Finding(Level.PROBLEM, message, fix)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a service says about itself: whether it runs, and how it is, if there is a token to ask with."""

    runs: bool
    view: NodeView | None = None


NOT_ASKED = Asked(runs=False)


class Patient:
    """One data directory. Whatever cannot be read raises when it is asked for.

    Args:
        data: The data directory.
        now_ms: The time now, milliseconds UTC.
        ask: Asks the node at a socket.
    """

    def __init__(
        self, data: Path, now_ms: int, ask: Callable[[Path], Asked] = lambda socket: NOT_ASKED
    ) -> None:
        self.data = data
        self.place = DataDir(data)
        self.now_ms = now_ms
        self._ask = ask

    @cached_property
    def owner(self) -> Owner:
        """Whose it is."""
        return owner_of(self.place)

    @property
    def is_node(self) -> bool:
        """Whether it is a node's."""
        return self.owner.role is Role.NODE

    @cached_property
    def settings(self) -> NodeSettings | CoordinatorSettings:
        """The settings that the service would run with."""
        if self.is_node:
            return resolve(NodeSettings, flags={"data": str(self.data)}).settings
        return resolve(CoordinatorSettings, flags={"data": str(self.data)}).settings

    @cached_property
    def shared(self) -> PostgresPlace | None:
        """The PostgreSQL that the settings name, or None if the database is a file of the directory.

        Raises:
            SetupError: the address is none, or has a password in it.
        """
        if not isinstance(self.settings, CoordinatorSettings) or not self.settings.store:
            return None
        return parse_place(self.settings.store, self.settings.store_password_file)

    def ask_shared(self, look: Coroutine[Any, Any, T]) -> T:
        """Return what a look at it finds."""
        return asyncio.run(look)

    @cached_property
    def condition(self) -> Condition | None:
        """How that PostgreSQL is, or None if the database is a file."""
        if self.shared is None:
            return None
        # Only now: who has a file needs no driver.
        from exchange.stores.postgres_looking import condition

        return self.ask_shared(condition(self.shared))

    @contextmanager
    def database(self) -> Iterator[apsw.Connection]:
        """Give a connection to the file that only reads.

        Raises:
            StoreFailed: the database cannot be read.
        """
        db = open_reader(Place(self.place.database))
        try:
            yield db
        except (*REFUSALS, apsw.SQLError) as error:
            raise StoreFailed(
                f"the database {self.place.database} cannot be read ({type(error).__name__})",
                hint="Keep the directory as it is, and restore the newest backup: almenara restore BACKUP "
                "--data NEW",
            ) from error
        finally:
            discard(db)

    @cached_property
    def directory(self) -> TrustedDirectory:
        """The community's documents as they are stored, verified again from the pinned root hash."""
        documents = self._stored_documents()
        trusted = TrustedDirectory(read_pinned_root(self.data), Verifier())
        load_directory(trusted, documents)
        return trusted

    def _stored_documents(self) -> list[bytes]:
        if self.shared is not None:
            from exchange.stores.postgres_looking import documents

            return list(self.ask_shared(documents(self.shared)))
        query = "SELECT body FROM document ORDER BY position"
        if not self.is_node:
            query = "SELECT data FROM document ORDER BY idx"
        with self.database() as db:
            return [row[0] for row in db.execute(query)]

    def signed_sizes(self) -> dict[Log, int]:
        """Return how large each log of a coordinator is that has a signed checkpoint, as of now."""
        if self.shared is not None:
            from exchange.stores.postgres_looking import signed_sizes

            found = self.ask_shared(signed_sizes(self.shared))
        else:
            with self.database() as db:
                found = {
                    str(log): int(size) for log, size in db.execute("SELECT log, size FROM ledger_signed")
                }
        return {Log(log): size for log, size in found.items() if size}

    def witnessed_ms(self, log: Log) -> int | None:
        """Return when a quorum cosigned a log of a coordinator lately, milliseconds UTC, or None."""
        if self.shared is not None:
            from exchange.stores.postgres_looking import witnessed_ms

            return self.ask_shared(witnessed_ms(self.shared, log.value))
        with self.database() as db:
            found = db.execute("SELECT at_ms FROM ledger_witnessed WHERE log = ?", (log.value,)).fetchone()
            return None if found is None else int(found[0])

    @cached_property
    def asked(self) -> Asked:
        """What the node's service says, if it runs."""
        settings = self.settings
        return self._ask(settings.socket) if isinstance(settings, NodeSettings) else NOT_ASKED
