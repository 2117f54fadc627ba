"""The vault: items at rest open only in their own place, with their own key."""

from __future__ import annotations

import pytest

from keys.vault import VAULT_KEY_BYTES, Vault
from protocol.errors import KeyRefused, StoreFailed

KEY = bytes(range(32))
VAULT = Vault(KEY)
ROW = b"row 1"


@pytest.mark.parametrize("item", [b"", b"a", bytes(100_000)])
def test_an_item_comes_back(item: bytes) -> None:
    """From the same place."""
    assert VAULT.unlock("content", ROW, VAULT.lock("content", ROW, item)) == item


def test_an_item_is_locked_differently_every_time() -> None:
    """A nonce is never used twice."""
    assert VAULT.lock("content", ROW, b"item") != VAULT.lock("content", ROW, b"item")


def test_the_item_does_not_show() -> None:
    """That is what it is for."""
    assert b"smoke" not in VAULT.lock("content", ROW, b"smoke on the hill")


@pytest.mark.parametrize(
    ("kind", "row"), [("seed", ROW), ("content", b"row 2"), ("content", b""), ("conten", b"trow 1")]
)
def test_an_item_in_another_place_does_not_open(kind: str, row: bytes) -> None:
    """Rows cannot be swapped behind the node's back."""
    with pytest.raises(StoreFailed, match="vault key"):
        VAULT.unlock(kind, row, VAULT.lock("content", ROW, b"item"))


def test_another_key_does_not_open() -> None:
    """Nor does a restored store with a new vault key."""
    with pytest.raises(StoreFailed):
        Vault(bytes(32)).unlock("content", ROW, VAULT.lock("content", ROW, b"item"))


def test_an_altered_item_does_not_open() -> None:
    """No byte is idle, and nothing may be cut."""
    locked = VAULT.lock("content", ROW, b"item")
    for place in range(len(locked)):
        changed = bytearray(locked)
        changed[place] ^= 1
        with pytest.raises(StoreFailed):
            VAULT.unlock("content", ROW, bytes(changed))
    for short in (b"", locked[:5], locked[:12], locked[:-1]):
        with pytest.raises(StoreFailed):
            VAULT.unlock("content", ROW, short)


@pytest.mark.parametrize("size", [0, 16, 24, 31, 33])
def test_a_vault_key_has_32_bytes(size: int) -> None:
    """A shorter one would silently be a weaker cipher."""
    with pytest.raises(KeyRefused):
        Vault(bytes(size))
    assert VAULT_KEY_BYTES == 32
