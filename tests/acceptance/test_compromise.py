"""A node's key is stolen: it is ended, what it touched is known, and what it had said before stays proved.

The thief has XBB's whole data directory. Everything else is done by real processes and commands.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from exchange.node.paper_views import DocumentView
from exchange.node.requests import DocumentRequest, SubmitRequest
from exchange.setup import governance as work
from exchange.setup.keyring import open_signer
from keys.documents import sign_document
from keys.governance import next_directory
from protocol.documents import Compromise, Role
from protocol.errors import AlmenaraError, UnknownSigner
from protocol.session.messages import Accepted
from protocol.text import format_base64, format_utc
from tests.acceptance.ceremony import CODES, HUB, NO_PASSPHRASE, Founded
from tests.acceptance.member import talking
from tests.acceptance.world import CLOCK, World
from tests.ports import free_port

YEAR_MS = 365 * 24 * 3600 * 1000


def steal(founded: Founded, subject: str) -> bytes:
    """Send a notice in XBB's name, with the keys that lie in its data directory; returns its id."""

    async def run() -> bytes:
        async with talking(founded, "XBB") as thief:
            sealed = thief.seal(subject, "XAA")
            assert isinstance(await thief.submit(sealed.submission), Accepted)
            return sealed.id

    return asyncio.run(run())


def confirm(world: World, key_id: bytes, since_ms: int) -> None:
    """Let the custodians confirm the theft, and wait until every node knows it."""
    ceremony = work.read_ceremony(world.founded.governance, CLOCK.now_ms())
    document = next_directory(
        ceremony.trusted,
        *ceremony.entries,
        now_ms=CLOCK.now_ms(),
        life_ms=YEAR_MS,
        compromised=[Compromise(party="XBB", key_id=key_id, since_ms=since_ms)],
    )
    folder = world.founded.governance / "keys"
    custodians = [
        open_signer(path, Role.DIRECTORY, NO_PASSPHRASE) for path in sorted(folder.glob("directory-*.key"))
    ]
    body = DocumentRequest(document=format_base64(sign_document(document, custodians[:2])))
    world.client("XCC").ask("POST", "/v1/documents", DocumentView, body=body)
    world.until(
        lambda: all(world.node(code).directory_version == document.version for code in CODES),
        "the confirmation at every node",
    )


def witnessed(world: World, id_: str, kind: str) -> bool:
    """Whether what a recipient said about a notice of XAA is under a quorum's checkpoint."""
    (delivery,) = world.status("XAA", id_).deliveries
    return delivery.evidence.get(kind, "").startswith("witnessed")


def speaks(world: World) -> bool:
    """Whether XBB may sign again: it waits until the coordinator has its new manifest."""
    with suppress(UnknownSigner):
        world.submit("XBB", notice("It was not us", "XCC", "XBB"), "it-was-not-us")
        return True
    return False


def exposure(world: World, code: str, key: str, since_ms: int) -> dict[str, Any]:
    """Return the exposure report of a node, as its command prints it."""
    ran = world.run("key", "exposure", key, "--since", format_utc(since_ms), "--json", code=code)
    assert ran.code == 0, ran.err
    return ran.object


