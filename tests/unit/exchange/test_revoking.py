"""A key is ended at once; nobody silences a state by accident."""

from __future__ import annotations

from pathlib import Path

import pytest

from exchange.datadir import DataDir
from exchange.keystore import read_secret
from exchange.node.tokens import TokenBook
from exchange.setup import people
from exchange.setup.amending import Amendment
from exchange.setup.keyring import Protect, unprotected
from exchange.setup.revoking import Plan, Revoked, plan, revoke
from protocol.documents import Role
from protocol.errors import BadRequest, KeyRevoked, NotAuthorized, NotFound, SetupError
from tests.acceptance.ceremony import Founded
from tests.unit.exchange.test_setup_amending import CLOCK, NAME, afterwards, change


def planned(founded: Founded, wanted: str, since_ms: int = 0) -> Plan:
    async def ask(amendment: Amendment) -> Plan:
        return plan(amendment, wanted, since_ms, "compromised")

    return change(founded, ask)


def ended(
    founded: Founded, wanted: str, protect: Protect | None = None, *, silence: bool = False, since_ms: int = 0
) -> Revoked:
    async def end(amendment: Amendment) -> Revoked:
        found = plan(amendment, wanted, since_ms, "compromised")
        return await revoke(amendment, found, protect, silence=silence)

    return change(founded, end)


def node_key(founded: Founded) -> bytes:
    """Return the id of the node key that XAA uses."""
    return planned(founded, "node").entry.key_id


def test_the_only_node_key_is_not_revoked_by_accident(ceremony: Founded, tmp_path: Path) -> None:
    """Without another key a state could send nothing and confirm nothing; so that must be asked for."""
    founded = ceremony.copy(tmp_path)
    assert planned(founded, "node").silences
    with pytest.raises(SetupError, match="the last node key"):
        ended(founded, "node")
    assert afterwards(founded)[1] == []
    done = ended(founded, "node", silence=True)
    assert (done.replacement, done.version) == (None, 2)


def test_a_stolen_node_key_is_replaced_in_the_same_manifest(ceremony: Founded, tmp_path: Path) -> None:
    """There is no moment in which the state has no key, and the old one signs nothing any more."""
    founded = ceremony.copy(tmp_path)
    old = node_key(founded)
    done = ended(founded, old.hex()[:8], unprotected, since_ms=5)
    assert done.file == founded.data("XAA") / "keys" / "node-2.key"
    assert done.file is not None
    assert done.file.exists()
    directory, queue = afterwards(founded)
    with pytest.raises(KeyRevoked):
        directory.node_key("XAA", old, CLOCK.now_ms())
    assert directory.node_key("XAA", bytes.fromhex(done.replacement or ""), CLOCK.now_ms())
    assert directory.documents.revoked["XAA", old] == 5
    assert len(queue) == 1


def test_an_officer_whose_key_is_revoked_cannot_come_in(ceremony: Founded, tmp_path: Path) -> None:
    """The token is taken back with the key, and a new one can be given under the same name."""
    founded = ceremony.copy(tmp_path)
    text = read_secret(founded.token("XAA"))
    ended(founded, NAME)
    with pytest.raises(NotAuthorized):
        TokenBook(founded.data("XAA") / "access").identify(text)
    assert list(people.officers(DataDir(founded.data("XAA")))) == []


def test_what_revoking_does_is_told_before(ceremony: Founded, tmp_path: Path) -> None:
    """Who must be called, and what does not become void, is said before anybody signs."""
    founded = ceremony.copy(tmp_path)
    found = planned(founded, "node")
    assert found.entry.role is Role.NODE
    said = " ".join(found.steps)
    for words in ("key exposure", "stays said", "custodians", "daily keys"):
        assert words in said


@pytest.mark.parametrize("wanted", ["witness", "tls", "identity", "prekeys"])
def test_what_is_replaced_and_not_revoked_names_the_right_command(
    ceremony: Founded, tmp_path: Path, wanted: str
) -> None:
    """Nothing is judged by such keys later, so there is nothing to revoke."""
    with pytest.raises(BadRequest) as caught:
        planned(ceremony.copy(tmp_path), wanted)
    assert "almenara" in caught.value.hint


def test_a_key_is_revoked_once_and_never_ahead(ceremony: Founded, tmp_path: Path) -> None:
    """A second revocation would say nothing, and one in the future would promise the thief time."""
    founded = ceremony.copy(tmp_path)
    old = node_key(founded).hex()
    with pytest.raises(BadRequest, match="has not come yet"):
        planned(founded, "node", CLOCK.now_ms() + 10**6)
    ended(founded, old, unprotected)
    with pytest.raises(NotFound, match="not revoked yet"):
        planned(founded, old)


def test_only_a_node_key_is_replaced_in_the_same_step(ceremony: Founded, tmp_path: Path) -> None:
    """An officer's new key comes with a new token, which must be handed over."""
    with pytest.raises(BadRequest, match="only a node key"):
        ended(ceremony.copy(tmp_path), NAME, unprotected)
