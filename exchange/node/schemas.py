"""The severity schemas a node knows: its members' publications first, then the bundled ones.

A state's own publication beats any bundled proposal of the same id. Fictitious bundled schemas
are examples to publish, not schemas to use, so they are known only once somebody published them.
"""

from __future__ import annotations

from functools import lru_cache

import structlog
from msgspec import structs

from exchange.node.views import LevelView, SchemaView, SeverityView, TranslationView
from exchange.severity.load import bundled_schemas
from keys.held import Documents
from keys.roster import Published
from keys.trust import TrustedDirectory
from protocol.errors import BadRequest, FormatError, UnknownSeverity
from protocol.reference import parse_reference
from protocol.severity import (
    TOPIC,
    Level,
    Schema,
    SeverityTag,
    check_tag,
    format_tag,
    in_language,
    parse_schema,
    tag_for,
)
from protocol.translation import Fit, NoTranslation, Why, translate, translate_point

_log = structlog.get_logger()

_ADVICE = {
    Fit.SAME: "advisory",
    Fit.EQUAL: "advisory",
    Fit.RAISED: "advisory; usually said of something graver than the sender's",
    Fit.LOWERED: "advisory; the sender may mean something graver",
    Fit.NEAREST_HIGHER: "advisory; no level fits, this is the next graver one",
    Fit.NEAREST_LOWER: "advisory; no level here is as grave as the sender's",
}
_NO_TRANSLATION = {
    Why.SOURCE_UNMAPPED: "no translation: the sender's schema has no published mapping",
    Why.TARGET_UNMAPPED: "no translation: the reader's schema has no published mapping",
}


class SchemaBook:
    """Finds schemas, and shows levels in the sender's words and in the reader's.

    Args:
        directory: Where publications are trusted.
        state: The reader: translations go to its own newest schema.
    """

    def __init__(self, directory: TrustedDirectory, state: str) -> None:
        self._directory = directory
        self._state = state
        self._found: tuple[Documents, list[tuple[str, Schema]]] | None = None

    def all(self) -> tuple[Schema, ...]:
        """Return every schema known: published ones by state, then the bundled ones."""
        published = [schema for _, schema in self._published()]
        known = {schema.id for schema in published}
        return (*published, *(schema for schema in _transcribed() if schema.id not in known))

    def _published(self) -> list[tuple[str, Schema]]:
        """Return state and schema of every publication that counts.

        One that is no schema, whose id a schema of another issuer already has, or whose id begins
        with another member's code, is left out: no member can change or hide what others mean.
        """
        documents = self._directory.documents
        if self._found is None or self._found[0] is not documents:
            # Documents change seldom, and every notice asks.
            self._found = documents, self._published_now()
        return self._found[1]

    def _published_now(self) -> list[tuple[str, Schema]]:
        owners = {schema.id: schema.issuer for schema in _transcribed()}
        codes = {entry.code.lower(): entry.code for entry in self._directory.states()}
        found: list[tuple[str, Schema]] = []
        for entry in self._directory.publications(TOPIC):
            schema = _published(entry)
            if schema is None or codes.get(schema.id.split("-")[0], entry.state) != entry.state:
                continue
            if owners.setdefault(schema.id, schema.issuer) == schema.issuer:
                found.append((entry.state, schema))
        return found

    def find(self, id_: str, version: int | None = None) -> Schema:
        """Return a schema by id, and by version if one is given.

        Raises:
            UnknownSeverity: there is none; the message lists what there is.
        """
        schemas = self.all()
        for schema in schemas:
            if schema.id == id_ and version in (None, schema.version):
                return schema
        known = ", ".join(f"{schema.id}@{schema.version}" for schema in schemas)
        wanted = id_ if version is None else f"{id_}@{version}"
        raise UnknownSeverity(f"the severity schema {wanted} is not known here; there are: {known}")

    def tag(self, reference: str) -> SeverityTag:
        """Return the tag for what a person wrote, such as ``xaa-national@1:grave``.

        Raises:
            FormatError: it is written in another way.
            UnknownSeverity: there is no such schema or level.
        """
        parsed = parse_reference(reference)
        schema = self.find(parsed.schema, parsed.version)
        if parsed.level is None:
            codes = ", ".join(level.code for level in schema.levels)
            raise UnknownSeverity(f"{reference} names no level; {schema.id}@{schema.version} has: {codes}")
        return tag_for(schema, parsed.level)

    def own_tag(self, reference: str) -> SeverityTag:
        """Return the tag for a notice of this state: its own schema's, or a transcribed one's.

        Raises:
            BadRequest: the schema is another member's; its levels are that state's words.
            FormatError, UnknownSeverity: as :meth:`tag`.
        """
        tag = self.tag(reference)
        issuer = self.find(tag.schema, tag.version).issuer
        if issuer != self._state and any(entry.code == issuer for entry in self._directory.states()):
            own = self.local()
            raise BadRequest(
                f"{tag.schema} is the severity schema of {issuer}; a notice is tagged with its sender's own",
                hint=f"Use {own.id}; see its levels with: almenara severity list"
                if own
                else "Use ppd-41, or publish a schema: almenara node publish-severity SCHEMA --data DIR "
                "--identity FILE",
            )
        return tag

    def local(self) -> Schema | None:
        """Return this state's own newest published schema, if it has one."""
        return next((schema for state, schema in self._published() if state == self._state), None)

    def of_state(self, state: str) -> tuple[str, ...]:
        """Return the references of the schemas that a state has published."""
        return tuple(f"{schema.id}@{schema.version}" for code, schema in self._published() if code == state)

    def show(self, tag: SeverityTag) -> SeverityView:
        """Return a tag in the sender's words, with this state's advisory translation beside it."""
        reference = format_tag(tag)
        try:
            schema = self.find(tag.schema, tag.version)
            level = check_tag(tag, schema)
        except (UnknownSeverity, FormatError):
            return self._unknown(reference)
        local = self.local()
        shown = SeverityView(
            reference=reference,
            name=in_language(level.names),
            schema_title=in_language(schema.title),
            point=tag.point,
            local=None,
            local_name=None,
            local_candidates=(),
            note="this state has published no schema of its own",
        )
        return shown if local is None else _with_local(shown, schema, level, local)

    def _unknown(self, reference: str) -> SeverityView:
        # An unknown level is shown as unknown, never as a number.
        return SeverityView(
            reference=reference,
            name="unknown level",
            schema_title="unknown schema",
            point=None,
            local=None,
            local_name=None,
            local_candidates=(),
            note="this node does not know the sender's schema or level; ask the sender what it means",
        )

    def translation(self, source: str, target: str) -> TranslationView:
        """Return one level in another schema's words.

        Args:
            source: A level, such as ``xaa-national@1:grave``, or a bare point ``0`` to ``5``.
            target: A schema, such as ``xbb-national``.

        Raises:
            UnknownSeverity, FormatError: a reference names nothing.
        """
        wanted = parse_reference(target)
        schema = self.find(wanted.schema, wanted.version)
        name = f"{schema.id}@{schema.version}"
        if source in {str(point) for point in range(6)}:
            found = translate_point(int(source), schema)
            source = f"reference point {source}"
        else:
            tag = self.tag(source)
            source = format_tag(tag)
            found = translate(self.find(tag.schema, tag.version), tag.level, schema)
        if isinstance(found, NoTranslation):
            return TranslationView(
                source=source, target=name, level=None, candidates=(), note=_NO_TRANSLATION[found.why]
            )
        return TranslationView(
            source=source,
            target=name,
            level=found.nominal.code,
            candidates=tuple(level.code for level in found.candidates),
            note=_ADVICE[found.flag],
        )


