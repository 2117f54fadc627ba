"""Canaries: random secrets whose bytes are looked for wherever they must not be, in every usual spelling."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from exchange.keystore import write_secret
from exchange.node.officers import officer_key_path
from exchange.node.tokens import Identity, parse_token
from exchange.unsealer.daykeys import FileDayKeys
from keys.keyfile import KeyRecord, format_secret, parse_secret
from keys.protection import SALT_BYTES, Passphrase, Protection, Token, Unprotected
from keys.vault import Vault
from tests.acceptance.ceremony import CODES, HUB, Founded

SHORTEST = 12


@dataclass(frozen=True)
class Trace:
    """Where a canary was found."""

    canary: str
    spelling: str


class Canaries:
    """What must not be found.

    Args:
        hidden: By name: text or bytes, long enough that chance cannot make them.
    """

    def __init__(self, hidden: Mapping[str, str | bytes]) -> None:
        self._spelled: list[tuple[Trace, bytes]] = []
        for name, secret in hidden.items():
            data = secret.encode() if isinstance(secret, str) else secret
            assert len(data) >= SHORTEST
            for spelling, spelled in spellings(data):
                self._spelled.append((Trace(name, spelling), spelled))
            if isinstance(secret, str):
                for encoding in ("utf-16-le", "utf-16-be", "utf-32-le"):
                    self._spelled.append((Trace(name, encoding), secret.encode(encoding)))

    def in_bytes(self, data: bytes) -> set[Trace]:
        """Return every canary in some bytes."""
        return {trace for trace, spelled in self._spelled if spelled in data}

    def in_files(self, paths: Iterable[Path]) -> dict[str, set[Trace]]:
        """Return every canary in files, by the file's name; files without one are left out."""
        found = {path.name: self.in_bytes(path.read_bytes()) for path in paths if path.is_file()}
        return {name: traces for name, traces in found.items() if traces}

    def in_rows(self, database: Path) -> dict[str, set[Trace]]:
        """Return every canary in the values of a database, which no page border can cut in two."""
        found = {table: self.in_bytes(values) for table, values in tables(database)}
        return {table: traces for table, traces in found.items() if traces}


def spellings(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the ways in which programs write bytes down."""
    yield "raw", data
    yield "hexadecimal", data.hex().encode()
    yield "HEXADECIMAL", data.hex().upper().encode()
    for offset, cut in ((0, 0), (1, 2), (2, 3)):
        text = base64.b64encode(bytes(offset) + data).rstrip(b"=")
        whole = len(text) - (1 if (len(data) + offset) % 3 else 0)
        spelled = text[cut:whole]
        yield f"base64 at {offset}", spelled
        if spelled != (other := spelled.translate(bytes.maketrans(b"+/", b"-_"))):
            yield f"base64url at {offset}", other


def tables(database: Path) -> Iterator[tuple[str, bytes]]:
    """Yield all values of each table as one run of bytes."""
    db = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        named = db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        for name in [str(name) for (name,) in named]:
            values = [value for row in db.execute(f'SELECT * FROM "{name}"') for value in row]
            yield (
                name,
                b"\0".join(value if isinstance(value, bytes) else str(value).encode() for value in values),
            )
    finally:
        db.close()


# The secrets of a community.


def key_secrets(founded: Founded) -> dict[str, bytes]:
    """Return the secret of every key of the services and officers; the services' have no passphrase."""
    found: dict[str, bytes] = {}

    def add(name: str, record: KeyRecord) -> None:
        # A signing seed is two: one for each half of the signature.
        for start in range(0, len(record.seed), 32):
            found[f"{name} {start // 32 + 1}"] = record.seed[start : start + 32]

    for code in CODES:
        for key in ("identity", "node", "vault", "opening"):
            add(f"{code} {key}", record_of(key_file(founded, code, key), Unprotected()))
        officer = token_of(founded, code)
        path = officer_key_path(founded.data(code) / "officers", officer)
        add(f"{code} officer", record_of(path, Token(officer.secret)))
        found[f"{code} token"] = officer.secret
        found[f"{code} tls"] = tls_secret(founded.data(code) / "keys" / "tls.key")
    add("HUB statement", record_of(key_file(founded, HUB, "statement"), Unprotected()))
    return found


def stored_secrets(founded: Founded, code: str, vault_key: bytes, opening_key: bytes) -> dict[str, bytes]:
    """Return the daily keys and the content keys that lie locked in a node's store, and the keys of days."""
    vault, folder = Vault(vault_key), founded.data(code) / "day-keys"
    days = FileDayKeys(folder, code, opening_key)
    db = apsw.Connection(str(founded.data(code) / "almenara.db"), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        prekeys: list[Any] = db.execute("SELECT id, day, locked_seed FROM prekey").fetchall()
        notices: list[Any] = db.execute("SELECT id, locked_key FROM notice").fetchall()
    finally:
        db.close()
    assert prekeys
    assert notices
    found = {f"{code} prekey {id_.hex()[:8]}": days.unlock(day, seed) for id_, day, seed in prekeys}
    found |= {f"{code} day {day}": days._key(day) for day in days.days()}
    return found | {
        f"{code} content key {id_.hex()[:8]}": vault.unlock("content-key", id_, key) for id_, key in notices
    }


def key_file(founded: Founded, code: str, key: str) -> Path:
    """Return where a key of a service lies."""
    return founded.data(code) / "keys" / f"{key}.key"


def record_of(path: Path, protection: Protection) -> KeyRecord:
    """Return a key file's secret."""

    def offer(_: object) -> Protection:
        return protection

    return parse_secret(path.read_text(), offer)


def put_under_passphrase(path: Path, passphrase: str) -> None:
    """Replace a key file without protection by one that a passphrase opens."""
    sealed = format_secret(
        record_of(path, Unprotected()), Passphrase(passphrase.encode()), salt=secrets.token_bytes(SALT_BYTES)
    )
    write_secret(path, sealed, replace=True)


def token_of(founded: Founded, code: str) -> Identity:
    """Return the officer that the token of a state stands for."""
    return parse_token(founded.token(code).read_text())


def tls_secret(path: Path) -> bytes:
    """Return the private number of a TLS key."""
    key = load_pem_private_key(path.read_bytes(), None)
    assert isinstance(key, EllipticCurvePrivateKey)
    return key.private_numbers().private_value.to_bytes(32, "big")
