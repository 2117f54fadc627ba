"""The ceremony of governance: ``almenara governance sign``, ``publish``, ``status`` and their like."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from exchange.cli.command import Command
from exchange.cli.local import FILE, Local, local, passphrase_option, protection_options, settings_of
from exchange.cli.proposing import attestation_options, place_option
from exchange.cli.root_hash import pinned_root
from exchange.cli.words import counted

if TYPE_CHECKING:
    from exchange.setup.governance import Ceremony
    from exchange.setup.publishing import Standing


@click.command(
    "sign",
    cls=Command,
    examples=(
        'almenara governance sign 5.proposal --community community.alm --root-hash "$(cat root-hash)"'
        " --key directory-1.key",
        "... --key directory-1.key --dry-run",
    ),
)
@click.argument("proposal", type=FILE, metavar="FILE.proposal")
@click.option("--community", type=FILE, required=True, metavar="FILE", help="The community file.")
@click.option("--root-hash", required=True, metavar="TEXT|FILE", help="From the ceremony: digits, or words.")
@click.option("--key", type=FILE, required=True, metavar="FILE", help="Your own key.")
@click.option("-o", "--out", type=FILE, metavar="FILE", help="Where the signature goes.")
@click.option("--dry-run", is_flag=True, help="Show what would change, and sign nothing.")
@click.option("--yes", is_flag=True, help="All of it was looked at: do not ask.")
@passphrase_option
@local
def sign(
    console: Local,
    proposal: Path,
    community: Path,
    root_hash: str,
    key: Path,
    out: Path | None,
    dry_run: bool,
    yes: bool,
    passphrase_file: Path | None,
) -> None:
    """Verify a proposal from the root hash on, show what it changes, and sign it after a yes."""
    from exchange.cli.showing_setup import review_as_fields, review_lines
    from exchange.clock import SystemClock
    from exchange.setup import signing
    from exchange.setup.files import write_file
    from exchange.setup.governance import read_from
    from exchange.setup.keyring import open_signer
    from exchange.setup.reviewing import review

    now_ms = SystemClock().now_ms()
    trusted = read_from(community, pinned_root(root_hash), now_ms).trusted
    reviewed = review(trusted, signing.read_proposal(proposal), now_ms)
    key_id = signing.require_listed(reviewed, key)
    fields = review_as_fields(reviewed) | {"key": key_id.hex()}
    if dry_run:
        console.show(fields | {"signed": False}, *review_lines(reviewed), "Nothing was signed.")
        return
    for line in review_lines(reviewed):
        console.tell(line)
    console.confirm("Is all of this what was agreed? Sign?", yes=yes)
    source = console.source("custodian's key", _file(passphrase_file))
    signer = open_signer(key, signing.role_of(reviewed), source)
    target = out or signing.signature_name(proposal, key_id)
    write_file(target, signing.sign_proposal(reviewed, signer))
    console.show(
        fields | {"signed": True, "signature": str(target)},
        f"Signed: {target}",
        "Next: send that file to whoever publishes; it is no secret, and worth nothing for anything else.",
    )


@click.command(
    "publish",
    cls=Command,
    examples=("almenara governance publish 5.proposal 5-*.signature --in governance",),
)
@click.argument("proposal", type=FILE, metavar="FILE.proposal")
@click.argument("signatures", nargs=-1, type=FILE, metavar="FILE.signature...")
@place_option
@local
def publish(console: Local, proposal: Path, signatures: tuple[Path, ...], folder: Path) -> None:
    """Count the custodians' signatures, verify everything again, and add it to the community file."""
    from exchange.cli.showing_setup import refused_lines, review_lines, standing_as_fields
    from exchange.clock import SystemClock
    from exchange.setup import publishing

    now_ms = SystemClock().now_ms()
    ceremony, standing = _standing(folder, proposal, signatures, now_ms)
    for line in (*review_lines(standing.review), *refused_lines(standing)):
        console.tell(line)
    publishing.publish_signed(ceremony, standing, now_ms)
    community = str(folder / "community.alm")
    console.show(
        standing_as_fields(standing) | {"published": True, "community": community},
        f"Published: {standing.review.what}, signed with {counted(len(standing.signatures), 'key')}.",
        f"Next: give {community} to the coordinator's operator, who types: almenara coordinator join --data "
        "HUB "
        "community.alm",
        "The coordinator passes it on to every node. A new member is let in only after that.",
        *_reason_for(standing),
    )


