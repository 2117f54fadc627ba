"""A state's node set up by hand: every key, the first documents, the request to be admitted."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from exchange.clock import Clock
from exchange.datadir import DataDir
from exchange.keystore import write_secret
from exchange.link.certificate import make_certificate
from exchange.node.prekeeper import store_prekeys
from exchange.node.service import MIGRATIONS
from exchange.node.tokens import Identity, TokenRole
from exchange.pinned_root import ROOT_HASH_FILE
from exchange.setup import people, words
from exchange.setup.files import REQUEST_FILE, new_place, write_file
from exchange.setup.keyring import KeyStore, Protect, TokenStore, new_note_secret, new_signer, write_key
from exchange.setup.settings_file import settings_text
from exchange.setup.severities import find_schema, publication_of
from exchange.stores.engine import Engine
from exchange.unsealer.daykeys import DayKeys, FileDayKeys
from exchange.unsealer.messages import MadeKey
from exchange.unsealer.opener import Opener
from keys.calendar import DAYS_AHEAD
from keys.daylock import KEY_BYTES
from keys.documents import sign_document
from keys.enrolment import key_entry, next_manifest, next_prekeys, state_request
from keys.held import Documents
from keys.keyfile import KeyKind
from keys.note_keys import NoteRole
from keys.signer import Signer
from keys.trust import MAX_SKEW_MS
from keys.vault import VAULT_KEY_BYTES
from protocol import codec
from protocol.documents import TAIL_MS, NoteKeys, Role
from protocol.severity import Schema

MANIFEST_LIFE_MS = words.YEAR_MS
KEY_LIFE_MS = words.YEAR_MS
CERTIFICATE_LIFE_MS = words.YEAR_MS
PROGRAM, DISPLAY = "program", "display"


@dataclass(frozen=True, slots=True)
class NewNode:
    """What people must know about a node that was set up."""

    state: str
    name: str
    key_id: bytes
    request: Path
    identity_key: Path
    tokens: tuple[Path, ...]
    severity: str | None


@dataclass(frozen=True, slots=True)
class _Plan:
    """What was asked for, checked, before anything is made."""

    state: str
    name: str
    root_hash: bytes
    identities: tuple[Identity, ...]
    schema: Schema | None
    now_ms: int
    protect_identity: Protect | None
    remember: Mapping[str, str]

    @property
    def officer(self) -> Identity:
        return self.identities[0]


async def create_node(
    data: Path,
    *,
    state: str,
    name: str,
    root_hash: bytes,
    officer: str,
    severity: str | None,
    protect: Protect,
    clock: Clock,
    protect_identity: Protect | None = None,
    remember: Mapping[str, str] = MappingProxyType({}),
) -> NewNode:
    """Make a node's keys, tokens, settings, daily keys, first documents and request.

    Args:
        data: A data directory that does not exist, or is empty.
        state: The code under which the state asks to be listed.
        name: What the state's team is called.
        root_hash: The hash of the community's first root, from the ceremony.
        officer: The name of the first officer.
        severity: The state's severity schema: a TOML file, ``bundled:ID``, or None.
        protect: How the key files are protected, or in which token the keys are made.
        clock: The source of time.
        protect_identity: The same for the identity key, if it is to be kept otherwise.
        remember: More settings to write, such as the token's library.

    Raises:
        BadRequest, FormatError: a code, name or schema does not fit.
        SetupError, KeyfileError, StoreFailed: the files cannot be written; nothing is left behind.
    """
    state = words.party_code(state)
    plan = _Plan(
        state=state,
        name=words.line(name, "state's name"),
        root_hash=root_hash,
        identities=(
            people.new_identity(TokenRole.OFFICER, officer),
            people.new_identity(TokenRole.SENDER, PROGRAM),
            people.new_identity(TokenRole.MONITOR, DISPLAY),
        ),
        schema=None if severity is None else find_schema(severity, state),
        now_ms=clock.now_ms(),
        protect_identity=protect_identity,
        remember=remember,
    )
    place = DataDir(data)
    with new_place(data):
        place.create()
        people.make_folders(place)
        with place:
            return await _fill(place, plan, protect, clock)


async def _fill(place: DataDir, plan: _Plan, protect: Protect, clock: Clock) -> NewNode:
    protection, now_ms, state = protect(), plan.now_ms, plan.state
    apart = protection if plan.protect_identity is None else plan.protect_identity()
    identity = new_signer(place.keys / "identity.key", f"{state} identity", Role.IDENTITY, apart, now_ms)
    node = new_signer(place.keys / "node.key", f"{state} node", Role.NODE, protection, now_ms)
    secret = new_note_secret(
        place.keys / "witness.key", f"{state} witness", NoteRole.WITNESS, protection, now_ms
    )
    witness = secret.keys(words.witness_name(state, plan.root_hash), state, NoteRole.WITNESS, plan.root_hash)
    officer = people.new_officer_key(place, plan.officer, now_ms)
    vault_key = secrets.token_bytes(VAULT_KEY_BYTES)
    write_key(
        place.keys / "vault.key", KeyKind.SYMMETRIC, f"{state} vault", "vault", vault_key, protection, now_ms
    )
    opening_key = secrets.token_bytes(KEY_BYTES)
    write_key(
        place.opening_key, KeyKind.SYMMETRIC, f"{state} opening", "opening", opening_key, protection, now_ms
    )
    days = _day_keys(place, state, protection, opening_key)
    prekeys = Opener(days).make_days(now_ms, DAYS_AHEAD)
    await _store_prekeys(place, prekeys, clock)
    certificate = make_certificate(state, now_ms, CERTIFICATE_LIFE_MS)
    write_secret(place.keys / "tls.key", certificate.key_pem.decode("ascii"))
    write_file(place.keys / "tls.crt", certificate.pem)
    write_file(place.path / ROOT_HASH_FILE, f"{plan.root_hash.hex()}\n".encode())
    write_file(place.settings_file, settings_text(f"The node of {state}.", {"state": state, **plan.remember}))
    tokens = tuple(people.grant(place, one) for one in plan.identities)
    documents = _first_documents(plan, identity, node, officer, certificate.der, witness, prekeys)
    request = state_request(
        identity, code=state, name=plan.name, community=plan.root_hash, documents=documents
    )
    # Last: a place with a request is complete.
    write_file(place.path / REQUEST_FILE, codec.encode(request))
    return NewNode(
        state=state,
        name=plan.name,
        key_id=identity.key_id,
        request=place.path / REQUEST_FILE,
        identity_key=place.keys / "identity.key",
        tokens=tokens,
        severity=None if plan.schema is None else f"{plan.schema.id}@{plan.schema.version}",
    )


def _day_keys(place: DataDir, state: str, store: KeyStore, opening_key: bytes) -> DayKeys:
    """Return the keys of days where the opening key is: in its token, or in files under it."""
    if isinstance(store, TokenStore):
        token = store.tokens.token(store.uri)
        from exchange.hsm.day_keys import TokenDayKeys

        return TokenDayKeys(token, store.uri, state)
    return FileDayKeys(place.day_keys, state, opening_key)


async def _store_prekeys(place: DataDir, prekeys: Sequence[MadeKey], clock: Clock) -> None:
    engine = await Engine.open(place.database, MIGRATIONS, clock)
    try:
        await engine.write(lambda db: store_prekeys(db, prekeys))
    finally:
        await engine.close()


def _first_documents(
    plan: _Plan,
    identity: Signer,
    node: Signer,
    officer: Signer,
    certificate: bytes,
    witness: NoteKeys,
    prekeys: Sequence[MadeKey],
) -> list[bytes]:
    """Return the signed manifest, prekey list and publications, in the order of their acceptance."""
    now_ms, state, community = plan.now_ms, plan.state, plan.root_hash
    manifest = next_manifest(
        None,
        state=state,
        community=community,
        keys=[
            key_entry(
                signer,
                state=state,
                community=community,
                owner=owner,
                # Others' clocks may be a little behind this one.
                from_ms=now_ms - MAX_SKEW_MS,
                until_ms=now_ms + KEY_LIFE_MS,
            )
            for signer, owner in ((node, f"node of {state}"), (officer, plan.officer.name))
        ],
        certificates=[certificate],
        witness=witness,
        now_ms=now_ms,
        life_ms=MANIFEST_LIFE_MS,
    )
    public = [prekey.public for prekey in prekeys]
    listed = next_prekeys(
        None,
        state=state,
        community=community,
        keys=public,
        now_ms=now_ms,
        # The list must outlive its last day by the time that the tail key may be used.
        life_ms=public[-1].use_until_ms + TAIL_MS - now_ms,
        tail=True,
    )
    documents = [sign_document(manifest, [identity]), sign_document(listed, [node])]
    if plan.schema is not None:
        publication = publication_of(
            plan.schema, Documents(), state=state, community=community, now_ms=now_ms
        )
        documents.append(sign_document(publication, [identity]))
    return documents
