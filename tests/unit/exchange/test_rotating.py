"""Keys rotated with an overlap on a node that does not run: what is made, listed, kept, and deleted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from exchange.clock import SystemClock
from exchange.datadir import DataDir
from exchange.keystore import write_secret
from exchange.node.secrets import NODE, unlock_node
from exchange.node.service import MIGRATIONS
from exchange.node.tls_files import Certificates
from exchange.node.tokens import TokenBook
from exchange.passphrases import Once, PassphraseFile
from exchange.setup import people
from exchange.setup import rotating as work
from exchange.setup.amending import Amendment, amending, revoke_officer
from exchange.setup.checking import glance, keys_found
from exchange.setup.clearing import Cleared, clear
from exchange.setup.keyring import protected_like, unprotected
from exchange.setup.revoking import plan, revoke
from exchange.setup.rotating import LISTED_AFTER_MS, Rotated, Windows
from exchange.stores.engine import Engine
from keys.keyfile import KeyKind, KeyRecord, describe, format_secret
from keys.note_keys import NoteSecret
from keys.protection import Passphrase
from keys.signature import SecretKey
from keys.signer import Signer
from keys.trust import MAX_SKEW_MS
from protocol.documents import Role, StateManifest
from protocol.errors import BadRequest, DataDirBusy, NotFound, UnknownSigner, WrongPassphrase
from tests.acceptance.ceremony import NO_PASSPHRASE, Founded
from tests.clocks import FixedClock

T = TypeVar("T")
DAY_MS = 24 * 3600 * 1000
NAME = "Officer of XAA"
NOW_MS = SystemClock().now_ms() + 3_600_000  # after the ceremony, which is held when it is first needed


@pytest.fixture
def place(ceremony: Founded, tmp_path: Path) -> Path:
    """XAA's data directory, free to be changed."""
    return ceremony.copy(tmp_path).data("XAA")


def change(place: Path, made: Callable[[Amendment], Awaitable[T]], *, days: float = 0) -> T:
    """Change the node, so many days from now."""

    async def run() -> T:
        identity, clock = place / "keys" / "identity.key", FixedClock(NOW_MS + round(days * DAY_MS))
        async with amending(place, identity, NO_PASSPHRASE, clock) as amendment:
            return await made(amendment)

    return asyncio.run(run())


def accept(place: Path) -> None:
    """Let the coordinator accept everything that waits."""

    async def run() -> None:
        engine = await Engine.open(DataDir(place).database, MIGRATIONS, SystemClock())
        await engine.write(lambda db: db.execute("DELETE FROM outgoing"))
        await engine.close()

    asyncio.run(run())


async def _manifest(amendment: Amendment) -> StateManifest:
    return amendment.held.document


def manifest(place: Path) -> StateManifest:
    """Return the manifest that the node trusts."""
    return change(place, _manifest)


def rotate_node(place: Path, windows: Windows | None = None, days: int = 0) -> Rotated:
    return change(place, lambda one: work.rotate_node(one, unprotected, windows or Windows()), days=days)


def rotate_tls(place: Path, days: int = 0) -> Rotated:
    return change(place, work.rotate_tls, days=days)


def finish(place: Path, days: int = 0) -> Cleared:
    return change(place, lambda one: clear(one, NO_PASSPHRASE), days=days)


def node_keys(place: Path) -> list[str]:
    return [signer.key_id.hex() for signer in unlock_node(place / "keys", NO_PASSPHRASE).signers]


def test_the_next_node_key_is_announced_a_week_ahead_and_the_old_one_counts_a_month_more(place: Path) -> None:
    """Both windows stand in the manifest, and the file of the new key lies beside the old one."""
    made = rotate_node(place)
    old, new = (key for key in manifest(place).keys if key.role is Role.NODE)
    assert [made.key, str(made.version)] == [new.key_id.hex(), "2"]
    assert new.from_ms == NOW_MS + 7 * DAY_MS - MAX_SKEW_MS
    assert old.until_ms == made.old_until_ms == NOW_MS + 37 * DAY_MS
    assert made.files == (place / "keys" / "node-2.key",)
    assert node_keys(place) == [old.key_id.hex(), new.key_id.hex()]


def test_a_second_announcement_before_the_first_is_in_use_is_refused(place: Path) -> None:
    """Two keys to come, and nobody could say which one signs when; once the day has come it is possible."""
    rotate_node(place)
    with pytest.raises(BadRequest, match="announced"):
        rotate_node(place, days=6)
    assert rotate_node(place, days=8).files == (place / "keys" / "node-3.key",)


