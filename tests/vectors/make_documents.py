"""Write the vectors of the trust documents: ``python -m tests.vectors.make_documents``.

Bodies are complete and the same on every run: keys follow from their names, and a fixed filler
stands where a proof of possession or a certificate would, because signing is randomised. ``layer`` names what
must refuse a body: ``codec``, ``layout`` or ``none``. Also printed: the examples of
``protocol/spec/documents.md``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import msgspec
from msgspec.structs import replace

from keys.note_keys import NoteSecret
from keys.opening import RecipientKey
from keys.signature import SecretKey
from protocol import codec
from protocol.digest import signing_key_id
from protocol.documents import (
    POSSESSION_BYTES,
    Compromise,
    CoordinatorEntry,
    Directory,
    Document,
    KeyEntry,
    NoteKeys,
    Prekey,
    PrekeyList,
    Publication,
    Role,
    RoleKeys,
    Root,
    StateEntry,
    StateManifest,
    StateStatus,
    document_hash,
)
from protocol.fields import Wire
from protocol.signed import Proof

FOLDER = Path(__file__).resolve().parent / "documents"
ISSUED_MS = 1_772_334_000_000
DAY_MS = 24 * 3600 * 1000
FILLER = Proof(signature=b"\x5a" * 3373, index=0, size=1, path=())
SHOWN = 12


def fixed(name: str, size: int) -> bytes:
    """Return bytes that anybody can make again: SHAKE256 of a name."""
    return hashlib.shake_256(b"almenara test vector: " + name.encode()).digest(size)


def public(name: str) -> bytes:
    """Return the composite public key of a name."""
    return SecretKey.from_seed(fixed(name, 64)).public


def note_keys(name: str, label: str) -> NoteKeys:
    """Return the keys of a log or witness, with the filler in place of its proof of possession."""
    secret = NoteSecret(fixed(label, 64))
    return NoteKeys(
        name=name, ed25519=secret.ed25519, mldsa44=secret.mldsa44, possession=b"\x5a" * POSSESSION_BYTES
    )


def examples() -> dict[str, Document]:
    """Return one sound document of each kind, of one small community."""
    times: dict[str, Any] = {"issued_ms": ISSUED_MS, "expires_ms": ISSUED_MS + 365 * DAY_MS}
    root = Root(
        v=1,
        community=None,
        version=1,
        previous=None,
        name="Example",
        root=RoleKeys(threshold=1, keys=(public("root"),)),
        directory=RoleKeys(threshold=1, keys=(public("directory"),)),
        suites=(1,),
        **times,
    )
    first: dict[str, Any] = {
        "v": 1,
        "community": document_hash(codec.encode(root)),
        "version": 1,
        "previous": None,
    }
    state = StateEntry(
        code="XZZ",
        name="Example state",
        status=StateStatus.ACTIVE,
        identity=public("identity"),
        since_ms=ISSUED_MS,
    )
    hub = CoordinatorEntry(
        code="HUB",
        name="Example hub",
        url="wss://hub.example/",
        key=public("coordinator"),
        possession=FILLER,
        certificates=(fixed("hub certificate", 330),),
        log=note_keys("hub.example/almenara", "log"),
    )
    node = KeyEntry(
        key=public("node"),
        role=Role.NODE,
        owner="node 1",
        from_ms=ISSUED_MS,
        until_ms=ISSUED_MS + 365 * DAY_MS,
        possession=FILLER,
    )
    stolen = Compromise(party="XZZ", key_id=signing_key_id(public("stolen")), since_ms=ISSUED_MS - DAY_MS)
    midnight = ISSUED_MS - ISSUED_MS % DAY_MS
    prekey = Prekey(
        public=RecipientKey(fixed("prekey", 32)).public,
        use_from_ms=midnight,
        use_until_ms=midnight + DAY_MS,
        keep_until_ms=midnight + 9 * DAY_MS,
    )
    return {
        "root": root,
        "directory": Directory(
            root_version=1, states=(state,), coordinators=(hub,), compromised=(stolen,), **first, **times
        ),
        "manifest": StateManifest(
            state="XZZ",
            keys=(node,),
            certificates=(fixed("node certificate", 330),),
            suites=(1,),
            revoked=(),
            witness=note_keys("almenara/example/XZZ", "witness"),
            **first,
            **times,
        ),
        "prekeys": PrekeyList(state="XZZ", keys=(prekey,), tail=True, **first, **times),
        "publication": Publication(
            state="XZZ", topic="contacts", name="duty", content=b"+00 0 000", issued_ms=ISSUED_MS, **first
        ),
    }


def unchecked(value: Wire) -> bytes:
    """Encode a structure that the project's own writer would refuse."""
    return bytes(msgpack.packb(msgspec.to_builtins(value, builtin_types=(bytes,)), use_bin_type=True))


