"""The runbooks: every command on every page, typed in order over a community of real processes.

A page speaks of ``$DATA``, ``$BACKUP`` and so on; the test says what they are. What starts and stops a
service is a small script here, as it is ``systemctl`` elsewhere.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from exchange.cli.exits import Exit
from exchange.clock import SystemClock
from exchange.doctor.patient import Patient
from exchange.node.requests import SubmitRequest
from keys.keyfile import describe
from protocol.errors import UnknownSigner
from protocol.text import format_utc
from tests.acceptance.ceremony import CODES, HUB, Founded
from tests.acceptance.test_recovery import is_witnessed, put_identity_away, request, send, sizes, subjects
from tests.acceptance.world import PATIENCE_S, World, living

HOUSE = Path(__file__).resolve().parents[2]
PAGES = HOUSE / "deploy" / "runbooks"
TYPED = {
    "restore-a-node.md",
    "restore-the-coordinator.md",
    "lost-node-key.md",
    "stolen-node-key.md",
    "lost-governance-key.md",
    "lost-identity-key.md",
    "suspected-compromise.md",
    "several-coordinators.md",  # in test_several_runbook.py
}
"""The pages that a test types: one below, unless it says where."""

ALMENARA = f"""#!/bin/sh
exec "{sys.executable}" -m exchange.cli.main "$@"
"""
START = """#!/bin/sh
# start ROLE DATA LOG PIDFILE
setsid almenara "$1" run --data "$2" >> "$3" 2>&1 < /dev/null &
echo $! > "$4"
"""
STOP = """#!/bin/sh
# stop PIDFILE
test -e "$1" || exit 0
kill "$(cat "$1")" 2> /dev/null || exit 0
while kill -0 "$(cat "$1")" 2> /dev/null; do sleep 0.1; done
"""


PLANNED = {"several-coordinators.md"}
"""Pages of work that is planned: they say what they are for, not what a bad night looks like."""


def sections(page: str) -> dict[str, str]:
    """Return the commands of a page by the heading they stand under, in order."""
    text = (PAGES / page).read_text("utf-8")
    found = {}
    for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        heading, _, rest = part.partition("\n")
        blocks = re.findall(r"^```sh\n(.*?)^```$", rest, re.MULTILINE | re.DOTALL)
        if blocks:
            found[heading.strip()] = "".join(blocks)
    return found


@contextmanager
def night(settled: Founded, running: Sequence[str] = (HUB, *CODES)) -> Iterator[World]:
    """Give a running community whose officers and operators have put away what they should."""
    with living(settled) as world:
        (world.folder / "bin").mkdir()
        for name, text in (("almenara", ALMENARA), ("start", START), ("stop", STOP)):
            (world.folder / "bin" / name).write_text(text)
            (world.folder / "bin" / name).chmod(0o755)
        for code in CODES:
            put_identity_away(world, code)
        world.start(*running)
        try:
            yield world
        finally:
            for pid in world.folder.glob("*.pid"):
                with suppress(ProcessLookupError):
                    os.kill(int(pid.read_text()), signal.SIGKILL)


def typed(world: World, name: str, commands: str, **more: str | Path) -> str:
    """Type commands into one shell, which stops at the first failure, about the place of ``name``."""
    role = "coordinator" if name == HUB else "node"
    folder = world.folder
    pid = folder / f"{name}.pid"
    names = {
        "DATA": world.data(name),
        "START": f"{folder}/bin/start {role} {world.data(name)} {world.log_of(name)} {pid}",
        "STOP": f"{folder}/bin/stop {pid}",
        "COORDINATOR": world.data(HUB),
        "COMMUNITY": folder / f"{name}.alm",
        "IDENTITY": folder / f"{name}-identity.key",
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": HOUSE,
        **more,
    }
    if name == HUB:
        names["ALMENARA_PORT"] = str(world.listen)
    ran = subprocess.run(
        ["/bin/sh", "-e", "-c", commands],
        env=world.environment({key: str(value) for key, value in names.items()}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=5 * PATIENCE_S,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + world.tails()
    return ran.stdout


def pocket(world: World, code: str) -> Path:
    """Let the officer keep a token, as officers do; return its file."""
    kept = world.folder / f"{code}.token"
    shutil.copy2(world.founded.token(code), kept)
    return kept


def backed_up(world: World, name: str) -> Path:
    """Back a running place up, as the first page asks for every night."""
    readme = (PAGES / "README.md").read_text("utf-8")
    (command,) = re.findall(r"^    (almenara backup .*)$", readme, re.MULTILINE)
    file = world.folder / f"{name}.tar"
    typed(world, name, command, BACKUP=file)
    return file


def test_a_node_is_restored_as_the_page_says(settled: Founded) -> None:
    """From the broken disk to a node that sends, by the page alone; the waiting notice is answered."""
    with night(settled) as world:
        send(world, "XBB", "XAA", subject="before the backup")
        backup, token = backed_up(world, "XBB"), pocket(world, "XBB")
        send(world, "XBB", "XAA", subject="forgotten")
        world.kill("XBB")
        waiting = world.submit("XAA", request_to("XBB"), "request-waiting").id
        page = sections("restore-a-node.md")
        typed(world, "XBB", "".join(page.values()), BACKUP=backup, TOKEN=token)
        assert world.status("XAA", waiting, wait="received").deliveries[0].state == "received"
        send(world, "XBB", "XAA", "XCC", subject="after the night")


def request_to(code: str) -> SubmitRequest:
    """Return a notice of XAA to one state."""
    return request("XAA", code, subject="while it is silent")


def test_the_coordinator_is_restored_as_the_page_says(settled: Founded) -> None:
    """The newest copy goes on beside its anchor; what was queued meanwhile arrives."""
    with night(settled) as world:
        send(world, "XAA", "XBB", subject="before")
        world.until(lambda: is_witnessed(world, "XAA"), "a quorum")
        token = pocket(world, "XAA")
        world.stop(HUB)
        backup = backed_up(world, HUB)
        queued = world.submit("XAA", request_to("XBB"), "request-queued").id
        page = sections("restore-the-coordinator.md")
        ack, directory = (sizes(world, "XAA")[log] for log in ("ack", "dir"))
        more: dict[str, str | Path] = {
            "MEMBER": world.data("XAA"),
            "TOKEN": token,
            "ACK": str(ack),
            "DIR": str(directory),
        }
        typed(world, HUB, "".join(page.values()), BACKUP=backup, **more)
        assert world.status("XAA", queued, wait="received").deliveries[0].state == "received"


def test_an_old_copy_of_the_coordinator_is_refused_as_the_page_says(settled: Founded) -> None:
    """The step that compares ends with the refusal that the page speaks of."""
    with night(settled) as world:
        backup = backed_up(world, HUB)
        send(world, "XAA", "XBB", subject="after the backup")
        world.until(lambda: is_witnessed(world, "XAA"), "a quorum")
        world.stop(HUB)
        steps = sections("restore-the-coordinator.md")["Steps"].split("almenara coordinator recover")[0]
        more = {"MEMBER": world.data("XAA"), "TOKEN": pocket(world, "XAA")}
        typed(world, HUB, steps, BACKUP=backup, **more)
        refused = world.run("coordinator", "recover", "--data", world.data(HUB), "--yes", "--json")
        assert refused.code == Exit.FAILED
        assert "older copy" in refused.error["message"]


@pytest.mark.parametrize("way", ["With a backup of the key files", "Without any copy of it"])
def test_a_lost_node_key_is_dealt_with_as_the_page_says(settled: Founded, way: str) -> None:
    """By the file from a backup, or by a new key; either way the node sends again."""
    with night(settled) as world:
        send(world, "XBB", "XAA", subject="before")
        backup, token = backed_up(world, "XBB"), pocket(world, "XBB")
        world.stop("XBB")
        (world.data("XBB") / "keys" / "node.key").unlink()
        page = sections("lost-node-key.md")
        typed(world, "XBB", page[way] + page["It is over when"], BACKUP=backup, TOKEN=token)
        world.until(lambda: sends(world), "XBB to send")
        assert "after the night" in subjects(world, "XAA")


def test_a_lost_custodians_key_is_replaced_as_the_page_says(settled: Founded) -> None:
    """The remaining threshold lists the new one; nodes get the new root while they run."""
    with night(settled) as world:
        keys = world.founded.governance / "keys"
        lost = describe((keys / "root-3.key").read_text()).key_id.hex()[:16]
        (keys / "root-3.key").unlink()
        passphrase = world.folder / "passphrase"
        passphrase.write_text("a long one for the new key\n")
        passphrase.chmod(0o600)
        for token in (world.data(HUB) / "tokens").iterdir():
            token.unlink()
        more: dict[str, str | Path] = {
            "GOVERNANCE": world.founded.governance,
            "LOST": lost,
            "NEW": world.folder / "new-root.key",
            "PROPOSAL": world.folder / "1.proposal",
            "FIRST": keys / "root-1.key",
            "SECOND": keys / "root-2.key",
            "ALMENARA_PASSPHRASE_FILE": passphrase,
        }
        typed(world, HUB, "".join(sections("lost-governance-key.md").values()), **more)
        world.until(lambda: root_version(world, "XBB") == 2, "XBB to have the new root")


def test_a_lost_identity_key_is_replaced_as_the_page_says(settled: Founded) -> None:
    """Two members attest the new one and the custodians list it; the node goes on all the while."""
    with night(settled) as world:
        (world.folder / "XBB-identity.key").unlink()
        passphrase = world.folder / "passphrase"
        passphrase.write_text("a long one for the new key\n")
        passphrase.chmod(0o600)
        new = world.folder / "new-identity.key"
        page = sections("lost-identity-key.md")
        more: dict[str, str | Path] = {
            "NEW": new,
            "PROPOSAL": world.folder / "1.proposal",
            "FIRST": world.data("XAA"),
            "FIRST_IDENTITY": world.folder / "XAA-identity.key",
            "SECOND": world.data("XCC"),
            "SECOND_IDENTITY": world.folder / "XCC-identity.key",
            "TOKEN": pocket(world, "XBB"),
            "ALMENARA_PASSPHRASE_FILE": passphrase,
            **custodians(world),
        }
        typed(world, "XBB", "".join(page.values()), **more)
        send(world, "XBB", "XAA", "XCC", subject="after the night")
        rotate = ("key", "rotate", "node", "--data", world.data("XBB"), "--identity", new)
        rotated = world.run(*rotate, "--identity-passphrase-file", passphrase)
        assert rotated.code == Exit.OK, rotated.out + rotated.err


def test_a_machine_in_other_hands_is_dealt_with_as_the_page_says(settled: Founded) -> None:
    """Suspended, its keys ended, what they touched known, the theft confirmed, and back with new keys."""
    with night(settled) as world:
        since = format_utc(SystemClock().now_ms())
        send(world, "XBB", "XAA", subject="by whomever")
        page = sections("suspected-compromise.md")
        page.pop("If only an officer's token was stolen")
        said = typed(world, "XBB", "".join(page.values()), **compromised(world, since))
        assert "Warn on another channel: XAA" in said
        assert "by whomever" in said
        send(world, "XBB", "XAA", "XCC", subject="after the night")
        assert "after the night" in subjects(world, "XAA")


def test_a_stolen_node_key_is_ended_as_the_page_says(settled: Founded) -> None:
    """With its successor in one step; the node is never silent, and what the old one signed is known."""
    with night(settled) as world:
        since = format_utc(SystemClock().now_ms())
        send(world, "XBB", "XAA", subject="by whomever")
        page = sections("stolen-node-key.md")
        said = typed(world, "XBB", page["Steps"] + page["It is over when"], **compromised(world, since))
        assert "Warn on another channel: XAA" in said
        send(world, "XBB", "XAA", "XCC", subject="after the night")
        assert "after the night" in subjects(world, "XAA")


def test_a_silenced_node_comes_back_by_a_file_as_the_page_says(settled: Founded) -> None:
    """Its own health and the checks tell whoever did not read the page what has to be carried."""
    with night(settled) as world:
        page = sections("stolen-node-key.md")
        silence, rotate = page["If the node shall be silent first"].split("almenara key rotate node")
        more = compromised(world, format_utc(SystemClock().now_ms()))
        assert "The node is silent now" in typed(world, "XBB", silence, **more)
        world.until(lambda: not world.node("XBB").connected, "the coordinator to end the session")
        codes = {alarm.code for alarm in world.node("XBB").alarms}
        told = world.run("doctor", "--data", world.data("XBB"), "--token-file", more["TOKEN"])
        assert "not-let-in" in codes
        assert told.code == Exit.FAILED
        assert f"almenara node community --data {world.data('XBB')} -o community.alm" in told.out
        said = typed(world, "XBB", f"almenara key rotate node{rotate}{page['It is over when']}", **more)
        assert "The coordinator knows no other key of this node that counts" in said
        send(world, "XBB", "XAA", "XCC", subject="after the night")


def test_a_stolen_officers_token_is_taken_back_as_the_page_says(settled: Founded) -> None:
    """The old token opens nothing any more, and the new one does, while the node runs."""
    with night(settled) as world:
        since = format_utc(SystemClock().now_ms())
        more = compromised(world, since)
        typed(
            world, "XBB", sections("suspected-compromise.md")["If only an officer's token was stolen"], **more
        )
        health = ("health", "--data", world.data("XBB"), "--json", "--token-file")
        world.until(lambda: world.run(*health, more["TOKEN"]).code != Exit.OK, "the old token to be refused")
        assert world.run(*health, world.founded.token("XBB")).object["state"] == "XBB"


def compromised(world: World, since: str) -> dict[str, str | Path]:
    """Return the names of the page about XBB's machine."""
    key = describe((world.data("XBB") / "keys" / "node.key").read_text()).key_id.hex()
    return {
        "STATE": "XBB",
        "OLD": key[:16],
        "SINCE": since,
        "OFFICER": "Officer of XBB",
        "TOKEN": pocket(world, "XBB"),
        "MEMBER": world.data("XAA"),
        "MEMBER_TOKEN": pocket(world, "XAA"),
        "PROPOSAL": world.folder / "xbb",
        **custodians(world),
    }


def custodians(world: World) -> dict[str, str | Path]:
    """Return where governance and two custodians have what is theirs."""
    keys = world.founded.governance / "keys"
    return {
        "GOVERNANCE": world.founded.governance,
        "ANA": keys / "directory-1.key",
        "BO": keys / "directory-2.key",
    }


def root_version(world: World, code: str) -> int:
    """Return the newest root document that a running node has stored."""
    patient = Patient(world.data(code), SystemClock().now_ms())
    return patient.directory.root.version


def sends(world: World) -> bool:
    """Whether XBB takes and delivers a notice."""
    try:
        send(world, "XBB", "XAA", subject="after the night")
    except UnknownSigner:
        time.sleep(0.2)
        return False
    return True


def test_every_page_is_typed_and_listed() -> None:
    """A page with commands that no test types would rot; one that is not listed would not be found."""
    pages = {path.name for path in PAGES.glob("*.md")} - {"README.md"}
    assert pages == TYPED
    listed = (PAGES / "README.md").read_text("utf-8")
    assert all(f"({page})" in listed for page in pages)
    for page in sorted(pages - PLANNED):
        assert "**You see**" in (PAGES / page).read_text("utf-8")
        assert "It is over when" in sections(page)
