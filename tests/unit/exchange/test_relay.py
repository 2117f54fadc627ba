"""Accepted means stored: rounds, repeated requests, the coordinator's own chain, and failing disks."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from pathlib import Path

import pytest

from exchange.coordinator.admission import MOST_STATEMENTS
from exchange.coordinator.budget import Allowance
from exchange.coordinator.relay import PENALTY_SECONDS
from exchange.coordinator.waiting import Waiting
from exchange.stores.contract import ChainHead, CoordinatorStore, Entry, Known
from exchange.stores.coordinator_sqlite import SqliteCoordinatorStore
from exchange.stores.turn_sqlite import Counts, SqliteTurn
from keys.authenticity import UnverifiedSubmission, VerifiedSubmission
from keys.evidence import verify_statement
from protocol.envelope import parse_delivery
from protocol.errors import OutcomeUnknown, PeerCode, StoreFailed
from protocol.notice import DEFAULT_LIFE_MS
from protocol.session.messages import Accepted, Refused
from protocol.statement import CHAIN_START, Statement, StatementKind, parse_statement, statement_id
from tests.community import HUB, community
from tests.coordinators import Inside, beside, inside
from tests.envelopes import id_of, said, sent

EVERYONE = community()
PLENTY = 2**30


def promise(answer: object) -> Statement:
    """Return the RELAYED statement of an answer, verified as a node verifies it."""
    assert isinstance(answer, Accepted)
    assert answer.statement is not None
    return verify_statement(EVERYONE.directory(), EVERYONE.verifier, answer.statement, EVERYONE.now_ms)


async def own_statements(store: CoordinatorStore) -> list[tuple[Statement, bytes]]:
    """Return the coordinator's own statements in order, each with its id."""
    parsed = [parse_statement(data) for data in await store.statements(0, 1000)]
    return [(one, statement_id(signed.body)) for signed, one in parsed if one.party == HUB]


async def require_one_chain(store: CoordinatorStore) -> int:
    """Check that the coordinator's statements form one chain without gaps, and return its length."""
    previous, expected = CHAIN_START, 1
    for one, name in await own_statements(store):
        assert (one.sequence, one.previous) == (expected, previous)
        previous, expected = name, expected + 1
    return expected - 1


async def test_a_notice_is_answered_with_a_promise_and_lies_in_every_mailbox(tmp_path: Path) -> None:
    """The promise verifies offline; both recipients are woken and have their delivery."""
    async with inside(tmp_path) as here:
        one = sent(EVERYONE)
        answer = await here.ask("XAA", one)
        told = promise(answer)
        assert (told.kind, told.envelope, told.party) == (StatementKind.RELAYED, id_of(one), HUB)
        assert here.woken == ["XBB", "XCC"]
        for recipient in ("XBB", "XCC"):
            (item,) = await here.store.mail(recipient, 0, limit=9, max_bytes=PLENTY)
            assert parse_delivery(item.content)[1].id == id_of(one)


async def test_requests_that_wait_share_a_round_and_a_signature(tmp_path: Path) -> None:
    """Twenty at once are chained in order; they cost fewer signatures than notices."""
    async with inside(tmp_path) as here:
        answers = await asyncio.gather(*(here.ask("XAA", sent(EVERYONE)) for _ in range(20)))
        assert sorted(promise(answer).sequence for answer in answers) == list(range(1, 21))
        proofs = [parse_statement(data)[0].proof for data in await here.store.statements(0, 99)]
        assert len({proof.signature for proof in proofs}) < 20
        assert await require_one_chain(here.store) == 20


async def test_a_repeated_notice_is_answered_the_same_and_stored_once(tmp_path: Path) -> None:
    """Also together with itself, and after its own expiry: repeating is always safe."""
    async with inside(tmp_path) as here:
        one = sent(EVERYONE)
        first, second = await asyncio.gather(here.ask("XAA", one), here.ask("XAA", one))
        here.clock.advance(DEFAULT_LIFE_MS + 1)
        third = await here.ask("XAA", one)
        assert isinstance(first, Accepted)
        assert isinstance(second, Accepted)
        assert isinstance(third, Accepted)
        assert first.statement == second.statement == third.statement
        assert first.index == second.index == third.index
        assert (await here.store.cursor("XBB")).head == 1


async def test_a_known_notice_is_not_told_to_another_member(tmp_path: Path) -> None:
    """Only its sender gets the answer again."""
    async with inside(tmp_path) as here:
        one = sent(EVERYONE)
        await here.ask("XAA", one)
        answer = await here.ask("XBB", one)
        assert isinstance(answer, Refused)
        assert answer.code is PeerCode.NOT_TRUSTED


