"""The ledger's vectors, in text: a small log as it is served, and texts that must be refused.

Written with the others by ``python -m tests.vectors.make``; the log is that of ``ledgers``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from protocol import tree
from protocol.documents import Directory, Root, parse_document, parse_signed_document
from protocol.ledger.leaf import document_leaf
from protocol.ledger.pack import encode_pack
from protocol.ledger.policy import format_policy
from protocol.ledger.proof import format_proof
from protocol.ledger.witness import format_add_checkpoint
from tests.vectors import ledgers
from tests.vectors.world import COMMUNITY, NOW_MS

SHOWN_LEAVES = (0, 1, 2, 255, 256, 299)
PROVEN = (0, 299)


def files() -> dict[str, str]:
    """Return the text of every file by its name in the folder ``ledger``."""
    answer = "".join(line.line for line in ledgers.witness_lines("XAA", ledgers.SIZE))
    return {
        "seeds.json": _json(seeds()),
        "policy.txt": format_policy(ledgers.policy()),
        "checkpoint-200.txt": ledgers.signed(ledgers.OLD).data.decode(),
        "checkpoint-300.txt": ledgers.cosigned(ledgers.SIZE).data.decode(),
        "request.txt": format_add_checkpoint(ledgers.request()).decode(),
        "answer-of-XAA.txt": answer,
        **{f"leaf-{index}.tlog-proof": format_proof(ledgers.proof(index)) for index in PROVEN},
        "leaves.json": _json({"statements": statements(), "documents": documents()}),
        "tiles.json": _json(
            {**{tile.path: data.hex() for tile, data in ledgers.tiles().items()}, **_hex(ledgers.entries())}
        ),
        "pack.json": _json(pack()),
        "refused.json": _json([dict(zip(("reader", "why", "text"), one, strict=True)) for one in refused()]),
    }


def seeds() -> dict[str, Any]:
    """Return the seeds of log and witnesses, ML-DSA-44's 32 bytes first."""
    return {
        "comment": "Seeds are secret in life; here everybody may have them.",
        "log": {"name": ledgers.LOG_NAME, "seed": ledgers.secret("HUB").seed.hex()},
        "witnesses": {
            state: {"name": ledgers.witness_name(state), "seed": ledgers.secret(state).seed.hex()}
            for state in ledgers.STATE_CODES
        },
    }


def statements() -> list[dict[str, Any]]:
    """Return some leaves with what they were made from."""
    return [
        {
            "index": index,
            "kind": ledgers.leaves()[index].type.value,
            "at_ms": ledgers.leaves()[index].at_ms,
            "object": ledgers.object_of(index).hex(),
            "leaf": ledgers.leaves()[index].encode().hex(),
            "leaf_hash": ledgers.leaf_hashes()[index].hex(),
        }
        for index in SHOWN_LEAVES
    ]


def documents() -> list[dict[str, Any]]:
    """Return the leaves of the frozen community's documents, which are in ``fixtures/community.json``."""
    rows = []
    for index, data in enumerate(bytes.fromhex(one) for one in COMMUNITY["documents"]):
        document = parse_document(parse_signed_document(data).body)
        leaf = document_leaf(document, NOW_MS + index, data)
        state = "" if isinstance(document, Root | Directory) else document.state
        rows.append(
            {
                "index": index,
                "state": state,
                "version": document.version,
                "at_ms": NOW_MS + index,
                "leaf": leaf.hex(),
                "leaf_hash": tree.leaf_hash(leaf).hex(),
            }
        )
    return rows


def pack() -> dict[str, Any]:
    """Return a pack with a gap, and its records."""
    records = [(0, b"zero"), (2, b""), (255, b"last of its range")]
    return {
        "records": [{"index": index, "object": data.hex()} for index, data in records],
        "pack": encode_pack(records).hex(),
    }


