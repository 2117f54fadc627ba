"""The table of checks, in the order of their numbers, and how it is gone through."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from exchange.doctor import anchoring, files, machine, standing, traffic
from exchange.doctor.patient import Finding, Level, Patient, note, problem
from protocol.errors import AlmenaraError

Check = Callable[[Patient], Finding]

CHECKS: tuple[Check, ...] = (
    files.directory_is_private,
    files.place_is_complete,
    files.settings_are_fit,
    files.key_files_are_there,
    files.key_files_are_private,
    files.key_files_are_protected,
    files.keys_are_those_published,
    files.identity_key_is_away,
    files.tokens_are_handed_over,
    anchoring.anchor_is_apart,
    machine.disk_has_room,
    machine.engine_is_safe,
    machine.database_is_whole,
    machine.libraries_are_new_enough,
    machine.memory_stays_in_memory,
    standing.membership_is_active,
    standing.documents_are_fresh,
    standing.own_keys_are_fresh,
    standing.sealing_keys_are_ahead,
    standing.witnesses_are_at_work,
    traffic.service_answers,
    traffic.clock_is_right,
    traffic.queue_is_short,
    traffic.nobody_is_alarmed,
    traffic.place_was_not_restored,
    standing.keys_are_what_others_hold,
)


@dataclass(frozen=True, slots=True)
class Result:
    """One check's number and name, with what it found."""

    number: int
    name: str
    finding: Finding


def examine(patient: Patient) -> Iterator[Result]:
    """Yield what each check finds, in order; one that cannot be made is a problem, and stops no other.

    What keeps several checks from being made is told once: whoever reads this has one thing to put right.
    """
    told: dict[Finding, int] = {}
    for number, check in enumerate(CHECKS, start=1):
        finding = _found(check, patient)
        if finding.level is Level.PROBLEM and finding in told:
            finding = note(f"not looked at, for the reason of check {told[finding]}")
        told.setdefault(finding, number)
        yield Result(number, check.__name__.replace("_", "-"), finding)


def _found(check: Check, patient: Patient) -> Finding:
    try:
        return check(patient)
    except AlmenaraError as error:
        return problem(error.message, error.hint)
    except OSError as error:
        return problem(
            f"{error.filename or patient.data} cannot be read: {error.strerror}", "Check its owner."
        )
