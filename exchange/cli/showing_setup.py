"""A community and what would change in it, as lines for people and as fields for programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from exchange.setup.governance import Proposal
from keys.trust import TrustedDirectory
from protocol.documents import Role, StateEntry
from protocol.text import format_utc


def changes_as_fields(proposal: Proposal) -> dict[str, object]:
    """Return a proposal for programs."""
    version = None if proposal.directory is None else proposal.directory.version
    return {"directory_version": version, "changes": [asdict(change) for change in proposal.changes]}


def change_lines(proposal: Proposal) -> Iterator[str]:
    """Yield a proposal for people, who must compare the fingerprints."""
    if proposal.directory is None:
        yield "Nothing changes: everybody who asks is a member already."
        return
    yield f"Directory version {proposal.directory.version} would change:"
    signs = {"add": "+", "change": "~"}
    for change in proposal.changes:
        yield f"  {signs[change.action]} {change.kind} {change.code}  {change.name}  ({change.detail})"
        yield f"      key {change.fingerprint}"


def community_as_fields(trusted: TrustedDirectory) -> dict[str, object]:
    """Return a community for programs."""
    root, held = trusted.root, trusted.documents.directory
    return {
        "name": root.name,
        "root_hash": trusted.community.hex(),
        "root": {"version": root.version, "expires": format_utc(root.expires_ms)},
        "custodians": len(root.directory.keys),
        "threshold": root.directory.threshold,
        "directory": None
        if held is None
        else {"version": held.document.version, "expires": format_utc(held.document.expires_ms)},
        "states": [] if held is None else [_state(trusted, entry) for entry in held.document.states],
        "coordinators": []
        if held is None
        else [
            {"code": entry.code, "name": entry.name, "url": entry.url} for entry in held.document.coordinators
        ],
    }


def community_lines(trusted: TrustedDirectory) -> Iterator[str]:
    """Yield a community for people."""
    root, held = trusted.root, trusted.documents.directory
    yield f"{root.name}: {root.directory.threshold} of {len(root.directory.keys)} custodians decide."
    yield f"Root version {root.version}, until {format_utc(root.expires_ms)}."
    if held is None:
        yield "No directory yet: admit a coordinator and states."
        return
    yield f"Directory version {held.document.version}, until {format_utc(held.document.expires_ms)}."
    for coordinator in held.document.coordinators:
        yield f"  coordinator {coordinator.code}  {coordinator.name}  {coordinator.url}"
    for entry in held.document.states:
        yield f"  state {entry.code}  {entry.name}  {entry.status}"
        for what, text in _documents(trusted, entry.code):
            yield f"      {what.replace('_', ' ')}: {text}"
        for publication in _publications(trusted, entry.code):
            yield f"      publishes: {publication}"


def _state(trusted: TrustedDirectory, entry: StateEntry) -> dict[str, object]:
    return {
        "code": entry.code,
        "name": entry.name,
        "status": entry.status.value,
        **dict(_documents(trusted, entry.code)),
        "publications": list(_publications(trusted, entry.code)),
    }


def _documents(trusted: TrustedDirectory, code: str) -> Iterator[tuple[str, str]]:
    manifest = trusted.documents.manifest(code)
    if manifest is not None:
        yield "manifest", f"version {manifest.version}, until {format_utc(manifest.expires_ms)}"
        revoked = {item.key_id for item in manifest.revoked}
        owners = [
            key.owner for key in manifest.keys if key.role is Role.OFFICER and key.key_id not in revoked
        ]
        yield "officers", ", ".join(owners) or "none"
    prekeys = trusted.documents.prekeys.get(code)
    if prekeys is not None:
        last = prekeys.document.keys[-1].use_until_ms
        yield "daily_keys", f"version {prekeys.document.version}, last day ends {format_utc(last)}"


def _publications(trusted: TrustedDirectory, code: str) -> Iterator[str]:
    for (state, topic, name), held in sorted(trusted.documents.publications.items()):
        if state == code:
            yield f"{topic} {name}@{held.document.version}"
