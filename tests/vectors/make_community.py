"""Freeze a community for the vectors: ``python -m tests.vectors.make_community``.

Run it only when the layout of documents changes: everything else that is kept stands on it.
"""

from __future__ import annotations

import hashlib
import json

from protocol.documents import Role
from tests.community import CODES, HUB, NOW_MS, community
from tests.vectors.kept import FIXTURES


def seed(party: str, role: Role) -> bytes:
    """Return the seed from which the community of the tests makes this key."""
    return hashlib.sha512(f"{party} {role}".encode()).digest()


def main() -> None:
    """Write the community's documents, and the seeds behind them."""
    made = community(NOW_MS)
    states = {
        code: {
            "identity": seed(code, Role.IDENTITY).hex(),
            "node": seed(code, Role.NODE).hex(),
            "officer": seed(code, Role.OFFICER).hex(),
            "prekey": made.members[code].prekeys[0].seed.hex(),
        }
        for code in CODES
    }
    content = {
        "comment": "A fictitious community. Seeds are secret in life; here everybody may have them.",
        "now_ms": made.now_ms,
        "community": made.id.hex(),
        "states": states,
        "coordinator": {"code": HUB, "coordinator": seed(HUB, Role.COORDINATOR).hex()},
        "documents": [data.hex() for data in made.documents],
    }
    (FIXTURES / "community.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
