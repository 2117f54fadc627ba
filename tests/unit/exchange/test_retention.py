"""Content goes a day after it has expired and nobody is owed it; evidence stays for ever."""

from __future__ import annotations

import asyncio

from exchange.stores.contract import CONTENT_GRACE_MS, MailPlace, NewEnvelope
from protocol.ledger.origins import Log
from protocol.statement import StatementKind
from tests.community import HUB, community
from tests.stores import Store, Stores
from tests.unit.exchange.test_coordinator_store import envelope, statement

NOW_MS = community().now_ms
PLENTY = 2**30


def gone_ms(new: NewEnvelope) -> int:
    """Return when the content of an envelope may go, whatever the engine."""
    return new.expires_ms + 2 * CONTENT_GRACE_MS


async def discarded(store: Store, now_ms: int) -> bool:
    """Let go of everything that may go; return whether there was any."""
    found = False
    while await store.discard_content(now_ms):
        found = True
    return found


async def test_content_that_was_collected_goes_and_its_evidence_stays(store: Store) -> None:
    """The mailbox passes over it; what auditors read is all there."""
    new, later = envelope(to=("XBB",)), statement(bytes(32), mail_to=("XBB",))
    await store.commit([new, later], None)
    assert len(await store.mail("XBB", 0, limit=9, max_bytes=PLENTY)) == 2
    await store.collect({"XBB": 1}, [])
    before = await store.ledger.headers_for(None, 0, 9), await store.ledger.entries(Log.ACK, 0, 9)
    await discarded(store, new.expires_ms)
    assert len(await store.mail("XBB", 0, limit=9, max_bytes=PLENTY)) == 2
    await discarded(store, gone_ms(new))
    (left,) = await store.mail("XBB", 0, limit=9, max_bytes=PLENTY)
    assert (left.sequence, left.content) == (2, later.data)
    after = await store.ledger.headers_for(None, 0, 9), await store.ledger.entries(Log.ACK, 0, 9)
    assert before == after
    assert new.id in (await store.known([new.id], [])).envelopes


async def test_content_that_is_owed_stays_until_somebody_is_told(store: Store) -> None:
    """Silence is never a state: first the sender hears that it was not delivered."""
    new = envelope(to=("XBB", "XCC"))
    await store.commit([new], None)
    await store.collect({"XBB": 1}, [])
    await discarded(store, gone_ms(new))
    assert len(await store.mail("XCC", 0, limit=9, max_bytes=PLENTY)) == 1
    kind = StatementKind.UNDELIVERED
    said = statement(new.id, party=HUB, kind=kind, mail_to=("XAA",), expired=MailPlace("XCC", 1))
    await store.commit([said], None)
    await discarded(store, gone_ms(new))
    assert await store.mail("XCC", 0, limit=9, max_bytes=PLENTY) == ()


async def test_content_that_goes_while_it_is_read_breaks_no_reading(stores: Stores) -> None:
    """Whoever reads gets all of it or none; nobody is refused."""
    store = await stores.open()
    new = envelope(to=("XBB",))
    await store.commit([new, statement(bytes(32), mail_to=("XBB",))], None)
    await store.collect({"XBB": 1}, [])

    async def read() -> list[int]:
        seen = []
        for _ in range(40):
            items = await store.mail("XBB", 0, limit=9, max_bytes=PLENTY)
            assert items[-1].sequence == 2
            seen.append(len(items))
        return seen

    reading = [asyncio.create_task(read()) for _ in range(3)]
    await discarded(store, gone_ms(new))
    for seen in await asyncio.gather(*reading):
        assert seen == sorted(seen, reverse=True)
    assert len(await store.mail("XBB", 0, limit=9, max_bytes=PLENTY)) == 1
