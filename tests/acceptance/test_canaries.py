"""No plaintext and no secret reaches the coordinator's disk, memory or logs, or the wire.

Random canaries stand in every text, file, note, passphrase, key and token; a whole exchange is
played through a proxy that records what passes. Then they are looked for, in every spelling.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from exchange.keystore import write_secret
from exchange.node.requests import AnswerRequest, AttachmentRequest, SubmitRequest
from exchange.node.views import AnswerView, ContentView
from protocol.envelope import MAX_SUBMISSION_BYTES
from protocol.errors import AlmenaraError
from protocol.text import format_base64
from tests.acceptance.canaries import (
    Canaries,
    Trace,
    key_file,
    key_secrets,
    put_under_passphrase,
    stored_secrets,
)
from tests.acceptance.ceremony import CODES, HUB, Founded
from tests.acceptance.world import World, living
from tests.faults.proxy import Proxy
from tests.ports import free_port


@dataclass(frozen=True)
class Texts:
    """What people write; every word of it is found nowhere else."""

    subject: str = field(default_factory=lambda: f"subject {secrets.token_hex(12)}")
    text: str = field(default_factory=lambda: f"text {secrets.token_hex(12)}")
    name: str = field(default_factory=lambda: f"{secrets.token_hex(12)}.bin")
    content: bytes = field(default_factory=lambda: secrets.token_bytes(48))
    note: str = field(default_factory=lambda: f"note {secrets.token_hex(12)}")
    other_note: str = field(default_factory=lambda: f"other {secrets.token_hex(12)}")
    refused: str = field(default_factory=lambda: f"refused {secrets.token_hex(12)}")

    def request(self, **changes: object) -> SubmitRequest:
        """Return the notice with all of it inside."""
        attached = AttachmentRequest(name=self.name, content=format_base64(b"." * 20_000 + self.content))
        plain: dict[str, object] = {
            "to": ("XBB", "XCC"),
            "severity": "xaa-national@1:grave",
            "subject": self.subject,
            "text": f"{self.text}\n" * 200,
            "attachments": (attached,),
        }
        return SubmitRequest(**(plain | changes))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Exchange:
    """An exchange that has taken place; the coordinator was then killed, the nodes were stopped."""

    world: World
    texts: Texts
    canaries: Canaries
    written: Canaries
    opens: Canaries
    vault: Canaries
    envelope: str
    heard: bytes
    memory: bytes | None
    inside: dict[str, bytes | None]
    read_by_recipient: bytes
    read_by_sender: bytes

    @property
    def hub(self) -> Path:
        return self.world.data(HUB)


@pytest.fixture(scope="module")
def exchange(settled: Founded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """Play the whole exchange once, with the most talkative logs."""
    passphrase, texts = f"passphrase {secrets.token_hex(12)}", Texts()
    opens = tmp_path_factory.mktemp("secret") / "passphrase"
    write_secret(opens, f"{passphrase}\n")
    with living(settled, opens) as world:
        keys = key_secrets(world.founded)
        for code, names in (("HUB", ("statement",)), ("XAA", ("node", "vault", "identity", "opening"))):
            for name in names:
                put_under_passphrase(key_file(world.founded, code, name), passphrase)
        world.settings["ALMENARA_LOG_LEVEL"] = "debug"
        world.listen = free_port()
        with Proxy(world.founded.port, world.listen, heard=bytearray()) as tap:
            world.start(HUB, *CODES)
            envelope, received, answered = play(world, texts)
            memory = memory_of(world.pid(HUB))
            inside = {"node": memory_of(world.pid("XBB")), "unsealer": memory_of(world.unsealer("XBB"))}
            world.kill(HUB)
            assert [world.stop(code) for code in CODES] == [0, 0, 0]
        for code in CODES:
            vault, opening = keys[f"{code} vault 1"], keys[f"{code} opening 1"]
            keys |= stored_secrets(world.founded, code, vault, opening)
        yield Exchange(
            world=world,
            texts=texts,
            canaries=Canaries(vars(texts) | keys | {"passphrase": passphrase}),
            written=Canaries(vars(texts)),
            opens=Canaries({name: secret for name, secret in keys.items() if is_opening(name, "XBB")}),
            vault=Canaries({"vault": keys["XBB vault 1"]}),
            envelope=envelope,
            heard=bytes(tap.heard or b""),
            memory=memory,
            inside=inside,
            read_by_recipient=received,
            read_by_sender=answered,
        )


def is_opening(name: str, code: str) -> bool:
    """Whether a secret of this name opens what others seal to a state."""
    return name.startswith((f"{code} opening", f"{code} prekey", f"{code} day"))


def play(world: World, texts: Texts) -> tuple[str, bytes, bytes]:
    """Send, open, accept, decline, and read the answers; let some requests go wrong, too."""
    sent = world.submit("XAA", texts.request(), secrets.token_hex(16)).id
    assert all(one.state == "received" for one in world.status("XAA", sent, "received").deliveries)
    content = world.client("XBB").ask("POST", f"/v1/notices/{sent}/open", ContentView)
    answers = {
        "XBB": AnswerRequest(answer="accepted", note=texts.note),
        "XCC": AnswerRequest(answer="declined", reason="not-affected", note=texts.other_note),
    }
    for code, answer in answers.items():
        world.client(code).ask("POST", f"/v1/notices/{sent}/answer", AnswerView, body=answer)
    for wrong in (
        {"to": ("XZZ",)},
        {"severity": "xaa-national@1:nope"},
        {"text": texts.refused * 10_000},
        {"refers_to": "00" * 32},
        {"language": texts.refused},
    ):
        with pytest.raises(AlmenaraError):
            world.submit("XAA", texts.request(**{"subject": texts.refused} | wrong), secrets.token_hex(16))
    ran = world.run("send", "--to", "XBB", "--severity", texts.refused, "-s", texts.refused, "-", code="XAA")
    assert ran.code == 2
    status = world.status("XAA", sent, "answered")
    assert {one.recipient: one.state for one in status.deliveries} == {"XBB": "accepted", "XCC": "declined"}
    return sent, repr(content).encode(), repr(status).encode()


def memory_of(pid: int) -> bytes | None:
    """Return the writable memory of a process, or None where the system does not show it."""
    maps = Path(f"/proc/{pid}/maps")
    if not maps.exists():
        return None
    found = bytearray()
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in maps.read_text().splitlines():
            region = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line)
            if region is None or line.endswith("[vvar]"):
                continue
            start, end = (int(number, 16) for number in region.groups())
            with suppress(OSError):
                memory.seek(start)
                found += memory.read(end - start)
    return bytes(found)


def test_the_search_finds_what_is_there(exchange: Exchange) -> None:
    """The control: in the readers' own answers, in a token file, and in every spelling."""
    names = {trace.canary for trace in exchange.canaries.in_bytes(exchange.read_by_recipient)}
    assert names == {"subject", "text", "name", "content"}
    names = {trace.canary for trace in exchange.canaries.in_bytes(exchange.read_by_sender)}
    assert names == {"subject", "note", "other_note"}
    token = exchange.world.founded.token("XBB")
    assert Trace("XBB token", "hexadecimal") in exchange.canaries.in_files([token])[token.name]
    wide = exchange.texts.note.encode("utf-16-le")
    assert exchange.canaries.in_bytes(b"x" + wide) == {Trace("note", "utf-16-le")}


