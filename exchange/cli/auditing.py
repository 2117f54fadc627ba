"""``almenara audit``: export a ledger, and verify it, or a receipt, on any machine without a network."""

from __future__ import annotations

import importlib
import shlex
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from exchange.cli.command import Command
from exchange.cli.exits import Exit
from exchange.cli.local import FILE, FOLDER, Local, local
from exchange.cli.root_hash import pinned_root, root_hash_option
from protocol.errors import BadRequest

if TYPE_CHECKING:
    from exchange.audit.verdict import Verdict

_ELSEWHERE = {"report": "exchange.cli.audit_report"}


class Audit(click.Group):
    """The group; a command that lives in its own module is imported when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands that this installation has."""
        return [
            *super().list_commands(ctx),
            *(name for name, there in _ELSEWHERE.items() if find_spec(there)),
        ]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command."""
        there = _ELSEWHERE.get(cmd_name)
        if there is None or find_spec(there) is None:
            return super().get_command(ctx, cmd_name)
        command = getattr(importlib.import_module(there), cmd_name)
        return command if isinstance(command, click.Command) else None


@click.group(cls=Audit, context_settings={"help_option_names": ["-h", "--help"]})
def audit() -> None:
    """Export the ledger, verify it offline, and report on it."""


@audit.command(
    "verify",
    cls=Command,
    examples=(
        "almenara audit verify bundle/ --root-hash root-hash",
        "almenara audit verify receipt.txt --root-hash root-hash",
        "almenara audit verify bundle/ --root-hash root-hash --sample 5000",
        "almenara audit verify bundle/ --root-hash root-hash --disclosure notice.disclosure --json",
    ),
)
@click.argument("path", type=click.Path(path_type=Path))
@root_hash_option
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    metavar="N",
    help="Verify about N statements' signatures, which the ledger's root chooses; default: all.",
)
@click.option(
    "--disclosure",
    "disclosures",
    type=FILE,
    multiple=True,
    metavar="FILE",
    help="A notice that a state opened for you; can be given several times.",
)
@local
def verify(
    console: Local,
    path: Path,
    root_hash: str | None,
    sample: int | None,
    disclosures: Sequence[Path],
) -> int:
    """Verify the bundle or the receipt PATH: no network, no server, nobody's word.

    Exit code 0: everything that was checked holds. 3: something is wrong, and the findings say where.
    2: PATH is neither, or no root hash is given.
    """
    pinned = pinned_root(root_hash)
    if path.is_dir():
        verdict = verified(path, pinned, sample=sample, disclosures=disclosures)
        from exchange.cli.showing_audit import print_verdict

        console.out.result(verdict, lambda screen: print_verdict(screen, verdict))
        return _exit(verdict.verdict)
    from exchange.audit.verify.receipt import receipt_verdict
    from exchange.cli.showing_audit import print_receipt

    told = receipt_verdict(_receipt(path), pinned)
    console.out.result(told, lambda screen: print_receipt(screen, told))
    return _exit(told.verdict)


@audit.command(
    "export",
    cls=Command,
    examples=(
        "almenara audit export --url https://hub.example:9443 --community community.alm"
        " --root-hash root-hash --token-file auditor.token -o bundle",
        "almenara audit export --since 2026-01-01 --url https://hub.example:9443 --community community.alm"
        " --root-hash root-hash --token-file auditor.token -o bundle",
        "almenara audit export --member XAA --url https://hub.example:9443 --community community.alm"
        " -o what-concerns-us",
    ),
)
@click.option("-o", "--output", type=FOLDER, required=True, metavar="DIR", help="A new directory.")
@click.option(
    "--url",
    required=True,
    envvar="ALMENARA_LEDGER_URL",
    metavar="URL",
    help="Where the coordinator serves its ledger: https://HOST:PORT.",
)
@click.option(
    "--community",
    type=FILE,
    required=True,
    envvar="ALMENARA_COMMUNITY",
    metavar="FILE",
    help="The community file: it pins the coordinator's certificate.",
)
@root_hash_option
@click.option("--coordinator", metavar="CODE", help="Which coordinator, if the community has several.")
@click.option(
    "--token-file",
    type=FILE,
    envvar="ALMENARA_TOKEN_FILE",
    metavar="FILE",
    help="An auditor's token (mode 0600).",
)
@click.option(
    "--member",
    type=FOLDER,
    metavar="DIR",
    help="Instead of a token, which is then not used: the data directory of a member's node.",
)
@click.option("--since", metavar="DATE", help="Leave older statements behind; never leaves or documents.")
@local
def export(
    console: Local,
    output: Path,
    url: str,
    community: Path,
    root_hash: str | None,
    coordinator: str | None,
    token_file: Path | None,
    member: Path | None,
    since: str | None,
) -> None:
    """Copy the ledger into a new directory, to be taken away and verified anywhere.

    An auditor gets everything; a member gets all leaves and the statements that concern it.
    """
    from exchange.audit.export import Wanted, export
    from exchange.audit.fetch import LedgerClient
    from exchange.cli.exporting import access_of, community_of, since_ms
    from exchange.clock import SystemClock, pause
    from exchange.version import VERSION

    now_ms = SystemClock().now_ms()
    pinned, trusted = community_of(community, root_hash, member, now_ms)
    code, state, access = access_of(trusted, url, coordinator, token_file, member)
    wanted = Wanted(
        community=pinned,
        coordinator=code,
        member=state,
        since_ms=None if since is None else since_ms(since),
        made_ms=now_ms,
        program=f"almenara {VERSION}",
    )
    client = LedgerClient(access)
    try:
        done = export(client, wanted, output, console.tell, pause)
    finally:
        client.close()
    if done.problem is not None:
        console.tell(f"warning: {done.problem}")
    console.show(
        {
            "bundle": str(output),
            "leaves": done.leaves,
            "documents": done.documents,
            "statements": done.statements,
            "bytes": done.bytes,
            "witnessed": done.problem is None,
        },
        f"{output}: {done.leaves} leaves, {done.documents} documents, {done.statements} statements.",
        f"Next: almenara audit verify {shlex.quote(str(output))} --root-hash {_same_hash(root_hash, member)}",
    )


def _same_hash(given: str | None, member: Path | None) -> str:
    """Return the root hash as it was given, for the next command: a file, digits, or a member's own."""
    if given is not None:
        return shlex.quote(given)
    return "ROOT-HASH" if member is None else shlex.quote(str(member / "root-hash"))


