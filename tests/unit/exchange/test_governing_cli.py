"""The ceremony by commands, with everything in it that may be wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from exchange.cli.exits import Exit
from exchange.clock import SystemClock
from exchange.setup.governance import DIRECTORY_LIFE_MS, read_ceremony
from exchange.setup.joining import join_community
from exchange.setup.keyring import open_signer
from exchange.setup.proposing import NOTHING_SAID, proposal_of
from keys.documents import assembled
from keys.governance import community_file, next_directory
from keys.signer import sign_possession
from protocol import codec
from protocol.digest import signing_key_id
from protocol.documents import Compromise, DocumentSignature, Role
from protocol.enrolment import CoordinatorRequest, StateRequest, parse_community, parse_request
from protocol.governance import parse_proposal, parse_proposal_signature, proposed
from protocol.signed import Context
from tests.acceptance.ceremony import CODES, NO_PASSPHRASE, Founded, new_node
from tests.community import signer
from tests.unit.exchange.test_setup_cli import Terminal, terminal

__all__ = ["terminal"]

CLOCK = SystemClock()


@dataclass(frozen=True)
class Desk:
    """One community of three custodians and threshold two, and somebody who types."""

    terminal: Terminal
    founded: Founded

    @property
    def place(self) -> tuple[str, Path]:
        """Where the community is."""
        return ("--in", self.founded.governance)

    def key(self, name: str) -> Path:
        """Return a custodian's key file."""
        return self.founded.governance / "keys" / f"{name}.key"

    def file(self, name: str) -> Path:
        """Return a file that travels."""
        return self.founded.base / name

    def propose(self, *words: str | Path, name: str = "1") -> Path:
        """Write a proposal down."""
        path = self.file(f"{name}.proposal")
        self.terminal.json("governance", "propose", *words, *self.place, "-o", path)
        return path

    def words_to_sign(self, proposal: Path, key: str) -> tuple[str | Path, ...]:
        """Return the command with which a custodian signs."""
        return (
            *("governance", "sign", proposal, "--community", self.founded.community),
            *("--root-hash", self.founded.root_hash.hex(), "--key", self.key(key), "--yes"),
        )

    def sign(self, proposal: Path, *keys: str) -> list[Path]:
        """Let custodians sign."""
        return [Path(self.terminal.json(*self.words_to_sign(proposal, key))["signature"]) for key in keys]

    def publish(self, proposal: Path, signatures: Sequence[Path]) -> dict[str, Any]:
        """Publish, successfully."""
        return self.terminal.json("governance", "publish", proposal, *signatures, *self.place)

    def refused(self, *words: str | Path) -> tuple[int, dict[str, Any]]:
        """Run what must fail, and leave the community as it is."""
        before = self.founded.community.read_bytes()
        outcome = self.terminal.refused(*words)
        assert self.founded.community.read_bytes() == before
        return outcome


@pytest.fixture
def desk(terminal: Terminal, ceremony: Founded, tmp_path: Path) -> Desk:
    """A community of the test's own."""
    return Desk(terminal, ceremony.copy(tmp_path / "c"))


# --- what a custodian sees ---


def test_a_custodian_sees_what_changes_before_and_after(desk: Desk) -> None:
    """Keys with fingerprints, thresholds, expiry and quorum; what is unsafe stands in capitals."""
    proposal = desk.propose("thresholds", "--root", "1", "--reason", "we are few")
    _, out, _ = desk.terminal.run(*desk.words_to_sign(proposal, "root-1"), "--dry-run")
    assert "! THRESHOLD ROOT  (2 OF 3 -> 1 OF 3)" in out
    assert "expiry root" in out
    assert "gives as its reason: we are few" in out
    assert "Nothing was signed." in out
    suspension = desk.propose("suspend", "XBB", "--reason", "stolen")
    _, out, _ = desk.terminal.run(*desk.words_to_sign(suspension, "directory-1"), "--dry-run")
    assert "suspend state XBB" in out
    assert "active -> suspended" in out
    assert "quorum ledger  (2 of 3 witnesses -> 2 of 2)" in out
    assert "It needs 2 of the 3 directory keys of root version 1." in out
    assert list(desk.founded.base.glob("*.signature")) == []


