"""What a member could try with genuine envelopes of others; numbered as in the threat model.

Where an attacker signs for itself, the signature verifies: encryption alone must hold.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import product

import msgspec
import pytest

from keys.authenticity import verify_delivery
from keys.opening import RecipientKey
from keys.wrap import wrap
from protocol.envelope import Delivery, Submission, deliver, parse_delivery
from protocol.errors import (
    CannotOpen,
    FormatError,
    NotAddressed,
    Tampered,
    UnknownSigner,
)
from protocol.notice import Manifest, header_hash, parse_manifest
from tests.openings import open_delivery
from tests.property.material import (
    NODE,
    delivery,
    opened_blindly,
    read,
    relayed,
    resigned,
    submission,
    with_header,
)
from tests.vectors.world import (
    NOW_MS,
    VERIFIER,
    directory,
    fixed,
    header,
    info,
    packed,
    prekey,
)


def mixtures() -> Iterator[Delivery]:
    """Yield every mixture of header, wrap and payload, each with a manifest that its sender signs."""
    parts = {name: parse_delivery(delivery(name)) for name in ("fire", "flood")}
    for names in product(parts, repeat=3):
        if len(set(names)) > 1:
            head, wrapped, payload = (parts[name] for name in names)
            manifest = packed(
                Manifest(
                    header=head[1].manifest.header,
                    wrap_hashes=(hashlib.sha256(wrapped[0].wrap).digest(), bytes(32)),
                    payload_hash=hashlib.sha256(payload[0].payload).digest(),
                    payload_length=len(payload[0].payload),
                    blobs=(),
                )
            )
            proof = resigned(manifest, NODE["XAA"])
            yield Delivery(
                manifest=manifest, proof=proof, index=0, wrap=wrapped[0].wrap, payload=payload[0].payload
            )


def test_parts_do_not_mix_even_if_their_sender_signs_the_mixture() -> None:
    """Threats 18 and 25: header and payload are bound into every wrap, the header into the payload."""
    for mixed in mixtures():
        data = packed(mixed)
        assert verify_delivery(directory(), VERIFIER, data, "XBB", NOW_MS)
        with pytest.raises(CannotOpen):
            opened_blindly(data, "XBB")


@pytest.mark.parametrize("thief", ["XBB", "XCC"])
def test_threat_16_nobody_passes_anothers_notice_off_as_its_own(thief: str) -> None:
    """Claim another's notice: signed anew with its own name and key, it verifies, and opens for nobody."""
    genuine = submission("fire")
    manifest = with_header(genuine.manifest, sender=thief, key_id=NODE[thief].key_id)
    proof = resigned(manifest, NODE[thief])
    stolen = msgspec.structs.replace(genuine, manifest=manifest, proof=proof)
    assert relayed(packed(stolen), by=thief)
    for number, me in enumerate(("XBB", "XCC")):
        with pytest.raises(CannotOpen):
            opened_blindly(packed(deliver(stolen, number)), me)


def test_threat_16_the_name_alone_cannot_be_changed_either() -> None:
    """A sender that is not the key's owner has no such key."""
    for changes in ({"sender": "XBB"}, {"key_id": NODE["XBB"].key_id}):
        genuine = parse_delivery(delivery("fire"))[0]
        manifest = with_header(genuine.manifest, **changes)
        for signer in (NODE["XAA"], NODE["XBB"]):
            bad = msgspec.structs.replace(genuine, manifest=manifest, proof=resigned(manifest, signer))
            with pytest.raises(UnknownSigner):
                verify_delivery(directory(), VERIFIER, packed(bad), "XBB", NOW_MS)


def forwarded(to: str, number: int) -> Delivery:
    """Wrap the content key anew for another state, as a recipient can who has read it."""
    genuine, sealed = parse_delivery(delivery("fire"))
    notice = read(delivery("fire"))
    assert notice is not None
    bound = header_hash(sealed.manifest.header)
    binding = info(bound, sealed.manifest.payload_hash, to, prekey(to).key_id)
    again = wrap(prekey(to).public, binding, notice.content_key + (1).to_bytes(8, "big") + bytes(32))
    return msgspec.structs.replace(genuine, wrap=again, index=number)


