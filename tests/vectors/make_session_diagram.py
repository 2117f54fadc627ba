"""Bring ``protocol/spec/session.md`` up to date: ``python -m tests.vectors.make_session_diagram``.

What the page says in tables, in the diagram and in example bytes is made from the code that
runs; the rest of the page is written by hand. A test compares the two.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, get_args

import msgpack
import msgspec

from protocol.errors import PeerCode
from protocol.fields import Wire
from protocol.notice import DirectoryHead
from protocol.session.handshake import Certificates, Transcript, transcript
from protocol.session.messages import Bye, Challenge, Hello, Message, Prove, Welcome
from protocol.session.table import TABLE, Side, State
from protocol.signed import Proof
from protocol.suite import SIGNATURE_BYTES

PAGE = Path(__file__).resolve().parents[2] / "protocol" / "spec" / "session.md"


def diagram() -> Iterator[str]:
    """The state diagram, from the legality table."""
    yield "```mermaid"
    yield "stateDiagram-v2"
    yield f"    [*] --> {State.START}"
    for state in State:
        steps = [
            (following, side, kind.__name__)
            for side in Side
            for kind, following in TABLE[state][side].items()
            if kind is not Bye
        ]
        for (following, side), group in groupby(steps, key=lambda step: step[:2]):
            names = "<br>".join(name for _, _, name in group)
            yield f"    {state} --> {following}: {side}<br>{names}"
        goodbyes = {TABLE[state][side].get(Bye) for side in Side} - {None}
        yield from (f"    {state} --> {following}: either side<br>Bye" for following in goodbyes)
    yield f"    {State.CLOSED} --> [*]"
    yield "```"


def legality() -> Iterator[str]:
    """Who may send what in which state, and what state follows."""
    yield "| state | node may send | coordinator may send |"
    yield "| --- | --- | --- |"
    for state in State:
        cells = [_permitted(state, side) for side in Side]
        yield f"| {state} | {' | '.join(cells)} |"


def _permitted(state: State, side: Side) -> str:
    kinds = TABLE[state][side]
    return ", ".join(
        kind.__name__ + ("" if following is state else f" → {following}") for kind, following in kinds.items()
    )


def listing() -> Iterator[str]:
    """Every message with its number, senders, fields and meaning."""
    yield "| # | message | sent by | fields after the number | meaning |"
    yield "| --- | --- | --- | --- | --- |"
    for kind in get_args(Message):
        senders = [side for side in Side if any(kind in TABLE[state][side] for state in State)]
        fields = ", ".join(f"`{name}`" for name in kind.__struct_fields__)
        meaning = " ".join((kind.__doc__ or "").split())
        tag = kind.__struct_config__.tag
        yield f"| {tag} | {kind.__name__} | {', '.join(senders)} | {fields} | {meaning} |"


def codes() -> Iterator[str]:
    """The codes of Bye, Refused and Unusable."""
    yield "| code | meaning |"
    yield "| --- | --- |"
    for code in PeerCode:
        yield f"| `{code}` | {code.phrase} |"


PROOF = Proof(signature=bytes(SIGNATURE_BYTES), index=0, size=1, path=())
HELLO = Hello(
    versions=(1,),
    community=b"\xc0" * 32,
    party="XAA",
    nonce=b"\x11" * 32,
    time_ms=1_772_335_000_000,
    directory=DirectoryHead(version=3, hash=b"\xd1" * 32),
)
CHALLENGE = Challenge(
    version=1,
    party="NORTH-1",
    nonce=b"\x22" * 32,
    time_ms=1_772_335_000_120,
    key_id=b"\x33" * 32,
    proof=PROOF,
)


def example() -> Iterator[str]:
    """A whole handshake, member by member."""
    covered = transcript(
        Side.COORDINATOR,
        _plain(HELLO),
        CHALLENGE.version,
        CHALLENGE.party,
        CHALLENGE.nonce,
        CHALLENGE.time_ms,
        Certificates(node=b"\xaa" * 32, coordinator=b"\xbb" * 32),
    )
    yield from _block("The node opens:", HELLO)
    yield "The coordinator signs these bytes, the transcript (context `almenara/1/session`):"
    yield ""
    yield "```"
    yield from _members(msgpack.unpackb(covered), ("", *Transcript.__struct_fields__))
    yield "```"
    yield ""
    yield from _block("and answers:", CHALLENGE)
    yield from _block(
        'The node signs the same transcript with `side` = "node":', Prove(key_id=b"\x44" * 32, proof=PROOF)
    )
    welcome = Welcome(request_window=256, delivery_window=256, heartbeat_ms=20_000, documents=42)
    yield from _block("The session is open:", welcome)


def _block(title: str, message: Wire) -> Iterator[str]:
    yield title
    yield ""
    yield "```"
    yield from _members(msgpack.unpackb(_plain(message)), ("", *message.__struct_fields__))
    yield "```"
    yield ""


def _plain(message: Wire) -> bytes:
    return bytes(msgpack.packb(msgspec.to_builtins(message, builtin_types=(bytes,))))


def _members(plain: list[Any], names: tuple[str, ...]) -> Iterator[str]:
    yield f"{0x90 | len(plain):02x}"
    for value, name in zip(plain, names, strict=True):
        words = name or "the message's number or tag"
        yield f"   {_shortened(value):<58}   {words}"


def _shortened(value: Any) -> str:
    """Return the bytes of one member in hexadecimal, with long byte strings summed up."""
    if isinstance(value, list):
        return " ".join([f"{0x90 | len(value):02x}", *map(_shortened, value)])
    data = bytes(msgpack.packb(value))
    if not isinstance(value, bytes) or len(value) < 32:
        return data.hex()
    head = data[: len(data) - len(value)].hex()
    if len(value) > 32:
        return f"{head} ({len(value)} bytes of signature)"
    return (
        f"{head} {value[:1].hex()} × 32" if len(set(value)) == 1 else f"{head} {value[:8].hex()}… (SHA-256)"
    )


PARTS: dict[str, Callable[[], Iterator[str]]] = {
    "example": example,
    "messages": listing,
    "legality": legality,
    "diagram": diagram,
    "codes": codes,
}


def brought_up_to_date(page: str) -> str:
    """Return the page with every generated part made anew."""
    for name, made in PARTS.items():
        body = "\n".join(made()).rstrip()
        block = f"<!-- generated: {name} -->\n\n{body}\n\n<!-- end of {name} -->"
        pattern = rf"<!-- generated: {name} -->.*?<!-- end of {name} -->"
        places = re.findall(pattern, page, flags=re.DOTALL)
        if len(places) != 1:
            raise ValueError(f"the page has {len(places)} places for the generated part {name!r}")
        page = page.replace(places[0], block)
    return page


if __name__ == "__main__":
    PAGE.write_text(brought_up_to_date(PAGE.read_text("utf-8")), "utf-8")
