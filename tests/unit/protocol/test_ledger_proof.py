"""Proofs, requests to witnesses and packs: the specifications' own examples, and what is refused."""

from __future__ import annotations

import base64

import pytest

from protocol.errors import FormatError, NotCanonical, TooLarge
from protocol.ledger.checkpoint import parse_checkpoint
from protocol.ledger.pack import encode_pack, iter_pack
from protocol.ledger.proof import TlogProof, format_proof, parse_proof
from protocol.ledger.witness import (
    MAX_ADD_CHECKPOINT_BYTES,
    AddCheckpoint,
    format_add_checkpoint,
    format_size,
    parse_add_checkpoint,
    parse_size,
)

# C2SP tlog-proof, at its head; its signature lines are abbreviated there, and its extra line is no base64.
PROOF = """c2sp.org/tlog-proof@v1
extra YWdlLXYxLjIuMS1kYXJ3aW4tYXJtNjQudGFyLmd6
index 73894
gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=
B95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA=
EKNzoDWG8LGC0Yp9o+sv3qllpMP9uHQ9B20KNL+Q1zs=
RoopEkOdqkYqMB4MJXrbt/hMjOxsVn0IrWjpz1ZMMes=
AHCioX9nLjsrse6YhjRRmk1WUEirVOLLRoOQ6vfO5vk=

example.com/fancylog
109482
sFodV/vSp5O8n9a8QpW6PRY97tfOSW5bsc2Xl/EQi08=

— example.com/fancylog hI2DJwAA1roloI==
— witness1.example mJirIklj
"""
# C2SP tlog-witness, "Example request body".
BODY = """old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa \
Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— example.com/behind-the-sofa \
opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=
"""
HASH = "gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=\n"


def test_the_example_of_a_proof_is_read_and_written_byte_for_byte() -> None:
    """C2SP tlog-proof: header, extra, index, path, empty line, checkpoint verbatim."""
    proof = parse_proof(PROOF)
    assert (proof.index, len(proof.path), proof.extra) == (73894, 5, b"age-v1.2.1-darwin-arm64.tar.gz")
    assert proof.path[0] == base64.standard_b64decode(HASH)
    assert proof.checkpoint.startswith(b"example.com/fancylog\n109482\n")
    assert format_proof(proof) == PROOF


def test_a_proof_in_a_tree_of_one_has_no_path_and_no_extra() -> None:
    """C2SP tlog-proof: both are left out, not left empty."""
    proof = TlogProof(0, (), b"checkpoint")
    assert format_proof(proof) == "c2sp.org/tlog-proof@v1\nindex 0\n\ncheckpoint"
    assert parse_proof(format_proof(proof)) == proof


@pytest.mark.parametrize(
    "bad",
    [
        "",
        PROOF.replace("@v1", "@v2"),
        PROOF.replace("c2sp", " c2sp"),
        PROOF.replace("\n", "\r\n"),
        PROOF.replace("extra Y", "extra  Y"),
        PROOF.replace("extra YWdl", "extra YWd"),
        PROOF.replace("extra YWdlLXYxLjIuMS1kYXJ3aW4tYXJtNjQudGFyLmd6", "extra "),
        PROOF.replace("extra", "Extra"),
        PROOF.replace("index 73894", "index 073894"),
        PROOF.replace("index 73894", "index -1"),
        PROOF.replace("index 73894", "index 9223372036854775808"),
        PROOF.replace("index 73894", "index 73894 "),
        PROOF.replace("index 73894\n", ""),
        PROOF.replace("PlQ=", "PlR="),
        PROOF.replace("PlQ=", "PlQ"),
        PROOF.replace("PlQ=\n", "PlQ=\n\n", 1).replace("\n\nexample.com", "\n\x00example.com"),
        PROOF.split("\n\n")[0],
        PROOF.split("\n\n")[0] + "\n\n",
        PROOF.replace("fancylog\n109", "fancylog\x01\n109"),
        PROOF + "\ud800",
    ],
)
def test_a_proof_in_any_other_spelling_is_refused(bad: str) -> None:
    """One proof, one spelling, and never without a checkpoint."""
    with pytest.raises(FormatError):
        parse_proof(bad)


def test_a_proof_over_its_limits_is_refused() -> None:
    """A path has at most 63 hashes, a checkpoint 1 MiB, the whole 4 Mi characters."""
    head = "c2sp.org/tlog-proof@v1\nindex 0\n"
    assert len(parse_proof(head + HASH * 63 + "\ncheckpoint").path) == 63
    for bad in (
        head + HASH * 64 + "\ncheckpoint",
        head + "\n" + "x" * (1 << 20) + "x",
        head + HASH * 100_000,
    ):
        with pytest.raises(TooLarge):
            parse_proof(bad)