async def test_statements_are_mailed_to_the_sender_once(tmp_path: Path) -> None:
    """Repeating one gets its index again."""
    async with inside(tmp_path) as here:
        one = sent(EVERYONE)
        await here.ask("XAA", one)
        made = said(EVERYONE, "XBB", StatementKind.RECEIVED, id_of(one))
        answers = [await here.ask("XBB", made.data) for _ in range(2)]
        assert [answer.index for answer in answers if isinstance(answer, Accepted)] == [1, 1]
        (item,) = await here.store.mail("XAA", 0, limit=9, max_bytes=PLENTY)
        assert item.content == made.data


async def test_the_senders_withdrawal_is_mailed_to_all_recipients(tmp_path: Path) -> None:
    """Whoever got the notice hears that it was withdrawn."""
    async with inside(tmp_path) as here:
        one = sent(EVERYONE)
        await here.ask("XAA", one)
        made = said(EVERYONE, "XAA", StatementKind.WITHDRAWN, id_of(one))
        assert isinstance(await here.ask("XAA", made.data), Accepted)
        for recipient in ("XBB", "XCC"):
            items = await here.store.mail(recipient, 1, limit=9, max_bytes=PLENTY)
            assert [item.content for item in items] == [made.data]


async def test_good_and_bad_requests_of_one_round_do_not_hurt_each_other(tmp_path: Path) -> None:
    """Each gets its own answer."""
    async with inside(tmp_path) as here:
        good, bad = here.bring("XAA", sent(EVERYONE)), here.bring("XBB", sent(EVERYONE))
        also = here.bring("XAA", sent(EVERYONE))
        assert isinstance(await asyncio.wait_for(good, 10), Accepted)
        assert isinstance(await asyncio.wait_for(bad, 10), Refused)
        assert isinstance(await asyncio.wait_for(also, 10), Accepted)


async def test_the_chain_goes_on_after_a_restart(tmp_path: Path) -> None:
    """A number used twice would look like a fork of the coordinator's word."""
    for _ in range(3):
        async with inside(tmp_path) as here:
            await here.ask("XAA", sent(EVERYONE))
            length = await require_one_chain(here.store)
    assert length == 3


class FailingTurn(SqliteTurn):
    """A turn whose commit fails if its store is told so."""

    def __init__(self, store: Failing, counts: Counts) -> None:
        super().__init__(store._engine, counts)
        self._store = store

    async def commit(self, entries: Sequence[Entry], chain: ChainHead | None) -> tuple[int, ...]:
        """Fail once if told to."""
        failure, self._store.fail = self._store.fail, None
        if failure is None or self._store.done_before:
            indexes = await super().commit(entries, chain)
        if failure is not None:
            raise failure
        return indexes


class Failing(SqliteCoordinatorStore):
    """A store whose next commit fails, before or after it was done."""

    def __init__(self, real: SqliteCoordinatorStore) -> None:
        super().__init__(real._engine)
        self.fail: Exception | None = None
        self.done_before = False
        self.fail_known: Exception | None = None

    def _begun(self, counts: Counts) -> SqliteTurn:
        """Return a turn that may fail."""
        return FailingTurn(self, counts)

    async def known(self, envelopes: Collection[bytes], statements: Collection[bytes]) -> Known:
        """Fail once if told to."""
        failure, self.fail_known = self.fail_known, None
        if failure is not None:
            raise failure
        return await super().known(envelopes, statements)


def failing(here: Inside) -> Failing:
    """Return the store of a coordinator that was opened with :class:`Failing`."""
    assert isinstance(here.store, Failing)
    return here.store


def unreliable(store: CoordinatorStore) -> CoordinatorStore:
    """Wrap a store."""
    assert isinstance(store, SqliteCoordinatorStore)
    return Failing(store)


