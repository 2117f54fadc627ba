"""The page for people that lies in every bundle."""

from __future__ import annotations

_TEXT = """\
This directory is evidence: a copy of the ledger of a community of states that warn each other of
cyber incidents. It says who was told what, when, and who answered. It holds no notice's content.

{scope}

Verify it on any machine, with no network:

    almenara audit verify THIS-DIRECTORY --root-hash ROOT-HASH

ROOT-HASH is the hash of the community's first trust document. Take it from the record of the founding
ceremony or from a member you trust, never from this directory. For comparison only, it should begin
with {hint}.

Every file is described, byte for byte, in the page protocol/spec/bundle.md of Almenara's source, so
that anybody can verify this with a program of their own. Nothing here needs to be believed: the
trust documents follow from the root hash, the checkpoints are signed by the log and cosigned by the
member states, and every statement is bound to its place by a hash.
"""
_ALL = "It was made for an auditor, and holds every statement of its range."
_MEMBER = (
    "It was made for {member}, and holds only the statements that concern it. The leaves of all are here."
)


def readme(community: bytes, member: str | None) -> str:
    """Return the text of ``README.txt``.

    Args:
        community: The 32-byte id of the community.
        member: The member for which the bundle is made, or None.
    """
    scope = _ALL if member is None else _MEMBER.format(member=member)
    return _TEXT.format(scope=scope, hint=community.hex()[:8])
