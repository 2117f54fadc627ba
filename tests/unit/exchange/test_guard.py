"""Who is let in: places and entries of one address, and of all."""

from __future__ import annotations

from exchange.link.guard import ADDRESSES_KEPT, Doorkeeper, ServerLimits


def test_one_address_has_so_many_entries_and_gets_more_with_time() -> None:
    """A storm of connections that are dropped at once costs no handshakes."""
    keeper = Doorkeeper(ServerLimits(entries_per_second=2.0, entries_at_once=4))

    def storm(address: str, now: float) -> int:
        entered = 0
        for _ in range(10):
            if keeper.enter(address, now):
                keeper.leave(address)
                entered += 1
        return entered

    assert storm("127.0.0.1", 0.0) == 4
    assert storm("127.0.0.2", 0.0) == 4
    assert storm("127.0.0.1", 0.4) == 0
    assert storm("127.0.0.1", 1.0) == 2
    assert storm("127.0.0.1", 100.0) == 4
    assert keeper.refused == 10 * 5 - 14


def test_it_remembers_a_bounded_number_of_addresses() -> None:
    """Those that came last."""
    keeper = Doorkeeper(ServerLimits(connections=10**6, entries_at_once=1))
    for number in range(ADDRESSES_KEPT + 10):
        assert keeper.enter(f"10.0.{number // 256}.{number % 256}", 0.0)
    assert len(keeper._entries) == ADDRESSES_KEPT