def scenarios() -> Iterator[tuple[str, str, bytes]]:
    """Yield the name, the layer that must refuse it, and the body."""
    made: dict[str, Any] = examples()
    for name, document in made.items():
        yield name, "none", codec.encode(document)
    root, directory, prekeys = made["root"], made["directory"], made["prekeys"]
    publication = made["publication"]
    once = root.root.keys
    certificate = fixed("node certificate", 330)
    stolen = directory.compromised[0]
    second = replace(directory.states[0], code="XAA", identity=public("another"))
    overlap = replace(prekeys.keys[0], public=RecipientKey(fixed("next prekey", 32)).public)
    broken: dict[str, tuple[str, Wire]] = {
        "root-threshold-zero": ("codec", replace(root, root=RoleKeys(threshold=0, keys=once))),
        "root-threshold-above-keys": ("layout", replace(root, root=RoleKeys(threshold=2, keys=once))),
        "root-key-twice": ("layout", replace(root, root=RoleKeys(threshold=2, keys=once * 2))),
        "root-first-with-community": ("layout", replace(root, community=bytes(32))),
        "root-second-without-previous": ("layout", replace(root, version=2, community=bytes(32))),
        "directory-not-sorted": ("layout", replace(directory, states=(*directory.states, second))),
        "directory-code-twice": (
            "layout",
            replace(directory, coordinators=(replace(directory.coordinators[0], code="XZZ"),)),
        ),
        "directory-compromised-not-sorted": (
            "layout",
            replace(directory, compromised=(stolen, replace(stolen, party="XAA"))),
        ),
        "directory-compromised-twice": (
            "layout",
            replace(directory, compromised=(stolen, replace(stolen, since_ms=ISSUED_MS))),
        ),
        "directory-compromised-too-many": (
            "codec",
            replace(
                directory,
                compromised=tuple(
                    replace(stolen, key_id=bytes(30) + n.to_bytes(2, "big")) for n in range(257)
                ),
            ),
        ),
        "manifest-lists-identity-role": (
            "layout",
            replace(made["manifest"], keys=(replace(made["manifest"].keys[0], role=Role.IDENTITY),)),
        ),
        "manifest-certificate-too-long": (
            "codec",
            replace(made["manifest"], certificates=(fixed("node certificate", 2049),)),
        ),
        "manifest-five-certificates": ("codec", replace(made["manifest"], certificates=(certificate,) * 5)),
        "prekeys-overlap": ("layout", replace(prekeys, keys=(*prekeys.keys, overlap))),
        "prekeys-expired-when-issued": ("layout", replace(prekeys, expires_ms=ISSUED_MS)),
        "publication-version-zero": ("codec", replace(publication, version=0)),
        "publication-topic-is-a-path": ("codec", replace(publication, topic="../contacts")),
    }
    for name, (layer, value) in broken.items():
        yield name, layer, unchecked(value)
    yield "publication-trailing-byte", "codec", codec.encode(publication) + b"\0"


def shown(value: Any, name: str = "", depth: int = 0) -> Iterator[str]:
    """Yield the lines of an example: bytes on the left, long ones shortened, meaning on the right."""
    if isinstance(value, Wire):
        tag = value.__struct_config__.tag
        size = len(value.__struct_fields__) + (tag is not None)
        yield line(bytes((0x90 | size,)), f"{name} {size} members".strip(), depth)
        if tag is not None:
            yield line(msgpack.packb(tag), f'tag "{tag}"', depth + 1)
        for field in value.__struct_fields__:
            yield from shown(getattr(value, field), field, depth + 1)
    elif isinstance(value, tuple):
        yield line(msgpack.packb([None] * len(value))[:1], f"{name} array of {len(value)}", depth)
        for item in value:
            yield from shown(item, "", depth + 1)
    else:
        meaning = meant(value)
        yield line(msgpack.packb(value, use_bin_type=True), f"{name} {meaning}".strip(), depth)


def meant(value: Any) -> str:
    """Return a value for people; of bytes only how many they are."""
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return "nil" if value is None else json.dumps(value, ensure_ascii=False)


def line(data: bytes, meaning: str, depth: int) -> str:
    """Return one line of an example."""
    text = data.hex() if len(data) <= SHOWN else f"{data[: SHOWN - 4].hex()}..{data[-2:].hex()}"
    return f"{'  ' * depth}{text:<32}{meaning}".rstrip()


def block(name: str) -> str:
    """Return the example of one kind as it stands in the specification."""
    return f"```example {name}\n" + "\n".join(shown(examples()[name])) + "\n```"


def main() -> None:
    """Write every scenario to its own file, and print the examples."""
    FOLDER.mkdir(exist_ok=True)
    for name, layer, body in scenarios():
        content = {
            "scenario": f"document: {name.replace('-', ' ')}",
            "layer": layer,
            "body": body.hex(),
            "hash": document_hash(body).hex(),
        }
        (FOLDER / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")
    for name, document in examples().items():
        print(f"{block(name)}\n\nIts hash:\n\n    {document_hash(codec.encode(document)).hex()}\n")


if __name__ == "__main__":
    main()
