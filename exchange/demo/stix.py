"""The attachment of the demonstration: a STIX 2.1 bundle, as an analyst's tool would export it.

Written by hand from the OASIS standard (STIX 2.1, and its TLP 2.0 extension), so that sending
notices needs no STIX library; the tests read it with one.
"""

from __future__ import annotations

import uuid
from typing import Any

import msgspec

from protocol.text import format_utc

MEDIA_TYPE = "application/stix+json"
FILE_NAME = "indicadores.json"
HOUR_MS = 3600 * 1000

TLP_EXTENSION = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d"
TLP_AMBER = "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421"
"""Fixed by OASIS for TLP:AMBER of TLP 2.0: everybody uses this very object."""

ENCRYPTOR_SHA256 = "9f2b7d1c4e5a60838f1bb2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f607"
DOMAIN = "telemantenimiento-alba.example"
PATTERN = f"[domain-name:value = '{DOMAIN}'] OR [file:hashes.'SHA-256' = '{ENCRYPTOR_SHA256}']"

Object = dict[str, Any]


def make_bundle(now_ms: int, *, issuer: str) -> bytes:
    """Return a bundle of JSON text with fresh identifiers.

    Args:
        now_ms: When it is made, milliseconds UTC; the intrusion lies some hours before.
        issuer: The name of the organisation that makes it.
    """
    identity = _made("identity", now_ms, name=issuer, identity_class="organization", sectors=["government"])
    objects = [_tlp_amber(), identity, *_findings(now_ms, identity["id"])]
    bundle = {"type": "bundle", "id": _new_id("bundle"), "objects": objects}
    return msgspec.json.format(msgspec.json.encode(bundle), indent=2)


def _findings(now_ms: int, creator: str) -> list[Object]:
    common = {"created_by_ref": creator, "object_marking_refs": [TLP_AMBER]}
    malware = _made(
        "malware",
        now_ms,
        name="AlbaCrypt",
        description="Cifrador de archivos usado contra la distribuidora eléctrica.",
        malware_types=["ransomware"],
        is_family=False,
        first_seen=_time(now_ms - 6 * HOUR_MS),
        **common,
    )
    indicator = _made(
        "indicator",
        now_ms,
        name="Mando y control, y binario, de AlbaCrypt",
        indicator_types=["malicious-activity"],
        pattern=PATTERN,
        pattern_type="stix",
        pattern_version="2.1",
        valid_from=_time(now_ms - 6 * HOUR_MS),
        **common,
    )
    indicates = _made(
        "relationship",
        now_ms,
        relationship_type="indicates",
        source_ref=indicator["id"],
        target_ref=malware["id"],
        **common,
    )
    return [malware, indicator, indicates]


def _made(kind: str, now_ms: int, **fields: object) -> Object:
    """Return an object with the properties that every STIX object has."""
    moment = _time(now_ms)
    common = {"type": kind, "spec_version": "2.1", "id": _new_id(kind), "created": moment, "modified": moment}
    return common | fields


def _tlp_amber() -> Object:
    return {
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": TLP_AMBER,
        "created": "2022-10-01T00:00:00.000Z",
        "name": "TLP:AMBER",
        "extensions": {TLP_EXTENSION: {"extension_type": "property-extension", "tlp_2_0": "amber"}},
    }


def _new_id(kind: str) -> str:
    # The standard asks for random (version 4) UUIDs in the identifiers of these objects.
    return f"{kind}--{uuid.uuid4()}"


def _time(millis: int) -> str:
    return format_utc(millis)
