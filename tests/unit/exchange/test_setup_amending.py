"""What a state changes after it has joined, with its identity key."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from exchange.clock import SystemClock
from exchange.datadir import DataDir
from exchange.keystore import read_secret
from exchange.node.mirror import load_directory
from exchange.node.service import MIGRATIONS
from exchange.node.tokens import TokenBook
from exchange.setup import people
from exchange.setup.amending import Amendment, add_officer, amending, publish_severity, revoke_officer
from exchange.severity.load import template_text
from exchange.stores.engine import Engine
from exchange.stores.node_books import read_documents
from exchange.stores.node_queue import OutgoingRow, read_queue
from keys.signature import SecretKey
from keys.signer import Signer, Verifier
from keys.trust import TrustedDirectory
from protocol.documents import Role
from protocol.errors import (
    BadRequest,
    DataDirBusy,
    KeyfileError,
    NotAuthorized,
    NotFound,
    SetupError,
    UnknownSigner,
)
from tests.acceptance.ceremony import HUB, NO_PASSPHRASE, Founded, admit, new_node

T = TypeVar("T")
CLOCK = SystemClock()
NAME = "Officer of XAA"


def change(
    founded: Founded, work: Callable[[Amendment], Awaitable[T]], *, code: str = "XAA", key: str = "XAA"
) -> T:
    async def run() -> T:
        identity = founded.data(key) / "keys" / "identity.key"
        async with amending(founded.data(code), identity, NO_PASSPHRASE, CLOCK) as amendment:
            return await work(amendment)

    return asyncio.run(run())


def add(founded: Founded, name: str) -> Path:
    return change(founded, lambda amendment: add_officer(amendment, name))


def revoke(founded: Founded, name: str) -> None:
    change(founded, lambda amendment: revoke_officer(amendment, name))


def afterwards(founded: Founded) -> tuple[TrustedDirectory, list[OutgoingRow]]:
    """Return what XAA's node trusts when it starts again, and what it will hand over."""

    async def read() -> tuple[list[bytes], list[OutgoingRow]]:
        engine = await Engine.open(DataDir(founded.data("XAA")).database, MIGRATIONS, CLOCK)
        try:
            queue = await engine.read(lambda db: read_queue(db, 10, ()))
            return await engine.read(read_documents), queue
        finally:
            await engine.close()

    documents, queue = asyncio.run(read())
    directory = TrustedDirectory(founded.root_hash, Verifier())
    load_directory(directory, documents)
    return directory, queue


def test_a_new_officer_is_trusted_here_and_published(ceremony: Founded, tmp_path: Path) -> None:
    """The manifest lists the key, the queue holds the document, and the token is known."""
    founded = ceremony.copy(tmp_path)
    token = add(founded, "José Pérez")
    directory, queue = afterwards(founded)
    manifest = directory.documents.manifests["XAA"].document
    assert manifest.version == 2
    assert [key.owner for key in manifest.keys] == ["node of XAA", NAME, "José Pérez"]
    assert [row.kind for row in queue] == ["publish"]
    assert token.name == "officer-jose-perez.token"
    assert TokenBook(founded.data("XAA") / "access").identify(read_secret(token)).name == "José Pérez"
    listed = {officer.name: officer for officer in people.officers(DataDir(founded.data("XAA")))}
    key_id = listed["José Pérez"].description.key_id
    assert directory.officer_key("XAA", key_id, CLOCK.now_ms()).owner == "José Pérez"


def test_an_officer_that_could_not_be_listed_leaves_nothing_behind(ceremony: Founded, tmp_path: Path) -> None:
    """A token that was made in vain lets nobody in, and its name is free for the next try."""
    founded = ceremony.copy(tmp_path)

    async def add_with_another_key(amendment: Amendment) -> Path:
        stranger = Signer(SecretKey.generate(), Role.IDENTITY)
        return await add_officer(replace(amendment, identity=stranger), "José Pérez")

    place = founded.data("XAA")
    before = sorted(place.rglob("*.key")), sorted((place / "access").iterdir())
    with pytest.raises(UnknownSigner):
        change(founded, add_with_another_key)
    assert (sorted(place.rglob("*.key")), sorted((place / "access").iterdir())) == before
    assert add(founded, "José Pérez").exists()


def test_the_others_accept_what_was_published(ceremony: Founded, tmp_path: Path) -> None:
    """The document that waits in the queue continues the chain that every member holds."""
    founded = ceremony.copy(tmp_path)
    before = afterwards(founded)[0]
    add(founded, "José Pérez")
    (row,) = afterwards(founded)[1]
    assert before.update(row.content, CLOCK.now_ms()).changed


