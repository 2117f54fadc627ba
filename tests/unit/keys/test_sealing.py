"""Sealing and opening: only the named recipients read, and all read the same."""

from __future__ import annotations

import pytest

from keys.opening import RecipientKey
from keys.payload import pad, seal_payload
from keys.sealing import (
    PAIR_START,
    OpenedNotice,
    PairPosition,
    SealedNotice,
    SealFor,
    decryption_proof,
    open_sealed_body,
    seal,
)
from keys.signature import SecretKey
from keys.signer import Signer
from protocol import codec
from protocol.documents import Role
from protocol.envelope import deliver, parse_delivery
from protocol.errors import CannotOpen, FormatError, KeyRefused, LocalProtocolError
from protocol.notice import Addressee, Header, header_hash, parse_manifest
from tests.openings import open_delivery
from tests.vectors import examples
from tests.vectors.kept import KEPT
from tests.vectors.world import body, fixed, header, packed, prekey, sealed, secret, tag

SIGNER = Signer(secret("XAA", "node"), Role.NODE)
FIRST = PairPosition(sequence=1, previous=PAIR_START)
SECOND = PairPosition(sequence=2, previous=bytes([7]) * 32)


def to(*states: str, position: PairPosition = FIRST) -> list[SealFor]:
    return [SealFor(state=code, prekey=prekey(code).public, position=position) for code in states]


def opened(notice: SealedNotice, number: int, key: RecipientKey) -> OpenedNotice:
    delivery, found = parse_delivery(codec.encode(deliver(notice.submission, number)))
    return open_delivery(delivery, found.manifest, found.header, key)


NOTICE = seal(
    header("XBB", "XCC"),
    body(),
    [*to("XBB"), *to("XCC", position=SECOND)],
    SIGNER,
)


def test_every_recipient_reads_the_same_body_and_its_own_position() -> None:
    """One payload, one key, one wrap for each."""
    first, second = opened(NOTICE, 0, prekey("XBB")), opened(NOTICE, 1, prekey("XCC"))
    assert first.body == second.body == body()
    assert (first.position, second.position) == (FIRST, SECOND)
    assert first.content_key == second.content_key == NOTICE.content_key


def test_what_another_implementation_sealed_opens() -> None:
    """The vectors' own sealing follows the page and shares nothing with this one."""
    delivery, found = parse_delivery(examples.envelope().delivery())
    assert open_delivery(delivery, found.manifest, found.header, prekey("XBB")).body == body()


def test_sealing_with_the_same_randomness_gives_the_same_payload() -> None:
    """Nothing is drawn but through the argument, a key and a salt."""
    asked: list[int] = []

    def randomness(size: int) -> bytes:
        asked.append(size)
        return bytes([len(asked)]) * size

    one = seal(header("XBB"), body(), to("XBB"), SIGNER, randomness)
    assert asked == [32, 24]
    assert one.content_key == b"\1" * 32
    bound = tag("payload") + header_hash(packed(header("XBB")))
    again = seal_payload(b"\1" * 32, pad(packed(body())), bound, b"\2" * 24)
    assert one.submission.payload == again


def test_two_seals_of_one_notice_share_no_key_and_no_id() -> None:
    """Fresh randomness every time."""
    one, two = (seal(header("XBB"), body(), to("XBB"), SIGNER) for _ in range(2))
    assert one.id != two.id
    assert one.content_key != two.content_key


def test_the_key_of_another_recipient_opens_nothing() -> None:
    """Not even its own wrap under another number."""
    with pytest.raises(CannotOpen, match="not the one that the envelope names"):
        opened(NOTICE, 0, prekey("XCC"))


def test_a_content_key_opens_the_payload_for_a_disclosure() -> None:
    """An auditor needs no secret key of anybody."""
    manifest, _ = parse_manifest(NOTICE.submission.manifest)
    assert open_sealed_body(NOTICE.submission.payload, manifest.header, NOTICE.content_key) == body()
    with pytest.raises(CannotOpen):
        open_sealed_body(NOTICE.submission.payload, manifest.header, bytes(32))
    with pytest.raises(CannotOpen):
        open_sealed_body(NOTICE.submission.payload, packed(header("XBB")), NOTICE.content_key)


