"""Policies: the specification's own example, thresholds, and what is refused."""

from __future__ import annotations

import hashlib

import pytest

from protocol.errors import FormatError, TooLarge
from protocol.ledger.note import SignatureType, VerifierKey
from protocol.ledger.policy import (
    MAX_ENTRIES,
    Policy,
    PolicyGroup,
    PolicyWitness,
    format_policy,
    parse_policy,
)


def vkey(name: str, kind: SignatureType = SignatureType.COSIGNATURE_ED25519) -> str:
    size = 1312 if kind is SignatureType.MLDSA44 else 32
    return str(VerifierKey(name, kind, hashlib.shake_128(name.encode()).digest(size)))


LOG = vkey("log.example", SignatureType.ED25519)
# C2SP tlog-policy, section "Example policy", with keys in the place of <vkey>.
EXAMPLE = f"""log {LOG}

witness X1 {vkey("x1.example")}
witness X2 {vkey("x2.example")}
witness X3 {vkey("x3.example")}
group X-witnesses 2 X1 X2 X3

witness Y1 {vkey("y1.example")}
witness Y2 {vkey("y2.example")}
witness Y3 {vkey("y3.example")}
group Y-witnesses any Y1 Y2 Y3

group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
"""
ONE = f"witness W {vkey('w.example')}\n"


@pytest.mark.parametrize(
    ("cosigned", "met"),
    [
        ({"X1", "X2", "Y1"}, True),
        ({"X2", "X3", "Y3"}, True),
        ({"X1", "X2", "X3", "Y1", "Y2", "Y3"}, True),
        ({"X1", "Y1", "Y2", "Y3"}, False),
        ({"X1", "X2", "X3"}, False),
        ({"X-witnesses", "Y-witnesses"}, False),
        ({"X-and-Y"}, False),
        ({"X1", "X2", "Z9"}, False),
        (set(), False),
    ],
)
def test_the_example_counts_as_the_specification_says(cosigned: set[str], met: bool) -> None:
    """C2SP tlog-policy: two of X and any of Y; only witnesses cosign, never groups or strangers."""
    assert parse_policy(EXAMPLE).is_met(cosigned) is met


def test_the_example_survives_being_written_in_our_spelling() -> None:
    """The order of lines and "any" change, the policy does not."""
    policy = parse_policy(EXAMPLE)
    assert parse_policy(format_policy(policy)) == policy
    assert format_policy(parse_policy(format_policy(policy))) == format_policy(policy)


def test_a_state_cosigns_with_both_of_its_keys_or_not_at_all() -> None:
    """Our own form: a group of two keys for every state, and a quorum over the states."""
    text = "".join(
        f"witness {state}/ed25519 {vkey(f'{state}.a')}\n"
        f"witness {state}/mldsa44 {vkey(f'{state}.b', SignatureType.MLDSA44)}\n"
        f"group {state} all {state}/ed25519 {state}/mldsa44\n"
        for state in ("XAA", "XBB", "XCC", "XDD")
    )
    policy = parse_policy(text + "group states 3 XAA XBB XCC XDD\nquorum states\n")
    both = {f"{state}/{kind}" for state in ("XAA", "XBB", "XCC") for kind in ("ed25519", "mldsa44")}
    assert policy.is_met(both)
    assert not policy.is_met(both - {"XBB/mldsa44"})


def test_white_space_comments_and_addresses_are_read() -> None:
    """C2SP tlog-policy: tabs and spaces separate, lines that start with # say nothing."""
    text = f" \t# who\n\tlog\t{LOG}  https://log.example/ \n{ONE[:-1]} https://w.example\n\nquorum \t W \n"
    policy = parse_policy(text)
    assert policy.logs[0].url == "https://log.example/"
    assert policy.witnesses[0].url == "https://w.example"
    assert policy.is_met({"W"})
    assert parse_policy(format_policy(policy)) == policy


