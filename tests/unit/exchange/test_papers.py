"""A document handed to a running node: it proves itself, and what it lists is taken up at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec import structs

from exchange.keystore import write_secret
from exchange.link.certificate import make_certificate
from exchange.node.answers import Answered
from exchange.node.expiring import Expiring
from exchange.node.keykeeper import ALARM as NOT_HELD
from exchange.node.keykeeper import Keykeeper
from exchange.node.mirror import load_directory
from exchange.node.selfwatch import ALARM, CHANGED, NEXT
from exchange.passphrases import Once, PassphraseFile, PassphrasePrompt, lasting
from exchange.stores.node_books import read_alarms, read_documents
from keys import governance
from keys.documents import sign_document
from keys.enrolment import next_manifest, next_prekeys, next_publication
from keys.keyfile import KeyKind, KeyRecord, format_secret
from keys.protection import Passphrase, Protection, Unprotected
from keys.signer import Signer
from protocol import codec
from protocol.documents import Role, StateStatus, parse_signed_document, signed_document_hash
from protocol.errors import BadRequest, FormatError, KeyfileError, NotAuthorized, StoreFailed, TrustError
from protocol.session.messages import Accepted, Documents
from protocol.text import parse_base64
from tests.community import DAY_MS, NOW_MS, YEAR_MS, community, note_secret, seed_of, signer
from tests.nodes import MONITOR, SENDER, TestNode, a_node
from tests.rotations import entry, manifest, node_key

NEW = node_key("XAA", 2)
PASSPHRASE = "a good passphrase"


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[TestNode]:
    """Return XAA's node."""
    async with a_node(tmp_path / "XAA", "XAA") as opened:
        yield opened


def with_a_second_key(node: TestNode, *, from_ms: int = NOW_MS) -> bytes:
    """Return XAA's next manifest, which lists a second node key."""
    first = community().members["XAA"].keys[0]
    second = entry("XAA", NEW, from_ms - DAY_MS, from_ms + YEAR_MS)
    return manifest(node.context.directory, "XAA", [first, second], node.clock.now_ms())


def write_key(path: Path, key: Signer, protection: Protection | None = None) -> None:
    """Write a node key's file."""
    record = KeyRecord(KeyKind.SIGNING, "XAA node", "node", seed_of(key), NOW_MS)
    salt = b"" if protection is None else bytes(32)
    write_secret(path, format_secret(record, protection or Unprotected(), salt=salt))


async def alarms(node: TestNode, code: str) -> list[str]:
    """Return what the raised alarms of one code say."""
    return [one.message for one in await node.context.engine.read(read_alarms) if one.code == code]


async def offer(node: TestNode, *documents: bytes) -> None:
    """Let the coordinator send the next documents of its list."""
    first = node.mirror.next_index
    await node.mirror.receive(Documents(first=first, documents=documents, head=first + len(documents)))


# Handing in.


async def test_a_document_handed_in_is_trusted_kept_and_queued(node: TestNode) -> None:
    """When the answer comes it is durable, and on its way to the coordinator."""
    data = with_a_second_key(node)
    view = await node.desk.papers.hand_in(SENDER, data)
    assert (view.kind, view.version, view.handed_over) == ("manifest", 2, False)
    assert [(row.kind, row.content) for row in await node.queue()] == [("publish", data)]
    load_directory(community().directory(), await node.context.engine.read(read_documents))


async def test_what_is_not_this_states_own_counts_when_the_coordinator_has_listed_it(node: TestNode) -> None:
    """Nobody can lead one node alone onto another history by handing it a directory out of turn."""
    trusted = node.context.directory
    states = [
        structs.replace(one, status=StateStatus.SUSPENDED) if one.code == "XCC" else one
        for one in trusted.states()
    ]
    following = governance.next_directory(
        trusted, states, trusted.coordinators(), now_ms=NOW_MS, life_ms=YEAR_MS
    )
    data = community().signed_by_governance(following)
    view = await node.desk.papers.hand_in(SENDER, data)
    assert (view.version, view.handed_over, trusted.head().version) == (2, False, 1)
    assert [(row.kind, row.content) for row in await node.queue()] == [("publish", data)]
    again = await node.desk.papers.hand_in(SENDER, data)
    assert (again.version, len(await node.queue())) == (2, 1)
    await offer(node, data)
    assert trusted.head().version == 2


