"""The last act: an auditor takes the ledger along, and verifies it without trusting anybody's server.

Every step is the command that a real auditor types, run as a process of its own; its exit code and
its JSON are what is told.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from exchange.cli.exits import Exit
from exchange.clock import pause
from exchange.datadir import DataDir
from exchange.demo.community import GOVERNANCE, Founded
from exchange.demo.deadline import deadline
from exchange.demo.report import Audited, Ledger, Teller
from exchange.demo.stage import LOOPBACK
from exchange.node.views import LedgerView, LogView
from exchange.setup.auditors import add_auditor
from protocol.errors import ServiceError
from protocol.ledger.bundle import statements_name
from protocol.ledger.pack import iter_pack
from protocol.statement import MAX_SIGNED_STATEMENT_BYTES, StatementKind, parse_statement

STEP_S = 20.0
WITNESSED_S = 15.0
LOOK_S = 0.1
AUDITOR = "Rosa Prieto"
"""Who audits: nobody's officer, from none of the three states."""


class Audit:
    """Plays the act.

    Args:
        founded: The community; all of it runs.
        teller: Tells the audience.
        folder: An empty folder for what the auditor makes.
        keep: Whether the folder stays.
    """

    def __init__(self, founded: Founded, teller: Teller, folder: Path, *, keep: bool) -> None:
        self._stage = founded.stage
        self._community = founded.community
        self._xaa = founded.stage.nodes["XAA"]
        self._say = teller.say
        self._folder = folder
        self._keep = keep
        self._bundle = folder / "bundle"
        self._root_hash = founded.stage.folder / GOVERNANCE / "root-hash"

    def play(self, notice: str) -> tuple[Ledger, Audited]:
        """Play it, with the receipt of one notice; return what is to be remembered.

        Raises:
            AlmenaraError: a step failed, took too long, or said something else than it must.
        """
        # The auditor has it from the ceremony, as every member has; never from the bundle.
        (self._folder / "root-hash").write_bytes(self._root_hash.read_bytes())
        ledger = self._await_witnesses()
        receipt = self._receipt(notice)
        exported = self._export()
        whole = self._verify("the bundle", Exit.OK)
        self._say("AUD", "verifies it on a machine without a network, from the root hash alone: exit 0")
        self._say("AUD", whole["sentence"], style="green")
        leaf = self._flip_a_byte()
        altered = self._verify("the altered bundle", Exit.VERIFICATION)
        findings = tuple(finding["where"] for finding in altered["findings"])
        if f"leaf {leaf}" not in findings:
            raise ServiceError(f"the altered leaf {leaf} is not named: {findings}")
        self._say("AUD", f"verifies again: exit 3, {altered['sentence']}", style="bold red")
        self._flip_back()
        self._report()
        return ledger, Audited(
            exit=Exit.OK,
            verdict=whole["sentence"],
            leaves=exported["leaves"],
            documents=exported["documents"],
            statements=exported["statements"],
            receipt_exit=receipt,
            altered_leaf=leaf,
            altered_exit=Exit.VERIFICATION,
            altered_verdict=altered["sentence"],
            altered_findings=findings,
            folder=str(self._folder) if self._keep else None,
        )

    def _await_witnesses(self) -> Ledger:
        with deadline(WITNESSED_S, "a quorum of witnesses to cosign the whole ledger"):
            while not _is_settled(view := self._xaa.ledger()):
                pause(LOOK_S)
        ack = _ack(view)
        witnesses = tuple(one.state for one in ack.witnesses if one.cosigned_ms is not None)
        self._say(
            "XAA",
            f"sees the ledger at {ack.size} leaves, cosigned by the nodes of {', '.join(witnesses)}"
            f" ({ack.needed} are needed)",
            f"root {ack.root}",
        )
        return Ledger(
            origin=ack.origin,
            size=ack.size,
            root=ack.root,
            needed=ack.needed,
            witnesses=witnesses,
            merge_delay_ms=view.merge_delay_ms,
        )

    def _receipt(self, notice: str) -> int:
        """Save the receipt of a notice at its sender, verify it as anybody could; return the exit code."""
        path = self._folder / "receipt.txt"
        desk = ["--data", str(self._xaa.data), "--token-file", str(self._xaa.token_file)]
        self._run(["proof", notice, "-o", str(path), *desk], Exit.OK, "the receipt to be given out")
        verified = self._verify("the receipt", Exit.OK, path)
        self._say(
            "XAA",
            f"saves the receipt of {notice[:6]}: one file that verifies for ever, offline",
            verified["sentence"],
        )
        return Exit.OK

    def _export(self) -> dict[str, Any]:
        token = add_auditor(DataDir(self._stage.hub), AUDITOR)
        self._say("AUD", f"{AUDITOR}, auditor: has a token that reads the ledger, and nothing else")
        words = ["audit", "export", "-o", str(self._bundle), "--token-file", str(token)]
        words += ["--url", f"https://{LOOPBACK}:{self._stage.ledger_port}"]
        words += ["--community", str(self._community), "--root-hash", str(self._root_hash)]
        told = self._run(words, Exit.OK, "the ledger to be exported")
        self._say(
            "AUD",
            f"takes along {told['leaves']} leaves, {told['documents']} trust documents,"
            f" {told['statements']} signed statements ({told['bytes'] // 1000} kB)",
        )
        return told

    def _verify(self, what: str, expected: Exit, path: Path | None = None) -> dict[str, Any]:
        words = ["audit", "verify", str(path or self._bundle), "--root-hash", str(self._root_hash)]
        return self._run(words, expected, f"{what} to be verified")

    def _flip_a_byte(self) -> int:
        """Change one byte of an officer's answer, and return its leaf."""
        leaf, place = _answer_in(self._pack.read_bytes())
        self._flip(place)
        self._place = place
        self._say("AUD", f"changes one byte of the officer's answer at leaf {leaf}, as a forger would")
        return leaf

    def _flip_back(self) -> None:
        self._flip(self._place)

    def _flip(self, place: int) -> None:
        data = bytearray(self._pack.read_bytes())
        data[place] ^= 1
        self._pack.write_bytes(data)

    @property
    def _pack(self) -> Path:
        return self._bundle / statements_name(0)

    def _report(self) -> None:
        page = self._folder / "report.html"
        words = ["audit", "report", str(self._bundle), "--root-hash", str(self._root_hash), "-o", str(page)]
        self._run(words, Exit.OK, "the report to be written")
        where = [f"open {page}"] if self._keep else []
        self._say(
            "AUD", f"writes the report: one page of {page.stat().st_size // 1000} kB, no network", *where
        )

    def _run(self, words: list[str], expected: Exit, awaited: str) -> dict[str, Any]:
        with deadline(STEP_S, awaited):
            code, told = self._stage.crew.run(words)
        if code != expected:
            why = told.get("sentence") or told.get("error", {}).get("message", "no reason was given")
            raise ServiceError(f"almenara {words[0]} ended with exit code {code}: {why}")
        return told


def _ack(view: LedgerView) -> LogView:
    return next(log for log in view.logs if log.log == "ack")


def _is_settled(view: LedgerView) -> bool:
    """Whether a quorum has cosigned everything that this node has said or heard."""
    if not view.logs or view.promised or view.unwitnessed:
        return False
    return _ack(view).witnessed_size == _ack(view).size


def _answer_in(pack: bytes) -> tuple[int, int]:
    """Return the leaf of the first ACCEPTED in a pack, and a place within its signed body."""
    for leaf, data in iter_pack(pack, MAX_SIGNED_STATEMENT_BYTES):
        signed, statement = parse_statement(data)
        if statement.kind is StatementKind.ACCEPTED:
            return leaf, pack.index(signed.body) + len(signed.body) // 2
    raise ServiceError("the ledger holds no officer's answer")