def test_a_stolen_node_key_is_answered(world: World, tmp_path: Path) -> None:
    """Ended at once, refused by everybody, confirmed by the threshold, and audited years later."""
    port = free_port()
    world.settings["ALMENARA_LEDGER_PORT"] = str(port)
    thief = world.founded.copy(tmp_path / "stolen")
    world.start(HUB, *CODES)
    old = open_signer(world.data("XBB") / "keys" / "node.key", Role.NODE, NO_PASSPHRASE).key_id
    first = world.submit("XAA", notice("Before the theft", "XBB"), "before-the-theft").id
    world.status("XAA", first, "received")
    assert world.run("ack", first, "accept", code="XBB").code == 0
    world.until(lambda: witnessed(world, first, "accepted"), "the answer to be witnessed")
    receipt = tmp_path / "receipt.txt"
    assert world.run("proof", first, "-o", receipt, code="XAA").code == 0

    # The thief comes, and speaks in XBB's name.
    assert world.stop("XBB") == 0
    since_ms = CLOCK.now_ms()
    forged = steal(thief, "Pay no attention").hex()
    world.until(lambda: any(one.id == forged for one in world.listed("XAA", "inbox")), "the forged notice")

    # XBB ends the key: not without another one, then with one made in the same step.
    words = ("key", "revoke", "node", "--since", format_utc(since_ms), "--reason", "compromised", "--yes")
    place = ("--data", world.data("XBB"), "--identity", world.data("XBB") / "keys" / "identity.key", "--json")
    refused = world.run(*words, *place)
    assert refused.code != 0
    assert "--replace" in refused.out + refused.err
    done = world.run(*words, "--replace", *place)
    assert done.code == 0, done.err
    assert (done.object["key"], done.object["manifest_version"]) == (old.hex(), 2)
    world.start("XBB")
    world.until(lambda: "peer-key-revoked" in {one.code for one in world.node("XAA").alarms}, "the alarm")

    # Everybody knows what the key touched, and nobody takes anything from it any more.
    at_xaa = exposure(world, "XAA", old.hex()[:16], since_ms)
    assert [one["id"] for one in at_xaa["signed"]] == [forged]
    assert at_xaa["warn"] == ["XBB"]
    everything = exposure(world, "XBB", old.hex(), 0)
    assert {one["kind"] for one in everything["statements"]} == {"received"}
    assert "XAA" in everything["warn"]
    opening = exposure(world, "XBB", "opening", 0)
    assert [one["id"] for one in opening["could_open"]] == [first]
    with pytest.raises((AlmenaraError, AssertionError)):
        steal(thief, "Once more")

    # The state speaks with its new key, and is sealed to with new daily keys.
    world.until(lambda: speaks(world), "the new key to be used")
    again = world.submit("XBB", notice("It was not us", "XCC", "XBB"), "it-was-not-us").id
    world.status("XBB", again, "received")
    answer = world.submit("XAA", notice("Was it you?", "XBB"), "was-it-you").id
    world.status("XAA", answer, "received")

    # Governance confirms; what was proved before stays proved.
    confirm(world, old, since_ms)
    pinned = world.founded.root_hash.hex()
    for file in (receipt, tmp_path / "again.txt"):
        if not file.exists():
            assert world.run("proof", first, "-o", file, code="XAA").code == 0
        assert world.run("audit", "verify", file, "--root-hash", pinned).code == 0
    last = world.submit("XAA", notice("The end", "XCC"), "this-is-the-end").id
    world.until(lambda: witnessed(world, last, "received"), "the end to be witnessed")
    bundle = tmp_path / "bundle"
    source = ("--member", world.data("XAA"), "--community", world.founded.community)
    exported = world.run("audit", "export", *source, "--url", f"https://127.0.0.1:{port}", "-o", bundle)
    assert exported.code == 0, exported.err
    verified = world.run("audit", "verify", bundle, "--root-hash", pinned, "--json")
    assert verified.code == 0, verified.out
    verdict = json.loads(verified.out)
    assert {one["code"] for one in verdict["findings"] if one["severity"] != "note"} == {"compromised"}
    (doubtful,) = [one for one in verdict["notices"] if one["sender_doubtful"]]
    assert doubtful["envelope"] == forged
    (answered,) = [one for one in verdict["notices"] if one["envelope"] == first]
    assert answered["deliveries"][0]["outcome"] == "accepted"
    # A bundle has a witnessed checkpoint for each minute: within the last one, only the receipt above is
    # precise enough to say that the machine's word came before the thief.
    assert {step["kind"] for step in answered["doubtful"]} <= {"RECEIVED"}


def notice(subject: str, to: str, sender: str = "XAA") -> SubmitRequest:
    """Return a request for a notice of one state to another."""
    severity = "xaa-national@1:grave" if sender == "XAA" else "xbb-national@1:c2"
    return SubmitRequest(to=(to,), severity=severity, subject=subject, text="In two rooms.")
