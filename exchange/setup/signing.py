"""A custodian signs a proposal, on a machine of her own that may have no network.

She needs the community file, the root hash from the record of the ceremony, and her key. What she
gives back is one signature in a file; it is worth nothing for any other proposal.
"""

from __future__ import annotations

from pathlib import Path

from exchange.setup.files import read_file
from exchange.setup.keyring import described
from exchange.setup.reviewing import Review
from keys.signer import Signer
from protocol import codec
from protocol.digest import signing_key_id
from protocol.documents import CONTEXTS, DocumentSignature, Role, Root
from protocol.errors import KeyfileError
from protocol.governance import MAX_PROPOSAL_BYTES, Proposal, ProposalSignature, parse_proposal

SUFFIX = ".signature"


def read_proposal(path: Path) -> Proposal:
    """Read a proposal; nothing in it is verified.

    Raises:
        SetupError, TooLarge: it cannot be read.
        FormatError: it is none.
    """
    return parse_proposal(read_file(path, MAX_PROPOSAL_BYTES, "proposal"))


def role_of(review: Review) -> Role:
    """Return which of her two keys a custodian signs with."""
    return Role.ROOT if isinstance(review.document, Root) else Role.DIRECTORY


def require_listed(review: Review, path: Path) -> bytes:
    """Return the id of the key in a file, if it may sign this proposal; its secret is not opened.

    Raises:
        KeyfileError: it may not, or the file cannot be read.
    """
    description, role = described(path), role_of(review)
    listed = {signing_key_id(key) for authority in review.authorities for key in authority.keys.keys}
    if description.role != role or description.key_id not in listed:
        raise KeyfileError(
            f"{path} holds the {description.role} key {description.key_id.hex()[:16]}, and not one of the "
            f"community's {role} keys",
            hint=f"Name another file with --key: {review.what} is signed with a {role} key that the root "
            "lists, and "
            "those are: " + ", ".join(sorted(key_id.hex()[:16] for key_id in listed)),
        )
    return description.key_id


def sign_proposal(review: Review, signer: Signer) -> bytes:
    """Return the file with one custodian's signature over a proposal that she reviewed.

    Raises:
        LocalProtocolError: the signer's role may not sign documents of this kind.
    """
    proof = signer.sign(CONTEXTS[type(review.document)], review.proposal.body)
    signature = DocumentSignature(key_id=signer.key_id, signature=proof.signature)
    return codec.encode(ProposalSignature(v=1, proposal=review.proposal.hash, signature=signature))


def signature_name(proposal: Path, key_id: bytes) -> Path:
    """Return what a signature's file is called beside a proposal, when nobody says otherwise."""
    return proposal.with_name(f"{proposal.stem}-{key_id.hex()[:8]}{SUFFIX}")
