"""The signed hello: each side proves to the other who it is, on this very connection.

TLS has shown that both ends hold some pinned certificate. Here each side checks that the other's
certificate is the one the directory lists for the party it claims to be, and that this party's
key signs both nonces and both certificates. A stolen certificate alone, a relay with another
certificate, or a signature from another connection therefore opens nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar

from exchange.link.pump import Link
from keys.signer import Signer, Verifier, claimed
from protocol.digest import signing_key_id
from protocol.documents import CoordinatorEntry, KeyEntry, Role
from protocol.errors import (
    FormatError,
    PeerCode,
    PeerNotPinned,
    RemoteProtocolError,
    TrustError,
    UnknownSigner,
    WrongCommunity,
)
from protocol.notice import DirectoryHead
from protocol.session.handshake import Certificates, transcript
from protocol.session.messages import VERSIONS, Bye, Challenge, Hello, Message, Prove, Welcome
from protocol.session.session import choose_version
from protocol.session.table import Side
from protocol.signed import Context

M = TypeVar("M", bound=Message)


class Trust(Protocol):
    """What the handshake asks the trusted directory."""

    @property
    def community(self) -> bytes:
        """The 32-byte id of the community."""
        ...

    def head(self) -> DirectoryHead:
        """Return the version and hash of the directory in force."""
        ...

    def coordinator(self, code: str) -> CoordinatorEntry:
        """Return a listed coordinator, or raise a TrustError."""
        ...

    def node_key(self, state: str, key_id: bytes, at_ms: int) -> KeyEntry:
        """Return an active state's node key valid at that time, or raise a TrustError."""
        ...

    def certificates(self, party: str) -> frozenset[bytes]:
        """Return the DER certificates listed for a party, or raise a TrustError."""
        ...


@dataclass(frozen=True)
class Identity:
    """What one side needs to authenticate: its code, its key, and what it trusts."""

    party: str
    signer: Signer
    verifier: Verifier
    trust: Trust


@dataclass(frozen=True)
class Welcomed:
    """What the node learned: the coordinator's limits, and by how much the clocks differ.

    ``skew_ms`` is the coordinator's time minus ours; positive when our clock is behind.
    """

    welcome: Welcome
    skew_ms: int


@dataclass(frozen=True)
class Visitor:
    """What the coordinator learned: which state is there, and the directory it last saw."""

    state: str
    key_id: bytes
    directory: DirectoryHead
    skew_ms: int


async def authenticate_as_node(
    link: Link, me: Identity, *, coordinator: str, nonce: bytes, now_ms: int
) -> Welcomed:
    """Open the session from the node's side.

    Args:
        link: A fresh connection.
        me: The state's code, its node key, and its trust.
        coordinator: The code of the coordinator that this address must belong to.
        nonce: 32 fresh random bytes.
        now_ms: The time of day, milliseconds UTC.

    Raises:
        PeerNotPinned, UnknownSigner, BadSignature: the other end is not that coordinator.
        RemoteProtocolError: it refused us, or broke the rules.
        Unreachable: the connection was lost.
    """
    async with _closed_on_failure(link):
        entry = me.trust.coordinator(coordinator)
        _require_pinned(link, me.trust, coordinator)
        hello = Hello(
            versions=VERSIONS,
            community=me.trust.community,
            party=me.party,
            nonce=nonce,
            time_ms=now_ms,
            directory=me.trust.head(),
        )
        link.send(hello)
        challenge = await _expect(link, Challenge)
        if challenge.party != coordinator:
            raise PeerNotPinned(f"{coordinator} was expected at this address; the peer is {challenge.party}")
        if challenge.key_id != signing_key_id(entry.key):
            raise UnknownSigner(f"{coordinator} answers with a key that the directory does not name for it")
        signed = _Signed.of(link, challenge)
        me.verifier.verify(
            entry.key, Role.COORDINATOR, Context.SESSION, signed.by(Side.COORDINATOR), challenge.proof
        )
        proof = me.signer.sign(Context.SESSION, signed.by(Side.NODE))
        link.send(Prove(key_id=me.signer.key_id, proof=proof))
        welcome = await _expect(link, Welcome)
        return Welcomed(welcome=welcome, skew_ms=challenge.time_ms - now_ms)


