"""Whose identity key is whose, by commands: attested, replaced, stolen, and back again."""

from __future__ import annotations

import asyncio
from pathlib import Path

from msgspec.structs import replace

from exchange.cli.exits import Exit
from exchange.setup.governance import DIRECTORY_LIFE_MS, read_ceremony
from exchange.setup.joining import join_community
from exchange.setup.proposing import NOTHING_SAID, proposal_of
from keys.governance import next_directory
from keys.signer import sign_possession
from protocol import codec
from protocol.digest import signing_key_id
from protocol.documents import Compromise, Role
from protocol.enrolment import CoordinatorRequest, StateRequest, parse_request
from protocol.governance import parse_proposal
from tests.acceptance.ceremony import CODES, new_node
from tests.community import signer
from tests.custodians import CLOCK, Desk, attest, desk, newcomer
from tests.unit.exchange.test_setup_cli import terminal

FIXTURES = (desk, newcomer, terminal)
"""The community, as :mod:`tests.custodians` makes it."""


def test_fewer_than_two_attestations_do_not_suffice(desk: Desk, newcomer: Path) -> None:
    """Nor does one of them twice, nor a reason without which nobody would notice."""
    one = ("--attestation", attest(desk, "XAA", newcomer))
    for given in ((), one, (*one, *one)):
        words = ("governance", "propose", "admit", newcomer, *given, *desk.place)
        code, error = desk.refused(*words, "-o", desk.file("x.proposal"))
        assert (code, error["code"]) == (Exit.VERIFICATION, "threshold-not-met")
        assert "node attest" in error["next"]
        assert desk.refused("governance", "admit", newcomer, *given, "--yes", *desk.place)[0] == code
    two = ("--attestation", attest(desk, "XBB", newcomer))
    proposal = desk.propose("admit", newcomer, *one, *two)
    desk.publish(proposal, desk.sign(proposal, "directory-1", "directory-2"))
    states = desk.terminal.json("governance", "show", *desk.place)["states"]
    assert [state["code"] for state in states] == [*CODES, "XDD"]
    assert "attestation xdd@1" in states[0]["publications"]
    joined = asyncio.run(
        join_community(desk.founded.data("XAA"), desk.founded.community, coordinator=None, clock=CLOCK)
    )
    assert joined.directory.documents.manifest("XDD") is not None


def test_a_missing_attestation_is_shown_in_capitals(desk: Desk, newcomer: Path) -> None:
    """Custodians may go on without, and every one of them sees why."""
    proposal = desk.propose("admit", newcomer, "--unattested", "nobody is left to ask")
    _, out, _ = desk.terminal.run(*desk.words_to_sign(proposal, "directory-1"), "--dry-run")
    assert "! UNATTESTED STATE XDD" in out
    assert "0 OF 2 ATTESTATIONS: NOBODY IS LEFT TO ASK" in out


def test_taking_the_reason_out_of_a_proposal_takes_the_consent_with_it(desk: Desk, newcomer: Path) -> None:
    """What is missing is counted again by everybody who is asked."""
    proposal = desk.propose("admit", newcomer, "--unattested", "nobody is left to ask")
    bare = desk.file("bare.proposal")
    bare.write_bytes(codec.encode(replace(parse_proposal(proposal.read_bytes()), unattested=None)))
    assert desk.refused(*desk.words_to_sign(bare, "directory-1"))[1]["code"] == "threshold-not-met"


def test_an_attestation_of_another_key_or_state_does_not_count(desk: Desk, newcomer: Path) -> None:
    """It says whose key it is, not that somebody is welcome."""
    attestations = [attest(desk, code, newcomer) for code in ("XAA", "XBB")]
    desk.founded.data("XDD").rename(desk.file("first"))
    new_node(desk.founded, "XDD", CLOCK)
    given = [word for path in attestations for word in ("--attestation", path)]
    words = ("governance", "propose", "admit", newcomer, *given, *desk.place, "-o", desk.file("x.proposal"))
    assert desk.refused(*words)[1]["code"] == "threshold-not-met"
    new_node(desk.founded, "XEE", CLOCK)
    words = (
        *("governance", "propose", "admit", desk.founded.request("XEE"), *given, *desk.place),
        *("-o", desk.file("x.proposal")),
    )
    assert desk.refused(*words)[1]["code"] == "bad-request"


