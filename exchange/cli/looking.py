"""``almenara members``, ``severity`` and ``health``: what this node knows, and how it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from exchange.api.routes import Members, Schemas
from exchange.cli.command import Command, Common, common
from exchange.node.views import LevelView, NodeView, SchemaView, TranslationView
from protocol.errors import UnknownSeverity
from protocol.reference import Reference, parse_reference

if TYPE_CHECKING:
    from rich.console import Console


@click.command(cls=Command, examples=("almenara members", "almenara members --json"))
@common
def members(common: Common) -> None:
    """List the members of the community, and whether a notice could be sealed for each now."""
    found = common.node().ask("GET", "/v1/members", Members)
    common.out.result(found, lambda console: _print_members(console, found))


def _print_members(console: Console, found: Members) -> None:
    from exchange.cli.render import print_table, when

    rows = [
        (
            member.code,
            member.name,
            member.status,
            member.key_note or "usable" if member.usable_key else f"NO KEY: {member.key_note}",
            when(member.key_until_ms),
            ", ".join(member.schemas) or "-",
        )
        for member in found.members
    ]
    print_table(console, ("code", "name", "status", "key", "until", "schemas"), rows)


@click.group(
    epilog="Write a level as schema@version:level, such as xaa-national@1:grave.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
def severity() -> None:
    """Show severity schemas, and say a level in another schema's words."""


@severity.command("list", cls=Command, examples=("almenara severity list", "almenara severity list --json"))
@common
def list_(common: Common) -> None:
    """List every severity schema that this node knows."""
    found = common.node().ask("GET", "/v1/severity", Schemas)
    common.out.result(found, lambda console: _print_schemas(console, found))


def _print_schemas(console: Console, found: Schemas) -> None:
    from exchange.cli.render import print_table

    rows = [
        (
            schema.reference,
            schema.issuer,
            next(iter(schema.title.values()), ""),
            _origin(schema),
            ", ".join(level.code for level in _gravest_first(schema)),
        )
        for schema in found.schemas
    ]
    print_table(console, ("schema", "issuer", "title", "origin", "levels, gravest first"), rows)


def _origin(schema: SchemaView) -> str:
    # Only what the state itself signed may be called published.
    return "published by the state" if schema.published_by_state else f"{schema.status}, not endorsed"


def _gravest_first(schema: SchemaView) -> list[LevelView]:
    return sorted(schema.levels, key=lambda level: -level.rank)


@severity.command(
    "show", cls=Command, examples=("almenara severity show xaa-national", "almenara severity show ppd-41@1")
)
@click.argument("schema")
@common
def show(common: Common, schema: str) -> None:
    """Show the levels of one SCHEMA, gravest first, with the issuer's own words."""
    wanted = parse_reference(schema)
    found = common.node().ask("GET", "/v1/severity", Schemas).schemas
    view = _find(wanted, found)
    common.out.result(view, lambda console: _print_schema(console, view))


def _find(wanted: Reference, schemas: tuple[SchemaView, ...]) -> SchemaView:
    """Return the named version, or the newest of that name."""
    known = [(parse_reference(one.reference), one) for one in schemas]
    fit = [
        (reference.version or 0, one)
        for reference, one in known
        if reference.schema == wanted.schema and wanted.version in (None, reference.version)
    ]
    if not fit:
        raise UnknownSeverity(f"no severity schema {wanted.schema} of that version is known here")
    return max(fit, key=lambda pair: pair[0])[1]


def _print_schema(console: Console, schema: SchemaView) -> None:
    from exchange.cli.render import print_facts, print_table

    rows = [
        ("schema", schema.reference),
        *((f"title {language}", text) for language, text in schema.title.items()),
        ("issuer", schema.issuer),
        ("origin", _origin(schema)),
        ("source", schema.source),
        ("provenance", schema.provenance),
    ]
    print_facts(console, rows)
    levels = [
        (
            level.code,
            "; ".join(f"{language}: {name}" for language, name in level.names.items()),
            "none" if level.point is None else f"{level.point} ({level.low}-{level.high})",
            next(iter(level.definition.values()), "-"),
        )
        for level in _gravest_first(schema)
    ]
    print_table(console, ("level", "names", "reference", "definition"), levels)


@severity.command(
    "translate",
    cls=Command,
    examples=(
        "almenara severity translate xaa-national@1:grave xbb-national",
        "almenara severity translate 4 ppd-41",
    ),
)
@click.argument("level")
@click.argument("schema")
@common
def translate(common: Common, level: str, schema: str) -> None:
    """Say what LEVEL of one schema would be called in another SCHEMA; always advisory."""
    query = {"from": level, "to": schema}
    view = common.node().ask("GET", "/v1/severity/translate", TranslationView, query=query)
    common.out.result(view, lambda console: _print_translation(console, view))


def _print_translation(console: Console, view: TranslationView) -> None:
    from exchange.cli.render import print_facts

    rows = [
        ("from", view.source),
        ("to", view.target),
        ("level", view.level or "no translation"),
        ("could also be", ", ".join(one for one in view.candidates if one != view.level) or "-"),
        ("note", view.note),
    ]
    print_facts(console, [row for row in rows if row[1] not in ("-", "")])


@click.command(
    cls=Command,
    examples=("almenara health", "almenara health --json | jq .alarms", "almenara health --dismiss"),
)
@click.option("--dismiss", is_flag=True, help="Take down the alarms: you have dealt with them.")
@common
def health(common: Common, dismiss: bool) -> None:
    """Show how the node is: its link, its queue, its directory, and what a person must know.

    An alarm stands until an officer dismisses it; one whose cause lasts comes back.
    """
    view = common.node().ask(*(("POST", "/v1/node/dismiss") if dismiss else ("GET", "/v1/node")), NodeView)
    common.out.result(view, lambda console: _print_health(console, view, common))


def _print_health(console: Console, view: NodeView, common: Common) -> None:
    from exchange.cli.render import print_facts, when

    link = (
        f"connected since {when(view.connected_since_ms)}, at {view.address}"
        if view.connected
        else "NOT CONNECTED; it goes on trying"
    )
    skew = "-" if view.clock_skew_ms is None else f"{view.clock_skew_ms / 1000:.1f} s"
    rows = [
        ("node", f"{view.state}, almenara {view.version}"),
        ("coordinator", view.coordinator),
        ("link", link),
        ("last error", view.last_error or "-"),
        *(("no answer", f"{one.address}, tried {when(one.at_ms)}: {one.error}") for one in view.silent),
        ("queued", str(view.queued)),
        ("unread", str(view.inbox_unread)),
        ("directory", f"version {view.directory_version}"),
        ("clock differs by", skew),
        *((f"ALARM {alarm.code}", f"{alarm.message}. {common.fill(alarm.next)}") for alarm in view.alarms),
        *(("note", note) for note in view.notes),
    ]
    if view.alarms:
        step = "almenara health --dismiss --data DIR --token-file TOKEN"
        rows.append(("next", common.fill(f"When you have dealt with the alarms: {step}")))
    print_facts(console, [row for row in rows if row[1] != "-"])
