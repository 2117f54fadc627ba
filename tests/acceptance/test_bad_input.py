"""Bad input, and what it gets: a stable code, what to do next, the documented exit code; nothing is lost.

==============================================  =======================================================
bad input                                       guarded by
==============================================  =======================================================
unknown state                                   test_an_unknown_state
unknown severity level                          test_an_unknown_severity_level
recipient without a usable key                  test_a_recipient_without_a_usable_key
oversized notice or attachment                  test_an_oversized_notice, test_an_oversized_request
wrong passphrase                                test_a_wrong_passphrase
unreadable or world-readable key file           test_a_key_file_that_must_not_be_used, test_a_token_file_...
data directory already in use                   test_a_data_directory_in_use
clock off by a day                              test_a_clock_that_is_a_day_ahead, test_bad_peers: a_day_ahead
coordinator unreachable                         test_an_unreachable_coordinator
malformed, truncated, non-canonical, oversized, test_bad_peers: test_a_bad_frame; tests/faults/
deeply nested frames; unknown message kind      test_hostile_peers, tests/property/test_codec_properties
replayed envelope                               test_bad_peers: test_a_replayed_envelope
re-signed, re-addressed, spliced, expired,      test_bad_peers: test_a_bad_envelope; tests/property/
tampered envelope; wrong suite                  test_envelope_properties; test_demo (altered at rest)
certificate not pinned                          test_a_node_with_another_certificate,
                                                test_a_coordinator_with_another_certificate,
                                                test_bad_peers: test_another_members_certificate
kill -9 of any process at any time              tests/faults/test_processes
==============================================  =======================================================
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from exchange.keystore import write_secret
from exchange.link.certificate import make_certificate
from exchange.node.requests import SubmitRequest
from exchange.setup.files import write_file
from keys.protection import Passphrase
from protocol import codec
from protocol.documents import PrekeyList, parse_document, parse_signed_document
from protocol.enrolment import StateRequest, parse_request
from protocol.errors import TooLarge
from tests.acceptance.canaries import put_under_passphrase, record_of
from tests.acceptance.ceremony import CODES, HUB, Founded, admit, found, join
from tests.acceptance.world import CLOCK, Ran, World, living, settle, short_folder
from tests.ports import free_port

DAY_MS = 24 * 3600 * 1000
SEND = ("send", "--subject", "Ransomware", "--json")
SEVERE = ("--severity", "xaa-national@1:grave")
SENT = SubmitRequest(to=("XBB",), severity="xaa-national@1:grave", subject="Ransomware", text="Two rooms.")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A community of its own that runs; whatever is refused leaves no trace in it."""
    with living(settle(tmp_path_factory.mktemp("running"))) as world:
        world.start(HUB, "XAA", "XBB")
        yield world
        for code, box in (("XAA", "outbox"), ("XBB", "inbox")):
            assert world.listed(code, box) == ()
        assert world.node("XAA").queued == 0
        assert world.node("XAA").alarms == ()


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """A report as people write it."""
    path = tmp_path / "report.md"
    path.write_text("Two control rooms are affected.\n")
    return path


def require_refused(ran: Ran, code: str, exit_code: int, next_step: str) -> None:
    """Check how a command refused: code, exit code, a sentence, and what to do."""
    assert (ran.code, ran.error["code"]) == (exit_code, code), ran
    assert ran.error["message"]
    assert next_step in ran.error["next"]


@pytest.mark.parametrize("to", ["XZZ", "XBB,XZZ"])
def test_an_unknown_state(running: World, report: Path, to: str) -> None:
    """The members are named; those who are known get nothing either."""
    ran = running.run(*SEND, *SEVERE, "--to", to, report, code="XAA")
    require_refused(ran, "unknown-state", 2, "almenara members")
    assert "XAA, XBB, XCC" in ran.error["message"]


@pytest.mark.parametrize("level", ["xaa-national@1:nope", "xaa-national@9:grave", "nowhere@1:grave"])
def test_an_unknown_severity_level(running: World, report: Path, level: str) -> None:
    """Never guessed, never replaced by a number."""
    ran = running.run(*SEND, "--to", "XBB", "--severity", level, report, code="XAA")
    require_refused(ran, "unknown-severity", 2, "almenara severity list")


@pytest.mark.parametrize("large", ["report", "attachment"])
def test_an_oversized_notice(running: World, report: Path, tmp_path: Path, large: str) -> None:
    """Refused by the command before it asks the node."""
    file = tmp_path / "large.bin"
    file.write_bytes(b"x" * (1024 * 1024 + 1))
    words = (file,) if large == "report" else (report, "--attach", file)
    ran = running.run(*SEND, *SEVERE, "--to", "XBB", *words, code="XAA")
    require_refused(ran, "too-large", 1, "attach" if large == "report" else "several notices")