def test_the_example_of_a_request_to_a_witness_is_read_and_written_byte_for_byte() -> None:
    """C2SP tlog-witness: old size, proof, empty line, checkpoint with as many signatures as it has."""
    request = parse_add_checkpoint(BODY.encode())
    assert (request.old, len(request.proof)) == (20852014, 4)
    assert parse_checkpoint(request.checkpoint).checkpoint.size == 20852163
    assert format_add_checkpoint(request) == BODY.encode()


def test_a_first_request_has_no_proof() -> None:
    """C2SP tlog-witness: with an empty tree every tree is consistent."""
    assert format_add_checkpoint(AddCheckpoint(0, (), b"checkpoint")) == b"old 0\n\ncheckpoint"
    assert parse_add_checkpoint(b"old 0\n\ncheckpoint") == AddCheckpoint(0, (), b"checkpoint")


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "\n\ncheckpoint",
        "old 0\ncheckpoint",
        "old 0\n\n",
        "old 00\n\ncheckpoint",
        "old -1\n\ncheckpoint",
        "old  1\n\ncheckpoint",
        "old 1 \n\ncheckpoint",
        "old 9223372036854775808\n\ncheckpoint",
        "Old 1\n\ncheckpoint",
        "old 1\r\n\r\n\ncheckpoint",
        f"old 1\n {HASH}\ncheckpoint",
        f"old 1\n{HASH.replace('Q=', 'R=')}\ncheckpoint",
        "old 1\nAAAA\n\ncheckpoint",
    ],
)
def test_a_request_in_any_other_spelling_is_refused(bad: str) -> None:
    """A witness answers 400 to it."""
    with pytest.raises(FormatError):
        parse_add_checkpoint(bad.encode())


def test_a_request_over_its_limits_is_refused() -> None:
    """C2SP tlog-witness: at most 63 lines of proof; here also 256 KiB."""
    assert len(parse_add_checkpoint(f"old 1\n{HASH * 63}\ncheckpoint".encode()).proof) == 63
    for bad in (f"old 1\n{HASH * 64}\ncheckpoint".encode(), b"old 0\n\n" + bytes(MAX_ADD_CHECKPOINT_BYTES)):
        with pytest.raises(TooLarge):
            parse_add_checkpoint(bad)


def test_the_size_in_a_conflict_is_one_number_and_a_newline() -> None:
    """C2SP tlog-witness: text/x.tlog.size."""
    assert format_size(20852163) == b"20852163\n"
    assert parse_size(b"0\n") == 0
    for bad in (b"", b"1", b"01\n", b"1\n\n", b" 1\n", b"x\n", b"9223372036854775808\n", b"\xff\n"):
        with pytest.raises(FormatError):
            parse_size(bad)


def test_a_pack_gives_back_its_records_in_order() -> None:
    """With gaps: not every leaf of a range has an object that may be shown."""
    records = [(0, b"zero"), (3, b""), (2**63 - 1, b"last")]
    data = encode_pack(records)
    assert data.startswith(bytes(8) + b"\0\0\0\4zero" + bytes(7) + b"\3" + bytes(4))
    assert list(iter_pack(data, 4)) == records
    assert list(iter_pack(encode_pack([]), 4)) == []


def test_a_pack_out_of_order_is_refused() -> None:
    """Neither twice the same leaf nor backwards, in writing and in reading."""
    for bad in ([(1, b""), (1, b"")], [(2, b""), (1, b"")]):
        with pytest.raises(NotCanonical):
            encode_pack(bad)
        with pytest.raises(NotCanonical):
            list(iter_pack(b"".join(encode_pack([one]) for one in bad), 4))


def test_a_damaged_pack_is_refused_at_the_place() -> None:
    """Cut off anywhere, with a length that lies, or an index beyond any log."""
    data = encode_pack([(7, b"seven")])
    for length in range(1, len(data)):
        with pytest.raises(FormatError, match="ends within"):
            list(iter_pack(data[:length], 5))
    with pytest.raises(TooLarge, match="record 7"):
        list(iter_pack(data, 4))
    with pytest.raises(FormatError, match="out of bounds"):
        list(iter_pack(b"\xff" + data[1:], 5))
