"""A second verifier, written in Go from ``protocol/spec/`` alone, comes to the same verdicts as ours.

It shares no line, no library and no author's knowledge with ours: where the two agree, the pages say
what is checked. Its source is in ``auditor/``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from msgspec.structs import replace

from exchange.audit.verdict import Outcome
from exchange.audit.verify.bundle import verify_bundle
from exchange.audit.verify.receipt import receipt_verdict
from keys import governance
from keys.evidence import Saying, sign_statements
from keys.sealing import SealedNotice
from protocol import codec
from protocol.documents import Compromise, Role
from protocol.ledger.bundle import LIST_NAME
from protocol.statement import SeenCheckpoint, Statement, StatementKind
from tests.acceptance.golang import build, own_tests
from tests.bundles import HOUR_MS, SECOND_MS, Memory, Writer, lively, publish, saying, write
from tests.community import HUB, YEAR_MS, community, signer
from tests.vectors import make_receipt
from tests.vectors.make_bundle import REFUSED
from tests.vectors.test_bundle_vectors import FILES, ROOT, spoiled
from tests.vectors.test_receipt_vectors import FOLDER as RECEIPTS
from tests.vectors.test_receipt_vectors import GOOD, PINNED

SOURCE = Path(__file__).resolve().parent / "auditor"
K = StatementKind
FLAGS = {"GOFLAGS": "-mod=mod"}
EXIT = {Outcome.OK: 0, Outcome.FAILED: 3}

Verify = Callable[[Path, bytes], subprocess.CompletedProcess[str]]
Lie = Callable[[Writer, SealedNotice], object]


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the second verifier is built, and what the compiler remembers of it."""
    return tmp_path_factory.mktemp("second")


@pytest.fixture(scope="module")
def second(workshop: Path) -> Verify:
    """Build the second verifier, and return a function that runs it."""
    program = build(SOURCE, workshop, FLAGS)

    def verify(path: Path, pinned: bytes) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [program, str(path), pinned.hex()], capture_output=True, text=True, timeout=60, check=False
        )

    return verify


def both(files: Mapping[str, bytes], pinned: bytes, second: Verify, folder: Path) -> tuple[int, int]:
    """Return the exit codes of our verifier and of the second for a bundle."""
    ours = EXIT[verify_bundle(Memory(files), pinned).verdict]
    return ours, second(write(files, folder / "bundle"), pinned).returncode


@pytest.mark.usefixtures("second")
def test_its_own_scenarios_hold(workshop: Path) -> None:
    """What its author wrote down as right and wrong, suspension by two keys among it."""
    own_tests(SOURCE, workshop, FLAGS)


# --- What is true ---


def test_it_accepts_the_kept_bundle(second: Verify, tmp_path: Path) -> None:
    """The one of the specification's examples."""
    assert both(FILES, ROOT, second, tmp_path) == (0, 0)


def test_it_accepts_a_day_in_which_everything_happened(second: Verify, tmp_path: Path) -> None:
    """And counts the same leaves and documents."""
    files = lively()[0].bundle()
    ours = verify_bundle(Memory(files), community().id)
    theirs = second(write(files, tmp_path), community().id)
    assert theirs.returncode == 0, theirs.stdout
    wanted = ours.sentence.partition(" follow from the pinned root hash")[0]
    assert theirs.stdout.startswith(wanted)


def test_it_accepts_what_a_member_takes_along(second: Verify, tmp_path: Path) -> None:
    """What is not in it could not be checked, and is not wrong."""
    writer, _ = lively()
    files = writer.bundle(member="XBB", concerns=(1, 2, 4, 5, 6, 8, 9, 10, 11))
    assert both(files, community().id, second, tmp_path) == (0, 0)


def test_it_accepts_the_kept_receipt(second: Verify, tmp_path: Path) -> None:
    """Every receipt verifies offline, with whatever program."""
    (tmp_path / "receipt.txt").write_text(GOOD)
    assert second(tmp_path / "receipt.txt", PINNED).returncode == 0


# --- What is not ---


