"""A node set up by hand: its keys, its request, and how it joins."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

import pytest

from exchange.clock import SystemClock
from exchange.configuration import resolve
from exchange.datadir import DataDir
from exchange.keystore import read_secret
from exchange.node.mirror import load_directory
from exchange.node.officers import officer_key_path
from exchange.node.secrets import unlock_node
from exchange.node.service import MIGRATIONS
from exchange.node.tokens import TokenBook, TokenRole, make_token, parse_token
from exchange.passphrases import Once, PassphraseFile
from exchange.settings import NodeSettings
from exchange.setup.joining import Joined, join_community
from exchange.setup.keyring import protected_by
from exchange.stores.engine import Engine
from exchange.stores.node_books import PrekeyRow, find_prekey, read_documents
from exchange.unsealer.daykeys import FileDayKeys
from exchange.unsealer.messages import Start
from exchange.unsealer.process import open_day_keys
from keys.calendar import DAYS_AHEAD
from keys.documents import sign_document
from keys.enrolment import next_prekeys
from keys.governance import community_file
from keys.keyfile import describe, parse_secret
from keys.opening import RecipientKey
from keys.protection import Token
from keys.signer import Verifier
from keys.trust import TrustedDirectory
from protocol.enrolment import parse_community
from protocol.errors import (
    AlmenaraError,
    BadRequest,
    CannotOpen,
    DataDirBusy,
    FormatError,
    SetupError,
    UnknownSigner,
    WrongCommunity,
    WrongPassphrase,
)
from tests.acceptance.ceremony import (
    CODES,
    HUB,
    NO_PASSPHRASE,
    Founded,
    admit,
    found,
    new_coordinator,
    new_node,
)

CLOCK = SystemClock()


def join(founded: Founded, code: str = "XAA", *, coordinator: str | None = None) -> Joined:
    work = join_community(founded.data(code), founded.community, coordinator=coordinator, clock=CLOCK)
    return asyncio.run(work)


def trusted_by(founded: Founded, code: str) -> TrustedDirectory:
    async def read() -> list[bytes]:
        engine = await Engine.open(DataDir(founded.data(code)).database, MIGRATIONS, CLOCK)
        try:
            return await engine.read(read_documents)
        finally:
            await engine.close()

    directory = TrustedDirectory(founded.root_hash, Verifier())
    load_directory(directory, asyncio.run(read()))
    return directory


def settings(founded: Founded, code: str) -> NodeSettings:
    return resolve(NodeSettings, flags={"data": founded.data(code)}, environment={}).settings


def test_every_secret_is_private(applied: Founded) -> None:
    """Only certificate, settings, root hash and request may be read by others, in a closed folder."""
    data = applied.data("XAA")
    public = {
        str(path.relative_to(data))
        for path in data.rglob("*")
        if path.is_file() and stat.S_IMODE(path.stat().st_mode) != 0o600
    }
    assert public == {"keys/tls.crt", "almenara.toml", "root-hash", "request.alm"}
    folders = [data, *(path for path in data.rglob("*") if path.is_dir())]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}


def test_the_opening_key_opens_the_seed_of_every_daily_key(ceremony: Founded) -> None:
    """What others will seal to is what this node's unsealer can open."""
    data = DataDir(ceremony.data("XAA"))
    days = open_day_keys(Start(state="XAA", data=os.fsencode(data.path)), NO_PASSPHRASE)
    published = trusted_by(ceremony, "XAA").documents.prekeys["XAA"].document.keys
    assert len(published) == DAYS_AHEAD

    async def rows() -> list[PrekeyRow | None]:
        engine = await Engine.open(data.database, MIGRATIONS, CLOCK)
        try:
            return await engine.read(lambda db: [find_prekey(db, key.key_id) for key in published])
        finally:
            await engine.close()

    seeds = [days.unlock(row.day, row.locked_seed) for row in asyncio.run(rows()) if row is not None]
    assert [RecipientKey.from_seed(seed).public for seed in seeds] == [key.public for key in published]


def test_the_vault_key_opens_no_daily_key(ceremony: Founded) -> None:
    """The process that speaks to the network holds the one, and never the other."""
    data = DataDir(ceremony.data("XAA"))
    vault_key = unlock_node(data.keys, NO_PASSPHRASE).vault_key
    days = FileDayKeys(data.day_keys, "XAA", vault_key)
    with pytest.raises(CannotOpen):
        days.lock(days.days()[0], bytes(32))


