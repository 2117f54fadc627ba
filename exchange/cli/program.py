"""The program: the table of commands, loaded when they are used, and one way to fail."""

from __future__ import annotations

import difflib
import importlib
import io
import os
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from traceback import extract_tb
from types import MappingProxyType
from typing import NamedTuple

import click

from exchange.cli.exits import Exit, exit_of
from exchange.cli.output import print_error
from exchange.version import VERSION
from protocol.errors import AlmenaraError


class Entry(NamedTuple):
    """One command: where its code lives, under which heading it is listed, and what it does."""

    target: str
    heading: str
    summary: str


_NOTICES, _WORDS, _RUN = "Notices", "Members and severity", "Running"

COMMANDS: Mapping[str, Entry] = MappingProxyType(
    {
        "send": Entry("exchange.cli.send:send", _NOTICES, "Send a notice to other states."),
        "inbox": Entry("exchange.cli.notices:inbox", _NOTICES, "List received notices."),
        "outbox": Entry("exchange.cli.notices:outbox", _NOTICES, "List sent notices."),
        "show": Entry("exchange.cli.notices:show", _NOTICES, "Read a notice; signs that you opened it."),
        "ack": Entry("exchange.cli.answering:ack", _NOTICES, "Accept, decline or complete a notice."),
        "disclose": Entry("exchange.cli.disclosing:disclose", _NOTICES, "Open a notice for an auditor."),
        "status": Entry("exchange.cli.following:status", _NOTICES, "Show who has what, and since when."),
        "proof": Entry("exchange.cli.proving:proof", _NOTICES, "Save a receipt that verifies for ever."),
        "watch": Entry("exchange.cli.following:watch", _NOTICES, "Follow events as they happen."),
        "members": Entry("exchange.cli.looking:members", _WORDS, "List the members of the community."),
        "severity": Entry("exchange.cli.looking:severity", _WORDS, "Show and translate severity levels."),
        "health": Entry("exchange.cli.looking:health", _RUN, "Show how the node is."),
        "audit": Entry("exchange.cli.auditing:audit", _RUN, "Export the ledger and verify it offline."),
        "ledger": Entry("exchange.cli.proving:ledger", _RUN, "Watch the ledger and its witnesses."),
        "demo": Entry("exchange.demo.command:demo", _RUN, "Watch three states exchange a notice."),
        "hammer": Entry("exchange.hammer.command:hammer", _RUN, "Put load on a test community, and measure."),
        "governance": Entry("exchange.cli.setup:governance", _RUN, "Make and sign the trust documents."),
        "coordinator": Entry("exchange.cli.setup:coordinator", _RUN, "Set up and run a coordinator."),
        "node": Entry("exchange.cli.setup_node:node", _RUN, "Set up and run a node."),
        "officer": Entry("exchange.cli.setup_node:officer", _RUN, "Make officers' keys and tokens."),
        "token": Entry("exchange.cli.tokens:token", _RUN, "Let programs and displays in."),
        "key": Entry("exchange.cli.keys:key", _RUN, "Show, rotate, revoke and check keys."),
        "backup": Entry("exchange.cli.backing_up:backup", _RUN, "Back up a node or a coordinator."),
        "restore": Entry("exchange.cli.backing_up:restore", _RUN, "Fill a new place from a backup."),
        "doctor": Entry("exchange.cli.examining:doctor", _RUN, "Examine a node or a coordinator."),
        "config": Entry("exchange.cli.explaining:config", _RUN, "Show settings and where they come from."),
        "help": Entry("exchange.cli.explaining:help_", _RUN, "Explain a command, or the exit codes."),
    }
)


class Program(click.Group):
    """The group of all commands; none is imported before it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands that this installation has, in the order of the table."""
        return [name for name, entry in COMMANDS.items() if find_spec(_module(entry)) is not None]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, importing its module."""
        entry = COMMANDS.get(cmd_name)
        if entry is None or find_spec(_module(entry)) is None:
            return None
        command = getattr(importlib.import_module(_module(entry)), entry.target.partition(":")[2])
        return command if isinstance(command, click.Command) else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the words name, or say which one may have been meant."""
        name = args[0]
        if not name.startswith("-") and name not in self.list_commands(ctx):
            near = difflib.get_close_matches(name, self.list_commands(ctx), n=1)
            meant = f" Did you mean {near[0]}?" if near else " See: almenara --help"
            raise click.UsageError(f"there is no command {name!r}.{meant}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands under their headings, from the table alone."""
        listed = self.list_commands(ctx)
        for heading in (_NOTICES, _WORDS, _RUN):
            with formatter.section(heading):
                rows = [
                    (name, COMMANDS[name].summary) for name in listed if COMMANDS[name].heading == heading
                ]
                formatter.write_dl(rows)


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="almenara", message="%(prog)s %(version)s")
def almenara() -> None:
    """Exchange sealed, signed incident notices with other states' CSIRTs."""


def run(words: Sequence[str]) -> int:
    """Run one command and return its exit code; every failure is told here and nowhere else."""
    as_json = "--json" in words
    for stream in (sys.stdout, sys.stderr):
        # A terminal of another encoding shows an escape instead of failing in the middle of a notice.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        result = almenara.main(list(words), prog_name="almenara", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else Exit.OK
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message(), file=sys.stderr)
        return Exit.USAGE
    except click.UsageError as error:
        return _usage(error, as_json=as_json)
    except click.ClickException as error:
        print_error(as_json=as_json, code="failed", message=error.format_message(), next_step="See --help.")
        return Exit.FAILED
    except (click.Abort, KeyboardInterrupt):
        print_error(as_json=as_json, code="interrupted", message="interrupted", next_step="Run it again.")
        return Exit.INTERRUPTED
    except AlmenaraError as error:
        return _failed(error, as_json=as_json)
    except BrokenPipeError:
        # Whoever read our output has gone, as `head` does; the interpreter must not flush into it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.FAILED
    except Exception as error:
        return _bug(error, as_json=as_json)


def _module(entry: Entry) -> str:
    return entry.target.partition(":")[0]


def _usage(error: click.UsageError, *, as_json: bool) -> int:
    path = error.ctx.command_path if error.ctx is not None else "almenara"
    print_error(
        as_json=as_json, code="usage", message=error.format_message(), next_step=f"See: {path} --help"
    )
    return Exit.USAGE


def _failed(error: AlmenaraError, *, as_json: bool) -> int:
    from exchange.cli.client import RequestTrace

    # The node may know a code that this program does not; any other cause is for the log.
    cause = error.__cause__
    trace = cause if isinstance(cause, RequestTrace) else None
    print_error(
        as_json=as_json,
        code=(trace.code if trace else None) or error.code,
        message=error.message,
        next_step=error.hint,
        request_id=trace.request_id if trace else None,
    )
    return exit_of(type(error))


def _bug(error: Exception, *, as_json: bool) -> int:
    place = extract_tb(error.__traceback__)[-1]
    print_error(
        as_json=as_json,
        code="internal",
        message=f"{type(error).__name__} at {os.path.basename(place.filename)}:{place.lineno}: a bug here",
        next_step="Report it with the command you ran, without the text of any notice.",
    )
    return Exit.FAILED
