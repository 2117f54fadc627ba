"""The switches: what the coordinator lies about, and to whom."""

from __future__ import annotations

import msgspec


class Lies(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All off: an honest coordinator, which is what every test compares with.

    Attributes:
        drop_statements_of: Whose statements are answered for as recorded, and thrown away.
        withhold_from: Whose notices are promised to be relayed, and stay in the mailbox.
        split: Who is shown a second version of the ledger, which grows beside the first.
        backdate_ms: By how much the leaves of statements claim to be older than they are.
        deaf: Go on signing, whatever the witnesses remember.
    """

    drop_statements_of: tuple[str, ...] = ()
    withhold_from: tuple[str, ...] = ()
    split: tuple[str, ...] = ()
    backdate_ms: int = 0
    deaf: bool = False
