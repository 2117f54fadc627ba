"""What commands tell people to do next: whole, and about this place."""

from __future__ import annotations

from pathlib import Path

import pytest

from exchange.cli.exits import Exit
from exchange.doctor.checks import examine
from exchange.doctor.patient import Level, Patient
from exchange.setup.kinds import KINDS, kind_of
from tests.acceptance.ceremony import HUB, Founded
from tests.custodians import CLOCK, Desk, desk
from tests.unit.exchange.test_setup_cli import Terminal, terminal

__all__ = ["desk", "terminal"]


def test_a_wrong_directory_is_one_problem_and_told_once(terminal: Terminal, tmp_path: Path) -> None:
    """Twenty times the same sentence hides that there is one thing to put right."""
    results = list(examine(Patient(tmp_path / "nowhere", CLOCK.now_ms())))
    red = [one.finding for one in results if one.finding.level is Level.PROBLEM]
    assert len({one.message for one in red}) == len(red) <= 4
    for words in (("doctor",), ("key", "list"), ("backup", "-o", tmp_path / "b.tar")):
        _, out, err = terminal.run(*words, "--data", tmp_path / "nowhere")
        assert "copy the file here again" not in out + err
        assert f"there is no data directory {tmp_path / 'nowhere'}" in out + err


def test_the_findings_name_this_place(terminal: Terminal, ceremony: Founded, tmp_path: Path) -> None:
    """What is printed can be typed: the directory stands in it, and a token that was not handed over yet."""
    data = ceremony.copy(tmp_path).data("XAA")
    (data / "keys" / "node.key").unlink()
    code, out, _ = terminal.run("key", "check", "--data", data)
    assert code == Exit.FAILED
    assert f"almenara key rotate node --data {data} --identity FILE" in out
    assert f"almenara node community --data {data} -o community.alm" in out
    _, out, _ = terminal.run("doctor", "--data", data)
    assert f"almenara node run --data {data}" in out
    assert "--data DIR" not in out


def test_an_error_names_the_identity_key_that_was_given(
    terminal: Terminal, ceremony: Founded, tmp_path: Path
) -> None:
    """Adding an officer twice: either the next key, or the first one back."""
    data = ceremony.copy(tmp_path).data("XAA")
    card = ("--data", data, "--identity", data / "keys" / "identity.key")
    _, error = terminal.refused("officer", "add", "Officer of XAA", *card)
    end = f"--data {data} --identity {data / 'keys' / 'identity.key'}"
    assert f"almenara key rotate officer 'Officer of XAA' {end}" in error["next"]
    assert f"almenara officer revoke 'Officer of XAA' {end}" in error["next"]


def test_a_coordinators_fingerprint_is_told_in_words_too(terminal: Terminal, tmp_path: Path) -> None:
    """It is read out on the telephone, as a node's is; the root hash may be named by its file."""
    terminal.json("governance", "init", "--name", "x", "--out", tmp_path / "g", "--unprotected")
    made = terminal.json(
        *("coordinator", "init", "--data", tmp_path / HUB, "--code", HUB, "--name", "Hub"),
        *("--root-hash", tmp_path / "g" / "root-hash", "--unprotected"),
    )
    assert len(made["words"]) == 4


def test_who_has_enough_signatures_is_told_the_command_that_publishes(desk: Desk) -> None:
    """With the files and the folder that were looked at."""
    proposal = desk.propose("refresh")
    signatures = desk.sign(proposal, "directory-1", "directory-2")
    _, out, _ = desk.terminal.run("governance", "status", proposal, *signatures, *desk.place)
    files = " ".join(map(str, [proposal, *signatures]))
    assert f"Next: almenara governance publish {files} --in {desk.founded.governance}" in out


def test_whoever_publishes_is_told_to_say_why(desk: Desk) -> None:
    """The reason stands in the proposal alone, which the state never sees."""
    proposal = desk.propose("suspend", "XCC", "--reason", "its node is in foreign hands")
    signatures = desk.sign(proposal, "directory-1", "directory-2")
    _, out, _ = desk.terminal.run("governance", "publish", proposal, *signatures, *desk.place)
    assert "Tell XCC why, on another channel" in out
    assert "its node is in foreign hands" in out
    assert "almenara coordinator join --data HUB community.alm" in out


def test_what_has_ended_is_not_counted_in_negative_days(
    terminal: Terminal, ceremony: Founded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The board says ENDED; a certificate's row names the file of its key."""
    data = ceremony.copy(tmp_path).data("XAA")
    _, out, _ = terminal.run("key", "list", "--data", data)
    assert f"{data / 'keys' / 'tls.key'} (unprotected" in out.replace("\n", "") or "tls.key" in out
    assert "tls.crt (none)" not in out
    later_ms = CLOCK.now_ms() + 400 * 86_400_000
    monkeypatch.setattr("exchange.clock.SystemClock.now_ms", lambda self: later_ms)
    _, out, _ = terminal.run("key", "list", "--community", "--data", data)
    assert "ENDED" in out
    assert "-3" not in out.split()


@pytest.mark.parametrize("data", [b"", b"\x93", b"\x9f\xa5", b"\xdc\x00", b"\x93\x01\x02", b"\xff" * 40])
def test_what_is_no_file_of_ours_is_called_nothing(data: bytes) -> None:
    """However short or odd it is."""
    assert kind_of(data) is None


def test_every_kind_of_file_is_recognised(ceremony: Founded) -> None:
    """By how it begins; a key and a token by name, so that nobody sends one by mistake."""
    found = {
        kind_of(ceremony.community.read_bytes()),
        kind_of(ceremony.request("XAA").read_bytes()),
        kind_of((ceremony.governance / "keys" / "root-1.key").read_bytes()),
        kind_of(ceremony.token("XAA").read_bytes()),
    }
    assert found == {
        KINDS["alm1-community"],
        KINDS["alm1-state-request"],
        "secret key, to be given to nobody",
        "token, to be given to nobody",
    }
