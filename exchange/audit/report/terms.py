"""The terms of the field in the reader's language: kinds, outcomes, severities, roles, reasons.

What the verifier says in English sentences is shown as it is, marked as English; what it says
in codes is said here. A code that is not known is shown as itself: nothing is ever guessed.
"""

from __future__ import annotations

import re

from exchange.audit.report.words import Words
from exchange.audit.verdict import Check, DeliveryEvidence, Outcome, SeverityFigures, StateFigures
from exchange.safe import safe_line
from protocol.marking import Tlp

_DAY_MS = 86_400_000
_SOURCE = re.compile(r"([a-z]{1,12}) ([0-9]{1,20})(?: of .*)?")


def N_(message: str) -> str:  # noqa: N802  (the name that tools which collect messages know)
    """Mark a message for the catalogues; it is translated where it is shown."""
    return message


POINTS = (N_("Baseline"), N_("Low"), N_("Medium"), N_("High"), N_("Severe"), N_("Emergency"))
OUTCOMES = {
    "queued": N_("not relayed"),
    "refused": N_("refused by the coordinator"),
    "relayed": N_("relayed, no receipt"),
    "received": N_("received, not opened"),
    "opened": N_("opened, not answered"),
    "accepted": N_("accepted"),
    "declined": N_("declined"),
    "completed": N_("completed"),
    "rejected": N_("rejected by the node"),
    "undelivered": N_("undelivered"),
}
STANDINGS = {
    Outcome.OK: N_("Passed"),
    Outcome.FAILED: N_("Failed"),
    Outcome.NOT_CHECKED: N_("Not checked"),
}
PARTS = {
    "in_time": N_("Answered"),
    "late": N_("Answered late"),
    "waiting": N_("Waiting"),
    "silent": N_("Silent"),
    "failed": N_("Rejected or undelivered"),
}
TAGS = {
    "answered": N_("answered"),
    "late": N_("late"),
    "silent": N_("silent"),
    "failed": N_("rejected or undelivered"),
}
FIGURES = {
    "notices": N_("Notices"),
    "deliveries": N_("Deliveries"),
    "received": N_("Received"),
    "opened": N_("Opened"),
    "accepted": N_("Accepted"),
    "declined": N_("Declined"),
    "completed": N_("Completed"),
    "rejected": N_("Rejected"),
    "undelivered": N_("Undelivered"),
    "silent": N_("Silent"),
    "late": N_("Late"),
    "waiting": N_("Waiting"),
    "sent": N_("Sent"),
}
STATEMENTS = {
    "relayed": N_("relayed"),
    "received": N_("received by the node"),
    "opened": N_("opened by an officer"),
    "accepted": N_("accepted by an officer"),
    "completed": N_("completed by an officer"),
    "declined": N_("declined by an officer"),
    "rejected": N_("rejected by the node"),
    "undelivered": N_("undelivered"),
    "withdrawn": N_("withdrawn by the sender"),
    "superseded": N_("replaced by the sender"),
    "directory": N_("trust documents counted from here"),
    "due": N_("answer expected by"),
}
DOCUMENTS = {
    "root": N_("root document"),
    "directory": N_("directory"),
    "manifest": N_("state manifest"),
    "prekeys": N_("prekey list"),
    "publication": N_("publication"),
}
NOTICES = {
    "report": N_("report"),
    "update": N_("update"),
    "request": N_("request"),
    "response": N_("response"),
    "retraction": N_("retraction"),
    "closure": N_("closure"),
    "check": N_("check"),
}
REASONS = {
    "not-affected": N_("not affected"),
    "not-competent": N_("not competent"),
    "no-capacity": N_("no capacity"),
    "not-enough-information": N_("not enough information"),
    "legal-obstacle": N_("legal obstacle"),
    "handled-elsewhere": N_("handled elsewhere"),
    "other": N_("other reason"),
}
ROLES = {
    "root": N_("root key"),
    "directory": N_("directory key"),
    "identity": N_("identity key"),
    "node": N_("node key"),
    "officer": N_("officer’s key"),
    "coordinator": N_("coordinator’s statement key"),
    "log": N_("log key"),
    "witness": N_("witness key"),
    "prekey": N_("prekey"),
}
EVENTS = {
    "added": N_("counts from here"),
    "removed": N_("counts no longer"),
    "revoked": N_("revoked"),
    "compromised": N_("confirmed as compromised"),
}
LOGS = {"ack": N_("log of statements"), "dir": N_("log of trust documents")}
MODES = {"full": N_("every leaf"), "sample": N_("a sample of the leaves")}


