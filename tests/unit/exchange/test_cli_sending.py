"""Sending by a command: nothing twice, nothing dangerous unasked, and how it ended in the exit code."""

from __future__ import annotations

import io
import os
import socket
import sys
import threading
from pathlib import Path

import pytest

from exchange.cli.exits import Exit
from protocol.errors import CannotOpen, NoUsableKey, StoreFailed
from tests.commands import SEND, Cli, alone, cli
from tests.unit.exchange.desk_double import (
    RECEIVED_ID,
)

FIXTURES = (alone, cli)
"""The commands with a node, as :mod:`tests.commands` makes them."""


def pending(cli: Cli) -> list[Path]:
    folder = cli.folder / "state" / "almenara" / "pending"
    return list(folder.iterdir()) if folder.exists() else []


def test_a_notice_is_sent_as_the_readme_says(cli: Cli) -> None:
    """The command of the issue, with an attachment, ends with 0 and an id."""
    bundle = cli.folder / "bundle.json"
    bundle.write_bytes(b'{"type":"bundle"}')
    cli.desk.reach = "received"
    words = [*SEND, "--tlp", "amber", str(cli.report), "--attach", str(bundle), "--wait", "received"]
    sent = cli.json(*words)
    request, id = cli.desk.submitted[sent["request_id"]]
    assert (sent["id"], request.to, request.severity) == (id, ("XBB", "XCC"), "xaa-national@1:grave")
    assert (request.attachments[0].name, request.attachments[0].media_type) == (
        "bundle.json",
        "application/json",
    )
    assert sent["waited"] == {"milestone": "received", "reached": True, "missing": [], "failed": []}
    assert sent["schema_version"] == 1


