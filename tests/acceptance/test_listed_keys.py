"""Every key that governance lists is replaced while notices flow: none is lost, refused or shown twice.

The coordinator's certificate and statement key, a state's identity key, and the custodians' own keys, one
after another, by real processes; afterwards two verifiers audit the whole ledger.
"""

from __future__ import annotations

import asyncio
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from msgspec.structs import replace

from exchange.node.paper_views import DocumentsView, DocumentView
from exchange.node.requests import DocumentRequest, SubmitRequest
from exchange.setup import governance as work
from exchange.setup.amending import amending
from exchange.setup.keyring import open_signer, unprotected
from exchange.setup.renewing import announce_certificate, finish_certificate, next_statement_key
from exchange.setup.succession import succeed
from keys.documents import sign_document
from keys.governance import next_directory, next_root
from keys.signature import SecretKey
from keys.signer import Signer
from protocol.documents import CoordinatorEntry, Role, RoleKeys, StateEntry
from protocol.errors import AlmenaraError, OutcomeUnknown, StoreFailed, Unreachable
from protocol.text import format_base64
from tests.acceptance.ceremony import CODES, HUB, NO_PASSPHRASE
from tests.acceptance.golang import build
from tests.acceptance.world import CLOCK, World
from tests.ports import free_port

YEAR_MS = 365 * 24 * 3600 * 1000
PAUSE_S = 0.05
LEAST = 40
UNSETTLED = (Unreachable, OutcomeUnknown, StoreFailed)
AUDITOR = Path(__file__).resolve().parent / "auditor"


@dataclass
class Flow:
    """Notices from XAA to XBB, one after another, until it is stopped."""

    world: World
    sent: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Send until told to stop."""
        while not self._stop.is_set():
            number = len(self.sent) + len(self.failed)
            request = SubmitRequest(
                to=("XBB",), severity="xaa-national@1:grave", subject=f"Notice {number}", text="Two rooms."
            )
            try:
                self.sent.append(self._submit(request, f"flow-{number:04}"))
            except AlmenaraError as error:
                self.failed.append(f"{number}: {error!r}")
            time.sleep(PAUSE_S)

    def _submit(self, request: SubmitRequest, request_id: str) -> str:
        """Submit as a script does: what has no answer is repeated under the same id."""
        while True:
            try:
                return self.world.submit("XAA", request, request_id).id
            except UNSETTLED:
                if self._stop.is_set():
                    raise
                time.sleep(PAUSE_S)

    def passes(self, more: int = 5) -> None:
        """Return once so many further notices were accepted here."""
        reached = len(self.sent) + more
        self.world.until(lambda: len(self.sent) >= reached or bool(self.failed), f"{more} further notices")

    def stop(self) -> None:
        """Let it end."""
        self._stop.set()


@contextmanager
def flowing(world: World) -> Iterator[Flow]:
    """Let notices flow while the block runs."""
    flow = Flow(world)
    thread = threading.Thread(target=flow.run)
    thread.start()
    try:
        yield flow
    finally:
        flow.stop()
        thread.join()


class Custodians:
    """The custodians of the test's community, who sign what is asked of them, by any member's node."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._roots = self._keys(Role.ROOT)
        self._directories = self._keys(Role.DIRECTORY)

    def list_coordinator(self, entry: CoordinatorEntry) -> None:
        """List the coordinator so, and return when every node knows it."""
        self._directory(lambda states: states, [entry])

    def list_identity(self, code: str, public: bytes) -> None:
        """List another identity key for a state, and return when every node knows it."""
        self._directory(
            lambda states: [replace(one, identity=public) if one.code == code else one for one in states],
            None,
        )

    def replace_themselves(self) -> None:
        """Replace all root and directory keys, by the old and new thresholds; then sign a directory."""
        held = self._ceremony()
        fresh = {
            role: [Signer(SecretKey.generate(), role) for _ in range(3)]
            for role in (Role.ROOT, Role.DIRECTORY)
        }
        root, directory = (
            RoleKeys(threshold=2, keys=tuple(one.public for one in fresh[role])) for role in fresh
        )
        new = next_root(held.trusted, now_ms=CLOCK.now_ms(), life_ms=YEAR_MS, root=root, directory=directory)
        self._publish(sign_document(new, [*self._roots[:2], *fresh[Role.ROOT][:2]]))
        self._roots, self._directories = fresh[Role.ROOT], fresh[Role.DIRECTORY]
        self._directory(lambda states: states, None)

    def _directory(
        self,
        change: Callable[[list[StateEntry]], list[StateEntry]],
        coordinators: list[CoordinatorEntry] | None,
    ) -> None:
        held = self._ceremony()
        following = next_directory(
            held.trusted,
            change(list(held.entries[0])),
            list(held.entries[1]) if coordinators is None else coordinators,
            now_ms=CLOCK.now_ms(),
            life_ms=YEAR_MS,
        )
        self._publish(sign_document(following, self._directories[:2]))
        world = self._world
        world.until(
            lambda: all(world.node(code).directory_version == following.version for code in CODES),
            f"directory version {following.version} at every node",
        )

    def _publish(self, data: bytes) -> None:
        """Keep a document with the community, and hand it in at a member's node."""
        work.publish(self._ceremony(), [data], CLOCK.now_ms())
        body = DocumentRequest(document=format_base64(data))
        self._world.client("XCC").ask("POST", "/v1/documents", DocumentView, body=body)

    def _ceremony(self) -> work.Ceremony:
        return work.read_ceremony(self._world.founded.governance, CLOCK.now_ms())

    def _keys(self, role: Role) -> list[Signer]:
        folder = self._world.founded.governance / "keys"
        return [open_signer(path, role, NO_PASSPHRASE) for path in sorted(folder.glob(f"{role.value}-*.key"))]


