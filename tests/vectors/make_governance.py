"""Write the vectors of the ceremony's files: ``python -m tests.vectors.make_governance``.

Like those of the trust documents, on whose community they stand: complete, and the same on every run. A
fixed filler stands where a signature would. ``layer`` names what must refuse a file, and ``format`` which
reader.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from protocol import codec
from protocol.digest import signing_key_id
from protocol.documents import Directory, DocumentSignature, Publication, Role, SignedDocument, document_hash
from protocol.errors import FormatError
from protocol.fields import Wire
from protocol.governance import (
    ATTESTATION,
    Attestation,
    CustodianKey,
    Proposal,
    ProposalSignature,
    parse_attestation,
    parse_custodian_key,
    parse_proposal,
    parse_proposal_signature,
)
from protocol.signed import Proof
from tests.vectors import make_documents
from tests.vectors.make_documents import ISSUED_MS, public, unchecked

FOLDER = Path(__file__).resolve().parent / "governance"
SIGNATURE = b"\x5a" * 3373


def publication(content: bytes, name: str = "xzz") -> Publication:
    """Return the publication in which a member attests something."""
    made: Any = make_documents.examples()["publication"]
    attested: Publication = replace(made, state="XAA", topic=ATTESTATION, name=name, content=content)
    return attested


def read_attestation(content: bytes) -> Attestation:
    """Read an attestation as the publication of the state XZZ's attester holds it."""
    return parse_attestation(publication(content))


READERS: dict[str, Callable[[bytes], Wire]] = {
    "proposal": parse_proposal,
    "signature": parse_proposal_signature,
    "custodian-key": parse_custodian_key,
    "attestation": read_attestation,
}


@cache
def examples() -> dict[str, Wire]:
    """Return one sound file of each kind: the directory's second version is proposed."""
    made: Any = make_documents.examples()
    first: Directory = made["directory"]
    directory = replace(
        first, version=2, previous=document_hash(codec.encode(first)), issued_ms=ISSUED_MS + 60_000
    )
    key_id = signing_key_id(public("directory"))
    body = codec.encode(directory)
    attestation = Attestation(
        v=1,
        state="XZZ",
        identity=signing_key_id(public("identity")),
        channels=("in person", "telephone"),
        at_ms=ISSUED_MS,
    )
    signed = SignedDocument(
        body=codec.encode(publication(codec.encode(attestation))),
        signatures=(DocumentSignature(key_id=key_id, signature=SIGNATURE),),
    )
    proposal = Proposal(v=1, body=body, documents=(codec.encode(signed),), reason="Renewed", unattested=None)
    return {
        "proposal": proposal,
        "signature": ProposalSignature(
            v=1, proposal=proposal.hash, signature=DocumentSignature(key_id=key_id, signature=SIGNATURE)
        ),
        "custodian-key": CustodianKey(
            v=1,
            community=first.community,
            role=Role.DIRECTORY,
            name="Ana Silva",
            key=public("directory"),
            possession=Proof(signature=SIGNATURE, index=0, size=1, path=()),
        ),
        "attestation": attestation,
    }


def scenarios() -> Iterator[tuple[str, str, str, bytes]]:
    """Yield the name, the format, the layer that must refuse it, and the bytes."""
    made: dict[str, Any] = dict(examples())
    for name, value in made.items():
        yield name, name, "none", codec.encode(value)
    documents: Any = make_documents.examples()
    proposal, signature = made["proposal"], made["signature"]
    key, attestation = made["custodian-key"], made["attestation"]
    manifest, first = (codec.encode(documents[kind]) for kind in ("manifest", "root"))
    behind = codec.encode(
        SignedDocument(
            body=proposal.body, signatures=(DocumentSignature(key_id=bytes(32), signature=SIGNATURE),)
        )
    )
    broken: dict[str, tuple[str, str, Wire]] = {
        "proposal-of-a-manifest": ("proposal", "layout", replace(proposal, body=manifest)),
        "proposal-of-a-first-root": ("proposal", "layout", replace(proposal, body=first, documents=())),
        "proposal-without-a-body": ("proposal", "codec", replace(proposal, body=b"")),
        "proposal-body-with-a-byte-behind": (
            "proposal",
            "codec",
            replace(proposal, body=proposal.body + b"\0"),
        ),
        "proposal-with-a-directory-behind": ("proposal", "layout", replace(proposal, documents=(behind,))),
        "proposal-reason-of-two-lines": ("proposal", "codec", replace(proposal, reason="one\ntwo")),
        "signature-too-short": (
            "signature",
            "codec",
            replace(signature, signature=replace(signature.signature, signature=SIGNATURE[1:])),
        ),
        "signature-of-no-proposal": ("signature", "codec", replace(signature, proposal=b"")),
        "custodian-key-of-a-node": ("custodian-key", "layout", replace(key, role=Role.NODE)),
        "custodian-key-name-empty": ("custodian-key", "codec", replace(key, name="")),
        "attestation-over-one-channel-twice": (
            "attestation",
            "layout",
            replace(attestation, channels=("telephone", "telephone")),
        ),
        "attestation-of-another-state": ("attestation", "layout", replace(attestation, state="XYY")),
        "attestation-state-is-a-path": ("attestation", "codec", replace(attestation, state="../XZZ")),
    }
    for name, (format_, layer, value) in broken.items():
        yield name, format_, layer, unchecked(value)
    for name, value in made.items():
        yield f"{name}-trailing-byte", name, "codec", codec.encode(value) + b"\0"


def accepted(format_: str, data: bytes) -> bool:
    """Return whether the reader of this format accepts the bytes."""
    try:
        READERS[format_](data)
    except FormatError:
        return False
    return True


def main() -> None:
    """Write every scenario to its own file."""
    FOLDER.mkdir(exist_ok=True)
    for name, format_, layer, data in scenarios():
        content = {
            "scenario": f"governance: {name.replace('-', ' ')}",
            "format": format_,
            "layer": layer,
            "data": data.hex(),
        }
        (FOLDER / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
