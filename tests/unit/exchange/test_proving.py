"""``almenara proof`` and ``ledger watch``: a file that is never overwritten, and a view in words."""

from __future__ import annotations

import stat

import msgspec
import pytest

from exchange.cli.exits import Exit
from exchange.node.views import PendingView
from protocol.errors import NotFound
from tests.clocks import DAWN
from tests.commands import Cli, alone, cli
from tests.unit.exchange.desk_double import LEDGER, RECEIPT, RECEIVED_ID, delivery

FIXTURES = (alone, cli)
"""The commands with a node, as :mod:`tests.commands` makes them."""

ID = RECEIVED_ID[:12]


@pytest.fixture
def node(cli: Cli) -> Cli:
    """Return the commands with a node that has one notice."""
    cli.desk.receive()
    return cli


def test_a_receipt_is_saved_for_this_user_alone(node: Cli) -> None:
    """The file holds exactly the node's bytes, and the message says how much it proves."""
    file = node.folder / "receipt.txt"
    assert node("proof", ID, "-o", str(file)) == Exit.OK
    assert file.read_text("utf-8") == RECEIPT
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert (node.out, node.err) == ("", f"saved {file}: 4 statements, all of them witnessed\n")


def test_a_receipt_never_takes_the_place_of_a_file(node: Cli) -> None:
    """Evidence is not overwritten by a slip of the hand."""
    file = node.folder / "receipt.txt"
    file.write_text("an older one")
    assert node("proof", ID, "--output", str(file)) == Exit.FAILED
    assert "exists already" in node.err
    assert file.read_text() == "an older one"


def test_a_folder_that_is_not_there_is_said(node: Cli) -> None:
    """The next step is named, and nothing is half written."""
    assert node("proof", ID, "-o", str(node.folder / "nowhere" / "receipt.txt")) == Exit.FAILED
    assert "Choose another place" in node.err


def test_without_a_file_the_receipt_is_the_output(node: Cli) -> None:
    """It can be piped, and nothing else stands in it."""
    assert node("proof", ID) == Exit.OK
    assert (node.out, node.err) == (RECEIPT, "")


def test_what_a_receipt_does_not_hold_is_said(node: Cli) -> None:
    """A person must not take a receipt for more than it is."""
    node.desk.pending = (PendingView(kind="accepted", party="XBB", at_ms=DAWN, evidence="pending witness"),)
    assert node("proof", ID) == Exit.OK
    assert "not in it yet: accepted of XBB (pending witness)" in node.err
    shown = node.json("proof", ID)
    assert (shown["receipt"], shown["pending"][0]["kind"]) == (RECEIPT, "accepted")


def test_nothing_witnessed_yet_is_a_plain_answer(node: Cli) -> None:
    """The command fails with the node's own sentence and next step."""
    node.desk.fail = None
    assert node("proof", "ab12cd34") != Exit.OK
    node.desk.fail = NotFound("nothing about it is in the witnessed ledger yet", hint="Wait some seconds.")
    assert node("proof", ID) == Exit.FAILED
    assert "next: Wait some seconds." in node.err


def test_the_ledger_is_shown_in_words(node: Cli) -> None:
    """Size, root, age, who cosigned and who is silent; alarms and evidence stand beside them."""
    assert node("ledger", "watch", "--once") == Exit.OK
    text = " ".join(node.out.split())
    for part in (
        "merge delay 0.8 s, at worst 1.4 s",
        "pending witness 3 statements",
        "ALARM ledger-forked there are two versions. Call XBB.",
        "evidence evidence/ledger-forked-3f2a9c1e5d6b7a80.txt",
        "1204",
        "12 s",
        "none yet",
    ):
        assert part in text, part
    assert "silent: XCC" in text
    assert max(map(len, node.out.splitlines())) <= 80


def test_the_ledger_as_json_is_one_object_a_line(node: Cli) -> None:
    """A script reads each line; the fields are those of the interface."""
    shown = node.json("ledger", "watch", "--once")
    assert shown["schema_version"] == 1
    assert shown["logs"][0]["witnesses"][2] == {"state": "XCC", "cosigned_ms": None}
    assert shown["unwitnessed"] == 3


def test_a_lost_link_is_said_first(node: Cli) -> None:
    """What is shown then is what was known before, and says so."""
    node.desk.shown_ledger = msgspec.structs.replace(LEDGER, connected=False)
    node("ledger", "watch", "--once")
    assert "NOT CONNECTED" in node.out


def test_status_says_how_far_each_step_is_proved(node: Cli) -> None:
    """Witnessed with its leaf, pending, or only promised: never one for another."""
    node.desk.deliveries[RECEIVED_ID] = (
        delivery(
            "XBB", "received", evidence={"relayed": "witnessed, leaf 12", "received": "pending witness"}
        ),
    )
    node("status", ID)
    assert "XBB: witnessed: relayed (leaf 12); pending witness: received" in " ".join(node.out.split())


def test_without_a_node_nothing_is_watched(alone: Cli) -> None:
    """A command that cannot begin says so, and does not wait for ever."""
    assert alone("ledger", "watch") == Exit.UNKNOWN
