"""Day keys in a token: destroying one erases every copy of what was locked under it, backups too.

Each is an AES key that never leaves the token. See :class:`exchange.unsealer.daykeys.DayKeys`.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from pkcs11 import Attribute

from exchange.hsm.held import AES, DoesNotOpen, HeldKeys, make_keys
from exchange.hsm.token import NoSuchKey, Session, Token
from keys.daylock import NONCE_BYTES, seed_bound
from keys.token_uri import TokenUri
from protocol.errors import CannotOpen, KeyfileError, KeyRefused, StoreFailed

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_ID_BYTES = 16


class TokenDayKeys:
    """Day keys as objects of one token.

    Args:
        token: The token.
        uri: Its name.
        state: The state whose keys they are.
    """

    def __init__(self, token: Token, uri: TokenUri, state: str) -> None:
        self._token = token
        self._uri = uri.whole
        self._state = state
        self._prefix = f"almenara day key {state} "

    def make(self, day: str) -> None:
        """Make the day's key; one that is there stays."""
        with _reaching(day):
            if day not in self._days():
                make_keys(self._token, self._prefix + day, secrets.token_bytes(_ID_BYTES), signing=False)

    def lock(self, day: str, seed: bytes) -> bytes:
        """Return a seed locked under the key of its day: nonce 12, ciphertext, tag 16."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        with _reaching(day):
            return nonce + self._key(day).encrypt(nonce, seed, seed_bound(self._state, day))

    def unlock(self, day: str, locked: bytes) -> bytes:
        """Return a locked seed."""
        nonce, data = locked[:NONCE_BYTES], locked[NONCE_BYTES:]
        with _reaching(day):
            return self._key(day).decrypt(nonce, data, seed_bound(self._state, day))

    def destroy(self, day: str) -> None:
        """Destroy the day's key; nothing happens if there is none."""
        with _reaching(day):
            self._key(day).destroy()

    def days(self) -> tuple[str, ...]:
        """Return the days that have a key, oldest first."""
        with _reaching("all days"):
            return self._days()

    def _days(self) -> tuple[str, ...]:
        def work(session: Session) -> list[str]:
            return [str(one[Attribute.LABEL]) for one in session.all(AES, self._uri)]

        labels = self._token.use("list its keys", work)
        days = {label.removeprefix(self._prefix) for label in labels if label.startswith(self._prefix)}
        return tuple(sorted(day for day in days if _DAY.fullmatch(day)))

    def _key(self, day: str) -> HeldKeys:
        name = TokenUri(self._uri.token, self._uri.serial, object=self._prefix + day)
        return HeldKeys(self._token, name)


@contextmanager
def _reaching(day: str) -> Iterator[None]:
    """Tell a key that is gone from a token that is away: the one is for ever, the other may come back."""
    try:
        yield
    except NoSuchKey as error:
        raise CannotOpen(f"there is no key of {day} in the token, or it was destroyed") from error
    except DoesNotOpen as error:
        raise CannotOpen(f"what is stored does not open with the key of {day}") from error
    except (KeyfileError, KeyRefused) as error:
        raise StoreFailed(f"the day keys cannot be used: {error.message}", hint=error.hint) from error
