"""Signatures checked in threads: remembered if they are right, and judged as ever if they are not."""

from __future__ import annotations

import msgspec
import pytest

from exchange.coordinator.verifying import A_HANDFUL, Verifying
from keys.signer import Claim, Verifier, claimed
from protocol.documents import Role
from protocol.errors import BadSignature
from protocol.signed import Context
from tests.community import community

NODE = community().members["XAA"].node


def claim(text: bytes, *, good: bool = True) -> Claim:
    """Return the claim of a signature over a text, or of a broken one."""
    proof = NODE.sign(Context.NOTICE, text)
    if not good:
        proof = msgspec.structs.replace(proof, signature=bytes(len(proof.signature)))
    return claimed(NODE.public, Role.NODE, Context.NOTICE, text, proof)


async def test_many_claims_are_checked_beforehand() -> None:
    """True ones are remembered, a false one among them is not, and harms none of them."""
    verifier = Verifier()
    verifying = Verifying(verifier, threads=2)
    claims = [claim(b"%d" % number, good=number != 2) for number in range(6)]
    await verifying.warm(claims)
    assert [verifier.has_met(one.signature) for one in claims] == [number != 2 for number in range(6)]
    with pytest.raises(BadSignature):
        verifier.check(claims[2])
    verifying.close()


async def test_a_handful_is_left_to_whoever_needs_it() -> None:
    """Also if the same signature stands under many objects."""
    verifier = Verifier()
    verifying = Verifying(verifier, threads=2)
    few = [claim(b"%d" % number) for number in range(A_HANDFUL)]
    await verifying.warm(few * 9)
    assert not any(verifier.has_met(one.signature) for one in few)
    verifying.close()


def test_another_claim_with_a_remembered_signature_is_checked_anew() -> None:
    """A signature that was right for one thing says nothing about another."""
    verifier = Verifier()
    one = claim(b"one")
    verifier.check(one)
    for other in (one._replace(root=bytes(32)), one._replace(context=Context.STATEMENT)):
        assert verifier.has_met(other.signature)
        with pytest.raises(BadSignature):
            verifier.check(other)
    verifier.check(one)
