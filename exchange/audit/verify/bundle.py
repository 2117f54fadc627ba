"""Is this bundle what it says? From the pinned root hash alone, with no network, clock, disk or settings.

The order is the one of ``spec/bundle.md``: names and sizes, trust documents, checkpoints, then every
leaf once, then every notice. What is wrong is recorded and the reading goes on, so that one flipped
byte is named where it is. The same bytes give the same verdict everywhere.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from exchange.audit.verdict import (
    CommunityView,
    CoordinatorView,
    Grade,
    KeyEvent,
    MilestoneView,
    NoticeEvidence,
    Outcome,
    RangeView,
    SignaturesView,
    Verdict,
)
from exchange.audit.verify.chains import Chains
from exchange.audit.verify.checkpoints import Judged, Milestones, judge_newest, read_checkpoint, view
from exchange.audit.verify.clock import WitnessClock, Witnessed
from exchange.audit.verify.disclosure import Disclosures
from exchange.audit.verify.documents import DirectoryLog
from exchange.audit.verify.doubts import Doubtful, Doubts
from exchange.audit.verify.events import Events
from exchange.audit.verify.judge import Judge, Sample
from exchange.audit.verify.ledger import Ledger, Progress, leaves_again
from exchange.audit.verify.notices import NoticeAudit
from exchange.audit.verify.parts import Parts, Source, read_listing
from exchange.audit.verify.record import MISSING, Place, Record
from exchange.audit.verify.tree import StoredTree
from keys.quorum import policy_text, quorum_of
from keys.signer import Verifier
from protocol.errors import AlmenaraError, UnknownState
from protocol.ledger.bundle import LIST_NAME, README_NAME, Listing, policy_name
from protocol.ledger.checkpoint import SignedCheckpoint
from protocol.ledger.origins import Log
from protocol.text import format_utc

NOTICES_LISTED = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How an audit is done.

    Attributes:
        sample: About how many statements' signatures to verify; None for all of them.
        disclosures: Disclosure files, as bytes.
        notices_listed: How many evidence trees the result holds.
        progress: Told how many leaves of how many were read.
    """

    sample: int | None = None
    disclosures: Sequence[bytes] = ()
    notices_listed: int = NOTICES_LISTED
    progress: Progress = lambda done, total: None


def verify_bundle(source: Source, pinned_root_hash: bytes, options: Options | None = None) -> Verdict:
    """Return the verdict on a bundle.

    Args:
        source: The bundle's files.
        pinned_root_hash: The 32-byte hash of the community's first root document, from the ceremony.
        options: How to do it.

    Raises:
        BadRequest: this is no bundle at all.
    """
    return _Audit(source, pinned_root_hash, options or Options()).run()


