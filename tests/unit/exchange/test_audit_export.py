"""Exporting from the real server: what was fetched verifies offline, and is whole or not there at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pytest

from exchange.audit import export as export_module
from exchange.audit.export import Exported, Wanted, export
from exchange.audit.fetch import Access, LedgerClient
from exchange.audit.folder import Folder
from exchange.audit.verdict import Outcome, Verdict
from exchange.audit.verify.bundle import verify_bundle
from exchange.clock import pause
from exchange.coordinator.service import Coordinator
from exchange.datadir import DataDir
from exchange.link.tls import client_context, reader_context
from exchange.settings import CoordinatorSettings
from exchange.setup.auditors import add_auditor
from protocol import codec
from protocol.errors import (
    BadRequest,
    Forked,
    FormatError,
    NotAuthorized,
    PeerNotPinned,
    SetupError,
    Unreachable,
)
from protocol.ledger.bundle import checkpoint_name, document_name, entries_name, statements_name
from protocol.ledger.origins import Log
from protocol.session.messages import Accepted, Attest, Submit
from protocol.statement import StatementKind
from tests import hubs
from tests.bundles import Writer, lively
from tests.community import HUB
from tests.envelopes import said
from tests.hubs import CLOCK, Node, certificate, everyone, node, prepare, running

SOON = 0.05
ROOT = everyone().id


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let checkpoints and rounds follow each other faster than in the field."""
    slow = hubs.settings

    def settings(folder: Path) -> CoordinatorSettings:
        return msgspec.structs.replace(slow(folder), checkpoint_s=SOON, witness_s=SOON)

    monkeypatch.setattr(hubs, "settings", settings)


@dataclass
class Scene:
    """A coordinator with three nodes, one notice, and one receipt, all witnessed."""

    folder: Path
    tmp: Path
    coordinator: Coordinator
    port: int

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def auditor(self) -> Access:
        token = add_auditor(DataDir(self.folder), "Ana Silva").read_text().strip()
        pinned = [certificate(HUB).der]
        return Access(self.url, pinned, reader_context(pinned), token)

    def member(self, code: str) -> Access:
        mine = self.tmp / f"tls-{code}"
        mine.mkdir()
        (mine / "tls.crt").write_bytes(certificate(code).pem)
        (mine / "tls.key").write_bytes(certificate(code).key_pem)
        pinned = [certificate(HUB).der]
        return Access(self.url, pinned, client_context(mine / "tls.crt", mine / "tls.key", pinned), None)

    async def export(
        self, access: Access, *, member: str | None = None, since_ms: int | None = None
    ) -> Verdict:
        out = self.tmp / "bundle"
        await asyncio.to_thread(fetch, access, out, member, since_ms)
        return verify_bundle(Folder(out), ROOT)


def wanted(member: str | None = None, since_ms: int | None = None) -> Wanted:
    return Wanted(
        community=ROOT,
        coordinator=HUB,
        member=member,
        since_ms=since_ms,
        made_ms=CLOCK.now_ms(),
        program="tests",
    )


def fetch(access: Access, out: Path, member: str | None = None, since_ms: int | None = None) -> Exported:
    client = LedgerClient(access)
    try:
        return export(client, wanted(member, since_ms), out, lambda line: None, pause)
    finally:
        client.close()


async def accepted(one: Node, request: Submit | Attest) -> None:
    assert isinstance(await one.ask(request), Accepted)


async def listen(one: Node) -> None:
    while True:
        await one.hear()


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    """Run a coordinator, let three nodes witness, and say something about a notice."""
    data = tmp_path / "hub"
    await prepare(data)
    async with AsyncExitStack() as stack:
        coordinator, port = await stack.enter_async_context(running(data))
        nodes = {
            code: await stack.enter_async_context(node(tmp_path, code, port))
            for code in ("XAA", "XBB", "XCC")
        }
        sealed = Writer(everyone()).notice("XAA", ("XBB",), relay=False)
        await accepted(nodes["XAA"], Submit(ref=1, submission=codec.encode(sealed.submission)))
        received = said(everyone(), "XBB", StatementKind.RECEIVED, sealed.id)
        await nodes["XBB"].next()
        await accepted(nodes["XBB"], Attest(ref=1, statement=received.data))
        tasks = [asyncio.create_task(listen(one)) for one in (nodes["XBB"], nodes["XCC"])]
        await nodes["XAA"].until_witnessed(Log.ACK, 3)
        assert coordinator.ledger_port is not None
        yield Scene(data, tmp_path, coordinator, coordinator.ledger_port)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_what_an_auditor_exports_verifies_offline(scene: Scene) -> None:
    """Everything needed, from the real server, and nothing else."""
    verdict = await scene.export(scene.auditor())
    assert verdict.verdict is Outcome.OK, verdict.findings
    assert verdict.range is not None
    assert (verdict.range.leaves, verdict.range.bodies, verdict.range.member) == (3, 3, None)
    assert [notice.sender for notice in verdict.notices] == ["XAA"]


async def test_a_member_exports_what_concerns_it(scene: Scene) -> None:
    """A member shows its certificate, and gets all leaves and its own statements."""
    verdict = await scene.export(scene.member("XCC"), member="XCC")
    assert verdict.verdict is Outcome.OK, verdict.findings
    assert verdict.range is not None
    assert (verdict.range.leaves, verdict.range.bodies, verdict.range.member) == (3, 1, "XCC")