async def test_the_new_key_signs_once_the_coordinator_has_accepted_the_document(tmp_path: Path) -> None:
    """The running node opens the file that the manifest speaks of, and needs no restart."""
    async with a_node(tmp_path / "XAA", "XAA") as node:
        write_key(tmp_path / "XAA" / "node-2.key", NEW)
        await node.desk.papers.hand_in(SENDER, with_a_second_key(node))
        old = node.context.signer
        assert old.key_id != NEW.key_id
        (row,) = await node.queue()
        node.answers.offer(Answered(row, Accepted(ref=1, index=9, statement=None)))
        await node.answers.next_round()
        assert node.context.signer.key_id == NEW.key_id
        assert await alarms(node, NOT_HELD) == []
        (shown,) = (await node.desk.papers.list(MONITOR, "manifest", "XAA")).documents
    assert shown.handed_over
    assert signed_document_hash(parse_base64(str(shown.document), what="document")) == row.subject


async def test_handing_in_twice_changes_nothing(node: TestNode) -> None:
    """Repeating is safe: after an unknown outcome that is what one does."""
    data = with_a_second_key(node)
    first = await node.desk.papers.hand_in(SENDER, data)
    assert await node.desk.papers.hand_in(SENDER, data) == first
    assert len(await node.queue()) == 1


async def test_after_a_failed_write_the_document_is_queued_with_the_next(node: TestNode) -> None:
    """What was trusted and not stored is stored, and published, as soon as the disk works."""
    data = with_a_second_key(node)
    await node.context.engine.write(lambda db: db.execute("PRAGMA query_only = ON"))
    with pytest.raises(StoreFailed):
        await node.desk.papers.hand_in(SENDER, data)
    await node.desk.papers.hand_in(SENDER, data)
    assert [row.content for row in await node.queue()] == [data]
    assert await node.context.engine.read(read_documents) == [data]


@pytest.mark.parametrize("signing", ["XBB identity", "XAA node"])
async def test_a_document_of_the_wrong_signer_is_refused_and_changes_nothing(
    node: TestNode, signing: str
) -> None:
    """Whoever has a token but no identity key cannot change who this state is."""
    signed = parse_signed_document(with_a_second_key(node))
    wrong = signer("XBB", Role.IDENTITY) if signing == "XBB identity" else signer("XAA", Role.NODE)
    forged = codec.encode(
        structs.replace(signed, signatures=(structs.replace(signed.signatures[0], key_id=wrong.key_id),))
    )
    with pytest.raises(TrustError):
        await node.desk.papers.hand_in(SENDER, forged)
    assert await node.queue() == []
    assert node.context.directory.documents.manifests["XAA"].document.version == 1


async def test_rubbish_and_a_token_that_may_only_look_are_refused(node: TestNode) -> None:
    """What is no document says so; a display's token hands nothing in."""
    with pytest.raises(FormatError):
        await node.desk.papers.hand_in(SENDER, b"\xc0")
    with pytest.raises(NotAuthorized):
        await node.desk.papers.hand_in(MONITOR, with_a_second_key(node))


async def test_nobody_hands_in_a_list_of_daily_keys_for_the_node(node: TestNode) -> None:
    """It would list keys whose secret halves this node does not have."""
    listed = node.context.directory.documents.prekeys["XAA"]
    document = next_prekeys(
        listed,
        state="XAA",
        community=community().id,
        keys=listed.document.keys,
        now_ms=NOW_MS,
        life_ms=DAY_MS,
        tail=True,
    )
    data = sign_document(document, [community().members["XAA"].node])
    with pytest.raises(BadRequest):
        await node.desk.papers.hand_in(SENDER, data)


# Keys that were made while the node runs.


