"""Make the examples and generated tables of the specification's pages.

A page marks what is generated: a fence with a language and a name, such as ```` ```hex header ````,
or a table between ``<!-- generated: name -->`` and ``<!-- end -->``. ``python -m tests.vectors.make``
rewrites them, and a test fails while a page is stale.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from keys.keyfile import KeyKind, KeyRecord, format_secret
from keys.opening import RecipientKey
from keys.protection import InToken, Passphrase, Protection, Token, Unprotected, salt_bytes
from keys.signer import ROLE_CONTEXTS, SIGNED_ALONE
from keys.token_uri import TokenUri
from protocol import errors
from protocol.delivery import REACHED, TERMINAL, TRANSITIONS, DeliveryState
from protocol.digest import certificate_id, kem_key_id, signing_key_id
from protocol.errors import AlmenaraError, PeerCode
from protocol.fingerprint import groups
from protocol.fingerprint import words as spoken
from protocol.notice import envelope_id, header_hash
from protocol.signed import Context, batch_leaf, batch_root, pae, signing_message
from protocol.statement import NEEDS_CODE, PROVES_DECRYPTION, SIGNER_ROLE, DeclineReason, statement_id
from protocol.wordlist import WORDS
from tests.fixed_token import FixedToken
from tests.vectors import examples, make_governance, make_receipt, make_spec_ledger
from tests.vectors.dump import drawn, hexadecimal
from tests.vectors.world import NOW_MS, body, fixed, head, info, packed, prekey, secret, tag

SPEC = Path(__file__).resolve().parents[2] / "protocol" / "spec"
PAGES = (
    "encoding",
    "envelope",
    "errors",
    "fingerprint",
    "governance",
    "keyfile",
    "ledger",
    "notice",
    "receipt",
    "signatures",
    "statement",
    "witness",
)

FENCE = re.compile(r"^```(hex|text|mermaid) ([a-z0-9-]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TABLE = re.compile(r"^<!-- generated: ([a-z0-9-]+) -->\n(.*?)^<!-- end -->$", re.MULTILINE | re.DOTALL)


def pages() -> dict[Path, str]:
    """Return every page as it must be."""
    return {path: made(path) for path in (SPEC / f"{name}.md" for name in PAGES)}


def made(path: Path) -> str:
    """Return one page with its examples and tables made anew."""
    text = FENCE.sub(
        lambda found: f"```{found[1]} {found[2]}\n{BLOCKS[found[2]]()}\n```", path.read_text("utf-8")
    )
    return TABLE.sub(
        lambda found: f"<!-- generated: {found[1]} -->\n{BLOCKS[found[1]]()}\n<!-- end -->", text
    )


def table(heading: str, rows: Sequence[tuple[str, ...]]) -> str:
    """Return a table under its heading, such as ``"code | phrase"``."""
    columns = heading.count("|") + 1
    lines = [f"| {heading} |", "| " + " | ".join(["---"] * columns) + " |"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def ticked(words: list[str]) -> str:
    """Return words as code, separated by commas."""
    return ", ".join(f"`{word}`" for word in words)


def contexts() -> str:
    """Return the table of contexts, media types and roles."""
    return table(
        "context | media type | signed by | in a batch",
        [
            (
                f"`{context.label.decode()}`",
                f"`{context.media_type.decode()}`",
                "every role" if context is Context.POSSESSION else ", ".join(_roles(context)),
                "no" if context in SIGNED_ALONE else "yes",
            )
            for context in Context
        ],
    )


def _roles(context: Context) -> list[str]:
    return [role.value for role, allowed in ROLE_CONTEXTS.items() if context in allowed]


def batch_table() -> str:
    """Return three objects of a batch with their leaves and paths."""
    rows = []
    for one, proof in zip(examples.SMOKE, examples.batch(), strict=True):
        leaf = batch_leaf(Context.NOTICE, one).hex()
        path = " ".join(f"`{sibling.hex()[:16]}...`" for sibling in proof.path)
        rows.append((str(proof.index), f"`{one.decode()}`", f"`{leaf[:16]}...`", path))
    return table("index | object | leaf hash | path", rows)


def batch_hashes() -> str:
    """Return the hashes of the batch's tree in full."""
    leaves = [batch_leaf(Context.NOTICE, one).hex() for one in examples.SMOKE]
    root = batch_root(Context.NOTICE, examples.SMOKE).hex()
    pair = examples.batch()[2].path[0].hex()
    named = [(f"leaf {number}", leaf) for number, leaf in enumerate(leaves)]
    return "\n".join(
        f"{value}   {name}" for name, value in [*named, ("leaves 0 and 1", pair), ("root", root)]
    )


def covered() -> bytes:
    """Return what both halves of the batch's composite signature sign."""
    message = signing_message(Context.NOTICE, batch_root(Context.NOTICE, examples.SMOKE))
    label = Context.NOTICE.label
    prefix = b"CompositeAlgorithmSignatures2025COMPSIG-MLDSA65-Ed25519-SHA512"
    return prefix + bytes([len(label)]) + label + hashlib.sha512(message).digest()


