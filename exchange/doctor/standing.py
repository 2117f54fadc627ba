"""Checks of how the place stands in its community: membership, expiries, sealing keys, witnesses."""

from __future__ import annotations

from exchange.doctor.patient import DAY_MS, Finding, Patient, note, ok, problem, warning
from exchange.keystore import read_secret
from exchange.setup.checking import Glance, keys_found
from exchange.stores.node_books import find_prekey
from exchange.stores.node_ledger import newest_checkpoint
from keys.calendar import day_of
from keys.keyfile import describe
from protocol.documents import Role as KeyRole
from protocol.documents import StateStatus
from protocol.ledger.origins import Log
from protocol.text import format_utc

SOON_MS, VERY_SOON_MS = 30 * DAY_MS, 7 * DAY_MS
FEW_DAYS = 7
STALE_MS = DAY_MS


def membership_is_active(patient: Patient) -> Finding:
    """The community lists this place, and has not suspended it."""
    party = patient.owner.party
    if not patient.is_node:
        patient.directory.coordinator(party)
        return ok(f"{party} is listed")
    entry = patient.directory.documents.entry(party)
    if entry is None:
        return problem(
            f"the directory here does not list {party}",
            "Send request.alm to governance, then: almenara node join --data DIR community.alm",
        )
    if entry.status is not StateStatus.ACTIVE:
        return problem(f"{party} is suspended", "Ask the secretariat why, on another channel.")
    return ok(f"{party} is an active member")


def documents_are_fresh(patient: Patient) -> Finding:
    """Root and directory are in force for a while."""
    directory = patient.directory
    dates = {"the root document": directory.root.expires_ms, "the directory": directory.directory.expires_ms}
    return _judged(patient, dates, "Ask the secretariat for the next one; the custodians sign it.")


def own_keys_are_fresh(patient: Patient) -> Finding:
    """What this place signed about itself is in force for a while: manifest and online keys."""
    if not patient.is_node:
        return ok("a coordinator's entry ends with the directory")
    manifest = patient.directory.documents.manifest(patient.owner.party)
    if manifest is None:
        return problem(
            "this state has no manifest signed by its present identity key",
            "Sign the next one with the identity key: almenara key rotate manifest --data DIR --identity "
            "FILE",
        )
    dates = {"the manifest": manifest.expires_ms}
    newest: dict[str, int] = {}
    for key in manifest.keys:
        if (patient.owner.party, key.key_id) not in patient.directory.documents.revoked:
            name = "the node key" if key.role is KeyRole.NODE else f"the key of {key.owner}"
            newest[name] = max(newest.get(name, 0), key.until_ms)
    return _judged(patient, dates | newest, "Renew it with the identity key: see almenara key rotate --help")


def keys_are_what_others_hold(patient: Patient) -> Finding:
    """What others hold of this node is what it holds: the findings of "almenara key check" about keys."""
    if not patient.is_node:
        return ok("a coordinator's keys are compared with the directory above")
    party, now_ms = patient.owner.party, patient.now_ms
    seen = Glance(patient.place, party, patient.directory, True, patient.asked.runs, (), now_ms)
    found = sorted(keys_found(seen), key=lambda one: not one.grave)
    if not found:
        return ok("others hold of this node's keys what it holds")
    more = f" (and {len(found) - 1} more: almenara key check --data DIR)" if len(found) > 1 else ""
    told = problem if found[0].grave else warning
    return told(f"{found[0].message}{more}", found[0].fix)


def sealing_keys_are_ahead(patient: Patient) -> Finding:
    """Others can seal to this state for days to come, and what they seal can be opened here."""
    if not patient.is_node:
        return ok("a coordinator has no sealing keys")
    held = patient.directory.documents.prekeys.get(patient.owner.party)
    if held is None:
        return problem(
            "this state has published no sealing keys", "Start the node: it publishes them itself."
        )
    keys = held.document.keys
    now = [key for key in keys if key.use_until_ms > patient.now_ms]
    days = {path.stem for path in patient.place.day_keys.glob("*.key")}
    if describe(read_secret(patient.place.opening_key)).protection.uri is not None:
        # They are in a token, which is not opened to look: a PIN is for the services.
        days = {day_of(key.use_from_ms) for key in now}
    with patient.database() as db:
        lost = [
            key for key in now if find_prekey(db, key.key_id) is None or day_of(key.use_from_ms) not in days
        ]
    if lost:
        return problem(
            f"the secret halves of {len(lost)} published sealing keys are not here: what is sealed to them "
            "cannot be opened",
            "If the place was restored, follow deploy/runbooks/restore-a-node.md.",
        )
    ahead = (keys[-1].use_until_ms - patient.now_ms) // DAY_MS
    if ahead < 0:
        return problem(
            "the last published sealing key has ended", "Start the node: it publishes new ones itself."
        )
    if ahead < FEW_DAYS:
        return warning(
            f"sealing keys are published for {ahead} more days", "Let the node reach its coordinator."
        )
    return ok(f"sealing keys are published for {ahead} more days")


def witnesses_are_at_work(patient: Patient) -> Finding:
    """A quorum has cosigned the ledger lately."""
    if patient.is_node:
        with patient.database() as db:
            row = newest_checkpoint(db, Log.ACK)
            at_ms = None if row is None else row.witnessed_ms
    else:
        at_ms = patient.witnessed_ms(Log.ACK)
    if at_ms is None:
        return note("no checkpoint of the ledger was witnessed yet", "Normal before the first notice.")
    if patient.now_ms - at_ms > STALE_MS:
        return note(
            f"the newest witnessed checkpoint is of {format_utc(at_ms)}",
            "Normal if nothing was said since. Otherwise see who is silent: almenara ledger watch --once "
            "--data DIR "
            "--token-file TOKEN",
        )
    return ok(f"a quorum cosigned the ledger at {format_utc(at_ms)}")


def _judged(patient: Patient, dates: dict[str, int], fix: str) -> Finding:
    """Return how near the nearest end is."""
    what, end_ms = min(dates.items(), key=lambda pair: pair[1])
    said = f"{what} ends at {format_utc(end_ms)}"
    left = end_ms - patient.now_ms
    if left <= 0:
        return problem(f"{what} ended at {format_utc(end_ms)}", fix)
    if left < SOON_MS:
        return (problem if left < VERY_SOON_MS else warning)(f"{said}, in {left // DAY_MS} days", fix)
    return ok(f"{said}, in {left // DAY_MS} days, and nothing sooner")
