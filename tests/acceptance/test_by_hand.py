"""What the README tells people to type, typed: from the first key to a notice that is answered.

The commands are read out of README.md, so that they can never be others than the ones shown there.
"""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.world import short_folder
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
SHOWN_PORT, SHOWN_LEDGER_PORT = "8443", "8444"
STARTED = {"HUB": "coordinator.started", "XAA": "node.started", "XBB": "node.started", "XCC": "node.started"}
PATIENCE_S = 60.0
SCRIPT = f"""#!/bin/sh
exec "{sys.executable}" -m exchange.cli.main "$@"
"""


@dataclass(frozen=True)
class Shown:
    """The commands of the README, block by block."""

    passphrase: str
    set_up: tuple[str, ...]
    run: str
    work: str
    audit: str


def shown(port: int, ledger_port: int) -> Shown:
    """Return the commands for a machine on which these ports are free."""
    text = (ROOT / "README.md").read_text("utf-8")
    section = text[text.index("## By hand") : text.index("## Keys, members")]
    blocks = re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    passphrase, *set_up, run, work, audit = (
        block.replace(SHOWN_PORT, str(port)).replace(SHOWN_LEDGER_PORT, str(ledger_port)) for block in blocks
    )
    assert any(str(port) in block for block in set_up)
    return Shown(passphrase, tuple(set_up), run, work, audit)


@dataclass(frozen=True)
class Desk:
    """A folder in which somebody types."""

    folder: Path
    port: int
    ledger_port: int

    @property
    def shown(self) -> Shown:
        """The commands for this desk."""
        return shown(self.port, self.ledger_port)

    def type(self, *blocks: str) -> str:
        """Type into one shell, which stops at the first failure; return what was printed."""
        ran = self._run(["/bin/sh", "-e", "-c", "\n".join(blocks)], {})
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    def almenara(self, *words: str | Path, who: str = "", code: int = 0) -> str:
        """Run one command, as the officer of a state if ``who`` names one; return what it printed."""
        ran = self._run(["almenara", *words], self.officer(who) if who else {})
        assert ran.returncode == code, ran.stdout + ran.stderr
        return ran.stdout

    def json(self, *words: str | Path, who: str) -> dict[str, Any]:
        """Run one command with --json; it prints one object and nothing else."""
        return dict(json.loads(self.almenara(*words, "--json", who=who)))

    def officer(self, code: str) -> dict[str, str]:
        """Return the settings of the officer of a state."""
        (token,) = (self.folder / code / "tokens").glob("officer-*.token")
        return {"ALMENARA_DATA": str(self.folder / code), "ALMENARA_TOKEN_FILE": str(token)}

    def environment(self) -> dict[str, str]:
        """Return an environment with the command in it, and nobody's own settings."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("ALMENARA_", "PYTHONASYNCIODEBUG"))
        }
        own = {"PATH": f"{self.folder / 'bin'}:{kept.get('PATH', '/usr/bin:/bin')}", "PYTHONPATH": str(ROOT)}
        secret = self.folder / "passphrase"
        if secret.exists():
            own["ALMENARA_PASSPHRASE_FILE"] = str(secret)
        folder = str(self.folder)
        return kept | own | {"XDG_CONFIG_HOME": folder, "XDG_STATE_HOME": folder}

    def _run(self, command: Sequence[str | Path], more: dict[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment() | more,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE_S,
            check=False,
        )


@contextmanager
def desk() -> Iterator[Desk]:
    """Give an empty folder with the command on its path."""
    with short_folder() as folder:
        program = folder / "bin" / "almenara"
        program.parent.mkdir()
        program.write_text(SCRIPT)
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        yield Desk(folder, free_port(), free_port())


@contextmanager
def services(desk: Desk, block: str) -> Iterator[None]:
    """Run what the README runs in the background; end it with SIGTERM, and each with exit code 0."""
    commands = [line.removesuffix("&").split() for line in block.splitlines()]
    running: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for words in commands:
            name = words[-1]
            with (desk.folder / f"{name}.log").open("wb") as log:
                running[name] = subprocess.Popen(
                    words, cwd=desk.folder, env=desk.environment(), stderr=log, stdin=subprocess.DEVNULL
                )
        assert set(running) == set(STARTED)
        wait_until_started(desk, running)
        yield
        for process in running.values():
            process.send_signal(signal.SIGTERM)
        assert {name: process.wait(PATIENCE_S) for name, process in running.items()} == dict.fromkeys(
            running, 0
        )
        for name, event in STARTED.items():
            last = (desk.folder / f"{name}.log").read_text().splitlines()[-1]
            assert json.loads(last)["event"] == event.replace("started", "stopped")
    finally:
        for process in running.values():
            process.kill()
            process.wait()


def wait_until_started(desk: Desk, running: Mapping[str, subprocess.Popen[bytes]]) -> None:
    """Return when each service has said that it is ready."""
    end = time.monotonic() + PATIENCE_S
    for name, event in STARTED.items():
        log = desk.folder / f"{name}.log"
        while f'"{event}"' not in log.read_text():
            assert running[name].poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.05)


@pytest.fixture(scope="module")
def typed() -> Iterator[tuple[Desk, str]]:
    """The whole section typed, passphrases and all, and left running; with what the last block printed."""
    with desk() as here:
        commands = here.shown
        here.type(commands.passphrase, *commands.set_up)
        with services(here, commands.run):
            yield here, here.type(commands.work)


def test_the_readmes_commands_bring_a_notice_to_two_states(typed: tuple[Desk, str]) -> None:
    """The sender sees both receipts, and the recipient's officer finds the notice."""
    here, printed = typed
    assert "accepted, and on its way" in printed
    assert printed.count("Ransomware at a power distributor") >= 1
    for code in ("XBB", "XCC"):
        (notice,) = here.json("inbox", who=code)["notices"]
        assert (notice["sender"], notice["subject"]) == ("XAA", "Ransomware at a power distributor")


