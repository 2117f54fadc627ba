"""What one operation costs, against the bare cost of the cryptography in it, measured in turns.

Both sides of a pair run alternately, a few calls each, and what is kept is the median of the rounds'
ratios: whatever else the machine does meanwhile slows down both. Times are processor time.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from statistics import median

import msgspec

from keys.authenticity import verify_delivery, verify_submission
from keys.evidence import NO_STATEMENT_YET, Saying, draft_statement, sign_statements, verify_statement
from keys.opening import RecipientKey
from keys.payload import padded_length
from keys.sealing import PAIR_START, PairPosition, SealedNotice, SealFor, seal
from keys.signer import Verifier
from protocol import codec
from protocol.envelope import deliver
from protocol.marking import Tlp
from protocol.notice import Addressee, Body, Header
from protocol.statement import StatementKind
from tests.benchmarks.bare import Bare
from tests.community import CODES, community
from tests.envelopes import header
from tests.openings import open_delivery

NOTICE_BYTES = 2048
SENDER = "XAA"
BATCH = 32
CALLS = 8

Call = Callable[[], object]


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """Median µs of one operation, of its bare cryptography, and the median of their ratios."""

    us: float
    bare_us: float
    ratio: float


@dataclass(frozen=True)
class Pair:
    """One operation beside its bare cryptography."""

    ours: Call
    bare: Call


def measure(rounds: int) -> dict[str, Cost]:
    """Measure every operation in ``rounds`` rounds of a few calls each."""
    bench = Bench()
    return {name: _measured(pair, rounds) for name, pair in bench.pairs().items()}


def bare_costs(rounds: int) -> dict[str, float]:
    """Return the median seconds of processor time of each bare operation on a notice of this size."""
    bare = Bare(padded_length(len(codec.encode(a_body()))))
    operations = {
        "sign": bare.sign,
        "verify": bare.verify,
        "wrap": bare.wrap,
        "unwrap": bare.unwrap,
        "seal": bare.seal_payload,
        "open": bare.open_payload,
    }
    # The mean within a round and not the single call: making an ML-DSA signature takes a random
    # number of tries.
    samples: Mapping[str, list[float]] = {name: [] for name in operations}
    for _ in range(rounds):
        for name, operation in operations.items():
            samples[name].append(_seconds(operation, 4 * CALLS))
    return {name: median(values) for name, values in samples.items()}


def _measured(pair: Pair, rounds: int) -> Cost:
    ours, bare = [], []
    _seconds(pair.ours, 1)
    for _ in range(rounds):
        ours.append(_seconds(pair.ours, CALLS) * 1e6)
        bare.append(_seconds(pair.bare, CALLS) * 1e6)
    return Cost(
        us=median(ours),
        bare_us=median(bare),
        ratio=median(mine / theirs for mine, theirs in zip(ours, bare, strict=True)),
    )


def _seconds(call: Call, count: int) -> float:
    started = time.thread_time()
    for _ in range(count):
        call()
    return (time.thread_time() - started) / count


class Bench:
    """One notice to three states, and every operation on it, with warm keys and no warm signatures."""

    def __init__(self) -> None:
        self._everyone = community()
        self._directory = self._everyone.directory()
        # Keeping no verified roots: the benchmark meets the same signature over and over.
        self._verifier = Verifier(roots_kept=0)
        self._signer = self._everyone.members[SENDER].node
        self._keys = [RecipientKey.generate() for _ in CODES]
        self._header = self._addressed()
        self._body = a_body()
        self._sealed = self._seal()

    def pairs(self) -> dict[str, Pair]:
        """Return every operation beside its bare cryptography."""
        bare = Bare(padded_length(len(codec.encode(self._body))))

        def bare_seal() -> None:
            bare.seal_payload()
            for _ in CODES:
                bare.wrap()
            bare.sign()

        def bare_open() -> None:
            bare.verify()
            bare.unwrap()
            bare.open_payload()

        self._made = self._statements(1)[0]
        return {
            "seal": Pair(self._seal, bare_seal),
            "open": Pair(self._open, bare_open),
            "admission": Pair(self._admit, bare.verify),
            "statement_make": Pair(lambda: self._statements(1), bare.sign),
            "statement_verify": Pair(self._verify_statement, bare.verify),
            "statements_make_32": Pair(lambda: self._statements(BATCH), bare.sign),
        }

    def _addressed(self) -> Header:
        plain = header(self._everyone, sender=SENDER, to=CODES)
        recipients = tuple(
            Addressee(state=code, prekey_id=key.key_id) for code, key in zip(CODES, self._keys, strict=True)
        )
        return msgspec.structs.replace(plain, recipients=recipients)

    def _seal(self) -> SealedNotice:
        recipients = [
            SealFor(code, key.public, PairPosition(1, PAIR_START))
            for code, key in zip(CODES, self._keys, strict=True)
        ]
        return seal(self._header, self._body, recipients, self._signer)

    @cached_property
    def _submission(self) -> bytes:
        return codec.encode(self._sealed.submission)

    @cached_property
    def _delivery(self) -> bytes:
        return codec.encode(deliver(self._sealed.submission, 1))

    def _open(self) -> None:
        now_ms = self._everyone.now_ms
        found = verify_delivery(self._directory, self._verifier, self._delivery, CODES[1], now_ms)
        open_delivery(found.delivery, found.manifest, found.header, self._keys[1])

    def _admit(self) -> None:
        now_ms = self._everyone.now_ms
        verify_submission(self._directory, self._verifier, self._submission, SENDER, now_ms)

    def _statements(self, count: int) -> list[bytes]:
        saying = Saying(
            kind=StatementKind.RECEIVED, envelope=self._sealed.id, decryption_proof=secrets.token_bytes(32)
        )
        drafts, chain = [], NO_STATEMENT_YET
        for _ in range(count):
            draft = draft_statement(
                saying,
                party=SENDER,
                signer=self._signer,
                at_ms=self._everyone.now_ms,
                nonce=secrets.token_bytes(32),
                directory=self._directory.head(),
                chain=chain,
            )
            drafts.append(draft)
            chain = draft.chain
        return sign_statements(self._signer, drafts)

    def _verify_statement(self) -> None:
        verify_statement(self._directory, self._verifier, self._made, self._everyone.now_ms)


def a_body() -> Body:
    """Return the notice that everything is measured with: 2 KiB of text."""
    return Body(
        v=1,
        sender=SENDER,
        notice=secrets.token_bytes(16),
        incident=secrets.token_bytes(16),
        refers_to=None,
        tlp=Tlp.AMBER,
        language="en",
        subject="Ransomware at a power distributor",
        text="Two control rooms are affected. ".ljust(NOTICE_BYTES, "."),
        attachments=(),
    )
