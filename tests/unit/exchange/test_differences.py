"""What a custodian is shown of a change, and what is marked so that it cannot be overlooked."""

from __future__ import annotations

from msgspec import structs

from exchange.setup.differences import Change, directory_changes, root_changes
from keys.signature import SecretKey
from protocol.digest import certificate_id
from protocol.documents import Compromise, Directory, RoleKeys, StateStatus
from tests.community import HUB, NOW_MS, YEAR_MS, community, new_member

BEFORE = community().directory().documents
LISTED = community().directory().directory
MEMBER = community().members["XAA"]


def changes(**fields: object) -> list[Change]:
    """Return what a directory with these fields would change."""
    return list(directory_changes(BEFORE, structs.replace(LISTED, **fields)))


def of_hub(**fields: object) -> Change:
    (entry,) = LISTED.coordinators
    (change,) = changes(coordinators=(structs.replace(entry, **fields),))
    return change


def test_another_address_or_certificate_of_the_coordinator_is_shown_whole_and_marked() -> None:
    """Whoever changes both leads every node elsewhere."""
    moved = of_hub(url="wss://elsewhere.example:1")
    assert moved.unsafe
    assert "wss://127.0.0.1:8443/ -> wss://elsewhere.example:1" in moved.detail
    (old,) = LISTED.coordinators[0].certificates
    other = of_hub(certificates=(b"another",))
    assert other.unsafe
    assert f"- TLS certificate {certificate_id(old).hex()}" in other.detail
    assert f"+ TLS certificate {certificate_id(b'another').hex()}" in other.detail
    assert not of_hub(certificates=(old, b"another")).unsafe


def test_a_state_that_is_added_suspended_or_under_a_used_code_is_marked() -> None:
    """Neither looks like a plain new member."""
    newcomer = new_member("XDD", community().id, NOW_MS).entry
    plain, suspended, used = (
        next(one for one in changes(states=(*LISTED.states, entry)) if one.action == "add")
        for entry in (
            newcomer,
            structs.replace(newcomer, status=StateStatus.SUSPENDED),
            structs.replace(newcomer, code=HUB),
        )
    )
    assert (plain.unsafe, suspended.unsafe, used.unsafe) == (False, True, True)
    assert "SUSPENDED" in suspended.detail
    assert "a party before" in used.detail


def test_a_compromise_that_changes_nothing_or_of_nobody_is_marked() -> None:
    """Custodians would believe that they have acted."""
    for key_id, unsafe in (
        (MEMBER.node.key_id, False),
        (MEMBER.officer.key_id, False),
        (MEMBER.identity.key_id, True),
        (bytes(32), True),
    ):
        (change,) = changes(compromised=(Compromise("XAA", key_id, NOW_MS),))
        assert change.unsafe is unsafe, change


def test_an_expiry_far_beyond_what_is_usual_is_marked() -> None:
    """A directory for ever is one that nobody ever renews."""
    near, far = (
        next(one for one in changes(expires_ms=LISTED.issued_ms + life_ms) if one.action == "expiry")
        for life_ms in (YEAR_MS + 1, 10 * YEAR_MS)
    )
    assert (near.unsafe, far.unsafe) == (False, True)


def test_newcomers_who_reach_the_threshold_alone_are_marked() -> None:
    """From then on the others decide nothing."""
    root = community().directory().root
    strangers = tuple(SecretKey.generate().public for _ in range(2))
    for added, alone in ((strangers[:1], False), (strangers, True)):
        keys = RoleKeys(threshold=2, keys=(*root.directory.keys, *added))
        found = list(root_changes(root, structs.replace(root, directory=keys)))
        assert any(one.action == "newcomers" and one.unsafe for one in found) is alone


def test_a_directory_that_changes_nothing_shows_nothing() -> None:
    """The control: what is above was not there anyway."""
    assert isinstance(LISTED, Directory)
    assert changes() == []