def test_attesting_the_same_key_again_gives_out_the_same_attestation(desk: Desk, newcomer: Path) -> None:
    """A file that got lost in the mail is sent again, and nothing new is published."""
    first = attest(desk, "XAA", newcomer).read_bytes()
    assert attest(desk, "XAA", newcomer).read_bytes() == first


def test_a_state_attests_neither_itself_nor_over_one_channel(desk: Desk, newcomer: Path) -> None:
    """Two people, two channels."""
    data = desk.founded.data("XAA")
    identity = ("--identity", data / "keys" / "identity.key", "-o", desk.file("x"), "--yes")
    two = ("--channel", "in person", "--channel", "telephone")
    for request, channels in (
        (desk.founded.request("XAA"), two),
        (desk.founded.request("HUB"), two),
        (newcomer, two[:2]),
        (newcomer, two[:2] * 2),
    ):
        words = ("node", "attest", request, "--data", data, *identity, *channels)
        assert desk.terminal.refused(*words)[0] == Exit.USAGE


def test_another_identity_key_is_attested_like_a_newcomers(desk: Desk) -> None:
    """Whoever takes over a member's code is looked at as closely as a new member."""
    data = desk.founded.data("XAA")
    desk.terminal.json(
        *("node", "succeed-identity", "--data", data, "--unprotected"),
        *("--identity", data / "keys" / "identity.key", "--new-key", desk.file("new.key")),
    )
    request = data / "succession.alm"
    words = ("governance", "propose", "replace-identity", request, *desk.place)
    out = ("-o", desk.file("x.proposal"))
    assert desk.refused(*words, *out)[1]["code"] == "threshold-not-met"
    given = [word for code in ("XBB", "XCC") for word in ("--attestation", attest(desk, code, request))]
    proposal = desk.propose("replace-identity", request, *given)
    _, out_text, _ = desk.terminal.run(*desk.words_to_sign(proposal, "directory-1"), "--dry-run")
    assert "! REPLACE-IDENTITY STATE XAA" in out_text
    desk.publish(proposal, desk.sign(proposal, "directory-1", "directory-2"))
    trusted = read_ceremony(desk.founded.governance, CLOCK.now_ms()).trusted
    assert trusted.documents.manifest("XAA") is not None


def test_a_stolen_key_is_confirmed_by_the_custodians(desk: Desk) -> None:
    """Named by the first digits of its id; the directory says it from then on."""
    trusted = read_ceremony(desk.founded.governance, CLOCK.now_ms()).trusted
    manifest = trusted.documents.manifest("XBB")
    assert manifest is not None
    key_id = manifest.keys[0].key_id.hex()
    proposal = desk.propose("confirm-compromise", "XBB", key_id[:10], "--since", "2026-01-01T00:00:00Z")
    shown = desk.publish(proposal, desk.sign(proposal, "directory-1", "directory-2"))
    assert shown["changes"][0]["action"] == "compromised"
    after = read_ceremony(desk.founded.governance, CLOCK.now_ms()).trusted.directory.compromised
    assert [(entry.party, entry.key_id.hex()) for entry in after] == [("XBB", key_id)]


def test_an_identity_key_is_replaced_and_not_called_compromised(desk: Desk) -> None:
    """An entry about it would change nothing; the refusal names what does."""
    entry = read_ceremony(desk.founded.governance, CLOCK.now_ms()).trusted.documents.entry("XBB")
    assert entry is not None
    words = ("confirm-compromise", "XBB", signing_key_id(entry.identity).hex()[:10])
    code, _, err = desk.terminal.run(
        *("governance", "propose", *words, "--since", "2026-01-01T00:00:00Z"),
        *(*desk.place, "-o", desk.founded.base / "never.proposal"),
    )
    assert code != 0
    assert "replace-identity" in err


