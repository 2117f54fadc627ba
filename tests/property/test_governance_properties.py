"""Whatever is changed in the files of a ceremony, nothing is published but what the custodians signed."""

from __future__ import annotations

from functools import cache

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exchange.setup.publishing import standing
from exchange.setup.reviewing import review
from exchange.setup.signing import sign_proposal
from keys import governance
from keys.trust import TrustedDirectory
from protocol import codec
from protocol.errors import AlmenaraError
from protocol.governance import Proposal, parse_proposal
from tests.community import NOW_MS, YEAR_MS, Community, community, member_documents, new_member

Change = tuple[float, int]
CHANGES = st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255))


@cache
def ceremony() -> tuple[Community, TrustedDirectory, bytes, tuple[bytes, ...]]:
    """Return a community, the proposal to admit a state, and two custodians' signatures over it."""
    built = community()
    trusted = built.directory()
    newcomer = new_member("XDD", built.id, NOW_MS)
    directory = governance.next_directory(
        trusted,
        [*trusted.states(), newcomer.entry],
        trusted.coordinators(),
        now_ms=NOW_MS,
        life_ms=YEAR_MS,
    )
    proposal = Proposal(
        v=1,
        body=codec.encode(directory),
        documents=tuple(member_documents(newcomer, built.id, NOW_MS)),
        reason="It asked",
        unattested="A test",
    )
    reviewed = review(trusted, proposal, NOW_MS)
    signatures = tuple(sign_proposal(reviewed, one) for one in built.directories[:2])
    return built, trusted, codec.encode(proposal), signatures


def published(proposal: bytes, signatures: list[bytes]) -> bytes | None:
    """Return the body that these files would publish, or None if they are refused."""
    _, trusted, _, _ = ceremony()
    try:
        reviewed = review(trusted, parse_proposal(proposal), NOW_MS)
    except AlmenaraError:
        return None
    counted = standing(reviewed, [(str(number), data) for number, data in enumerate(signatures)])
    return reviewed.proposal.body if counted.enough else None


def flipped(data: bytes, change: Change) -> bytes:
    place, flip = change
    changed = bytearray(data)
    changed[int(place * len(changed))] ^= flip
    return bytes(changed)


def test_the_files_as_they_are_are_enough() -> None:
    """Without this, the rules below would hold for files that nobody can use."""
    _, _, proposal, signatures = ceremony()
    assert published(proposal, list(signatures)) == parse_proposal(proposal).body


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(change=CHANGES)
def test_a_changed_proposal_is_refused_or_publishes_what_was_signed(change: Change) -> None:
    """A changed body has no signatures; changed words around it move nothing."""
    _, _, proposal, signatures = ceremony()
    assert published(flipped(proposal, change), list(signatures)) in (None, parse_proposal(proposal).body)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(change=CHANGES, which=st.integers(0, 1))
def test_a_changed_signature_counts_nothing(change: Change, which: int) -> None:
    """Every byte of a signature's file matters."""
    _, _, proposal, signatures = ceremony()
    changed = [flipped(data, change) if place == which else data for place, data in enumerate(signatures)]
    assert published(proposal, changed) is None


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(garbage=st.lists(st.binary(max_size=300), max_size=4))
def test_garbage_among_the_signatures_hinders_nothing(garbage: list[bytes]) -> None:
    """Mail brings all sorts of things."""
    _, _, proposal, signatures = ceremony()
    assert published(proposal, [*garbage, *signatures]) is not None
    assert published(proposal, [*garbage, signatures[0]]) is None


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=300))
def test_any_bytes_as_a_proposal_end_in_a_documented_error(data: bytes) -> None:
    """No other exception leaves the reader."""
    assert published(data, []) is None
