"""What a custodian is shown of a change, and what is marked so that it cannot be overlooked."""

from __future__ import annotations

from msgspec import structs

from exchange.setup.differences import Change, directory_changes, root_changes
from keys.governance import next_directory
from keys.signature import SecretKey
from protocol.digest import certificate_id, signing_key_id
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


def test_a_compromise_from_before_the_key_was_in_use_is_marked() -> None:
    """It would make doubtful all that the key ever said."""
    window = MEMBER.keys[1].from_ms
    hub = community().hub.key_id
    for party, key_id, since_ms, unsafe in (
        ("XAA", MEMBER.officer.key_id, window, False),
        ("XAA", MEMBER.officer.key_id, window - 1, True),
        (HUB, hub, NOW_MS, False),
        (HUB, hub, 0, True),
    ):
        (change,) = changes(compromised=(Compromise(party, key_id, since_ms),))
        assert change.unsafe is unsafe, change
        assert ("BEFORE IT WAS IN USE" in change.detail) is unsafe


def test_an_identity_key_that_counts_as_stolen_is_marked_when_it_is_listed() -> None:
    """Attestations from before the theft still count, so only people can see it."""
    newcomer = new_member("XDD", community().id, NOW_MS).entry
    stolen = (Compromise("XDD", signing_key_id(newcomer.identity), NOW_MS),)
    others = tuple(entry for entry in LISTED.states if entry.code != "XAA")
    replaced = structs.replace(MEMBER.entry, identity=newcomer.identity)
    for states in ((*LISTED.states, newcomer), (replaced, *others)):
        for compromised in ((), stolen):
            found = changes(states=states, compromised=compromised)
            (change,) = (one for one in found if one.action in {"add", "replace-identity"})
            assert ("COUNTS AS STOLEN" in change.detail) is bool(compromised)
            assert change.unsafe or not compromised


def test_an_identity_key_that_returns_is_shown_as_one_that_was_listed_before() -> None:
    """Members attested it in its first time, and not again."""
    trusted = community().directory()
    second = new_member("XDD", community().id, NOW_MS).entry.identity
    after = structs.replace(MEMBER.entry, identity=second)
    states = [after if entry.code == "XAA" else entry for entry in trusted.states()]
    replacing = next_directory(trusted, states, trusted.coordinators(), now_ms=NOW_MS, life_ms=YEAR_MS)
    (first,) = (one for one in directory_changes(BEFORE, replacing) if one.action == "replace-identity")
    trusted.update(community().signed_by_governance(replacing), NOW_MS)
    (back,) = (
        one for one in directory_changes(trusted.documents, LISTED) if one.action == "replace-identity"
    )
    assert ("LISTED BEFORE" in first.detail, "LISTED BEFORE" in back.detail) == (False, True)


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