@click.command(
    "status",
    cls=Command,
    examples=("almenara governance status 5.proposal 5-*.signature --in governance",),
)
@click.argument("proposal", type=FILE, metavar="FILE.proposal")
@click.argument("signatures", nargs=-1, type=FILE, metavar="FILE.signature...")
@place_option
@local
def status(console: Local, proposal: Path, signatures: tuple[Path, ...], folder: Path) -> None:
    """Show what a proposal changes, who has signed it, and who is missing."""
    from exchange.cli.showing_setup import refused_lines, review_lines, standing_as_fields, standing_lines
    from exchange.clock import SystemClock

    _, standing = _standing(folder, proposal, signatures, SystemClock().now_ms())
    console.show(
        standing_as_fields(standing),
        *review_lines(standing.review),
        *standing_lines(standing, _publishing(proposal, signatures, folder)),
        *refused_lines(standing),
    )


@click.command(
    "custodian-key",
    cls=Command,
    examples=(
        'almenara governance custodian-key --role directory --name "Ana Silva" --out ana-directory.key'
        ' --root-hash "$(cat root-hash)"',
    ),
)
@click.option("--role", type=click.Choice(["root", "directory"]), required=True, help="What it will sign.")
@click.option("--name", required=True, help="Whose key it is.")
@click.option("--root-hash", required=True, metavar="TEXT|FILE", help="From the ceremony: digits, or words.")
@click.option("--out", type=FILE, required=True, metavar="FILE", help="The new key's file.")
@protection_options
@local
def custodian_key(
    console: Local,
    role: str,
    name: str,
    root_hash: str,
    out: Path,
    passphrase_file: Path | None,
    unprotected: bool,
) -> None:
    """Make a custodian's key where it will stay, and the public file to be listed with."""
    from exchange import fingerprints
    from exchange.clock import SystemClock
    from exchange.setup import custodians
    from exchange.setup.keyring import described
    from protocol.documents import Role

    protect = console.protect(f"{role} key of {name}", _file(passphrase_file), unprotected=unprotected)
    pinned = pinned_root(root_hash)
    public = custodians.create_key(out, name, Role(role), pinned, protect, SystemClock().now_ms())
    key_id = described(out).key_id
    console.show(
        {
            "role": role,
            "name": name,
            "key_id": key_id.hex(),
            "key": str(out),
            "public": str(public),
            **fingerprints.fields(key_id),
        },
        f"The {role} key of {name} is in {out}; it stays with you.",
        "Its fingerprint, for the other custodians to compare:",
        *fingerprints.lines(key_id),
        f"Next: send {public} to whoever proposes: almenara governance propose rotate-{role} --add {public}",
    )


