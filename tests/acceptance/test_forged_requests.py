"""What a newcomer, or somebody in its name, hands in: what is not sound is refused, and leaves no file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from exchange.cli.exits import Exit
from protocol import codec
from protocol.enrolment import StateRequest, parse_request
from tests.acceptance.ceremony import HUB, Founded
from tests.acceptance.world import Ran, World, living

NEW = "XDD"
CHANNELS = ("--channel", "in person", "--channel", "telephone", "--yes", "--json")


def init(world: World, folder: str, state: str, *, name: str = "CSIRT of Delos", root: str = "") -> Ran:
    """Let somebody make a node's keys."""
    return world.run(
        *("node", "init", "--data", world.folder / folder, "--state", state, "--name", name),
        *("--officer", "Dina Kos", "--root-hash", root or world.founded.root_hash.hex()),
        *("--unprotected", "--json"),
    )


def request_of(world: World, folder: str, state: str) -> StateRequest:
    """Return the request of a new node."""
    ran = init(world, folder, state)
    assert ran.code == Exit.OK, ran
    request = parse_request((world.folder / folder / "request.alm").read_bytes())
    assert isinstance(request, StateRequest)
    return request


def propose(world: World, request: Path, *attestations: Path) -> Ran:
    """Propose to admit a request, with the attestations that there are, or else with a reason."""
    named: list[str | Path] = [word for path in attestations for word in ("--attestation", path)]
    return world.run(
        *("governance", "propose", "admit", request),
        *(named or ("--unattested", "a test")),
        *("--in", world.founded.governance, "-o", world.folder / "new.proposal", "--json"),
    )


def attest(world: World, request: Path, code: str) -> Ran:
    """Let a member attest a request."""
    data = world.data(code)
    return world.run(
        *("node", "attest", request, "--data", data, "--identity", data / "keys" / "identity.key"),
        *("-o", world.folder / f"{code}.attestation", *CHANNELS),
    )


def files(folder: Path) -> set[Path]:
    """Return every file of a folder but the locks, which are empty and always made."""
    return {path for path in folder.rglob("*") if path.is_file() and path.name != "lock"}


def refused(world: World, request: bytes) -> list[str]:
    """Hand a forged request to governance and to a member: both refuse, and nothing is written."""
    path = world.folder / "forged.alm"
    path.write_bytes(request)
    before = files(world.folder)
    ran = [propose(world, path), attest(world, path, "XBB")]
    assert all(one.code != Exit.OK for one in ran), ran
    assert all(one.error["next"] for one in ran), ran
    assert files(world.folder) == before
    return [str(one.error["code"]) for one in ran]


def test_another_states_code_is_nobody_elses(world: World) -> None:
    """Neither as the request's own code, nor in a manifest, nor by changing the code of a sound request."""
    own, rogue = request_of(world, NEW, NEW), request_of(world, "rogue", "XAA")
    # A member may attest another key of a member, which is how a lost one is replaced; nobody is admitted so.
    ran = propose(world, world.folder / "rogue" / "request.alm")
    assert ran.error["code"] == "key-refused"
    assert "XAA is a member already, with another identity key" in ran.error["message"]
    assert not (world.folder / "new.proposal").exists()
    manifest = msgspec.structs.replace(own, documents=rogue.documents)
    assert refused(world, codec.encode(manifest)) == ["unknown-signer"] * 2
    renamed = msgspec.structs.replace(own, code="XAA")
    assert refused(world, codec.encode(renamed)) == ["bad-signature"] * 2


@pytest.fixture(scope="module")
def sound(settled: Founded) -> bytes:
    """The sound request of a newcomer."""
    with living(settled) as world:
        return codec.encode(request_of(world, NEW, NEW))


@pytest.mark.parametrize("code", ["../../evil", "/tmp/evil", "..", "X/D", "XDD\x00"])
def test_a_path_in_place_of_a_code_is_no_request(world: World, sound: bytes, code: str) -> None:
    """The bytes are changed by hand, since this program does not even encode such a code."""
    head, mark, tail = sound.partition(b"\xa3XDD")
    assert mark
    forged = head + bytes([0xA0 + len(code)]) + code.encode() + tail
    assert set(refused(world, forged)) == {"malformed"}
    assert not (world.folder.parent / "evil").exists()
    assert not Path("/tmp/evil").exists()


def test_a_path_as_a_name_is_only_a_name(world: World) -> None:
    """It is a line of text for people; no file is named after it, also if everything is sound."""
    before = files(world.folder)
    assert init(world, NEW, NEW, name="../../evil").code == Exit.OK
    request = world.data(NEW) / "request.alm"
    assert all(attest(world, request, code).code == Exit.OK for code in ("XAA", "XBB"))
    attestations = [world.folder / f"{code}.attestation" for code in ("XAA", "XBB")]
    assert propose(world, request, *attestations).code == Exit.OK
    made = {path for path in files(world.folder) - before if world.data(NEW) not in path.parents}
    assert {path.name for path in made} == {"XAA.attestation", "XBB.attestation", "new.proposal"}
    assert not (world.folder.parent / "evil").exists()
    assert not any("evil" in path.name for path in files(world.folder))


