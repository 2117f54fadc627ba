"""Key trouble with real processes: seen by the sender, and healed without anybody's hand.

No command here seals anything again. Recipients lose keys, stay silent for months and come back;
senders are killed meanwhile; and at the end everybody has everything, once.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

import apsw

from exchange.node.requests import SubmitRequest
from exchange.node.views import DeliveryView
from tests.acceptance.ceremony import CODES, HUB
from tests.acceptance.world import World

DAY_MS = 24 * 3600 * 1000
SILENT_MS = 80 * DAY_MS
"""After so long a state that published nothing has no key left, not even its tail key."""
HEALING_S = 40.0
LEVELS = {"a": "leve", "b": "grave", "c": "critico", "d": "grave", "e": "leve"}
MOST_SEVERE_FIRST = ["c", "b", "d", "a", "e"]


def a_notice(subject: str, *to: str, **changes: object) -> SubmitRequest:
    """Return a notice of XAA whose severity follows from its subject."""
    severity = f"xaa-national@1:{LEVELS.get(subject, 'grave')}"
    plain: dict[str, object] = {
        "to": to,
        "severity": severity,
        "subject": subject,
        "text": f"Text {subject}.",
    }
    return SubmitRequest(**(plain | changes))  # type: ignore[arg-type]


def lose_keys(database: Path) -> int:
    """Remove the secret halves of all daily keys from a stopped node's store; return how many there were."""
    db = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        return len(db.execute("DELETE FROM prekey RETURNING 1").fetchall())
    finally:
        db.close()


def at(world: World, id_: str, code: str) -> DeliveryView:
    """Return where a notice of XAA stands at one recipient."""
    return next(one for one in world.status("XAA", id_).deliveries if one.recipient == code)


def all_received(world: World, ids: dict[str, str]) -> bool:
    """Whether every recipient has every notice."""
    return all(one.state == "received" for id_ in ids.values() for one in world.status("XAA", id_).deliveries)


def troubles(world: World, code: str) -> list[str]:
    """Return the codes of a node's alarms, without the announcements of what will end one day."""
    return [alarm.code for alarm in world.node(code).alarms if alarm.code != "expiry"]


def in_order(world: World, code: str) -> list[str]:
    """Return the subjects of what a node received, in the order in which it stored them."""
    subjects = {notice.id: notice.subject for notice in world.listed(code, "inbox")}
    told = []
    for event in world.client(code).events(0):
        if event.event == "inbox.received":
            told.append(subjects[event.id or ""])
        if len(told) == len(subjects):
            break
    return told


def test_a_recipient_that_lost_its_daily_keys_gets_everything_under_new_ones(world: World) -> None:
    """It rejects with its signature, publishes new keys, and the sender seals again; nobody is asked."""
    world.start(HUB, "XAA", "XBB")
    ids = {
        subject: world.submit("XAA", a_notice(subject, "XBB", "XCC"), f"request-{subject}").id
        for subject in LEVELS
    }
    world.until(lambda: all(at(world, id_, "XCC").state == "relayed" for id_ in ids.values()), "relaying")
    assert lose_keys(world.data("XCC") / "almenara.db") > 0
    world.start("XCC")
    world.until(lambda: all_received(world, ids), "every receipt", HEALING_S)
    healed = at(world, ids["c"], "XCC")
    assert [(one.state, one.code) for one in healed.attempts] == [
        ("rejected", "cannot-open"),
        ("received", None),
    ]
    assert Counter(notice.subject for notice in world.listed("XCC", "inbox")) == dict.fromkeys(LEVELS, 1)
    assert Counter(notice.subject for notice in world.listed("XBB", "inbox")) == dict.fromkeys(LEVELS, 1)
    assert {notice.id for notice in world.listed("XAA", "outbox")} == set(ids.values())
    assert world.node("XAA").alarms == ()
    assert [alarm.code for alarm in world.node("XCC").alarms] == ["prekeys-lost"]
    _prove_both(world, ids["c"], healed)