def test_without_a_person_to_ask_nothing_is_signed(desk: Desk) -> None:
    """A signature needs somebody who has looked."""
    proposal = desk.propose("refresh")
    code, error = desk.refused(*desk.words_to_sign(proposal, "directory-1")[:-1])
    assert code == Exit.USAGE
    assert "--yes" in error["message"]


def test_the_words_of_a_proposal_cannot_act_on_the_terminal(desk: Desk) -> None:
    """They come from elsewhere, and are shown as what they are."""
    proposal = desk.propose("refresh", "--reason", "plain \u202enialp")
    _, out, _ = desk.terminal.run(*desk.words_to_sign(proposal, "directory-1"), "--dry-run")
    assert "plain \\u{202e}nialp" in out


# --- numbers and keys ---


@pytest.mark.parametrize(
    "words",
    [
        ("thresholds", "--root", "0"),
        ("thresholds", "--root", "-1"),
        ("thresholds", "--directory", "4"),
        ("thresholds", "--root", "2"),
        ("thresholds",),
        ("rotate-root", "--threshold", "4"),
        ("rotate-directory", "--drop", "00000000"),
        ("rotate-directory", "--drop", "0"),
        ("rotate-root",),
        ("suspend", "XZZ", "--reason", "no member"),
        ("suspend", "../XAA", "--reason", "a path"),
        ("suspend", "XAA"),
        ("reinstate", "XAA"),
        ("remove", "XZZ"),
        ("confirm-compromise", "XAA", "00000000", "--since", "2026-01-01"),
        ("confirm-compromise", "XZZ", "00000000", "--since", "2026-01-01"),
    ],
    ids=" ".join,
)
def test_what_makes_no_sense_is_not_proposed(desk: Desk, words: tuple[str, ...]) -> None:
    """Threshold 0 or above n, a key or member that is not there, a change that changes nothing."""
    out = desk.file("bad.proposal")
    code, _ = desk.refused("governance", "propose", *words, *desk.place, "-o", out)
    assert code == Exit.USAGE
    assert not out.exists()


def test_one_key_under_two_names_is_not_listed_twice(desk: Desk, tmp_path: Path) -> None:
    """A copy of a public file is the same custodian."""
    pin = ("--root-hash", desk.founded.root_hash.hex(), "--unprotected")
    key = tmp_path / "ana.key"
    made = desk.terminal.json(
        "governance", "custodian-key", "--role", "root", "--name", "Ana", "--out", key, *pin
    )
    copy = tmp_path / "bea.key.public"
    copy.write_bytes(Path(made["public"]).read_bytes())
    words = ("governance", "propose", "rotate-root", "--add", made["public"], "--add", copy)
    code, error = desk.refused(*words, *desk.place, "-o", desk.file("x.proposal"))
    assert (code, error["code"]) == (Exit.USAGE, "bad-request")
    assert "listed already" in error["message"]


@pytest.mark.parametrize("wrong", ["role", "community", "bytes"])
def test_a_custodians_key_that_proves_nothing_here_is_refused(desk: Desk, tmp_path: Path, wrong: str) -> None:
    """Of the other role, of another community, or not holding what it names."""
    pinned = "00" * 32 if wrong == "community" else desk.founded.root_hash.hex()
    role = "directory" if wrong == "role" else "root"
    made = desk.terminal.json(
        *("governance", "custodian-key", "--role", role, "--name", "Ana", "--unprotected"),
        *("--root-hash", pinned, "--out", tmp_path / "ana.key"),
    )
    public = Path(made["public"])
    if wrong == "bytes":
        data = bytearray(public.read_bytes())
        data[-100] ^= 1
        public.write_bytes(data)
    words = ("governance", "propose", "rotate-root", "--add", public, *desk.place)
    code, _ = desk.refused(*words, "-o", desk.file("x.proposal"))
    assert code in (Exit.USAGE, Exit.VERIFICATION)