def verified(
    path: Path, pinned: bytes, *, sample: int | None = None, disclosures: Sequence[Path] = ()
) -> Verdict:
    """Return the verdict on a bundle in a directory; for the commands that show it.

    Raises:
        BadRequest: it is no bundle, or cannot be read.
    """
    from exchange.audit.folder import Folder
    from exchange.audit.verify.bundle import Options, verify_bundle
    from exchange.setup.files import read_file
    from protocol.disclosure import MAX_DISCLOSURE_BYTES

    opened = [read_file(one, MAX_DISCLOSURE_BYTES, "disclosure") for one in disclosures]
    try:
        return verify_bundle(Folder(path), pinned, Options(sample=sample, disclosures=opened))
    except OSError as error:
        raise BadRequest(
            f"{path} cannot be read: {error.strerror}", hint="Check the path and its permissions."
        ) from error


def _receipt(path: Path) -> bytes:
    from exchange.setup.files import read_file
    from protocol.errors import SetupError, TooLarge
    from protocol.ledger.receipt import HEADER, MAX_RECEIPT_BYTES

    try:
        data = read_file(path, MAX_RECEIPT_BYTES, "bundle or receipt")
    except (SetupError, TooLarge) as error:
        raise BadRequest(error.message, hint="Name a bundle's directory, or a receipt file.") from error
    if not data.startswith(HEADER.encode()):
        raise BadRequest(
            f"{path} is no receipt and no bundle", hint="Name a bundle's directory, or a receipt file."
        )
    return data


def _exit(outcome: object) -> int:
    from exchange.audit.verdict import Outcome

    return Exit.OK if outcome is Outcome.OK else Exit.VERIFICATION