def _prove_both(world: World, id_: str, healed: DeliveryView) -> None:
    """Save the receipt of each envelope and verify it offline: nothing in either is wrong."""
    first, second = (one.envelope for one in healed.attempts)
    assert first == id_
    hash_file = world.folder / "pinned"
    hash_file.write_text(world.founded.root_hash.hex() + "\n")
    for number, (envelope, said) in enumerate(((first, "rejected"), (second, "received"))):
        file = world.folder / f"receipt-{number}.txt"

        def saved(envelope: str = envelope, file: Path = file, said: str = said) -> bool:
            file.unlink(missing_ok=True)
            ran = world.run("proof", envelope[:16], "-o", file, code="XAA")
            return ran.code == 0 and "pending" not in ran.err and said in file.read_text("utf-8")

        world.until(saved, f"the proof of {said}")
        verified = world.run("audit", "verify", file, "--root-hash", hash_file)
        assert verified.code == 0, verified.out + verified.err


def test_what_waits_for_a_state_that_was_silent_comes_most_severe_first(world: World) -> None:
    """Certificate expired on 1 June, replaced on 15 July: everything in between is delivered by itself."""
    world.start(HUB, "XAA", "XBB", shift_ms=SILENT_MS)
    world.until(lambda: _has_key(world, "XBB"), "XBB to publish new keys")
    report = world.folder / "report.md"
    report.write_text("Two control rooms are affected.\n")
    words = ("send", report, "--to", "XBB,XCC", "--severity", "xaa-national@1:grave", "-s", "told", "--json")
    refused = world.run(*words, code="XAA")
    rehearsed = world.run(*words, "--wait-for-keys", "--dry-run", code="XAA")
    assert (refused.code, refused.error["code"]) == (1, "no-usable-key")
    assert "XCC" in refused.error["message"]
    assert "--wait-for-keys" in refused.error["next"]
    assert (rehearsed.code, rehearsed.object["would_wait"]) == (0, ["XCC"])
    ids = {}
    for subject in LEVELS:
        ids[subject] = world.submit(
            "XAA", a_notice(subject, "XBB", "XCC", wait_for_keys=True), f"request-{subject}"
        ).id
    alone = world.run(*words[:3], "XCC", *words[4:], "--wait-for-keys", code="XAA")
    assert (alone.code, alone.object["state"]) == (6, "waiting-for-key")
    shown = world.run("status", ids["c"], code="XAA").out
    assert "waiting for a key of XCC since" in " ".join(shown.split())
    assert troubles(world, "XAA") == ["waiting-for-key"]
    world.until(
        lambda: all(at(world, id_, "XBB").state == "received" for id_ in ids.values()), "XBB's receipts"
    )
    # The sender's node may be restarted meanwhile: what waits lies in its store.
    world.kill("XAA")
    world.start("XAA", shift_ms=SILENT_MS)
    world.start("XCC", shift_ms=SILENT_MS)
    world.until(lambda: all_received(world, ids | {"told": alone.object["id"]}), "every receipt", HEALING_S)
    assert [subject for subject in in_order(world, "XCC") if subject != "told"] == MOST_SEVERE_FIRST
    assert {one.id for one in world.listed("XCC", "inbox")}.isdisjoint(ids.values())
    assert troubles(world, "XAA") == troubles(world, "XCC") == []


def _has_key(world: World, code: str) -> bool:
    listed = world.run("members", "--json", code="XAA").object["members"]
    return any(member["code"] == code and member["usable_key"] for member in listed)


def test_a_sender_that_is_killed_while_it_seals_again_loses_and_doubles_nothing(world: World) -> None:
    """Twenty notices, a recipient without keys, and a sender that dies over and over while it heals."""
    dice = random.Random(23)
    world.start(HUB, "XAA")
    ids = {}
    for number in range(20):
        request = a_notice(f"n{number}", "XBB", "XCC")
        ids[request.subject] = world.submit("XAA", request, f"request-{number:04}").id
    world.until(lambda: all(at(world, id_, "XCC").state == "relayed" for id_ in ids.values()), "relaying")
    for code in ("XBB", "XCC"):
        lose_keys(world.data(code) / "almenara.db")
    world.start("XBB", "XCC")
    for _ in range(8):
        time.sleep(dice.uniform(0.05, 0.5))
        world.kill("XAA")
        world.start("XAA")
    world.until(lambda: all_received(world, ids), "every receipt", HEALING_S)
    for code in ("XBB", "XCC"):
        assert Counter(one.subject for one in world.listed(code, "inbox")) == dict.fromkeys(ids, 1)
        assert [alarm.code for alarm in world.node(code).alarms] == ["prekeys-lost"]
    assert world.node("XAA").alarms == ()
    assert [world.stop(name) for name in (*CODES, HUB)] == [0, 0, 0, 0]
