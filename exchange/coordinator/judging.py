"""Judging what was brought: what is stored is answered again, what may be stored joins the next round."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from exchange.coordinator.admission import Admission, UnverifiedStatement, is_urgent
from exchange.coordinator.round import Round, Ticket
from exchange.coordinator.verifying import Verifying
from exchange.coordinator.waiting import Brought
from exchange.stores.contract import CoordinatorStore, Known, StoredEnvelope, Turn
from protocol.errors import AlmenaraError, OverQuota
from protocol.session.messages import Refused, Submit

log = structlog.get_logger()


class Judge:
    """Reads, looks up and judges; stores nothing.

    Args:
        admission: The rules.
        verifying: Checks signatures beforehand.
    """

    def __init__(self, admission: Admission, verifying: Verifying) -> None:
        self._admission = admission
        self._verifying = verifying

    def read(self, brought: Brought) -> Ticket | None:
        """Charge for a request and parse it; None if it was refused for what it is.

        Raises:
            OverQuota: its party's budget is used up; it is not refused yet.
        """
        try:
            if isinstance(brought.request, Submit):
                submission = self._admission.read_submission(brought.party, brought.data)
                return Ticket(brought, submission, is_urgent(submission.sealed.header))
            return Ticket(brought, self._admission.read_statement(brought.party, brought.data))
        except OverQuota:
            raise
        except AlmenaraError as error:
            refuse(brought, error)
            return None

    async def warm(self, tickets: Sequence[Ticket]) -> None:
        """Check the signatures of many tickets beside each other; they are judged afterwards."""
        claims = (self._admission.claim_of(ticket.read) for ticket in tickets)
        await self._verifying.warm(claim for claim in claims if claim is not None)

    def judge(
        self,
        ticket: Ticket,
        envelope: StoredEnvelope | None,
        gathered: Round,
        documents: int,
        *,
        also: int = 0,
    ) -> None:
        """Add what a ticket brings to a round, or refuse it.

        Args:
            ticket: Something that is not stored yet.
            envelope: What its statement speaks of, if that is stored.
            gathered: The round.
            documents: How many documents it is judged by.
            also: How many statements of its party about that envelope are about to be stored.
        """
        try:
            if isinstance(ticket.read, UnverifiedStatement):
                statement = self._admission.admit_statement(ticket.read, envelope, also=also)
                gathered.add(ticket, statement, documents)
            else:
                gathered.add(ticket, self._admission.admit_submission(ticket.read), documents)
        except AlmenaraError as error:
            refuse(ticket.brought, error)


async def known_of(where: CoordinatorStore | Turn, tickets: Sequence[Ticket]) -> Known:
    """Return what is stored of all that these tickets bring or speak of."""
    statements = [ticket.id for ticket in tickets if isinstance(ticket.read, UnverifiedStatement)]
    return await where.known({ticket.envelope: None for ticket in tickets}, statements)


def refuse(brought: Brought, error: AlmenaraError) -> None:
    """Answer a request with the error's code."""
    brought.reply(refusal(brought.party, brought.request.ref, error))


def refusal(party: str, ref: int, error: AlmenaraError) -> Refused:
    """Return the answer that tells a node the error's code, and log which error it was."""
    # A flood must not fill the log as well.
    say = log.debug if isinstance(error, OverQuota) else log.warning
    say("request.refused", state=party, code=error.code, peer_code=error.peer_code.value)
    return Refused(ref=ref, code=error.peer_code)
