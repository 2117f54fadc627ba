"""A real PKCS#11 token in software: SoftHSM 2, from the system or from where `make setup` unpacked it.

Each test has a folder of tokens of its own. The library reads its configuration when it is started,
so every test starts it anew; a token that is pulled out is a folder that is moved away.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from exchange.hsm.tokens import Tokens
from exchange.keystore import write_secret
from exchange.unlocking import tokens_of
from exchange.unsealer.daykeys import DayKeys
from keys.token_uri import TokenUri

PIN = "2468-correct"
WRONG_PIN = "1357-wrong"
LABEL = "almenara"

_UNPACKED = Path(sys.prefix) / "softhsm"
_NAMES = ("usr/lib/softhsm/libsofthsm2.so", "usr/lib/*/softhsm/libsofthsm2.so")


def module() -> Path | None:
    """Return SoftHSM's library, or None if it is nowhere."""
    found = (path for root in (_UNPACKED, Path("/")) for name in _NAMES for path in sorted(root.glob(name)))
    return next(found, None)


def util() -> str | None:
    """Return the program that sets tokens up, or None."""
    unpacked = _UNPACKED / "usr" / "bin" / "softhsm2-util"
    return str(unpacked) if unpacked.exists() else shutil.which("softhsm2-util")


needed = pytest.mark.skipif(
    module() is None or util() is None,
    reason="SoftHSM 2 is not here: `make setup` fetches it on Debian, or: sudo apt install softhsm2",
)
"""Marks what needs a token; the summary of the run counts what was skipped."""


@dataclass(frozen=True, slots=True)
class SoftHsm:
    """A machine's tokens: a library, its configuration, and the folder in which the tokens are."""

    folder: Path

    @property
    def module(self) -> Path:
        """The library."""
        found = module()
        assert found is not None
        return found

    @property
    def environment(self) -> Mapping[str, str]:
        """What a process must have in its environment to see these tokens."""
        return {"SOFTHSM2_CONF": str(self.folder / "softhsm2.conf")}

    @property
    def pin_file(self) -> Path:
        """A file with the right PIN."""
        path = self.folder / "pin"
        if not path.exists():
            write_secret(path, PIN + "\n")
        return path

    def make(self, label: str = LABEL) -> None:
        """Set up one more token."""
        program = util()
        assert program is not None
        command = [program, "--module", str(self.module), "--init-token", "--free", "--label", label]
        subprocess.run(
            [*command, "--pin", PIN, "--so-pin", "99887766"],
            env={**os.environ, **self.environment},
            check=True,
            capture_output=True,
        )

    def tokens(self, pin_file: Path | None = None, marks: Path | None = None) -> Tokens:
        """Return the tokens as a process that starts now would have them."""
        return tokens_of(self.module, pin_file or self.pin_file, marks=marks)

    def day_keys(self, state: str, pin_file: Path | None = None) -> DayKeys:
        """Return the day keys of a state, likewise."""
        from exchange.hsm.day_keys import TokenDayKeys

        return TokenDayKeys(self.tokens(pin_file).token(TokenUri(LABEL)), TokenUri(LABEL), state)

    def pull_out(self) -> None:
        """Take all tokens away."""
        (self.folder / "tokens").rename(self.folder / "away")
        (self.folder / "tokens").mkdir()

    def put_back(self) -> None:
        """Bring them back."""
        (self.folder / "tokens").rmdir()
        (self.folder / "away").rename(self.folder / "tokens")


@contextmanager
def softhsm(folder: Path) -> Iterator[SoftHsm]:
    """Give a machine with one token, in this process too, for the length of a block."""
    machine = SoftHsm(folder)
    (folder / "tokens").mkdir(parents=True)
    (folder / "softhsm2.conf").write_text(
        f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\nlog.level = ERROR\n"
    )
    machine.make()
    before = os.environ.get("SOFTHSM2_CONF")
    os.environ.update(machine.environment)
    fresh_library()
    try:
        yield machine
    finally:
        fresh_library()
        if before is None:
            os.environ.pop("SOFTHSM2_CONF")
        else:
            os.environ["SOFTHSM2_CONF"] = before


def fresh_library() -> None:
    """Start SoftHSM anew in this process, as in a process that starts: nobody is logged in."""
    import pkcs11

    from exchange.hsm.library import Library

    path = module()
    assert path is not None
    with Library(path).alone():
        pkcs11.lib(str(path)).reinitialize()
