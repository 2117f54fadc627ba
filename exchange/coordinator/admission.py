"""May this be relayed? The coordinator's judgement of what a node brings; nothing is stored here.

Each request is judged in two steps, with a look into the store between them: reading is cheap and
tells the id; what is stored under that id already is answered again without being judged anew, so
that repeating a request is safe even after a notice has expired or a key was withdrawn.
"""

from __future__ import annotations

from dataclasses import dataclass

from exchange.clock import Clock
from exchange.coordinator.budget import DOCUMENT_ALLOWANCE, Budgets
from exchange.stores.contract import NewStatement, StoredEnvelope
from keys.authenticity import (
    UnverifiedSubmission,
    VerifiedSubmission,
    check_submission,
    read_submission,
)
from keys.evidence import check_statement
from keys.roster import Roster
from keys.signer import Claim, Verifier, claimed
from protocol.documents import Role
from protocol.errors import AlmenaraError, NotAddressed, OverQuota, UnknownSigner
from protocol.notice import Header
from protocol.signed import Context
from protocol.statement import (
    SIGNER_ROLE,
    SignedStatement,
    Statement,
    StatementKind,
    parse_statement,
    statement_id,
)
from protocol.urgency import relay_priority

MOST_STATEMENTS = 64
"""What one party may say about one envelope: its receipt, and several officers changing their minds."""

URGENT_PRIORITY = 1
"""Up to this place in the order of relay an envelope goes before others: points 4 and 5 of the scale."""

SOON_MS = 60 * 60 * 1000
"""So does one that asks for an answer within so many milliseconds of its making."""

BY_SENDER = frozenset({StatementKind.WITHDRAWN, StatementKind.SUPERSEDED})
BY_COORDINATOR = frozenset(kind for kind, role in SIGNER_ROLE.items() if role is Role.COORDINATOR)


@dataclass(frozen=True, slots=True)
class UnverifiedStatement:
    """A well-formed statement by the state whose session it came on; its signature is not checked."""

    id: bytes
    signed: SignedStatement
    statement: Statement
    data: bytes