@pytest.mark.parametrize("size", [256 * 1024 + 1, 4 * 1024 * 1024])
def test_an_oversized_request(running: World, size: int) -> None:
    """Refused by the node, from whoever asks, also before it has read all of it."""
    request = msgspec.structs.replace(SENT, text="x" * size)
    with pytest.raises(TooLarge) as refused:
        running.submit("XAA", request, "request-too-large")
    assert refused.value.hint


def test_a_refusal_in_words_for_people(running: World, report: Path) -> None:
    """Without --json: the sentence, the code and the next step, on standard error."""
    ran = running.run("send", "--subject", "x", *SEVERE, "--to", "XZZ", report, code="XAA")
    assert (ran.code, ran.out) == (2, "")
    assert "[unknown-state]" in ran.err
    assert "next: See the members with: almenara members" in ran.err


@pytest.fixture(scope="module")
def keyless() -> Iterator[Founded]:
    """A community in which XCC has published no daily key."""
    with short_folder() as base:
        founded = found(base, CLOCK, port=free_port())
        path = founded.request("XCC")
        asked = parse_request(path.read_bytes())
        assert isinstance(asked, StateRequest)
        kept = tuple(one for one in asked.documents if not is_prekey_list(one))
        path.write_bytes(codec.encode(msgspec.structs.replace(asked, documents=kept)))
        admit(founded, [HUB, *CODES], CLOCK)
        join(founded, CLOCK)
        yield founded


def is_prekey_list(document: bytes) -> bool:
    """Whether a signed document lists daily keys."""
    return isinstance(parse_document(parse_signed_document(document).body), PrekeyList)


def test_a_recipient_without_a_usable_key(keyless: Founded, report: Path) -> None:
    """Refused before anything is sealed, or visibly partial when that is asked for."""
    with living(keyless) as world:
        world.start("XAA")
        words = (*SEND, *SEVERE, "--to", "XBB,XCC", report)
        require_refused(world.run(*words, code="XAA"), "no-usable-key", 1, "--partial")
        alone = world.run(*SEND, *SEVERE, "--to", "XCC", report, "--partial", code="XAA")
        require_refused(alone, "no-usable-key", 1, "")
        assert world.listed("XAA", "outbox") == ()
        partial = world.run(*words, "--partial", code="XAA")
        assert partial.code == 0
        assert partial.object["recipients"] == ["XBB"]
        assert [(one["state"], one["code"]) for one in partial.object["skipped"]] == [
            ("XCC", "no-usable-key")
        ]
        shown = world.run(
            "send", "--subject", "x", *SEVERE, "--to", "XBB,XCC", report, "--partial", code="XAA"
        )
        assert "left out" in shown.out
        members = {one["code"]: one["usable_key"] for one in members_of(world)}
        assert members == {"XAA": True, "XBB": True, "XCC": False}


def members_of(world: World) -> list[dict[str, object]]:
    """Return what the command lists."""
    return list(world.run("members", "--json", code="XAA").object["members"])


def open_to_all(path: Path) -> None:
    path.chmod(0o644)


def closed_to_its_owner(path: Path) -> None:
    path.chmod(0o000)


def a_link(path: Path) -> None:
    path.rename(path.with_suffix(".away"))
    path.symlink_to(path.with_suffix(".away"))


def missing(path: Path) -> None:
    path.rename(path.with_suffix(".away"))


def damaged(path: Path) -> None:
    path.write_text(path.read_text().replace("ALMENARA-SECRET-KEY", "ALMENARA-SECRET-KEX"))


@pytest.mark.parametrize(
    ("name", "key", "spoil", "code", "exit_code", "next_step"),
    [
        ("XAA", "node", open_to_all, "keyfile-unsafe", 4, "chmod 600"),
        ("XAA", "vault", open_to_all, "keyfile-unsafe", 4, "chmod 600"),
        (HUB, "statement", open_to_all, "keyfile-unsafe", 4, "chmod 600"),
        ("XAA", "node", a_link, "keyfile-unsafe", 4, "Name the file itself"),
        ("XAA", "vault", missing, "keyfile", 4, "backup"),
        (HUB, "statement", missing, "keyfile", 4, "backup"),
        ("XAA", "node", damaged, "keyfile", 4, "backup"),
        pytest.param(
            *("XAA", "node", closed_to_its_owner, "keyfile", 4, "mode"),
            marks=pytest.mark.skipif(os.geteuid() == 0, reason="everything is readable for root"),
        ),
    ],
)
def test_a_key_file_that_must_not_be_used(
    world: World,
    name: str,
    key: str,
    spoil: Callable[[Path], None],
    code: str,
    exit_code: int,
    next_step: str,
) -> None:
    """World-readable, unreadable, missing or damaged: the service does not start, and says why."""
    path = world.data(name) / "keys" / f"{key}.key"
    spoil(path)
    role = "coordinator" if name == HUB else "node"
    ran = world.run(role, "run", "--data", world.data(name), "--json")
    require_refused(ran, code, exit_code, next_step)
    assert f"{key}.key" in ran.error["message"] or spoil is damaged


