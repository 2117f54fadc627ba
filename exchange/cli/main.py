"""The entry point: answers ``--version`` at once, and leaves everything else to the program.

Nothing heavy is imported here, nor by any command before it runs: a duty officer's terminal on
an old machine should answer at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from exchange.version import VERSION


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and end the process with its exit code.

    Args:
        arguments: The words after the program's name; those of this process by default.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    if words == ["--version"]:
        print(f"almenara {VERSION}")
        return
    from exchange.cli.program import run

    sys.exit(run(words))


if __name__ == "__main__":
    main()