def test_an_attestation_of_another_key_does_not_count(world: World) -> None:
    """It names the state, but not this key; the custodians are told how many are missing."""
    request_of(world, NEW, NEW)
    request_of(world, "another", NEW)
    assert attest(world, world.data(NEW) / "request.alm", "XAA").code == Exit.OK
    assert attest(world, world.folder / "another" / "request.alm", "XBB").code == Exit.OK
    made = [world.folder / f"{code}.attestation" for code in ("XAA", "XBB")]
    ran = propose(world, world.data(NEW) / "request.alm", *made)
    assert ran.error["code"] == "threshold-not-met"
    assert "1 member attests" in ran.error["message"]
    assert "almenara node attest" in ran.error["next"]


def swapped(words: Sequence[str], place: int) -> str:
    """Return the words with one of them replaced by another word of the list."""
    heard = " ".join(words).split()
    heard[place] = next(word for word in heard if word != heard[place])
    return " ".join(heard)


def test_one_wrong_word_is_named(world: World) -> None:
    """Of an applicant's key, and of the root hash: by its place and as it should be, or at least its line."""
    request_of(world, NEW, NEW)
    shown = world.run("node", "request", "--data", world.data(NEW), "--json").object["words"]
    compare = ("node", "fingerprint", "--request", world.data(NEW) / "request.alm", "--json", "--compare")
    assert world.run(*compare, " ".join(shown)).code == Exit.OK
    ran = world.run(*compare, swapped(shown, 4))
    assert f"word 5 is {shown[0].split()[4]} here" in ran.error["message"]
    root = ("node", "fingerprint", "--root", "--data", world.data("XAA"), "--json")
    pinned = world.run(*root).object["words"]
    ran = world.run(*root, "--compare", swapped(pinned, 2))
    assert f"word 3 is {pinned[0].split()[2]} here" in ran.error["message"]
    ran = init(world, "mistyped", "XEE", root=swapped(pinned, 2))
    assert "line 1 of the words is wrong" in ran.error["message"]
    assert not (world.folder / "mistyped").exists()
    ran = init(
        world, "mistyped", "XEE", root=" ".join([*pinned[:-1], "nonsuch " + pinned[-1].split(" ", 1)[1]])
    )
    assert "word 28, 'nonsuch', is not in the list of words" in ran.error["message"]


def test_a_pin_of_another_root_joins_nothing(world: World) -> None:
    """A sound hash of another community can only be told when the file comes."""
    assert init(world, NEW, NEW, root="00" * 32).code == Exit.OK
    ran = world.run("node", "join", "--data", world.data(NEW), world.founded.community, "--json")
    assert ran.error["code"] == "wrong-community"


def test_a_notice_to_the_newcomer_by_command(world: World) -> None:
    """``send --to XDD`` from XAA, and the newcomer's officer answers."""
    world.start(HUB, "XAA", "XBB")
    request_of(world, NEW, NEW)
    request = world.data(NEW) / "request.alm"
    assert all(attest(world, request, code).code == Exit.OK for code in ("XAA", "XBB"))
    assert (
        propose(world, request, *(world.folder / f"{c}.attestation" for c in ("XAA", "XBB"))).code == Exit.OK
    )
    signed = []
    for number in (1, 2):
        signed.append(world.folder / f"{number}.signature")
        ran = world.run(
            *("governance", "sign", world.folder / "new.proposal", "--community", world.founded.community),
            *("--root-hash", world.founded.root_hash.hex(), "-o", signed[-1], "--yes", "--json"),
            *("--key", world.founded.governance / "keys" / f"directory-{number}.key"),
        )
        assert ran.code == Exit.OK, ran
    where = ("--in", world.founded.governance)
    assert world.run("governance", "publish", world.folder / "new.proposal", *signed, *where).code == Exit.OK
    for role, name in (("coordinator", HUB), ("node", NEW)):
        ran = world.run(role, "join", "--data", world.data(name), world.founded.community)
        assert ran.code == Exit.OK, ran
    with (world.data(NEW) / "almenara.toml").open("a", encoding="utf-8") as file:
        file.write('socket = "api.sock"\n')
    world.start(NEW)
    report = world.folder / "report.md"
    report.write_text("Two rooms.\n")
    ran = world.run(
        *("send", "--to", NEW, "--severity", "xaa-national@1:grave", "--subject", "Welcome", report),
        *("--wait", "received", "--json"),
        code="XAA",
    )
    assert ran.code == Exit.OK, ran
    (notice,) = world.listed(NEW, "inbox")
    assert world.run("ack", notice.id, "accept", code=NEW).code == Exit.OK
    assert world.status("XAA", notice.id, "answered").deliveries[0].state == "accepted"
