"""Power cuts under the real writer and the real store functions: what was acknowledged is never lost."""

from __future__ import annotations

import pytest

from tests.faults.cuts import campaign
from tests.faults.found import Tell
from tests.faults.lossy_vfs import LossyVFS
from tests.faults.sizes import sized
from tests.faults.subjects import GATE_CUTS, LEDGER_CUTS, LONG_CUTS, SHARES


@pytest.mark.parametrize("store", SHARES)
def test_nothing_acknowledged_is_lost_or_halved_by_a_power_cut(vfs: LossyVFS, tell: Tell, store: str) -> None:
    """Acknowledged is there whole, refused is not there at all, and no number is skipped or used twice."""
    share = SHARES[store]
    cuts = sized(gate=share.gate, faults=share.faults, long=share.long)
    tally = campaign(vfs, share.subject, cuts)
    tell(tally.found("power cuts"))
    tally.require_truth()
    assert tally.faults == cuts
    assert tally.acknowledged > cuts // 2, "the loop hardly wrote anything"
    assert 0 < tally.unknown_but_there < tally.unknown, "both kinds of unknown must have happened"


def test_the_campaigns_are_as_large_as_they_are_said_to_be() -> None:
    """20,000 power cuts in every gate, 200,000 in the long campaign."""
    shares = SHARES.values()
    assert sum(share.gate for share in shares) + LEDGER_CUTS["gate"] >= GATE_CUTS
    assert sum(share.long for share in shares) + LEDGER_CUTS["long"] >= LONG_CUTS


@pytest.mark.parametrize(
    ("store", "synchronous"),
    [("engine", "NORMAL"), ("engine", "OFF"), ("node", "NORMAL"), ("coordinator", "NORMAL")],
)
def test_the_loop_sees_the_losses_of_a_weaker_setting(
    vfs: LossyVFS, monkeypatch: pytest.MonkeyPatch, store: str, synchronous: str
) -> None:
    """The loop can fail: with less than synchronous=FULL it finds acknowledged rows missing."""
    monkeypatch.setattr("exchange.stores.connection.SYNCHRONOUS", synchronous)
    assert campaign(vfs, SHARES[store].subject, 80).lost > 0


def test_the_loop_sees_a_recipient_who_waits_and_is_sealed_for(
    vfs: LossyVFS, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop can fail: if sealing left the waiting row behind, it would say so."""
    monkeypatch.setattr("exchange.node.resealer.sealed_for", lambda *_: True)
    with pytest.raises(AssertionError):
        campaign(vfs, SHARES["sealing"].subject, 400)
