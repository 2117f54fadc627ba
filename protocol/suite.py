"""Suite ids and the sizes they fix. A suite selects every algorithm; there is no other switch.

Suite 0x0001: HPKE base mode with MLKEM768-X25519 (X-Wing), HKDF-SHA256 and AES-256-GCM for
wraps; C2SP Cobblestone-256 for the payload; id-MLDSA65-Ed25519-SHA512 for signatures.
"""

from __future__ import annotations

SUITE_1 = 0x0001
KNOWN_SUITES = frozenset({SUITE_1})

SIGNING_PUBLIC_BYTES = 1984
SIGNATURE_BYTES = 3373
KEM_PUBLIC_BYTES = 1216
WRAP_PLAINTEXT_BYTES = 72
WRAP_BYTES = 1208