def schema_view(schema: Schema) -> SchemaView:
    """Return a schema as it is shown, the gravest level first."""
    return SchemaView(
        reference=f"{schema.id}@{schema.version}",
        issuer=schema.issuer,
        title=dict(schema.title),
        status=schema.status,
        published_by_state=schema.published_by_state,
        provenance=schema.provenance,
        source=schema.source,
        levels=tuple(_level_view(level) for level in reversed(schema.levels)),
    )


def _level_view(level: Level) -> LevelView:
    return LevelView(
        code=level.code,
        rank=level.rank,
        names=dict(level.names),
        definition=dict(level.definition),
        point=level.nominal,
        low=level.low,
        high=level.high,
    )


def _with_local(shown: SeverityView, schema: Schema, level: Level, local: Schema) -> SeverityView:
    found = translate(schema, level.code, local)
    if isinstance(found, NoTranslation):
        return structs.replace(shown, note=_NO_TRANSLATION[found.why])
    return structs.replace(
        shown,
        local=f"{local.id}@{local.version}:{found.nominal.code}",
        local_name=in_language(found.nominal.names),
        local_candidates=tuple(candidate.code for candidate in found.candidates),
        note=_ADVICE[found.flag],
    )


@lru_cache(maxsize=256)
def _published(published: Published) -> Schema | None:
    """Return a published schema; None if it is none, or does not say what its publication says."""
    try:
        schema = parse_schema(published.content)
    except FormatError as error:
        _log.warning("schema.refused", state=published.state, code=error.code)
        return None
    if (schema.issuer, schema.id, schema.version) != (published.state, published.name, published.version):
        _log.warning("schema.refused", state=published.state, code="contradicts-publication")
        return None
    return schema


@lru_cache(maxsize=1)
def _transcribed() -> tuple[Schema, ...]:
    return tuple(schema for schema in bundled_schemas() if schema.status == "transcribed")