def test_a_policy_may_ask_for_no_witness_only_in_so_many_words() -> None:
    """C2SP tlog-policy: quorum none."""
    assert parse_policy("quorum none\n").is_met(set())
    with pytest.raises(FormatError, match="no quorum"):
        parse_policy(f"log {LOG}\n")


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "quorum none",
        "quorum\n",
        "quorum W\n",
        "quorum W X\n",
        "quorum none\nquorum none\n",
        f"quorum W\n{ONE}",
        f"{ONE}{ONE}quorum W\n",
        f"{ONE}witness V {vkey('w.example')}\nquorum W\n",
        f"witness none {vkey('w.example')}\nquorum none\n",
        f"witness W {LOG}\nquorum W\n",
        f"log {vkey('w.example')}\nquorum none\n",
        f"log {LOG}\nlog {LOG}\nquorum none\n",
        f"log {LOG} url more\nquorum none\n",
        f"{ONE}group g 2 W\nquorum g\n",
        f"{ONE}group g 0 W\nquorum g\n",
        f"{ONE}group g 01 W\nquorum g\n",
        f"{ONE}group g some W\nquorum g\n",
        f"{ONE}group g all\nquorum g\n",
        f"{ONE}group g all V\nquorum g\n",
        f"{ONE}group g all g\nquorum g\n",
        f"{ONE}group g all none\nquorum g\n",
        f"{ONE}group W all W\nquorum W\n",
        f"{ONE}group g 1 W W\nquorum g\n",
        f"{ONE}group g all W\ngroup h all W\nquorum g\n",
        f"{ONE}group none all W\nquorum none\n",
        f"{ONE}unknown W\nquorum W\n",
        f"{ONE}quorum W\r\n",
        f"{ONE}# bell \x07\nquorum W\n",
        f"{ONE}# delete \x7f\nquorum W\n",
        f"{ONE.replace('+', '+0')}quorum W\n",
    ],
)
def test_a_policy_that_does_not_hold_together_is_refused(bad: str) -> None:
    """Twice defined, not defined, counted twice, impossible thresholds, keys of another kind."""
    with pytest.raises(FormatError):
        parse_policy(bad)


def test_one_key_under_two_names_is_one_key() -> None:
    """C2SP tlog-policy: duplicate is what wraps the same public key, whatever it is called."""
    first, second = (VerifierKey(name, SignatureType.COSIGNATURE_ED25519, bytes(32)) for name in ("a", "b"))
    with pytest.raises(FormatError, match="one key"):
        Policy((), (PolicyWitness("A", first), PolicyWitness("B", second)), (), "A")


def test_a_policy_that_is_too_large_is_refused() -> None:
    """Far above what a community needs, far below what would hurt."""
    with pytest.raises(TooLarge):
        parse_policy("# \n" * (1024 * 1024))
    keys = [
        PolicyWitness(
            f"W{number}", VerifierKey("w", SignatureType.COSIGNATURE_ED25519, number.to_bytes(32, "big"))
        )
        for number in range(MAX_ENTRIES + 1)
    ]
    assert len(Policy((), tuple(keys[:-1]), (), "W0").witnesses) == MAX_ENTRIES
    with pytest.raises(TooLarge):
        Policy((), tuple(keys), (), "W0")


def test_a_name_that_would_not_survive_its_line_is_refused() -> None:
    """A policy is checked where it is made, not only where it is read."""
    key = VerifierKey("w", SignatureType.COSIGNATURE_ED25519, bytes(32))
    for name in ("", "a b", "a\tb", "a\nb"):
        with pytest.raises(FormatError):
            Policy((), (PolicyWitness(name, key),), (), "none")
        with pytest.raises(FormatError):
            Policy((), (PolicyWitness("W", key),), (PolicyGroup(name, 1, ("W",)),), "none")
        with pytest.raises(FormatError):
            Policy((), (PolicyWitness("W", key, url=name),), (), "none")