class Terms:
    """The terms in one language.

    Args:
        words: That language.
    """

    def __init__(self, words: Words) -> None:
        self.words = words

    def point(self, point: int | None) -> str:
        """Return a point of the reference scale in words; None is unknown, never a number."""
        if point is None or not 0 <= point < len(POINTS):
            return self.words.say("Severity unknown")
        return f"{point} · {self.words.say(POINTS[point])}"

    def level(self, schema: str, version: int, level: str) -> str:
        """Return a level in its sender's own words, as on the command line."""
        return f"{safe_line(schema)}@{version}:{safe_line(level)}"

    def delivery(self, delivery: DeliveryEvidence) -> str:
        """Return where a delivery stands; silence and lateness are said aloud."""
        said = self._known(OUTCOMES, delivery.outcome)
        if delivery.silent:
            return self.words.say("silent: %(state)s", state=said)
        return self.words.say("%(state)s, late", state=said) if delivery.late else said

    def of_answered(self, answered: int, deliveries: int) -> str:
        """Return how many deliveries were answered."""
        return self.words.say(
            "%(answered)s of %(deliveries)s answered",
            answered=self.words.number(answered),
            deliveries=self.words.number(deliveries),
        )

    def standing(self, outcome: Outcome) -> str:
        """Return how a check, or the whole audit, ended."""
        return self.words.say(STANDINGS[outcome])

    def check(self, check: Check) -> str:
        """Return how a check ended; one that had nothing before it neither passed nor failed."""
        nothing = not check.done and not check.left_out
        return self.words.say("Nothing to check") if nothing else self.standing(check.outcome)

    def part(self, name: str) -> str:
        """Return the name of a part of the deliveries."""
        return self._known(PARTS, name)

    def tag(self, name: str) -> str:
        """Return a part of the deliveries after its number."""
        return self._known(TAGS, name)

    def figure(self, name: str) -> str:
        """Return the name of a figure."""
        return self._known(FIGURES, name)

    def statement(self, kind: str) -> str:
        """Return what a leaf of either log is."""
        return self._known(STATEMENTS, kind)

    def notice(self, kind: str) -> str:
        """Return the kind of a notice."""
        return self._known(NOTICES, kind)

    def reason(self, code: str) -> str:
        """Return why a state declines."""
        return self._known(REASONS, code)

    def role(self, role: str) -> str:
        """Return what a key is for."""
        return self._known(ROLES, role)

    def log(self, log: str) -> str:
        """Return the name of a log."""
        return self._known(LOGS, log)

    def mode(self, mode: str) -> str:
        """Return how much of the log the bundle covers."""
        return self._known(MODES, mode)

    @staticmethod
    def label(tlp: str) -> str:
        """Return a sharing label as FIRST writes it."""
        return Tlp(tlp).label if tlp in set(Tlp) else safe_line(tlp)

    def event(self, event: str) -> str:
        """Return what happened to a key."""
        return self._known(EVENTS, event)

    def source(self, source: str) -> str:
        """Return a trust document by its kind and version, such as ``manifest 3``."""
        match = _SOURCE.fullmatch(source)
        return f"{self._known(DOCUMENTS, match[1])} {match[2]}" if match else safe_line(source)

    def owner(self, owner: StateFigures | SeverityFigures | None) -> str:
        """Return whose figures they are."""
        if owner is None:
            return self.words.say("All")
        if isinstance(owner, StateFigures):
            return safe_line(owner.state)
        return self.level(owner.schema, owner.version, owner.level)

    def moment(self, at_ms: int, step_ms: int) -> str:
        """Return a time as short as steps of this length need."""
        if step_ms >= _DAY_MS:
            return self.words.date(at_ms)
        return f"{self.words.date(at_ms)}, {self.words.clock(at_ms)[:8]}"

    @staticmethod
    def plain(text: str) -> str:
        """Return text from the bundle as one visible line that cannot act."""
        return safe_line(text)

    @staticmethod
    def short(identifier: str) -> str:
        """Return the beginning of a hash; enough to tell it from others on one page."""
        return safe_line(identifier[:10])

    def _known(self, table: dict[str, str], code: str) -> str:
        return self.words.say(table[code]) if code in table else safe_line(code)
