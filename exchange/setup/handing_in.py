"""A community file handed to a coordinator that runs: dropped into its folder, and its answer awaited."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

from exchange.clock import Clock
from exchange.coordinator.incoming import FOLDER, Rejected, Taken, read_answer
from exchange.setup.coordinator import checked_community
from exchange.setup.files import make_folder, write_file
from protocol.errors import OutcomeUnknown, SetupError, TrustError

PATIENCE_SECONDS = 15.0
LOOK_SECONDS = 0.1


async def hand_in(
    data: Path, community: Path, clock: Clock, *, patience_s: float = PATIENCE_SECONDS
) -> Taken:
    """Hand a community file to the running coordinator, and return what it did; repeating is harmless.

    Args:
        data: The coordinator's data directory.
        community: The file from governance.
        clock: The source of time.
        patience_s: How long the coordinator's answer is awaited, in seconds.

    Raises:
        WrongCommunity, TrustError, FormatError: the file is not to be believed, here or there.
        SetupError: governance has not admitted this coordinator, or the folder cannot be written.
        OutcomeUnknown: there is no answer yet; the file waits for the coordinator.
    """
    content = checked_community(data, community, clock)
    folder = data / FOLDER
    make_folder(folder)
    name = hashlib.sha256(content).hexdigest()
    _forget_answer(folder / f"{name}.json")
    write_file(folder / f"{name}.alm", content, mode=0o600)
    end = clock.monotonic() + patience_s
    while (answer := read_answer(folder, name)) is None:
        if clock.monotonic() > end:
            raise OutcomeUnknown(
                "the coordinator has not answered yet; the file waits in its folder, and nothing is lost",
                hint=f"Look for 'incoming' in the coordinator's log, then repeat; it is {folder / name}.alm",
            )
        await asyncio.sleep(LOOK_SECONDS)
    if isinstance(answer, Rejected):
        raise TrustError(
            f"the running coordinator refused the file: {answer.message} ({answer.code})", hint=answer.hint
        )
    return answer


def _forget_answer(path: Path) -> None:
    """Remove what was said of the same file before."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise SetupError(f"{path} cannot be removed: {error.strerror}") from error