@pytest.mark.parametrize("done_before", [False, True])
@pytest.mark.parametrize("failure", [StoreFailed("full"), OutcomeUnknown("half-way"), ValueError("a bug")])
async def test_after_a_failed_write_nothing_is_claimed_and_repeating_is_safe(
    tmp_path: Path, failure: Exception, done_before: bool
) -> None:
    """The node is asked to try again; the chain has neither a gap nor a number used twice."""
    async with inside(tmp_path, wrap=unreliable) as here:
        await here.ask("XAA", sent(EVERYONE))
        store = failing(here)
        store.fail, store.done_before = failure, done_before
        one = sent(EVERYONE)
        answer = await here.ask("XAA", one)
        assert isinstance(answer, Refused)
        assert answer.code is PeerCode.INTERNAL
        assert here.woken == ["XBB", "XCC"]
        again = await here.ask("XAA", one)
        assert promise(again).sequence == 2
        assert (await here.store.cursor("XBB")).head == 2
        # Something new, too: a number remembered from before the failure would now be used twice.
        assert promise(await here.ask("XAA", sent(EVERYONE))).sequence == 3
        assert await require_one_chain(here.store) == 3


async def test_a_store_that_cannot_be_read_refuses_the_round_once(tmp_path: Path) -> None:
    """What was refused already by its own fault is not answered twice."""
    async with inside(tmp_path, wrap=unreliable) as here:
        failing(here).fail_known = StoreFailed("unreadable")
        good, bad = here.bring("XAA", sent(EVERYONE)), here.bring("XBB", sent(EVERYONE))
        answers = [await asyncio.wait_for(one, 10) for one in (good, bad)]
        assert [one.code for one in answers if isinstance(one, Refused)] == [
            PeerCode.INTERNAL,
            PeerCode.NOT_TRUSTED,
        ]


async def test_what_expired_uncollected_is_said_to_the_sender_once(tmp_path: Path) -> None:
    """Silence of one recipient is a statement; the other had collected in time."""
    async with inside(tmp_path) as here:
        one = sent(EVERYONE)
        await here.ask("XAA", one)
        here.cursors.collected("XBB", 1)
        assert await here.sweeper.sweep() == 0
        here.clock.advance(DEFAULT_LIFE_MS)
        assert await here.sweeper.sweep() == 1
        assert await here.sweeper.sweep() == 0
        (item,) = await here.store.mail("XAA", 0, limit=9, max_bytes=PLENTY)
        told = verify_statement(EVERYONE.directory(), EVERYONE.verifier, item.content, here.clock.now_ms())
        assert (told.kind, told.about, told.code) == (StatementKind.UNDELIVERED, "XCC", "expired")
        assert (told.envelope, told.sequence) == (id_of(one), 2)
        assert await require_one_chain(here.store) == 2


async def test_many_expired_items_are_declared_in_several_rounds(tmp_path: Path) -> None:
    """More than one round holds; each is declared once."""
    async with inside(tmp_path) as here:
        await asyncio.gather(*(here.ask("XAA", sent(EVERYONE)) for _ in range(25)))
        here.clock.advance(DEFAULT_LIFE_MS)
        assert await here.sweeper.sweep() == 50
        assert await require_one_chain(here.store) == 75


async def test_documents_that_come_while_the_relay_judges_make_it_judge_again(tmp_path: Path) -> None:
    """Nothing is recorded that was judged by fewer documents than the log names before it."""
    async with inside(tmp_path) as here:
        judged: list[int] = []
        admit = here.admission.admit_submission

        def judging(unverified: UnverifiedSubmission) -> VerifiedSubmission:
            judged.append(here.following.held)
            return admit(unverified)

        here.admission.admit_submission = judging  # type: ignore[method-assign]
        # As if another process had accepted them just before the turn.
        await here.store.append_documents(EVERYONE.documents, EVERYONE.now_ms)
        one = sent(EVERYONE)
        assert promise(await here.ask("XAA", one)).envelope == id_of(one)
        assert judged == [0, len(EVERYONE.documents)]
        kinds = [statement.kind for statement, _ in await own_statements(here.store)]
        assert kinds == [StatementKind.DIRECTORY, StatementKind.RELAYED]


async def test_what_another_process_stored_meanwhile_is_answered_as_known(tmp_path: Path) -> None:
    """Two processes on one store, brought the same things at once: each is stored once, in one chain."""
    async with inside(tmp_path) as here, beside(here) as there:
        ones = [sent(EVERYONE) for _ in range(6)]
        answers = await asyncio.gather(*(place.ask("XAA", one) for one in ones for place in (here, there)))
        for first, second in zip(answers[::2], answers[1::2], strict=True):
            assert promise(first) == promise(second)
        assert await require_one_chain(here.store) == len(ones)
        made = said(EVERYONE, "XBB", StatementKind.RECEIVED, id_of(ones[0]))
        told = await asyncio.gather(*(place.ask("XBB", made.data) for place in (here, there)))
        assert {answer.index for answer in told if isinstance(answer, Accepted)} == {len(ones)}


