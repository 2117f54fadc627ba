"""Opening with a secret key at hand, as the unsealer and the node do together."""

from __future__ import annotations

from keys.detail import detail_info, read_detail
from keys.opening import RecipientKey
from keys.sealing import OpenedNotice, wrap_info
from keys.sealing import open_delivery as open_unwrapped
from protocol.envelope import Delivery
from protocol.errors import CannotOpen
from protocol.notice import Header, Manifest
from protocol.statement import SealedDetail


def open_delivery(delivery: Delivery, manifest: Manifest, header: Header, key: RecipientKey) -> OpenedNotice:
    """Open a delivery with the secret key at hand, if it is the one that the header names."""
    if key.key_id != header.recipients[delivery.index].prekey_id:
        raise CannotOpen("the key at hand is not the one that the envelope names")
    unwrapped = key.unwrap(delivery.wrap, wrap_info(manifest, header, delivery.index))
    return open_unwrapped(delivery, manifest, header, unwrapped)


def open_detail(detail: SealedDetail, key: RecipientKey, envelope: bytes, party: str) -> str:
    """Open an officer's note with the secret key of the notice's sender."""
    return read_detail(key.open_sealed(detail.sealed, detail_info(detail.prekey_id, envelope, party)))
