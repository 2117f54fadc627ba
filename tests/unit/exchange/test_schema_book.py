"""The schema book: a state's own publication counts, a bundled one stands in, and nothing is guessed."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from exchange.node.schemas import SchemaBook
from exchange.severity.load import bundled_schemas
from keys import enrolment
from keys.documents import sign_document
from keys.trust import TrustedDirectory
from protocol import codec
from protocol.errors import BadRequest, FormatError, UnknownSeverity
from protocol.severity import Schema, SeverityTag, parse_schema
from tests.community import NOW_MS, community


def bundled(id_: str) -> Schema:
    """Return a bundled schema."""
    return next(schema for schema in bundled_schemas() if schema.id == id_)


def as_published(schema: Schema, **changes: object) -> Schema:
    """Return a schema as its state publishes it."""
    return msgspec.structs.replace(schema, status="published", published_by_state=True, **changes)


XAA, XBB = as_published(bundled("xaa-national")), as_published(bundled("xbb-national"))


def publish(trusted: TrustedDirectory, state: str, content: bytes) -> None:
    """Let a state publish something under the topic of severity schemas, by its own id if it has one."""
    try:
        name = parse_schema(content).id
    except FormatError:
        name = "national"
    document = enrolment.next_publication(
        trusted.documents.publications.get((state, "severity", name)),
        state=state,
        community=community().id,
        topic="severity",
        name=name,
        content=content,
        now_ms=NOW_MS,
    )
    trusted.update(sign_document(document, [community().members[state].identity]), NOW_MS)


@pytest.fixture
def trusted() -> TrustedDirectory:
    """Return a directory without publications."""
    return community().directory()


def book(trusted: TrustedDirectory, state: str = "XBB") -> SchemaBook:
    """Return a state's book."""
    return SchemaBook(trusted, state)


def test_transcribed_schemas_are_known_from_the_start(trusted: TrustedDirectory) -> None:
    """A node can quote a known public schema before anybody has published one."""
    assert book(trusted).tag("ppd-41:severe").level == "severe"


def test_fictitious_schemas_are_not_known_until_published(trusted: TrustedDirectory) -> None:
    """Examples cannot be mistaken for what a state has said."""
    with pytest.raises(UnknownSeverity):
        book(trusted).find("xaa-national")
    publish(trusted, "XAA", codec.encode(XAA))
    assert book(trusted).find("xaa-national").published_by_state


def test_an_owners_publication_beats_the_bundled_copy(trusted: TrustedDirectory) -> None:
    """Of one id, only the publication counts; the newest version of it."""
    for version in (1, 2):
        publish(trusted, "XAA", codec.encode(msgspec.structs.replace(XAA, version=version)))
    found = [schema for schema in book(trusted).all() if schema.id == "xaa-national"]
    assert [(schema.version, schema.published_by_state) for schema in found] == [(2, True)]
    assert book(trusted).of_state("XAA") == ("xaa-national@2",)


SPOILERS: dict[str, Callable[[], bytes]] = {
    "rubbish": lambda: b"rubbish",
    "nothing": lambda: b"",
    "another issuer's schema": lambda: codec.encode(XAA),
    "a schema under a bundled schema's id": lambda: codec.encode(
        as_published(bundled("ppd-41"), issuer="XCC", country="XCC")
    ),
    "a schema under another member's id": lambda: codec.encode(
        msgspec.structs.replace(XAA, issuer="XCC", country="XCC")
    ),
}


@pytest.mark.parametrize("name", SPOILERS)
def test_one_members_bad_publication_harms_nobody_else(trusted: TrustedDirectory, name: str) -> None:
    """Nobody can hide, break or redefine what the others say about severity."""
    publish(trusted, "XAA", codec.encode(XAA))
    before = book(trusted).all()
    publish(trusted, "XCC", SPOILERS[name]())
    assert book(trusted).all() == before
    assert book(trusted).of_state("XCC") == ()
    assert book(trusted).tag("ppd-41:severe").point is not None


def test_an_id_with_another_members_code_is_not_taken(trusted: TrustedDirectory) -> None:
    """Whoever comes first in the alphabet cannot occupy the name of a neighbour's schema."""
    publish(trusted, "XAA", codec.encode(msgspec.structs.replace(XBB, issuer="XAA", country="XAA")))
    assert book(trusted).of_state("XAA") == ()
    publish(trusted, "XBB", codec.encode(XBB))
    assert book(trusted).find("xbb-national").issuer == "XBB"


