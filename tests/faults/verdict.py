"""Comparing the outside record with what people see and with what the ledger holds."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from protocol.statement import Statement, StatementKind
from tests.faults.found import Found
from tests.faults.ledger import said
from tests.faults.recorder import Story

Shown = Mapping[str, Iterable[tuple[str, str]]]
"""By reader: the name of every notice that it is shown, and its id, as often as it is shown."""


@dataclass
class Counts:
    """How many stories ended in which way."""

    ok: int = 0
    lost: int = 0
    duplicated: int = 0
    recovered: int = 0
    unknown: int = 0
    wrong: int = 0

    def found(self, fault: str, faults: int) -> Found:
        """Return the row of the table."""
        return Found(fault, faults, **vars(self))


def compare(stories: Mapping[str, Story], shown: Shown) -> Counts:
    """Judge every story by what each reader is shown.

    Args:
        stories: The outside record.
        shown: What each of those sees who must see all that was accepted.
    """
    seen: dict[str, dict[str, list[str]]] = defaultdict(lambda: {reader: [] for reader in shown})
    for reader, notices in shown.items():
        for name, id_ in notices:
            seen[name][reader].append(id_)
    counts = Counts(wrong=len(seen.keys() - stories.keys()))  # shown, and nobody ever asked for it
    for name, story in stories.items():
        judge(story, list(seen[name].values()), counts)
    return counts


def judge(story: Story, copies: list[list[str]], counts: Counts) -> None:
    """Count one story.

    Args:
        story: What was asked for and answered.
        copies: For each reader: the ids under which it is shown this.
        counts: Counted into.
    """
    ids = {id_ for one in copies for id_ in one}
    if len(set(story.accepted)) > 1 or (story.accepted and ids - set(story.accepted)):
        counts.wrong += 1  # two answers, or another thing than what was answered for
    elif any(len(one) > 1 for one in copies) or len(ids) > 1:
        counts.duplicated += 1
    elif ids and not story.accepted and story.refused and not story.unknown:
        counts.wrong += 1  # refused, and there
    elif ids and not all(copies):
        counts.lost += 1  # some have it, some never got it
    elif not ids:
        counts.lost += bool(story.accepted)
        counts.unknown += story.is_open
    elif story.unknown:
        counts.recovered += 1
    else:
        counts.ok += 1


def compare_ledger(
    recorded: list[tuple[bytes, Statement]], ids: set[str], hub: str, recipients: Iterable[str]
) -> Counts:
    """Judge the exported ledger: of every notice one RELAYED, and one RECEIVED by each recipient.

    Args:
        recorded: The statements, in the ledger's order.
        ids: Of the notices that are shown.
        hub: Who relays.
        recipients: Who receives.
    """
    counts = Counts()
    for kind, parties in ((StatementKind.RELAYED, (hub,)), (StatementKind.RECEIVED, tuple(recipients))):
        expected = {(party, id_) for party in parties for id_ in ids}
        found: Counter[tuple[str, str]] = said(recorded, kind)
        counts.lost += len(expected - found.keys())
        counts.duplicated += sum(count > 1 for count in found.values())
        counts.wrong += len(found.keys() - expected)
    return counts