def test_an_officer_reads_and_answers_and_the_sender_sees_it(typed: tuple[Desk, str]) -> None:
    """Show, ack and status, in words and as JSON."""
    here, _ = typed
    (notice,) = here.json("inbox", who="XBB")["notices"]
    id_ = notice["id"]
    content = here.json("show", id_, who="XBB")
    assert (content["text"], content["opened_by"]) == ("Two control rooms are affected.\n", "Bo Lind")
    assert "Two control rooms are affected." in here.almenara("show", id_[:10], who="XBB")
    answer = here.json("ack", id_, "accept", "--note", "On it.", who="XBB")
    assert (answer["kind"], answer["officer"]) == ("accepted", "Bo Lind")
    assert "declined by Carla Conti" in here.almenara(
        "ack", id_[:10], "decline", "--reason", "not-affected", who="XCC"
    )
    status = here.json("status", id_, "--wait", "answered", "--timeout", "20", who="XAA")
    answers = {one["recipient"]: (one["state"], one["code"], one["note"]) for one in status["deliveries"]}
    assert answers == {"XBB": ("accepted", None, "On it."), "XCC": ("declined", "not-affected", None)}
    told = here.almenara("status", id_[:10], who="XAA")
    assert "accepted" in told
    assert "declined" in told
    assert [one["id"] for one in here.json("outbox", who="XAA")["notices"]] == [id_]


def test_an_auditor_takes_the_ledger_along_and_verifies_it(typed: tuple[Desk, str]) -> None:
    """Export, verify, report, as the README shows; and a receipt of the sender's, with the same command."""
    here, _ = typed
    id_ = here.json("outbox", who="XAA")["notices"][0]["id"]
    end = time.monotonic() + PATIENCE_S
    while not is_witnessed(here.json("ledger", "watch", "--once", who="XAA")):
        assert time.monotonic() < end
        time.sleep(0.2)
    printed = here.type(here.shown.audit)
    assert "OK:" in printed
    assert (here.folder / "report.html").stat().st_size > 10_000
    here.almenara("proof", id_, "-o", "receipt.txt", who="XAA")
    told = here.almenara("audit", "verify", "receipt.txt", "--root-hash", "governance/root-hash")
    assert "OK" in told
    assert "Rosa Prieto" in here.almenara("coordinator", "auditor", "list", "--data", "HUB")
    here.almenara("disclose", id_, "-o", "notice.disclosure", who="XAA")
    opened = json.loads(
        here.almenara(
            *("audit", "verify", "bundle", "--root-hash", "governance/root-hash", "--json"),
            *("--disclosure", "notice.disclosure"),
        )
    )
    assert opened["disclosed"][0]["text"] == "Two control rooms are affected.\n"
    here.almenara(
        *("audit", "export", "--member", "XCC", "--url", f"https://127.0.0.1:{here.ledger_port}"),
        *("--community", "governance/community.alm", "-o", "what-concerns-us"),
    )
    told = here.almenara("audit", "verify", "what-concerns-us", "--root-hash", "governance/root-hash")
    assert "OK" in told