async def test_what_another_process_declared_undelivered_is_not_declared_again(tmp_path: Path) -> None:
    """Two sweepers may find the same item at the same time."""
    async with inside(tmp_path) as here, beside(here) as there:
        await here.ask("XAA", sent(EVERYONE, to=("XBB",)))
        here.clock.advance(DEFAULT_LIFE_MS)
        await asyncio.gather(here.sweeper.sweep(), there.sweeper.sweep())
        kinds = [statement.kind for statement, _ in await own_statements(here.store)]
        assert kinds == [StatementKind.RELAYED, StatementKind.UNDELIVERED]
        assert await require_one_chain(here.store) == 2


async def test_a_statement_about_what_is_on_its_way_waits_for_it(tmp_path: Path) -> None:
    """A sender that withdraws at once need not wait for the answer to what it withdraws."""
    async with inside(tmp_path) as here:
        for _ in range(8):
            one = sent(EVERYONE)
            made = said(EVERYONE, "XAA", StatementKind.WITHDRAWN, id_of(one))
            told, gone = here.bring("XAA", one), here.bring("XAA", made.data)
            first, second = await asyncio.wait_for(told, 10), await asyncio.wait_for(gone, 10)
            assert isinstance(first, Accepted)
            assert isinstance(second, Accepted)
            assert first.index < second.index


async def test_a_burst_is_stored_in_few_rounds(tmp_path: Path) -> None:
    """Rounds grow while one is being written: hundreds of notices cost a handful of signatures."""
    async with inside(tmp_path) as here:
        ones = [sent(EVERYONE) for _ in range(100)]
        await asyncio.gather(*(here.ask("XAA", one) for one in ones))
        proofs = [parse_statement(data)[0].proof for data in await here.store.statements(0, 999)]
        assert len({proof.signature for proof in proofs}) <= 10
        assert await require_one_chain(here.store) == 100


async def test_what_one_member_brings_is_stored_in_its_order(tmp_path: Path) -> None:
    """Whatever shares its rounds, and however many they are."""
    async with inside(tmp_path) as here:
        ones = [sent(EVERYONE, to=("XBB",)) for _ in range(60)]
        others = [sent(EVERYONE, "XCC", ("XBB",)) for _ in range(60)]
        pairs = [("XAA", one) for one in ones] + [("XCC", one) for one in others]
        await asyncio.gather(*(here.ask(party, one) for party, one in pairs))
        items = await here.store.mail("XBB", 0, limit=200, max_bytes=PLENTY)
        came = [parse_delivery(item.content)[1].id for item in items]
        for mine in (ones, others):
            wanted = [id_of(one) for one in mine]
            assert [name for name in came if name in set(wanted)] == wanted


async def test_one_party_says_no_more_than_enough_about_one_envelope_in_one_round(tmp_path: Path) -> None:
    """What is about to be stored counts too."""
    async with inside(tmp_path) as here:
        one = sent(EVERYONE)
        await here.ask("XAA", one)
        many = [said(EVERYONE, "XBB", StatementKind.OPENED, id_of(one)) for _ in range(MOST_STATEMENTS + 5)]
        answers = await asyncio.gather(*(here.ask("XBB", made.data) for made in many))
        assert sum(isinstance(answer, Accepted) for answer in answers) == MOST_STATEMENTS


async def test_a_full_queue_refuses_for_now(tmp_path: Path) -> None:
    """With a code that lets the node keep what it brought."""
    async with inside(tmp_path) as here:
        # These are severe, for which there is a quarter more room.
        here.relay._waiting = Waiting(items=4)
        answers = await asyncio.gather(*(here.ask("XAA", sent(EVERYONE)) for _ in range(7)))
        assert [answer.code for answer in answers if isinstance(answer, Refused)] == [PeerCode.OVER_QUOTA] * 2


async def test_who_brings_too_much_is_answered_later(tmp_path: Path) -> None:
    """Its place in the window stays taken meanwhile, so a flood slows down by itself."""
    allowance = Allowance(items_per_second=0.001, items_at_once=1)
    async with inside(tmp_path, allowance=allowance) as here:
        assert isinstance(await here.ask("XAA", sent(EVERYONE)), Accepted)
        loop = asyncio.get_running_loop()
        began = loop.time()
        answer = await here.ask("XAA", sent(EVERYONE))
        assert isinstance(answer, Refused)
        assert answer.code is PeerCode.OVER_QUOTA
        assert loop.time() - began >= PENALTY_SECONDS * 0.9
