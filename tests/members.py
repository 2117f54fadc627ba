"""What the state XAA could sign next: a manifest, a prekey list, a publication."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from keys import enrolment, governance
from keys.signer import Signer
from keys.trust import TrustedDirectory
from protocol.documents import (
    KeyEntry,
    PrekeyList,
    Publication,
    StateEntry,
    StateManifest,
)
from tests.community import (
    DAY_MS,
    NOW_MS,
    YEAR_MS,
    Community,
)


def key(
    one: Signer, community_id: bytes, *, state: str = "XAA", from_ms: int = NOW_MS - DAY_MS, **changes: Any
) -> KeyEntry:
    entry = enrolment.key_entry(
        one,
        state=state,
        community=community_id,
        owner="somebody",
        from_ms=from_ms,
        until_ms=NOW_MS + YEAR_MS,
    )
    return replace(entry, **changes)


def manifest(trusted: TrustedDirectory, *added: KeyEntry, **changes: Any) -> StateManifest:
    """Return the next manifest of XAA with these keys added."""
    held = trusted.documents.manifests["XAA"]
    made = enrolment.next_manifest(
        held,
        state="XAA",
        community=trusted.community,
        keys=[*held.document.keys, *added],
        certificates=held.document.certificates,
        now_ms=NOW_MS,
        life_ms=YEAR_MS,
    )
    return replace(made, **changes)


def prekeys(trusted: TrustedDirectory, **changes: Any) -> PrekeyList:
    """Return the next prekey list of XAA."""
    held = trusted.documents.prekeys["XAA"]
    made = enrolment.next_prekeys(
        held,
        state="XAA",
        community=trusted.community,
        keys=held.document.keys,
        now_ms=NOW_MS,
        life_ms=DAY_MS,
        tail=False,
    )
    return replace(made, **changes)


def schema(trusted: TrustedDirectory, **changes: Any) -> Publication:
    """Return the next version of XAA's severity schema."""
    made = enrolment.next_publication(
        trusted.documents.publications.get(("XAA", "severity", "national")),
        state="XAA",
        community=trusted.community,
        topic="severity",
        name="national",
        content=b"levels",
        now_ms=NOW_MS,
    )
    return replace(made, **changes)


def with_states(built: Community, trusted: TrustedDirectory, *states: StateEntry) -> None:
    """Let governance publish the next directory with these states."""
    document = governance.next_directory(
        trusted, states, trusted.coordinators(), now_ms=NOW_MS, life_ms=YEAR_MS
    )
    trusted.update(built.signed_by_governance(document), NOW_MS)
