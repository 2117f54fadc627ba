"""A community, a proposal and who signed it, as lines for people and as fields for programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from exchange.setup.differences import Change
from exchange.setup.publishing import Count, Standing
from exchange.setup.reviewing import Review
from keys.trust import TrustedDirectory
from protocol.digest import signing_key_id
from protocol.documents import Directory, Role, RoleKeys, StateEntry
from protocol.text import format_utc

NOTHING_CHANGES = "Nothing changes: everybody who asks is a member already."
_SIGNS = {"add": "+", "remove": "-"}


def review_as_fields(review: Review) -> dict[str, object]:
    """Return a proposal for programs."""
    document, proposal = review.document, review.proposal
    is_directory = isinstance(document, Directory)
    return {
        "document": "directory" if is_directory else "root",
        "version": document.version,
        "directory_version": document.version if is_directory else None,
        "hash": proposal.hash.hex(),
        "expires": format_utc(document.expires_ms),
        "reason": proposal.reason,
        "unattested": proposal.unattested,
        "needs": [
            {"role": one.role.value, "root_version": one.root_version, "threshold": one.keys.threshold}
            for one in review.authorities
        ],
        "changes": [asdict(change) for change in review.changes],
        "following": list(review.following),
    }


def review_lines(review: Review) -> Iterator[str]:
    """Yield a proposal for people, who must compare the fingerprints; what is unsafe stands in capitals."""
    yield f"{review.what.capitalize()} would change:"
    for change in review.changes:
        yield from _change_lines(change)
    if not review.changes:
        yield "  nothing"
    for line in review.following:
        yield f"  then: {line}"
    if review.proposal.reason is not None:
        yield f"The proposal gives as its reason: {review.proposal.reason}"
    for one in review.authorities:
        yield (
            f"It needs {one.keys.threshold} of the {len(one.keys.keys)} {one.role} keys"
            f" of root version {one.root_version}."
        )


def standing_as_fields(standing: Standing) -> dict[str, object]:
    """Return who signed a proposal, for programs."""
    return review_as_fields(standing.review) | {
        "enough": standing.enough,
        "signatures": [
            {
                "role": count.authority.role.value,
                "root_version": count.authority.root_version,
                "needed": count.tally.needed,
                "signed": count.signed,
                "missing": count.missing,
            }
            for count in standing.counts
        ],
        "refused": [{"file": name, "reason": why} for name, why in standing.refused],
    }


def standing_lines(standing: Standing, publish: str) -> Iterator[str]:
    """Yield who signed a proposal, and who is missing, for people; and the command that publishes it."""
    for count in standing.counts:
        yield from _count_lines(count)
    if standing.enough:
        yield f"Enough. Next: {publish}"


def refused_lines(standing: Standing) -> Iterator[str]:
    """Yield which signature files count nothing, and why."""
    for name, why in standing.refused:
        yield f"Not counted: {name}: {why}."


def community_as_fields(trusted: TrustedDirectory) -> dict[str, object]:
    """Return a community for programs."""
    root, held = trusted.root, trusted.documents.directory
    return {
        "name": root.name,
        "root_hash": trusted.community.hex(),
        "root": {"version": root.version, "expires": format_utc(root.expires_ms)},
        "root_keys": _keys(root.root),
        "directory_keys": _keys(root.directory),
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
    for role, keys in (("root", root.root), ("directory", root.directory)):
        yield f"  {keys.threshold} of {len(keys.keys)} {role} keys must sign:"
        yield from (f"      {signing_key_id(key).hex()[:16]}" for key in keys.keys)
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


def _change_lines(change: Change) -> Iterator[str]:
    what = " ".join(part for part in (change.kind, change.code) if part)
    rest = "  ".join(part for part in (change.name, f"({change.detail})") if part)
    if change.unsafe:
        yield f"  ! {f'{change.action} {what}  {rest}'.upper()}"
    elif change.action in _SIGNS:
        yield f"  {_SIGNS[change.action]} {what}  {rest}"
    else:
        yield f"  ~ {change.action} {what}  {rest}"
    if change.fingerprint:
        yield f"      key {change.fingerprint}"


def _count_lines(count: Count) -> Iterator[str]:
    tally = count.tally
    yield (
        f"{tally.have} of {tally.needed} signatures by the {tally.role} keys of root version"
        f" {count.authority.root_version}:"
    )
    yield from (f"  signed   {key[:16]}" for key in count.signed)
    yield from (f"  missing  {key[:16]}" for key in count.missing)


def _keys(keys: RoleKeys) -> dict[str, object]:
    return {"threshold": keys.threshold, "keys": [signing_key_id(key).hex() for key in keys.keys]}


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
