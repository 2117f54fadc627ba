"""Real processes whose keys are in a real token: they run, and nobody who lacks the token can be them."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from exchange.keystore import write_secret
from exchange.node.requests import AnswerRequest, SubmitRequest
from exchange.node.views import StatusView
from exchange.setup.keyring import in_token
from keys.keyfile import KeyKind, describe
from keys.token_uri import TokenUri
from protocol.errors import TokenFailed
from tests import softhsm
from tests.acceptance.ceremony import CODES, HUB, Founded
from tests.acceptance.world import ALMENARA, World, living, settle
from tests.softhsm import LABEL, WRONG_PIN, SoftHsm

pytestmark = softhsm.needed

SENT = SubmitRequest(
    to=("XBB", "XCC"), severity="xaa-national@1:grave", subject="Ransomware", text="Two rooms."
)


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine with a token, and a community whose keys are all in it."""

    hsm: SoftHsm
    founded: Founded

    def settings(self, pin_file: Path | None = None) -> dict[str, str]:
        """Return what its processes have in their environment."""
        return {
            **self.hsm.environment,
            "ALMENARA_PKCS11_MODULE": str(self.hsm.module),
            "ALMENARA_PIN_FILE": str(pin_file or self.hsm.pin_file),
        }


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A community that is settled, and does not run yet."""
    with softhsm.softhsm(tmp_path / "hsm") as hsm:
        yield Machine(hsm, settle(tmp_path / "settled", in_token(hsm.tokens(), TokenUri(LABEL))))


@pytest.fixture
def world(machine: Machine) -> Iterator[World]:
    """Its processes."""
    with living(machine.founded) as world:
        world.settings = machine.settings()
        yield world


def start(world: World) -> None:
    """Start everybody, one after another: a token in software cannot be opened by several at one moment."""
    for name in (HUB, *CODES):
        world.start(name)


def received(world: World, code: str, id_: str) -> StatusView:
    """Return where a notice stands once all its recipients have it."""
    status = world.status(code, id_, wait="received")
    assert {one.state for one in status.deliveries} == {"received"}, status
    return status


def test_a_community_runs_with_its_keys_in_a_token(machine: Machine, world: World) -> None:
    """Node, coordinator, witness and day keys: notices, receipts, checkpoints and answers go as ever."""
    for name in (HUB, *CODES):
        for path in sorted((world.data(name) / "keys").glob("*.key")):
            if path.name != "tls.key":
                assert describe(path.read_text()).protection.word == "pkcs11"
    assert len(machine.hsm.day_keys("XAA").days()) >= 14
    assert not (world.data("XAA") / "day-keys").exists()
    start(world)
    id_ = world.submit("XAA", SENT, "keys-one").id
    received(world, "XAA", id_)
    answer = AnswerRequest(answer="accepted")
    world.client("XBB").ask("POST", f"/v1/notices/{id_}/answer", dict, body=answer)
    world.until(
        lambda: any(one.state == "accepted" for one in world.status("XAA", id_).deliveries), "the answer"
    )
    assert world.node("XAA").alarms == ()
    checked = world.run("doctor", "--data", world.data("XAA"), "--json", settings=machine.settings())
    assert checked.object["problems"] == 0, checked.out


def test_files_that_are_stolen_cannot_sign(machine: Machine, world: World, tmp_path: Path) -> None:
    """Threat 29: the whole disk on another machine, with its PIN file and a token of the same name."""
    stolen = tmp_path / "stolen"
    shutil.copytree(world.data("XAA"), stolen)
    shutil.copy(machine.hsm.pin_file, tmp_path / "pin")
    with softhsm.softhsm(tmp_path / "thief") as other:
        settings = machine.settings(tmp_path / "pin") | dict(other.environment)
        ran = world.run("node", "run", "--data", stolen, settings=settings)
    assert ran.code == 4
    assert "with that serial number is not here [token-failed]" in ran.err
    kinds = {describe(path.read_text()).kind for path in (stolen / "keys").glob("[!t]*.key")}
    assert kinds == {KeyKind.SIGNING, KeyKind.NOTE, KeyKind.SYMMETRIC}


def test_a_service_in_a_restart_loop_offers_a_wrong_pin_once(
    machine: Machine, world: World, tmp_path: Path
) -> None:
    """A token locks itself after a few wrong PINs; a person at a terminal lets the service start again."""
    write_secret(tmp_path / "wrong", WRONG_PIN + "\n")
    wrong = machine.settings(tmp_path / "wrong")
    runs = [world.run("node", "run", "--data", world.data("XAA"), settings=wrong) for _ in range(4)]
    assert [ran.code for ran in runs] == [4] * 4
    assert "refused the PIN" in runs[0].err
    assert all("no PIN was offered" in ran.err for ran in runs[1:])
    assert WRONG_PIN not in "".join(ran.err + ran.out for ran in runs)
    # With the right PIN too: a program cannot know that it is right now.
    right = machine.settings()
    assert "no PIN was offered" in world.run("node", "run", "--data", world.data("XAA"), settings=right).err
    login = ("key", "token", "--data", str(world.data("XAA")), "--login", f"pkcs11:token={LABEL}")
    assert world.run(*login, settings=right).code == 4
    assert at_a_terminal(world, login, right, "y\n") == 0
    start(world)
    received(world, "XAA", world.submit("XAA", SENT, "keys-one").id)


def test_a_node_outlives_a_token_that_is_pulled_out(machine: Machine, world: World) -> None:
    """It says what is wrong, goes on showing what it has, and catches up when the token is back."""
    start(world)
    first = world.submit("XBB", to_xaa("first"), "keys-first").id
    received(world, "XBB", first)
    machine.hsm.pull_out()
    with pytest.raises(TokenFailed) as failed:
        world.submit("XAA", SENT, "keys-away")
    assert "almenara key token" in failed.value.hint
    assert [one.id for one in world.listed("XAA", "inbox")] == [first]
    machine.hsm.put_back()
    second = world.submit("XBB", to_xaa("second"), "keys-second").id
    received(world, "XBB", second)
    received(world, "XAA", world.submit("XAA", SENT, "keys-away").id)
    assert all(world.runs(name) for name in (HUB, *CODES))


def to_xaa(subject: str) -> SubmitRequest:
    """Return a notice of XBB to XAA."""
    return SubmitRequest(to=("XAA",), severity="xbb-national@1:c2", subject=subject, text="Two rooms.")


def at_a_terminal(world: World, words: tuple[str, ...], settings: dict[str, str], typed: str) -> int:
    """Run a command as a person does who types this, and return its exit code."""
    keyboard, screen = pty.openpty()
    try:
        process = subprocess.Popen(
            [*ALMENARA, *words], stdin=screen, stdout=screen, stderr=screen, env=world.environment(settings)
        )
        os.write(keyboard, typed.encode())
        return process.wait(60)
    finally:
        os.close(keyboard)
        os.close(screen)