def test_nothing_is_readable_on_the_coordinators_disk(exchange: Exchange) -> None:
    """After SIGKILL in the middle of its work: database, write-ahead log, settings, key files."""
    files = [path for path in exchange.hub.rglob("*") if path.is_file()]
    assert any(path.name.endswith("-wal") and path.stat().st_size for path in files)
    assert exchange.canaries.in_files(files) == {}


def test_nothing_is_readable_in_what_the_coordinator_keeps(exchange: Exchange, tmp_path: Path) -> None:
    """Value by value, for a page border may cut a canary in two; the envelope itself is there."""
    copy = tmp_path / "hub"
    copy.mkdir()
    for path in exchange.hub.glob("almenara.db*"):
        (copy / path.name).write_bytes(path.read_bytes())
    control = Canaries({"envelope": bytes.fromhex(exchange.envelope)}).in_rows(copy / "almenara.db")
    assert {"envelope", "statement"} <= set(control)
    assert exchange.canaries.in_rows(copy / "almenara.db") == {}


def test_nothing_is_readable_in_the_coordinators_memory(exchange: Exchange) -> None:
    """Whoever owns the running process learns no word of a notice or note."""
    if exchange.memory is None:
        pytest.skip("this system does not show a process's memory")
    pinned = exchange.world.founded.root_hash
    assert pinned in exchange.memory
    assert exchange.written.in_bytes(exchange.memory) == set()


def test_no_key_that_opens_is_in_the_memory_of_the_process_that_speaks_to_the_network(
    exchange: Exchange,
) -> None:
    """It has the vault key, for control; the opening key and a seed are in the unsealer, and only there."""
    node, unsealer = exchange.inside["node"], exchange.inside["unsealer"]
    if node is None or unsealer is None:
        pytest.skip("this system does not show a process's memory")
    assert exchange.vault.in_bytes(node)
    found = {trace.canary.split()[1] for trace in exchange.opens.in_bytes(unsealer)}
    assert {"opening", "prekey"} <= found
    assert exchange.vault.in_bytes(unsealer) == set()
    assert exchange.opens.in_bytes(node) == set()


def test_no_log_tells_anything(exchange: Exchange) -> None:
    """Neither the coordinator's nor any node's, at the level that tells most."""
    logs = [exchange.world.log_of(name) for name in (HUB, *CODES)]
    assert all(log.stat().st_size for log in logs)
    assert exchange.canaries.in_files(logs) == {}


def test_nothing_is_readable_on_the_wire(exchange: Exchange) -> None:
    """All that passed between nodes and coordinator: TLS records, which carried the envelope."""
    assert exchange.heard.startswith(b"\x16\x03")
    assert 3 * 20_000 < len(exchange.heard) < 20 * MAX_SUBMISSION_BYTES
    assert exchange.canaries.in_bytes(exchange.heard) == set()


@pytest.mark.parametrize("code", CODES)
def test_a_nodes_database_alone_reveals_nothing(exchange: Exchange, code: str) -> None:
    """Contents and notes are locked under the vault key, seeds under keys of days; neither lies in it."""
    folder = exchange.world.data(code)
    assert exchange.canaries.in_files(folder.glob("almenara.db*")) == {}
    assert exchange.canaries.in_rows(folder / "almenara.db") == {}