def test_a_report_may_come_from_standard_input(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """``-`` reads the text; Windows line ends become plain."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("Línea\r\ndos".encode())))
    sent = cli.json(*SEND, "-")
    assert cli.desk.submitted[sent["request_id"]][0].text == "Línea\ndos"


def test_every_flag_of_a_notice_arrives(cli: Cli) -> None:
    """Nothing that was said is lost on the way to the node."""
    cli.json(
        *SEND, str(cli.report), "--kind", "update", "--refers-to", "ab" * 32, "--exercise", "--lang", "es",
        "--partial", "--life", "72h", "--respond-within", "4h", "--tlp", "TLP:GREEN",
        "--id", "my-own-request",
    )  # fmt: skip
    request = cli.desk.submitted["my-own-request"][0]
    assert (request.kind, request.refers_to, request.exercise) == ("update", "ab" * 32, True)
    assert (request.language, request.partial, request.tlp) == ("es", True, "green")
    assert (request.life_ms, request.respond_within_ms) == (72 * 3_600_000, 4 * 3_600_000)


def test_a_wait_that_ends_too_early_is_code_6_and_says_how_to_look(cli: Cli) -> None:
    """Accepted but not yet received: nothing is lost, and the next step is named."""
    assert cli(*SEND, str(cli.report), "--wait", "received", "--timeout", "0.05") == Exit.NOT_YET
    assert "not yet received by XBB, XCC" in cli.err
    assert "almenara status" in cli.err
    sent = cli.json(*SEND, str(cli.report), "--wait", "relayed", "--timeout", "0", expect=Exit.NOT_YET)
    assert sent["waited"]["missing"] == ["XBB", "XCC"]


def test_a_recipient_that_rejects_is_code_5(cli: Cli) -> None:
    """Who will not get it is named, so that somebody can telephone."""
    cli.desk.reach = "rejected"
    assert cli(*SEND, str(cli.report), "--wait", "received") == Exit.REJECTED
    assert "not delivered to XBB, XCC" in cli.err


def test_declining_is_an_answer(cli: Cli) -> None:
    """A state that declines has answered: the sender's wait is over, and well."""
    cli.desk.reach = "declined"
    assert cli(*SEND, str(cli.report), "--wait", "answered") == Exit.OK


def test_the_same_command_after_an_unknown_outcome_uses_the_same_id(cli: Cli) -> None:
    """The id was on disk before the first try, so a repeated command cannot send twice."""
    cli.desk.fail = StoreFailed("the disk is full")
    assert cli(*SEND, str(cli.report)) == Exit.UNKNOWN
    kept = pending(cli)
    assert len(kept) == 1
    request_id = kept[0].read_text("ascii")
    assert f"--id {request_id}" in cli.err
    assert "Wiper" not in kept[0].name + kept[0].read_text("ascii")
    assert kept[0].stat().st_mode & 0o077 == 0
    assert cli.json(*SEND, str(cli.report))["request_id"] == request_id
    assert pending(cli) == []


def test_a_refused_notice_forgets_its_id(cli: Cli) -> None:
    """A definite refusal leaves nothing to repeat."""
    cli.desk.fail = NoUsableKey("XCC has no usable key")
    assert cli(*SEND, str(cli.report)) == Exit.FAILED
    assert "--partial" in cli.err
    assert pending(cli) == []


def test_yesterdays_pending_id_is_not_used_again(cli: Cli) -> None:
    """The same text a day later is a new notice, such as the next daily check."""
    cli.desk.fail = StoreFailed("the disk is full")
    cli(*SEND, str(cli.report))
    kept = pending(cli)[0]
    old = kept.read_text("ascii")
    day_before = kept.stat().st_mtime - 25 * 3600
    os.utime(kept, (day_before, day_before))
    assert cli.json(*SEND, str(cli.report))["request_id"] != old


def test_a_folder_that_cannot_be_written_does_not_stop_a_warning(cli: Cli) -> None:
    """The id is shown instead of kept; the notice goes out."""
    (cli.folder / "state").write_text("in the way")
    assert cli(*SEND, str(cli.report)) == Exit.OK
    assert "not kept on disk" in cli.err


def test_a_broken_connection_is_code_75_and_safe_to_repeat(alone: Cli) -> None:
    """The node died between request and answer: nobody knows, and the error says how to repeat."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(alone.socket))
        listener.listen()

        def hang_up() -> None:
            connection, _ = listener.accept()
            connection.recv(65536)
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        error = alone.json(*SEND, str(alone.report), expect=Exit.UNKNOWN)["error"]
        thread.join()
    assert error["code"] == "outcome-unknown"
    assert f"--id {error['request_id']}" in error["next"]


def test_a_node_that_is_not_there_is_named_with_how_to_start_it(alone: Cli) -> None:
    """The socket is named, and the command that starts a node."""
    error = alone.json("inbox", expect=Exit.UNKNOWN)["error"]
    assert error["code"] == "unreachable"
    assert str(alone.socket) in error["message"]
    assert "almenara node run" in error["next"]


@pytest.mark.parametrize(
    "words",
    [
        ["send"],
        ["sned"],
        ["inbox", "--limit", "0"],
        ["ack", RECEIVED_ID, "decline"],
        ["ack", RECEIVED_ID, "accept", "--reason", "other"],
        ["ack", RECEIVED_ID, "decline", "--reason", "not-afected"],
        [*SEND, "missing.md"],
        [*SEND, "-"],
        [*SEND, "-", "--tlp", "purple"],
        [*SEND, "-", "--life", "8d"],
        [*SEND, "-", "--life", "soon"],
        [*SEND, "-", "--kind", "reprot"],
        [*SEND, "-", "--id", "short"],
        [*SEND, "-", "--subject", ""],
        [*SEND, "-", "--subject", "two\nlines"],
        [*SEND, "-", "--lang", "Spanish"],
        ["help", "nothing"],
    ],
)
def test_a_command_written_wrongly_is_code_2_and_sends_nothing(cli: Cli, words: list[str]) -> None:
    """Usage errors are found before the node is asked, in text and in JSON."""
    assert cli(*words) == Exit.USAGE
    assert "next:" in cli.err
    assert cli.out == ""
    error = cli.json(*words, expect=Exit.USAGE)["error"]
    assert set(error) == {"code", "message", "next", "request_id"}
    assert cli.desk.submitted == {}
    assert cli.desk.answers == []


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["sned"], "Did you mean send?"),
        (["ack", "ab", "decline", "--reason", "not-afected"], "Did you mean not-affected?"),
        (["ack", "ab", "acept"], "Did you mean accept?"),
    ],
)
def test_a_near_miss_is_told_what_was_meant(alone: Cli, words: list[str], meant: str) -> None:
    """At three in the morning fingers slip."""
    alone.bare(*words)
    assert meant in alone.err


def test_what_the_node_refuses_keeps_its_code_and_its_next_step(cli: Cli) -> None:
    """Unknown states and levels are the node's to know; the codes are the same everywhere."""
    words = ["send", "--to", "XZZ", "--severity", "xaa-national@1:grave", "-s", "S", str(cli.report)]
    error = cli.json(*words, expect=Exit.USAGE)["error"]
    assert (error["code"], error["next"]) == ("unknown-state", "See the members with: almenara members")
    assert len(error["request_id"]) == 32
    words = ["send", "--to", "XBB", "--severity", "nowhere:x", "-s", "S", str(cli.report)]
    assert cli.json(*words, expect=Exit.USAGE)["error"]["code"] == "unknown-severity"
    assert cli.json("status", "ffffff", expect=Exit.FAILED)["error"]["code"] == "not-found"
    cli.desk.receive()
    cli.desk.fail = CannotOpen("the content could not be opened")
    assert cli.json("show", RECEIVED_ID, expect=Exit.VERIFICATION)["error"]["code"] == "cannot-open"


def test_a_missing_open_or_weak_token_is_code_4(cli: Cli) -> None:
    """No token, too weak a token, a file that others can read or that is not there."""
    assert cli.bare("inbox", "--socket", str(cli.socket)) == Exit.AUTHORITY
    cli.desk.receive()
    assert cli("ack", RECEIVED_ID, "accept", token="sender") == Exit.AUTHORITY
    (cli.folder / "officer.token").chmod(0o644)
    assert cli("inbox") == Exit.AUTHORITY
    assert "keyfile-unsafe" in cli.err
    assert cli("inbox", token="lost") == Exit.AUTHORITY
    assert "the token file" in cli.err
    assert "--token-file" in cli.err


def test_oversized_reports_and_attachments_are_refused_here(cli: Cli) -> None:
    """Nothing large is even sent to the node."""
    cli.report.write_bytes(b"x" * (256 * 1024 + 1))
    assert cli.json(*SEND, str(cli.report), expect=Exit.FAILED)["error"]["code"] == "too-large"
    cli.report.write_text("fine")
    big = cli.folder / "big.bin"
    big.write_bytes(bytes(1024 * 1024 + 1))
    words = [*SEND, str(cli.report), "--attach", str(big)]
    assert cli.json(*words, expect=Exit.FAILED)["error"]["code"] == "too-large"
    assert cli.desk.submitted == {}


@pytest.mark.parametrize("words", [["--tlp", "red"], ["--to", ",".join(f"Y{n:02}" for n in range(11))]])
def test_dangerous_sends_need_a_confirmation_that_a_script_gives_with_yes(cli: Cli, words: list[str]) -> None:
    """The strictest label or more than ten recipients never leave by a slip of a script."""
    assert cli(*SEND, *words, str(cli.report)) == Exit.USAGE
    assert "--yes" in cli.err
    assert cli.desk.submitted == {}
    assert cli(*SEND, *words, str(cli.report), "--yes") == Exit.OK


@pytest.mark.parametrize(("typed", "code"), [("2", Exit.OK), ("3", Exit.USAGE), ("", Exit.INTERRUPTED)])
def test_a_person_confirms_by_typing_the_count(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, typed: str, code: int
) -> None:
    """Reading the list is what the question is for; a reflexive yes does not pass."""

    class Terminal(io.TextIOWrapper):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal(io.BytesIO(f"{typed}\n".encode() if typed else b"")))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert cli(*SEND, "--tlp", "red", str(cli.report)) == code


