"""Keys looked at: ``almenara key list``, ``check`` and ``export``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from exchange.cli.command import Command
from exchange.cli.exits import Exit
from exchange.cli.local import Local, data_option, local, settings_of
from exchange.cli.reaching import reach

if TYPE_CHECKING:
    from exchange.expiries import Expiry
    from exchange.setup.checking import Glance
    from exchange.setup.holdings import Holding

_LINE = 64


@click.command(
    "list",
    cls=Command,
    examples=(
        "almenara key list --data XAA",
        "almenara key list --data XAA --community",
        "almenara key list --data XAA --json | jq '.keys[] | select(.days_left < 60)'",
    ),
)
@data_option
@click.option("--community", is_flag=True, help="Show what ends next, of everybody: the expiry board.")
@local
def list_(console: Local, data: str | None, community: bool) -> None:
    """List the keys of this node, where they lie, and what the directory says of each."""
    from exchange.expiries import board
    from exchange.setup.holdings import holdings

    seen = _look(data)
    if community:
        _show_board(console, board(seen.directory), seen.now_ms)
    else:
        _show_keys(console, holdings(seen.place, seen.state, seen.directory, seen.now_ms), seen)


def _show_keys(console: Local, held: tuple[Holding, ...], seen: Glance) -> None:
    from exchange.cli.render import print_table, when

    fields = [_fields(one, seen.now_ms) for one in held]
    rows = [
        (
            one.role,
            one.owner,
            one.id[:16],
            one.standing.value,
            when(one.from_ms),
            when(one.until_ms),
            "-" if one.days_left(seen.now_ms) is None else str(one.days_left(seen.now_ms)),
            _private_half(one),
        )
        for one in held
    ]
    columns = ("key", "owner", "id", "directory says", "from", "until", "days", "private half")
    accepted = "yes" if seen.handed_over else "NOT YET"
    result = {"state": seen.state, "accepted_by_coordinator": seen.handed_over, "keys": fields}
    console.out.result(result, lambda screen: print_table(screen, columns, rows))
    if not seen.handed_over:
        console.tell(f"Accepted by the coordinator: {accepted}. See: almenara key check --data DIR")


def _private_half(one: Holding) -> str:
    """Return where the secret half lies and how it is kept there; a certificate's lies beside it."""
    if one.path is None:
        return "-"
    if one.path.suffix == ".crt":
        return f"{one.path.with_suffix('.key')} (unprotected, as TLS needs it)"
    return f"{one.path} ({one.protection})"


def _fields(one: Holding, now_ms: int) -> dict[str, object]:
    return {
        "role": one.role,
        "owner": one.owner,
        "id": one.id,
        "standing": one.standing.value,
        "from_ms": one.from_ms,
        "until_ms": one.until_ms,
        "days_left": one.days_left(now_ms),
        "file": None if one.path is None else str(one.path),
        "protection": one.protection,
    }


def _show_board(console: Local, ending: tuple[Expiry, ...], now_ms: int) -> None:
    from exchange.cli.render import print_table, when

    fields = [
        {
            "party": one.party,
            "what": one.what.value,
            "name": one.name,
            "id": one.id,
            "ends_ms": one.ends_ms,
            "days_left": one.days_left(now_ms),
            "followed": one.followed,
            "due": one.due(now_ms),
        }
        for one in ending
    ]
    rows = [
        (
            str(one.days_left(now_ms)) if one.ends_ms > now_ms else "OVER",
            when(one.ends_ms),
            one.party,
            f"{one.what} {one.name}".strip(),
            _note(one, now_ms),
        )
        for one in ending
    ]
    columns = ("days", "ends", "party", "what", "note")
    console.out.result({"expiries": fields}, lambda screen: print_table(screen, columns, rows))


def _note(one: Expiry, now_ms: int) -> str:
    if one.followed:
        return "the next one is listed"
    if one.ends_ms <= now_ms:
        return "ENDED"
    return "SOON" if one.due(now_ms) is not None else "-"


@click.command(
    "check",
    cls=Command,
    examples=("almenara key check --data XAA", "almenara key check --data XAA --json | jq .findings"),
    epilog="Exit code 0: others hold of this node what it holds. 1: something is to be done.",
)
@data_option
@local
def check(console: Local, data: str | None) -> int:
    """Compare what others hold of this node with what it holds, before it matters."""
    from exchange.setup.checking import check as found_by

    seen = _look(data)
    found = found_by(seen)
    rows = [
        {"number": number, "message": one.message, "fix": console.fill(one.fix)}
        for number, one in enumerate(found, 1)
    ]
    lines = [
        line for row in rows for line in (f"{row['number']:>3} {row['message']}", f"     fix: {row['fix']}")
    ]
    good = f"Others hold of {seen.state} what it holds."
    console.show({"state": seen.state, "findings": rows}, *(lines or [good]))
    return Exit.FAILED if found else Exit.OK


@click.command(
    "export",
    cls=Command,
    examples=("almenara key export node --data XAA", "almenara key export 3f9a01c2 --data XAA > key.txt"),
)
@click.argument("key")
@data_option
@local
def export(console: Local, key: str, data: str | None) -> None:
    """Print the public half of KEY: node, witness, tls, or the first digits of an id."""
    from exchange.setup.holdings import holdings

    seen = _look(data)
    one = _chosen(holdings(seen.place, seen.state, seen.directory, seen.now_ms), key)
    text = public_text(one, seen.state)
    fields = _fields(one, seen.now_ms) | {"state": seen.state, "text": text}
    console.out.result(fields, lambda screen: screen.print(text, end="", soft_wrap=True))


def public_text(one: Holding, state: str) -> str:
    """Return a public key as text to hand over: a certificate in PEM, any other with its fingerprint."""
    import ssl

    from exchange.setup.holdings import TLS
    from protocol.fingerprint import groups
    from protocol.text import format_base64

    assert one.public is not None  # noqa: S101 - only listed keys are chosen
    if one.role == TLS:
        return ssl.DER_cert_to_PEM_cert(one.public)
    encoded = format_base64(one.public)
    lines = [encoded[start : start + _LINE] for start in range(0, len(encoded), _LINE)]
    head = [
        "-----BEGIN ALMENARA PUBLIC KEY-----",
        f"State: {state}",
        f"Role: {one.role}",
        f"Owner: {one.owner}",
        f"Fingerprint: {groups(bytes.fromhex(one.id))}",
        "",
    ]
    return "\n".join([*head, *lines, "-----END ALMENARA PUBLIC KEY-----", ""])


def _chosen(held: tuple[Holding, ...], key: str) -> Holding:
    from exchange.setup.holdings import Standing
    from protocol.errors import BadRequest, NotFound

    listed = [one for one in held if one.public is not None]
    wanted = key.lower()
    found = [one for one in listed if one.role == wanted and one.standing is Standing.ACTIVE][-1:]
    if not found and len(wanted) >= 6:
        found = [one for one in listed if one.id.startswith(wanted)]
    if not found:
        raise NotFound(
            f"no listed key of this node is {key!r}", hint="See them with: almenara key list --data DIR"
        )
    if len(found) > 1:
        raise BadRequest(f"several keys have an id that starts with {key}", hint="Give more digits.")
    return found[0]


def _look(data: str | None) -> Glance:
    from exchange.clock import SystemClock
    from exchange.settings import NodeSettings
    from exchange.setup.checking import glance

    settings = settings_of(NodeSettings, data=data)
    return asyncio.run(glance(settings.data, SystemClock(), reach(settings)))
