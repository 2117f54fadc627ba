"""Severity schemas as states publish them: found, checked against their issuer, made a document."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from exchange.setup.files import read_file
from exchange.severity.load import bundled_schemas, schema_from_toml
from keys.enrolment import next_publication
from keys.held import Documents
from protocol import codec
from protocol.documents import Publication, parse_document, parse_signed_document
from protocol.errors import BadRequest, FormatError
from protocol.severity import MAX_SCHEMA_BYTES, TOPIC, Schema, parse_schema

BUNDLED = "bundled:"
_PUBLISHABLE = ("published", "fictitious")


def find_schema(named: str, state: str) -> Schema:
    """Return the schema that a state wants to publish.

    Args:
        named: A TOML file, or ``bundled:`` and the id of a fictitious schema that comes along.
        state: The state's code; it must be the schema's issuer.

    Raises:
        BadRequest: there is no such bundled schema, or it is not this state's to publish.
        SetupError, FormatError: the file cannot be read, or is not a schema.
    """
    if named.startswith(BUNDLED):
        schema = _bundled(named.removeprefix(BUNDLED))
    else:
        path = Path(named)
        data = read_file(path, 4 * MAX_SCHEMA_BYTES, "severity schema")
        schema = schema_from_toml(data.decode("utf-8", "replace"), path.name)
    if schema.issuer != state:
        raise BadRequest(
            f"the severity schema {schema.id} is issued by {schema.issuer}, not by {state}",
            hint="A state publishes its own schema only: set issuer in the file, or choose another.",
        )
    if schema.status not in _PUBLISHABLE:
        raise BadRequest(
            f"the severity schema {schema.id} has the status {schema.status}, so it is not published here",
            hint='Set status = "published" and published_by_state = true once it is final.',
        )
    return schema


def publication_of(
    schema: Schema, documents: Documents, *, state: str, community: bytes, now_ms: int
) -> Publication:
    """Return the publication of a schema, for the identity key to sign.

    Args:
        schema: From :func:`find_schema`.
        documents: What is trusted, to continue an earlier version; empty before joining.
        state: The state's code.
        community: The community's id.
        now_ms: The time now, milliseconds UTC.

    Raises:
        BadRequest: the schema's version is not the next one.
    """
    publication = next_publication(
        documents.publications.get((state, TOPIC, schema.id)),
        state=state,
        community=community,
        topic=TOPIC,
        name=schema.id,
        content=codec.encode(schema),
        now_ms=now_ms,
    )
    if schema.version != publication.version:
        raise BadRequest(
            f"the next version of {schema.id} is {publication.version}; the file says {schema.version}",
            hint=f"Set version = {publication.version} in the file: versions leave no gap.",
        )
    return publication


def check_publications(documents: Sequence[bytes]) -> None:
    """Refuse a severity publication that readers could not use.

    Raises:
        FormatError: it is not a schema, or not of the state, name and version that publish it.
    """
    for data in documents:
        document = parse_document(parse_signed_document(data).body)
        if isinstance(document, Publication) and document.topic == TOPIC:
            schema = parse_schema(document.content)
            place = (document.state, document.name, document.version)
            if (schema.issuer, schema.id, schema.version) != place:
                raise FormatError(
                    f"{document.state} publishes the schema {schema.id}@{schema.version} of {schema.issuer}"
                    f" as {document.name}@{document.version}"
                )


def _bundled(id_: str) -> Schema:
    schemas = {schema.id: schema for schema in bundled_schemas() if schema.status in _PUBLISHABLE}
    if id_ not in schemas:
        raise BadRequest(
            f"there is no bundled severity schema {id_!r} to publish",
            hint=f"There are: {', '.join(sorted(schemas))}. A real state names its own TOML file.",
        )
    return schemas[id_]
