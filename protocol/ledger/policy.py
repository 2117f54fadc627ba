"""Which logs and witnesses are trusted, and how many of them it takes (C2SP tlog-policy).

Every policy that C2SP permits is read, if it is UTF-8 and its keys are of the kinds used here;
written is one spelling only: logs, witnesses, groups, quorum.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Set
from dataclasses import dataclass, field

from protocol.errors import FormatError, TooLarge
from protocol.ledger.note import SignatureType, VerifierKey, parse_vkey
from protocol.text import parse_decimal

MAX_POLICY_CHARS = 1024 * 1024
MAX_ENTRIES = 512
NONE = "none"

LOG_TYPES = frozenset({SignatureType.ED25519, SignatureType.MLDSA44})
WITNESS_TYPES = frozenset({SignatureType.COSIGNATURE_ED25519, SignatureType.MLDSA44})


_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")  # and halves of characters: no UTF-8


@dataclass(frozen=True, slots=True)
class PolicyLog:
    """A log whose checkpoints are accepted; the key's name is the log's origin."""

    key: VerifierKey
    url: str | None = None


@dataclass(frozen=True, slots=True)
class PolicyWitness:
    """A witness: its name within the policy, and its key under the name that it signs with."""

    name: str
    key: VerifierKey
    url: str | None = None


@dataclass(frozen=True, slots=True)
class PolicyGroup:
    """A group: it counts as one witness if at least ``threshold`` of its members do."""

    name: str
    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy that holds together: every name defined once, and before it is used.

    Args:
        logs: The logs accepted.
        witnesses: The witnesses known.
        groups: Groups of witnesses, and of groups before them.
        quorum: The name of the witness or group that must have cosigned, or ``none``.

    Raises:
        FormatError: a name or key is there twice, a name is not defined, or a key is of a kind
            that a log or witness does not have.
        TooLarge: over 512 of a kind.
    """

    logs: tuple[PolicyLog, ...]
    witnesses: tuple[PolicyWitness, ...]
    groups: tuple[PolicyGroup, ...]
    quorum: str

    def __post_init__(self) -> None:
        if max(len(self.logs), len(self.witnesses), len(self.groups)) > MAX_ENTRIES:
            raise TooLarge(f"a policy has at most {MAX_ENTRIES} logs, witnesses and groups of each")
        _check_keys((one.key for one in self.logs), LOG_TYPES, "log")
        _check_keys((one.key for one in self.witnesses), WITNESS_TYPES, "witness")
        urls = [*(log.url for log in self.logs), *(witness.url for witness in self.witnesses)]
        for url in urls:
            if url is not None:
                _check_word(url)
        _check_names(self)

    def is_met(self, cosigned: Set[str]) -> bool:
        """Return whether cosignatures of the witnesses with these names are enough."""
        standing = {one.name for one in self.witnesses} & cosigned
        for group in self.groups:
            if sum(member in standing for member in group.members) >= group.threshold:
                standing.add(group.name)
        return self.quorum == NONE or self.quorum in standing


@dataclass(slots=True)
class _Draft:
    logs: list[PolicyLog] = field(default_factory=list)
    witnesses: list[PolicyWitness] = field(default_factory=list)
    groups: list[PolicyGroup] = field(default_factory=list)
    quorum: str | None = None
    names: set[str] = field(default_factory=set)


def parse_policy(text: str) -> Policy:
    """Return what a policy file says.

    Raises:
        TooLarge: over 1 Mi characters, or over 512 of a kind.
        FormatError: a line is not understood, or the policy does not hold together.
    """
    if len(text) > MAX_POLICY_CHARS:
        raise TooLarge(f"the policy is over {MAX_POLICY_CHARS} characters")
    if _CONTROLS.search(text):
        raise FormatError("the policy has a control character in it")
    if text and not text.endswith("\n"):
        raise FormatError("the policy's last line does not end in a newline")
    draft = _Draft()
    for line in text.split("\n"):
        words = [word for word in line.replace("\t", " ").split(" ") if word]
        if words and not words[0].startswith("#"):
            _read_line(draft, words)
    if draft.quorum is None:
        raise FormatError("the policy has no quorum line")
    return Policy(tuple(draft.logs), tuple(draft.witnesses), tuple(draft.groups), draft.quorum)


def format_policy(policy: Policy) -> str:
    """Return the policy as text, in the one spelling that is written here."""
    lines = [["log", str(log.key), log.url or ""] for log in policy.logs]
    lines += [["witness", one.name, str(one.key), one.url or ""] for one in policy.witnesses]
    for group in policy.groups:
        threshold = "all" if group.threshold == len(group.members) else str(group.threshold)
        lines.append(["group", group.name, threshold, *group.members])
    lines.append(["quorum", policy.quorum])
    return "".join(" ".join(word for word in line if word) + "\n" for line in lines)


def _read_line(draft: _Draft, words: list[str]) -> None:
    match words:
        case ["log", key, *url] if len(url) <= 1:
            draft.logs.append(PolicyLog(parse_vkey(key), url[0] if url else None))
        case ["witness", name, key, *url] if len(url) <= 1:
            draft.witnesses.append(PolicyWitness(name, parse_vkey(key), url[0] if url else None))
            draft.names.add(name)
        case ["group", name, threshold, *members] if members:
            _require_defined(draft, members)
            draft.groups.append(PolicyGroup(name, _threshold(threshold, len(members)), tuple(members)))
            draft.names.add(name)
        case ["quorum", name] if draft.quorum is None:
            _require_defined(draft, [name] if name != NONE else [])
            draft.quorum = name
        case ["quorum", _]:
            raise FormatError("the policy has more than one quorum line")
        case _:
            raise FormatError("a line of the policy is no log, witness, group or quorum")


def _threshold(word: str, members: int) -> int:
    return {"any": 1, "all": members}.get(word) or parse_decimal(word, what="group's threshold")


def _require_defined(draft: _Draft, names: list[str]) -> None:
    if not draft.names.issuperset(names):
        raise FormatError("the policy uses a name before it is defined")


def _check_keys(keys: Iterable[VerifierKey], kinds: Set[SignatureType], what: str) -> None:
    # Two keys are the same if their bytes are, whatever they are called.
    seen: set[bytes] = set()
    for key in keys:
        if key.type not in kinds:
            raise FormatError(f"the policy gives a {what} a key of a kind that no {what} has")
        if key.public in seen:
            raise FormatError(f"the policy gives one key to two {what} lines")
        seen.add(key.public)


def _check_names(policy: Policy) -> None:
    defined: set[str] = set()
    used: set[str] = set()
    for witness in policy.witnesses:
        _define(defined, witness.name)
    for group in policy.groups:
        if not set(group.members) <= defined:
            raise FormatError("the policy uses a name before it is defined")
        if len(set(group.members)) != len(group.members) or used & set(group.members):
            raise FormatError("the policy counts one member twice")
        if not 1 <= group.threshold <= len(group.members):
            raise FormatError("a group's threshold is not between 1 and the number of its members")
        used |= set(group.members)
        _define(defined, group.name)
    if policy.quorum != NONE and policy.quorum not in defined:
        raise FormatError("the policy's quorum is not defined")


def _define(defined: set[str], name: str) -> None:
    _check_word(name)
    if name == NONE or name in defined:
        raise FormatError("the policy defines a name twice, or the name none")
    defined.add(name)


def _check_word(word: str) -> None:
    if not word or " " in word or "\t" in word or "\n" in word or _CONTROLS.search(word):
        raise FormatError("a name or address of the policy is empty, or has a space or control in it")
