"""``almenara help`` and ``config``: what a command, an exit code or a setting means."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from exchange.cli.command import Command, Common, common
from exchange.cli.exits import MEANING

if TYPE_CHECKING:
    from rich.console import Console


@click.command("help", cls=Command, examples=("almenara help exit-codes", "almenara help send"))
@click.argument("topic", nargs=-1)
@common
@click.pass_context
def help_(ctx: click.Context, common: Common, topic: tuple[str, ...]) -> None:
    """Explain a command, or the exit codes (topic: exit-codes)."""
    if topic == ("exit-codes",):
        codes = {str(int(code)): meaning for code, meaning in MEANING.items()}
        common.out.result({"exit_codes": codes}, _print_exit_codes)
        return
    context = ctx.find_root()
    command: click.Command = context.command
    for name in topic:
        found = command.get_command(context, name) if isinstance(command, click.Group) else None
        if found is None:
            raise click.UsageError(f"there is no help on {' '.join(topic)!r}", ctx)
        context = click.Context(found, info_name=name, parent=context)
        command = found
    text = command.get_help(context)
    common.out.result({"help": text}, lambda console: click.echo(text))


def _print_exit_codes(console: Console) -> None:
    from exchange.cli.render import print_facts

    print_facts(console, [(str(int(code)), meaning) for code, meaning in MEANING.items()])


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def config() -> None:
    """Show the settings of the commands."""


@config.command(
    "show", cls=Command, examples=("almenara config show --origin", "almenara config show --json")
)
@click.option("--origin", is_flag=True, help="Say where each value came from.")
@common
def show(common: Common, origin: bool) -> None:
    """Show each setting that holds; with --origin, where its value came from."""
    import msgspec

    resolved = common.settings()
    values = msgspec.structs.asdict(resolved.settings)
    shown = {name: None if value is None else str(value) for name, value in values.items()}
    rows = {name: {"value": value, "origin": resolved.origins[name]} for name, value in shown.items()}

    def text(console: Console) -> None:
        from exchange.cli.render import print_facts

        origins = {name: f"  ({resolved.origins[name]})" if origin else "" for name in rows}
        print_facts(console, [(name, f"{value or '-'}{origins[name]}") for name, value in shown.items()])

    common.out.result({"settings": rows}, text)