async def test_a_date_leaves_statements_behind_and_no_leaf(scene: Scene) -> None:
    """The whole tree is needed to prove any of it."""
    verdict = await scene.export(scene.auditor(), since_ms=CLOCK.now_ms() + 1)
    assert verdict.verdict is Outcome.OK, verdict.findings
    assert verdict.range is not None
    assert (verdict.range.leaves, verdict.range.bodies, verdict.range.bodies_from) == (3, 1, 3)


async def test_a_stranger_gets_nothing(scene: Scene) -> None:
    """Read-only, and not for everybody."""
    access = scene.auditor()
    with pytest.raises(NotAuthorized):
        await asyncio.to_thread(fetch, replace(access, token=None), scene.tmp / "out")
    assert not (scene.tmp / "out").exists()


async def test_another_server_is_not_asked(scene: Scene) -> None:
    """The certificate is the one of the community file, or nothing is said."""
    pinned = [certificate("XAA").der]
    access = Access(scene.url, pinned, reader_context(pinned), "secret")
    with pytest.raises(PeerNotPinned):
        await asyncio.to_thread(fetch, access, scene.tmp / "out")


async def test_an_address_that_nobody_listens_on_is_said_to_be_unreachable(scene: Scene) -> None:
    """The next step names the setting."""
    access = replace(scene.auditor(), url="https://127.0.0.1:1")
    with pytest.raises(Unreachable):
        await asyncio.to_thread(fetch, access, scene.tmp / "out")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1", "127.0.0.1:1", "https://", "https://h/path", "wss://h"]
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    """Before anything is sent to it."""
    with pytest.raises(BadRequest):
        LedgerClient(Access(url, [], reader_context([]), None))


# --- A coordinator that lies while it is asked ---


class Files:
    """A coordinator that answers from a bundle; a test may change what it says."""

    def __init__(self, writer: Writer) -> None:
        self.files = writer.bundle()
        self.files["ack/milestones"] = "".join(f"{size}\n" for size in writer.milestones).encode()

    def get(self, name: str, limit: int) -> bytes | None:
        return self.files.get(name)


@pytest.fixture
def files() -> Files:
    return Files(lively(everyone())[0])


def take(files: Files, out: Path) -> Exported:
    told: list[str] = []
    return export(files, wanted(), out, told.append, lambda seconds: None)


def test_a_bundle_is_fetched_as_it_is(files: Files, tmp_path: Path) -> None:
    """Nothing is added, nothing is lost."""
    done = take(files, tmp_path / "out")
    verdict = verify_bundle(Folder(tmp_path / "out"), ROOT)
    assert verdict.verdict is Outcome.OK, verdict.findings
    assert (done.leaves, done.statements, done.problem) == (13, 13, None)
    assert len(verdict.milestones) == 5


def other_leaf(files: Files) -> None:
    name = entries_name(Log.ACK, 0, 13)
    files.files[name] = files.files[name][:-1] + bytes([files.files[name][-1] ^ 1])


def other_statement(files: Files) -> None:
    data = bytearray(files.files[statements_name(0)])
    data[100] ^= 1
    files.files[statements_name(0)] = bytes(data)


def no_document(files: Files) -> None:
    del files.files[document_name(3)]


def no_checkpoint(files: Files) -> None:
    del files.files[checkpoint_name(Log.ACK)]


LIES: dict[str, tuple[Callable[[Files], None], type[Exception]]] = {
    "another leaf": (other_leaf, Forked),
    "another statement": (other_statement, Forked),
    "no document": (no_document, FormatError),
    "no checkpoint": (no_checkpoint, Unreachable),
}


@pytest.mark.parametrize("case", LIES.values(), ids=LIES)
def test_what_contradicts_itself_is_not_written(
    files: Files, tmp_path: Path, case: tuple[Callable[[Files], None], type[Exception]]
) -> None:
    """Whole or not at all: a failed export leaves nothing behind but what proves a lie."""
    change, error = case
    change(files)
    with pytest.raises(error) as caught:
        take(files, tmp_path / "out")
    left = list(tmp_path.iterdir())
    if error is Forked:
        (kept,) = left
        assert kept.name.startswith("out.evidence-")
        assert (kept / "ack" / "checkpoint").is_file()
        assert str(kept) in getattr(caught.value, "hint", "")
    else:
        assert left == []


def test_of_more_milestones_than_a_list_may_name_some_are_taken(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ledger that grows for years stays one that can be exported; the newest is always there."""
    sizes = [int(line) for line in (files.get("ack/milestones", 1 << 20) or b"").split()]
    assert len(sizes) > 1
    monkeypatch.setattr(export_module, "MAX_PARTS", 0)
    take(files, tmp_path / "out")
    kept = sorted(int(path.name) for path in (tmp_path / "out" / "ack" / "milestones").iterdir())
    assert kept == sizes[-1:]


def test_a_directory_that_holds_something_is_left_alone(files: Files, tmp_path: Path) -> None:
    """Nobody's files are mixed with evidence."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x")
    with pytest.raises(SetupError):
        take(files, tmp_path / "out")
    assert (tmp_path / "out" / "mine").read_text() == "x"


def test_a_ledger_without_a_quorum_is_exported_and_said_to_be_so(tmp_path: Path) -> None:
    """Missing witnesses degrade the evidence; they keep nobody from taking it."""
    writer, _ = lively(everyone())
    files = Files(writer)
    files.files[checkpoint_name(Log.ACK)] = writer.signed(Log.ACK, ["XAA"]).data
    done = take(files, tmp_path / "out")
    assert done.problem is not None
    assert "1 of 3" in done.problem
