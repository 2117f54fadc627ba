"""The check of a coordinator's anchor: is it there, is the database as new, would it survive the database?"""

from __future__ import annotations

from pathlib import Path

from exchange.coordinator.anchor import Anchor
from exchange.doctor.patient import Finding, Patient, note, ok, problem, warning
from exchange.restored import RESTORED_FILE
from protocol.ledger.origins import Log

RECOVER = (
    "If it is somewhere else, set anchor in almenara.toml to its folder, or put it back. If it is lost, read "
    "the sizes at two members or more (almenara ledger watch --once --data DIR --token-file TOKEN), then: "
    "almenara coordinator recover "
    "--data DIR --members-have ack=SIZE --members-have dir=SIZE"
)
OTHERS_RUN = (
    "If other processes of this coordinator run, start this one: its anchor begins with what they published."
)


def anchor_is_apart(patient: Patient) -> Finding:
    """The ledger's second copy is there, is not newer than the first, and would survive its loss."""
    folder = getattr(patient.settings, "anchor", None)
    if folder is None:
        return ok("a node has no anchor")
    # The anchor first: a coordinator that runs writes the database before the anchor.
    anchored = _anchored(folder)
    signed = patient.signed_sizes()
    older = [log for log, size in anchored.items() if size > signed.get(log, 0)]
    if older:
        sizes = ", ".join(f"{log}: {anchored[log]} against {signed.get(log, 0)}" for log in older)
        return problem(
            f"the database is an older copy than the anchor ({sizes}): signing would fork the ledger",
            "Do not delete the anchor. Restore the newest copy of the database: see "
            "deploy/runbooks/restore-the-coordinator.md",
        )
    missing = sorted(set(signed) - set(anchored))
    is_restored = (patient.data / RESTORED_FILE).exists()
    if missing or (is_restored and not anchored):
        what = ", ".join(f"{log} with checkpoint {signed[log]}" for log in missing) or "any log"
        return problem(
            f"there is no anchor in {folder} of {what}: nothing here can tell whether the database is the "
            "newest",
            RECOVER if patient.shared is None or is_restored else f"{OTHERS_RUN} {RECOVER}",
        )
    if not anchored:
        return note(f"there is no anchor in {folder} yet", "It is made with the first checkpoint.")
    if patient.shared is not None:
        return ok("the anchor lies in this process's own folder, the database on its servers, and they agree")
    if folder.stat().st_dev == patient.data.stat().st_dev:
        return warning(
            f"the anchor {folder} lies on the same disk as the database",
            "Set anchor in almenara.toml to a folder on another disk, and move it there while stopped.",
        )
    return ok("the anchor lies on another disk than the database")


def _anchored(folder: Path) -> dict[Log, int]:
    """Return the size of each log's checkpoint in the anchor; nothing is taken or made."""
    anchor = Anchor(folder)
    return {log: held.extent.size for log in Log if (held := anchor.read(log)) is not None}
