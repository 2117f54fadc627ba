"""Five custodians in five places govern a community by files, through the command line alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from exchange.clock import SystemClock
from exchange.setup.taking import community_of
from protocol.documents import signed_document_hash
from protocol.enrolment import parse_community
from tests.acceptance.ceremony import CODES, HUB, Founded, new_coordinator, new_node
from tests.acceptance.world import World

CUSTODIANS, THRESHOLD = 5, 3
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Council:
    """The secretariat's folder without any key, and five custodians' folders with two keys each."""

    base: Path

    @property
    def secretariat(self) -> Path:
        """Where the community file is kept."""
        return self.base / "secretariat"

    def custodian(self, number: int) -> Path:
        """Return the folder of a custodian, who has nothing else."""
        return self.base / f"custodian-{number}"

    def run(self, *words: str | Path, code: int = 0, folder: Path | None = None) -> dict[str, Any]:
        """Run one command, and return the one JSON object that it prints."""
        ran = subprocess.run(
            [sys.executable, "-m", "exchange.cli.main", *map(str, words), "--json"],
            cwd=folder or self.base,
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith("ALMENARA_")},
                "PYTHONPATH": str(ROOT),
                "PYTHONASYNCIODEBUG": "0",
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ran.returncode == code, ran.stdout + ran.stderr
        printed = json.loads(ran.stdout)
        return dict(printed["error"] if code else printed)

    def propose(self, *words: str | Path, code: int = 0) -> Path:
        """Let the secretariat write a proposal down."""
        path = self.base / "next.proposal"
        path.unlink(missing_ok=True)
        self.run("governance", "propose", *words, "--in", self.secretariat, "-o", path, code=code)
        return path

    def sign(self, proposal: Path, number: int, role: str = "directory") -> Path:
        """Let a custodian sign, with nothing but what was sent and what she has."""
        folder = self.custodian(number)
        shutil.copy(proposal, folder)
        shutil.copy(self.secretariat / "community.alm", folder)
        signed = self.run(
            *("governance", "sign", proposal.name, "--community", "community.alm"),
            *("--root-hash", (folder / "root-hash").read_text(), "--key", f"{role}.key", "--yes"),
            folder=folder,
        )
        return folder / str(signed["signature"])

    def publish(self, proposal: Path, signatures: Sequence[Path], code: int = 0) -> dict[str, Any]:
        """Let the secretariat publish."""
        return self.run("governance", "publish", proposal, *signatures, "--in", self.secretariat, code=code)

    def decide(self, *words: str | Path, by: Sequence[int], role: str = "directory") -> dict[str, Any]:
        """Propose, sign and publish."""
        proposal = self.propose(*words)
        return self.publish(proposal, [self.sign(proposal, number, role) for number in by])

    def shown(self) -> dict[str, Any]:
        """Return what the community file says, verified again."""
        return self.run("governance", "show", "--in", self.secretariat)


@pytest.fixture(scope="module")
def council(tmp_path_factory: pytest.TempPathFactory) -> Council:
    """The community founded, its keys handed out, and everybody asking to be admitted."""
    made = Council(tmp_path_factory.mktemp("council"))
    made.run(
        *("governance", "init", "--name", "Council", "--keys", str(CUSTODIANS)),
        *("--threshold", str(THRESHOLD), "--out", made.secretariat, "--unprotected"),
    )
    for number in range(1, CUSTODIANS + 1):
        folder = made.custodian(number)
        folder.mkdir()
        for role in ("root", "directory"):
            (made.secretariat / "keys" / f"{role}-{number}.key").rename(folder / f"{role}.key")
        shutil.copy(made.secretariat / "root-hash", folder)
    (made.secretariat / "keys").rmdir()
    pinned = bytes.fromhex((made.secretariat / "root-hash").read_text().replace(" ", ""))
    founded = Founded(made.base, pinned, 8443)
    new_coordinator(founded, HUB, SystemClock())
    for code in (*CODES, "XDD"):
        new_node(founded, code, SystemClock())
    requests = [founded.request(code) for code in (HUB, *CODES)]
    made.decide("admit", *requests, by=(1, 2, 3))
    return made


def status_of(council: Council, code: str) -> str:
    return next(str(one["status"]) for one in council.shown()["states"] if one["code"] == code)


def test_members_are_admitted_by_three_of_five_who_never_met(council: Council) -> None:
    """No folder ever holds more than one custodian's keys."""
    shown = council.shown()
    assert [state["code"] for state in shown["states"]][:3] == list(CODES)
    assert shown["directory_keys"]["threshold"] == THRESHOLD
    assert list(council.secretariat.glob("**/*.key")) == []


