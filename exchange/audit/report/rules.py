"""What the verifier's codes mean, in the reader's language.

The verifier's own sentences carry the exact place and values; the page shows them as they are,
marked as English. Rules and next steps are fixed sentences, so the catalogues have them; a
finding gets a short name by its code, and an unknown code is shown as itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from exchange.audit.report.terms import N_
from exchange.audit.report.words import Words
from exchange.audit.verdict import Check, Finding
from exchange.safe import safe_line

FINDINGS: Mapping[str, str] = MappingProxyType(
    {
        "bad-checkpoint": N_("A checkpoint that does not verify"),
        "bad-signature": N_("A signature that does not verify"),
        "before-relay": N_("A statement logged before the notice was relayed"),
        "checkpoint": N_("A checkpoint that cannot be used"),
        "compromised": N_("Signed by a key that was confirmed as compromised"),
        "contradiction": N_("Statements that contradict each other"),
        "coordinator": N_("A coordinator that the trust documents do not name"),
        "directory": N_("A wrong pointer to the trust documents"),
        "disclosure": N_("A disclosure that does not match"),
        "document-time": N_("A trust document dated outside the ledger that names it"),
        "entries": N_("Leaves that cannot be read"),
        "extra-header": N_("A notice where none was relayed"),
        "extra-file": N_("A file that does not belong there"),
        "false-decryption-proof": N_("A false proof of decryption"),
        "fork": N_("Two versions of one signer’s statements"),
        "gap": N_("A missing statement in a signer’s series"),
        "header": N_("A notice that is not the one relayed"),
        "header-missing": N_("A notice that is not in the bundle"),
        "held-back": N_("A trust document that was held back"),
        "key-life": N_("A key whose life cannot be judged"),
        "late-promise": N_("A promise that was logged late"),
        "list": N_("A list of files that cannot be used"),
        "logged-twice": N_("A statement that was logged twice"),
        "missing-file": N_("A missing file"),
        "never-relayed": N_("A notice that was never relayed"),
        "no-checkpoint": N_("No checkpoint"),
        "no-outcome": N_("A delivery that ended in nothing"),
        "no-quorum": N_("Too few witnesses"),
        "not-a-file": N_("Something that is not a plain file"),
        "not-addressed": N_("A statement by somebody who was not addressed"),
        "not-witnessed": N_("A checkpoint without a quorum"),
        "pack": N_("A pack of statements that cannot be read"),
        "policy": N_("A policy that the trust documents do not give"),
        "relayed-twice": N_("A notice that was relayed twice"),
        "root-differs": N_("Another tree than the checkpoint signs"),
        "seen-other-directory": N_("A signer saw another directory"),
        "seen-other-ledger": N_("A signer saw another ledger"),
        "signer": N_("A signer without the right to say this"),
        "statement-differs": N_("Another statement than the leaf commits to"),
        "statement-malformed": N_("A statement that is not well formed"),
        "statement-missing": N_("A statement that is not in the bundle"),
        "time-outside": N_("A time outside that of the witnesses"),
        "too-many-files": N_("Too many files"),
        "unknown-prekey": N_("A notice sealed to an unknown key"),
        "wrong-community": N_("A bundle of another community"),
        "wrong-hash": N_("A file that was altered"),
        "wrong-size": N_("A file of the wrong size"),
    }
)
"""A short name for each code of a finding."""


class Rules:
    """The codes of checks and findings in one language.

    Args:
        words: That language.
    """

    def __init__(self, words: Words) -> None:
        self._words = words

    def rule(self, check: Check) -> str:
        """Return what a check asks, as a sentence."""
        sentence = self._words.say(check.sentence)
        return safe_line(f"{sentence[:1].upper()}{sentence[1:]}".rstrip("."))

    def finding(self, finding: Finding) -> str:
        """Return the short name of a finding."""
        known = FINDINGS.get(finding.code)
        return self._words.say(known) if known else safe_line(finding.code)

    def next_step(self, finding: Finding) -> str:
        """Return what to do now."""
        return self._words.say(finding.next)