def test_the_node_knows_the_tokens_it_hands_out_and_no_others(applied: Founded) -> None:
    """One token for an officer, one for a program, one for a display."""
    data = applied.data("XAA")
    book = TokenBook(data / "access")
    texts = [read_secret(path) for path in (data / "tokens").iterdir()]
    assert {book.identify(text).role for text in texts} == set(TokenRole)
    stranger = make_token(TokenRole.OFFICER, "Officer of XAA", lambda size: bytes(size))
    assert len(list((data / "access").iterdir())) == len(texts)
    assert not officer_key_path(data / "officers", stranger).exists()


def test_only_the_officers_token_opens_the_officers_key(applied: Founded) -> None:
    """The node alone cannot answer for a person."""
    data = applied.data("XAA")
    identity = parse_token(read_secret(applied.token("XAA")))
    text = read_secret(officer_key_path(data / "officers", identity))
    assert describe(text).protection.word == "token"
    assert parse_secret(text, lambda _: Token(identity.secret)).name == "Officer of XAA"
    with pytest.raises(WrongPassphrase):
        parse_secret(text, lambda _: Token(bytes(32)))


def test_a_passphrase_protects_the_keys_and_is_asked_for_once(tmp_path: Path) -> None:
    """One passphrase opens all key files of a place; another one opens none."""
    secret = tmp_path / "pass"
    secret.write_text("correct horse\n")
    secret.chmod(0o600)
    founded = Founded(tmp_path, bytes(32), 8443)
    new_node(founded, "XAA", CLOCK, protected_by(PassphraseFile(secret)))
    keys = founded.data("XAA") / "keys"
    words = {path.stem: describe(read_secret(path)).protection.word for path in keys.glob("[inov]*.key")}
    assert words == dict.fromkeys(("identity", "node", "vault", "opening"), "passphrase")

    class Counted:
        asked = 0

        def passphrase(self) -> str:
            self.asked += 1
            return "correct horse"

    source = Counted()
    unlock_node(keys, Once(source))
    assert source.asked == 1
    secret.write_text("wrong\n")
    with pytest.raises(WrongPassphrase):
        unlock_node(keys, PassphraseFile(secret))


@pytest.mark.parametrize(
    ("state", "officer", "severity"),
    [
        ("xaa", "Ana Silva", None),
        ("XAA", "", None),
        ("XAA", "Ana:Silva", None),
        ("XAA", "Ana Silva", "bundled:xbb-national"),
        ("XAA", "Ana Silva", "bundled:ppd-41"),
        ("XAA", "Ana Silva", "bundled:none"),
        ("XAA", "Ana Silva", "missing.toml"),
    ],
)
def test_what_does_not_fit_is_refused_before_a_key_is_made(
    state: str, officer: str, severity: str | None, tmp_path: Path
) -> None:
    """A state code, an officer's name, or a severity schema that is not this state's to publish."""
    from exchange.setup.keyring import unprotected
    from exchange.setup.node import create_node

    work = create_node(
        tmp_path / "data",
        state=state,
        name="X",
        root_hash=bytes(32),
        officer=officer,
        severity=severity,
        protect=unprotected,
        clock=CLOCK,
    )
    with pytest.raises((BadRequest, FormatError, SetupError)):
        asyncio.run(work)
    assert not (tmp_path / "data").exists()


def test_a_node_that_has_joined_trusts_everybody(ceremony: Founded) -> None:
    """It knows its coordinator, and every member's keys and severity schema."""
    directory = trusted_by(ceremony, "XBB")
    assert {entry.state for entry in directory.publications("severity")} == set(CODES)
    assert settings(ceremony, "XBB").coordinator == HUB


def test_before_it_is_admitted_a_node_cannot_join(applied: Founded, tmp_path: Path) -> None:
    """The error says what to send, and nothing is stored."""
    founded = applied.copy(tmp_path)
    admit(founded, [HUB, "XBB"], CLOCK)
    with pytest.raises(SetupError) as caught:
        join(founded)
    assert "request.alm" in caught.value.hint
    assert settings(founded, "XAA").coordinator == ""


def test_a_file_of_another_community_is_refused(applied: Founded, tmp_path: Path) -> None:
    """Only the root hash that was typed in at the set-up counts."""
    founded = applied.copy(tmp_path / "one")
    other = found(tmp_path / "other", CLOCK)
    admit(other, [HUB, "XAA"], CLOCK)
    work = join_community(founded.data("XAA"), other.community, coordinator=None, clock=CLOCK)
    with pytest.raises(WrongCommunity):
        asyncio.run(work)


