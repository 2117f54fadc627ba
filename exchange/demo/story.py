"""The story: a cross-border incident reaches two states, and named officers answer.

Each part waits for what it tells: nothing is printed that a node has not said over its local
interface. A part that takes too long fails with the name of what did not come.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from exchange.clock import Clock
from exchange.demo import cast, stix
from exchange.demo.cast import HUB, Script
from exchange.demo.deadline import deadline
from exchange.demo.nodes import RunningNode
from exchange.demo.report import Detail, Teller, answer_of, detail_of, local_words, own_words
from exchange.demo.stage import Stage
from exchange.demo.tamper import tamper
from exchange.node.requests import AnswerRequest
from exchange.node.views import NoticeView, StatusView
from protocol.errors import ServiceError

STEP_S = 15.0
TAMPERED = "tampered"


class Story:
    """Plays the story on a stage.

    Args:
        stage: Where; nothing runs yet.
        teller: Tells the audience.
        clock: Dates the attachment.
    """

    def __init__(self, stage: Stage, teller: Teller, clock: Clock) -> None:
        self._stage = stage
        self._say = teller.say
        self._chapter = teller.chapter
        self._clock = clock
        self._xaa, self._xbb, self._xcc = (stage.nodes[state.code] for state in cast.STATES)
        self._sent: list[str] = []
        self.refused = 0
        self.readable = 0

    def play(self) -> None:
        """Play all of it; each part leaves the stage as the next one needs it.

        Raises:
            AlmenaraError: a part failed, or took too long.
        """
        self._chapter("XAA reports an incident. XBB's node is down.")
        self._open_the_house()
        report = self._send_report()
        self._late_delivery(report)
        self._chapter("Two duty officers answer.")
        self._accept_with_note(report)
        self._decline(report)
        self._answers_arrive(report)
        self._chapter("XAA sends an update. XBB is down again, and the coordinator's operator is dishonest.")
        update = self._send_update(report)
        self._dishonest_operator(update)
        self._refuse_the_copy(update)
        self._last_answers(update)

    @property
    def first(self) -> str:
        """The id of the notice that was sent first."""
        return self._sent[0]

    def statuses(self) -> list[StatusView]:
        """Return where each sent notice stands, the first one first."""
        return [self._xaa.status(id_) for id_ in self._sent]

    def details(self) -> Iterator[Detail]:
        """Yield every notice at every recipient."""
        there = {(node.code, notice.id): notice for node in (self._xbb, self._xcc) for notice in node.inbox()}
        for status in self.statuses():
            for delivery in status.deliveries:
                yield detail_of(status, delivery, there.get((delivery.recipient, status.notice.id)))

    def _open_the_house(self) -> None:
        with deadline(STEP_S, "the coordinator and two nodes to start"):
            self._stage.start(HUB, "XAA", "XCC")
        self._say(HUB, f"listens on 127.0.0.1:{self._stage.port}, TLS 1.3, certificates pinned")
        for node in (self._xaa, self._xcc):
            self._say(node.code, f"node runs for {node.state.name}; at the desk: {node.state.officer}")
        self._say("XBB", "node is DOWN", style="yellow")

    def _send_report(self) -> str:
        id_ = self._send(cast.REPORT, None)
        self._await_receipt(self._xcc, id_)
        with deadline(STEP_S, "XAA to see where its report stands"):
            waiting = {one.recipient: one.state for one in self._xaa.status(id_).deliveries}
        self._say("XAA", f"sees XCC {waiting['XCC']}, XBB still {waiting['XBB']}: the coordinator owes it")
        return id_

    def _send(self, script: Script, refers_to: str | None) -> str:
        bundle = stix.make_bundle(self._clock.now_ms(), issuer=f"CSIRT {self._xaa.state.name}")
        with deadline(STEP_S, f"XAA's node to accept the {script.kind}"):
            sent = self._xaa.submit(script, ("XBB", "XCC"), bundle, refers_to=refers_to)
        self._sent.append(sent.id)
        self._say(
            "XAA",
            f"{script.kind} {sent.id[:6]} to XBB and XCC: sealed, signed, accepted (durable at XAA)",
            f"“{script.subject}”",
            f"severity, in XAA's words: {own_words(sent.severity)};  TLP:{script.tlp.upper()};"
            f"  STIX 2.1 bundle attached ({len(bundle)} bytes)",
        )
        with deadline(STEP_S, f"the coordinator to relay the {script.kind}"):
            relayed = self._xaa.event("notice.relayed", about=sent.id)
        self._say(
            HUB, f"relayed {sent.id[:6]}: stored in both mailboxes, promised in writing", at=relayed.at_ms
        )
        return sent.id

    def _await_receipt(self, node: RunningNode, id_: str) -> None:
        """Wait until a node has a notice, and XAA its signed receipt; tell how it reads there."""
        with deadline(STEP_S, f"{node.code} to receive {id_[:6]}"):
            received = node.event("inbox.received", about=id_)
            notice = _find(node, id_)
        self._say(
            node.code,
            f"received {id_[:6]}: verified, opened, stored; signs RECEIVED",
            f"severity, as XAA says it: {own_words(notice.severity)}",
            f"in {node.code}'s own words (advice): {local_words(notice.severity)}",
            at=received.at_ms,
        )
        with deadline(STEP_S, f"{node.code}'s receipt for {id_[:6]} to reach XAA"):
            self._xaa.event("notice.received", about=id_, by=node.code)

    def _late_delivery(self, id_: str) -> None:
        with deadline(STEP_S, "XBB's node to start"):
            self._stage.start("XBB")
        self._say("XBB", f"node comes up; at the desk: {self._xbb.state.officer}")
        self._await_receipt(self._xbb, id_)

    def _accept_with_note(self, id_: str) -> None:
        self._open_as(self._xbb, id_)
        self._answer(self._xbb, id_, AnswerRequest(answer="accepted", note=cast.XBB_ACCEPTS))

    def _decline(self, id_: str) -> None:
        self._open_as(self._xcc, id_)
        self._answer(self._xcc, id_, AnswerRequest(answer="declined", reason=cast.XCC_DECLINES_REASON))

    def _open_as(self, node: RunningNode, id_: str) -> None:
        with deadline(STEP_S, f"{node.code}'s officer to open {id_[:6]}"):
            content = node.open(id_)
        files = ", ".join(f"{file.name} ({file.bytes} bytes)" for file in content.attachments)
        self._say(
            node.code,
            f"{content.opened_by} opens {id_[:6]} and signs OPENED",
            f"{len(content.text)} characters in “{content.language}”; attached: {files}",
        )

    def _answer(self, node: RunningNode, id_: str, request: AnswerRequest) -> None:
        with deadline(STEP_S, f"{node.code}'s officer to answer {id_[:6]}"):
            answer = node.answer(id_, request)
        accepted = request.answer == "accepted"
        details = [f"reason: {request.reason}"] if request.reason else []
        details += [f"note, which only XAA can read: “{request.note}”"] if request.note else []
        self._say(
            node.code,
            f"{answer.officer} signs {answer.kind.upper()} for {id_[:6]}",
            *details,
            style="green" if accepted else "yellow",
        )

    def _answers_arrive(self, id_: str) -> None:
        with deadline(STEP_S, f"both answers to {id_[:6]} to reach XAA"):
            status = self._xaa.status(id_, wait="answered")
        for delivery in status.deliveries:
            answer = answer_of(delivery)
            if answer is None:
                raise ServiceError(f"XAA sees {delivery.recipient} as {delivery.state}, not as answered")
            why = f", {delivery.code}" if delivery.code else ""
            note = [f"its note reads: “{delivery.note}”"] if delivery.note else []
            self._say(
                "XAA", f"verified: {delivery.officer} of {delivery.recipient} {answer} {id_[:6]}{why}", *note
            )

    def _send_update(self, report: str) -> str:
        with deadline(STEP_S, "XBB's node to stop"):
            self._stage.stop("XBB")
        self._say("XBB", "node is DOWN", style="yellow")
        id_ = self._send(cast.UPDATE, report)
        self._await_receipt(self._xcc, id_)
        return id_

    def _dishonest_operator(self, id_: str) -> None:
        with deadline(STEP_S, "the coordinator to stop"):
            self._stage.stop(HUB)
        self._say(HUB, "stopped by its operator, who opens the database", style="yellow")
        self.readable = _readable(self._stage.hub, self._stage.crew.log_of(HUB))
        self._say(
            HUB,
            f"every file searched: {self.readable} texts of notices or notes readable, only the severity tag",
        )
        with deadline(STEP_S, "the operator to alter the database"):
            done = tamper(self._stage.hub / "almenara.db", "XBB")
        self._say(
            HUB,
            f"puts a copy of {id_[:6]} into XBB's mailbox, ahead of the genuine one",
            f"byte {done.byte} of its sealed payload is changed; manifest and signature are XAA's own",
            style="red",
        )
        self._open_as(self._xcc, id_)
        self._answer(self._xcc, id_, AnswerRequest(answer="accepted", note=cast.XCC_ACCEPTS_UPDATE))
        self._say("XCC", "keeps its answer queued: the coordinator is down")

    def _refuse_the_copy(self, id_: str) -> None:
        with deadline(STEP_S, "the coordinator and XBB's node to start"):
            self._stage.start(HUB, "XBB")
        self._say(HUB, "runs again, and so does XBB's node")
        with deadline(STEP_S, "XBB to refuse the altered copy"):
            refused = self._xbb.event("inbox.refused", about=id_)
        if refused.code != TAMPERED:
            raise ServiceError(f"XBB refused the altered copy as {refused.code}, not as {TAMPERED}")
        with deadline(STEP_S, "XBB to raise its alarm"):
            alarm = next(one for one in self._xbb.condition().alarms if one.code == "delivery-refused")
        self._say(
            "XBB",
            f"REFUSED an altered copy of {id_[:6]} [{refused.code}]",
            f"{refused.detail}; kept as evidence, alarm raised: {alarm.message}",
            at=refused.at_ms,
            style="bold red",
        )
        self._await_receipt(self._xbb, id_)
        self.refused = sum(event.code == TAMPERED for event in self._xbb.events_so_far("inbox.refused"))

    def _last_answers(self, id_: str) -> None:
        self._open_as(self._xbb, id_)
        self._answer(self._xbb, id_, AnswerRequest(answer="accepted", note=cast.XBB_ACCEPTS_UPDATE))
        self._answers_arrive(id_)
        with deadline(STEP_S, "the inboxes to be counted"):
            shown = {node.code: len(node.inbox()) for node in (self._xbb, self._xcc)}
        if set(shown.values()) != {len(self._sent)}:
            raise ServiceError(f"notices were lost or shown twice: {shown}")


def _find(node: RunningNode, id_: str) -> NoticeView:
    for notice in node.inbox():
        if notice.id == id_:
            return notice
    raise ServiceError(f"{node.code} says that it received {id_[:6]} and does not list it")


def _readable(hub: Path, log: Path) -> int:
    """Count the texts of notices and notes that stand readable in any file of the coordinator.

    Raises:
        ServiceError: not even the severity tag is found, so that the search proves nothing.
    """
    scripts = (cast.REPORT, cast.UPDATE)
    texts = [script.subject for script in scripts]
    texts += [line for script in scripts for line in script.text.splitlines() if len(line) > 20]
    texts += [cast.XBB_ACCEPTS, stix.DOMAIN, stix.ENCRYPTOR_SHA256]
    stored = b"".join(path.read_bytes() for path in (*hub.rglob("*"), log) if path.is_file())
    if cast.XAA.schema.encode() not in stored:
        raise ServiceError("the search of the coordinator's files does not find what it may read")
    return sum(text.encode() in stored for text in texts)