def key_ids() -> str:
    """Return the ids of two keys and a certificate of the example."""
    node, sealing = secret("XAA", "node").public, prekey("XBB").public
    rows = [
        (signing_key_id(node), "XAA's node key, 1984 bytes 0x" + node[:8].hex() + "..."),
        (kem_key_id(sealing), "XBB's prekey, 1216 bytes 0x" + sealing[:8].hex() + "..."),
        (certificate_id(b"DER of a certificate"), 'a certificate whose DER is "DER of a certificate"'),
    ]
    return "\n".join(f"{value.hex()}   {words}" for value, words in rows)


def derived() -> str:
    """Return every value that sealing the example derives."""
    parts = examples.envelope()
    manifest, header = examples.manifest_and_header()
    bound = header_hash(manifest.header)
    to = header.recipients[0]
    plaintext = parts.content_key + (1).to_bytes(8, "big") + bytes(32)
    rows = [
        ("header hash", bound),
        ("content key", parts.content_key),
        ("salt", parts.payload[:24]),
        ("payload context", tag("payload") + bound),
        ("commitment", parts.payload[24:56]),
        ("payload hash", manifest.payload_hash),
        ("wrap info", info(bound, manifest.payload_hash, to.state, to.prekey_id)),
        ("wrap plaintext", plaintext),
        ("wrap hash", manifest.wrap_hashes[0]),
        ("envelope id", envelope_id(parts.manifest)),
    ]
    return "\n".join(f"{name}:\n{hexadecimal(value)}" for name, value in rows)


def statement_values() -> str:
    """Return the derived values of the example's statements."""
    rows = [
        ("envelope id", examples.envelope().id),
        ("decryption proof", examples.proof_of_decryption()),
        ("statement id of the receipt", statement_id(packed(examples.received()))),
        ("note info", examples.detail_info()),
        ("note plaintext, first 32 of 512 bytes", examples.framed_note()[:32]),
    ]
    return "\n".join(f"{name}:\n{hexadecimal(value)}" for name, value in rows)


def statement_kinds() -> str:
    """Return the table of kinds with their signers and fields."""
    rows = [
        (
            str(kind.value),
            kind.name,
            role.value,
            "yes" if kind in NEEDS_CODE else "-",
            "yes" if kind in PROVES_DECRYPTION else "-",
            "yes" if kind.name == "UNDELIVERED" else "-",
            "may" if role.value == "officer" else "-",
        )
        for kind, role in sorted(SIGNER_ROLE.items())
    ]
    return table("kind | name | signed by | `code` | `decryption_proof` | `about` | `detail`", rows)


def decline_reasons() -> str:
    """Return the reasons for declining."""
    return ticked([reason.value for reason in DeclineReason])


def delivery_table() -> str:
    """Return what each state becomes by which statement."""
    rows = [
        (
            f"`{state.value}`",
            ", ".join(f"{kind.name} → `{after.value}`" for kind, after in sorted(TRANSITIONS[state].items()))
            or "-",
        )
        for state in DeliveryState
    ]
    return table("state | statements that change it", rows)


def delivery_diagram() -> str:
    """Return the life of a delivery as a Mermaid state diagram: the usual way, and the ends."""
    lines = [
        "stateDiagram-v2",
        "    [*] --> queued",
        "    [*] --> waiting-for-key: no usable key",
        "    waiting-for-key --> queued: sealed",
        "    queued --> refused: refused by the coordinator",
    ]
    for state in DeliveryState:
        for kind, after in sorted(TRANSITIONS[state].items()):
            if _is_step(state, after):
                lines.append(f"    {state.value} --> {after.value}: {kind.name}")
    return "\n".join(
        [*lines, *(f"    {state.value} --> [*]" for state in DeliveryState if state in TERMINAL)]
    )


def _is_step(state: DeliveryState, after: DeliveryState) -> bool:
    """Return whether a change is one step, and not a shortcut over statements that came late."""
    if state in REACHED and after in REACHED:
        return REACHED.index(after) == REACHED.index(state) + 1
    return f"{state.value} {after.value}" in {
        *("relayed undelivered", "undelivered received", "relayed rejected", "undelivered rejected"),
        *("opened declined", "accepted declined", "declined accepted", "refused received"),
    }


def peer_codes() -> str:
    """Return the codes that cross the wire, with what leads to them."""
    causes: dict[errors.PeerCode, list[str]] = {code: [] for code in PeerCode}
    for kind in _classes(AlmenaraError):
        if kind.code not in causes[kind.peer_code]:
            causes[kind.peer_code].append(kind.code)
    rows = [(f"`{code.value}`", code.phrase, ticked(causes[code]) or "-") for code in PeerCode]
    return table("peer code | phrase | local codes that are told so", rows)