def test_a_key_of_the_wrong_role_signs_nothing(desk: Desk) -> None:
    """A root key is no directory key, and a member's key is no custodian's."""
    proposal = desk.propose("refresh")
    code, error = desk.refused(*desk.words_to_sign(proposal, "root-1"))
    assert (code, error["code"]) == (Exit.AUTHORITY, "keyfile")
    words = list(desk.words_to_sign(proposal, "directory-1"))
    words[-2] = desk.founded.data("XAA") / "keys" / "identity.key"
    assert desk.refused(*words)[0] == Exit.AUTHORITY


# --- signatures ---


def test_a_signature_over_another_proposal_counts_nothing(desk: Desk) -> None:
    """A custodian agreed to one thing, and to nothing else."""
    one, two = desk.propose("refresh"), desk.propose("remove", "XCC", name="2")
    signatures = [*desk.sign(one, "directory-1"), *desk.sign(two, "directory-2")]
    standing = desk.terminal.json("governance", "status", two, *signatures, *desk.place)
    assert [len(count["signed"]) for count in standing["signatures"]] == [1]
    assert standing["refused"] == [{"file": str(signatures[0]), "reason": "it is over another proposal"}]
    code, error = desk.refused("governance", "publish", two, *signatures, *desk.place)
    assert (code, error["code"]) == (Exit.VERIFICATION, "threshold-not-met")


def test_one_custodian_in_two_files_is_one(desk: Desk) -> None:
    """However often a signature is sent."""
    proposal = desk.propose("refresh")
    (signature,) = desk.sign(proposal, "directory-1")
    copy = desk.file("copy.signature")
    copy.write_bytes(signature.read_bytes())
    again = desk.file("again.signature")
    desk.terminal.json(*desk.words_to_sign(proposal, "directory-1"), "-o", again)
    code, error = desk.refused("governance", "publish", proposal, signature, copy, again, *desk.place)
    assert error["code"] == "threshold-not-met"
    assert code == Exit.VERIFICATION


def test_signatures_that_count_nothing_hinder_nothing(desk: Desk, tmp_path: Path) -> None:
    """A stranger's, a damaged and a made-up one are named, and the others are published."""
    proposal = desk.propose("refresh")
    good = desk.sign(proposal, "directory-1", "directory-2")
    made = parse_proposal_signature(good[0].read_bytes())
    stranger = tmp_path / "stranger.signature"
    stranger.write_bytes(codec.encode(replace(made, signature=replace(made.signature, key_id=bytes(32)))))
    forged = tmp_path / "forged.signature"
    third = desk.terminal.json("governance", "show", *desk.place)["directory_keys"]["keys"][2]
    forged.write_bytes(
        codec.encode(replace(made, signature=replace(made.signature, key_id=bytes.fromhex(third))))
    )
    damaged = tmp_path / "damaged.signature"
    damaged.write_bytes(b"\x93 no signature")
    published = desk.publish(proposal, [stranger, forged, damaged, *good])
    reasons = {Path(one["file"]).stem: one["reason"] for one in published["refused"]}
    assert "does not list" in reasons["stranger"]
    assert reasons["forged"] == "the signature does not verify"
    assert "damaged" in reasons
    last = parse_community(desk.founded.community.read_bytes()).documents[-1]
    assert last.count(b"\xc4\x20" + bytes(32)) == 0


# --- proposals that do not follow ---