@click.command("admit", cls=Command, examples=("almenara governance admit --in governance XAA/request.alm",))
@click.argument("requests", nargs=-1, required=True, type=FILE, metavar="REQUEST...")
@place_option
@click.option("--key", "keys", multiple=True, type=FILE, metavar="FILE", help="A directory key to sign with.")
@attestation_options
@click.option("--dry-run", is_flag=True, help="Show what would change, and sign nothing.")
@click.option("--yes", is_flag=True, help="The fingerprints were compared: do not ask.")
@passphrase_option
@local
def admit(
    console: Local,
    requests: tuple[Path, ...],
    folder: Path,
    keys: tuple[Path, ...],
    attestations: tuple[Path, ...],
    unattested: str | None,
    dry_run: bool,
    yes: bool,
    passphrase_file: Path | None,
) -> None:
    """Propose, sign and publish in one step, while the custodians' keys lie together, as in a pilot."""
    from exchange.cli.showing_setup import NOTHING_CHANGES, review_as_fields, review_lines
    from exchange.clock import SystemClock
    from exchange.setup import proposing
    from exchange.setup.governance import choose_keys, read_ceremony
    from exchange.setup.publishing import sign_and_publish
    from exchange.setup.reviewing import review

    now_ms = SystemClock().now_ms()
    ceremony = read_ceremony(folder, now_ms)
    why = proposing.Why(unattested=unattested)
    proposal = proposing.admit(ceremony, requests, now_ms, attestations=attestations, why=why)
    if proposal is None:
        console.show({"directory_version": None, "changes": [], "signed": False}, NOTHING_CHANGES)
        return
    reviewed = review(ceremony.trusted, proposal, now_ms)
    fields = review_as_fields(reviewed)
    if dry_run:
        console.show(fields | {"signed": False}, *review_lines(reviewed))
        return
    for line in review_lines(reviewed):
        console.tell(line)
    console.confirm("Were the fingerprints compared over two other channels? Sign?", yes=yes)
    source = console.source("directory keys", _file(passphrase_file))
    chosen = choose_keys(ceremony, keys)
    sign_and_publish(ceremony, reviewed, chosen, source, now_ms)
    community = str(folder / "community.alm")
    console.show(
        fields | {"signed": True, "signed_with": [str(path) for path in chosen], "community": community},
        f"Signed with {counted(len(chosen), 'key')}; directory version {reviewed.document.version}.",
        f"Next: give {community} to the coordinator's operator, who types: almenara coordinator join --data "
        "HUB "
        "community.alm",
        "Then give it to every new member, to join with: before that, the coordinator lets nobody new in.",
    )


@click.command("show", cls=Command, examples=("almenara governance show --in governance",))
@place_option
@local
def show(console: Local, folder: Path) -> None:
    """Show custodians' keys, members, versions and expiries, after verifying every document again."""
    from exchange.cli.showing_setup import community_as_fields, community_lines
    from exchange.clock import SystemClock
    from exchange.setup.governance import read_ceremony

    trusted = read_ceremony(folder, SystemClock().now_ms()).trusted
    console.show(community_as_fields(trusted), *community_lines(trusted))


def _reason_for(standing: Standing) -> list[str]:
    """Return who must be told why: no document carries the reason, so those concerned cannot see it."""
    reason = standing.review.proposal.reason
    concerned = [change.code for change in standing.review.changes if change.action in ("suspend", "remove")]
    if not concerned:
        return []
    said = f" The proposal says: {reason}" if reason else ""
    return [f"Tell {', '.join(concerned)} why, on another channel: no document says so.{said}"]


def _publishing(proposal: Path, signatures: tuple[Path, ...], folder: Path) -> str:
    """Return the command that publishes what was looked at just now."""
    words = shlex.join(map(str, [proposal, *signatures]))
    return f"almenara governance publish {words} --in {shlex.quote(str(folder))}"


def _standing(
    folder: Path, proposal: Path, signatures: tuple[Path, ...], now_ms: int
) -> tuple[Ceremony, Standing]:
    from exchange.setup import publishing
    from exchange.setup.governance import read_ceremony
    from exchange.setup.reviewing import review
    from exchange.setup.signing import read_proposal

    ceremony = read_ceremony(folder, now_ms)
    reviewed = review(ceremony.trusted, read_proposal(proposal), now_ms)
    return ceremony, publishing.standing(reviewed, publishing.read_signatures(signatures))


def _file(named: Path | None) -> Path | None:
    """Return the passphrase file that was named, by flag or by setting."""
    from exchange.settings import CliSettings

    return settings_of(CliSettings, passphrase_file=named).passphrase_file
