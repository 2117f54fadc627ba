"""What is about to be hammered, and whether it may be: a real community must never be, by mistake."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from exchange.api.routes import Members, Schemas
from exchange.cli.client import NodeClient
from exchange.node.paper_views import DocumentsView
from exchange.node.views import NodeView
from protocol.documents import Root, parse_document, parse_signed_document
from protocol.errors import BadRequest, NotAuthorized, NoUsableKey, UnknownSeverity
from protocol.text import parse_base64

MARK = re.compile(r"\b(test|tests|testing|demo|demos|benchmark|benchmarks|exercise|training|drill)\b", re.I)
"""What the name of a community's root says of one that is there to be tested."""

REFERENCE_SCHEMA = "ppd-41"


@dataclass(frozen=True, slots=True)
class Target:
    """A community, seen from one node.

    Attributes:
        community: Its name, as its root document says.
        state: Whose node sends.
        recipients: Who gets each notice.
        levels: How to write each point of the reference scale, 0 to 5.
    """

    community: str
    state: str
    recipients: tuple[str, ...]
    levels: Mapping[int, str]

    @property
    def is_test(self) -> bool:
        """Whether the community calls itself one for tests."""
        return MARK.search(self.community) is not None


def find_target(node: NodeClient, to: Sequence[str]) -> Target:
    """Ask a node what it would hammer.

    Args:
        node: The node.
        to: Who is to get the notices; nobody named: everybody who could.

    Raises:
        NoUsableKey: nobody could read a notice now.
        UnknownSeverity: this node does not know the reference scale.
        AlmenaraError: what the node raised.
    """
    state = node.ask("GET", "/v1/node", NodeView).state
    query = {"kind": "root", "history": "true"}
    roots = node.ask("GET", "/v1/documents", DocumentsView, query=query).documents
    document = parse_document(
        parse_signed_document(parse_base64(roots[-1].document or "", what="root document")).body
    )
    assert isinstance(document, Root)  # noqa: S101 - that kind was asked for
    members = node.ask("GET", "/v1/members", Members).members
    usable = [member.code for member in members if member.usable_key and member.code != state]
    missing = sorted(set(to) - set(usable))
    if missing or not usable:
        raise NoUsableKey(f"no notice can be sealed now for {', '.join(missing) or 'anybody'}")
    return Target(document.name, state, tuple(to) or tuple(sorted(usable)), _levels(node))


def require_test(target: Target, confirmed: str | None) -> None:
    """Return only if this community may be hammered.

    Args:
        target: What was found.
        confirmed: The community's name, as whoever asks has written it, if so.

    Raises:
        NotAuthorized: it is not marked as a test community, and nobody said that it may be all the same.
        BadRequest: what was written is not its name.
    """
    if confirmed is not None:
        if confirmed != target.community:
            raise BadRequest(
                f"this node belongs to the community {target.community!r}, not to {confirmed!r}",
                hint="Look twice: the load would go to whatever community this node is in.",
            )
        return
    if not target.is_test:
        raise NotAuthorized(
            f"the community {target.community!r} does not call itself one for tests",
            hint="Hammer a test community: its name says test, demo, training, exercise or benchmark. "
            f"If this one must be, add: --yes-really '{target.community}'",
        )


def _levels(node: NodeClient) -> dict[int, str]:
    wanted = f"{REFERENCE_SCHEMA}@"
    for schema in node.ask("GET", "/v1/severity", Schemas).schemas:
        if schema.reference.startswith(wanted):
            return {
                level.point: f"{schema.reference}:{level.code}"
                for level in schema.levels
                if level.point is not None
            }
    raise UnknownSeverity(f"this node does not know the schema {REFERENCE_SCHEMA}")
