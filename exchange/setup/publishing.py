"""Signatures over a proposal come together: who signed, who is missing, and then it is published.

Signature files come from anywhere. One that is damaged, of another proposal or by a key that nobody
listed counts nothing and spoils nothing; it is named, with the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from exchange.passphrases import PassphraseSource
from exchange.setup.files import read_file
from exchange.setup.governance import Ceremony, publish
from exchange.setup.keyring import open_signer
from exchange.setup.reviewing import Review
from exchange.setup.signing import role_of, sign_proposal
from keys.documents import Tally, assembled
from keys.governors import Authority
from keys.signer import Verifier
from protocol.digest import signing_key_id
from protocol.documents import DocumentSignature, SignedDocument
from protocol.errors import AlmenaraError, ThresholdNotMet
from protocol.governance import MAX_SIGNATURE_FILE_BYTES, parse_proposal_signature


@dataclass(frozen=True, slots=True)
class Count:
    """How far one of the thresholds that a proposal needs has been reached."""

    authority: Authority
    tally: Tally

    @property
    def signed(self) -> list[str]:
        """The ids of the keys that signed, in hexadecimal, in the order in which the root lists them."""
        return [signing_key_id(key).hex() for key in self.authority.keys.keys if key in self.tally.signed]

    @property
    def missing(self) -> list[str]:
        """The ids of the keys that did not."""
        return [signing_key_id(key).hex() for key in self.tally.missing]


@dataclass(frozen=True, slots=True)
class Standing:
    """What the signatures at hand amount to.

    Attributes:
        review: The proposal they are for.
        counts: One for each threshold: of the present root, and of a proposed root's own.
        refused: Which files count nothing, and why.
        signatures: Those that count.
    """

    review: Review
    counts: tuple[Count, ...]
    refused: tuple[tuple[str, str], ...]
    signatures: tuple[DocumentSignature, ...]

    @property
    def enough(self) -> bool:
        """Whether it may be published."""
        return all(count.tally for count in self.counts)


def read_signatures(files: Sequence[Path]) -> list[tuple[str, bytes]]:
    """Read signature files, for :func:`standing`.

    Raises:
        SetupError, TooLarge: one cannot be read.
    """
    return [(str(path), read_file(path, MAX_SIGNATURE_FILE_BYTES, "signature file")) for path in files]


def standing(review: Review, files: Sequence[tuple[str, bytes]]) -> Standing:
    """Count signatures; each listed key counts once, however many files hold its signature.

    Args:
        review: The proposal.
        files: The name and the content of each signature file.
    """
    verifier = Verifier()
    listed = {signing_key_id(key) for authority in review.authorities for key in authority.keys.keys}
    found: dict[bytes, DocumentSignature] = {}
    refused: list[tuple[str, str]] = []
    for name, data in files:
        signature, why = _usable(review, data, listed, verifier)
        if signature is None:
            refused.append((name, why))
        else:
            found[signature.key_id] = signature
    signatures = tuple(found.values())
    counts = tuple(Count(one, _tally(review, one, signatures, verifier)) for one in review.authorities)
    return Standing(review, counts, tuple(refused), signatures)


def publish_signed(ceremony: Ceremony, standing: Standing, now_ms: int) -> Ceremony:
    """Append a proposal with enough signatures to the community; durable when this returns.

    Everything is verified again from the root hash before a byte is written, and a crash leaves the
    old file or the new one.

    Raises:
        ThresholdNotMet: too few custodians have signed; the message says which are missing.
        FormatError, TrustError: the documents are not to be believed; the file is as it was.
        SetupError: the file cannot be written.
    """
    for count in standing.counts:
        if not count.tally:
            raise ThresholdNotMet(
                f"the {standing.review.what} cannot be published: {count.tally}",
                hint="Have the missing custodians sign the proposal, then publish it with every signature.",
            )
    signed = assembled(standing.review.proposal.body, standing.signatures)
    return publish(ceremony, [signed, *standing.review.proposal.documents], now_ms)


def sign_and_publish(
    ceremony: Ceremony, review: Review, keys: Sequence[Path], source: PassphraseSource, now_ms: int
) -> Ceremony:
    """Sign and publish in one step, for a pilot in which the custodians' keys lie together.

    Args:
        ceremony: The community now.
        review: What was proposed, after people have looked at it.
        keys: The key files to sign with.
        source: Asked for the passphrase if the files have one.
        now_ms: The time now, milliseconds UTC.

    Raises:
        KeyfileError: a key cannot be used.
        ThresholdNotMet, TrustError, SetupError: as :func:`publish_signed`.
    """
    role = role_of(review)
    signed = [(str(path), sign_proposal(review, open_signer(path, role, source))) for path in keys]
    return publish_signed(ceremony, standing(review, signed), now_ms)


def _usable(
    review: Review, data: bytes, listed: set[bytes], verifier: Verifier
) -> tuple[DocumentSignature | None, str]:
    """Return the signature in a file if it counts; otherwise None, and why not."""
    try:
        file = parse_proposal_signature(data)
    except AlmenaraError as error:
        return None, error.message
    if file.proposal != review.proposal.hash:
        return None, "it is over another proposal"
    if file.signature.key_id not in listed:
        return None, f"it is by the key {file.signature.key_id.hex()[:16]}, which the root does not list"
    if not any(
        _tally(review, authority, (file.signature,), verifier).have for authority in review.authorities
    ):
        return None, "the signature does not verify"
    return file.signature, ""


def _tally(
    review: Review, authority: Authority, signatures: Sequence[DocumentSignature], verifier: Verifier
) -> Tally:
    signed = SignedDocument(body=review.proposal.body, signatures=tuple(signatures))
    return authority.tally(review.document, signed, verifier)
