"""The command about recipients without a key: what it says, and the codes with which it ends."""

from __future__ import annotations

import io

import msgspec
import pytest
from rich.console import Console

from exchange.cli.exits import Exit
from exchange.cli.render import print_matrix
from exchange.node.views import AttemptView, WaitingView
from tests.clocks import DAWN
from tests.commands import SEND, Cli, alone, cli
from tests.unit.exchange.desk_double import HOSTILE, RECEIVED_ID, delivery

FIXTURES = (alone, cli)
"""The commands with a node, as :mod:`tests.commands` makes them."""

WAITING = WaitingView(
    state="XCC",
    since_ms=DAWN,
    code="no-usable-key",
    reason="the prekey list of XCC expired",
    owner="the administrators of XCC",
    next="Call XCC on another channel.",
)
ATTEMPTS = (
    AttemptView(envelope="3f" * 32, sealed_ms=DAWN, state="rejected", since_ms=DAWN, code="cannot-open"),
    AttemptView(envelope="4a" * 32, sealed_ms=DAWN, state="received", since_ms=DAWN, code=None),
)


def test_the_choice_travels_to_the_node(cli: Cli) -> None:
    """Waiting is asked for, never assumed."""
    assert cli(*SEND, str(cli.report)) == Exit.OK
    assert cli(*SEND, "--wait-for-keys", str(cli.report)) == Exit.OK
    asked = [request.wait_for_keys for request, _ in cli.desk.submitted.values()]
    assert sorted(asked) == [False, True]


def test_an_accepted_notice_that_waits_is_code_6(cli: Cli) -> None:
    """It is neither lost nor on its way to everybody, and a script can tell."""
    cli.desk.waiting = (WAITING,)
    assert cli(*SEND, "--wait-for-keys", str(cli.report)) == Exit.NOT_YET
    said = " ".join(cli.out.split())
    assert "waits for XCC the prekey list of XCC expired. Call XCC on another channel." in said
    shown = cli.json(*SEND, "--wait-for-keys", str(cli.report), expect=Exit.NOT_YET)
    assert shown["waiting"][0]["owner"] == "the administrators of XCC"


def test_a_notice_that_waits_for_all_is_not_called_sent(cli: Cli) -> None:
    """Nobody is told that something is on its way which cannot be sealed yet."""
    cli.desk.waiting = (WAITING, msgspec.structs.replace(WAITING, state="XBB"))
    cli(*SEND, "--wait-for-keys", str(cli.report))
    assert "nothing was sent yet" in cli.out
    assert "on its way" not in cli.out


def test_a_rehearsal_says_who_would_wait(cli: Cli) -> None:
    """The same words as the real sending, and nothing is sealed."""
    to_xcc = ["send", "--to", "XBB,XCC", *SEND[3:]]
    shown = cli.json(*to_xcc, "--dry-run", "--wait-for-keys", str(cli.report))
    assert (shown["would_send"], shown["would_wait"]) == (True, ["XCC"])
    cli(*to_xcc, "--dry-run", "--wait-for-keys", str(cli.report))
    assert "wait for a key of XCC" in " ".join(cli.out.split())
    cli(*to_xcc, "--dry-run", str(cli.report))
    assert "--wait-for-keys and --partial" in " ".join(cli.out.split())
    assert cli.desk.submitted == {}


def test_the_status_says_since_when_why_and_whose_turn_it_is(cli: Cli) -> None:
    """One glance: what is missing, who must do it, and what to do now."""
    cli.desk.receive()
    cli.desk.deliveries[RECEIVED_ID] = (
        delivery("XCC", "waiting-for-key", code="no-usable-key", waiting=WAITING),
    )
    cli("status", RECEIVED_ID[:12])
    said = " ".join(cli.out.split())
    assert "XCC: waiting for a key of XCC since 2026-03-01" in said
    assert "because the prekey list of XCC expired" in said
    assert "Owner: the administrators of XCC. Call XCC on another channel." in said


def test_the_status_shows_the_newest_attempt_and_what_came_before(cli: Cli) -> None:
    """One line per recipient, with the history."""
    cli.desk.receive()
    cli.desk.deliveries[RECEIVED_ID] = (delivery("XCC", "received", attempts=ATTEMPTS),)
    cli("status", RECEIVED_ID[:12])
    said = " ".join(cli.out.split())
    assert (
        "envelopes: 3f3f3f3f3f3f rejected (cannot-open) 2026-03-01 03:16:40Z; 4a4a4a4a4a4a received" in said
    )


def test_waiting_for_receipts_is_code_6_while_somebody_has_no_key(cli: Cli) -> None:
    """As for every receipt that has not come yet; nothing has failed."""
    cli.desk.receive()
    cli.desk.deliveries[RECEIVED_ID] = (delivery("XCC", "waiting-for-key", waiting=WAITING),)
    words = ["status", RECEIVED_ID[:12], "--wait", "received", "--timeout", "0"]
    assert cli(*words) == Exit.NOT_YET
    assert "not yet received by XCC" in cli.err


def test_a_proof_names_the_other_envelopes_of_its_notice(cli: Cli) -> None:
    """A receipt is of one envelope; nobody takes the first one's for all that is known."""
    cli.desk.receive()
    cli.desk.others = ("4a" * 32,)
    assert cli("proof", RECEIVED_ID[:12], "-o", str(cli.folder / "receipt.txt")) == Exit.OK
    assert "almenara proof 4a4a4a4a4a4a -o FILE" in cli.err
    assert cli.json("proof", RECEIVED_ID[:12])["others"] == ["4a" * 32]


@pytest.mark.parametrize("width", [40, 80])
def test_what_a_node_says_of_who_waits_acts_on_no_terminal(width: int) -> None:
    """A state's name or code may come from anywhere."""
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=False)
    hostile = msgspec.structs.replace(WAITING, state=HOSTILE, reason=HOSTILE, owner=HOSTILE, next=HOSTILE)
    attempts = tuple(msgspec.structs.replace(one, envelope=HOSTILE, code=HOSTILE) for one in ATTEMPTS)
    print_matrix(console, (delivery(HOSTILE, "waiting-for-key", waiting=hostile, attempts=attempts),))
    assert not {"\x1b", "\x07", "\u202e"} & set(file.getvalue())