def restart(world: World, name: str) -> None:
    """Stop a service as an administrator does, and start it again."""
    assert world.stop(name) == 0
    world.start(name)


def test_every_listed_key_is_replaced_while_notices_flow(world: World, tmp_path: Path) -> None:
    """0 lost, 0 refused, 0 shown twice; and years later an auditor follows every change."""
    port = free_port()
    world.settings["ALMENARA_LEDGER_PORT"] = str(port)
    world.start(HUB, *CODES)
    hub = world.data(HUB)
    custodians = Custodians(world)
    with flowing(world) as flow:
        flow.passes()
        # The coordinator's certificate: announced, then used; nobody is cut off.
        custodians.list_coordinator(announce_certificate(hub, CLOCK.now_ms()).entry)
        flow.passes()
        custodians.list_coordinator(finish_certificate(hub).entry)
        restart(world, "XBB")
        flow.passes()
        # Its statement key: held first, then listed.
        asked = next_statement_key(hub, unprotected, CLOCK.now_ms()).entry
        restart(world, HUB)
        # One node is away while the key changes, and must come back by itself.
        assert world.stop("XCC") == 0
        world.start("XCC")
        custodians.list_coordinator(asked)
        flow.passes()
        # The sender's own identity key: its node rests for a moment, and nothing of it stops counting.
        with_new_identity(world, "XAA", tmp_path / "identity.key", custodians)
        flow.passes()
        custodians.replace_themselves()
        flow.passes()
    assert flow.failed == []
    assert len(flow.sent) >= LEAST
    received(world, flow)
    audited(world, f"https://127.0.0.1:{port}", tmp_path)


def with_new_identity(world: World, code: str, key: Path, custodians: Custodians) -> None:
    """Hand a state's identity key over: by a manifest that both sign, then by the directory."""

    async def hand_over() -> bytes:
        old = world.data(code) / "keys" / "identity.key"
        async with amending(world.data(code), old, NO_PASSPHRASE, CLOCK) as amendment:
            await succeed(amendment, key, unprotected)
            return amendment.directory.documents.manifests[code].hash

    assert world.stop(code) == 0
    manifest = asyncio.run(hand_over())
    world.start(code)
    public = open_signer(key, Role.IDENTITY, NO_PASSPHRASE).public
    world.until(lambda: manifest_known(world, code, manifest), f"the manifest of {code} at every node")
    custodians.list_identity(code, public)


def manifest_known(world: World, code: str, digest: bytes) -> bool:
    """Whether every node trusts this manifest."""
    query = {"kind": "manifest", "state": code}
    shown = [world.client(one).ask("GET", "/v1/documents", DocumentsView, query=query) for one in CODES]
    return all(any(view.hash == digest.hex() for view in found.documents) for found in shown)


def received(world: World, flow: Flow) -> None:
    """Everything that was accepted is received, and shown once."""
    world.until(
        lambda: len(world.listed("XBB", "inbox")) >= len(flow.sent), "every notice to arrive", seconds=60
    )
    shown = Counter(one.id for one in world.listed("XBB", "inbox"))
    assert shown == Counter(flow.sent)
    states = Counter(
        delivery.state for id_ in flow.sent for delivery in world.status("XAA", id_, "received").deliveries
    )
    assert set(states) == {"received"}, states


def audited(world: World, url: str, folder: Path) -> None:
    """Two verifiers accept the whole ledger, from the pinned root hash alone."""
    program = build(AUDITOR, folder, {"GOFLAGS": "-mod=mod"})
    bundle = folder / "bundle"
    community, pinned = world.founded.community, world.founded.root_hash.hex()
    words = ("--member", world.data("XAA"), "--community", community, "--url", url, "-o", bundle, "--json")
    exported = world.run("audit", "export", *words)
    assert exported.code == 0, exported.err + exported.out
    verified = world.run("audit", "verify", bundle, "--root-hash", pinned)
    assert verified.code == 0, verified.out + verified.err
    second = subprocess.run(
        [program, str(bundle), pinned], capture_output=True, text=True, timeout=120, check=False
    )
    assert second.returncode == 0, second.stdout