@pytest.mark.parametrize("windows", [Windows(overlap_ms=7 * DAY_MS), Windows(announce_ms=-1)])
def test_windows_that_would_lose_a_notice_are_refused_and_make_nothing(place: Path, windows: Windows) -> None:
    """A notice may wait a week for its coordinator, which then still has to take its key."""
    with pytest.raises(BadRequest):
        rotate_node(place, windows)
    assert not (place / "keys" / "node-2.key").exists()


@pytest.mark.parametrize(
    "rotate",
    [
        partial(work.rotate_node, protect=unprotected, windows=Windows()),
        partial(work.rotate_witness, protect=unprotected),
        work.rotate_tls,
        partial(work.rotate_officer, name=NAME, windows=Windows()),
    ],
    ids=["node", "witness", "tls", "officer"],
)
def test_a_rotation_that_is_refused_leaves_nothing_behind(
    place: Path, rotate: Callable[[Amendment], Awaitable[Rotated]]
) -> None:
    """With another state's identity key no manifest comes to be, and no key lies about."""
    before = sorted(path for path in place.rglob("*") if "almenara.db" not in path.name)

    async def with_another_key(amendment: Amendment) -> Rotated:
        return await rotate(replace(amendment, identity=Signer(SecretKey.generate(), Role.IDENTITY)))

    with pytest.raises(UnknownSigner):
        change(place, with_another_key)
    assert sorted(path for path in place.rglob("*") if "almenara.db" not in path.name) == before


def test_the_witness_is_replaced_and_both_keys_are_held(place: Path) -> None:
    """The manifest names one witness; the node cosigns with the old keys until it is accepted."""
    before = manifest(place).witness
    change(place, lambda one: work.rotate_witness(one, unprotected))
    after = manifest(place).witness
    assert after.name == before.name
    held = [secret.ed25519 for secret in unlock_node(place / "keys", NO_PASSPHRASE).witnesses]
    assert held == [before.ed25519, after.ed25519]


def test_a_new_certificate_stands_beside_the_old_and_is_shown_first(place: Path) -> None:
    """The coordinator knows both, so that the session of now goes on."""
    (old,) = manifest(place).certificates
    rotate_tls(place)
    listed = manifest(place).certificates
    assert listed[0] == old
    assert [one.der for one in Certificates(place / "keys").to_show(listed, NOW_MS)] == [listed[1], old]
    assert [one.der for one in Certificates(place / "keys").to_show([old], NOW_MS)] == [old]


def test_of_many_certificates_the_oldest_leaves_the_manifest(place: Path) -> None:
    """Four can be listed; an ended one makes room first, and nobody can connect with it anyway."""
    for _ in range(5):
        rotate_tls(place)
    assert len(manifest(place).certificates) == 4
    rotate_tls(place, days=400)
    assert len(manifest(place).certificates) == 1


def test_an_officers_next_token_works_beside_the_old_one(place: Path) -> None:
    """Each token opens its own key; both are the same person's."""
    made = change(place, lambda one: work.rotate_officer(one, NAME, Windows(announce_ms=0)))
    assert [path.name for path in made.files] == ["officer-officer-of-xaa-2.token"]
    book = TokenBook(place / "access")
    names = {book.identify(path.read_text().strip()).name for path in (place / "tokens").glob("officer-*")}
    assert names == {NAME}
    listed = [key for key in manifest(place).keys if key.owner == NAME]
    assert {key.key_id for key in listed} == {
        one.description.key_id for one in people.officers(DataDir(place)) if one.name == NAME
    }
    assert len(listed) == 2
    with pytest.raises(NotFound):
        change(place, lambda one: work.rotate_officer(one, "Nobody", Windows()))


def test_revoking_an_officer_revokes_the_old_key_too(place: Path) -> None:
    """Otherwise the person could go on answering with the token that was to be replaced."""
    change(place, lambda one: work.rotate_officer(one, NAME, Windows(announce_ms=0)))
    change(place, lambda one: revoke_officer(one, NAME))
    after = manifest(place)
    assert {item.key_id for item in after.revoked} == {key.key_id for key in after.keys if key.owner == NAME}
    assert list((place / "officers").glob("*.key")) == []
    assert list((place / "tokens").glob("officer-*")) == []


def test_a_renewed_manifest_changes_nothing_but_its_dates(place: Path) -> None:
    """The manifest itself expires after a year, and with it every key that it lists."""
    before = manifest(place)
    change(place, work.renew_manifest, days=300)
    after = change(place, _manifest, days=300)
    assert (after.keys, after.certificates, after.witness) == (
        before.keys,
        before.certificates,
        before.witness,
    )
    assert after.expires_ms > before.expires_ms + 250 * DAY_MS


