"""What custodians are asked to sign: ``almenara governance propose``."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from exchange.cli.command import Command
from exchange.cli.local import FILE, FOLDER, Local, local

if TYPE_CHECKING:
    from exchange.setup.governance import Ceremony
    from protocol.governance import Proposal

F = TypeVar("F", bound=Callable[..., Any])


def place_option(function: F) -> F:
    """Add ``--in``."""
    return click.option(
        "--in", "folder", type=FOLDER, required=True, metavar="DIR", help="The community's directory."
    )(function)


def attestation_options(function: F) -> F:
    """Add ``--attestation`` and ``--unattested``."""
    unattested = click.option(
        "--unattested",
        metavar="REASON",
        help="Why members' attestations are missing; every custodian sees it.",
    )
    return click.option(
        "--attestation",
        "attestations",
        multiple=True,
        type=FILE,
        metavar="FILE",
        help="Where a member attests the state's key; two are needed.",
    )(unattested(function))


def proposal_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--in``, ``-o``, ``--reason`` and the options of every set-up command."""
    out = click.option(
        "-o", "--out", type=FILE, required=True, metavar="FILE.proposal", help="Where the proposal goes."
    )
    reason = click.option("--reason", metavar="TEXT", help="Why, for the custodians to read.")
    return place_option(out(reason(local(function))))


@click.group()
def propose() -> None:
    """Write down a change of members, custodians or thresholds, for custodians to sign."""


@propose.command(
    "admit",
    cls=Command,
    examples=(
        "almenara governance propose admit XDD/request.alm --attestation xaa.attestation"
        " --attestation xbb.attestation --in governance -o 5.proposal",
    ),
)
@click.argument("requests", nargs=-1, required=True, type=FILE, metavar="REQUEST...")
@attestation_options
@proposal_options
def admit(
    console: Local,
    requests: tuple[Path, ...],
    attestations: tuple[Path, ...],
    unattested: str | None,
    folder: Path,
    out: Path,
    reason: str | None,
) -> None:
    """List states and coordinators that ask for it, with their documents."""
    from exchange.setup import proposing

    ceremony, now_ms = _ceremony(folder)
    why = proposing.Why(reason, unattested)
    proposal = proposing.admit(ceremony, requests, now_ms, attestations=attestations, why=why)
    _write(console, ceremony, proposal, out, now_ms)


@propose.command(
    "replace-identity",
    cls=Command,
    examples=(
        "almenara governance propose replace-identity XAA/succession.alm --attestation xbb.attestation"
        " --attestation xcc.attestation --in governance -o 5.proposal",
    ),
)
@click.argument("request", type=FILE, metavar="REQUEST")
@attestation_options
@proposal_options
def replace_identity(
    console: Local,
    request: Path,
    attestations: tuple[Path, ...],
    unattested: str | None,
    folder: Path,
    out: Path,
    reason: str | None,
) -> None:
    """List another identity key for a member."""
    from exchange.setup import proposing

    ceremony, now_ms = _ceremony(folder)
    why = proposing.Why(reason, unattested)
    proposal = proposing.replace_identity(ceremony, request, now_ms, attestations=attestations, why=why)
    _write(console, ceremony, proposal, out, now_ms)


@propose.command(
    "change-coordinator",
    cls=Command,
    examples=(
        "almenara governance propose change-coordinator HUB/request.alm --in governance -o 5.proposal",
    ),
)
@click.argument("request", type=FILE, metavar="REQUEST")
@proposal_options
def change_coordinator(console: Local, request: Path, folder: Path, out: Path, reason: str | None) -> None:
    """List a coordinator's next certificate, address or statement key."""
    from exchange.setup import proposing

    ceremony, now_ms = _ceremony(folder)
    proposal = proposing.change_coordinator(ceremony, request, now_ms, why=proposing.Why(reason))
    _write(console, ceremony, proposal, out, now_ms)


@propose.command(
    "suspend",
    cls=Command,
    examples=(
        'almenara governance propose suspend XBB --reason "its node is in foreign hands" --in governance'
        " -o urgent.proposal",
    ),
)
@click.argument("states", nargs=-1, required=True, metavar="STATE...")
@proposal_options
def suspend(console: Local, states: tuple[str, ...], folder: Path, out: Path, reason: str | None) -> None:
    """Let states take no part for now: two custodians suffice. Say why with --reason."""
    from exchange.setup import proposing

    if reason is None:
        raise click.UsageError("say why with --reason: the custodians are asked in a hurry")
    ceremony, now_ms = _ceremony(folder)
    proposal = proposing.suspend(ceremony, states, now_ms, why=proposing.Why(reason))
    _write(console, ceremony, proposal, out, now_ms)


@propose.command(
    "reinstate",
    cls=Command,
    examples=("almenara governance propose reinstate XBB --in governance -o 6.proposal",),
)
@click.argument("states", nargs=-1, required=True, metavar="STATE...")
@proposal_options
def reinstate(console: Local, states: tuple[str, ...], folder: Path, out: Path, reason: str | None) -> None:
    """Let suspended states take part again: the whole threshold must sign."""
    from exchange.setup import proposing

    ceremony, now_ms = _ceremony(folder)
    proposal = proposing.reinstate(ceremony, states, now_ms, why=proposing.Why(reason))
    _write(console, ceremony, proposal, out, now_ms)