def test_a_dry_run_says_who_could_read_and_sends_nothing(cli: Cli) -> None:
    """Recipients, keys, label and sizes; a recipient without a key is seen before, not after."""
    shown = cli.json(*SEND, str(cli.report), "--dry-run", expect=Exit.FAILED)
    assert (shown["would_send"], shown["tlp"]) == (False, "TLP:AMBER")
    assert [reader["usable_key"] for reader in shown["recipients"]] == [True, False]
    assert cli(*SEND, str(cli.report), "--dry-run", "--partial") == Exit.OK
    assert "NO KEY" in cli.out
    assert "nothing was sent" in cli.out
    assert cli.desk.submitted == {}


def test_a_dry_run_refuses_what_sending_would_refuse(cli: Cli) -> None:
    """Nobody is told that a notice would be sent which the node would not take."""
    words = ["--subject", "S", str(cli.report), "--dry-run"]
    wrong = ["send", "--to", "XBB", "--severity", "nowhere:x", *words]
    assert cli.json(*wrong, expect=Exit.USAGE)["error"]["code"] == "unknown-severity"
    own = ["send", "--to", "XBB,XAA", "--severity", "xaa-national@1:grave", *words]
    assert "own state" in cli.json(*own, expect=Exit.USAGE)["error"]["message"]