def test_one_recipient_with_another_content_key_cannot_open() -> None:
    """Threat 18: different content for different recipients meets the commitment."""
    delivery, found = parse_delivery(
        sealed(KEPT, header("XBB"), packed(body()), wrapped_key=fixed("another content key", 32)).delivery()
    )
    with pytest.raises(CannotOpen):
        open_delivery(delivery, found.manifest, found.header, prekey("XBB"))


def test_a_decryption_proof_is_of_one_key_one_envelope_and_one_state() -> None:
    """What XBB proves, XCC cannot repeat as its own."""
    key = NOTICE.content_key
    proofs = {
        decryption_proof(key, NOTICE.id, "XBB"),
        decryption_proof(key, NOTICE.id, "XCC"),
        decryption_proof(key, bytes(32), "XBB"),
        decryption_proof(bytes(32), NOTICE.id, "XBB"),
    }
    assert len(proofs) == 4
    assert {len(proof) for proof in proofs} == {32}


@pytest.mark.parametrize(
    ("head", "states"),
    [
        (header("XBB"), ("XCC",)),
        (header("XBB"), ()),
        (header("XBB", "XCC"), ("XCC", "XBB")),
        (header("XBB"), ("XBB", "XCC")),
    ],
)
def test_header_and_recipients_must_fit_each_other(head: Header, states: tuple[str, ...]) -> None:
    """In their order: a wrap for the wrong state would be lost."""
    with pytest.raises(LocalProtocolError):
        seal(head, body(), to(*states), SIGNER)


def test_nobody_seals_in_anothers_name() -> None:
    """Header, body and signer name one sender."""
    with pytest.raises(LocalProtocolError):
        seal(header("XBB"), body(sender="XCC"), to("XBB"), SIGNER)
    with pytest.raises(LocalProtocolError):
        seal(header("XBB"), body(), to("XBB"), Signer(SecretKey.generate(), Role.NODE))


@pytest.mark.parametrize(
    "position",
    [
        PairPosition(0, PAIR_START),
        PairPosition(1, bytes([7]) * 32),
        PairPosition(2, PAIR_START),
        PairPosition(2**63, bytes([7]) * 32),
        PairPosition(-1, bytes([7]) * 32),
    ],
)
def test_an_impossible_position_is_not_sealed(position: PairPosition) -> None:
    """The recipient would refuse it."""
    with pytest.raises(LocalProtocolError):
        seal(header("XBB"), body(), to("XBB", position=position), SIGNER)


def test_only_a_node_key_signs_a_notice() -> None:
    """An officer's key is for answers."""
    officer = Signer(secret("XAA", "officer"), Role.OFFICER)
    with pytest.raises(LocalProtocolError):
        seal(header("XBB", key_id=officer.key_id), body(), to("XBB"), officer)


def test_a_body_out_of_bounds_is_not_sealed() -> None:
    """What the recipient would refuse is refused here, before anything is encrypted."""
    for wrong in (body(subject=""), body(text="\x1b[2J"), body(text="ñ" * 131_073)):
        with pytest.raises(FormatError):
            seal(header("XBB"), wrong, to("XBB"), SIGNER)


def test_a_broken_prekey_is_not_sealed_to() -> None:
    """Better no notice than one that nobody opens."""
    broken = SealFor(state="XBB", prekey=bytes([255]) * 1216, position=FIRST)
    with pytest.raises(KeyRefused):
        seal(header("XBB"), body(), [broken], SIGNER)


def test_secrets_do_not_show_in_logs() -> None:
    """A content key opens the notice."""
    shown = repr(NOTICE) + repr(opened(NOTICE, 0, prekey("XBB")))
    assert NOTICE.content_key.hex() not in shown
    assert repr(NOTICE.content_key) not in shown


def test_the_prekey_named_in_the_header_is_what_the_wrap_is_bound_to() -> None:
    """A wrap sealed to the right key under another id opens for nobody."""
    other = (Addressee(state="XBB", prekey_id=fixed("another id", 32)),)
    notice = seal(header(recipients=other), body(), to("XBB"), SIGNER)
    with pytest.raises(CannotOpen):
        opened(notice, 0, prekey("XBB"))
