"""The set-up by hand, as the README tells it, up to a notice that arrives: real processes and TLS."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from exchange.clock import SystemClock
from exchange.passphrases import PassphraseFile
from exchange.setup.keyring import protected_by
from tests.acceptance.ceremony import CODES, HUB, Founded, admit, found, join

CLOCK = SystemClock()
ALMENARA = (sys.executable, "-m", "exchange.cli.main")


@pytest.fixture(scope="module")
def protected(tmp_path_factory: pytest.TempPathFactory) -> Founded:
    """A community whose coordinator and nodes are protected by a passphrase, on a free port."""
    base = tmp_path_factory.mktemp("hand")
    secret = base / "passphrase"
    secret.touch(mode=0o600)
    secret.write_text("correct horse battery\n")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    founded = found(base, CLOCK, port=port, protect=protected_by(PassphraseFile(secret)))
    admit(founded, [HUB, *CODES], CLOCK)
    join(founded, CLOCK)
    return founded


@contextmanager
def service(founded: Founded, kind: str, code: str) -> Iterator[None]:
    """Run a service from the moment it says that it started; end it with SIGTERM and exit code 0."""
    words = (kind, "run", "--data", str(founded.data(code)))
    with subprocess.Popen(
        [*ALMENARA, *words, "--passphrase-file", str(founded.base / "passphrase")],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        said = []
        try:
            for line in process.stderr:
                said.append(line)
                if f'"{kind}.started"' in line:
                    break
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            said += process.stderr.readlines()
        assert process.wait(timeout=15) == 0, "".join(said)
        assert f'"{kind}.stopped"' in said[-1]


def almenara(founded: Founded, code: str, *words: str | Path) -> dict[str, Any]:
    """Run a command of a state's officer and return the object that it prints."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("ALMENARA_")}
    ran = subprocess.run(
        [*ALMENARA, *words, "--data", founded.data(code), "--token-file", founded.token(code), "--json"],
        capture_output=True,
        text=True,
        check=False,
        env=plain,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return dict(json.loads(ran.stdout))


def test_a_community_set_up_by_hand_exchanges_a_notice(protected: Founded, tmp_path: Path) -> None:
    """One passphrase file unlocks each service, and each ends cleanly when it is told to."""
    report = tmp_path / "report.md"
    report.write_text("Two control rooms are affected.\n")
    with (
        service(protected, "coordinator", HUB),
        service(protected, "node", "XAA"),
        service(protected, "node", "XBB"),
    ):
        sent = almenara(
            protected,
            "XAA",
            *("send", "--to", "XBB", "--severity", "xaa-national@1:grave", "--subject", "Ransomware"),
            *(report, "--wait", "received", "--timeout", "30"),
        )
    assert [delivery["state"] for delivery in sent["deliveries"]] == ["received"]


def test_a_wrong_passphrase_does_not_start_a_service(protected: Founded, tmp_path: Path) -> None:
    """Exit code 4 with the next step, before the data directory is touched."""
    secret = tmp_path / "wrong"
    secret.touch(mode=0o600)
    secret.write_text("wrong\n")
    for kind, code in (("coordinator", HUB), ("node", "XAA")):
        ran = subprocess.run(
            [*ALMENARA, kind, "run", "--data", protected.data(code), "--passphrase-file", secret],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert ran.returncode == 4
        assert "[wrong-passphrase]" in ran.stderr
