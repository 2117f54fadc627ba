"""The demonstration's attachment is real STIX 2.1: a STIX library reads it without a complaint."""

from __future__ import annotations

import json
from typing import Any

import pytest
import stix2
from stix2.pattern_visitor import create_pattern_object

from exchange.demo import stix
from tests.community import NOW_MS


@pytest.fixture(scope="module")
def bundle() -> dict[str, Any]:
    """The bundle as JSON."""
    parsed: dict[str, Any] = json.loads(stix.make_bundle(NOW_MS, issuer="CSIRT Aurelia"))
    return parsed


def only(bundle: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return the one object of a type."""
    (found,) = (one for one in bundle["objects"] if one["type"] == kind)
    return dict(found)


def test_a_stix_library_reads_the_bundle(bundle: dict[str, Any]) -> None:
    """Strictly: no custom object, no custom property."""
    parsed = stix2.parse(bundle, allow_custom=False, version="2.1")
    assert len(parsed.objects) == 5


def test_the_pattern_is_a_stix_pattern(bundle: dict[str, Any]) -> None:
    """The indicator's pattern parses by the grammar of STIX 2.1."""
    pattern = only(bundle, "indicator")["pattern"]
    assert stix.DOMAIN in str(create_pattern_object(pattern, version="2.1"))


def test_the_indicator_indicates_the_malware(bundle: dict[str, Any]) -> None:
    """The relationship joins the two objects of the bundle."""
    link = only(bundle, "relationship")
    assert link["source_ref"] == only(bundle, "indicator")["id"]
    assert link["target_ref"] == only(bundle, "malware")["id"]


def test_everything_found_is_marked_tlp_amber_2(bundle: dict[str, Any]) -> None:
    """The marking is the object that OASIS fixed for TLP:AMBER of TLP 2.0."""
    marking = only(bundle, "marking-definition")
    assert (marking["id"], marking["name"]) == (stix.TLP_AMBER, "TLP:AMBER")
    for kind in ("indicator", "malware", "relationship"):
        assert only(bundle, kind)["object_marking_refs"] == [marking["id"]]


def test_two_bundles_share_no_identifier_but_the_marking() -> None:
    """Identifiers are fresh each time, so that two reports are never taken for one."""
    first, second = (json.loads(stix.make_bundle(NOW_MS, issuer="CSIRT Aurelia")) for _ in range(2))
    shared = {one["id"] for one in first["objects"]} & {one["id"] for one in second["objects"]}
    assert shared == {stix.TLP_AMBER}
