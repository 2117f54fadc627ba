"""The keykeeper: takes up keys that were made while the node runs, and tells what is listed and not held.

A new key comes as a file and as an entry in the state's manifest. The manifest says which key; the
file of that id is then opened, here and at no restart.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import apsw
import structlog

from exchange.keystore import read_secret
from exchange.node.context import NodeContext
from exchange.node.expiring import Expiring
from exchange.node.key_files import key_files
from exchange.node.secrets import NODE, WITNESS, unlock_signer, unlock_witness
from exchange.passphrases import NobodyToAsk, PassphraseSource
from exchange.stores.node_books import clear_alarms_but, has_alarm, raise_alarm, record_event
from keys.keyfile import describe
from protocol.digest import note_key_id
from protocol.documents import Role, StateManifest
from protocol.errors import AlmenaraError, KeyfileError
from protocol.text import format_utc

LOOK_SECONDS = 60.0
ALARM = "key-not-held"
_log = structlog.get_logger()


class Keykeeper:
    """Keeps the held keys in step with the own manifest.

    Args:
        context: The node.
        folder: Where the key files lie.
        passphrase: Asked for each protected file that is new; None if nobody can answer any more.
        expiring: Tells what ends.
    """

    def __init__(
        self,
        context: NodeContext,
        folder: Path,
        passphrase: PassphraseSource | None,
        expiring: Expiring,
    ) -> None:
        self._context = context
        self._expiring = expiring
        self._folder = folder
        self._passphrase = passphrase or NobodyToAsk()
        self._others: set[Path] = set()
        """Files of witness keys that were opened and are not what is looked for."""

    async def run(self) -> None:
        """Look at once, then every minute, and when told to; returns only by cancellation."""
        while True:
            try:
                await self.look()
            except AlmenaraError as error:
                _log.warning("keys.look_failed", code=error.code)
            except Exception:
                # A fault of our own ends one look, and not the node, which must go on taking warnings.
                _log.exception("keys.fault")
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Open what the manifest lists and this node does not hold, and say what cannot be opened or ends.

        Raises:
            StoreFailed, OutcomeUnknown: nothing could be said; the next look tries again.
        """
        context, now_ms = self._context, self._context.clock.now_ms()
        manifest = context.directory.documents.manifest(context.state)
        if manifest is None:
            return
        revoked = {item.key_id for item in manifest.revoked}
        wanted = {
            key.key_id: f"from {format_utc(key.from_ms)} on"
            for key in manifest.keys
            if key.role is Role.NODE and key.until_ms > now_ms and key.key_id not in revoked
        }
        trouble: dict[str, tuple[str, str]] = {}
        for key_id, since in wanted.items():
            if not context.keys.holds(key_id):
                await self._take_up(NODE, key_id, f"the node key {key_id.hex()[:16]}, {since}", trouble)
        await self._look_at_witness(manifest, trouble)
        await context.engine.write(lambda db: _tell(db, trouble, now_ms))
        await self._expiring.look()

    async def _look_at_witness(self, manifest: StateManifest, trouble: dict[str, tuple[str, str]]) -> None:
        if not self._context.keys.holds_witness(manifest.witness.ed25519):
            key = manifest.witness.ed25519
            sentence = f"the witness key {note_key_id(key).hex()[:16]}"
            await self._take_up(WITNESS, key, sentence, trouble)

    async def _take_up(
        self, what: str, key: bytes, sentence: str, trouble: dict[str, tuple[str, str]]
    ) -> None:
        try:
            # Opening a protected file takes a second of computing: never in the loop.
            await asyncio.to_thread(self._open_node if what == NODE else self._open_witness, key)
        except KeyfileError as error:
            message = f"the manifest lists {sentence}, and this node does not hold it: {error.message}"
            trouble[key.hex()] = (message, error.hint)
            return
        _log.info("keys.opened", key=key.hex(), role=what)
        self._context.events.ring()

    def _open_node(self, key_id: bytes) -> None:
        for path in key_files(self._folder, NODE):
            if path.exists() and describe(read_secret(path)).key_id == key_id:
                self._context.keys.hold(unlock_signer(path, self._passphrase))
                return
        raise self._missing()

    def _open_witness(self, ed25519: bytes) -> None:
        # A witness's file does not say its public key: it has to be opened to find out.
        for path in reversed(key_files(self._folder, WITNESS)):
            if path in self._others or not path.exists():
                continue
            secret = unlock_witness(path, self._passphrase)
            if secret.ed25519 == ed25519:
                self._context.keys.hold_witness(secret)
                return
            self._others.add(path)
        raise self._missing()

    def _missing(self) -> KeyfileError:
        return KeyfileError(
            f"no file in {self._folder} has this key",
            hint="Copy the file here from where the key was made; if nobody made it, see: almenara key "
            "check --data DIR",
        )


def _tell(db: apsw.Connection, trouble: dict[str, tuple[str, str]], now_ms: int) -> None:
    for about, (message, hint) in trouble.items():
        if not has_alarm(db, ALARM, about):
            raise_alarm(db, ALARM, about, message, hint, now_ms)
            record_event(db, now_ms, "keys.not_held", code=ALARM, detail=message)
    clear_alarms_but(db, ALARM, trouble)
