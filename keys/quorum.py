"""Which logs and witnesses count, by the trusted directory, and whether enough of them signed a checkpoint.

The witnesses of a community are its active states; one whose manifest is not in force cannot sign,
and still counts. Of n witnesses, at most f = ⌊(n-1)/3⌋ may lie, and q = ⌊(n+f)/2⌋+1 make a quorum: any
two quorums share a witness that does not lie. Both signature types are asked for everywhere. The same
rules as a C2SP ``tlog-policy`` file: :func:`policy_text`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from keys.note_keys import log_keys_of, verify_signature, witness_keys_of
from keys.roster import Roster
from protocol.documents import StateStatus
from protocol.errors import BadSignature, ThresholdNotMet, UnknownSigner
from protocol.ledger.checkpoint import SignedCheckpoint
from protocol.ledger.note import NoteSignature, VerifierKey
from protocol.ledger.origins import Log
from protocol.ledger.policy import NONE, Policy, PolicyGroup, PolicyLog, PolicyWitness, format_policy

KeyPair = tuple[VerifierKey, VerifierKey]
"""The Ed25519 and the ML-DSA-44 key of one log or witness; both must have signed."""

STATES = "states"
"""The name of the group of all witnesses in the policy file."""


@dataclass(frozen=True, slots=True)
class Quorum:
    """Who must have signed a checkpoint of one log.

    Attributes:
        log: The log's own keys.
        witnesses: Each witness's keys, by the code of its state.
        needed: How many witnesses make a quorum; it may be more than are known here.
    """

    log: KeyPair
    witnesses: Mapping[str, KeyPair]
    needed: int

    def require_log(self, signed: SignedCheckpoint) -> None:
        """Return only if this log signed the checkpoint with both its keys.

        Raises:
            UnknownSigner: it is another log's checkpoint.
            BadSignature: a signature is missing or wrong.
        """
        wanted = self.log[0].name
        if signed.checkpoint.origin != wanted:
            raise UnknownSigner(f"the checkpoint is of the log {signed.checkpoint.origin}, not of {wanted}")
        signatures = _by_signer(signed)
        for key in self.log:
            if _seconds(key, signed, signatures) is None:
                raise BadSignature(f"the checkpoint is not signed with the log's {key.type.name} key")

    def cosigned(self, signed: SignedCheckpoint) -> dict[str, int]:
        """Return which states cosigned with both their keys, and when, seconds UTC: the later of the two.

        Signatures by unknown keys are passed over (C2SP signed-note).

        Raises:
            BadSignature: a signature in the name of a known key does not verify.
        """
        found: dict[str, int] = {}
        signatures = _by_signer(signed)
        for state, keys in self.witnesses.items():
            times = [_seconds(key, signed, signatures) for key in keys]
            seconds = [time for time in times if time is not None]
            if len(seconds) == len(keys):
                found[state] = max(seconds)
        return found

    def time_of(self, cosigned: Mapping[str, int]) -> int | None:
        """Return when a quorum had cosigned, seconds UTC, or None if too few have.

        It is the time of the witness that made the quorum full: fewer than a quorum of lying
        witnesses cannot make a checkpoint look older than it is.
        """
        times = sorted(cosigned.values())
        return times[self.needed - 1] if len(times) >= self.needed else None

    def require(self, signed: SignedCheckpoint) -> dict[str, int]:
        """Return who cosigned, and when, if log and quorum both signed.

        Raises:
            UnknownSigner, BadSignature: as :meth:`require_log` and :meth:`cosigned`.
            ThresholdNotMet: too few witnesses cosigned.
        """
        self.require_log(signed)
        cosigned = self.cosigned(signed)
        if self.time_of(cosigned) is None:
            raise ThresholdNotMet(
                f"{len(cosigned)} of {len(self.witnesses)} witnesses cosigned checkpoint "
                f"{signed.checkpoint.size} of {signed.checkpoint.origin}; {self.needed} are needed",
                hint="Wait until more nodes are connected, then ask for a newer checkpoint.",
            )
        return cosigned


def quorum_of(roster: Roster, coordinator: str, log: Log) -> Quorum:
    """Return who must have signed a coordinator's log, by the documents trusted now.

    Raises:
        UnknownState: the directory lists no such coordinator.
        VersionGap: there is no directory yet.
    """
    return Quorum(
        log=log_keys_of(roster.coordinator(coordinator).log, log),
        witnesses=_witnesses(roster),
        # Of all active states: nobody makes a quorum smaller by leaving a state's manifest out.
        needed=quorum_size(active_states(roster)),
    )


def active_states(roster: Roster) -> int:
    """Return how many active states the directory lists, whether their manifests are at hand or not."""
    return sum(entry.status is StateStatus.ACTIVE for entry in roster.states())


def quorum_size(witnesses: int) -> int:
    """Return how many of so many witnesses make a quorum; of none, one, which cannot be had."""
    faulty = max(witnesses - 1, 0) // 3
    return (witnesses + faulty) // 2 + 1


def policy_text(roster: Roster, coordinator: str, log: Log) -> str:
    """Return the ``tlog-policy`` file for one log of a coordinator, by the documents trusted now.

    Such a file accepts either of a log's two signatures; whoever follows ``spec/ledger.md`` asks for both. It
    cannot ask for more witnesses than it names: where a quorum cannot be had, it asks for all of them.

    Raises:
        UnknownState, VersionGap: as :func:`quorum_of`.
    """
    quorum = quorum_of(roster, coordinator, log)
    witnesses: list[PolicyWitness] = []
    groups: list[PolicyGroup] = []
    for state, (plain, quantum_safe) in quorum.witnesses.items():
        both = (PolicyWitness(f"{state}/ed25519", plain), PolicyWitness(f"{state}/mldsa44", quantum_safe))
        witnesses += both
        groups.append(PolicyGroup(state, len(both), tuple(one.name for one in both)))
    if groups:
        threshold = min(quorum.needed, len(quorum.witnesses))
        groups.append(PolicyGroup(STATES, threshold, tuple(quorum.witnesses)))
    return format_policy(
        Policy(
            logs=tuple(PolicyLog(key) for key in quorum.log),
            witnesses=tuple(witnesses),
            groups=tuple(groups),
            quorum=STATES if groups else NONE,
        )
    )


def _witnesses(roster: Roster) -> dict[str, KeyPair]:
    active = [entry.code for entry in roster.states() if entry.status is StateStatus.ACTIVE]
    manifests = {code: roster.documents.manifest(code) for code in active}
    return {code: witness_keys_of(held.witness) for code, held in manifests.items() if held is not None}


def _by_signer(signed: SignedCheckpoint) -> dict[tuple[str, bytes], list[NoteSignature]]:
    """Return a note's signatures by name and id of their keys: of many witnesses, each is looked for."""
    found: dict[tuple[str, bytes], list[NoteSignature]] = {}
    for one in signed.note.signatures:
        found.setdefault((one.name, one.key_id), []).append(one)
    return found


def _seconds(
    key: VerifierKey, signed: SignedCheckpoint, signatures: Mapping[tuple[str, bytes], list[NoteSignature]]
) -> int | None:
    """Return the time of a key's verified signature, or None if it did not sign."""
    mine = signatures.get((key.name, key.key_id), ())
    return max((verify_signature(key, signed.checkpoint, one) for one in mine), default=None)
