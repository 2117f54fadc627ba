"""The last part of the paper: keys, checkpoints and their witnesses, and every leaf that is named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from exchange.audit.report import charts as drawn
from exchange.audit.report.blocks import Block, Cell, heading, paragraph, table
from exchange.audit.report.model import (
    MAX_LINKS,
    sources_of,
)
from exchange.audit.report.reading import (
    checkpoints_of,
    milestones_of,
    missing_witnesses,
)
from exchange.audit.report.sheet import Sheet
from exchange.safe import safe_line
from protocol.ledger.bundle import document_name, statements_name
from protocol.ledger.tiles import TILE_WIDTH


class Ledger(Sheet):
    """What the evidence stands on."""

    def blocks(self) -> Iterator[Block]:
        """Yield the sections in order."""
        yield from self._keys()
        yield from self._checkpoints()
        yield from self._leaves()

    def _keys(self) -> Iterator[Block]:
        say, terms = self.words.say, self.terms
        yield heading(say("Key history"))
        heads = (
            *(say("Party"), say("Key"), say("What happened"), say("Key id")),
            *(say("Logged, UTC"), say("Document"), say("Counts from leaf")),
        )
        rows: list[Sequence[Cell]] = [
            (
                *(safe_line(one.party), terms.role(one.role)),
                f"{terms.event(one.event)} ({terms.source(one.source)})",
                *(terms.short(one.key_id), self.when(one.logged_ms)),
                {"t": str(one.document), "to": f"dir-{one.document}"},
                self.leaf(one.leaf),
            )
            for one in self.page.keys.shown
        ]
        yield table(say("Key history, in the order of the log"), heads, rows, numbers=2)
        yield from self.left_out(self.page.keys)

    def _checkpoints(self) -> Iterator[Block]:
        say, terms, verdict = self.words.say, self.terms, self.page.verdict
        yield heading(say("Checkpoints and witnesses"))
        for one in checkpoints_of(verdict):
            missing = missing_witnesses(verdict, one)
            leaves = self.words.say_n("%(n)s leaf", "%(n)s leaves", one.size)
            yield heading(self.words.pair(terms.log(one.log), leaves), 3)
            yield paragraph(self.words.pair(say("Origin"), safe_line(one.origin)))
            yield paragraph(self.words.pair(say("Root hash"), safe_line(one.root)))
            if one.witnesses or missing:
                yield self.drawn(drawn.witnesses(one, missing, "witnesses", terms))
            rows: list[Sequence[Cell]] = [
                (safe_line(by.state), safe_line(by.name), self.when(by.cosigned_ms)) for by in one.witnesses
            ]
            rows += [(safe_line(state), "–", say("no cosignature")) for state in missing]
            heads = (say("State"), say("Witness"), say("Cosigned, by its own clock, UTC"))
            yield table(say("Witnesses of this checkpoint"), heads, rows)
        milestones = milestones_of(verdict)
        if milestones.shown:
            yield self.drawn(drawn.growth(milestones.shown, terms))
            chain: list[Sequence[Cell]] = [
                (self.words.number(one.size), self.when(one.quorum_ms)) for one in milestones.shown
            ]
            caption = say("Chain of checkpoints of the log of statements")
            yield table(caption, (say("Leaves"), say("Cosigned by a quorum by, UTC")), chain)
            yield from self.left_out(milestones)

    def _leaves(self) -> Iterator[Block]:
        say, terms = self.words.say, self.terms
        yield heading(say("Leaves that this page names"))
        sources: list[Sequence[Cell]] = [
            (
                self.words.pair(terms.owner(one.owner), terms.figure(one.name)),
                self.words.number(one.figure.count),
                ", ".join(str(leaf) for leaf in one.figure.leaves[:MAX_LINKS]),
            )
            for one in sources_of(self.page)
        ]
        heads: Sequence[str] = (say("Figure"), say("Count"), say("First leaves it was counted from"))
        yield table(say("Where each figure comes from"), heads, sources)
        heads = (
            *(say("Leaf"), say("Statement"), say("By"), say("Logged, UTC")),
            *(say("Notice"), say("File in the bundle")),
        )
        rows: list[Sequence[Cell]] = [
            (
                {"t": str(one.index), "id": f"ack-{one.index}"},
                *(terms.statement(one.kind) if one.kind else "–", safe_line(one.party) if one.party else "–"),
                *(self.when(one.at_ms), terms.short(one.notice) if one.notice else "–"),
                statements_name(one.index // TILE_WIDTH),
            )
            for one in self.page.leaves.shown
        ]
        yield table(say("Leaves of the log of statements"), heads, rows)
        yield from self.left_out(self.page.leaves)
        heads = (say("Leaf"), say("Document"), say("Party"), say("Logged, UTC"), say("File in the bundle"))
        documents: list[Sequence[Cell]] = [
            (
                {"t": str(one.index), "id": f"dir-{one.index}"},
                *(terms.source(one.source), safe_line(one.party)),
                *(self.when(one.at_ms), document_name(one.index)),
            )
            for one in self.page.documents
        ]
        yield table(say("Leaves of the log of trust documents"), heads, documents)
