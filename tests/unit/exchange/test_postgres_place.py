"""Addresses of PostgreSQL databases: several servers, and never a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from exchange.stores.opening import StorePlace, open_store
from exchange.stores.postgres_place import is_postgres, parse_place
from protocol.errors import SetupError
from tests.clocks import FixedClock


def test_an_address_names_several_servers_each_with_its_port() -> None:
    """They are tried one after another."""
    place = parse_place("postgresql://me@db1,db2:5433,[2001:db8::1]:5434/exchange?sslmode=require", None)
    assert place.hosts == (("db1", 5432), ("db2", 5433), ("2001:db8::1", 5434))
    assert place.rest == "postgresql://me@/exchange?sslmode=require"


def test_a_folder_of_sockets_is_named_as_a_parameter() -> None:
    """As PostgreSQL's own programs take it."""
    place = parse_place("postgresql:///exchange?host=/run/postgresql&port=5433", None)
    assert place.hosts == (("/run/postgresql", 5433),)


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://almenara:geheim@db1/exchange",
        "postgresql://almenara@db1/exchange?password=geheim",
        "postgresql://almenara@db1/exchange?passfile=/tmp/geheim",
    ],
)
def test_a_password_in_an_address_is_refused_and_not_repeated(address: str) -> None:
    """Addresses are seen in lists of processes, in settings that are shown, and in logs."""
    with pytest.raises(SetupError) as refused:
        parse_place(address, None)
    assert "geheim" not in refused.value.message + refused.value.hint
    assert "store_password_file" in refused.value.hint


@pytest.mark.parametrize("address", ["postgresql://db1", "postgresql:///exchange", "postgresql://db1/"])
def test_an_address_without_server_or_database_is_refused(address: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(SetupError):
        parse_place(address, None)


async def test_a_store_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    """An address of something else is not taken for a file."""
    assert not is_postgres("mysql://db1/exchange")
    with pytest.raises(SetupError, match="no database that this program knows"):
        await open_store(StorePlace(tmp_path / "almenara.db", "mysql://db1/exchange"), FixedClock(0))


def test_the_password_comes_from_its_file(tmp_path: Path) -> None:
    """It is read anew for each connection, so that it may be changed while processes run."""
    file = tmp_path / "password"
    file.touch(mode=0o600)
    file.write_text("geheim\n")
    place = parse_place("postgresql://almenara@db1/exchange", file)
    assert place.arguments("db1", 5432)["password"] == "geheim"
    assert "geheim" not in repr(place)