def test_a_revoked_officer_cannot_come_in_or_sign(ceremony: Founded, tmp_path: Path) -> None:
    """Token and key are gone here, and everybody is told; earlier signatures stay valid."""
    founded = ceremony.copy(tmp_path)
    text = read_secret(founded.token("XAA"))
    (officer,) = people.officers(DataDir(founded.data("XAA")))
    before_ms = CLOCK.now_ms()
    revoke(founded, NAME)
    with pytest.raises(NotAuthorized):
        TokenBook(founded.data("XAA") / "access").identify(text)
    directory = afterwards(founded)[0]
    key_id = officer.description.key_id
    assert directory.officer_name("XAA", key_id, before_ms - 1) == NAME
    with pytest.raises(UnknownSigner):
        directory.officer_key("XAA", key_id, CLOCK.now_ms())
    assert list(people.officers(DataDir(founded.data("XAA")))) == []


def test_a_revoked_name_may_be_given_again(ceremony: Founded, tmp_path: Path) -> None:
    """A lost token is replaced: revoke, then add, with a new key."""
    founded = ceremony.copy(tmp_path)
    revoke(founded, NAME)
    add(founded, NAME)
    directory, queue = afterwards(founded)
    assert directory.documents.manifests["XAA"].document.version == 3
    assert len(queue) == 2


def test_a_name_that_is_taken_is_refused(ceremony: Founded, tmp_path: Path) -> None:
    """Two officers of one name could not be told apart in a receipt."""
    founded = ceremony.copy(tmp_path)
    with pytest.raises(BadRequest) as caught:
        add(founded, NAME)
    assert "revoke" in caught.value.hint


def test_an_unknown_officer_cannot_be_revoked(ceremony: Founded, tmp_path: Path) -> None:
    """The error lists who there is."""
    with pytest.raises(NotFound) as caught:
        revoke(ceremony.copy(tmp_path), "Nobody")
    assert NAME in caught.value.hint


def test_another_states_identity_key_is_refused(ceremony: Founded, tmp_path: Path) -> None:
    """Bringing the wrong card changes nothing."""
    founded = ceremony.copy(tmp_path)
    with pytest.raises(KeyfileError):
        change(founded, lambda amendment: add_officer(amendment, "X"), key="XBB")
    assert afterwards(founded)[1] == []


def test_while_the_node_runs_nothing_is_changed(ceremony: Founded, tmp_path: Path) -> None:
    """The error names the process to stop."""
    founded = ceremony.copy(tmp_path)
    with DataDir(founded.data("XAA")), pytest.raises(DataDirBusy) as caught:
        add(founded, "X")
    assert "Stop process" in caught.value.hint


def test_before_joining_nothing_can_be_changed(applied: Founded, tmp_path: Path) -> None:
    """There is no chain to continue yet."""
    with pytest.raises(SetupError) as caught:
        add(applied.copy(tmp_path), "X")
    assert "join" in caught.value.hint


def test_a_severity_schema_is_published_as_its_next_version(ceremony: Founded, tmp_path: Path) -> None:
    """A new schema begins at version 1, a changed one continues, and a gap is refused."""
    founded = ceremony.copy(tmp_path)
    new_node(founded, "XZZ", CLOCK)
    admit(founded, ["XZZ"], CLOCK)
    file = tmp_path / "schema.toml"
    text = template_text().replace('"example"', '"published"').replace(" = false", " = true", 1)

    async def publish(amendment: Amendment) -> str:
        return await publish_severity(amendment, str(file))

    from exchange.setup.joining import join_community

    asyncio.run(join_community(founded.data("XZZ"), founded.community, coordinator=HUB, clock=CLOCK))
    for version, fits in ((2, False), (1, True), (1, False), (3, False), (2, True)):
        file.write_text(text.replace("version = 1", f"version = {version}"))
        if fits:
            assert change(founded, publish, code="XZZ", key="XZZ") == f"xzz-national@{version}"
        else:
            with pytest.raises(BadRequest):
                change(founded, publish, code="XZZ", key="XZZ")


def test_a_schema_that_is_only_an_example_is_not_published(ceremony: Founded, tmp_path: Path) -> None:
    """The hint says what to write once it is final."""
    founded = ceremony.copy(tmp_path)
    file = tmp_path / "schema.toml"
    file.write_text(template_text().replace("XZZ", "XAA"))

    async def publish(amendment: Amendment) -> str:
        return await publish_severity(amendment, str(file))

    with pytest.raises(BadRequest) as caught:
        change(founded, publish)
    assert "published" in caught.value.hint