async def test_a_listed_key_that_is_not_here_is_told_until_it_is(tmp_path: Path) -> None:
    """The alarm names the key and its day; it goes when the file comes."""
    async with a_node(tmp_path / "XAA", "XAA") as node:
        await node.desk.papers.hand_in(SENDER, with_a_second_key(node))
        (message,) = await alarms(node, NOT_HELD)
        assert NEW.key_id.hex()[:16] in message
        write_key(tmp_path / "XAA" / "node-2.key", NEW)
        await node.keykeeper.look()
        assert await alarms(node, NOT_HELD) == []
        assert node.context.keys.holds(NEW.key_id)


async def test_a_protected_key_is_opened_with_the_passphrase_that_can_be_read_again(tmp_path: Path) -> None:
    """A file or credential is asked again; what a person typed is gone, and the alarm says to restart."""
    async with a_node(tmp_path / "XAA", "XAA") as node:
        write_key(tmp_path / "XAA" / "node-2.key", NEW, Passphrase(PASSPHRASE.encode()))
        await node.desk.papers.hand_in(SENDER, with_a_second_key(node))
        (alarm,) = [one for one in await node.context.engine.read(read_alarms) if one.code == NOT_HELD]
        assert "typed at a terminal" in alarm.message
        assert "Restart" in alarm.next
        write_secret(tmp_path / "passphrase", PASSPHRASE + "\n")
        source = lasting(Once(PassphraseFile(tmp_path / "passphrase")))
        expiring = Expiring(node.context, node.link_state)
        await Keykeeper(node.context, tmp_path / "XAA", source, expiring).look()
        assert node.context.keys.holds(NEW.key_id)
    with pytest.raises(KeyfileError, match="typed at a terminal"):
        lasting(Once(PassphrasePrompt("node's keys"))).passphrase()


async def test_a_new_witness_key_is_found_among_the_files(tmp_path: Path) -> None:
    """Its file does not tell its public key, so each is opened, and only once."""
    second = note_secret("XAA second")
    async with a_node(tmp_path / "XAA", "XAA") as node:
        for name, secret in (("witness.key", note_secret("XAA third")), ("witness-2.key", second)):
            record = KeyRecord(KeyKind.NOTE, "XAA witness", "witness", secret.seed, NOW_MS)
            write_secret(tmp_path / "XAA" / name, format_secret(record, Unprotected()))
        keys = community().members["XAA"].keys[:1]
        await node.desk.papers.hand_in(
            SENDER, manifest(node.context.directory, "XAA", keys, NOW_MS, witness=second)
        )
        assert node.context.keys.holds_witness(second.ed25519)
        assert await alarms(node, NOT_HELD) == []


# Self-watch.


async def test_a_manifest_that_this_node_did_not_issue_is_told_and_gives_it_no_key(node: TestNode) -> None:
    """Somebody holds a copy of the identity key: the node says so, and signs with its own key or none."""
    await offer(node, with_a_second_key(node))
    (message,) = await alarms(node, ALARM)
    assert "manifest" in message
    assert node.context.signer.key_id == community().members["XAA"].node.key_id
    assert len(await alarms(node, NOT_HELD)) == 0
    await node.keykeeper.look()
    assert len(await alarms(node, NOT_HELD)) == 1


async def test_a_failing_disk_does_not_hide_what_is_foreign(node: TestNode) -> None:
    """The coordinator cannot choose the moment at which nothing is told."""
    data = with_a_second_key(node)
    await node.context.engine.write(lambda db: db.execute("PRAGMA query_only = ON"))
    with pytest.raises(StoreFailed):
        await offer(node, data)
    await offer(node, data)
    assert len(await alarms(node, ALARM)) == 1


async def test_what_was_handed_in_here_is_not_foreign_when_it_comes_back(node: TestNode) -> None:
    """The coordinator lists our own documents, too."""
    data = with_a_second_key(node)
    await node.desk.papers.hand_in(SENDER, data)
    await offer(node, data)
    assert await alarms(node, ALARM) == []