def is_witnessed(view: dict[str, Any]) -> bool:
    """Whether a quorum has cosigned everything that a node has said or heard."""
    ack = next((log for log in view["logs"] if log["log"] == "ack"), None)
    waits = view["promised"] or view["unwitnessed"]
    return ack is not None and not waits and ack["witnessed_size"] == ack["size"]


def test_watching_tells_everything_from_the_beginning(typed: tuple[Desk, str]) -> None:
    """One JSON object for each event, as it happens; Ctrl-C ends it."""
    here, _ = typed
    words = ["almenara", "watch", "--json", "--since", "0"]
    with subprocess.Popen(
        words,
        cwd=here.folder,
        env=here.environment() | here.officer("XAA"),
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    ) as watching:
        assert watching.stdout is not None
        seen = []
        for line in watching.stdout:
            seen.append(json.loads(line))
            if [one["event"] for one in seen].count("notice.received") == 2:
                break
        watching.send_signal(signal.SIGINT)
        watching.stdout.read()
        assert watching.wait(PATIENCE_S) in (0, 130)
    numbers = [one["number"] for one in seen]
    assert numbers == sorted(set(numbers))
    assert {"notice.queued", "notice.relayed"} <= {one["event"] for one in seen}
    shown_to_people = here.almenara("watch", "--help")
    assert "almenara watch --since" in shown_to_people


def test_severity_is_listed_shown_and_translated(typed: tuple[Desk, str]) -> None:
    """Every state's published schema is known everywhere; a translation is one of its candidates."""
    here, _ = typed
    schemas = {one["reference"]: one for one in here.json("severity", "list", who="XBB")["schemas"]}
    for code in ("xaa", "xbb", "xcc"):
        assert schemas[f"{code}-national@1"]["issuer"] == code.upper()
    assert "xaa-national@1" in here.almenara("severity", "list", who="XBB")
    levels = [one["code"] for one in here.json("severity", "show", "xaa-national@1", who="XBB")["levels"]]
    assert {"grave", "critico"} <= set(levels)
    assert "grave" in here.almenara("severity", "show", "xaa-national@1", who="XBB")
    words = ("severity", "translate", "xaa-national@1:grave", "xbb-national@1")
    translated = here.json(*words, who="XBB")
    assert translated["level"] in translated["candidates"]
    assert translated["level"] in here.almenara(*words, who="XBB")


def test_members_and_health_are_shown(typed: tuple[Desk, str]) -> None:
    """Everybody can be sealed for, and nothing is wrong."""
    here, _ = typed
    members = here.json("members", who="XCC")["members"]
    assert {one["code"]: one["usable_key"] for one in members} == {"XAA": True, "XBB": True, "XCC": True}
    health = here.json("health", who="XCC")
    assert (health["connected"], health["alarms"]) == (True, [])
    assert "XAA" in here.almenara("members", who="XCC")
    assert "HUB" in here.almenara("health", who="XCC")


def test_every_command_of_the_set_up_speaks_json() -> None:
    """The same section once more: each command with --json prints one object, and it works all the same."""
    with desk() as here:
        lines = [line for block in here.shown.set_up for line in block.splitlines()]
        script = ['say() { almenara "$@" --json; }']
        for line in lines:
            unprotected = " --unprotected" if " init " in line else ""
            script.append(re.sub(r"^almenara (.*)$", rf"say \1{unprotected}", line))
        objects = [json.loads(line) for line in here.type(*script).splitlines()]
        assert len(objects) == sum(line.startswith("almenara ") for line in lines)
        assert all(one["schema_version"] == 1 for one in objects)
        assert (
            objects[0]["root_hash"]
            == (here.folder / "governance" / "root-hash").read_text().replace(" ", "")[:64]
        )
        assert objects[-1]["states"] == ["XAA", "XBB", "XCC"]
