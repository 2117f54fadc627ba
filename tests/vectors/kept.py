"""Keeps what cannot be made twice, so that vectors and example bytes stay what they are.

ML-DSA signatures and HPKE wraps are randomised by their algorithms. Each one that a vector needs
is made once, and kept in ``fixtures/randomised.json`` under a hash of everything it was made
from; whoever changes an input gets a new one, and unused ones are dropped.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path

from keys.signature import SecretKey
from keys.wrap import seal_to
from protocol import tree
from protocol.signed import Context, Proof, batch_leaf, signing_message

FIXTURES = Path(__file__).resolve().parent / "fixtures"
RANDOMISED = FIXTURES / "randomised.json"


class Kept:
    """Signatures and wraps by what they were made from; new ones are made only once thawed."""

    def __init__(self) -> None:
        self._frozen = True
        self._known: dict[str, str] = json.loads(RANDOMISED.read_text()) if RANDOMISED.exists() else {}
        self._used: set[str] = set()

    def thaw(self) -> None:
        """Allow new ones to be made, as the generator does and a test never."""
        self._frozen = False

    def proofs(self, secret: SecretKey, context: Context, objects: list[bytes]) -> list[Proof]:
        """Return the batch's proofs in order; no rule about roles is asked for."""
        root, paths = tree.root_and_paths([batch_leaf(context, one) for one in objects])
        message, label = signing_message(context, root), context.label
        signature = self._keep(
            ("signature", secret.key_id, label, message), lambda: secret.sign(message, label)
        )
        return [
            Proof(signature=signature, index=number, size=len(objects), path=path)
            for number, path in enumerate(paths)
        ]

    def sealed(self, public: bytes, info: bytes, plaintext: bytes) -> bytes:
        """Return an HPKE text to a public key."""
        return self._keep(("sealed", public, info, plaintext), lambda: seal_to(public, info, plaintext))

    def note_lines(self, made_from: Iterable[bytes | str], make: Callable[[], bytes]) -> bytes:
        """Return the signature lines of a log or witness."""
        return self._keep(("note", *made_from), make)

    def save(self) -> None:
        """Write what was used."""
        known = {name: self._known[name] for name in sorted(self._used)}
        RANDOMISED.write_text(json.dumps(known, indent=1) + "\n")

    def _keep(self, made_from: Iterable[bytes | str], make: Callable[[], bytes]) -> bytes:
        parts = [part.encode() if isinstance(part, str) else part for part in made_from]
        name = hashlib.sha256(b"".join(len(part).to_bytes(4, "big") + part for part in parts)).hexdigest()
        if name not in self._known:
            assert not self._frozen, "an input has changed: run python -m tests.vectors.make"
            self._known[name] = make().hex()
        self._used.add(name)
        return bytes.fromhex(self._known[name])


KEPT = Kept()
"""The one that everything is made with."""