async def test_a_publication_in_our_name_is_told(node: TestNode) -> None:
    """A severity schema that we did not publish would change what our words mean."""
    document = next_publication(
        None,
        state="XAA",
        community=community().id,
        topic="severity",
        name="xaa-national",
        content=b"levels",
        now_ms=NOW_MS,
    )
    await offer(node, sign_document(document, [community().members["XAA"].identity]))
    assert "severity/xaa-national" in (await alarms(node, ALARM))[0]


@pytest.mark.parametrize(
    ("change", "words", "code"),
    [
        ({"status": StateStatus.SUSPENDED}, "suspended XAA", CHANGED),
        (
            {"identity": signer("thief", community().members["XAA"].identity.role).public},
            "another identity key",
            ALARM,
        ),
        ({"name": "Aurelia Restored"}, "'Aurelia Restored'", ALARM),
        (None, "does not list XAA", CHANGED),
    ],
)
async def test_every_change_of_our_entry_in_the_directory_is_told(
    node: TestNode, change: dict[str, object] | None, words: str, code: str
) -> None:
    """Suspended, removed, renamed, or given another identity key: a person must see it at once."""
    trusted = node.context.directory
    kept = [one for one in trusted.states() if one.code != "XAA"]
    mine = [one for one in trusted.states() if one.code == "XAA"]
    states = kept if change is None else [structs.replace(mine[0], **change), *kept]
    document = governance.next_directory(
        trusted,
        sorted(states, key=lambda one: one.code),
        trusted.coordinators(),
        now_ms=NOW_MS,
        life_ms=YEAR_MS,
    )
    await offer(node, community().signed_by_governance(document))
    (message,) = await alarms(node, code)
    assert words in message
    assert "custodians" in NEXT


async def test_a_reinstatement_takes_the_place_of_the_suspension_and_can_be_dismissed(node: TestNode) -> None:
    """One alarm of the newest decision; it says whom to ask, and how to take it down."""
    for status in (StateStatus.SUSPENDED, StateStatus.ACTIVE):
        trusted = node.context.directory
        states = [
            structs.replace(one, status=status) if one.code == "XAA" else one for one in trusted.states()
        ]
        document = governance.next_directory(
            trusted, states, trusted.coordinators(), now_ms=NOW_MS, life_ms=YEAR_MS
        )
        await offer(node, community().signed_by_governance(document))
    standing = [one for one in await node.context.engine.read(read_alarms) if one.code == CHANGED]
    assert [one.message for one in standing] == ["the custodians have reinstated XAA: it takes part again"]
    assert "almenara health --dismiss" in standing[0].next


async def test_a_change_of_another_state_is_not_our_alarm(node: TestNode) -> None:
    """One watches oneself: alarms about everybody would be read by nobody."""
    trusted = node.context.directory
    keys = [entry("XBB", community().members["XBB"].node, NOW_MS - DAY_MS, NOW_MS + YEAR_MS)]
    await offer(node, manifest(trusted, "XBB", keys, NOW_MS))
    assert await alarms(node, ALARM) == []


async def test_a_member_with_an_odd_certificate_ends_no_nodes_work(node: TestNode) -> None:
    """X.509 of a version that nobody knows: the keys are looked after, and health answers."""
    good = make_certificate("XBB", NOW_MS, YEAR_MS).der
    at = good.index(b"\xa0\x03\x02\x01\x02") + 4
    member = community().members["XBB"]
    held = node.context.directory.documents.manifests["XBB"]
    odd = next_manifest(
        held,
        state="XBB",
        community=community().id,
        keys=member.keys,
        certificates=[good[:at] + b"\x03" + good[at + 1 :]],
        now_ms=NOW_MS,
        life_ms=YEAR_MS,
    )
    await offer(node, sign_document(odd, [member.identity]))
    working = asyncio.create_task(node.keykeeper.run())
    await asyncio.sleep(0.1)
    assert not working.done()
    working.cancel()
    assert (await node.desk.node(MONITOR)).state == "XAA"