def test_a_proposal_is_late_when_the_community_has_moved_on(desk: Desk) -> None:
    """Nobody raises an alarm about an unsigned paper: it is written again."""
    late = desk.propose("remove", "XCC")
    signatures = desk.sign(late, "directory-1", "directory-2")
    other = desk.propose("refresh", name="2")
    desk.publish(other, desk.sign(other, "directory-1", "directory-2"))
    commands: list[tuple[str | Path, ...]] = [
        ("governance", "publish", late, *signatures, *desk.place),
        desk.words_to_sign(late, "directory-3"),
    ]
    for words in commands:
        code, error = desk.refused(*words)
        assert (code, error["code"]) == (Exit.FAILED, "setup")
        assert "moved on" in error["message"]
        assert error["next"].startswith("Propose again")


def changed(proposal: Path, path: Path, **changes: Any) -> Path:
    made = parse_proposal(proposal.read_bytes())
    path.write_bytes(codec.encode(replace(made, body=codec.encode(replace(proposed(made), **changes)))))
    return path


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"version": 5}, "setup"),
        ({"version": 1, "previous": None}, "setup"),
        ({"previous": bytes(32)}, "setup"),
        ({"issued_ms": 1, "expires_ms": 2}, "setup"),
        ({"root_version": 2}, "version-gap"),
        ({"community": bytes(32)}, "wrong-community"),
        ({"issued_ms": CLOCK.now_ms() + 10**7}, "clock-skew"),
    ],
    ids=["skipped", "rolled back", "forked", "expired", "newer root", "another community", "from the future"],
)
def test_a_proposal_that_could_never_be_trusted_is_not_signed(
    desk: Desk, changes: dict[str, Any], code: str
) -> None:
    """Each broken rule is found on the custodian's own machine, before her key is opened."""
    bad = changed(desk.propose("refresh"), desk.file("bad.proposal"), **changes)
    _, error = desk.refused(*desk.words_to_sign(bad, "directory-1"))
    assert error["code"] == code


def test_a_custodian_with_an_old_community_file_is_told_to_get_the_new_one(desk: Desk) -> None:
    """What she cannot check she does not sign."""
    old = desk.file("old.alm")
    old.write_bytes(desk.founded.community.read_bytes())
    first = desk.propose("refresh")
    desk.publish(first, desk.sign(first, "directory-1", "directory-2"))
    second = desk.propose("refresh", name="2")
    words = list(desk.words_to_sign(second, "directory-1"))
    words[words.index("--community") + 1] = old
    _, error = desk.refused(*words)
    assert "newest community.alm" in error["next"]


def test_a_directory_by_keys_of_the_wrong_role_makes_the_file_unusable(desk: Desk) -> None:
    """Whoever writes past the commands is found out by the next one."""
    held = parse_community(desk.founded.community.read_bytes()).documents
    body = parse_proposal(desk.propose("refresh").read_bytes()).body
    roots = [open_signer(desk.key(f"root-{number}"), Role.ROOT, NO_PASSPHRASE) for number in (1, 2)]
    made = [
        DocumentSignature(key_id=one.key_id, signature=one.sign(Context.ROOT, body).signature)
        for one in roots
    ]
    desk.founded.community.write_bytes(community_file([*held, assembled(body, made)]))
    code, error = desk.terminal.refused("governance", "show", *desk.place)
    assert (code, error["code"]) == (Exit.VERIFICATION, "threshold-not-met")


# --- attestations ---


def attest(desk: Desk, code: str, request: Path) -> Path:
    data, out = desk.founded.data(code), desk.file(f"{code}.attestation")
    made = desk.terminal.json(
        *("node", "attest", request, "--data", data, "--identity", data / "keys" / "identity.key"),
        *("--channel", "in person", "--channel", "telephone", "-o", out, "--yes"),
    )
    assert made["attested_by"] == code
    return out


@pytest.fixture
def newcomer(desk: Desk) -> Path:
    """The request of a fourth state."""
    new_node(desk.founded, "XDD", CLOCK)
    return desk.founded.request("XDD")


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