def refused() -> Iterator[tuple[str, str, str]]:
    """Yield what no reader may accept: which reader, why, and the text."""
    good = ledgers.cosigned(ledgers.SIZE).data.decode()
    yield from (
        ("checkpoint", why, text) for why, text in _bad_checkpoints(good[: good.index("\n— ", 130)] + "\n")
    )
    head, _, _ = format_proof(ledgers.proof(0)).partition("\n\n")
    under = "\n\n" + ledgers.checkpoint(1).text + "\n— x AAAAAAA=\n"
    yield "proof", "another version", head.replace("@v1", "@v2") + under
    yield "proof", "an index with a leading zero", head.replace("index 0", "index 00") + under
    yield "proof", "an empty extra line", head.replace("index", "extra \nindex") + under
    yield "proof", "no checkpoint", head + "\n"
    yield "proof", "64 hashes", head.splitlines()[0] + "\nindex 0\n" + _line(0) * 64 + under[1:]
    yield "request", "no old size", _line(0) + under[1:]
    yield "request", "an old size with a leading zero", "old 01" + under
    yield "request", "no checkpoint", "old 0\n"
    yield "request", "64 hashes", "old 1\n" + _line(0) * 64 + under[1:]
    yield "size", "no newline", "300"
    yield "size", "a leading zero", "0300\n"
    for why, path in _BAD_PATHS.items():
        yield "tile path", why, path
    vkey = str(ledgers.log_keys()[0])
    yield "vkey", "another key's id", vkey.replace(ledgers.log_keys()[0].key_id.hex(), "00000000")
    yield "vkey", "an upper-case id", vkey.replace(ledgers.log_keys()[0].key_id.hex(), "ABCDEF01")
    yield "vkey", "no key", vkey.rpartition("+")[0]
    for why, text in _bad_policies(str(ledgers.witness_keys("XAA")[0])):
        yield "policy", why, text


def _bad_checkpoints(good: str) -> Iterator[tuple[str, str]]:
    yield "no empty line", good.replace("\n\n", "\n")
    yield "an extension line", good.replace("\n\n", "\nextension\n\n")
    yield "a size with a leading zero", good.replace("\n300\n", "\n0300\n")
    yield "a size with a sign", good.replace("\n300\n", "\n+300\n")
    yield "a size of 2^63", good.replace("\n300\n", "\n9223372036854775808\n")
    yield "a root without its padding", good.replace("=\n\n", "\n\n")
    yield "a space in the origin", good.replace("hub.example", "hub example", 1)
    yield "carriage returns", good.replace("\n", "\r\n")
    yield "a hyphen for the dash", good.replace("—", "-")
    yield "two spaces before the signature", good.replace("/ack ", "/ack  ")
    yield "no newline at the end", good[:-1]
    yield "an empty line at the end", good + "\n"
    yield "no signature", good[: good.index("— ")]
    yield "a signature of no bytes", good[: good.index("— ")] + "— name AAAAAA==\n"


_BAD_PATHS = {
    "a level with a leading zero": "tile/00/000",
    "level 64": "tile/64/000",
    "two digits": "tile/0/00",
    "an element without its x": "tile/0/001/234",
    "an element of zeros before the number": "tile/0/x000/001",
    "an x on the last element": "tile/0/x001",
    "width 0": "tile/0/000.p/0",
    "width 256": "tile/0/000.p/256",
    "a width with a leading zero": "tile/0/000.p/01",
    "a way out": "tile/0/../000",
}


def _bad_policies(vkey: str) -> Iterator[tuple[str, str]]:
    witness = f"witness W {vkey}\n"
    yield "no quorum", witness
    yield "two quorums", witness + "quorum W\nquorum W\n"
    yield "a name before it is defined", "quorum W\n" + witness
    yield "one key twice", witness + f"witness V {vkey}\nquorum W\n"
    yield "a member counted twice", witness + "group A all W\ngroup B all W\nquorum A\n"
    yield "a threshold above the number of members", witness + "group A 2 W\nquorum A\n"
    yield "a threshold of 0", witness + "group A 0 W\nquorum A\n"
    yield "no newline at the end", witness + "quorum W"
    yield "a witness's key for a log", f"log {vkey}\nquorum none\n"


def _line(index: int) -> str:
    return ledgers.checkpoint(index + 1).text.splitlines()[2] + "\n"


def _hex(by_path: dict[str, bytes]) -> dict[str, str]:
    return {path: data.hex() for path, data in by_path.items()}


def _json(value: object) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