def a_refusal() -> str:
    """Return the way of one error from the machine that found it to its peer."""
    error = errors.BadSignature("the composite signature does not verify")
    return "\n".join(
        (
            f"in the log here     {error.code}: {error.message}",
            f"to the officer      {error.hint}",
            f"to the peer         {error.peer_code.value}: {error.peer_code.phrase}",
        )
    )


def local_codes() -> str:
    """Return every local error code with its meaning."""
    rows = [
        (f"`{kind.code}`", (kind.__doc__ or "").strip().splitlines()[0], f"`{kind.peer_code.value}`")
        for kind in _classes(AlmenaraError)
    ]
    return table("local code | meaning | peer code", rows)


def _classes(kind: type[AlmenaraError]) -> list[type[AlmenaraError]]:
    listed = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, kind)]
    return list(dict.fromkeys(listed))


def key_file(protection: Protection) -> Callable[[], str]:
    """Return a maker of the text of the example's key file under a protection."""
    record = KeyRecord(
        kind=KeyKind.RECIPIENT,
        name="XBB prekey",
        role="prekey",
        seed=RecipientKey.from_seed(fixed("recipient seed", 32)).seed,
        created_ms=NOW_MS,
    )
    return lambda: key_file_of(record, protection)


def key_file_in_token() -> str:
    """Return the text of the example's key file whose key is in a token."""
    seed = fixed("signing seed", 64)
    uri = TokenUri("almenara", "90d036b35bf44e45", "XAA node", fixed("key in token", 16))
    token = FixedToken(uri, seed[32:], fixed("key file AES key", 32))
    record = KeyRecord(
        kind=KeyKind.SIGNING, name="XAA node", role="node", seed=seed[:32], created_ms=NOW_MS, half=token
    )
    return key_file_of(record, InToken(token))


def key_file_of(record: KeyRecord, protection: Protection) -> str:
    """Return the text of a key file with the example's random bytes."""
    salt = fixed("key file salt", 32)[: salt_bytes(protection)]
    return format_secret(record, protection, salt=salt).rstrip("\n")


def fingerprint_example() -> str:
    """Return one hash in digits, in words, and as the text of its QR code."""
    digest = hashlib.sha256(b"almenara test vector: fingerprint").digest()
    return "\n".join([groups(digest), "", *spoken(digest), "", groups(digest).upper()])


def word_list() -> str:
    """Return the words of all bytes, eight a line."""
    return "\n".join(" ".join(WORDS[start : start + 8]) for start in range(0, len(WORDS), 8))


BLOCKS: dict[str, Callable[[], str]] = {
    "proposal": lambda: drawn(make_governance.examples()["proposal"], whole=False),
    "proposal-signature": lambda: drawn(make_governance.examples()["signature"], whole=False),
    "custodian-key": lambda: drawn(make_governance.examples()["custodian-key"], whole=False),
    "attestation": lambda: drawn(make_governance.examples()["attestation"], whole=True),
    "head": lambda: drawn(head(), whole=True),
    "file": lambda: drawn(body().attachments[0], whole=True),
    "pae": lambda: hexadecimal(pae(Context.NOTICE.media_type, examples.SMOKE[0])),
    "batch": batch_table,
    "batch-hashes": batch_hashes,
    "signing-message": lambda: hexadecimal(
        signing_message(Context.NOTICE, batch_root(Context.NOTICE, examples.SMOKE))
    ),
    "representative": lambda: hexadecimal(covered()),
    "proof": lambda: drawn(examples.batch()[2], whole=False),
    "key-ids": key_ids,
    "contexts": contexts,
    "header": lambda: drawn(examples.manifest_and_header()[1], whole=True),
    "manifest": lambda: drawn(examples.manifest_and_header()[0], whole=True),
    "body": lambda: drawn(body(), whole=True),
    "submission": lambda: drawn(examples.submission(), whole=False),
    "delivery": lambda: drawn(examples.delivery(), whole=False),
    "derived": derived,
    "padded": lambda: hexadecimal(examples.padded()[:160]),
    "received": lambda: drawn(examples.received(), whole=True),
    "signed-statement": lambda: drawn(examples.signed(examples.received(), "node"), whole=False),
    "accepted": lambda: drawn(examples.accepted(), whole=False),
    "statement-values": statement_values,
    "statement-kinds": statement_kinds,
    "decline-reasons": decline_reasons,
    "delivery-table": delivery_table,
    "life": delivery_diagram,
    "a-refusal": a_refusal,
    "peer-codes": peer_codes,
    "local-codes": local_codes,
    "fingerprint-example": fingerprint_example,
    "fingerprint-words": word_list,
    "keyfile-open": key_file(Unprotected()),
    "keyfile-token": key_file(Token(fixed("key file token", 32))),
    "keyfile-pkcs11": key_file_in_token,
    "keyfile-passphrase": key_file(Passphrase(b"correct horse", memory_kib=64, iterations=1)),
    **make_spec_ledger.BLOCKS,
    **make_receipt.BLOCKS,
}
