"""Is this receipt true: only if everything in it is, and every failure says which part it is in."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest

from keys import enrolment, governance
from keys.documents import sign_document
from keys.evidence import NO_STATEMENT_YET, Saying, make_statement
from keys.quorum import quorum_of
from keys.receipt import verify_receipt
from keys.signer import Verifier
from keys.trust import TrustedDirectory
from protocol.documents import Compromise, Revocation, StateStatus, document_hash, parse_signed_document
from protocol.errors import (
    BadSignature,
    Forked,
    FormatError,
    KeyRevoked,
    ThresholdNotMet,
    TooLarge,
    TrustError,
    UnknownSigner,
    VersionGap,
    WrongCommunity,
)
from protocol.ledger.origins import Log
from protocol.ledger.proof import parse_proof
from protocol.ledger.receipt import (
    MAX_RECEIPT_BYTES,
    CheckpointSection,
    DocumentSection,
    NoticeSection,
    Section,
    StatementSection,
    format_receipt,
    parse_receipt,
    tlog_proofs,
)
from protocol.notice import DirectoryHead
from protocol.statement import StatementKind
from tests.community import HUB, YEAR_MS, certificate, community, witness_keys
from tests.envelopes import said
from tests.ledgers import PlayedLedger
from tests.receipts import genuine, material, with_sections

Change = Callable[[list[Section]], None]
PINNED = community().id


def verify(data: bytes) -> object:
    """Verify as a stranger would: with the pinned root hash and nothing else."""
    return verify_receipt(data, PINNED, Verifier())


def place_of(sections: list[Section], kind: type, number: int = 0) -> int:
    """Return where a part of a kind stands."""
    return [place for place, one in enumerate(sections) if isinstance(one, kind)][number]


def swap(kind: type, number: int, part: Section) -> Change:
    """Return a change that puts another part in place of one."""

    def change(sections: list[Section]) -> None:
        sections[place_of(sections, kind, number)] = part

    return change


def test_a_genuine_receipt_is_true() -> None:
    """It proves who sent, who received and which officer accepted, with three kinds of time."""
    found = verify_receipt(genuine(), PINNED, Verifier())
    assert [(one.kind.name, one.party, one.index) for one in found.statements] == [
        ("RELAYED", HUB, 5),
        ("RECEIVED", "XBB", 7),
        ("OPENED", "XBB", 9),
        ("ACCEPTED", "XBB", 11),
    ]
    assert found.statements[3].officer == "officer of XBB"
    assert (found.coordinator, found.origin) == (HUB, "hub.example/almenara/ack")
    assert (found.checkpoints[0].witnesses, found.checkpoints[0].needed) == (3, 2)
    assert found.names["XAA"] == "Aurelia"


def test_another_pinned_root_refuses_it() -> None:
    """A receipt of another community proves nothing to this one."""
    with pytest.raises(WrongCommunity):
        verify_receipt(genuine(), bytes(32), Verifier())


def test_a_claimed_community_does_not_help() -> None:
    """The first root document must itself have the pinned hash."""
    data = format_receipt(material().receipt(community=bytes(32)))
    with pytest.raises(WrongCommunity, match="part 1"):
        verify_receipt(data, bytes(32), Verifier())


@pytest.mark.parametrize("by", [(), ("XAA",), ("XCC",)])
def test_a_checkpoint_without_a_quorum_proves_nothing(by: tuple[str, ...]) -> None:
    """Two of three states must have cosigned, each with both keys."""
    with pytest.raises(ThresholdNotMet, match="part 7 of the receipt"):
        verify(with_sections(swap(CheckpointSection, 0, material().checkpoint(by))))


@pytest.mark.parametrize("line", [2, 3])
def test_one_kind_of_cosignature_is_not_enough(line: int) -> None:
    """A witness whose Ed25519 or ML-DSA-44 signature was stripped has not cosigned."""
    signed = material().played.witnessed(None, ("XAA", "XBB"))
    lines = [one for number, one in enumerate(signed.note.signatures) if number != line]
    stripped = replace(signed, note=replace(signed.note, signatures=tuple(lines)))
    with pytest.raises(ThresholdNotMet):
        verify(with_sections(swap(CheckpointSection, 0, CheckpointSection(stripped.data))))


@pytest.mark.parametrize("line", [0, 1])
def test_the_log_must_have_signed_with_both_keys(line: int) -> None:
    """The witnesses alone do not make a log."""
    signed = material().played.witnessed()
    lines = [one for number, one in enumerate(signed.note.signatures) if number != line]
    stripped = replace(signed, note=replace(signed.note, signatures=tuple(lines)))
    with pytest.raises(BadSignature):
        verify(with_sections(swap(CheckpointSection, 0, CheckpointSection(stripped.data))))


def test_a_signature_line_that_nothing_proves_is_refused() -> None:
    """In a receipt no line is passed over, or a changed byte could hide a witness."""
    signed = material().played.witnessed()
    last = signed.note.signatures[-1]
    more = signed.with_signatures([replace(last, key_id=b"\0\0\0\1")])
    with pytest.raises(UnknownSigner, match="signatures that no document"):
        verify(with_sections(swap(CheckpointSection, 0, CheckpointSection(more.data))))


def test_a_proof_without_a_checkpoint_proves_nothing() -> None:
    """A statement with a path and no signed root above it is refused."""

    def drop(sections: list[Section]) -> None:
        del sections[place_of(sections, CheckpointSection)]

    with pytest.raises(FormatError, match="proves nothing"):
        verify(with_sections(drop))


def test_a_genuine_statement_about_another_notice_is_refused() -> None:
    """A true receipt of another notice, logged and witnessed, does not pass for this one's."""
    here = material()
    other = said(here.everyone, "XBB", StatementKind.RECEIVED, b"o" * 32).data
    played = PlayedLedger(here.everyone, here.played.clock, leaves=list(here.played.leaves))
    played.places.update(here.played.places)
    played.record(other)
    mixed = replace(here, played=played, statements=(*here.statements, other))
    with pytest.raises(TrustError, match="another notice"):
        verify(format_receipt(mixed.receipt()))