def test_a_key_that_ended_long_ago_leaves_the_manifest(place: Path) -> None:
    """Until then it stays listed: what it signed may still be on its way to somebody who was away."""
    rotate_node(place)
    ended = 37 + LISTED_AFTER_MS // DAY_MS
    change(place, work.renew_manifest, days=ended - 1)
    assert len(manifest(place).keys) == 3
    change(place, work.renew_manifest, days=ended + 1)
    assert len(manifest(place).keys) == 2


# Afterwards.


def test_nothing_is_deleted_before_the_coordinator_has_the_manifest(place: Path) -> None:
    """Until it does, only the old keys are known to anybody."""
    rotate_tls(place)
    with pytest.raises(BadRequest, match="coordinator"):
        finish(place)


def test_old_certificates_go_in_two_steps(place: Path) -> None:
    """First they leave the manifest; when that is accepted, their files go, and one pair stays that fits."""
    rotate_tls(place)
    newest = manifest(place).certificates[-1]
    accept(place)
    first = finish(place)
    assert (first.deleted, first.version) == ((), 3)
    assert "repeat" in first.staying[0]
    accept(place)
    assert [path.name for path in finish(place).deleted] == ["tls.crt"]
    (left,) = Certificates(place / "keys").held()
    assert (left.der, left.certificate.name) == (newest, "tls.crt")
    assert not list((place / "keys").glob("tls-*"))


def test_the_old_node_key_stays_until_its_window_is_over(place: Path) -> None:
    """Then its file goes, and the new key is the one that the first name stands for."""
    old, new = node_keys(place)[0], rotate_node(place).key
    accept(place)
    assert "counts until" in finish(place, days=36).staying[0]
    assert node_keys(place) == [old, new]
    accept(place)
    assert [path.name for path in finish(place, days=38).deleted] == ["node.key"]
    assert node_keys(place) == [new]


def test_the_old_witness_key_goes_when_the_new_one_is_accepted(place: Path) -> None:
    """Whatever it cosigned is proved by what it signed, not by its secret."""
    change(place, lambda one: work.rotate_witness(one, unprotected))
    accept(place)
    listed = manifest(place).witness.ed25519
    assert [path.name for path in finish(place).deleted] == ["witness.key"]
    assert [one.ed25519 for one in unlock_node(place / "keys", NO_PASSPHRASE).witnesses] == [listed]


def test_the_last_key_of_a_kind_is_never_deleted(place: Path) -> None:
    """Even if it is over: a clock that is wrong by years must not leave a node without any key."""
    before = node_keys(place)
    assert finish(place, days=3650).deleted == ()
    assert node_keys(place) == before


def test_an_officers_ended_key_and_token_go(place: Path) -> None:
    """After the overlap only the new token is known."""
    made = change(place, lambda one: work.rotate_officer(one, NAME, Windows(announce_ms=0)))
    accept(place)
    assert finish(place, days=29).deleted == ()
    assert len(finish(place, days=31).deleted) == 1
    assert [path.name for path in (place / "tokens").glob("officer-*")] == [made.files[0].name]


# Passphrases, and nodes that run.


def test_a_new_key_is_protected_as_the_old_one_is(tmp_path: Path) -> None:
    """Whoever opens the node's key must be able to open the next; a wrong passphrase is refused before."""
    path, right = tmp_path / "node.key", PassphraseFile(tmp_path / "right")
    write_secret(tmp_path / "right", "correct horse\n")
    write_secret(tmp_path / "wrong", "battery staple\n")
    record = KeyRecord(KeyKind.SIGNING, "XAA node", "node", SecretKey.generate().seed, 1)
    write_secret(path, format_secret(record, Passphrase(b"correct horse"), salt=bytes(32)))
    assert protected_like(path, KeyKind.SIGNING, NODE, Once(right))() == Passphrase(b"correct horse")
    with pytest.raises(WrongPassphrase, match="could not open a new key"):
        protected_like(path, KeyKind.SIGNING, NODE, Once(PassphraseFile(tmp_path / "wrong")))
    plain = tmp_path / "plain.key"
    note = KeyRecord(KeyKind.NOTE, "XAA witness", "witness", NoteSecret.generate().seed, 1)
    write_secret(plain, format_secret(note, unprotected()))
    assert protected_like(plain, KeyKind.NOTE, "witness", NO_PASSPHRASE) is unprotected
    assert not describe(plain.read_text()).protection.is_sealed


