"""The custodians themselves: their keys, made on their own machines, and proposals of the next root.

A new custodian makes a key where it will stay, and sends only its public file, which proves that
somebody holds the secret one. Whose it is, people confirm by its fingerprint.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from exchange.setup import words
from exchange.setup.files import read_file, write_file
from exchange.setup.governance import MOST_KEYS, ROOT_LIFE_MS, Ceremony
from exchange.setup.keyring import Protect, new_signer
from exchange.setup.proposing import NOTHING_SAID, Why, named_key, proposal_of
from keys.governance import next_root
from keys.signer import Verifier, sign_possession, verify_possession
from protocol import codec
from protocol.digest import signing_key_id
from protocol.documents import Role, RoleKeys
from protocol.errors import BadRequest, WrongCommunity
from protocol.governance import (
    GOVERNANCE,
    MAX_CUSTODIAN_KEY_BYTES,
    CustodianKey,
    Proposal,
    parse_custodian_key,
)

PUBLIC_SUFFIX = ".public"


def create_key(path: Path, name: str, role: Role, community: bytes, protect: Protect, now_ms: int) -> Path:
    """Make a custodian's key, and beside it the public file for whoever proposes the next root.

    Args:
        path: Where the secret key's file goes; the name must be free.
        name: Whose key it is, one line.
        role: ROOT or DIRECTORY.
        community: The pinned root hash; the proof of possession is for this community only.
        protect: How the key's file is protected.
        now_ms: The time now, milliseconds UTC.

    Returns:
        The public file: the same name with ``.public`` behind it.

    Raises:
        BadRequest: the name does not fit.
        KeyfileError, SetupError: a file cannot be written.
    """
    name = words.line(name, "custodian's name")
    public = path.with_name(path.name + PUBLIC_SUFFIX)
    signer = new_signer(path, name, role, protect(), now_ms)
    key = CustodianKey(
        v=1,
        community=community,
        role=role,
        name=name,
        key=signer.public,
        possession=sign_possession(signer, GOVERNANCE, community),
    )
    write_file(public, codec.encode(key))
    return public


def read_key(path: Path, role: Role, community: bytes) -> CustodianKey:
    """Read the public file of a custodian's key, and check that its owner holds the secret.

    Raises:
        SetupError: it cannot be read.
        FormatError, TrustError: it is none, or proves nothing here.
        BadRequest: it is a key for the other role.
    """
    key = parse_custodian_key(read_file(path, MAX_CUSTODIAN_KEY_BYTES, "custodian's key"))
    if key.community != community:
        raise WrongCommunity(
            f"the key in {path} was made for another community",
            hint="Let the custodian make it again, with this community's root hash.",
        )
    if key.role is not role:
        raise BadRequest(
            f"{path} holds a {key.role} key, not a {role} key",
            hint="A custodian has one key for each role, and makes it with: almenara governance "
            "custodian-key "
            f"--role {role} --name NAME --root-hash ROOT-HASH --out FILE",
        )
    verify_possession(
        Verifier(), key.key, state=GOVERNANCE, role=role, community=community, proof=key.possession
    )
    return key


def rotate(
    ceremony: Ceremony,
    role: Role,
    *,
    add: Sequence[Path],
    drop: Sequence[str],
    threshold: int | None,
    now_ms: int,
    why: Why = NOTHING_SAID,
) -> Proposal:
    """Propose other custodians' keys for a role.

    Args:
        ceremony: The community now.
        role: ROOT or DIRECTORY.
        add: Public files of keys to be listed.
        drop: Ids of keys to be listed no more, eight digits or more.
        threshold: How many must sign from then on; None leaves it.
        now_ms: The time now, milliseconds UTC.
        why: What is said for it.

    Raises:
        BadRequest: a key is listed already or not at all, or the numbers do not fit.
        SetupError, FormatError, TrustError: as :func:`read_key`.
    """
    present = _role_keys(ceremony, role)
    dropped = {
        named_key(text, map(signing_key_id, present.keys), f"{role} keys of the community") for text in drop
    }
    kept = [key for key in present.keys if signing_key_id(key) not in dropped]
    for path in add:
        key = read_key(path, role, ceremony.trusted.community).key
        if key in kept or key in present.keys:
            raise BadRequest(f"the key in {path} is listed already", hint="Name each new key once.")
        kept.append(key)
    after = _checked(present.threshold if threshold is None else threshold, kept, role)
    if after == present:
        raise BadRequest("this changes nothing", hint="Name keys with --add FILE or --drop KEYID.")
    return _root(ceremony, {role: after}, now_ms, why)


def thresholds(
    ceremony: Ceremony,
    *,
    root: int | None,
    directory: int | None,
    now_ms: int,
    why: Why = NOTHING_SAID,
) -> Proposal:
    """Propose how many custodians must sign; None leaves a threshold as it is.

    Raises:
        BadRequest: a number is below one or above the number of keys, or nothing changes.
    """
    after: dict[Role, RoleKeys] = {}
    for role, number in ((Role.ROOT, root), (Role.DIRECTORY, directory)):
        present = _role_keys(ceremony, role)
        if number is not None and number != present.threshold:
            after[role] = _checked(number, present.keys, role)
    if not after:
        raise BadRequest("this changes nothing", hint="Give another number with --root N or --directory N.")
    return _root(ceremony, after, now_ms, why)


def refresh_root(ceremony: Ceremony, now_ms: int, *, why: Why = NOTHING_SAID) -> Proposal:
    """Propose the same root with a new expiry."""
    return _root(ceremony, {}, now_ms, why)


def _role_keys(ceremony: Ceremony, role: Role) -> RoleKeys:
    root = ceremony.trusted.root
    return root.root if role is Role.ROOT else root.directory


def _checked(threshold: int, keys: Sequence[bytes], role: Role) -> RoleKeys:
    if not 1 <= threshold <= len(keys) <= MOST_KEYS:
        raise BadRequest(
            f"{threshold} of {len(keys)} {role} keys cannot govern a community",
            hint=f"There are 1 to {MOST_KEYS} keys of a role, and a threshold of 1 up to their number.",
        )
    return RoleKeys(threshold=threshold, keys=tuple(keys))


def _root(ceremony: Ceremony, changed: dict[Role, RoleKeys], now_ms: int, why: Why) -> Proposal:
    root = next_root(
        ceremony.trusted,
        now_ms=now_ms,
        life_ms=ROOT_LIFE_MS,
        root=changed.get(Role.ROOT),
        directory=changed.get(Role.DIRECTORY),
    )
    return proposal_of(root, why)
