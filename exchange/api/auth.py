"""Who may ask, and from where: bearer tokens by role, and no web page on any browser.

A page from elsewhere can make a browser call a loopback port, by another name for the same
address (DNS rebinding) or by a form. Both show in headers that a page cannot forge: ``Host`` and
``Origin``. Neither is ever let through, even with a good token.
"""

from __future__ import annotations

from aiohttp import web

from exchange.api.problems import Refusal
from exchange.node.tokens import Identity, TokenBook, TokenRole
from protocol.errors import BadRequest, NotAuthorized

HOSTS = frozenset({"almenara", "localhost", "127.0.0.1", "[::1]"})
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="almenara"'}


def check_origin(request: web.Request) -> None:
    """Refuse what only a browser under somebody else's control would send.

    Raises:
        Refusal: the host is not this machine's own name for itself, or there is an origin.
    """
    hosts = request.headers.getall("Host", [])
    if len(hosts) != 1 or _without_port(hosts[0]) not in HOSTS:
        error = BadRequest(
            "the request names another host than this node's local interface",
            hint=f"Ask for one of: {', '.join(sorted(HOSTS))}.",
        )
        raise Refusal(421, error)
    if "Origin" in request.headers:
        error = BadRequest(
            "requests from web pages are refused",
            hint="Use the almenara command, or a script without Origin.",
        )
        raise Refusal(403, error)


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name.lower() if colon and port.isdecimal() else host.lower()


def identify(request: web.Request, tokens: TokenBook, role: TokenRole) -> Identity:
    """Return who asks, once the token proves it and its role suffices.

    Raises:
        Refusal: there is no token, or it is not a known one (401).
        NotAuthorized: the token is good, but for less than this (403).
    """
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Refusal(401, NotAuthorized("the request carries no token"), _CHALLENGE)
    try:
        who = tokens.identify(token.strip())
    except NotAuthorized as error:
        raise Refusal(401, error, _CHALLENGE) from error
    who.require(role)
    return who