def test_a_place_that_another_process_has_is_not_touched_without_reaching_it(place: Path) -> None:
    """A running node is asked over its interface, or not at all."""
    with DataDir(place), pytest.raises(DataDirBusy):
        rotate_node(place)
    assert not (place / "keys" / "node-2.key").exists()


def test_the_administrators_token_is_gone_when_the_command_ends(place: Path) -> None:
    """It lets in for one command, whoever may write into the data directory."""
    before = set((place / "access").iterdir())
    with people.passing_token(DataDir(place)) as text:
        assert TokenBook(place / "access").identify(text).name == people.ADMINISTRATOR
    assert set((place / "access").iterdir()) == before


# A node that could sign nothing meanwhile.


def silence(place: Path, key: str = "node") -> None:
    """Revoke a node key, and let the coordinator know."""

    async def end(amendment: Amendment) -> None:
        planned = plan(amendment, key, amendment.now_ms, "compromised")
        await revoke(amendment, planned, None, silence=True)

    change(place, end, days=1)
    accept(place)


def test_without_a_usable_key_the_next_one_is_used_at_once_and_must_be_carried(place: Path) -> None:
    """A week of announcement would be a week of silence; nothing is said of an old key that counts."""
    silence(place)
    made = rotate_node(place, days=2)
    assert (made.by_file, made.from_ms, made.old_until_ms) == (True, NOW_MS + 2 * DAY_MS, None)
    assert not rotate_node(place, days=3).by_file


def test_an_announcement_that_would_silence_the_node_is_refused(place: Path) -> None:
    """Nothing is made; the message says for how long the node would be silent."""
    silence(place)
    with pytest.raises(BadRequest, match="silent for 7 days"):
        rotate_node(place, Windows(announce_ms=7 * DAY_MS), days=2)
    assert not (place / "keys" / "node-2.key").exists()


def test_a_revoked_key_is_not_said_to_count(place: Path) -> None:
    """Its window stays as it was: what is revoked is over, whatever its dates say."""
    silence(place)
    before = next(key for key in manifest(place).keys if key.role is Role.NODE)
    rotate_node(place, days=2)
    assert before in manifest(place).keys


def test_a_third_key_of_an_officer_is_refused_and_the_way_out_is_named(place: Path) -> None:
    """Repeating the command would leave a token that works and that nobody remembers."""
    made = change(place, lambda one: work.rotate_officer(one, NAME, Windows()))
    with pytest.raises(BadRequest, match="2 keys that count") as refused:
        change(place, lambda one: work.rotate_officer(one, NAME, Windows()), days=1)
    assert f"almenara key revoke {made.key[:16]} --since" in refused.value.hint
    assert change(place, lambda one: work.rotate_officer(one, NAME, Windows()), days=31).version == 3


# The order in which a rotation is finished.


def test_finishing_reads_every_reason_before_anything_is_renamed(place: Path) -> None:
    """The file that stays takes the first name over, and is named by the name that it has afterwards."""
    first, at_once = node_keys(place)[0], Windows(announce_ms=0)
    second = rotate_node(place, at_once).key
    rotate_node(place, at_once, days=1)
    silence(place, first)
    done = finish(place, days=2)
    assert [path.name for path in done.deleted] == ["node.key"]
    assert done.staying == (done.staying[0],)
    assert done.staying[0].startswith(f"{place / 'keys' / 'node.key'} stays: its key counts until")
    assert describe((place / "keys" / "node.key").read_text()).key_id.hex() == second
    assert not (place / "keys" / "node-2.key").exists()


def test_the_only_key_stays_even_if_it_is_revoked_and_the_reason_is_said(place: Path) -> None:
    """Nothing deleted without a word would look as if all were well."""
    silence(place)
    done = finish(place, days=2)
    assert done.deleted == ()
    assert "it is the only one here" in done.staying[0]
    assert "almenara key rotate node" in done.staying[0]


def test_finishing_and_checking_agree_when_a_key_file_may_go(place: Path) -> None:
    """Within the clocks' skew after a key's end neither speaks of it; then both do."""
    made = rotate_node(place)
    accept(place)
    assert made.old_until_ms is not None
    for later_ms, goes in ((MAX_SKEW_MS - 1, False), (MAX_SKEW_MS, True)):
        now_ms = made.old_until_ms + later_ms
        seen = asyncio.run(glance(place, FixedClock(now_ms), None))
        assert any("still here" in one.message for one in keys_found(seen)) is goes
        days = (now_ms - NOW_MS) / DAY_MS
        assert bool(change(place, lambda one: clear(one, NO_PASSPHRASE), days=days).deleted) is goes
