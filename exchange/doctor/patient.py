"""What there is to look at: one data directory, read when a check first asks for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path

import apsw

from exchange.backup.contents import Owner, Role, owner_of
from exchange.configuration import resolve
from exchange.datadir import DataDir
from exchange.node.mirror import load_directory
from exchange.node.views import NodeView
from exchange.pinned_root import read_pinned_root
from exchange.settings import CoordinatorSettings, NodeSettings
from exchange.stores.connection import REFUSALS, Place, discard, open_reader
from keys.signer import Verifier
from keys.trust import TrustedDirectory
from protocol.errors import StoreFailed

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

    @contextmanager
    def database(self) -> Iterator[apsw.Connection]:
        """Give a connection that only reads.

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
        query = "SELECT body FROM document ORDER BY position"
        if not self.is_node:
            query = "SELECT data FROM document ORDER BY idx"
        with self.database() as db:
            documents = [row[0] for row in db.execute(query)]
        trusted = TrustedDirectory(read_pinned_root(self.data), Verifier())
        load_directory(trusted, documents)
        return trusted

    @cached_property
    def asked(self) -> Asked:
        """What the node's service says, if it runs."""
        settings = self.settings
        return self._ask(settings.socket) if isinstance(settings, NodeSettings) else NOT_ASKED
