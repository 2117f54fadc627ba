"""Why a member cannot be sealed for: each reason has its own sentence, and none stops the others."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from exchange.node.choosing import choose, choose_all
from keys import enrolment, governance
from keys.documents import sign_document
from keys.prekeys import make_prekeys
from keys.trust import TrustedDirectory
from protocol.documents import Revocation, Role, StateStatus
from protocol.errors import NoUsableKey, UnknownState
from tests.community import (
    DAY_MS,
    NOW_MS,
    YEAR_MS,
    Community,
    certificate,
    community,
    new_member,
    signer,
)


def next_manifest(trusted: TrustedDirectory, **changes: object) -> None:
    """Let XCC publish its next manifest."""
    member = community().members["XCC"]
    plain: dict[str, object] = {"keys": member.keys, "certificates": [certificate("XCC")]}
    manifest = enrolment.next_manifest(
        trusted.documents.manifests["XCC"],
        state="XCC",
        community=trusted.community,
        now_ms=NOW_MS,
        life_ms=YEAR_MS,
        **(plain | changes),  # type: ignore[arg-type]
    )
    trusted.update(sign_document(manifest, [member.identity]), NOW_MS)


def next_prekeys(trusted: TrustedDirectory, first_day_ms: int, public: bytes | None = None) -> None:
    """Let XCC publish its next list of daily keys."""
    made = [one.public for one in make_prekeys(first_day_ms, 14, secrets.token_bytes)]
    if public is not None:
        made = [replace(one, public=public) for one in made[:1]]
    listed = enrolment.next_prekeys(
        trusted.documents.prekeys["XCC"],
        state="XCC",
        community=trusted.community,
        keys=made,
        now_ms=NOW_MS,
        life_ms=YEAR_MS,
        tail=False,
    )
    trusted.update(sign_document(listed, [community().members["XCC"].node]), NOW_MS)


def new_directory(trusted: TrustedDirectory, everyone: Community, **states: object) -> None:
    """Let governance change or add entries."""
    entries = {entry.code: entry for entry in trusted.states()} | states
    following = governance.next_directory(
        trusted,
        [entries[code] for code in sorted(entries)],  # type: ignore[misc]
        trusted.coordinators(),
        now_ms=NOW_MS,
        life_ms=YEAR_MS,
    )
    trusted.update(everyone.signed_by_governance(following), NOW_MS)


def another_identity(trusted: TrustedDirectory) -> None:
    """Let governance give XCC a new identity key, which has signed nothing yet."""
    fresh = replace(community().members["XCC"].entry, identity=signer("XCC again", Role.IDENTITY).public)
    new_directory(trusted, community(), XCC=fresh)


def revoke_node_key(trusted: TrustedDirectory) -> None:
    """Let XCC revoke the key that signed its list."""
    next_manifest(trusted, revoked=[Revocation(community().members["XCC"].node.key_id, "lost", NOW_MS)])


REASONS: dict[str, tuple[Callable[[TrustedDirectory], None], int, str]] = {
    "its identity key is new": (another_identity, NOW_MS, "present identity key"),
    "its list's signer is revoked": (revoke_node_key, NOW_MS, "revoked"),
    "its list has expired": (lambda _: None, NOW_MS + 80 * DAY_MS, "expired at"),
    "its node is silent": (lambda t: next_prekeys(t, NOW_MS), NOW_MS + 20 * DAY_MS, "is silent"),
    "its first day is to come": (lambda t: next_prekeys(t, NOW_MS + 3 * DAY_MS), NOW_MS, "starts later"),
    "its key is weak": (lambda t: next_prekeys(t, NOW_MS, bytes(1216)), NOW_MS, "nothing can be sealed"),
}


@pytest.mark.parametrize("name", REASONS)
def test_the_reason_is_said_and_keeps_nothing_from_the_others(name: str) -> None:
    """The sender must know whom to call about what."""
    change, at_ms, words = REASONS[name]
    trusted = community().directory()
    change(trusted)
    with pytest.raises(NoUsableKey, match=words) as caught:
        choose(trusted, "XCC", at_ms)
    assert "XCC" in caught.value.message
    if at_ms == NOW_MS:
        usable, missing = choose_all(trusted, ["XBB", "XCC"], at_ms)
        assert (list(usable), list(missing)) == (["XBB"], ["XCC"])


def test_a_state_that_has_just_been_admitted_has_no_key_yet() -> None:
    """Its entry counts at once, its documents follow; until then a notice can wait for it."""
    trusted = community().directory()
    new_directory(trusted, community(), XDD=new_member("XDD", community().id, NOW_MS).entry)
    with pytest.raises(NoUsableKey, match="XDD has published no sealing keys yet"):
        choose(trusted, "XDD", NOW_MS)


def test_a_suspended_state_is_not_one_without_a_key() -> None:
    """Nobody waits for a member that governance has put out."""
    trusted = community().directory()
    entry = replace(community().members["XCC"].entry, status=StateStatus.SUSPENDED)
    new_directory(trusted, community(), XCC=entry)
    with pytest.raises(UnknownState):
        choose(trusted, "XCC", NOW_MS)


def test_a_key_that_can_be_used_comes_with_its_signer() -> None:
    """So that a revocation of that signer finds what was sealed under its list."""
    chosen = choose(community().directory(), "XCC", NOW_MS)
    assert chosen.signer == community().members["XCC"].node.key_id
    assert chosen.key_id == community().members["XCC"].prekeys[0].public.key_id