@propose.command(
    "remove", cls=Command, examples=("almenara governance propose remove XBB --in governance -o 6.proposal",)
)
@click.argument("codes", nargs=-1, required=True, metavar="CODE...")
@proposal_options
def remove(console: Local, codes: tuple[str, ...], folder: Path, out: Path, reason: str | None) -> None:
    """List states or coordinators no more."""
    from exchange.setup import proposing

    ceremony, now_ms = _ceremony(folder)
    proposal = proposing.remove(ceremony, codes, now_ms, why=proposing.Why(reason))
    _write(console, ceremony, proposal, out, now_ms)


def _rotate(role: str) -> click.Command:
    @click.command(
        f"rotate-{role}",
        cls=Command,
        examples=(
            f"almenara governance propose rotate-{role} --add ana-{role}.key.public --drop 3f2a91c0"
            " --in governance -o 2.proposal",
        ),
        help=f"Replace custodians' {role} keys; the old and the new root threshold must sign.",
    )
    @click.option("--add", multiple=True, type=FILE, metavar="FILE.public", help="A new custodian's key.")
    @click.option("--drop", multiple=True, metavar="KEYID", help="A listed key: its id, 8 digits or more.")
    @click.option("--threshold", type=int, metavar="N", help="How many must sign from then on.")
    @proposal_options
    def command(
        console: Local,
        add: tuple[Path, ...],
        drop: tuple[str, ...],
        threshold: int | None,
        folder: Path,
        out: Path,
        reason: str | None,
    ) -> None:
        from exchange.setup import custodians
        from exchange.setup.proposing import Why
        from protocol.documents import Role

        ceremony, now_ms = _ceremony(folder)
        proposal = custodians.rotate(
            ceremony, Role(role), add=add, drop=drop, threshold=threshold, now_ms=now_ms, why=Why(reason)
        )
        _write(console, ceremony, proposal, out, now_ms)

    return command


propose.add_command(_rotate("root"))
propose.add_command(_rotate("directory"))


@propose.command(
    "thresholds",
    cls=Command,
    examples=("almenara governance propose thresholds --root 4 --directory 3 --in governance -o 2.proposal",),
)
@click.option("--root", type=int, metavar="N", help="How many must sign a root.")
@click.option("--directory", type=int, metavar="N", help="How many must sign a directory.")
@proposal_options
def thresholds(
    console: Local, root: int | None, directory: int | None, folder: Path, out: Path, reason: str | None
) -> None:
    """Change how many custodians must sign."""
    from exchange.setup import custodians
    from exchange.setup.proposing import Why

    ceremony, now_ms = _ceremony(folder)
    proposal = custodians.thresholds(ceremony, root=root, directory=directory, now_ms=now_ms, why=Why(reason))
    _write(console, ceremony, proposal, out, now_ms)


@propose.command(
    "refresh",
    cls=Command,
    examples=(
        "almenara governance propose refresh --in governance -o 7.proposal",
        "almenara governance propose refresh --root --in governance -o 2.proposal",
    ),
)
@click.option("--root", "of_root", is_flag=True, help="The root, not the directory.")
@proposal_options
def refresh(console: Local, of_root: bool, folder: Path, out: Path, reason: str | None) -> None:
    """Let the directory, or the root, expire later; nothing else changes."""
    from exchange.setup import custodians, proposing

    ceremony, now_ms = _ceremony(folder)
    work = custodians.refresh_root if of_root else proposing.refresh
    _write(console, ceremony, work(ceremony, now_ms, why=proposing.Why(reason)), out, now_ms)


@propose.command(
    "confirm-compromise",
    cls=Command,
    examples=(
        "almenara governance propose confirm-compromise XBB 3f2a91c0 --since 2026-03-01T00:00:00.000Z"
        " --in governance -o 8.proposal",
    ),
)
@click.argument("party", metavar="CODE")
@click.argument("key", metavar="KEYID")
@click.option("--since", required=True, metavar="TIME", help="Since when it was stolen, UTC.")
@proposal_options
def confirm_compromise(
    console: Local, party: str, key: str, since: str, folder: Path, out: Path, reason: str | None
) -> None:
    """Confirm that a key was stolen: what it signed from then on does not count."""
    from exchange.setup import proposing
    from protocol.text import parse_utc

    since_ms = parse_utc(since, what="time behind --since")
    ceremony, now_ms = _ceremony(folder)
    why = proposing.Why(reason)
    proposal = proposing.confirm_compromise(ceremony, party, key, since_ms, now_ms, why=why)
    _write(console, ceremony, proposal, out, now_ms)


def _ceremony(folder: Path) -> tuple[Ceremony, int]:
    from exchange.clock import SystemClock
    from exchange.setup.governance import read_ceremony

    now_ms = SystemClock().now_ms()
    return read_ceremony(folder, now_ms), now_ms


def _write(console: Local, ceremony: Ceremony, proposal: Proposal | None, out: Path, now_ms: int) -> None:
    """Check a proposal as every custodian will, then write it and show it."""
    from exchange.cli.showing_setup import NOTHING_CHANGES, review_as_fields, review_lines
    from exchange.setup.files import write_file
    from exchange.setup.reviewing import review
    from protocol import codec

    if proposal is None:
        console.show({"directory_version": None, "changes": [], "proposal": None}, NOTHING_CHANGES)
        return
    reviewed = review(ceremony.trusted, proposal, now_ms)
    write_file(out, codec.encode(proposal))
    console.show(
        review_as_fields(reviewed) | {"proposal": str(out)},
        *review_lines(reviewed),
        f"Next: send {out} and community.alm to the custodians; each types, with the root hash from the "
        "record "
        f"of the ceremony and her own key: almenara governance sign {shlex.quote(out.name)} --community "
        "community.alm --root-hash ROOT-HASH --key FILE",
    )
