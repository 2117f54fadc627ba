"""Two directory keys suspend a state at once; whatever else a directory changes needs the threshold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from msgspec.structs import replace

from keys import governance
from keys.documents import sign_document
from keys.governors import only_suspends
from keys.signer import Signer
from keys.trust import TrustedDirectory
from protocol import codec
from protocol.documents import Compromise, Directory, Role, StateEntry, StateStatus
from protocol.errors import (
    ClockSkew,
    Forked,
    FormatError,
    KeyRefused,
    NoUsableKey,
    ThresholdNotMet,
    UnknownSigner,
    UnknownState,
    VersionGap,
)
from tests.community import NOW_MS, YEAR_MS, Community, community, role_keys, signer

SECRETARIES = tuple(signer(f"council {number}", Role.DIRECTORY) for number in range(1, 6))
LATER_MS = NOW_MS + 60_000
Change = Callable[[Directory], Directory]


@dataclass(frozen=True)
class Council:
    """The community of the tests, with a directory that needs three of five."""

    built: Community
    trusted: TrustedDirectory

    def next(self, change: Change = lambda directory: directory) -> Directory:
        held = self.trusted.documents.trusted_directory()
        made = replace(
            held.document, version=held.document.version + 1, previous=held.hash, issued_ms=LATER_MS
        )
        return change(made)

    def update(self, directory: Directory, signers: int | list[Signer]) -> bool:
        by = list(SECRETARIES[:signers]) if isinstance(signers, int) else signers
        return self.trusted.update(sign_document(directory, by), LATER_MS).changed


@pytest.fixture
def council() -> Council:
    """Governance of five with threshold three, under root version 2."""
    built = community()
    trusted = built.directory()
    root = governance.next_root(trusted, now_ms=NOW_MS, life_ms=YEAR_MS, directory=role_keys(3, SECRETARIES))
    trusted.update(built.signed_by_governance(root), NOW_MS)
    made = Council(built, trusted)
    assert made.update(made.next(lambda directory: replace(directory, root_version=2)), 3)
    return made


def with_status(*codes: str, status: StateStatus = StateStatus.SUSPENDED) -> Change:
    def changed(directory: Directory) -> Directory:
        states = tuple(
            replace(entry, status=status) if entry.code in codes else entry for entry in directory.states
        )
        return replace(directory, states=states)

    return changed


def with_first_state(**changes: object) -> Change:
    def changed(directory: Directory) -> Directory:
        first, *rest = with_status("XBB")(directory).states
        return replace(directory, states=(replace(first, **changes), *rest))

    return changed


def test_two_of_five_suspend_a_state_at_once(council: Council) -> None:
    """Within minutes, while the other custodians are still being woken."""
    assert council.update(council.next(with_status("XBB")), 2)
    with pytest.raises(UnknownState, match="suspended"):
        council.trusted.state("XBB", LATER_MS)
    node = council.built.members["XBB"].node
    with pytest.raises(UnknownSigner, match="not an active state"):
        council.trusted.node_key("XBB", node.key_id, LATER_MS)


def test_two_of_five_suspend_several_states_in_one_directory(council: Council) -> None:
    """An attack may have more than one victim."""
    assert council.update(council.next(with_status("XAA", "XCC")), 2)
    assert [entry.code for entry in council.trusted.states() if entry.status is StateStatus.ACTIVE] == ["XBB"]


@pytest.mark.parametrize(
    "signers",
    [
        [SECRETARIES[0]],
        [SECRETARIES[0], SECRETARIES[0]],
        [SECRETARIES[0], signer("secretary 1", Role.DIRECTORY)],
        [signer("secretary 1", Role.DIRECTORY), signer("secretary 2", Role.DIRECTORY)],
    ],
    ids=["one", "one twice", "one and one of an older root", "two of an older root"],
)
def test_fewer_than_two_listed_keys_suspend_nobody(council: Council, signers: list[Signer]) -> None:
    """One custodian alone cannot silence a state."""
    with pytest.raises(ThresholdNotMet):
        council.update(council.next(with_status("XBB")), signers)
    assert council.trusted.state("XBB", LATER_MS)


def test_reinstating_needs_the_whole_threshold(council: Council) -> None:
    """Those who suspended in haste do not decide alone that all is well again."""
    council.update(council.next(with_status("XBB")), 2)
    back = council.next(with_status("XBB", status=StateStatus.ACTIVE))
    with pytest.raises(ThresholdNotMet):
        council.update(back, 2)
    assert council.update(back, 3)
    assert council.trusted.state("XBB", LATER_MS)


def test_suspending_one_and_reinstating_another_needs_the_threshold(council: Council) -> None:
    """A suspension must carry nothing else along."""
    council.update(council.next(with_status("XBB")), 2)
    swap = council.next(
        lambda directory: with_status("XAA")(with_status("XBB", status=StateStatus.ACTIVE)(directory))
    )
    with pytest.raises(ThresholdNotMet):
        council.update(swap, 2)
    assert council.update(swap, 3)


MORE: dict[str, Change] = {
    "nothing but a new version": lambda directory: directory,
    "and a later expiry": lambda directory: replace(
        with_status("XBB")(directory), expires_ms=directory.expires_ms + 1
    ),
    "and an earlier expiry": lambda directory: replace(
        with_status("XBB")(directory), expires_ms=directory.expires_ms - 1
    ),
    "and a newer root": lambda directory: replace(with_status("XBB")(directory), root_version=2),
    "and another name": with_first_state(name="Another"),
    "and another identity key": with_first_state(identity=signer("XZZ", Role.IDENTITY).public),
    "and another time of admission": with_first_state(since_ms=1),
    "and one state fewer": lambda directory: replace(
        with_status("XBB")(directory), states=with_status("XBB")(directory).states[:-1]
    ),
    "and another coordinator's address": lambda directory: replace(
        with_status("XBB")(directory),
        coordinators=(replace(directory.coordinators[0], url="wss://elsewhere.example/"),),
    ),
    "and no coordinator": lambda directory: replace(with_status("XBB")(directory), coordinators=()),
    "and a compromised key": lambda directory: replace(
        with_status("XBB")(directory), compromised=(Compromise("XBB", bytes(32), NOW_MS),)
    ),
}


@pytest.mark.parametrize("change", MORE.values(), ids=MORE)
def test_a_suspension_that_changes_anything_else_needs_the_threshold(
    council: Council, change: Change
) -> None:
    """Two keys buy exactly one thing."""
    before = council.trusted.documents
    directory = council.next(change)
    if change is MORE["and a newer root"]:
        root = governance.next_root(council.trusted, now_ms=NOW_MS, life_ms=YEAR_MS)
        council.trusted.update(council.built.signed_by_governance(root), NOW_MS)
        directory = replace(directory, root_version=3)
        before = council.trusted.documents
    with pytest.raises(ThresholdNotMet, match="3 are needed"):
        council.update(directory, 2)
    assert council.trusted.documents is before


def test_a_suspension_still_follows_the_chain(council: Council) -> None:
    """Speed buys no other rule off: versions, history and clock are as ever."""
    suspension = council.next(with_status("XBB"))
    for broken, error in (
        (replace(suspension, version=suspension.version + 1), VersionGap),
        (replace(suspension, previous=bytes(32)), Forked),
        (replace(suspension, issued_ms=LATER_MS + 3_600_000), ClockSkew),
    ):
        with pytest.raises(error):
            council.update(broken, 2)


def test_a_threshold_of_one_is_one_for_suspensions_too(council: Council) -> None:
    """Suspending is never harder than everything else."""
    root = governance.next_root(
        council.trusted, now_ms=NOW_MS, life_ms=YEAR_MS, directory=role_keys(1, SECRETARIES)
    )
    council.trusted.update(council.built.signed_by_governance(root), NOW_MS)
    assert council.update(council.next(with_status("XBB")), 1)


def test_an_empty_directory_suspends_nobody(council: Council) -> None:
    """Equal lists of states are no suspension, however short."""
    empty = replace(council.trusted.directory, states=())
    assert not only_suspends(empty, replace(empty, version=2, previous=bytes(32)))


# --- a copy that supposes signatures ---


def test_supposing_shows_what_would_follow_and_changes_nothing(council: Council) -> None:
    """A custodian sees the result before signing, and the trusted directory stays as it is."""
    before = council.trusted.documents
    body = codec.encode(council.next(with_status("XBB")))
    supposed = council.trusted.supposing(body, LATER_MS)
    assert supposed.documents.entry("XBB") == replace(
        council.built.members["XBB"].entry, status=StateStatus.SUSPENDED
    )
    assert council.trusted.documents is before


def test_supposing_refuses_what_no_signature_could_make_trusted(council: Council) -> None:
    """Every rule but the counting of signatures holds."""
    good = council.next(with_status("XBB"))
    first, *rest = good.states
    stolen = replace(first, identity=council.built.hub.public)
    for directory, error in (
        (replace(good, version=good.version + 1), VersionGap),
        (replace(good, previous=bytes(32)), Forked),
        (replace(good, states=(stolen, *rest), coordinators=()), KeyRefused),
    ):
        with pytest.raises(error):
            council.trusted.supposing(codec.encode(directory), LATER_MS)
    manifest = council.trusted.documents.manifests["XAA"].document
    with pytest.raises(FormatError):
        council.trusted.supposing(codec.encode(manifest), LATER_MS)


# --- leaving, and coming back ---


def left(directory: Directory) -> Directory:
    return replace(directory, states=tuple(entry for entry in directory.states if entry.code != "XCC"))


def back_with(identity: Signer) -> Change:
    def changed(directory: Directory) -> Directory:
        entry = StateEntry(
            code="XCC",
            name="Celestia",
            status=StateStatus.ACTIVE,
            identity=identity.public,
            since_ms=LATER_MS,
        )
        return replace(directory, states=(*directory.states, entry))

    return changed


def test_nothing_of_a_state_that_left_counts(council: Council) -> None:
    """Its keys may sign for nobody, nothing is sealed to it, none of its documents is accepted."""
    council.update(council.next(left), 3)
    gone = council.built.members["XCC"]
    with pytest.raises(UnknownSigner):
        council.trusted.node_key("XCC", gone.node.key_id, LATER_MS)
    with pytest.raises(UnknownState):
        council.trusted.prekey("XCC", LATER_MS)
    assert council.trusted.certificates("XCC") == frozenset()
    held = council.trusted.documents.manifests["XCC"]
    manifest = replace(held.document, version=2, previous=held.hash)
    with pytest.raises(UnknownSigner):
        council.trusted.update(sign_document(manifest, [gone.identity]), LATER_MS)


def test_a_state_that_comes_back_with_its_key_goes_on_where_it_ended(council: Council) -> None:
    """Its documents counted, do not, and count again: the bytes never changed."""
    council.update(council.next(left), 3)
    gone = council.built.members["XCC"]
    assert council.update(council.next(back_with(gone.identity)), 3)
    assert council.trusted.node_key("XCC", gone.node.key_id, LATER_MS)
    assert council.trusted.prekey("XCC", LATER_MS)


def test_whoever_gets_a_code_anew_continues_its_chains_and_inherits_nothing(council: Council) -> None:
    """A code given to a new identity key has neither the old keys nor a fresh start to hide behind."""
    council.update(council.next(left), 3)
    gone, heir = council.built.members["XCC"], signer("heir", Role.IDENTITY)
    council.update(council.next(back_with(heir)), 3)
    with pytest.raises(UnknownSigner):
        council.trusted.node_key("XCC", gone.node.key_id, LATER_MS)
    assert council.trusted.certificates("XCC") == frozenset()
    held = council.trusted.documents.manifests["XCC"]
    first = replace(held.document, issued_ms=LATER_MS)
    with pytest.raises(Forked):
        council.trusted.update(sign_document(first, [heir]), LATER_MS)
    following = replace(first, version=2, previous=held.hash)
    with pytest.raises(UnknownSigner):
        council.trusted.update(sign_document(following, [gone.identity]), LATER_MS)
    assert council.trusted.update(sign_document(following, [heir]), LATER_MS).changed


def test_the_key_of_a_state_that_left_stays_its_own(council: Council) -> None:
    """Neither its node key nor its identity key can be listed for anybody else, ever."""
    council.update(council.next(left), 3)
    gone = council.built.members["XCC"]

    def taken(key: bytes) -> Change:
        return lambda directory: replace(
            directory, states=(replace(directory.states[0], identity=key), *directory.states[1:])
        )

    for key in (gone.node.public, gone.identity.public):
        with pytest.raises(KeyRefused):
            council.update(council.next(taken(key)), 3)


def test_prekeys_signed_by_a_key_that_is_no_longer_listed_are_not_used(council: Council) -> None:
    """A new identity key that lists new node keys leaves no old sealing key behind."""
    built = council.built
    heir, member = signer("heir", Role.IDENTITY), built.members["XCC"]

    def renewed(directory: Directory) -> Directory:
        states = tuple(
            replace(entry, identity=heir.public) if entry.code == "XCC" else entry
            for entry in directory.states
        )
        return replace(directory, states=states)

    council.update(council.next(renewed), 3)
    held = council.trusted.documents.manifests["XCC"]
    manifest = replace(held.document, version=2, previous=held.hash, keys=member.keys[1:], issued_ms=LATER_MS)
    council.trusted.update(sign_document(manifest, [heir]), LATER_MS)
    with pytest.raises(NoUsableKey, match="no longer lists"):
        council.trusted.prekey("XCC", LATER_MS)
