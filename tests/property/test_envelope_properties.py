"""Whatever is changed or exchanged in an envelope or a statement, it is refused.

Every byte, every field, and every part of two genuine envelopes in every mixture.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.authenticity import verify_delivery
from keys.signer import Signer
from protocol.documents import Role
from protocol.envelope import Delivery, deliver, parse_delivery, parse_submission
from protocol.errors import (
    BadSignature,
    CannotOpen,
    SuiteRefused,
    UnknownSigner,
)
from protocol.notice import Addressee, Header, parse_manifest
from protocol.signed import Context
from protocol.statement import SignedStatement, StatementKind
from tests.property.material import (
    NODE,
    believed,
    delivery,
    flipped,
    opened_blindly,
    read,
    relayed,
    said,
    submission,
)
from tests.vectors import examples
from tests.vectors.world import (
    NOW_MS,
    VERIFIER,
    directory,
    header,
    packed,
    prekey,
    secret,
    statement,
)

relaxed = settings(deadline=None, max_examples=400)


def test_the_material_is_genuine() -> None:
    """Otherwise everything below would prove nothing."""
    for name, number, me in product(("fire", "flood"), (0, 1), ("XBB", "XCC")):
        notice = read(delivery(name, number), me)
        assert (notice is not None) == (me == ("XBB", "XCC")[number])
        assert notice is None or notice.body.subject == f"about {name}"
    assert relayed(packed(submission("fire")))
    for kind in (StatementKind.ACCEPTED, StatementKind.RECEIVED):
        statement_read = believed(said(kind))
        assert statement_read is not None
        assert statement_read.kind is kind


def test_no_byte_of_a_delivery_is_idle() -> None:
    """Every position once: what is changed is never opened."""
    data = delivery("fire")
    assert [place for place in range(len(data)) if read(flipped(data, place)) is not None] == []


def test_no_byte_of_a_statement_is_idle() -> None:
    """Every position once: what is changed is never believed."""
    for kind in (StatementKind.ACCEPTED, StatementKind.RECEIVED):
        data = said(kind)
        assert [place for place in range(len(data)) if believed(flipped(data, place)) is not None] == []


@relaxed
@given(place=st.floats(0, 1, exclude_max=True), by=st.integers(1, 255))
def test_any_change_of_a_byte_of_a_submission_is_not_relayed(place: float, by: int) -> None:
    """The coordinator refuses what the recipients would."""
    data = packed(submission("fire"))
    assert not relayed(flipped(data, int(place * len(data)), by))


@relaxed
@given(place=st.floats(0, 1, exclude_max=True), by=st.integers(1, 255))
def test_any_change_of_a_byte_of_a_delivery_is_not_opened(place: float, by: int) -> None:
    """Any bits of any byte, not only those of the scan."""
    data = delivery("fire")
    assert read(flipped(data, int(place * len(data)), by)) is None


@relaxed
@given(cut=st.floats(0, 1, exclude_max=True), tail=st.binary(min_size=1, max_size=4))
def test_a_cut_or_prolonged_object_is_refused(cut: float, tail: bytes) -> None:
    """At any place, and by any bytes."""
    for data, reader in ((delivery("fire"), read), (said(), believed)):
        assert reader(data[: int(cut * len(data))]) is None
        assert reader(data + tail) is None


def test_parts_of_two_genuine_envelopes_do_not_mix() -> None:
    """Manifest, proof, wrap and payload in all 14 mixtures: threat 25 among them."""
    parts = {name: parse_delivery(delivery(name))[0] for name in ("fire", "flood")}
    for names in product(parts, repeat=4):
        manifest, proof, wrapped, payload = names
        mixed = Delivery(
            manifest=parts[manifest].manifest,
            proof=parts[proof].proof,
            index=0,
            wrap=parts[wrapped].wrap,
            payload=parts[payload].payload,
        )
        assert (read(packed(mixed)) is not None) == (len(set(names)) == 1), names


CHANGES: list[dict[str, Any]] = [
    {"suite": 2},
    {"suite": 0x7F00},
    {"kind": 5},
    {"exercise": False},
    {"sender": "XCC"},
    {"key_id": bytes(32)},
    {"nonce": bytes(16)},
    {"created_ms": NOW_MS - 1},
    {"expires_ms": NOW_MS + 1000},
    {"directory": msgspec.structs.replace(header("XBB").directory, version=2)},
    {"recipients": (Addressee(state="XBB", prekey_id=prekey("XBB").key_id),)},
    {"severity": msgspec.structs.replace(header("XBB").severity, level="leve", point=1)},
    {"respond_by_ms": None},
]


def test_every_field_of_the_header_is_changed_below() -> None:
    """A new field must be added to the list, except the version, which has one value."""
    assert {name for change in CHANGES for name in change} == {*Header.__struct_fields__} - {"v"}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: "-".join(change))
def test_a_changed_header_is_refused_unsigned_and_opens_nothing_signed(change: dict[str, Any]) -> None:
    """Without the sender's signature nobody believes it; with it, encryption still holds (threat 15)."""
    genuine = parse_delivery(delivery("fire"))[0]
    parsed, head = parse_manifest(genuine.manifest)
    changed = packed(msgspec.structs.replace(head, **change))
    hashes = parsed.wrap_hashes[: len(msgspec.structs.replace(head, **change).recipients)]
    manifest = packed(msgspec.structs.replace(parsed, header=changed, wrap_hashes=hashes))
    bad = packed(msgspec.structs.replace(genuine, manifest=manifest))
    with pytest.raises((BadSignature, UnknownSigner, SuiteRefused)):
        verify_delivery(directory(), VERIFIER, bad, "XBB", NOW_MS)
    with pytest.raises(CannotOpen):
        opened_blindly(bad, "XBB")