def test_one_custodian_is_replaced_by_a_key_made_at_home(council: Council) -> None:
    """The new custodian decides from then on, and the old one does not."""
    newcomer = council.base / "custodian-6"
    newcomer.mkdir()
    shutil.copy(council.secretariat / "root-hash", newcomer)
    pin = (newcomer / "root-hash").read_text()
    for role in ("root", "directory"):
        key = council.run(
            *("governance", "custodian-key", "--role", role, "--name", "Six", "--root-hash", pin),
            *("--out", f"{role}.key", "--unprotected"),
            folder=newcomer,
        )
        dropped = council.shown()[f"{role}_keys"]["keys"][4]
        change = (f"rotate-{role}", "--add", newcomer / key["public"], "--drop", dropped[:12])
        # A new root key signs along: the proposed root needs a threshold of its own keys too.
        by = (1, 2, 6) if role == "root" else (1, 2, 3)
        proposal = council.propose(*change)
        signatures = [council.sign(proposal, number, "root") for number in by]
        if role == "root":
            refused = council.publish(proposal, signatures, code=3)
            assert "2 of 5 root keys signed; 3 are needed" in refused["message"]
            signatures.append(council.sign(proposal, 4, "root"))
        council.publish(proposal, signatures)
        keys = council.shown()[f"{role}_keys"]["keys"]
        assert key["key_id"] in keys
        assert dropped not in keys
    council.decide("refresh", by=(1, 2, 6))
    proposal = council.propose("refresh")
    for path in (proposal, council.secretariat / "community.alm"):
        shutil.copy(path, council.custodian(5))
    refused = council.run(
        *("governance", "sign", proposal.name, "--community", "community.alm", "--root-hash", pin),
        *("--key", "directory.key", "--yes"),
        code=4,
        folder=council.custodian(5),
    )
    assert "not one of the community's directory keys" in refused["message"]


def test_two_suspend_and_two_do_not_reinstate(council: Council) -> None:
    """Cutting off is fast; letting back in is everybody's decision."""
    published = council.decide("suspend", "XBB", "--reason", "its node is in foreign hands", by=(2, 4))
    assert published["needs"][0]["threshold"] == 2
    assert published["reason"] == "its node is in foreign hands"
    assert status_of(council, "XBB") == "suspended"
    proposal = council.propose("reinstate", "XBB")
    signatures = [council.sign(proposal, number) for number in (1, 2)]
    standing = council.run("governance", "status", proposal, *signatures, "--in", council.secretariat)
    assert not standing["enough"]
    assert len(standing["signatures"][0]["missing"]) == 3
    refused = council.publish(proposal, signatures, code=3)
    assert refused["code"] == "threshold-not-met"
    assert status_of(council, "XBB") == "suspended"
    council.publish(proposal, [*signatures, council.sign(proposal, 3)])
    assert status_of(council, "XBB") == "active"


def test_a_newcomer_is_attested_by_two_members_or_the_custodians_are_told(council: Council) -> None:
    """Two members confirm the key with their own signatures, which go into the directory log too."""
    request = council.base / "XDD" / "request.alm"
    council.propose("admit", request, code=3)
    attestations: list[str | Path] = []
    for code in ("XAA", "XBB"):
        data = council.base / code
        council.run("node", "join", "--data", data, council.secretariat / "community.alm")
        out = council.base / f"{code}.attestation"
        council.run(
            *("node", "attest", request, "--data", data, "--identity", data / "keys" / "identity.key"),
            *("--channel", "in person", "--channel", "telephone", "-o", out, "--yes"),
        )
        attestations += ["--attestation", out]
    council.propose("admit", request, *attestations[:2], code=3)
    shown = council.decide("admit", request, *attestations, by=(1, 2, 3))
    attested = [change for change in shown["changes"] if change["action"] == "attested"]
    assert [(one["name"], one["detail"]) for one in attested] == [
        ("XAA", "in person and telephone"),
        ("XBB", "in person and telephone"),
    ]
    assert "XDD" in [state["code"] for state in council.shown()["states"]]
    assert shown["unattested"] is None


def test_a_member_attests_while_its_node_runs_and_everybody_sees_it(world: World) -> None:
    """The attestation is mirrored like every document, and is the one that governance gets."""
    world.start(HUB, "XAA", "XBB")
    new_node(world.founded, "XDD", SystemClock())
    data, out = world.data("XAA"), world.founded.base / "xaa.attestation"
    words = ("node", "attest", world.founded.request("XDD"), "--data", data, "-o", out, "--yes")
    identity = ("--identity", data / "keys" / "identity.key")
    made = world.run(*words, *identity, "--channel", "in person", "--channel", "telephone", "--json")
    assert made.code == 0, made
    wanted = signed_document_hash(out.read_bytes())

    def mirrored() -> bool:
        documents = parse_community(community_of(world.data("XBB"))).documents
        return wanted in map(signed_document_hash, documents)

    world.until(mirrored, "the attestation at XBB")