def test_another_statements_place_is_refused() -> None:
    """The leaf is recomputed from the statement in hand: no other leaf's path leads there."""
    here = material()
    received, opened = here.statement(here.statements[1]), here.statement(here.statements[2])
    moved = replace(received, index=opened.index, path=opened.path)
    with pytest.raises(TrustError, match="is not leaf 9"):
        verify(with_sections(swap(StatementSection, 1, moved)))


def test_another_time_is_another_leaf() -> None:
    """When the coordinator recorded it is part of the leaf."""
    here = material()
    moved = replace(here.statement(here.statements[1]), at_ms=here.everyone.now_ms + 1)
    with pytest.raises(TrustError, match="is not leaf 7"):
        verify(with_sections(swap(StatementSection, 1, moved)))


def test_a_statement_that_was_never_logged_is_refused() -> None:
    """A genuine signature alone is no receipt: it must stand in the witnessed log."""
    here = material()
    dropped = said(here.everyone, "XCC", StatementKind.RECEIVED, here.envelope).data
    borrowed = replace(here.statement(here.statements[1]), data=dropped)
    with pytest.raises(TrustError, match="is not leaf 7"):
        verify(with_sections(swap(StatementSection, 1, borrowed)))


def test_the_same_statement_twice_is_refused() -> None:
    """Nobody makes two receipts out of one."""
    with pytest.raises(FormatError, match="twice"):
        verify(with_sections(lambda sections: sections.append(sections[-1])))


def test_a_party_that_was_not_addressed_has_no_say() -> None:
    """XAA sent it; its own RECEIVED is nobody's receipt, however genuine."""
    here = material()
    own = said(here.everyone, "XAA", StatementKind.RECEIVED, here.envelope).data
    played = PlayedLedger(here.everyone, here.played.clock)
    played.record(own)
    mixed = replace(here, played=played, statements=(own,))
    with pytest.raises(UnknownSigner, match="XAA may not say RECEIVED"):
        verify(format_receipt(mixed.receipt()))


def test_a_receipt_without_statements_proves_nothing() -> None:
    """Documents and a notice alone say nothing about anybody's answer."""
    with pytest.raises(FormatError, match="proves nothing"):
        verify(format_receipt(replace(material(), statements=()).receipt()))


def test_the_notice_must_be_its_senders() -> None:
    """A header that was changed is not what the sender signed."""
    here = material()
    manifest = here.notice.manifest.replace(b"grave", b"minor")
    with pytest.raises(BadSignature, match=r"part 6 of the receipt \(notice\)"):
        verify(with_sections(swap(NoticeSection, 0, NoticeSection(manifest, here.notice.proof))))


def test_a_missing_manifest_does_not_shrink_the_quorum() -> None:
    """A state whose manifest was left out counts as a witness that did not sign."""
    everyone = community()
    few = TrustedDirectory(everyone.id, everyone.verifier)
    for section in material().documents[:3]:
        assert isinstance(section, DocumentSection)
        few.update(section.data, everyone.now_ms)
    assert quorum_of(few, HUB, Log.ACK).needed == 2


