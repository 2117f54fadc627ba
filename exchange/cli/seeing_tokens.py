"""The tokens of this machine, and the one place where a PIN may be tried again: ``almenara key token``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from exchange.cli.command import Command
from exchange.cli.local import Local, data_option, local, settings_of, token_options

if TYPE_CHECKING:
    from exchange.hsm.login import TokenState


@click.command(
    "token",
    cls=Command,
    examples=(
        "almenara key token --pkcs11-module /usr/lib/softhsm/libsofthsm2.so",
        "almenara key token --data XAA --login pkcs11:token=almenara",
    ),
)
@click.option(
    "--login",
    metavar="URI",
    help="Try the PIN of this token, once; after a wrong one this is what lets a service start again.",
)
@data_option
@token_options
@local
def token(console: Local, login: str | None, data: str | None) -> None:
    """Show which tokens (PKCS#11) are plugged in, and what they say of their PIN."""
    from exchange.settings import CliSettings
    from keys.token_uri import parse_token_uri

    place = settings_of(CliSettings, data=data).data
    tokens = console.tokens(place)
    if login is not None:
        # Any use of a token logs in; that it can be looked into is what is wanted here.
        tokens.token(parse_token_uri(login).whole).use("log in", lambda _: None)
    seen = tokens.seen()
    console.show(
        {
            "tokens": [
                {"uri": str(one.uri), "model": one.model, "pin": _pin(one), "logged_in": login is not None}
                for one in seen
            ]
        },
        *(f"{one.uri}  {one.model}  PIN: {_pin(one)}" for one in seen),
        *([] if seen else ["No token is plugged in that was set up."]),
        *([] if login is None else ["The PIN is right."]),
    )


def _pin(token: TokenState) -> str:
    if token.locked:
        return "locked"
    if token.one_try_left:
        return "one try left"
    return "the last one was wrong" if token.last_login_failed else "nothing wrong"
