"""The outside recorder: what was intended, what was answered, on a disk of its own, before anything else.

One line of JSON for each fact, flushed to the disk before the harness goes on, so that even a harness that
dies knows what it was told. The system under test is never asked what it was told to do.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Answer = Literal["accepted", "refused", "unknown"]


@dataclass
class Story:
    """All that the recorder knows of one thing that was asked for.

    Attributes:
        tries: How often it was asked for.
        accepted: The ids it was accepted under, one for each answer.
        refused: The codes it was refused with.
        unknown: How many tries ended without an answer.
    """

    tries: int = 0
    accepted: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    unknown: int = 0

    @property
    def is_open(self) -> bool:
        """Whether nobody knows what became of it."""
        return self.unknown > 0 and not self.accepted


class Recorder:
    """Writes down intents and answers; may be used by several threads.

    Args:
        path: The record, which is made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def intends(self, name: str) -> None:
        """Write down that this will be asked for now; on disk when this returns."""
        self._append({"intent": name})

    def heard(self, name: str, answer: Answer, detail: str = "") -> None:
        """Write down what was answered; on disk when this returns.

        Args:
            name: What was asked for.
            answer: How it ended.
            detail: The id it was accepted under, or the code it was refused with.
        """
        self._append({"heard": name, "answer": answer, "detail": detail})

    def close(self) -> None:
        """Close the record."""
        os.close(self._file)

    def _append(self, fact: dict[str, str]) -> None:
        line = json.dumps(fact).encode() + b"\n"
        with self._lock:
            assert os.write(self._file, line) == len(line)
            os.fsync(self._file)


def history(path: Path) -> dict[str, Story]:
    """Return everything that a record says, in the order in which it was first asked for."""
    stories: dict[str, Story] = {}
    for fact in facts(path):
        if "intent" in fact:
            stories.setdefault(fact["intent"], Story()).tries += 1
            continue
        story = stories[fact["heard"]]
        match fact["answer"]:
            case "accepted":
                story.accepted.append(fact["detail"])
            case "refused":
                story.refused.append(fact["detail"])
            case _:
                story.unknown += 1
    return stories


def facts(path: Path) -> Iterator[dict[str, str]]:
    """Yield the lines of a record; a last one that is not whole was never acted on."""
    for line in path.read_bytes().splitlines(keepends=True):
        if line.endswith(b"\n"):
            yield json.loads(line)
