"""Governance makes documents that its own members then accept, and checks who asks to join."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from keys import enrolment, governance
from keys.documents import sign_document
from keys.signature import SMALL_ORDER_ENCODINGS
from keys.signer import Signer, Verifier, sign_possession
from keys.trust import TrustedDirectory
from protocol import codec
from protocol.documents import Role, StateStatus, document_hash, parse_signed_document
from protocol.enrolment import CoordinatorRequest, StateRequest, parse_community, parse_request
from protocol.errors import (
    AlmenaraError,
    BadSignature,
    FormatError,
    KeyRefused,
    TooLarge,
    UnknownKind,
    UnknownSigner,
    VersionGap,
    WrongCommunity,
)
from tests.community import (
    HUB,
    NOW_MS,
    YEAR_MS,
    Community,
    community,
    log_keys,
    member_documents,
    new_member,
    role_keys,
    signer,
)


def request_of(built: Community, code: str = "XDD") -> StateRequest:
    member = new_member(code, built.id, NOW_MS)
    return enrolment.state_request(
        member.identity,
        code=code,
        name=member.name,
        community=built.id,
        documents=member_documents(member, built.id, NOW_MS),
    )


def hub_request(built: Community) -> CoordinatorRequest:
    entry = enrolment.coordinator_entry(
        signer("HUB2", Role.COORDINATOR),
        code="HUB2",
        name="Second hub",
        url="wss://127.0.0.1:8444/",
        community=built.id,
        certificates=[bytes(32)],
        log=log_keys("HUB2", built.id),
    )
    return enrolment.coordinator_request(entry, built.id)


def test_a_first_root_becomes_a_community(built: Community) -> None:
    """What the ceremony makes, a member that pinned its hash accepts."""
    keys = role_keys(1, [signer("only", Role.ROOT)])
    root = governance.first_root("Small", keys, keys, now_ms=NOW_MS, life_ms=YEAR_MS)
    data = sign_document(root, [signer("only", Role.ROOT)])
    trusted = TrustedDirectory(document_hash(parse_signed_document(data).body), Verifier())
    assert trusted.update(data, NOW_MS).changed
    # The same custodian may hold the directory role with the same key.
    empty = governance.next_directory(trusted, [], [], now_ms=NOW_MS, life_ms=YEAR_MS)
    secretary = Signer(signer("only", Role.ROOT)._secret, Role.DIRECTORY)
    assert trusted.update(sign_document(empty, [secretary]), NOW_MS).changed
    assert trusted.head().version == 1


def test_what_a_next_root_does_not_change_stays(built: Community, trusted: TrustedDirectory) -> None:
    """Renewing before expiry needs no more than two signatures."""
    renewed = governance.next_root(trusted, now_ms=NOW_MS, life_ms=2 * YEAR_MS)
    assert (renewed.root, renewed.directory) == (trusted.root.root, trusted.root.directory)
    assert (renewed.name, renewed.suites) == (trusted.root.name, trusted.root.suites)
    trusted.update(built.signed_by_governance(renewed), NOW_MS)
    assert trusted.root.version == 2


def test_a_state_that_asks_is_checked_listed_and_then_its_documents_are_accepted(
    built: Community, trusted: TrustedDirectory
) -> None:
    """The whole way of a newcomer, from its file to a key that others may use."""
    request = parse_request(codec.encode(request_of(built)))
    assert isinstance(request, StateRequest)
    entry = governance.checked_state(trusted, built.verifier, request, since_ms=NOW_MS)
    assert entry.status is StateStatus.ACTIVE
    document = governance.next_directory(
        trusted, [entry, *trusted.states()], trusted.coordinators(), now_ms=NOW_MS, life_ms=YEAR_MS
    )
    trusted.update(built.signed_by_governance(document), NOW_MS)
    for data in request.documents:
        assert trusted.update(data, NOW_MS).changed
    assert trusted.prekey("XDD", NOW_MS)
    assert trusted.states()[-1].code == "XDD"


def test_a_listed_state_may_ask_again(built: Community, trusted: TrustedDirectory) -> None:
    """Its own key is its own; asking twice is no offence."""
    request = request_of(built, "XAA")
    assert governance.checked_state(trusted, built.verifier, request, since_ms=NOW_MS).code == "XAA"


def bad_requests(built: Community) -> dict[str, tuple[StateRequest, type[AlmenaraError]]]:
    good = request_of(built)
    other = request_of(built, "XEE")
    mine = built.members["XBB"]
    identity = signer("XDD", Role.IDENTITY)
    weak = good.identity[:1952] + min(SMALL_ORDER_ENCODINGS)
    return {
        "it is for another community": (replace(good, community=bytes(32)), WrongCommunity),
        "its identity key is of small order": (replace(good, identity=weak), KeyRefused),
        "its identity key is another state's": (replace(good, identity=mine.identity.public), KeyRefused),
        "its identity key is another's node key": (replace(good, identity=mine.node.public), KeyRefused),
        "its proof is another state's": (replace(good, possession=other.possession), BadSignature),
        "its proof is for another community": (
            replace(good, possession=sign_possession(identity, "XDD", bytes(32))),
            BadSignature,
        ),
        "it takes another code": (replace(good, code="XEE"), BadSignature),
        "its manifest is another's": (replace(good, documents=other.documents), UnknownSigner),
        "its manifest is missing": (replace(good, documents=good.documents[1:]), FormatError),
        "a further document is another's": (
            replace(good, documents=(good.documents[0], other.documents[1])),
            FormatError,
        ),
        "a further document is the root": (
            replace(good, documents=(good.documents[0], built.documents[0])),
            FormatError,
        ),
    }


@pytest.mark.parametrize("what", list(bad_requests(community())))
def test_a_request_is_refused_when(built: Community, trusted: TrustedDirectory, what: str) -> None:
    """Nothing unsound reaches the directory that the custodians are asked to sign."""
    request, error = bad_requests(built)[what]
    with pytest.raises(error) as caught:
        governance.checked_state(trusted, built.verifier, request, since_ms=NOW_MS)
    assert type(caught.value) is error


def test_a_coordinator_that_asks_is_checked(built: Community, trusted: TrustedDirectory) -> None:
    """It proves its key for its own code and this community."""
    request = parse_request(codec.encode(hub_request(built)))
    assert isinstance(request, CoordinatorRequest)
    entry = governance.checked_coordinator(trusted, built.verifier, request)
    assert entry.code == "HUB2"
    for wrong, error in (
        (replace(request, community=bytes(32)), WrongCommunity),
        (replace(request, entry=replace(entry, code="HUB3")), BadSignature),
        (replace(request, entry=replace(entry, key=built.hub.public)), KeyRefused),
    ):
        with pytest.raises(error):
            governance.checked_coordinator(trusted, built.verifier, wrong)


# --- the community file ---


def test_the_community_file_gives_a_new_member_the_whole_directory(
    built: Community, trusted: TrustedDirectory
) -> None:
    """From the pinned hash and one file, offline."""
    data = governance.community_file(built.documents)
    loaded, documents = enrolment.load_community(data, built.id, Verifier(), NOW_MS)
    assert documents == built.documents == parse_community(data).documents
    assert loaded.documents == trusted.documents
    assert [entry.code for entry in loaded.coordinators()] == [HUB]


def test_a_community_file_with_another_root_is_refused(built: Community) -> None:
    """The file may come from anywhere; the hash may not."""
    data = governance.community_file(built.documents)
    with pytest.raises(WrongCommunity):
        enrolment.load_community(data, bytes(32), Verifier(), NOW_MS)


def test_a_community_file_out_of_order_is_refused(built: Community) -> None:
    """What was left out or moved shows at the next document."""
    shuffled = governance.community_file([built.documents[0], *built.documents[2:]])
    with pytest.raises(VersionGap):
        enrolment.load_community(shuffled, built.id, Verifier(), NOW_MS)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", FormatError),
        (b"\x93", FormatError),
        (b"\x92\xa3abc\x01", UnknownKind),
        (bytes(2 * 1024 * 1024 + 1), TooLarge),
    ],
)
def test_what_is_no_request_is_refused_before_anything_else(data: bytes, error: type[AlmenaraError]) -> None:
    """Requests come from strangers."""
    with pytest.raises(error):
        parse_request(data)


def test_a_fingerprint_is_read_in_groups(built: Community) -> None:
    """Two people compare it aloud on another channel."""
    text = enrolment.fingerprint(built.hub.public)
    assert [len(group) for group in text.split()] == [8] * 8
    assert text.replace(" ", "") == built.hub.key_id.hex()
