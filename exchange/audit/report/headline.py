"""The verdict in one line, and the sentence below it: what was proven, up to when, by whom."""

from __future__ import annotations

from exchange.audit.report.model import (
    Page,
)
from exchange.audit.report.words import Words
from exchange.audit.verdict import Outcome, Verdict
from exchange.safe import safe_line


def headline(verdict: Verdict, words: Words) -> str:
    """Return the verdict in one line."""
    match verdict.verdict:
        case Outcome.OK:
            return words.say("The evidence holds.")
        case Outcome.FAILED:
            return words.say("The evidence does not hold.")
        case Outcome.NOT_CHECKED:
            return words.say("The evidence could not be judged.")


def lead(page: Page, words: Words) -> str:
    """Return what follows from the verdict, in one or two sentences."""
    verdict, said = page.verdict, list[str]()
    match verdict.verdict:
        case Outcome.OK:
            said.append(words.say("Nobody forged, dropped, back-dated or rewrote what this bundle proves."))
        case Outcome.FAILED:
            said.append(
                words.say("At least one thing in this bundle contradicts its own proofs: do not rely on it.")
            )
        case Outcome.NOT_CHECKED:
            said.append(words.say("Too much is missing to say whether this bundle may be relied on."))
    if verdict.range is not None and verdict.checkpoint is not None:
        said.append(_covered(verdict, words))
    said += _limits(page, words)
    return " ".join(said)


def _limits(page: Page, words: Words) -> list[str]:
    """Return what the verdict does not say, in sentences: what was not there, or not looked at."""
    verdict, said = page.verdict, list[str]()
    signatures = verdict.signatures
    if signatures is not None and signatures.statements_checked < signatures.statements:
        said.append(words.say("Signatures were verified on a sample, everything else on every leaf."))
    if verdict.range is not None and verdict.range.member is not None:
        member = safe_line(verdict.range.member)
        said.append(words.say("It holds only what concerns %(state)s.", state=member))
    if page.unchecked.total and verdict.verdict is Outcome.OK:
        said.append(words.say("Some of it could not be checked, as listed below."))
    return said


def _covered(verdict: Verdict, words: Words) -> str:
    if verdict.range is None or verdict.checkpoint is None:
        return ""
    leaves = words.say_n("%(n)s leaf", "%(n)s leaves", verdict.range.leaves)
    witnesses = words.say_n(
        "cosigned by %(n)s witness", "cosigned by %(n)s witnesses", len(verdict.checkpoint.witnesses)
    )
    documents = words.say_n("%(n)s trust document", "%(n)s trust documents", verdict.range.documents)
    return words.say(
        "It covers %(leaves)s and %(documents)s, under a checkpoint %(witnesses)s.",
        leaves=leaves,
        documents=documents,
        witnesses=witnesses,
    )
