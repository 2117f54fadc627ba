"""What the verifier found so far: rules applied, rules broken, and what could not be judged.

A bundle may be wrong in a million places: each kind of finding is listed a few times, and counted
for the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from msgspec.structs import replace

from exchange.audit.verdict import Check, Finding, Grade, Outcome

MISSING = "missing-file"
"""A listed file that is not there: of a copy that was broken off, everything else follows from this."""
LISTED = 20
"""How many findings of one code are listed."""

RULES: Mapping[str, str] = MappingProxyType(
    {
        "parts": "every file of the bundle is on its list, once, with its size and hash",
        "documents": "every trust document follows from the pinned root hash",
        "directory-checkpoint": "the checkpoint of the directory log is signed by the log and a quorum",
        "checkpoint": "the checkpoint of the ledger is signed by the log and a quorum of witnesses",
        "roots": "the leaves give exactly the roots of the checkpoints",
        "milestones": "every earlier witnessed checkpoint is a beginning of this same ledger",
        "policies": "the policy files say what the trust documents say",
        "statements": "every statement is, byte for byte, the one that its leaf commits to",
        "signers": "every statement is by a key that had this role at this place of the ledger",
        "signatures": "the signatures of statements and notices verify",
        "chains": "no signer's series of statements has a gap or a fork",
        "gossip": "what signers saw of the ledger is this ledger",
        "directories": "signers looked keys up in this directory, and in no other",
        "times": "the recorded times lie between the times of the witnesses",
        "notices": "every relayed notice is the one that its sender signed, and was relayed once",
        "prekeys": "notices are sealed to keys that their recipients had published",
        "addressees": "statements about a notice are by its sender, its recipients or the coordinator",
        "order": "no statement contradicts an earlier one",
        "outcomes": "of every expired notice, each recipient has it, refused it, or did not fetch it",
        "deadlines": "deadlines are judged by the times of the witnesses",
        "disclosures": "disclosed notices are exactly what their senders sealed",
    }
)
"""Every check by its code, in the order in which they are shown."""

_ASK = "Ask the coordinator for the bundle again; if it is the same, this is evidence: keep this copy."
_COPY = "Copy or export the bundle again. If it is the same, treat it as altered and keep this copy."
_PROVED = "Keep this bundle: it is evidence against the coordinator. Tell the members on another channel."
_MEMBER = "Ask that member on another channel what happened; keep this bundle."

NEXT: Mapping[str, str] = MappingProxyType(
    {
        "wrong-community": "Check that the root hash and the bundle are of the same community.",
        "list": _COPY,
        "missing-file": _COPY,
        "extra-file": "Remove what does not belong there, or copy the bundle again into an empty directory.",
        "not-a-file": "Copy the bundle again into an empty directory, without links.",
        "wrong-size": _COPY,
        "wrong-hash": _COPY,
        "too-many-files": "Verify the bundle in a directory of its own.",
        "no-quorum": "Export again when more nodes are connected: a quorum of witnesses must have cosigned.",
        "not-witnessed": "Nothing to do, unless it is frequent: deadlines are judged by other checkpoints.",
        "statement-differs": _ASK,
        "statement-missing": _ASK,
        "header-missing": "Export the bundle again: without it nothing can be said about this notice.",
        "signer": "Ask the member when it stopped using that key; until then the statement counts nothing.",
        "compromised": "Ask the member on another channel what it said itself; do not rely on this before.",
        "key-life": "Ask the member when it signed; the ledger cannot say whether the key was still valid.",
        "contradiction": _MEMBER,
        "fork": _MEMBER,
        "gap": "Ask that member for the missing statement: it was dropped, refused, or never sent.",
        "seen-other-ledger": _PROVED,
        "seen-other-directory": _PROVED,
        "relayed-twice": _PROVED,
        "never-relayed": _PROVED,
        "no-outcome": _PROVED,
        "root-differs": _PROVED,
        "held-back": _PROVED,
        "late-promise": "Compare the coordinator's clock of that day; if it was right, this was late.",
        "document-time": "Compare the coordinator's clock of that day; ask the signer when it was sent.",
        "time-outside": "Compare the clocks of the coordinator and of the witnesses of that day.",
        "unknown-prekey": "Ask both members at once: the notice may be sealed to a key of somebody else.",
        "disclosure": "Ask the state that disclosed it for a correct file.",
    }
)
"""The next step by the code of a finding; every other finding has :data:`_ASK`."""


class Place(NamedTuple):
    """Where something is in a bundle; ``leaf`` if it is one of the acknowledgement log."""

    text: str
    leaf: int | None = None


def leaf_at(index: int) -> Place:
    """Return the place of one leaf of the acknowledgement log."""
    return Place(f"leaf {index}", index)


def document_at(index: int) -> Place:
    """Return the place of one leaf of the directory log."""
    return Place(f"document {index}")


class Record:
    """Collects what was checked. One per audit."""

    def __init__(self) -> None:
        self._done: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self._left_out: Counter[str] = Counter()
        self._findings: dict[tuple[Grade, str], list[Finding]] = {}
        self._more: Counter[tuple[Grade, str]] = Counter()
        self.holes = 0
        """How many statements could not be taken into account: what lacks one of them proves nothing."""

    def passed(self, check: str, count: int = 1) -> None:
        """Count objects that keep a rule."""
        self._done[check] += count

    def left_out(self, check: str, count: int = 1) -> None:
        """Count objects that could not be judged, or were not part of the sample."""
        self._left_out[check] += count

    def failed(self, check: str, code: str, sentence: str, place: Place) -> None:
        """Record that one object breaks a rule."""
        self._done[check] += 1
        self._failed[check] += 1
        self._find(Grade.FAILED, code, sentence, place)

    def lost(self, check: str, code: str, sentence: str, place: Place) -> None:
        """Record that a statement breaks a rule, and therefore counts nothing."""
        self.holes += 1
        self.failed(check, code, sentence, place)

    def doubtful(self, sentence: str, place: Place) -> None:
        """Record a statement that its signer or a thief made, and that therefore counts nothing."""
        self.holes += 1
        self.unchecked("signers", "compromised", sentence, place)

    def missing(self, check: str, code: str, sentence: str, place: Place) -> None:
        """Record that something lacks: a failure, unless it may be one of the holes of the bundle."""
        if self.holes:
            sentence = f"{sentence}; it may be one that this bundle does not hold as it was logged"
            self.unchecked(check, code, sentence, place)
        else:
            self.failed(check, code, sentence, place)

    def unchecked(self, check: str, code: str, sentence: str, place: Place) -> None:
        """Record that one object could not be judged, and that a person should know."""
        self._left_out[check] += 1
        self._find(Grade.UNCHECKED, code, sentence, place)

    def note(self, code: str, sentence: str, place: Place) -> None:
        """Record something that breaks no rule, and that a person should know."""
        self._find(Grade.NOTE, code, sentence, place)

    @property
    def outcome(self) -> Outcome:
        """OK, or FAILED if any rule was broken."""
        return Outcome.FAILED if self._failed.total() else Outcome.OK

    def checks(self) -> tuple[Check, ...]:
        """Return every check, in the order of :data:`RULES`."""
        return tuple(
            Check(
                code=code,
                sentence=sentence,
                outcome=self._outcome_of(code),
                done=self._done[code],
                failed=self._failed[code],
                left_out=self._left_out[code],
            )
            for code, sentence in RULES.items()
        )

    def findings(self) -> tuple[Finding, ...]:
        """Return the findings: failures first, what lacks before what follows from it, then by place."""
        found: list[Finding] = []
        for key, listed in self._findings.items():
            *first, last = sorted(listed, key=_by_place)
            found += [*first, replace(last, more=self._more[key])]
        grades = list(Grade)
        return tuple(
            sorted(found, key=lambda one: (grades.index(one.severity), one.code != MISSING, *_by_place(one)))
        )

    def _outcome_of(self, code: str) -> Outcome:
        if self._failed[code]:
            return Outcome.FAILED
        return Outcome.OK if self._done[code] else Outcome.NOT_CHECKED

    def _find(self, grade: Grade, code: str, sentence: str, place: Place) -> None:
        listed = self._findings.setdefault((grade, code), [])
        if len(listed) >= LISTED:
            self._more[grade, code] += 1
            return
        listed.append(
            Finding(
                code=code,
                severity=grade,
                sentence=sentence,
                where=place.text,
                next=NEXT.get(code, _ASK),
                leaf=place.leaf,
            )
        )


def _by_place(finding: Finding) -> tuple[int, str, str]:
    return (-1 if finding.leaf is None else finding.leaf, finding.code, finding.where)
