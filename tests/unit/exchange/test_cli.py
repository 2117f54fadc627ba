"""The commands against a real local interface on a Unix socket."""

from __future__ import annotations

import asyncio
import io
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from exchange.api.serve import LocalInterface
from exchange.cli.exits import MEANING, Exit
from exchange.cli.program import COMMANDS, run
from exchange.keystore import write_secret
from exchange.version import VERSION
from protocol.errors import CannotOpen, NoUsableKey, StoreFailed
from protocol.text import format_base64
from tests.unit.exchange.desk_double import (
    HOSTILE,
    OFFICER,
    RECEIVED_ID,
    SENDER,
    DeskDouble,
    app_of,
    attachment,
)

SEND = ["send", "--to", "XBB,xcc", "--severity", "xaa-national@1:grave", "--subject", "Wiper"]
HOUSE = Path(__file__).resolve().parents[3]


class Cli:
    """Runs commands in this process against the node of the test."""

    def __init__(self, folder: Path, desk: DeskDouble, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.desk = desk
        self.socket = folder / "api.sock"
        self.out = ""
        self.err = ""
        self._capsys = capsys
        self.report = folder / "report.md"
        self.report.write_text("Please look at this.\n", "utf-8")
        for name, token in (("officer", OFFICER), ("sender", SENDER)):
            write_secret(folder / f"{name}.token", f"{token}\n")

    def __call__(self, *words: str, token: str = "officer") -> int:
        place = ["--socket", str(self.socket), "--token-file", str(self.folder / f"{token}.token")]
        return self.bare(*words, *place)

    def bare(self, *words: str) -> int:
        code = run(words)
        self.out, self.err = self._capsys.readouterr()
        return code

    def json(self, *words: str, expect: int = 0) -> Any:
        assert self(*words, "--json") == expect, self.out + self.err
        return json.loads(self.out)


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """The commands without a node."""
    for name in [name for name in os.environ if name.startswith(("ALMENARA_", "XDG_", "CREDENTIALS_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    return Cli(tmp_path, DeskDouble(), capsys)


@pytest.fixture
def cli(alone: Cli) -> Iterator[Cli]:
    """The commands with a node that answers from another thread."""
    loop = asyncio.new_event_loop()
    interface = LocalInterface(app_of(alone.desk), alone.socket)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(interface.start(), loop).result(5)
    yield alone
    asyncio.run_coroutine_threadsafe(interface.stop(), loop).result(5)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


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


def test_settings_are_shown_with_their_origin(alone: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a value came from, so that nobody guesses."""
    monkeypatch.setenv("ALMENARA_SOCKET", "/run/almenara.sock")
    assert alone.bare("config", "show", "--origin", "--json") == Exit.OK
    assert json.loads(alone.out)["settings"]["socket"] == {
        "value": "/run/almenara.sock",
        "origin": "ALMENARA_SOCKET",
    }
    alone.bare("config", "show", "--origin")
    assert "(ALMENARA_SOCKET)" in alone.out


def test_exit_codes_are_explained(alone: Cli) -> None:
    """The table of the program is the table of the help."""
    assert alone.bare("help", "exit-codes", "--json") == Exit.OK
    assert json.loads(alone.out)["exit_codes"] == {str(int(code)): text for code, text in MEANING.items()}
    assert alone.bare("help", "severity", "translate") == Exit.OK
    assert "LEVEL SCHEMA" in alone.out


def test_an_unforeseen_error_is_code_1_and_shows_no_text(alone: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug may carry a notice's words; only its class and place are printed."""

    def explode(*words: object) -> None:
        raise RuntimeError("SECRET")

    monkeypatch.setattr("exchange.cli.pending.PendingRequest.claim", explode)
    assert alone(*SEND, str(alone.report)) == Exit.FAILED
    assert "RuntimeError at test_cli.py" in alone.err
    assert "SECRET" not in alone.err


OFFICERS_COMMANDS: list[list[str]] = [
    ["send"], ["inbox"], ["outbox"], ["show"], ["ack"], ["status"], ["watch"], ["members"], ["health"],
    ["severity", "list"], ["severity", "show"], ["severity", "translate"], ["config", "show"], ["help"],
]  # fmt: skip


@pytest.mark.parametrize("words", OFFICERS_COMMANDS, ids=" ".join)
def test_every_help_begins_with_examples_and_offers_json(alone: Cli, words: list[str]) -> None:
    """Examples first: that is what people read."""
    assert alone.bare(*words, "--help") == Exit.OK
    assert alone.out.startswith(f"Examples:\n  almenara {' '.join(words)}")
    assert "--json" in alone.out


def python(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words], cwd=HOUSE, capture_output=True, text=True, timeout=30, check=False
    )


def loaded_by(*words: str) -> Callable[[str], bool]:
    """Return a test of which packages are imported by one command."""
    code = (
        "import sys\nfrom exchange.cli.main import main\n"
        f"try:\n main({list(words)!r})\nexcept SystemExit: pass\n"
        "print(','.join(sorted({name.split('.')[0] for name in sys.modules})), file=sys.stderr)"
    )
    found = set(python("-c", code).stderr.splitlines()[-1].split(","))
    return lambda package: package in found


def test_the_version_is_answered_without_loading_anything() -> None:
    """Not even the command line's own library."""
    loaded = loaded_by("--version")
    assert not any(loaded(package) for package in ("click", "aiohttp", "cryptography", "rich", "msgspec"))
    shown = python("-m", "exchange.cli.main", "--version")
    assert (shown.returncode, shown.stdout) == (0, f"almenara {VERSION}\n")


@pytest.mark.parametrize("words", [["--help"], ["send", "--help"], ["help", "exit-codes", "--json"]])
def test_help_and_json_load_nothing_heavy(words: list[str]) -> None:
    """Only what a command needs is imported."""
    loaded = loaded_by(*words)
    assert not any(loaded(package) for package in ("aiohttp", "cryptography", "rich", "structlog", "apsw"))


def test_json_is_json_in_a_locale_without_accents() -> None:
    """A machine set to plain ASCII gets the same values, in escapes that JSON knows."""
    words = [sys.executable, "-m", "exchange.cli.main", "severity", "show", "niño", "--json"]
    surroundings = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    shown = subprocess.run(words, cwd=HOUSE, env=surroundings, capture_output=True, check=False)
    assert "niño" in json.loads(shown.stdout.decode("ascii"))["error"]["message"]


@pytest.mark.parametrize("words", [[], ["node"]])
def test_a_group_without_a_command_shows_its_help(alone: Cli, words: list[str]) -> None:
    """Whoever types the bare name reads what there is, in lines, and no error message."""
    assert alone.bare(*words) == Exit.USAGE
    assert "Commands:" in alone.err or "Notices:" in alone.err
    assert "\n" in alone.err
    assert "[usage]" not in alone.err


def test_a_reader_that_leaves_early_is_no_traceback() -> None:
    """``almenara … | head`` ends quietly."""
    command = f"{sys.executable} -m exchange.cli.main help exit-codes | true"
    shown = subprocess.run(["sh", "-c", command], cwd=HOUSE, capture_output=True, text=True, check=False)
    assert shown.stderr == ""


def test_the_version_is_that_of_the_package() -> None:
    """One version, in two places that must agree."""
    assert f'\nversion = "{VERSION}"\n' in (HOUSE / "pyproject.toml").read_text("utf-8")


def test_every_command_of_the_table_has_a_summary_and_a_heading() -> None:
    """The first page of help is made from the table alone."""
    assert all(entry.summary.endswith(".") and entry.heading for entry in COMMANDS.values())
