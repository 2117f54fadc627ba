"""Reading, saving, answering and watching by commands."""

from __future__ import annotations

import json

import pytest

from exchange.cli.exits import Exit
from protocol.text import format_base64
from tests.commands import SEND, Cli, alone, cli
from tests.unit.exchange.desk_double import (
    HOSTILE,
    RECEIVED_ID,
    attachment,
)

FIXTURES = (alone, cli)
"""The commands with a node, as :mod:`tests.commands` makes them."""


def test_an_inbox_shows_the_senders_words_and_the_readers(cli: Cli) -> None:
    """The sender's level first, the translation beside it, always as advice."""
    cli.desk.receive()
    assert cli("inbox", "--unread") == Exit.OK
    severity = "grave (xaa-national@1) ≈ c2 Highly significant (xbb-national@1), reference point 4"
    assert severity.split() == [word for word in cli.out.split() if word in severity.split()]
    assert "TLP:AMBER" in cli.out
    assert "UNREAD" in cli.out
    assert [row["id"] for row in cli.json("inbox")["notices"]] == [RECEIVED_ID]


def test_empty_lists_say_what_to_do(cli: Cli) -> None:
    """A new installation is not a blank screen."""
    cli("inbox")
    assert "almenara watch" in cli.out
    cli("outbox")
    assert "almenara send" in cli.out
    assert cli.json("outbox") == {"schema_version": 1, "notices": []}


def test_a_notice_is_shown_and_its_text_cannot_drive_the_terminal(cli: Cli) -> None:
    """Everything hostile arrives as something to read."""
    cli.desk.receive(subject=HOSTILE, text=f"{HOSTILE}\nalmenara: signed by XBB", exercise=True)
    assert cli("show", RECEIVED_ID[:8]) == Exit.OK
    assert not set("\x1b\x07\u202e\u202c\u200b") & set(cli.out)
    assert "\\u{202e}evil" in cli.out
    assert "│ almenara: signed by XBB" in cli.out
    assert "EXERCISE" in cli.out
    assert cli("show", RECEIVED_ID, "--json") == Exit.OK
    assert not set("\x1b\x07\u202e\u202c\u200b") & set(cli.out)
    assert json.loads(cli.out)["notice"]["subject"] == HOSTILE


def test_a_peek_opens_nothing(cli: Cli) -> None:
    """The outside may be looked at without signing."""
    cli.desk.receive()
    assert cli.json("show", RECEIVED_ID, "--peek")["id"] == RECEIVED_ID
    assert cli.desk.notices[RECEIVED_ID].unread


def test_attachments_are_saved_under_safe_names_and_never_over_a_file(cli: Cli) -> None:
    """A name with a path in it stays in the folder; a file that is there stays as it was."""
    cli.desk.receive()
    cli.desk.files[RECEIVED_ID] = (attachment("../../etc/passwd", b"1"), attachment("a.json", b"2"))
    folder = cli.folder / "case"
    folder.mkdir()
    (folder / "a.json").write_text("mine")
    saved = cli.json("show", RECEIVED_ID, "--save-attachments", str(folder))["saved"]
    assert saved == [str(folder / "passwd"), str(folder / "a (2).json")]
    assert (folder / "a.json").read_text() == "mine"
    assert (folder / "passwd").read_bytes() == b"1"
    assert (folder / "passwd").stat().st_mode & 0o777 == 0o600


def test_an_attachment_that_does_not_match_its_hash_is_not_written(cli: Cli) -> None:
    """What was shown is what is saved, or nothing."""
    cli.desk.receive()
    good = attachment("a.json", b"2")
    cli.desk.files[RECEIVED_ID] = (attachment("a.json", b"2", content=format_base64(b"3")), good)
    assert cli("show", RECEIVED_ID, "--save-attachments", str(cli.folder / "case")) == Exit.VERIFICATION
    assert not (cli.folder / "case").exists()


@pytest.mark.parametrize(
    ("words", "answer", "reason"),
    [
        (["accept", "--note", "On it"], "accepted", None),
        (["decline", "--reason", "not-affected"], "declined", "not-affected"),
        (["complete"], "completed", None),
    ],
)
def test_an_officer_answers(cli: Cli, words: list[str], answer: str, reason: str | None) -> None:
    """The three answers, in the words of the issue."""
    cli.desk.receive()
    assert cli.json("ack", RECEIVED_ID[:10], *words)["kind"] == answer
    id, request = cli.desk.answers[0]
    assert (id, request.answer, request.reason) == (RECEIVED_ID, answer, reason)


def test_an_id_may_be_any_text_and_is_only_ever_an_id(cli: Cli) -> None:
    """A path or a query inside an id is not followed."""
    for id in ("../node", "ab?x=1", "a b", "ñ", "-"):
        assert cli("status", "--", id) != Exit.OK if id == "-" else cli("status", id) != Exit.OK


def test_a_status_is_a_matrix_with_times(cli: Cli) -> None:
    """Recipients × milestones; waiting works as with send."""
    cli.desk.reach = "received"
    sent = cli.json(*SEND, str(cli.report))
    assert cli("status", sent["id"][:8]) == Exit.OK
    for word in ("relayed", "received", "opened", "answer", "XBB", "XCC"):
        assert word in cli.out
    assert [row["recipient"] for row in cli.json("status", sent["id"])["deliveries"]] == ["XBB", "XCC"]
    assert cli("status", sent["id"], "--wait", "received") == Exit.OK
    assert cli("status", sent["id"], "--wait", "answered", "--timeout", "0") == Exit.NOT_YET


def test_watching_prints_a_line_for_each_event_and_resumes(cli: Cli) -> None:
    """JSON lines, numbered; ``--since`` begins after what was seen."""
    for name in ("queued", "relayed", "received"):
        cli.desk.happen(name, RECEIVED_ID)
    assert cli("watch", "--json", "--count", "3") == Exit.OK
    assert [json.loads(line)["number"] for line in cli.out.splitlines()] == [1, 2, 3]
    assert cli("watch", "--count", "1", "--since", "2") == Exit.OK
    assert "received" in cli.out
    assert "relayed" not in cli.out


def test_members_severities_and_health_are_shown(cli: Cli) -> None:
    """What a duty officer looks up, as text and as JSON."""
    assert cli("members") == Exit.OK
    assert "NO KEY" in cli.out
    assert [row["code"] for row in cli.json("members")["members"]] == ["XBB", "XCC"]
    assert cli("severity", "list") == Exit.OK
    assert "endorsed" in cli.out
    assert cli.json("severity", "show", "xaa-national")["reference"] == "xaa-national@1"
    assert cli("severity", "show", "xaa-national@1") == Exit.OK
    assert cli("severity", "show", "xaa-national@9") == Exit.USAGE
    assert cli("severity", "translate", "xaa-national@1:grave", "xbb-national@1") == Exit.OK
    assert "c2" in cli.out
    assert cli("health") == Exit.OK
    assert "NOT CONNECTED" in cli.out
    assert "chronyc makestep" in cli.out
    assert cli.json("health")["queued"] == 2