@pytest.mark.parametrize(("name", "key"), [("XAA", "node"), (HUB, "statement")])
def test_a_wrong_passphrase(world: World, tmp_path: Path, name: str, key: str) -> None:
    """The service does not start, nothing is changed, and the right one still opens it."""
    path = world.data(name) / "keys" / f"{key}.key"
    put_under_passphrase(path, "correct horse battery")
    before = path.read_bytes()
    secret = tmp_path / "passphrase"
    write_secret(secret, "correct horse batter\n")
    words = ("coordinator" if name == HUB else "node", "run", "--data", world.data(name), "--json")
    ran = world.run(*words, "--passphrase-file", secret)
    require_refused(ran, "wrong-passphrase", 4, "nothing was changed")
    nobody = world.run(*words)
    require_refused(nobody, "keyfile", 4, "--passphrase-file")
    assert path.read_bytes() == before
    record_of(path, Passphrase(b"correct horse battery"))


def test_a_token_file_that_others_can_read(running: World, tmp_path: Path) -> None:
    """A token opens an officer's key, so it is guarded like one."""
    token = tmp_path / "token"
    token.write_text(running.founded.token("XAA").read_text())
    token.chmod(0o644)
    ran = running.run("inbox", "--json", "--data", running.data("XAA"), "--token-file", token)
    require_refused(ran, "keyfile-unsafe", 4, "chmod 600")


def test_a_data_directory_in_use(running: World) -> None:
    """The second process is refused by name of the first, which goes on."""
    for words, name in (
        (("node", "run"), "XAA"),
        (("coordinator", "run"), HUB),
        (("node", "join", running.founded.community), "XBB"),
    ):
        ran = running.run(*words, "--data", running.data(name), "--json")
        require_refused(ran, "data-dir-busy", 1, f"Stop process {running.pid(name)} first")
    running.wait_until_ready(HUB, "XAA", "XBB")


def test_an_address_in_use(running: World, world: World) -> None:
    """A second coordinator at the address of the first ends at once, and has done nothing."""
    taken = {"ALMENARA_PORT": str(running.founded.port)}
    ran = world.run("coordinator", "run", "--data", world.data(HUB), "--json", settings=taken)
    require_refused(ran, "setup", 1, "no other process uses the port")
    told = [json.loads(line) for line in ran.err.splitlines()]
    assert {one["level"] for one in told} <= {"info"}, ran.err
    # It takes up the duties of a coordinator's processes before it listens, and gives them back.
    took = {one["action"] for one in told if one["event"] == "duty.taken"}
    assert took == {one["action"] for one in told if one["event"] == "duty.released"}


def test_a_clock_that_is_a_day_ahead(world: World, report: Path) -> None:
    """Held, never lost, never relayed; said loudly; nothing more is sealed until it is corrected."""
    world.start("XAA", shift_ms=DAY_MS)
    before = world.submit("XAA", SENT, "request-before")
    world.start(HUB, "XBB")
    world.until(lambda: "clock-skew" in alarms_of(world, "XAA"), "the alarm")
    ran = world.run(*SEND, *SEVERE, "--to", "XBB", report, code="XAA")
    require_refused(ran, "clock-skew", 1, "chronyc")
    (held,) = world.listed("XAA", "outbox")
    assert (held.id, held.state) == (before.id, "queued")
    assert world.node("XAA").queued == 1
    world.stop("XAA")
    world.start("XAA")
    assert world.node("XAA").queued == 1
    after = world.submit("XAA", SENT, "request-after")
    assert world.status("XAA", after.id, "received").notice.state == "received"
    assert [one.id for one in world.listed("XBB", "inbox")] == [after.id]
    assert world.status("XAA", before.id).notice.state == "queued"


def alarms_of(world: World, code: str) -> set[str]:
    """Return the codes of a node's alarms."""
    return {alarm.code for alarm in world.node(code).alarms}


