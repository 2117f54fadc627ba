"""Statements: shape, the rules of each kind, and who may say what. See ``spec/statement.md``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from keys.signature import SecretKey
from protocol.signed import Context
from protocol.statement import SeenCheckpoint, SignedStatement, StatementKind
from tests.vectors import examples
from tests.vectors.kept import Kept
from tests.vectors.scenarios.envelope import flipped
from tests.vectors.world import NOW_MS, fixed, packed, said, secret, statement

Scenario = dict[str, str | int | None]
K = StatementKind


class Sayings:
    """Makes scenarios with signatures that are kept."""

    def __init__(self, kept: Kept) -> None:
        self.kept = kept

    def by(
        self,
        signer: SecretKey,
        comment: str,
        layer: str,
        refusal: str | None,
        kind: StatementKind | int,
        /,
        **changes: Any,
    ) -> Scenario:
        """Return the scenario of a statement that this key rightly signs."""
        made = packed(statement(kind, examples.envelope().id, key_id=signer.key_id, **changes))  # type: ignore[arg-type]
        return scenario(comment, layer, refusal, said(self.kept, made, signer))


def scenario(comment: str, layer: str, code: str | None, data: bytes, now_ms: int = NOW_MS) -> Scenario:
    """Return one scenario over the bytes of a signed statement."""
    return {"comment": comment, "layer": layer, "code": code, "now_ms": now_ms, "input": data.hex()}


def scenarios(kept: Kept) -> Iterator[tuple[str, Scenario]]:
    """Yield each scenario with its name."""
    sayings = Sayings(kept)
    yield from _good(sayings)
    yield from _layouts(sayings)
    yield from _believed(sayings)


def _good(sayings: Sayings) -> Iterator[tuple[str, Scenario]]:
    node, officer, hub = secret("XBB", "node"), secret("XBB", "officer"), secret("HUB", "coordinator")
    seen = SeenCheckpoint(origin="hub.example/almenara", size=9, root=fixed("a root", 32))
    received = sayings.by(
        node,
        "A machine's receipt.",
        "none",
        None,
        K.RECEIVED,
        decryption_proof=examples.proof_of_decryption(),
    )
    yield "received-good", received
    yield (
        "accepted-good",
        sayings.by(
            officer,
            "With a note.",
            "none",
            None,
            K.ACCEPTED,
            decryption_proof=examples.proof_of_decryption(),
            detail=examples.detail(),
            seen=seen,
        ),
    )
    of_the_page = packed(examples.signed(examples.accepted(), "officer"))
    yield "accepted-good-of-the-page", scenario("The answer of the page.", "none", None, of_the_page)
    yield (
        "declined-good",
        sayings.by(
            officer,
            "With a reason.",
            "none",
            None,
            K.DECLINED,
            decryption_proof=examples.proof_of_decryption(),
            code="no-capacity",
        ),
    )
    yield "rejected-good", sayings.by(node, "With a code.", "none", None, K.REJECTED, code="cannot-open")
    yield (
        "undelivered-good",
        sayings.by(hub, "About XCC.", "none", None, K.UNDELIVERED, party="HUB", about="XCC", code="expired"),
    )
    # The examples' envelope id stands for a root: a hash like any other.
    documents = SeenCheckpoint(origin="hub.example/almenara/dir", size=9, root=examples.envelope().id)
    yield (
        "directory-good",
        sayings.by(hub, "From here on.", "none", None, K.DIRECTORY, party="HUB", seen=documents),
    )
    yield (
        "second-good",
        sayings.by(
            node,
            "After another.",
            "none",
            None,
            K.WITHDRAWN,
            sequence=2,
            previous=fixed("a statement id", 32),
        ),
    )


def _layouts(sayings: Sayings) -> Iterator[tuple[str, Scenario]]:
    node, officer = secret("XBB", "node"), secret("XBB", "officer")

    def wrong(kind: StatementKind | int, comment: str, layer: str = "layout", **changes: Any) -> Scenario:
        made = packed(statement(kind, examples.envelope().id, **changes))  # type: ignore[arg-type]
        signer = node if kind in (1, 6, 16, 17, 7) else officer
        return scenario(comment, layer, "malformed", said(sayings.kept, made, signer))

    yield "kind-unknown", wrong(7, "Kind 7.", "shape")
    yield "time-beyond-year-9999", wrong(K.WITHDRAWN, "It could not be shown.", "shape", at_ms=2**62)
    yield "sequence-0", wrong(K.WITHDRAWN, "Numbers start at 1.", "shape", sequence=0)
    yield "code-with-capitals", wrong(K.REJECTED, "Codes are small.", "shape", code="Expired")
    yield "received-without-proof", wrong(K.RECEIVED, "No decryption proof.")
    yield (
        "rejected-with-proof",
        wrong(
            K.REJECTED, "It opened nothing.", code="expired", decryption_proof=examples.proof_of_decryption()
        ),
    )
    yield "rejected-without-code", wrong(K.REJECTED, "Why?")
    yield (
        "received-with-code",
        wrong(K.RECEIVED, "Nothing to say.", decryption_proof=examples.proof_of_decryption(), code="expired"),
    )
    yield (
        "received-with-note",
        wrong(
            K.RECEIVED,
            "A machine writes none.",
            decryption_proof=examples.proof_of_decryption(),
            detail=examples.detail(),
        ),
    )
    yield (
        "received-about-another",
        wrong(K.RECEIVED, "About XCC.", decryption_proof=examples.proof_of_decryption(), about="XCC"),
    )
    yield (
        "declined-for-no-reason",
        wrong(
            K.DECLINED,
            "Not one of the seven.",
            decryption_proof=examples.proof_of_decryption(),
            code="no-interest",
        ),
    )
    yield "undelivered-about-nobody", wrong(K.UNDELIVERED, "To whom?", code="expired")
    yield "directory-of-nothing", wrong(K.DIRECTORY, "Which documents?")
    yield "first-after-something", wrong(K.WITHDRAWN, "1, and yet after another.", previous=b"\1" * 32)
    yield "second-after-nothing", wrong(K.WITHDRAWN, "2, and yet after nothing.", sequence=2)


def _believed(sayings: Sayings) -> Iterator[tuple[str, Scenario]]:
    node, officer = secret("XBB", "node"), secret("XBB", "officer")
    kept = sayings.kept
    yield (
        "answer-by-a-machine",
        sayings.by(
            node,
            "A node key accepts.",
            "signer",
            "unknown-signer",
            K.ACCEPTED,
            decryption_proof=examples.proof_of_decryption(),
        ),
    )
    yield (
        "receipt-by-a-person",
        sayings.by(
            officer,
            "An officer key received.",
            "signer",
            "unknown-signer",
            K.RECEIVED,
            decryption_proof=examples.proof_of_decryption(),
        ),
    )
    yield "relayed-by-a-state", sayings.by(node, "A state relays.", "signer", "unknown-signer", K.RELAYED)
    yield (
        "party-is-another",
        sayings.by(node, "XBB's key in XCC's name.", "signer", "unknown-signer", K.WITHDRAWN, party="XCC"),
    )
    yield "suite-of-tests", sayings.by(node, "0x7f00.", "suite", "suite-refused", K.WITHDRAWN, suite=0x7F00)
    early = sayings.by(node, "", "none", None, K.RECEIVED, decryption_proof=examples.proof_of_decryption())[
        "input"
    ]
    data = bytes.fromhex(str(early))
    at_ms = NOW_MS + 1000 - 600_001
    yield "from-the-future", scenario("Ten minutes and 1 ms.", "clock", "clock-skew", data, at_ms)
    made = packed(statement(K.WITHDRAWN, examples.envelope().id))
    as_notice = said(kept, made, node, Context.NOTICE)
    yield "signature-as-notice", scenario("Another context.", "signature", "bad-signature", as_notice)
    proof = kept.proofs(node, Context.STATEMENT, [made])[0]
    changed = msgspec.structs.replace(proof, signature=flipped(proof.signature, 3000))

    def carrying(content: bytes, **changes: Any) -> bytes:
        signed = SignedStatement(body=content, proof=proof)
        return packed(msgspec.structs.replace(signed, **changes))

    yield "signature-changed", scenario("A bit.", "signature", "bad-signature", carrying(made, proof=changed))
    other = packed(statement(K.SUPERSEDED, examples.envelope().id))
    yield "body-of-another", scenario("Another body.", "signature", "bad-signature", carrying(other))
    long_form = made.replace(b"\xdc\x00\x10\x01", b"\xdc\x00\x10\xcc\x01", 1)
    yield "body-not-canonical", scenario("v as uint 8.", "encoding", "not-canonical", carrying(long_form))
    yield "byte-too-many", scenario("It ends late.", "encoding", "malformed", carrying(made) + b"\0")
