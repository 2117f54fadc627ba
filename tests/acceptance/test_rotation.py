"""Every kind of a node's keys rotated while notices flow: none is lost, refused, or shown twice.

Real processes, real TLS, the real commands. The load is what a machine of two shared cores can
take; the rate that was reached is printed.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import apsw
import pytest

from exchange.node.requests import SubmitRequest
from exchange.node.views import ProofView, SubmittedView
from protocol.digest import certificate_id
from protocol.documents import StateManifest, parse_document, parse_signed_document
from protocol.errors import AlmenaraError, NotFound
from protocol.notice import parse_manifest
from protocol.statement import Statement, StatementKind
from tests.acceptance.ceremony import CODES, HUB
from tests.acceptance.world import World
from tests.faults.ledger import check_chains, said, statements
from tests.ports import free_port

SENDER, RECIPIENT = "XAA", "XBB"
RATE_PER_S = 100
SECONDS = 10.0
WORKERS = 4
DRAIN_S = 120.0
DAY_MS = 24 * 3600 * 1000
DAYS_ON = 8
"""All machines are so many days after the ceremony: the daily keys run low, and are made anew."""


class Load:
    """Sends small notices to one recipient, at a rate, until told to stop.

    Args:
        world: Whose sender is asked.
        rate: Notices per second that are tried.
    """

    def __init__(self, world: World, rate: float) -> None:
        self._world = world
        self._pause_s = WORKERS / rate
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(WORKERS)]
        self._began = 0.0
        self.ids: list[str] = []
        self.failed: list[AlmenaraError] = []
        self.rate = 0.0

    def __enter__(self) -> Load:
        self._began = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        self.rate = len(self.ids) / (time.monotonic() - self._began)

    def last_until(self, seconds: float) -> None:
        """Return when the load has lasted so long."""
        time.sleep(max(0.0, self._began + seconds - time.monotonic()))

    def _run(self, number: int) -> None:
        client, due, count = self._world.client(SENDER), time.monotonic(), 0
        while not self._over.is_set():
            count += 1
            request = SubmitRequest(
                to=(RECIPIENT,),
                severity="xaa-national@1:moderado",
                subject=f"{number}.{count}",
                text="small",
                tlp="green",
            )
            try:
                view = client.ask(
                    "POST", "/v1/notices", SubmittedView, body=request, request_id=secrets.token_hex(8)
                )
                self.ids.append(view.id)
            except AlmenaraError as error:
                self.failed.append(error)
            due = max(due + self._pause_s, time.monotonic() - 1.0)
            time.sleep(max(0.0, due - time.monotonic()))


def rotate(world: World, code: str, *words: str) -> dict[str, object]:
    """Rotate a key of a running node by the command, with the identity key that is brought for it."""
    place = world.data(code)
    ran = world.run(
        "key", "rotate", *words, "--data", place, "--identity", place / "keys" / "identity.key", "--json"
    )
    assert ran.code == 0, ran.out + ran.err
    return ran.object


def manifest_of(world: World, code: str) -> StateManifest:
    """Return a state's newest manifest, as the coordinator has stored it."""
    found: list[StateManifest] = []
    for body in rows(world.data(HUB), "SELECT data FROM document ORDER BY idx"):
        document = parse_document(parse_signed_document(body).body)
        if isinstance(document, StateManifest) and document.state == code:
            found.append(document)
    return found[-1]