def without_xcc() -> tuple[DocumentSection, DirectoryHead]:
    """Return the next directory, in which XCC is suspended, and its head."""
    everyone = community()
    trusted = everyone.directory()
    entries = [
        msgspec.structs.replace(entry, status=StateStatus.SUSPENDED) if entry.code == "XCC" else entry
        for entry in trusted.states()
    ]
    newer = everyone.signed_by_governance(
        governance.next_directory(
            trusted, entries, [everyone.hub_entry], now_ms=everyone.now_ms, life_ms=YEAR_MS
        )
    )
    trusted.update(newer, everyone.now_ms)
    return DocumentSection(newer), trusted.head()


def test_a_checkpoint_is_judged_by_what_the_signers_knew() -> None:
    """A statement made under a newer directory does not count under a checkpoint judged by an older one."""
    here = material()
    newer, head = without_xcc()
    statement = make_statement(
        Saying(kind=StatementKind.RECEIVED, envelope=here.envelope, decryption_proof=bytes(32)),
        party="XBB",
        signer=here.everyone.members["XBB"].node,
        at_ms=here.everyone.now_ms,
        nonce=bytes(32),
        directory=head,
        chain=NO_STATEMENT_YET,
    ).data
    played = PlayedLedger(here.everyone, here.played.clock)
    played.record(statement)
    mixed = replace(here, played=played, statements=(statement,))
    with pytest.raises(VersionGap, match="XBB knew directory version 2"):
        verify(format_receipt(mixed.receipt()))
    sections = list(mixed.receipt().sections)
    sections.insert(place_of(sections, CheckpointSection), newer)
    # XCC is no witness any more: its lines must go, and the other two are enough.
    sections[place_of(sections, CheckpointSection)] = mixed.checkpoint(("XAA", "XBB"))
    verify(format_receipt(replace(mixed.receipt(), sections=tuple(sections))))


def revoking(at_ms: int) -> DocumentSection:
    """Return the manifest by which XBB revokes its officer's key, as it says at this time."""
    everyone, member = material().everyone, material().everyone.members["XBB"]
    manifest = enrolment.next_manifest(
        everyone.directory().documents.manifests["XBB"],
        state="XBB",
        community=everyone.id,
        keys=member.keys,
        certificates=[certificate("XBB")],
        witness=witness_keys("XBB", everyone.id),
        now_ms=max(everyone.now_ms, at_ms),
        life_ms=YEAR_MS,
        revoked=[Revocation(key_id=member.officer.key_id, reason="stolen", at_ms=at_ms)],
    )
    return DocumentSection(sign_document(manifest, [member.identity]))


def confirming(since_ms: int, party: str = "XBB", key_id: bytes | None = None) -> DocumentSection:
    """Return the directory that confirms that a key, XBB's officer's by default, was compromised."""
    everyone = material().everyone
    key_id = everyone.members["XBB"].officer.key_id if key_id is None else key_id
    trusted = everyone.directory()
    document = governance.next_directory(
        trusted,
        trusted.states(),
        [everyone.hub_entry],
        now_ms=everyone.now_ms,
        life_ms=YEAR_MS,
        compromised=[Compromise(party=party, key_id=key_id, since_ms=since_ms)],
    )
    return DocumentSection(everyone.signed_by_governance(document))


def inserted(part: Section, kind: type, number: int = 0) -> Change:
    """Return a change that puts a part above another one."""

    def change(sections: list[Section]) -> None:
        sections.insert(place_of(sections, kind, number), part)

    return change


def witnessed_ms() -> int:
    """Return when the checkpoint of the genuine receipt was witnessed."""
    return verify_receipt(genuine(), PINNED, Verifier()).checkpoints[0].witnessed_ms


@pytest.mark.parametrize("at_ms", [0, material().everyone.now_ms])
def test_a_statement_below_the_revocation_of_its_key_is_refused(at_ms: int) -> None:
    """Neither its own time nor the time in its leaf saves it."""
    with pytest.raises(KeyRevoked, match="revoked"):
        verify(with_sections(inserted(revoking(at_ms), NoticeSection)))