def test_threat_17_a_notice_forwarded_to_a_third_state_is_not_addressed_to_it() -> None:
    """Surreptitious forward: recipients are signed, so the stranger sees that it is none."""
    for number in (0, 1):
        with pytest.raises(NotAddressed):
            verify_delivery(directory(), VERIFIER, packed(forwarded("XAA", number)), "XAA", NOW_MS)


def test_threat_17_a_wrap_made_by_somebody_else_is_not_the_signed_one() -> None:
    """Not even for a state to which the notice was addressed."""
    with pytest.raises(Tampered):
        verify_delivery(directory(), VERIFIER, packed(forwarded("XCC", 1)), "XCC", NOW_MS)


def test_threat_18_two_content_keys_never_show_two_texts() -> None:
    """Different content to different recipients: one reads, the other says that it cannot open."""
    genuine = submission("fire")
    manifest, _ = parse_manifest(genuine.manifest)
    bound = header_hash(manifest.header)
    binding = info(bound, manifest.payload_hash, "XCC", prekey("XCC").key_id)
    other = wrap(prekey("XCC").public, binding, fixed("another key", 32) + (1).to_bytes(8, "big") + bytes(32))
    hashes = (manifest.wrap_hashes[0], hashlib.sha256(other).digest())
    crafted = packed(msgspec.structs.replace(manifest, wrap_hashes=hashes))
    unfair = Submission(
        manifest=crafted,
        proof=resigned(crafted, NODE["XAA"]),
        wraps=(genuine.wraps[0], other),
        payload=genuine.payload,
    )
    assert relayed(packed(unfair))
    first = read(packed(deliver(unfair, 0)), "XBB")
    assert first is not None
    assert first.body.subject == "about fire"
    with pytest.raises(CannotOpen):
        opened_blindly(packed(deliver(unfair, 1)), "XCC")


def test_threat_25_a_recipient_cannot_use_a_wrap_in_a_notice_of_its_own() -> None:
    """Replay the sender's wrap: XBB sends XAA's wrap and payload on to XCC in XBB's own notice."""
    genuine = submission("fire")
    head = header("XCC", sender="XBB", key_id=NODE["XBB"].key_id)
    manifest = packed(
        Manifest(
            header=packed(head),
            wrap_hashes=(hashlib.sha256(genuine.wraps[1]).digest(),),
            payload_hash=hashlib.sha256(genuine.payload).digest(),
            payload_length=len(genuine.payload),
            blobs=(),
        )
    )
    replayed = Submission(
        manifest=manifest,
        proof=resigned(manifest, NODE["XBB"]),
        wraps=(genuine.wraps[1],),
        payload=genuine.payload,
    )
    assert relayed(packed(replayed), by="XBB")
    with pytest.raises(CannotOpen):
        opened_blindly(packed(deliver(replayed, 0)), "XCC")


def test_threat_26_only_the_named_key_is_ever_tried() -> None:
    """Partition oracle: a wrap for another key of the same state answers like any other failure."""
    found, sealed = parse_delivery(delivery("fire"))
    answers = set()
    for key in (prekey("XCC"), RecipientKey.from_seed(bytes(32))):
        with pytest.raises(CannotOpen) as caught:
            open_delivery(found, sealed.manifest, sealed.header, key)
        answers.add((caught.value.message, caught.value.peer_code))
    assert len(answers) == 1


@pytest.mark.parametrize("length", [0, 1, 71, 72, 1207, 1209, 2416])
def test_threat_26_a_wrap_of_another_length_is_no_delivery(length: int) -> None:
    """Partition oracle: a wrap has one length, checked before any key is looked for."""
    found, _ = parse_delivery(delivery("fire"))
    with pytest.raises(FormatError):
        parse_delivery(packed(msgspec.structs.replace(found, wrap=(found.wrap * 2)[:length])))
