"""One performance from beginning to end: a folder, the ceremony, the story, and a clean house after it."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import signal
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

from exchange.clock import Clock
from exchange.demo import cast
from exchange.demo.audit import Audit
from exchange.demo.community import Founded, found
from exchange.demo.deadline import deadline
from exchange.demo.report import Audited, Ledger, Summary, Teller
from exchange.demo.stage import Stage
from exchange.demo.story import Story
from exchange.setup.files import new_place
from exchange.setup.words import file_name
from protocol.errors import AlmenaraError, SetupError

CEREMONY_S = 20.0
SUMMARY_S = 10.0
LONGEST_SOCKET = 100
"""Bytes of a socket's path that every system takes (Linux 107, macOS 103)."""
_ENDING = (signal.SIGTERM, signal.SIGHUP)


class Failed(Exception):
    """A performance that broke off: why, and the last log lines of every process."""

    def __init__(self, error: AlmenaraError, tails: dict[str, list[str]]) -> None:
        super().__init__(error.message)
        self.error = error
        self.tails = tails


def perform(teller: Teller, clock: Clock, *, folder: Path | None, bundle: Path | None, keep: bool) -> Summary:
    """Play the whole demonstration and return its outcome.

    Args:
        teller: Tells it.
        clock: The source of time.
        folder: An empty folder to use, or None for a temporary one.
        bundle: An empty folder for what the auditor takes along, or None for one that is removed.
        keep: Leave the processes running and the folder in place, if all goes well.

    Raises:
        SetupError: the folder cannot be used.
        Failed: a step failed; nothing runs any more and nothing is left.
    """
    began = clock.monotonic()
    taken = None if bundle is None else _taken(bundle)
    place = _place(folder)
    kept = False
    stage: Stage | None = None
    try:
        # A hang-up or a polite kill ends the performance as Ctrl-C does: with a clean house.
        with _answering(_interrupt, *_ENDING):
            founded = _hold_ceremony(place, teller, clock)
            stage = founded.stage
            story = Story(stage, teller, clock)
            story.play()
            evidence = _audit(founded, teller, place, taken, story.first, keep=keep)
            summary = _summary(story, evidence, teller, clock.monotonic() - began, place if keep else None)
            kept = keep
            return summary
    except AlmenaraError as error:
        raise Failed(error, {} if stage is None else dict(stage.crew.log_tails())) from error
    finally:
        if not kept:
            _clean(place, stage)


def _hold_ceremony(place: Path, teller: Teller, clock: Clock) -> Founded:
    teller.chapter(f"A community is founded: {cast.THRESHOLD} of {cast.CUSTODIANS} custodians must sign.")
    with deadline(CEREMONY_S, "the ceremony to be held"):
        founded = found(place, clock)
    teller.say(
        "ALL",
        f"pinned the root of “{cast.COMMUNITY}”, by its hash:",
        founded.root_hash,
        f"admitted by {cast.THRESHOLD} signatures: {', '.join(founded.admitted)}",
    )
    return founded


def _audit(
    founded: Founded, teller: Teller, place: Path, taken: Path | None, notice: str, *, keep: bool
) -> tuple[Ledger, Audited]:
    teller.chapter("Months later: an auditor, who trusts nobody's server.")
    folder = taken or place / "audit"
    folder.mkdir(exist_ok=True)
    return Audit(founded, teller, folder, keep=keep or taken is not None).play(notice)


def _taken(bundle: Path) -> Path:
    """Return an empty folder for what the auditor takes along."""
    folder = bundle.expanduser().absolute()
    with new_place(folder):
        return folder


def _summary(
    story: Story,
    evidence: tuple[Ledger, Audited],
    teller: Teller,
    seconds: float,
    folder: Path | None,
) -> Summary:
    with deadline(SUMMARY_S, "the nodes to say how it ended"):
        details = tuple(story.details())
        statuses = story.statuses()
    teller.chapter("Who was told what, and when (UTC)")
    teller.table(statuses)
    return Summary(
        notices=len(statuses),
        deliveries=len(details),
        received=sum("received" in one.reached_ms for one in details),
        answered=sum(one.state in ("accepted", "declined", "completed") for one in details),
        tampered_refused=story.refused,
        readable_at_coordinator=story.readable,
        ledger=evidence[0],
        audit=evidence[1],
        seconds=round(seconds, 3),
        folder=None if folder is None else str(folder),
        details=details,
        story=tuple(teller.told),
    )


def _place(folder: Path | None) -> Path:
    """Return an empty folder of mode 0700 whose path leaves room for a socket's name."""
    if folder is None:
        short = len(tempfile.gettempdir()) < LONGEST_SOCKET // 2
        return Path(tempfile.mkdtemp(prefix="almenara-", dir=None if short else "/tmp"))  # noqa: S108
    folder = folder.expanduser().absolute()
    if len(str(folder / "xaa" / "api.sock").encode()) > LONGEST_SOCKET:
        raise SetupError(
            f"the path {folder} is too long for the nodes' sockets", hint="Choose one of at most 80 bytes."
        )
    with new_place(folder):
        return folder


def _clean(place: Path, stage: Stage | None) -> None:
    with _answering(signal.SIG_IGN, *_ENDING, signal.SIGINT):
        if stage is not None:
            stage.crew.stop_all()
        shutil.rmtree(place, ignore_errors=True)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@contextlib.contextmanager
def _answering(
    handler: Callable[[int, FrameType | None], None] | signal.Handlers, *numbers: int
) -> Iterator[None]:
    """Answer these signals so while a block runs."""
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def what_next(summary: Summary) -> list[str]:
    """Return what the audience could try now."""
    if summary.folder is None:
        return [
            "  almenara demo --keep      leave it running, and explore it with the commands below",
            "  almenara demo --json      the same as one JSON object",
            "  almenara inbox | show ID | ack ID accept | status ID | watch | severity list",
            "  almenara help             every command; README.md shows how to set up a real community",
        ]
    folder = Path(summary.folder)
    newest = summary.details[-1].notice[:6]
    return [
        f"Everything runs on, in {folder}; logs: {folder}/*.log",
        "Take a seat at a desk:",
        *_path_to_program(),
        *_desk(folder, cast.XBB),
        *_desk(folder, cast.XAA),
        "Then:",
        "  almenara inbox",
        f"  almenara show {newest}",
        f'  almenara ack {newest} complete --note "done"',
        f"  almenara status {newest}          (at XAA's desk)",
        "  almenara severity translate xaa-national@1:grave xbb-national",
        "  almenara watch",
        "Stop it:",
        f"  almenara demo --stop {shlex.quote(str(folder))}",
    ]


def _path_to_program() -> list[str]:
    if shutil.which("almenara") is not None:
        return []
    return [f"  export PATH={shlex.quote(sysconfig.get_path('scripts'))}:$PATH"]


def _desk(folder: Path, state: cast.State) -> list[str]:
    data = shlex.quote(str(folder / state.folder))
    token = f"officer-{file_name(state.officer)}.token"
    return [
        f"  export ALMENARA_DATA={data}    # {state.officer}, duty officer of {state.code}",
        f"  export ALMENARA_TOKEN_FILE=$ALMENARA_DATA/tokens/{token}",
    ]