class _Audit:
    """One run; what is known so far is what the verdict says."""

    def __init__(self, source: Source, pinned: bytes, options: Options) -> None:
        self._source = source
        self._pinned = pinned
        self._options = options
        self._record = Record()
        self._events = Events()
        self._disclosures = Disclosures(options.disclosures, self._record)
        self._listing: Listing | None = None
        self._documents: DirectoryLog | None = None
        self._checkpoints: dict[Log, tuple[SignedCheckpoint, Judged]] = {}
        self._judge: Judge | None = None
        self._ledger: Ledger | None = None
        self._clock = WitnessClock(())
        self._doubtful = Doubtful()
        self._notices: tuple[NoticeEvidence, ...] = ()
        self._audit: NoticeAudit | None = None

    def run(self) -> Verdict:
        listing = self._listing = read_listing(self._source, self._record)
        if listing is None:
            return self._verdict()
        parts = Parts(self._source, listing, self._record)
        if listing.community != self._pinned:
            sentence = f"this bundle is of the community {listing.community.hex()}, not of the pinned one"
            self._record.failed("documents", "wrong-community", sentence, Place(LIST_NAME))
        elif parts.check_names():
            self._verify(parts)
        return self._verdict()

    def _verify(self, parts: Parts) -> None:
        verifier = Verifier()
        # For people alone, and yet a part: an altered one says that somebody was here.
        parts.read(README_NAME)
        documents = self._documents = DirectoryLog(parts, self._pinned, verifier, self._record)
        documents.verify()
        try:
            entry = documents.final.coordinator(parts.listing.coordinator)
        except (AlmenaraError, UnknownState) as error:
            self._record.failed("documents", "coordinator", error.message, Place(LIST_NAME))
            return
        self._check_policies(parts, documents)
        self._check_directory(parts, documents)
        signed = read_checkpoint(parts, Log.ACK, parts.listing.leaves, self._record)
        if signed is not None:
            self._read(parts, documents, signed, verifier, entry.log.name)

    def _check_policies(self, parts: Parts, documents: DirectoryLog) -> None:
        for log in Log:
            name = policy_name(log)
            data = parts.read(name)
            if data is None:
                self._record.left_out("policies")
            elif data == policy_text(documents.final, parts.listing.coordinator, log).encode():
                self._record.passed("policies")
            else:
                sentence = f"{name} does not name the log and the witnesses that the documents name"
                self._record.failed("policies", "policy", sentence, Place(name))

    def _check_directory(self, parts: Parts, documents: DirectoryLog) -> None:
        signed = read_checkpoint(parts, Log.DIRECTORY, parts.listing.documents, self._record)
        if signed is None:
            return
        quorum = quorum_of(documents.final, parts.listing.coordinator, Log.DIRECTORY)
        judged = judge_newest(signed, Log.DIRECTORY, [quorum], documents.tree, self._record)
        if judged is not None:
            self._checkpoints[Log.DIRECTORY] = (signed, judged)

    def _read(
        self,
        parts: Parts,
        documents: DirectoryLog,
        signed: SignedCheckpoint,
        verifier: Verifier,
        log_name: str,
    ) -> None:
        listing, record = parts.listing, self._record
        tree = StoredTree(leaves_again(parts))
        root, total = signed.checkpoint.root, listing.leaves
        chains = Chains(record, complete=listing.member is None, from_start=listing.bodies_from == 0)
        doubts = Doubts(documents.final.documents, record)
        judge = self._judge = Judge(
            documents,
            tree,
            coordinator=listing.coordinator,
            log_name=log_name,
            verifier=verifier,
            sample=Sample(root, self._options.sample, total),
            chains=chains,
            events=self._events,
            disclosures=self._disclosures,
            doubts=doubts,
            record=record,
        )
        milestones = Milestones(parts, tree, record)
        ledger = self._ledger = Ledger(parts, tree, judge, milestones, record, self._options.progress)
        if not ledger.read():
            return
        chains.finish()
        judged = judge_newest(signed, Log.ACK, judge.quorums(), tree, record)
        witnessed = list(milestones.witnessed)
        if judged is not None:
            self._checkpoints[Log.ACK] = (signed, judged)
            if judged.seconds is not None:
                newest = Witnessed(total, judged.seconds * 1000)
                ledger.bracket(newest)
                witnessed = [one for one in witnessed if one.size < total] + [newest]
        self._clock = WitnessClock(witnessed)
        if not witnessed:
            record.left_out("times", total)
        self._judge_notices(listing, ledger, doubts.decide(self._clock))

    def _judge_notices(self, listing: Listing, ledger: Ledger, doubtful: Doubtful) -> None:
        self._doubtful = doubtful
        audit = self._audit = NoticeAudit(
            ledger.times,
            self._clock,
            self._record,
            complete_from=listing.bodies_from,
            member=listing.member,
            listed=self._options.notices_listed,
            doubtful=doubtful,
        )
        self._notices = audit.judge(self._events)

    # The verdict.

    def _verdict(self) -> Verdict:
        disclosed = self._disclosures.finish()
        outcome = self._record.outcome
        checkpoints = {
            log: view(log, signed, judged, self._names())
            for log, (signed, judged) in self._checkpoints.items()
        }
        audit, ledger = self._audit, self._ledger
        return Verdict(
            verdict=outcome,
            sentence=self._sentence(outcome),
            checks=self._record.checks(),
            findings=self._record.findings(),
            community=CommunityView(self._pinned.hex(), self._community_name()),
            coordinator=self._coordinator(),
            range=self._range(),
            checkpoint=checkpoints.get(Log.ACK),
            directory_checkpoint=checkpoints.get(Log.DIRECTORY),
            milestones=tuple(MilestoneView(one.size, one.quorum_ms) for one in self._clock.witnessed),
            keys=self._keys(),
            signatures=self._signatures(),
            statistics=audit.figures.statistics(self._names(), ledger.kinds) if audit and ledger else None,
            notices=self._notices,
            notices_left_out=audit.left_out if audit else 0,
            disclosed=disclosed,
        )

    def _sentence(self, outcome: Outcome) -> str:
        findings, checks = self._record.findings(), self._record.checks()
        if outcome is Outcome.FAILED:
            failed = sum(check.failed for check in checks)
            broken = [one for one in findings if one.severity is Grade.FAILED]
            if broken[0].code == MISSING:
                lacking = sum(1 + one.more for one in broken if one.code == MISSING)
                return (
                    f"FAILED: this copy of the bundle is not whole, {lacking} of its files are missing, "
                    f"first {broken[0].where}; {failed} thing(s) are wrong with it"
                )
            # A file that was altered says less than the leaf that was.
            first = next((one for one in broken if one.leaf is not None), broken[0])
            return f"FAILED: {failed} thing(s) are wrong, first at {first.where}: {first.sentence}"
        listing = self._listing
        assert listing is not None  # noqa: S101 - without a list the outcome is FAILED
        bodies = self._ledger.bodies if self._ledger else 0
        judge = self._judge
        sampled = judge is not None and judge.statements.checked < judge.statements.total
        return (
            f"OK: {listing.leaves} leaves and {listing.documents} documents follow from the pinned root "
            f"hash, with {bodies} statements, signatures {'by sample' if sampled else 'all verified'}, "
            f"as of {format_utc(self._clock.end_ms or 0)}{self._doubts()}"
        )

    def _doubts(self) -> str:
        statements, notices = len(self._doubtful.statements), len(self._doubtful.notices)
        if not statements and not notices:
            return ""
        return f"; {statements} statement(s) and {notices} notice(s) are by compromised keys, and doubtful"

    def _names(self) -> dict[str, str]:
        return {entry.code: entry.name for entry in self._documents.final.states()} if self._documents else {}

    def _community_name(self) -> str:
        held = self._documents.final.documents.root if self._documents else None
        return held.document.name if held else ""

    def _coordinator(self) -> CoordinatorView | None:
        if self._listing is None or self._documents is None:
            return None
        code = self._listing.coordinator
        names = {entry.code: entry.name for entry in self._documents.final.coordinators()}
        return CoordinatorView(code, names[code]) if code in names else None

    def _range(self) -> RangeView | None:
        listing, ledger = self._listing, self._ledger
        if listing is None:
            return None
        times = ledger.times if ledger else ()
        first = ledger.first_body if ledger else None
        return RangeView(
            leaves=listing.leaves,
            documents=listing.documents,
            bodies=ledger.bodies if ledger else 0,
            bodies_from=listing.bodies_from,
            member=listing.member,
            first_ms=times[first] if first is not None else None,
            last_ms=times[-1] if times else None,
        )

    def _keys(self) -> tuple[KeyEvent, ...]:
        if self._documents is None:
            return ()
        advances = self._judge.advances if self._judge else []
        sizes = [size for _, size in advances]
        found: list[KeyEvent] = []
        for event in self._documents.events:
            # The first DIRECTORY statement that counts this document, and so everything after it.
            at = bisect_left(sizes, event.document + 1)
            found.append(replace(event, leaf=advances[at][0] if at < len(advances) else None))
        return tuple(found)

    def _signatures(self) -> SignaturesView | None:
        if self._judge is None:
            return None
        statements, notices = self._judge.statements, self._judge.notices
        return SignaturesView(
            mode="full" if self._options.sample is None else "sample",
            statements=statements.total,
            statements_checked=statements.checked,
            notices=notices.total,
            notices_checked=notices.checked,
        )