def test_a_coordinators_next_statement_key_needs_its_own_command(desk: Desk) -> None:
    """A second request with another key is not admitted in passing."""
    request = parse_request(desk.founded.request("HUB").read_bytes())
    assert isinstance(request, CoordinatorRequest)
    fresh = signer("next", Role.COORDINATOR)
    entry = replace(
        request.entry, key=fresh.public, possession=sign_possession(fresh, "HUB", request.community)
    )
    path = desk.file("hub.alm")
    path.write_bytes(codec.encode(replace(request, entry=entry)))
    words = ("governance", "propose", "admit", path, *desk.place, "-o", desk.file("x.proposal"))
    code, error = desk.refused(*words)
    assert (code, error["code"]) == (Exit.VERIFICATION, "key-refused")
    assert "change-coordinator" in error["next"]
    proposal = desk.propose("change-coordinator", path)
    _, out, _ = desk.terminal.run(*desk.words_to_sign(proposal, "directory-1"), "--dry-run")
    assert "! CHANGE COORDINATOR HUB" in out
    desk.publish(proposal, desk.sign(proposal, "directory-1", "directory-2"))
    trusted = read_ceremony(desk.founded.governance, CLOCK.now_ms()).trusted
    assert trusted.coordinator("HUB").key == fresh.public
    code, _ = desk.refused(
        *("governance", "propose", "change-coordinator", path, *desk.place),
        *("-o", desk.file("x.proposal")),
    )
    assert code == Exit.USAGE


def test_a_member_that_is_removed_and_comes_back_is_marked(desk: Desk) -> None:
    """A code that was somebody's before is looked at twice."""
    gone = desk.propose("remove", "XCC", "--reason", "left")
    desk.publish(gone, desk.sign(gone, "directory-1", "directory-2"))
    states = desk.terminal.json("governance", "show", *desk.place)["states"]
    assert [state["code"] for state in states] == ["XAA", "XBB"]
    again = desk.propose("admit", desk.founded.request("XCC"), "--unattested", "they are back", name="2")
    _, out, _ = desk.terminal.run(*desk.words_to_sign(again, "directory-1"), "--dry-run")
    assert "! ADD STATE XCC" in out
    assert "THIS CODE WAS A PARTY BEFORE" in out
    desk.publish(again, desk.sign(again, "directory-1", "directory-2"))
    trusted = read_ceremony(desk.founded.governance, CLOCK.now_ms()).trusted
    assert trusted.documents.manifest("XCC") is not None


def test_an_identity_key_that_counts_as_stolen_is_not_listed_again(desk: Desk, newcomer: Path) -> None:
    """Neither for a newcomer nor for a member; the refusal says how to make another."""
    data = desk.founded.data("XAA")
    desk.terminal.json(
        *("node", "succeed-identity", "--data", data, "--unprotected"),
        *("--identity", data / "keys" / "identity.key", "--new-key", desk.file("new.key")),
    )
    asked = {"admit": newcomer, "replace-identity": data / "succession.alm"}
    _list_as_stolen(desk, *asked.values())
    for command, request in asked.items():
        words = ("governance", "propose", command, request, "--unattested", "x", *desk.place)
        code, error = desk.refused(*words, "-o", desk.file("x.proposal"))
        assert (code, error["code"]) == (Exit.VERIFICATION, "key-refused")
        assert "was compromised" in error["message"]
        assert "succeed-identity" in error["next"]


def _list_as_stolen(desk: Desk, *requests: Path) -> None:
    """Publish a directory that says so of the identity keys of these requests; no command proposes that."""
    now_ms = CLOCK.now_ms()
    ceremony = read_ceremony(desk.founded.governance, now_ms)
    asked = [parse_request(path.read_bytes()) for path in requests]
    stolen = [
        Compromise(one.code, signing_key_id(one.identity), now_ms)
        for one in asked
        if isinstance(one, StateRequest)
    ]
    directory = next_directory(
        *(ceremony.trusted, *ceremony.entries),
        now_ms=now_ms,
        life_ms=DIRECTORY_LIFE_MS,
        compromised=stolen,
    )
    proposal = desk.file("stolen.proposal")
    proposal.write_bytes(codec.encode(proposal_of(directory, NOTHING_SAID)))
    desk.publish(proposal, desk.sign(proposal, "directory-1", "directory-2"))
