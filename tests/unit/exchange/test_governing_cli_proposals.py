"""Proposals and signatures by commands, with everything in them that may be wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from exchange.cli.exits import Exit
from exchange.setup.keyring import open_signer
from keys.documents import assembled
from keys.governance import community_file
from protocol import codec
from protocol.documents import DocumentSignature, Role
from protocol.enrolment import parse_community
from protocol.governance import parse_proposal, parse_proposal_signature, proposed
from protocol.signed import Context
from tests.acceptance.ceremony import NO_PASSPHRASE
from tests.custodians import CLOCK, Desk, desk
from tests.unit.exchange.test_setup_cli import terminal

FIXTURES = (desk, terminal)
"""The community, as :mod:`tests.custodians` makes it."""


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
        assert "write it down anew" in error["next"]


def test_publishing_twice_says_that_it_worked_the_first_time(desk: Desk) -> None:
    """Whoever is not sure types it again: nothing is to be signed anew, and the next command is named."""
    proposal = desk.propose("suspend", "XCC", "--reason", "its node is in foreign hands")
    signatures = desk.sign(proposal, "directory-1", "directory-2")
    desk.publish(proposal, signatures)
    commands: list[tuple[str | Path, ...]] = [
        ("governance", "publish", proposal, *signatures, *desk.place),
        ("governance", "status", proposal, *signatures, *desk.place),
        desk.words_to_sign(proposal, "directory-3"),
    ]
    for words in commands:
        code, error = desk.refused(*words)
        assert (code, error["code"]) == (Exit.FAILED, "setup")
        assert "is published already" in error["message"]
        assert "almenara coordinator join --data HUB community.alm" in error["next"]


@pytest.mark.parametrize("wrong", ["request", "key", "proposal"])
def test_a_file_in_anothers_place_is_called_by_its_name(desk: Desk, wrong: str) -> None:
    """Two arguments in the wrong order, and a secret key where a signature belongs."""
    proposal = desk.propose("refresh")
    folder = desk.founded.governance
    given = {"request": desk.founded.request("XAA"), "key": folder / "keys" / "directory-1.key"}
    file = given.get(wrong, proposal)
    code, error = desk.refused("governance", "publish", proposal, file, *desk.place)
    assert (code, error["code"]) == (Exit.FAILED, "unknown-kind")
    assert f"{file} is a {wrong}" in error["message"].replace("secret ", "")
    assert "this command needs a signature file there" in error["message"]


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
