"""A fourth state is enrolled into a community that runs, by the command lines that the README shows."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exchange.cli.exits import Exit
from exchange.node.requests import SubmitRequest
from tests.acceptance.ceremony import CODES, HUB
from tests.acceptance.world import RETRY_CAP_S, World

MOST_COMMANDS = 12
NEW = "XDD"
SENT = SubmitRequest(to=(NEW,), severity="xaa-national@1:grave", subject="Welcome", text="Two rooms.")


class Roles:
    """Everybody who takes part, each with files of its own; every command that changes something counts."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.community = world.founded.community
        self.pinned = world.founded.root_hash.hex()
        self.request = world.data(NEW) / "request.alm"
        self.counted: list[str] = []

    def do(self, *words: str | Path) -> dict[str, Any]:
        """Run one command that changes something; it must succeed."""
        self.counted.append(" ".join(str(word) for word in words[:2]))
        ran = self.world.run(*words, "--json")
        assert ran.code == Exit.OK, ran.out + ran.err
        return ran.object

    def init(self) -> None:
        """Let the newcomer make its keys."""
        self.do(
            *("node", "init", "--data", self.world.data(NEW), "--state", NEW, "--name", "CSIRT of Delos"),
            *("--officer", "Dina Kos", "--root-hash", self.pinned, "--unprotected"),
        )

    def attest(self, code: str, request: Path | None = None) -> Path:
        """Let a member attest a request, while its node runs."""
        out = self.world.folder / f"{code}.attestation"
        self.do(
            *("node", "attest", request or self.request, "--data", self.world.data(code)),
            *("--identity", self.world.data(code) / "keys" / "identity.key"),
            *("--channel", "in person", "--channel", "telephone", "-o", out, "--yes"),
        )
        return out

    def proposing(self, *attestations: Path, request: Path | None = None) -> tuple[str | Path, ...]:
        """Return the command that proposes to admit the newcomer."""
        named: list[str | Path] = [word for path in attestations for word in ("--attestation", path)]
        return (
            *("governance", "propose", "admit", request or self.request, *named),
            *("--in", self.world.founded.governance, "-o", self.world.folder / "xdd.proposal"),
        )

    def sign(self, number: int) -> Path:
        """Let a custodian sign in a folder of her own."""
        folder = self.world.folder / f"custodian-{number}"
        folder.mkdir()
        shutil.copy(self.world.founded.governance / "keys" / f"directory-{number}.key", folder)
        signature = folder / "xdd.signature"
        self.do(
            *("governance", "sign", self.world.folder / "xdd.proposal", "--community", self.community),
            *("--root-hash", self.pinned, "--key", folder / f"directory-{number}.key"),
            *("-o", signature, "--yes"),
        )
        return signature


@pytest.fixture
def roles(world: World) -> Roles:
    """Return everybody; nothing runs yet."""
    return Roles(world)


def test_a_newcomer_is_enrolled_and_answers_within_twelve_commands(roles: Roles, tmp_path: Path) -> None:
    """Nothing is stopped; all roles together type no more than the issue allows."""
    world = roles.world
    world.start(HUB, *CODES)
    roles.init()
    compared(roles)
    attested = [roles.attest(code) for code in ("XAA", "XBB")]
    roles.do(*roles.proposing(*attested))
    signed = [roles.sign(number) for number in (1, 2)]
    publish = ("governance", "publish", world.folder / "xdd.proposal")
    roles.do(*publish, *signed, "--in", world.founded.governance)
    began = time.monotonic()
    roles.do("coordinator", "join", "--data", world.data(HUB), roles.community)
    world.until(
        lambda: all(world.node(code).directory_version == 2 for code in CODES), "every node to know it"
    )
    print(f"\nevery node knew the new member {time.monotonic() - began:.2f} s after it was handed in")
    roles.do("node", "join", "--data", world.data(NEW), roles.community)
    with (world.data(NEW) / "almenara.toml").open("a", encoding="utf-8") as file:
        file.write(f'socket = "api.sock"\nretry_cap_s = {RETRY_CAP_S}\n')
    roles.counted.append("node run")
    world.start(NEW)
    print(f"{len(roles.counted)} commands in all: {', '.join(roles.counted)}")
    assert len(roles.counted) <= MOST_COMMANDS
    answered(world, tmp_path)


