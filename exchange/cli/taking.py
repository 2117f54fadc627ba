"""What members have published, out of a node and into governance's folder.

``almenara node community`` and ``almenara governance take``.
"""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from exchange.cli.command import Command
from exchange.cli.local import FILE, FOLDER, Local, data_option, local, settings_of
from exchange.cli.words import counted


@click.command("community", cls=Command, examples=("almenara node community --data XAA -o community.alm",))
@data_option
@click.option("-o", "--out", type=FILE, required=True, metavar="FILE", help="The file to write.")
@click.option("--force", is_flag=True, help="Replace a file of that name.")
@local
def community(console: Local, data: str | None, out: Path, force: bool) -> None:
    """Write everything that the node trusts as a community file, to join or to take over; it may run."""
    from exchange.settings import NodeSettings
    from exchange.setup.files import write_file
    from exchange.setup.taking import community_of
    from protocol.enrolment import parse_community
    from protocol.errors import BadRequest

    if out.exists() and not force:
        raise BadRequest(f"there is a file {out} already", hint="Choose another name, or add --force.")
    content = community_of(settings_of(NodeSettings, data=data).data)
    write_file(out, content)
    count = len(parse_community(content).documents)
    console.show(
        {"community": str(out), "documents": count, "bytes": len(content)},
        f"{out} holds the {count} documents that this node trusts.",
        f"Next, for governance: almenara governance take {shlex.quote(out.name)} --in DIR",
        "Or, where a node is not let in, for the coordinator: almenara coordinator join --data HUB "
        f"{shlex.quote(out.name)}",
        "Whoever joins with it verifies every document from the root hash, as with any community file.",
    )


@click.command("take", cls=Command, examples=("almenara governance take community.alm --in governance",))
@click.argument("file", type=FILE, metavar="COMMUNITY")
@click.option("--in", "folder", type=FOLDER, required=True, metavar="DIR", help="The community's directory.")
@click.option("--give-way", is_flag=True, help="Leave out what was decided here and lost a race.")
@local
def take(console: Local, file: Path, folder: Path, give_way: bool) -> None:
    """Add what members have published since, from a node's community file; everything is verified."""
    from exchange.clock import SystemClock
    from exchange.setup import governance as work
    from exchange.setup.files import read_file
    from exchange.setup.taking import take as take_over
    from protocol.enrolment import MAX_COMMUNITY_BYTES

    now_ms = SystemClock().now_ms()
    ceremony = work.read_ceremony(folder, now_ms)
    offered = read_file(file, MAX_COMMUNITY_BYTES, "community file")
    merged = take_over(ceremony, offered, now_ms, give_way=give_way)
    after, head, dropped = merged.ceremony, merged.ceremony.trusted.head(), len(merged.dropped)
    console.show(
        {
            "added": len(merged.fresh),
            "dropped": dropped,
            "documents": len(after.documents),
            "directory_version": head.version,
        },
        f"New in {folder}: {counted(len(merged.fresh), 'document')}; the directory has version "
        f"{head.version}.",
        *(
            [f"Overtaken by what the nodes have, and left out here: {counted(dropped, 'document')}."]
            if dropped
            else []
        ),
        f"Next: almenara governance show --in {folder}",
    )
