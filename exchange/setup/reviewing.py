"""A proposal as its custodians see it: checked from the pinned root hash on, and what it would change.

Nothing that a proposal says of itself is shown as true: the changes are read off its document, beside
the one that is trusted now.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from exchange.setup.differences import Change, directory_changes, root_changes
from exchange.setup.requests import document_lines
from keys import chain
from keys.attesting import attestations, attestations_needed
from keys.governors import Authority, authorities
from keys.trust import TrustedDirectory
from protocol.documents import Directory, Root, StateEntry, document_hash
from protocol.errors import SetupError, ThresholdNotMet
from protocol.governance import Proposal, proposed

UNATTESTED = "unattested"


@dataclass(frozen=True, slots=True)
class Review:
    """A sound proposal.

    Attributes:
        proposal: What was read.
        document: What is to be signed.
        authorities: Whose signatures it needs.
        changes: What it would change, for people.
        following: What is to be accepted after it, one line a piece.
    """

    proposal: Proposal
    document: Root | Directory
    authorities: tuple[Authority, ...]
    changes: tuple[Change, ...]
    following: tuple[str, ...]

    @property
    def what(self) -> str:
        """What is proposed, in words."""
        kind = "root" if isinstance(self.document, Root) else "directory"
        return f"{kind} version {self.document.version}"


def review(trusted: TrustedDirectory, proposal: Proposal, now_ms: int) -> Review:
    """Check everything about a proposal but its signatures.

    Args:
        trusted: What is trusted now; it stays as it is.
        proposal: What was proposed.
        now_ms: The time now, milliseconds UTC.

    Raises:
        SetupError: it follows other documents than those that are trusted now, is published already, or has
            expired.
        ThresholdNotMet: a new identity key is attested by too few members, and no reason is given.
        FormatError, TrustError, ClockSkew: no signatures could make it trusted.
    """
    document = proposed(proposal)
    _require_unpublished(trusted, document, proposal)
    _require_next(trusted, document)
    if document.expires_ms <= now_ms:
        raise SetupError(
            "what is proposed has expired already", hint="Check this machine's clock, or propose it again."
        )
    supposed = trusted.supposing(proposal.body, now_ms)
    for following in proposal.documents:
        supposed.update(following, now_ms)
    changes: list[Change] = []
    if isinstance(document, Root):
        changes += root_changes(trusted.root, document)
    else:
        changes += directory_changes(trusted.documents, document)
        changes += _attested(trusted, supposed, document, proposal)
    return Review(
        proposal=proposal,
        document=document,
        authorities=authorities(trusted.documents, document),
        changes=tuple(changes),
        following=tuple(line for data in proposal.documents for line in document_lines(data)),
    )


def _require_unpublished(trusted: TrustedDirectory, document: Root | Directory, proposal: Proposal) -> None:
    """Say of a proposal that has come true that it has: whoever repeats a command must not start over."""
    is_root = isinstance(document, Root)
    held = trusted.documents.root if is_root else trusted.documents.directory
    if held is not None and held.hash == document_hash(proposal.body):
        raise SetupError(
            f"{'root' if is_root else 'directory'} version {document.version}, which this proposal makes, is "
            "published already",
            hint="Nothing more is to be signed. Hand it to the coordinator, if that was not done yet; "
            "repeating "
            "is harmless: almenara coordinator join --data HUB community.alm",
        )


def _require_next(trusted: TrustedDirectory, document: Root | Directory) -> None:
    """Refuse what does not follow; an unsigned proposal that is late is no fork, and raises no alarm."""
    documents = trusted.documents
    is_root = isinstance(document, Root)
    held = documents.root if is_root else documents.directory
    version, previous = chain.following(held)
    what = "root" if is_root else "directory"
    if document.version > version:
        raise SetupError(
            f"this would be version {document.version} of the {what}; the community file here ends at "
            f"version {version - 1}",
            hint="Get the newest community.alm from whoever made the proposal, then try again.",
        )
    if (document.version, document.previous) != (version, previous):
        raise SetupError(
            f"the community has moved on: version {version - 1} of the {what} is not the one that this "
            "proposal follows",
            hint="If it was published before, nothing is to be done. Otherwise write it down anew, on what "
            "holds "
            "now, and have it signed again; see: almenara governance propose --help",
        )


def _attested(
    trusted: TrustedDirectory, supposed: TrustedDirectory, directory: Directory, proposal: Proposal
) -> Sequence[Change]:
    changes: list[Change] = []
    for entry in directory.states:
        held = trusted.documents.entry(entry.code)
        if held is None or held.identity != entry.identity:
            changes += _attesters(trusted, supposed, entry, proposal.unattested)
    return changes


def _attesters(
    trusted: TrustedDirectory, supposed: TrustedDirectory, entry: StateEntry, unattested: str | None
) -> Sequence[Change]:
    # Whoever is admitted by this very proposal vouches for nobody yet.
    members = {state.code for state in trusted.states()}
    found = {
        code: said
        for code, said in attestations(supposed, entry.code, entry.identity).items()
        if code in members
    }
    needed = attestations_needed(trusted, entry.code)
    shown = [
        Change("attested", "state", entry.code, code, " and ".join(said.channels))
        for code, said in found.items()
    ]
    if len(found) >= needed:
        return shown
    if unattested is None:
        raise ThresholdNotMet(
            f"{len(found)} {'member attests' if len(found) == 1 else 'members attest'} the identity key of "
            f"{entry.code}; {needed} must",
            hint="Have two members confirm it: almenara node attest REQUEST --data DIR --identity FILE "
            "--channel "
            "ONE --channel OTHER -o ATTESTATION; then name what they made with --attestation. Without them, "
            "say "
            "why with --unattested REASON",
        )
    detail = f"{len(found)} of {needed} attestations: {unattested}"
    return [*shown, Change(UNATTESTED, "state", entry.code, entry.name, detail, unsafe=True)]