def test_recipients_cannot_be_exchanged() -> None:
    """Neither their numbers nor their wraps: every recipient gets exactly its own."""
    first, second = (parse_delivery(delivery("fire", number))[0] for number in (0, 1))
    for mixed in (
        msgspec.structs.replace(first, index=1),
        msgspec.structs.replace(second, index=0),
        msgspec.structs.replace(first, wrap=second.wrap),
        msgspec.structs.replace(second, wrap=first.wrap),
    ):
        for me in ("XBB", "XCC"):
            assert read(packed(mixed), me) is None
    swapped = msgspec.structs.replace(submission("fire"), wraps=submission("fire").wraps[::-1])
    assert not relayed(packed(swapped))
    assert parse_submission(packed(swapped))[1].id == parse_delivery(delivery("fire"))[1].id


def test_a_notice_cannot_be_addressed_anew() -> None:
    """A recipient added, left out or renamed in the signed list breaks the signature."""
    genuine = submission("fire")
    parsed, head = parse_manifest(genuine.manifest)
    third = Addressee(state="XDD", prekey_id=prekey("XCC").key_id)
    lists = [(head.recipients[0],), (*head.recipients, third), (head.recipients[0], third)]
    for recipients in lists:
        header_bytes = packed(msgspec.structs.replace(head, recipients=recipients))
        hashes = (*parsed.wrap_hashes, bytes(32))[: len(recipients)]
        manifest = packed(msgspec.structs.replace(parsed, header=header_bytes, wrap_hashes=hashes))
        bad = deliver(msgspec.structs.replace(genuine, manifest=manifest), 0)
        with pytest.raises(BadSignature):
            verify_delivery(directory(), VERIFIER, packed(bad), "XBB", NOW_MS)


def test_parts_of_two_statements_do_not_mix() -> None:
    """A body under another's signature, by the same state or another."""
    signed = [examples.signed(examples.received(), "node"), examples.signed(examples.accepted(), "officer")]
    for one, two in ((signed[0], signed[1]), (signed[1], signed[0])):
        assert believed(packed(SignedStatement(body=one.body, proof=two.proof))) is None


def test_a_statement_is_not_said_anew_by_another() -> None:
    """Signed anew with another key, the answer is that key's or nobody's, never XBB's."""
    content = packed(examples.accepted())
    for party, role in (("XCC", "officer"), ("XBB", "node"), ("XAA", "node"), ("HUB", "coordinator")):
        key = secret(party, role)
        proof = Signer(key, Role(role)).sign(Context.STATEMENT, content)
        assert believed(packed(SignedStatement(body=content, proof=proof))) is None
        for changes in ({"key_id": key.key_id}, {"party": party}):
            renamed = packed(msgspec.structs.replace(examples.accepted(), **changes))
            proof = Signer(key, Role(role)).sign(Context.STATEMENT, renamed)
            assert believed(packed(SignedStatement(body=renamed, proof=proof))) is None


def test_a_signature_over_a_statement_is_none_over_a_notice() -> None:
    """One key signs both; the context keeps them apart."""
    genuine = parse_delivery(delivery("fire"))[0]
    proof = NODE["XAA"].sign(Context.STATEMENT, genuine.manifest)
    with pytest.raises(BadSignature):
        verify_delivery(
            directory(), VERIFIER, packed(msgspec.structs.replace(genuine, proof=proof)), "XBB", NOW_MS
        )
    content = packed(statement(StatementKind.WITHDRAWN, bytes(32)))
    assert (
        believed(packed(SignedStatement(body=content, proof=NODE["XBB"].sign(Context.NOTICE, content))))
        is None
    )
    assert believed(packed(SignedStatement(body=content, proof=NODE["XBB"].sign(Context.STATEMENT, content))))
