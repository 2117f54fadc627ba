"""Roots and directories that governance could sign next, and a check that one is refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgpack
import msgspec
import pytest
from msgspec.structs import replace

from keys import governance
from keys.signer import Signer
from keys.trust import TrustedDirectory
from protocol import codec
from protocol.documents import (
    CONTEXTS,
    CoordinatorEntry,
    Directory,
    Document,
    DocumentSignature,
    Role,
    Root,
    SignedDocument,
    StateEntry,
)
from protocol.errors import (
    AlmenaraError,
)
from tests.community import NOW_MS, YEAR_MS, signer

CUSTODIANS = tuple(signer(f"custodian {number}", Role.ROOT) for number in range(1, 10))
SECRETARIES = tuple(signer(f"secretary {number}", Role.DIRECTORY) for number in range(1, 10))


def refused(
    trusted: TrustedDirectory, data: bytes, error: type[AlmenaraError], *, now_ms: int = NOW_MS
) -> AlmenaraError:
    """Check that a document is refused for this reason and leaves everything as it was."""
    before = trusted.documents
    with pytest.raises(error) as caught:
        trusted.update(data, now_ms)
    assert type(caught.value) is error
    assert trusted.documents is before
    return caught.value


def signed_anyhow(document: Document, signers: Sequence[Signer]) -> bytes:
    """Sign a document that breaks its layout, which the project's own writer refuses to write."""
    body = bytes(msgpack.packb(msgspec.to_builtins(document, builtin_types=(bytes,)), use_bin_type=True))
    signatures = tuple(
        DocumentSignature(key_id=one.key_id, signature=one.sign(CONTEXTS[type(document)], body).signature)
        for one in signers
    )
    return codec.encode(SignedDocument(body=body, signatures=signatures))


def next_root(trusted: TrustedDirectory, **changes: Any) -> Root:
    return replace(governance.next_root(trusted, now_ms=NOW_MS, life_ms=YEAR_MS), **changes)


def next_directory(
    trusted: TrustedDirectory,
    states: Sequence[StateEntry] | None = None,
    coordinators: Sequence[CoordinatorEntry] | None = None,
    **changes: Any,
) -> Directory:
    made = governance.next_directory(
        trusted,
        trusted.states() if states is None else states,
        trusted.coordinators() if coordinators is None else coordinators,
        now_ms=NOW_MS,
        life_ms=YEAR_MS,
    )
    return replace(made, **changes)