@pytest.mark.parametrize("case", json.loads(REFUSED.read_text()), ids=lambda case: str(case["comment"]))
def test_it_refuses_the_kept_bundle_spoiled(second: Verify, tmp_path: Path, case: dict[str, object]) -> None:
    """As ours does."""
    ours, theirs = both(spoiled(case), ROOT, second, tmp_path)
    assert ours == 3
    assert theirs in {2, 3}


@pytest.mark.parametrize(
    "vector", json.loads((RECEIPTS / "refused.json").read_text()), ids=lambda one: str(one["why"])
)
def test_it_refuses_the_kept_receipt_spoiled(
    second: Verify, tmp_path: Path, vector: dict[str, object]
) -> None:
    """As ours does."""
    data = make_receipt.changed(GOOD, vector).encode()
    (tmp_path / "receipt.txt").write_bytes(data)
    assert receipt_verdict(data, PINNED).verdict is Outcome.FAILED
    assert second(tmp_path / "receipt.txt", PINNED).returncode == 3


@pytest.mark.parametrize("name", [name for name in FILES if name not in {LIST_NAME, "README.txt"}])
def test_it_refuses_a_flipped_bit_behind_a_list_that_was_written_again(
    second: Verify, tmp_path: Path, name: str
) -> None:
    """The list is no defence: each file must fail by what it says."""
    data = bytearray(FILES[name])
    data[len(data) // 2] ^= 1
    files = {**FILES, name: bytes(data)}
    old, new = (hashlib.sha256(one).hexdigest().encode() for one in (FILES[name], files[name]))
    files[LIST_NAME] = files[LIST_NAME].replace(old, new)
    assert both(files, ROOT, second, tmp_path) == (3, 3)


# --- Lies with genuine signatures ---


def _forked(writer: Writer, sealed: SealedNotice) -> None:
    writer.say("XBB", saying(K.RECEIVED, sealed, "XBB"))
    del writer.chains[writer.built.members["XBB"].node.key_id]
    writer.say("XBB", saying(K.RECEIVED, writer.notice(), "XBB"))


def _machine(writer: Writer, sealed: SealedNotice) -> None:
    draft = writer.draft("XBB", saying(K.RECEIVED, sealed, "XBB"))
    said = codec.decode(draft.body, Statement, limit=10_000, what="statement")
    body = codec.encode(replace(said, kind=K.ACCEPTED))
    node = writer.built.members["XBB"].node
    writer.log(sign_statements(node, [draft._replace(body=body)])[0], K.ACCEPTED)


def _dropped(writer: Writer, sealed: SealedNotice) -> None:
    writer.draft("XBB", saying(K.RECEIVED, sealed, "XBB"))
    writer.say("XBB", saying(K.RECEIVED, sealed, "XBB"))


def _back_dated(writer: Writer, sealed: SealedNotice) -> None:
    writer.now_ms += HOUR_MS
    writer.milestone()
    at_ms = writer.now_ms - HOUR_MS // 2
    writer.say("XBB", saying(K.RECEIVED, sealed, "XBB"), said_ms=at_ms, at_ms=at_ms)


def _saw(writer: Writer, sealed: SealedNotice, log: str) -> None:
    seen = SeenCheckpoint(f"{writer.log_name}/{log}", 1, bytes(32))
    writer.say("XBB", dataclasses.replace(saying(K.RECEIVED, sealed, "XBB"), seen=seen))


def _held_back(writer: Writer, sealed: SealedNotice) -> None:
    publish(writer, "XCC")
    writer.now_ms += HOUR_MS
    draft = writer.draft("XBB", saying(K.RECEIVED, sealed, "XBB"))
    writer.log(sign_statements(writer.built.members["XBB"].node, [draft])[0], K.RECEIVED)


def _late_promise(writer: Writer, sealed: SealedNotice) -> None:
    undelivered = Saying(kind=K.UNDELIVERED, envelope=sealed.id, about="XBB", code="expired")
    writer.say(HUB, undelivered, said_ms=writer.now_ms - HOUR_MS)


def _denied(writer: Writer, sealed: SealedNotice) -> None:
    writer.answer("XBB", K.RECEIVED, sealed)
    writer.say(HUB, Saying(kind=K.UNDELIVERED, envelope=sealed.id, about="XBB", code="expired"))


def _contradicted(writer: Writer, sealed: SealedNotice) -> None:
    writer.answer("XBB", K.DECLINED, sealed)
    writer.answer("XBB", K.COMPLETED, sealed)


def _swallowed(writer: Writer, sealed: SealedNotice) -> None:
    writer.answer("XBB", K.RECEIVED, sealed)
    writer.now_ms += 75 * HOUR_MS
    writer.notice("XBB", ("XAA",))


def _confirm(writer: Writer, since_ms: int) -> None:
    key_id = writer.built.members["XBB"].node.key_id
    document = governance.next_directory(
        writer.trusted,
        writer.trusted.states(),
        writer.trusted.coordinators(),
        now_ms=writer.now_ms,
        life_ms=YEAR_MS,
        compromised=[Compromise(party="XBB", key_id=key_id, since_ms=since_ms)],
    )
    writer.document(writer.built.signed_by_governance(document))


def _confirmed_before(writer: Writer, sealed: SealedNotice) -> None:
    _confirm(writer, writer.now_ms + HOUR_MS)
    writer.say("XBB", saying(K.RECEIVED, sealed, "XBB"))


LIES: dict[str, Lie] = {
    "a key confirmed as compromised before": _confirmed_before,
    "a key of nobody": lambda writer, sealed: writer.say(
        "XBB", saying(K.RECEIVED, sealed, "XBB"), signer=signer("stranger", Role.NODE)
    ),
    "a machine that answers": _machine,
    "a fork": _forked,
    "a dropped statement": _dropped,
    "a back-dated leaf": _back_dated,
    "a post-dated leaf": lambda writer, sealed: writer.say(
        "XBB", saying(K.RECEIVED, sealed, "XBB"), at_ms=writer.now_ms + HOUR_MS
    ),
    "another ledger shown": lambda writer, sealed: _saw(writer, sealed, "ack"),
    "another directory log shown": lambda writer, sealed: _saw(writer, sealed, "dir"),
    "a document held back": _held_back,
    "a promise logged late": _late_promise,
    "what was received called undelivered": _denied,
    "completed what was declined": _contradicted,
    "relayed twice": lambda writer, sealed: writer.relay(sealed),
    "never relayed": lambda writer, sealed: writer.say(
        "XBB", dataclasses.replace(saying(K.RECEIVED, sealed, "XBB"), envelope=bytes(32))
    ),
    "no outcome of an expired notice": _swallowed,
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_it_catches_the_lies_that_ours_catches(second: Verify, tmp_path: Path, lie: Lie) -> None:
    """Everything is signed and witnessed as it should be; what is said is false."""
    writer = Writer()
    sealed = writer.notice()
    lie(writer, sealed)
    writer.now_ms += SECOND_MS
    assert both(writer.bundle(), community().id, second, tmp_path) == (3, 3)


@pytest.mark.parametrize(("hours", "count"), [(0, 1), (-1, 2), (-2, 2), (-3, 3)])
def test_both_call_doubtful_what_a_thief_may_have_said(
    second: Verify, tmp_path: Path, hours: int, count: int
) -> None:
    """Not wrong, and named by its leaf; what was witnessed before the thief came is neither."""
    writer = Writer()
    sealed = writer.notice()
    leaves = [writer.say("XBB", saying(K.RECEIVED, sealed, "XBB"))]
    for _ in range(2):
        writer.now_ms += SECOND_MS
        writer.milestone()
        writer.now_ms += HOUR_MS
        leaves.append(writer.say("XBB", saying(K.RECEIVED, writer.notice("XCC", ("XBB",)), "XBB")))
    _confirm(writer, writer.now_ms + hours * HOUR_MS)
    writer.announce()
    writer.now_ms += SECOND_MS
    files = writer.bundle()
    ours = verify_bundle(Memory(files), community().id)
    theirs = second(write(files, tmp_path / "bundle"), community().id)
    doubtful = leaves[-count:]
    assert (ours.verdict, theirs.returncode) == (Outcome.OK, 0), theirs.stdout
    assert [one.leaf for one in ours.findings if one.code == "compromised"] == doubtful
    assert [
        leaf for leaf in leaves if f"leaf {leaf}: RECEIVED of XBB: it may be" in theirs.stdout
    ] == doubtful
