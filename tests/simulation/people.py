"""The community of a simulation: so many states, with cheap keys, and the documents that say so."""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from exchange.unsealer.messages import MadeKey
from keys import enrolment, governance
from keys.documents import sign_document
from keys.note_keys import NoteRole
from keys.signer import Signer
from keys.trust import TrustedDirectory
from protocol.documents import Role, StateEntry, StateStatus, document_hash, parse_signed_document
from tests.community import DAY_MS, NOW_MS, PREKEY_DAYS, YEAR_MS, role_keys
from tests.simulation.cheap import CheapNoteSecret, CheapVerifier, cheap_prekeys, cheap_signer
from tests.simulation.stage import hub_certificate

HUB = "HUB"
BEGAN_MS = NOW_MS
"""The time of day at which every simulation begins."""


@dataclass(frozen=True, slots=True)
class Citizen:
    """One state, with every secret it has."""

    code: str
    node: Signer
    witness: CheapNoteSecret
    prekeys: tuple[MadeKey, ...]


@dataclass(frozen=True, slots=True)
class SimCommunity:
    """Everybody, and everything that was signed, in the order of acceptance."""

    id: bytes
    states: Mapping[str, Citizen]
    hub: Signer
    log: CheapNoteSecret
    documents: tuple[bytes, ...]


def codes(count: int) -> tuple[str, ...]:
    """Return so many codes of fictitious states: XAA, XAB..."""
    letters = string.ascii_uppercase
    return tuple(f"X{letters[number // 26]}{letters[number % 26]}" for number in range(count))


@lru_cache(maxsize=4)
def sim_community(count: int) -> SimCommunity:
    """Return a community of so many states; to be called on a stage."""
    issued_ms = BEGAN_MS - 3600 * 1000
    roots = tuple(cheap_signer(f"custodian {number}", Role.ROOT) for number in (1, 2, 3))
    directories = tuple(cheap_signer(f"secretary {number}", Role.DIRECTORY) for number in (1, 2, 3))
    first = governance.first_root(
        "Community of a simulation",
        role_keys(2, roots),
        role_keys(2, directories),
        now_ms=issued_ms,
        life_ms=YEAR_MS,
    )
    root = sign_document(first, roots[:2])
    name = document_hash(parse_signed_document(root).body)
    trusted = TrustedDirectory(name, CheapVerifier())
    trusted.update(root, BEGAN_MS)
    states, entries, published = {}, [], []
    for code in codes(count):
        citizen, entry, documents = _citizen(code, name, issued_ms)
        states[code] = citizen
        entries.append(entry)
        published += documents
    hub, log = cheap_signer(HUB, Role.COORDINATOR), CheapNoteSecret(HUB)
    hub_entry = enrolment.coordinator_entry(
        hub,
        code=HUB,
        name="Hub of a simulation",
        url="wss://hub.example:8443/",
        community=name,
        certificates=[hub_certificate(HUB)],
        log=log.keys("hub.example/almenara", HUB, NoteRole.LOG, name),
    )
    listed = governance.next_directory(trusted, entries, [hub_entry], now_ms=issued_ms, life_ms=YEAR_MS)
    directory = sign_document(listed, directories[:2])
    return SimCommunity(name, states, hub, log, (root, directory, *published))


def _citizen(code: str, community: bytes, issued_ms: int) -> tuple[Citizen, StateEntry, list[bytes]]:
    identity, node = cheap_signer(code, Role.IDENTITY), cheap_signer(code, Role.NODE)
    officer, witness = cheap_signer(code, Role.OFFICER), CheapNoteSecret(f"{code} witness")
    prekeys = cheap_prekeys(f"{code} first prekey", issued_ms, PREKEY_DAYS)
    keys = tuple(
        enrolment.key_entry(
            key,
            state=code,
            community=community,
            owner=owner,
            from_ms=issued_ms - DAY_MS,
            until_ms=issued_ms + YEAR_MS,
        )
        for key, owner in ((node, f"node of {code}"), (officer, f"officer of {code}"))
    )
    manifest = enrolment.next_manifest(
        None,
        state=code,
        community=community,
        keys=keys,
        certificates=[hub_certificate(code)],
        witness=witness.keys(f"almenara/sim/{code}", code, NoteRole.WITNESS, community),
        now_ms=issued_ms,
        life_ms=YEAR_MS,
    )
    daily = enrolment.next_prekeys(
        None,
        state=code,
        community=community,
        keys=[key.public for key in prekeys],
        now_ms=issued_ms,
        life_ms=(PREKEY_DAYS + 2) * DAY_MS,
        tail=True,
    )
    entry = StateEntry(
        code=code,
        name=f"State {code}",
        status=StateStatus.ACTIVE,
        identity=identity.public,
        since_ms=issued_ms,
    )
    documents = [sign_document(manifest, [identity]), sign_document(daily, [node])]
    return Citizen(code, node, witness, prekeys), entry, documents