def rows(place: Path, query: str) -> list[bytes]:
    """Return the first column of what a store holds."""
    db = apsw.Connection(str(place / "almenara.db"), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        return [bytes(value) for (value,) in db.execute(query) if isinstance(value, bytes)]
    finally:
        db.close()


def rotate_everything(world: World, load: Load) -> dict[str, str]:
    """Rotate each kind of key in the middle of the load; return the ids of the new ones."""
    made: dict[str, str] = {}
    made["sender"] = str(rotate(world, SENDER, "node", "--announce", "0")["key"])
    made["recipient"] = str(rotate(world, RECIPIENT, "node", "--announce", "0")["key"])
    made["witness"] = str(rotate(world, RECIPIENT, "witness")["key"])
    # Of three witnesses two change: no quorum is possible without new keys.
    rotate(world, SENDER, "witness")
    made["tls"] = str(rotate(world, RECIPIENT, "tls")["key"])
    rotate(world, SENDER, "tls")
    token = rotate(world, RECIPIENT, "officer", f"Officer of {RECIPIENT}")["files"]
    assert isinstance(token, list)
    made["token"] = str(token[0])
    load.last_until(SECONDS)
    return made


def the_rotation(world: World, rate: float, seconds: float) -> float:
    """Rotate everything under load, then judge every notice; return the rate that was reached."""
    shift = DAYS_ON * DAY_MS
    ledger_port = free_port()
    world.settings["ALMENARA_LEDGER_PORT"] = str(ledger_port)
    world.start(HUB, SENDER, "XCC", shift_ms=shift)
    before = {code: manifest_of(world, code) for code in CODES}
    with Load(world, rate) as load:
        # The recipient comes up in the middle, with few daily keys left: it publishes new ones under load.
        world.start(RECIPIENT, shift_ms=shift)
        made = rotate_everything(world, load)
        load.last_until(seconds)
    assert load.failed == []
    answer_with_both_tokens(world, load.ids, Path(made["token"]))
    world.until(lambda: received(world) >= len(load.ids), "every notice and receipt", DRAIN_S)
    for code in CODES:
        assert [alarm for alarm in world.node(code).alarms if alarm.code != "pending-witness"] == []
    assert sessions(world) == dict.fromkeys(CODES, 1), "a rotation ended somebody's session"
    look_at_running_nodes(world)
    audit(world, load.ids, ledger_port)
    reconnect_with_new_certificates(world)
    assert [world.stop(name) for name in (*CODES, HUB)] == [0, 0, 0, 0]
    judge(world, load, made, before)
    return load.rate


def received(world: World) -> int:
    """Return how many of the sent notices their recipient has confirmed, as the sender has stored it."""
    query = "SELECT envelope FROM delivery WHERE state IN ('received', 'opened', 'accepted')"
    return len(rows(world.data(SENDER), query))


def look_at_running_nodes(world: World) -> None:
    """The commands that look at keys work on a node that runs, and show both keys of the overlap."""
    for code in (SENDER, RECIPIENT):
        ran = world.run("key", "list", "--data", world.data(code), "--json")
        assert ran.code == 0, ran.out + ran.err
        assert ran.object["accepted_by_coordinator"] is True
        nodes = [key for key in ran.object["keys"] if key["role"] == "node"]
        assert [(key["standing"], key["file"] is None) for key in nodes] == [("active", False)] * 2
        checked = world.run("key", "check", "--data", world.data(code), "--json")
        assert (checked.code, checked.object["findings"]) == (0, []), checked.out + checked.err


def audit(world: World, ids: list[str], ledger_port: int) -> None:
    """What old and new keys signed and cosigned is proved offline, from the root hash alone."""
    root_hash = world.founded.root_hash.hex()
    for number, id_ in enumerate((ids[0], ids[-1])):
        receipt = world.folder / f"receipt-{number}.txt"
        world.until(partial(is_proved, world, id_, receipt), "a proof of RELAYED and RECEIVED", DRAIN_S)
        ran = world.run("audit", "verify", receipt, "--root-hash", root_hash)
        assert ran.code == 0, ran.out + ran.err
    exported = world.run(
        *("audit", "export", "--member", world.data(SENDER)),
        *("--url", f"https://127.0.0.1:{ledger_port}", "--community", world.founded.community),
        *("--root-hash", root_hash, "-o", world.folder / "bundle"),
    )
    assert exported.code == 0, exported.out + exported.err
    ran = world.run("audit", "verify", world.folder / "bundle", "--root-hash", root_hash)
    assert ran.code == 0, ran.out + ran.err


def is_proved(world: World, id_: str, to: Path) -> bool:
    """Save the receipt of a notice; return whether it proves all that was said."""
    try:
        view = world.client(SENDER).ask("GET", f"/v1/notices/{id_}/proof", ProofView)
    except NotFound:
        return False
    to.write_text(view.receipt)
    return view.statements > 1 and not view.pending


def sessions(world: World) -> dict[str, int]:
    """Return how many sessions the coordinator has opened for each state."""
    lines = [json.loads(line) for line in world.log_of(HUB).read_text("utf-8").splitlines()]
    return Counter(line["state"] for line in lines if line["event"] == "session.opened")


def answer_with_both_tokens(world: World, ids: list[str], token: Path) -> None:
    """During the overlap the officer's old token works, and so does the new one."""
    world.until(lambda: received(world) > 1, "the first receipts")
    (old,) = set((world.data(RECIPIENT) / "tokens").glob("officer-*.token")) - {token}
    for id_, file in ((ids[0], old), (ids[1], token)):
        ran = world.run("ack", id_, "accept", "--data", world.data(RECIPIENT), "--token-file", file, "--json")
        assert ran.code == 0, ran.out + ran.err


def reconnect_with_new_certificates(world: World) -> None:
    """Once the new certificates alone are listed and the coordinator is new, sessions open with them."""
    for code in (SENDER, RECIPIENT):
        rotate(world, code, "finish")
    world.until(
        lambda: all(len(manifest_of(world, code).certificates) == 1 for code in (SENDER, RECIPIENT)),
        "the old certificates to leave the manifests",
    )
    assert world.stop(HUB) == 0
    world.start(HUB, shift_ms=DAYS_ON * DAY_MS)
    world.until(lambda: all(world.node(code).connected for code in CODES), "new sessions")


def judge(world: World, load: Load, made: dict[str, str], before: dict[str, StateManifest]) -> None:
    """Compare what was submitted with what the recipient shows and what the ledger holds."""
    sent = Counter(load.ids)
    shown = Counter(id_.hex() for id_ in rows(world.data(RECIPIENT), "SELECT id FROM notice"))
    assert shown == sent, "the recipient shows something else than what was submitted"
    assert rows(world.data(RECIPIENT), "SELECT evidence FROM refused") == []
    recorded = statements(world.data(HUB) / "almenara.db")
    check_chains(recorded)
    assert said(recorded, StatementKind.RELAYED) == {(HUB, id_): 1 for id_ in sent}
    assert said(recorded, StatementKind.RECEIVED) == {(RECIPIENT, id_): 1 for id_ in sent}
    assert not said(recorded, StatementKind.REJECTED)
    judge_keys(world, recorded, made, before)


def judge_keys(
    world: World,
    recorded: list[tuple[bytes, Statement]],
    made: dict[str, str],
    before: dict[str, StateManifest],
) -> None:
    """Both the old and the new key of each kind were in use, and are the ones that the manifests list."""
    receipts = {one.key_id.hex() for _, one in recorded if one.kind is StatementKind.RECEIVED}
    assert receipts == {before[RECIPIENT].keys[0].key_id.hex(), made["recipient"]}
    headers = [parse_manifest(data)[1] for data in rows(world.data(SENDER), "SELECT manifest FROM notice")]
    assert {header.key_id.hex() for header in headers} == {
        before[SENDER].keys[0].key_id.hex(),
        made["sender"],
    }
    answers = {one.key_id for _, one in recorded if one.kind is StatementKind.ACCEPTED}
    assert len(answers) == 2
    after = manifest_of(world, RECIPIENT)
    assert after.witness.ed25519 != before[RECIPIENT].witness.ed25519
    assert [certificate_id(der).hex() for der in after.certificates] == [made["tls"]]
    listed = [
        body
        for body in rows(world.data(HUB), "SELECT data FROM document ORDER BY idx")
        if type(parse_document(parse_signed_document(body).body)).__name__ == "PrekeyList"
    ]
    assert len(listed) > len(CODES), "no new daily keys were published"


def test_every_kind_of_key_is_rotated_under_load_and_nothing_is_lost(
    world: World, record_property: Callable[[str, object], None]
) -> None:
    """Node, witness, TLS and officer keys, and daily keys: 0 lost, 0 rejected, 0 shown twice."""
    rate = the_rotation(world, RATE_PER_S, SECONDS)
    record_property(
        "figure", f"rotated every key of two nodes at {rate:.0f} notices/s, {RATE_PER_S} were tried"
    )


@pytest.mark.long
def test_the_same_for_two_minutes(world: World) -> None:
    """The load goes on long after the last switch."""
    the_rotation(world, RATE_PER_S, 120.0)