def compared(roles: Roles) -> None:
    """Read the fingerprint aloud: the right words are the same, and a wrong one is named."""
    shown = roles.world.run("node", "request", "--data", roles.world.data(NEW), "--json").object
    heard = " ".join(str(line) for line in shown["words"])
    compare = ("node", "fingerprint", "--request", roles.request, "--compare")
    assert roles.world.run(*compare, heard).code == Exit.OK
    first, *rest = heard.split()
    wrong = roles.world.run(*compare, " ".join([rest[0] if rest[0] != first else rest[1], *rest]))
    assert wrong.code != Exit.OK
    assert "word" in wrong.err + wrong.out


def answered(world: World, folder: Path) -> None:
    """A notice reaches the newcomer, its officer accepts it, and the receipt proves it offline."""
    sent = world.submit("XAA", SENT, "request-welcome").id
    assert world.status("XAA", sent, "received").notice.state == "received"
    assert world.run("ack", sent, "accept", "--json", code=NEW).code == Exit.OK
    assert world.status("XAA", sent, "answered").deliveries[0].state == "accepted"
    receipt = folder / "receipt.txt"

    def proved() -> bool:
        receipt.unlink(missing_ok=True)
        return world.run("proof", sent, "-o", receipt, code="XAA").code == Exit.OK

    world.until(proved, "the receipt", seconds=60)
    pinned = world.founded.root_hash.hex()
    verified = world.run("audit", "verify", receipt, "--root-hash", pinned)
    assert verified.code == Exit.OK, verified.out + verified.err


def test_one_attestation_or_one_of_another_key_admits_nobody(roles: Roles) -> None:
    """The refusal says what is missing, and nothing is proposed."""
    roles.world.start("XAA", "XBB")
    roles.init()
    one = roles.attest("XAA")
    proposal = roles.world.folder / "xdd.proposal"
    few = roles.world.run(*roles.proposing(one), "--json")
    assert few.code != Exit.OK
    assert "almenara node attest" in few.error["next"]
    other = roles.world.run(*roles.proposing(one, roles.attest("XBB", another_request(roles))), "--json")
    assert other.code != Exit.OK
    assert not proposal.exists()


def another_request(roles: Roles) -> Path:
    """Return a request for the same code with another key: somebody else's try."""
    place = roles.world.folder / "another"
    ran = roles.world.run(
        *("node", "init", "--data", place, "--state", NEW, "--name", "CSIRT of Delos"),
        *("--officer", "Dina Kos", "--root-hash", roles.pinned, "--unprotected"),
    )
    assert ran.code == Exit.OK, ran.err
    return place / "request.alm"


@pytest.mark.parametrize("code", ["../XDD", "X/D", "xdd", "X" * 17, ""])
def test_a_code_that_could_lead_elsewhere_makes_no_file(roles: Roles, code: str) -> None:
    """Names in requests and documents are codes from a closed alphabet, never paths."""
    place = roles.world.folder / "elsewhere"
    ran = roles.world.run(
        *("node", "init", "--data", place, "--state", code, "--name", "../../etc"),
        *("--officer", "../../Dina", "--root-hash", roles.pinned, "--unprotected", "--json"),
    )
    assert ran.code != Exit.OK
    assert not place.exists() or not any(place.iterdir())


@pytest.mark.parametrize("change", [lambda text: text[:-1] + ("0" if text[-1] != "0" else "1")])
def test_a_wrong_root_hash_is_noticed_when_it_joins(roles: Roles, change: Callable[[str], str]) -> None:
    """Whoever pinned another root joins nothing, and is told so."""
    place = roles.world.data(NEW)
    roles.pinned = change(roles.pinned)
    roles.init()
    ran = roles.world.run("node", "join", "--data", place, roles.community, "--json")
    assert ran.code != Exit.OK
    assert ran.error["code"] == "wrong-community"