class Admission:
    """The rules, with what they look at.

    Args:
        directory: Who is a member, with which keys.
        verifier: Checks signatures.
        budgets: What each member may cost.
        clock: Its time of day is compared with what is signed, its monotonic time fills budgets.
        statements: What each member's statements may cost, if not the same.
    """

    def __init__(
        self,
        directory: Roster,
        verifier: Verifier,
        budgets: Budgets,
        clock: Clock,
        *,
        statements: Budgets | None = None,
    ) -> None:
        self._directory = directory
        self._verifier = verifier
        self._budgets = budgets
        self._statement_budgets = statements or budgets
        self._document_budgets = Budgets(DOCUMENT_ALLOWANCE)
        self._clock = clock

    def charge(self, party: str, size: int) -> None:
        """Take one request of ``size`` bytes from a party's budget.

        Raises:
            OverQuota: its budget is used up.
        """
        self._budgets.charge(party, size, self._clock.monotonic())

    def charge_document(self, party: str, size: int) -> None:
        """Take one document of ``size`` bytes from a party's budgets.

        Raises:
            OverQuota: one of them is used up.
        """
        self.charge(party, size)
        self._document_budgets.charge(party, size, self._clock.monotonic())

    def read_submission(self, party: str, data: bytes) -> UnverifiedSubmission:
        """Charge the party, and parse what it brought.

        Raises:
            OverQuota: its budget is used up.
            FormatError, UnknownSigner: as :func:`keys.authenticity.read_submission`.
        """
        self.charge(party, len(data))
        return read_submission(data, party)

    def admit_submission(self, unverified: UnverifiedSubmission) -> VerifiedSubmission:
        """Return an envelope that may be relayed.

        Raises:
            TrustError, NoticeRefused: as :func:`keys.authenticity.check_submission`.
        """
        return check_submission(self._directory, self._verifier, unverified, self._clock.now_ms())

    def read_statement(self, party: str, data: bytes) -> UnverifiedStatement:
        """Charge the party, and parse what it brought.

        Raises:
            OverQuota: its budget is used up.
            FormatError: it is not a well-formed statement.
            UnknownSigner: it is another party's, or one that only coordinators make.
        """
        self._statement_budgets.charge(party, len(data), self._clock.monotonic())
        signed, statement = parse_statement(data)
        if statement.party != party:
            raise UnknownSigner(f"{party} brought a statement of {statement.party}")
        if statement.kind in BY_COORDINATOR:
            raise UnknownSigner(f"{party} may not say {statement.kind.name}: only a coordinator may")
        return UnverifiedStatement(statement_id(signed.body), signed, statement, data)

    def claim_of(self, unverified: UnverifiedSubmission | UnverifiedStatement) -> Claim | None:
        """Return the claim whose signature must be checked, if a check of it would be news.

        Nothing is judged here: a key that does not count, or a proof that is none, has no claim.
        """
        try:
            if isinstance(unverified, UnverifiedStatement):
                said, proof = unverified.statement, unverified.signed.proof
                if self._verifier.has_met(proof.signature):
                    return None
                role, knew = SIGNER_ROLE[said.kind], said.directory.version
                key = self._directory.signer_key(said.party, said.key_id, role, said.at_ms, knew=knew)
                return claimed(key, role, Context.STATEMENT, unverified.signed.body, proof)
            header, submission = unverified.sealed.header, unverified.submission
            if self._verifier.has_met(submission.proof.signature):
                return None
            now_ms = self._clock.now_ms()
            key = self._directory.signer_key(header.sender, header.key_id, Role.NODE, now_ms)
            return claimed(key, Role.NODE, Context.NOTICE, submission.manifest, submission.proof)
        except AlmenaraError:
            return None

    def admit_statement(
        self, unverified: UnverifiedStatement, envelope: StoredEnvelope | None, *, also: int = 0
    ) -> NewStatement:
        """Return a statement that may be recorded.

        Args:
            unverified: The parsed statement.
            envelope: The envelope it speaks of, or None if there is none of that id here.
            also: How many statements of this party about it are about to be recorded.

        Raises:
            NotAddressed: there is no such envelope here, or it gives this party nothing to say.
            OverQuota: this party has said more about the envelope than anybody needs to.
            KeyRevoked: its key is revoked, whatever time the statement states.
            TrustError, ClockSkew: as :func:`keys.evidence.check_statement`.
        """
        statement = unverified.statement
        mail_to = _listeners(statement, envelope)
        if envelope is not None and envelope.spoken.get(statement.party, 0) + also >= MOST_STATEMENTS:
            raise OverQuota(f"{statement.party} has made {MOST_STATEMENTS} statements about one envelope")
        now_ms = self._clock.now_ms()
        # Its place in the ledger would be behind the revocation, whatever time it states.
        self._directory.require_unrevoked(statement.party, statement.key_id)
        check_statement(self._directory, self._verifier, unverified.signed, statement, now_ms)
        return NewStatement(
            id=unverified.id,
            envelope=statement.envelope,
            party=statement.party,
            kind=statement.kind,
            at_ms=statement.at_ms,
            received_ms=now_ms,
            data=unverified.data,
            mail_to=mail_to,
        )


def is_urgent(header: Header) -> bool:
    """Whether an envelope goes before others: by its severity on the reference scale, or its deadline."""
    soon = header.respond_by_ms is not None and header.respond_by_ms - header.created_ms <= SOON_MS
    return soon or relay_priority(header.severity.point) <= URGENT_PRIORITY


def _listeners(statement: Statement, envelope: StoredEnvelope | None) -> tuple[str, ...]:
    """Return to whom a statement is passed on; refuse it if this party has no say in the envelope.

    Whether the envelope exists is not told to those whom it does not concern.
    """
    if envelope is not None:
        if statement.kind in BY_SENDER and statement.party == envelope.sender:
            return envelope.recipients
        if statement.kind not in BY_SENDER and statement.party in envelope.recipients:
            return (envelope.sender,)
    raise NotAddressed(f"{statement.party} has no say in the envelope that its statement names")