def test_an_unreachable_coordinator(world: World, report: Path) -> None:
    """Accepted and queued, which is exit code 6 for who waits; delivered when it comes back."""
    world.start("XAA", "XBB")
    words = (*SEND, *SEVERE, "--to", "XBB", report, "--wait", "received", "--timeout", "0.5")
    ran = world.run(*words, code="XAA")
    assert ran.code == 6
    assert ran.object["waited"] == {
        "milestone": "received",
        "reached": False,
        "missing": ["XBB"],
        "failed": [],
    }
    assert [one["state"] for one in ran.object["deliveries"]] == ["queued"]
    assert "The node goes on by itself" in ran.err
    node = world.node("XAA")
    assert (node.queued, node.connected) == (1, False)
    assert node.last_error
    world.start(HUB)
    assert world.status("XAA", ran.object["id"], "received").notice.state == "received"
    assert [one.id for one in world.listed("XBB", "inbox")] == [ran.object["id"]]


def test_an_unreachable_node(world: World, report: Path) -> None:
    """Nothing was done, and repeating is safe: exit code 75."""
    ran = world.run(*SEND, *SEVERE, "--to", "XBB", report, code="XAA")
    require_refused(ran, "unreachable", 75, "cannot be sent twice")


def use_another_certificate(world: World, name: str) -> Callable[[], None]:
    """Give a service a certificate that nobody listed; returns what puts the old one back."""
    keys = world.data(name) / "keys"
    kept = {path: path.read_bytes() for path in (keys / "tls.crt", keys / "tls.key")}
    other = make_certificate(name, CLOCK.now_ms(), DAY_MS)
    write_file(keys / "tls.crt", other.pem)
    write_secret(keys / "tls.key", other.key_pem.decode(), replace=True)

    def put_back() -> None:
        for path, data in kept.items():
            path.write_bytes(data)

    return put_back


def false_door(folder: Path) -> tuple[Path, Path]:
    """Return a certificate that says it is the coordinator's, and its key."""
    made = make_certificate(HUB, CLOCK.now_ms(), DAY_MS)
    write_file(folder / "false.crt", made.pem)
    write_secret(folder / "false.key", made.key_pem.decode())
    return folder / "false.crt", folder / "false.key"


def answer_as_hub(door: socket.socket, context: ssl.SSLContext, heard: list[bytes]) -> None:
    """Take whoever comes, and note what is said after the handshake."""
    while True:
        try:
            visitor, _ = door.accept()
        except OSError:
            return
        with visitor, suppress(OSError), context.wrap_socket(visitor, server_side=True) as talk:
            if said := talk.recv(1):
                heard.append(said)


def test_a_coordinator_that_lost_its_listed_certificate(world: World) -> None:
    """No node would come in, so it does not start, and names what to restore."""
    put_back = use_another_certificate(world, HUB)
    ran = world.run("coordinator", "run", "--data", world.data(HUB), "--json")
    require_refused(ran, "setup", 1, "Restore the certificate and its key")
    put_back()
    world.start(HUB)


def test_a_node_with_another_certificate(world: World) -> None:
    """The coordinator lets it in nowhere; what it accepted waits until the right one is back."""
    put_back = use_another_certificate(world, "XAA")
    world.start(HUB, "XBB", "XAA")
    sent = world.submit("XAA", SENT, "request-waits")
    world.until(lambda: "hung up" in str(world.node("XAA").last_error), "the refusal")
    assert not world.node("XAA").connected
    assert '"session.opened", "state": "XAA"' not in world.log_of(HUB).read_text()
    assert world.status("XAA", sent.id).notice.state == "queued"
    world.stop("XAA")
    put_back()
    world.start("XAA")
    assert world.status("XAA", sent.id, "received").notice.state == "received"


def test_a_coordinator_with_another_certificate(world: World, tmp_path: Path) -> None:
    """A false coordinator is told nothing, and the node says what it saw."""
    certificate, key = false_door(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", world.listen)) as door:
        heard: list[bytes] = []
        threading.Thread(target=answer_as_hub, args=(door, context, heard), daemon=True).start()
        world.start("XBB", "XAA")
        sent = world.submit("XAA", SENT, "request-waits")
        world.until(lambda: "not the coordinator's" in str(world.node("XAA").last_error), "the refusal")
        assert '"code": "peer-not-pinned"' in world.log_of("XAA").read_text()
        assert world.status("XAA", sent.id).notice.state == "queued"
        assert heard == []
    world.start(HUB)
    assert world.status("XAA", sent.id, "received").notice.state == "received"