def test_somebody_admitted_in_its_name_raises_the_alarm(applied: Founded, tmp_path: Path) -> None:
    """A state finds out when governance was deceived about its key."""
    founded = applied.copy(tmp_path)
    founded.data("XAA").rename(tmp_path / "first")
    new_node(founded, "XAA", CLOCK)
    admit(founded, [HUB, "XAA"], CLOCK)
    work = join_community(tmp_path / "first", founded.community, coordinator=None, clock=CLOCK)
    with pytest.raises(UnknownSigner) as caught:
        asyncio.run(work)
    assert "in your name" in caught.value.hint


def test_a_document_it_did_not_issue_raises_the_alarm(ceremony: Founded, tmp_path: Path) -> None:
    """Who has copied the node key cannot publish sealing keys unnoticed."""
    founded = ceremony.copy(tmp_path)
    thief = unlock_node(founded.data("XAA") / "keys", NO_PASSPHRASE).signers[0]
    now_ms = CLOCK.now_ms()
    held = trusted_by(founded, "XAA").documents.prekeys["XAA"]
    stolen = next_prekeys(
        held,
        state="XAA",
        community=founded.root_hash,
        keys=held.document.keys,
        now_ms=now_ms,
        life_ms=held.document.expires_ms - now_ms + 1,
        tail=False,
    )
    documents = parse_community(founded.community.read_bytes()).documents
    founded.community.write_bytes(community_file([*documents, sign_document(stolen, [thief])]))
    with pytest.raises(UnknownSigner):
        join(founded)


def test_a_changed_byte_in_the_file_is_refused(applied: Founded, tmp_path: Path) -> None:
    """Nothing of a file is used unless all of it verifies."""
    founded = applied.copy(tmp_path)
    admit(founded, [HUB, "XAA"], CLOCK)
    data = bytearray(founded.community.read_bytes())
    data[-2000] ^= 1
    founded.community.write_bytes(data)
    with pytest.raises(AlmenaraError):
        join(founded)
    assert settings(founded, "XAA").coordinator == ""


def test_joining_again_is_harmless_and_adds_what_is_new(ceremony: Founded, tmp_path: Path) -> None:
    """The same file twice changes nothing; a newer one adds the new member."""
    founded = ceremony.copy(tmp_path)
    assert join(founded).added == 0
    new_node(founded, "XDD", CLOCK)
    admit(founded, ["XDD"], CLOCK)
    assert join(founded).added == 3
    assert trusted_by(founded, "XAA").head() == join(founded, "XDD").directory.head()


def test_among_several_coordinators_one_is_chosen(ceremony: Founded, tmp_path: Path) -> None:
    """The choice is kept in the settings file, whose other lines stay."""
    founded = ceremony.copy(tmp_path)
    new_coordinator(founded, "HUB2", CLOCK)
    admit(founded, ["HUB2"], CLOCK)
    with pytest.raises(BadRequest):
        join(founded)
    with pytest.raises(BadRequest):
        join(founded, coordinator="HUB3")
    file = founded.data("XAA") / "almenara.toml"
    file.write_text(file.read_text() + "# by night\nretry_cap_s = 5.0\n")
    assert join(founded, coordinator="HUB2").coordinator == "HUB2"
    assert (settings(founded, "XAA").coordinator, settings(founded, "XAA").retry_cap_s) == ("HUB2", 5.0)
    assert "# by night" in file.read_text()


def test_without_a_coordinator_there_is_nothing_to_join(applied: Founded, tmp_path: Path) -> None:
    """The error says that governance must admit one."""
    founded = applied.copy(tmp_path)
    admit(founded, ["XAA"], CLOCK)
    with pytest.raises(SetupError) as caught:
        join(founded)
    assert "coordinator" in caught.value.hint


def test_while_it_runs_it_cannot_join(ceremony: Founded, tmp_path: Path) -> None:
    """Two processes never share a data directory."""
    founded = ceremony.copy(tmp_path)
    with DataDir(founded.data("XAA")), pytest.raises(DataDirBusy):
        join(founded)


def test_a_coordinators_directory_is_not_taken_for_a_nodes(ceremony: Founded) -> None:
    """The hint names the right command."""
    with pytest.raises(SetupError) as caught:
        join(ceremony, HUB)
    assert "coordinator join" in caught.value.hint
