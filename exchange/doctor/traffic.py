"""Checks of what goes through a node: its service, clock, queue and alarms; and whether it was restored."""

from __future__ import annotations

from exchange.doctor.patient import Finding, Level, Patient, note, ok, problem, warning
from exchange.node.signing import NOT_LET_IN
from exchange.restored import RESTORED_FACT, RESTORED_FILE
from exchange.stores.node_books import read_alarms, read_fact
from keys.trust import MAX_SKEW_MS
from protocol.text import format_utc

SKEW_MS = 60_000
LATE_MS = 10 * 60_000


def service_answers(patient: Patient) -> Finding:
    """The node runs and answers on this machine."""
    if not patient.is_node:
        return ok("a coordinator is not asked")
    asked = patient.asked
    if not asked.runs:
        return note(
            "the node does not run; what follows is read from its files",
            "Start it: almenara node run --data DIR",
        )
    if asked.view is None:
        return note(
            "the node runs",
            "To have it asked as well: almenara doctor --data DIR --token-file TOKEN; tokens that were not "
            "handed "
            f"over yet lie in {patient.place.tokens}",
        )
    if not asked.view.connected:
        why = asked.view.last_error or "it has just started"
        refused = [alarm for alarm in asked.view.alarms if alarm.code == NOT_LET_IN]
        if refused:
            return problem(f"the node runs and is not let in: {refused[0].message}", refused[0].next)
        return warning(
            f"the node runs and has no session with {asked.view.coordinator}: {why}",
            "It goes on trying. Check the network, and ask the coordinator's operator.",
        )
    there = f"the node runs and is connected to {asked.view.coordinator} at {asked.view.address}"
    if asked.view.silent:
        others = "; ".join(
            f"{one.address} did not answer at {format_utc(one.at_ms)}" for one in asked.view.silent
        )
        return note(f"{there}; {others}", "If it lasts, ask the coordinator's operator which processes run.")
    return ok(there)


def clock_is_right(patient: Patient) -> Finding:
    """This machine's clock agrees with the coordinator's."""
    view = patient.asked.view
    if view is None or view.clock_skew_ms is None:
        return note(
            "the clock was compared with nobody", "It is while a node runs and is asked with a token."
        )
    seconds = abs(view.clock_skew_ms) // 1000
    fix = "Correct the clock (for example: chronyc makestep)."
    if abs(view.clock_skew_ms) > MAX_SKEW_MS:
        return problem(f"the clock differs from the coordinator's by {seconds} s: nothing can be sent", fix)
    if abs(view.clock_skew_ms) > SKEW_MS:
        return warning(f"the clock differs from the coordinator's by {seconds} s", fix)
    return ok(f"the clock differs from the coordinator's by {view.clock_skew_ms} ms")


def queue_is_short(patient: Patient) -> Finding:
    """What was accepted here has been handed over."""
    if not patient.is_node:
        return ok("a coordinator has no queue")
    with patient.database() as db:
        count = int(db.execute("SELECT count(*) FROM outgoing").get)
        oldest = db.execute(
            "SELECT min(stored_ms) FROM outgoing JOIN notice ON notice.id = outgoing.subject"
            " WHERE kind = 'submit'"
        ).get
    if not count:
        return ok("nothing waits for the coordinator")
    if oldest is not None and patient.now_ms - int(oldest) > LATE_MS:
        return problem(
            f"{count} things wait for the coordinator, a notice since {format_utc(int(oldest))}",
            "Start the node, or see why it has no session: almenara health --data DIR --token-file TOKEN",
        )
    return note(f"{count} things wait for the coordinator")


def nobody_is_alarmed(patient: Patient) -> Finding:
    """No alarm waits for a person."""
    if not patient.is_node:
        return ok("a coordinator has no alarms of its own")
    with patient.database() as db:
        codes = {alarm.code for alarm in read_alarms(db)}
    if patient.asked.view is not None:
        codes |= {alarm.code for alarm in patient.asked.view.alarms}
    if codes:
        return warning(
            f"alarms stand: {', '.join(sorted(codes))}",
            "Read them with: almenara health --data DIR --token-file TOKEN; what you have dealt with, take "
            "down with "
            "--dismiss; tokens that were not handed over "
            f"yet lie in {patient.place.tokens}",
        )
    return ok("no alarm stands")


def place_was_not_restored(patient: Patient) -> Finding:
    """The place goes on from its own last word, not from an older copy of it."""
    if patient.is_node:
        with patient.database() as db:
            at_ms = read_fact(db, RESTORED_FACT)
        since = format_utc(at_ms) if at_ms else ""
    else:
        mark = patient.data / RESTORED_FILE
        since = mark.read_text("utf-8").strip() if mark.exists() else ""
    if since:
        return Finding(
            Level.PROBLEM,
            f"the place was restored from a backup of {since}, and nobody has compared it yet",
            "See the runbooks: "
            + ("restore-a-node.md" if patient.is_node else "restore-the-coordinator.md")
            + " in deploy/runbooks",
        )
    return ok("the place goes on from its own last word")
