"""A small receipt from the frozen community: for the page, the vectors, and the programs of others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache

from protocol import tree
from protocol.documents import Directory, Root, StateManifest, parse_document, parse_signed_document
from protocol.ledger.checkpoint import Checkpoint, SignedCheckpoint, sign_with
from protocol.ledger.leaf import statement_leaf
from protocol.ledger.note import NoteSignature, parse_signature_lines
from protocol.ledger.origins import Log, origin
from protocol.ledger.receipt import (
    CheckpointSection,
    DocumentSection,
    NoticeSection,
    Receipt,
    Section,
    StatementSection,
    format_receipt,
)
from protocol.statement import Statement, StatementKind
from tests.community import HUB, note_secret
from tests.vectors import examples
from tests.vectors.kept import KEPT
from tests.vectors.world import COMMUNITY, NOW_MS, fixed, head, packed, said, secret, statement

LOG_NAME = "hub.example/almenara"
COSIGNED_BY = ("XAA", "XBB")
SECONDS = NOW_MS // 1000 + 5
COMMENTS = (
    "Receipt for the notice of the page envelope.md.",
    "XBB received it; its officer accepted it.",
)


def relayed() -> Statement:
    """Return the coordinator's promise to relay the example's envelope."""
    return statement(
        StatementKind.RELAYED,
        examples.envelope().id,
        party=HUB,
        key_id=secret(HUB, "coordinator").key_id,
        nonce=fixed("promise nonce", 32),
        at_ms=NOW_MS + 400,
        directory=head(),
        decryption_proof=None,
    )


@lru_cache
def statements() -> tuple[tuple[StatementKind, int, bytes], ...]:
    """Return kind, recorded time and signed bytes of each statement, in the order of the log."""
    return (
        (StatementKind.RELAYED, NOW_MS + 500, said(KEPT, packed(relayed()), secret(HUB, "coordinator"))),
        (StatementKind.RECEIVED, NOW_MS + 2000, packed(examples.signed(examples.received(), "node"))),
        (StatementKind.ACCEPTED, NOW_MS + 4000, packed(examples.signed(examples.accepted(), "officer"))),
    )


@lru_cache
def leaf_hashes() -> tuple[bytes, ...]:
    """Return the log: one leaf that concerns nobody here, then the statements'."""
    stranger = statement_leaf(StatementKind.RECEIVED, NOW_MS, fixed("object of a stranger", 40))
    own = (statement_leaf(*one) for one in statements())
    return tuple(tree.leaf_hash(leaf.encode()) for leaf in (stranger, *own))


def checkpoint() -> Checkpoint:
    """Return the checkpoint over the whole log."""
    return Checkpoint(origin(LOG_NAME, Log.ACK), len(leaf_hashes()), tree.root_of(leaf_hashes()))


@lru_cache
def signed(by: tuple[str, ...] = COSIGNED_BY) -> SignedCheckpoint:
    """Return it with the signatures of the log and of these states."""
    bare = checkpoint()
    found = sign_with(bare, _kept("log", HUB, lambda: note_secret(HUB).sign_log(bare, SECONDS)))
    for state in by:
        name = f"almenara/test/{state}"
        found = found.with_signatures(_cosigned(bare, state, name))
    return found


def receipt() -> Receipt:
    """Return the genuine receipt."""
    notice = NoticeSection(examples.envelope().manifest, packed(examples.envelope().proof))
    sections = (*documents(), notice, CheckpointSection(signed().data), *places())
    return Receipt(bytes.fromhex(COMMUNITY["community"]), HUB, sections, COMMENTS)


def documents() -> tuple[Section, ...]:
    """Return the community's root, directory and manifests."""
    found = (bytes.fromhex(one) for one in COMMUNITY["documents"])
    kinds = Root | Directory | StateManifest
    return tuple(
        DocumentSection(data)
        for data in found
        if isinstance(parse_document(parse_signed_document(data).body), kinds)
    )


def places() -> tuple[StatementSection, ...]:
    """Return the statements with their places."""
    return tuple(
        StatementSection(at_ms, data, index, tree.inclusion_path(index, leaf_hashes()))
        for index, (_, at_ms, data) in enumerate(statements(), start=1)
    )


def refused() -> Iterator[tuple[str, str, bytes]]:
    """Yield what no reader may believe: the code of the refusal, why, and the file."""
    good, whole = receipt(), format_receipt(receipt())
    first, second, third = places()
    others = good.sections[:-3]

    def with_(*sections: Section) -> bytes:
        return format_receipt(replace(good, sections=sections))

    yield "malformed", "a first line of another version", whole.replace(b"v1", b"v2", 1)
    yield "malformed", "no newline at the end", whole[:-1]
    yield "malformed", "a carriage return", whole.replace(b"\n", b"\r\n", 1)
    yield "malformed", "a comment that holds an escape", whole.replace(b"# Receipt", b"# \x1b[2J", 1)
    yield "malformed", "base64 in lines of another length", whole.replace(b"document\n", b"document\n\n", 1)
    yield "malformed", "no statement", with_(*others)
    yield "malformed", "a statement above its checkpoint", with_(*others[:-1], first, others[-1])
    yield "malformed", "one statement twice", with_(*others, first, first)
    yield "malformed", "two notices", with_(*others, others[-2], first)
    yield "wrong-community", "another community", format_receipt(replace(good, community=bytes(32)))
    yield "version-gap", "no root document", with_(*others[1:], first)
    yield "threshold-not-met", "one witness of three", with_(*others[:-1], _under(("XAA",)), first)
    yield "threshold-not-met", "no witness", with_(*others[:-1], _under(()), first)
    yield "bad-signature", "a checkpoint that the log did not sign", with_(*others[:-1], _unsigned(), first)
    yield "unknown-signer", "another coordinator's log", format_receipt(replace(good, coordinator="HUB2"))
    yield "not-trusted", "another leaf's path", with_(*others, replace(first, index=2, path=second.path))
    yield "not-trusted", "another time in the leaf", with_(*others, replace(first, at_ms=first.at_ms + 1))
    yield "malformed", "a path that is too short", with_(*others, replace(third, path=third.path[:-1]))
    forged = replace(second, data=second.data[:-40] + bytes(36) + second.data[-4:])
    yield "bad-signature", "a statement whose signature was changed", with_(*others, forged)


def _under(by: tuple[str, ...]) -> CheckpointSection:
    return CheckpointSection(signed(by).data)


def _unsigned() -> CheckpointSection:
    whole = signed()
    return CheckpointSection(sign_with(whole.checkpoint, whole.note.signatures[2:]).data)


def _cosigned(bare: Checkpoint, state: str, name: str) -> tuple[NoteSignature, ...]:
    return _kept("witness", state, lambda: note_secret(state).cosign(bare, name, SECONDS + 1))


def _kept(role: str, party: str, make: Callable[[], tuple[NoteSignature, ...]]) -> tuple[NoteSignature, ...]:
    made_from = (f"receipt {role}", note_secret(party).mldsa44, checkpoint().text, str(SECONDS))
    lines = KEPT.note_lines(made_from, lambda: "".join(one.line for one in make()).encode())
    return parse_signature_lines(lines.decode())