@pytest.mark.parametrize("at_ms", [0, material().everyone.now_ms])
def test_a_revocation_changes_nothing_about_what_stands_above_it(at_ms: int) -> None:
    """A state cannot void its answer by a revocation that it dates before the answer (threat 22)."""

    def change(sections: list[Section]) -> None:
        sections.append(revoking(at_ms))

    assert len(verify_receipt(with_sections(change), PINNED, Verifier()).statements) == 4


def test_what_witnesses_had_before_the_revocations_time_counts_below_it_too() -> None:
    """Even its own state says that the key was good then; a thief cannot choose the witnesses' time."""
    assert verify(with_sections(inserted(revoking(witnessed_ms() + 1), NoticeSection)))


@pytest.mark.parametrize("kind", [NoticeSection, StatementSection])
def test_a_confirmed_compromise_voids_what_was_witnessed_since_wherever_it_stands(kind: type) -> None:
    """The threshold of governance may say of the past what no state may say alone."""
    with pytest.raises(KeyRevoked, match="governance confirms"):
        verify(with_sections(inserted(confirming(witnessed_ms()), kind)))
    with pytest.raises(KeyRevoked, match="governance confirms"):
        verify(with_sections(lambda sections: sections.append(confirming(witnessed_ms()))))


def test_a_confirmed_compromise_leaves_what_was_witnessed_before() -> None:
    """What witnesses had before the thief came is the state's own word."""
    assert verify(with_sections(lambda sections: sections.append(confirming(witnessed_ms() + 1))))


def test_a_notice_by_a_key_confirmed_as_compromised_proves_nothing() -> None:
    """Who was told what by a thief is no evidence about the state."""
    node = material().everyone.members["XAA"].node.key_id
    with pytest.raises(KeyRevoked, match="governance confirms"):
        verify(with_sections(lambda sections: sections.append(confirming(witnessed_ms(), "XAA", node))))
    assert verify(
        with_sections(lambda sections: sections.append(confirming(witnessed_ms() + 1, "XAA", node)))
    )


def test_a_leaf_from_the_future_is_refused() -> None:
    """A leaf that claims a time after it was witnessed was not made by an honest clock."""
    here = material()
    played = PlayedLedger(here.everyone, here.played.clock)
    played.record(here.statements[0], here.everyone.now_ms + 3600 * 1000)
    late = replace(here, played=played, statements=here.statements[:1])
    with pytest.raises(TrustError, match="after it was witnessed"):
        verify(format_receipt(late.receipt()))


def test_two_roots_of_one_size_are_a_fork() -> None:
    """A receipt that is itself evidence of two ledgers is not a receipt."""
    here = material()
    other = PlayedLedger(here.everyone, here.played.clock)
    other.fill(here.played.size, b"other")
    with pytest.raises(Forked):
        verify(with_sections(lambda sections: sections.append(CheckpointSection(other.witnessed().data))))


def test_a_document_twice_or_out_of_order_is_refused() -> None:
    """The chains of documents are walked one by one, as everywhere."""
    with pytest.raises(FormatError, match="twice"):
        verify(with_sections(lambda sections: sections.insert(1, sections[0])))
    with pytest.raises(VersionGap, match="part 1"):
        verify(with_sections(lambda sections: sections.insert(0, sections.pop(2))))


def test_every_place_is_a_c2sp_proof() -> None:
    """Public tools read each statement's place as a tlog-proof of its own."""
    receipt = parse_receipt(genuine())
    found = [parse_proof(text) for _, text in tlog_proofs(receipt)]
    assert [one.index for one in found] == [5, 7, 9, 11]
    assert [one.extra for one in found] == list(material().statements)
    (checkpoint,) = [one for one in receipt.sections if isinstance(one, CheckpointSection)]
    assert {one.checkpoint for one in found} == {checkpoint.data}


def test_ten_gigabytes_of_junk_are_refused_by_their_size() -> None:
    """The cap stands before anything is parsed."""
    with pytest.raises(TooLarge):
        verify(bytes(MAX_RECEIPT_BYTES + 1))


def test_a_receipt_is_verified_within_fifty_milliseconds_a_statement() -> None:
    """From nothing: documents, notice, checkpoint and four statements, with no memory of signatures."""
    data, best = genuine(), 1.0
    for _ in range(5):
        began = time.perf_counter()
        verify(data)
        best = min(best, time.perf_counter() - began)
    assert best / len(material().statements) <= 0.050, best


def test_the_pinned_hash_is_the_first_roots() -> None:
    """What is pinned is the hash of the first document's body, and nothing else is needed."""
    (first, *_) = material().documents
    assert isinstance(first, DocumentSection)
    assert document_hash(parse_signed_document(first.data).body) == PINNED