async def authenticate_as_coordinator(
    link: Link,
    me: Identity,
    signer_for: Callable[[DirectoryHead], Signer],
    *,
    nonce: bytes,
    now_ms: int,
    welcome: Welcome,
) -> Visitor:
    """Open the session from the coordinator's side; returns once Welcome is queued.

    Cheap checks come first: nothing is signed for a peer whose certificate does not fit its claim.

    Args:
        link: A fresh connection.
        me: The coordinator's code, its statement key, and its trust.
        signer_for: Returns the statement key that a node with this directory expects: one that was away
            while the key changed could not come in otherwise, to be told.
        nonce: 32 fresh random bytes.
        now_ms: The time of day, milliseconds UTC.
        welcome: The limits of this session.

    Raises:
        WrongCommunity, PeerNotPinned, UnknownSigner, BadSignature: the peer is not who it says.
        RemoteProtocolError: no common version, or the peer broke the rules.
        Unreachable: the connection was lost.
    """
    async with _closed_on_failure(link):
        hello = await _expect(link, Hello)
        if hello.community != me.trust.community:
            raise WrongCommunity(f"{hello.party} greets as a member of another community")
        _require_pinned(link, me.trust, hello.party)
        challenge, signed = await _challenge(link, me, signer_for(hello.directory), hello, nonce, now_ms)
        link.send(challenge)
        prove = await _expect(link, Prove)
        key = me.trust.node_key(hello.party, prove.key_id, now_ms)
        claim = claimed(key.key, Role.NODE, Context.SESSION, signed.by(Side.NODE), prove.proof)
        await asyncio.to_thread(me.verifier.check, claim)
        link.send(welcome)
        return Visitor(
            state=hello.party,
            key_id=prove.key_id,
            directory=hello.directory,
            skew_ms=hello.time_ms - now_ms,
        )


@dataclass(frozen=True)
class _Signed:
    """The facts of one connection that both sides sign."""

    hello: bytes
    version: int
    coordinator: str
    nonce: bytes
    time_ms: int
    certificates: Certificates

    @classmethod
    def of(cls, link: Link, challenge: Challenge) -> _Signed:
        return cls(
            link.session.hello,
            challenge.version,
            challenge.party,
            challenge.nonce,
            challenge.time_ms,
            _certificates(link),
        )

    def by(self, side: Side) -> bytes:
        return transcript(
            side, self.hello, self.version, self.coordinator, self.nonce, self.time_ms, self.certificates
        )


async def _challenge(
    link: Link, me: Identity, signer: Signer, hello: Hello, nonce: bytes, now_ms: int
) -> tuple[Challenge, _Signed]:
    version = choose_version(hello.versions)
    if version is None:
        raise RemoteProtocolError(
            f"{hello.party} speaks none of our protocol versions: it offers {hello.versions}",
            tell=PeerCode.NO_COMMON_VERSION,
            hint="Compare `almenara --version` on both sides.",
        )
    signed = _Signed(link.session.hello, version, me.party, nonce, now_ms, _certificates(link))
    # Two hundred nodes may come back at once: those who are here are served meanwhile.
    proof = await asyncio.to_thread(signer.sign, Context.SESSION, signed.by(Side.COORDINATOR))
    challenge = Challenge(
        version=version,
        party=me.party,
        nonce=nonce,
        time_ms=now_ms,
        key_id=signer.key_id,
        proof=proof,
    )
    return challenge, signed


def _certificates(link: Link) -> Certificates:
    if link.session.side is Side.NODE:
        return Certificates(node=link.own_certificate, coordinator=link.peer_certificate)
    return Certificates(node=link.peer_certificate, coordinator=link.own_certificate)


def _require_pinned(link: Link, trust: Trust, party: str) -> None:
    pinned = {hashlib.sha256(der).digest() for der in trust.certificates(party)}
    if link.peer_certificate not in pinned:
        raise PeerNotPinned(
            f"the peer's TLS certificate is not one that the directory lists for {party}",
            hint=f"Compare the certificate {link.peer_certificate.hex()} with {party} on another channel.",
        )


async def _expect(link: Link, kind: type[M]) -> M:
    message = await link.receive()
    if isinstance(message, Bye):
        raise RemoteProtocolError(
            f"the peer ended the handshake: {message.code.phrase}",
            tell=message.code,
            hint=_HINTS.get(message.code),
        )
    # The session's table permits one kind of message at each step, besides Bye.
    assert isinstance(message, kind)  # noqa: S101
    return message


_HINTS = {
    PeerCode.NOT_AUTHENTICATED: (
        "A new member is let in once the coordinator has the community file that lists it: ask its operator. "
        "Otherwise check that this state's manifest in force lists this node's key and TLS certificate."
    ),
    PeerCode.NOT_TRUSTED: "Check that this node follows the right community and is an active member.",
    PeerCode.NO_COMMON_VERSION: "Compare `almenara --version` on both sides.",
}


@asynccontextmanager
async def _closed_on_failure(link: Link) -> AsyncIterator[None]:
    """Tell the peer one coarse code, whatever failed in detail, and let the caller have the rest."""
    try:
        yield
    except (WrongCommunity, RemoteProtocolError) as error:
        await link.close(error.tell if isinstance(error, RemoteProtocolError) else error.peer_code)
        raise
    except (TrustError, FormatError):
        await link.close(PeerCode.NOT_AUTHENTICATED)
        raise
    except BaseException:
        await link.close(PeerCode.INTERNAL)
        raise