def test_a_level_is_shown_in_both_words(trusted: TrustedDirectory) -> None:
    """The sender's level stands; the reader's own level is advice beside it."""
    publish(trusted, "XAA", codec.encode(XAA))
    publish(trusted, "XBB", codec.encode(XBB))
    tag = book(trusted).tag(f"xaa-national@{XAA.version}:{XAA.levels[-1].code}")
    shown = book(trusted).show(tag)
    assert shown.reference == f"xaa-national@{XAA.version}:{XAA.levels[-1].code}"
    assert shown.local is not None
    assert shown.local.startswith("xbb-national@")
    assert shown.local.split(":")[1] in shown.local_candidates
    assert shown.note.startswith("advisory")


def test_without_a_schema_of_its_own_a_state_reads_the_senders_words(trusted: TrustedDirectory) -> None:
    """No translation is made up."""
    shown = book(trusted).show(book(trusted).tag("ppd-41:severe"))
    assert (shown.local, shown.local_candidates) == (None, ())
    assert shown.note


UNKNOWN = {
    "an unknown schema": SeverityTag(schema="nowhere", version=1, level="bad", point=3),
    "an unknown version": SeverityTag(schema="ppd-41", version=9, level="severe", point=4),
    "an unknown level": SeverityTag(schema="ppd-41", version=1, level="dreadful", point=4),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_an_unknown_level_is_shown_as_unknown(trusted: TrustedDirectory, name: str) -> None:
    """Never as a number, never as some level of the reader's."""
    publish(trusted, "XBB", codec.encode(XBB))
    shown = book(trusted).show(UNKNOWN[name])
    assert (shown.name, shown.local, shown.local_candidates) == ("unknown level", None, ())
    assert "ask the sender" in shown.note


def test_a_tag_that_contradicts_its_schema_is_shown_as_unknown(trusted: TrustedDirectory) -> None:
    """A sender cannot call its lowest level an emergency on the reference scale."""
    tag = msgspec.structs.replace(book(trusted).tag("ppd-41:low"), point=5)
    assert book(trusted).show(tag).name == "unknown level"


def test_translation_between_two_schemas(trusted: TrustedDirectory) -> None:
    """A level, or a bare point, is said in another schema's words."""
    publish(trusted, "XBB", codec.encode(XBB))
    one = book(trusted)
    assert one.translation("ppd-41:severe", "xbb-national").level is not None
    assert one.translation("4", "xbb-national").source == "reference point 4"
    for source, target in (("ppd-41:dreadful", "xbb-national"), ("ppd-41:severe", "nowhere")):
        with pytest.raises(UnknownSeverity):
            one.translation(source, target)
    with pytest.raises(FormatError):
        one.translation("very bad!", "xbb-national")


def test_no_mapping_means_no_translation(trusted: TrustedDirectory) -> None:
    """Where a schema has published no mapping nothing is guessed."""
    bare = tuple(
        msgspec.structs.replace(level, nominal=None, low=None, high=None, confidence=None, reason=None)
        for level in XAA.levels
    )
    publish(trusted, "XAA", codec.encode(msgspec.structs.replace(XAA, levels=bare, mapping="none")))
    found = book(trusted).translation(f"xaa-national:{bare[0].code}", "ppd-41")
    assert (found.level, found.candidates) == (None, ())
    assert found.note.startswith("no translation")


def test_the_message_about_an_unknown_schema_lists_what_there_is(trusted: TrustedDirectory) -> None:
    """A tired duty officer sees the right name in the error itself."""
    with pytest.raises(UnknownSeverity, match="ppd-41@1"):
        book(trusted).tag("pdp-41:severe")


def test_a_state_does_not_speak_in_another_members_words(trusted: TrustedDirectory) -> None:
    """A notice carries its sender's own levels, or those of a transcribed scale that no member owns."""
    publish(trusted, "XAA", codec.encode(XAA))
    publish(trusted, "XBB", codec.encode(XBB))
    schemas = book(trusted, "XBB")
    with pytest.raises(BadRequest, match="the severity schema of XAA"):
        schemas.own_tag("xaa-national@1:grave")
    assert schemas.own_tag("xbb-national@1:c2").level == "c2"
    assert schemas.own_tag("ppd-41:severe").point == 4
