"""A member that says on a real, authenticated session whatever the test wants it to say."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import msgspec

from exchange.clock import SystemClock
from exchange.link.certificate import certificate_der
from exchange.link.client import connect
from exchange.link.handshake import Identity, authenticate_as_node
from exchange.link.pump import Link
from exchange.link.tls import client_context
from exchange.setup.keyring import open_signer
from keys.enrolment import load_community
from keys.sealing import PAIR_START, PairPosition, SealedNotice, SealFor, seal
from keys.signer import Signer, Verifier
from keys.trust import TrustedDirectory
from protocol import codec
from protocol.digest import certificate_id
from protocol.documents import Role
from protocol.envelope import Submission
from protocol.errors import PeerCode, Unreachable
from protocol.marking import Tlp
from protocol.notice import DEFAULT_LIFE_MS, Addressee, Body, Header, Kind, Manifest
from protocol.session.messages import Accepted, Bye, Message, Refused, Submit
from protocol.severity import SeverityTag
from protocol.signed import Context
from protocol.suite import SUITE_1
from tests.acceptance.ceremony import HUB, NO_PASSPHRASE, Founded

CLOCK = SystemClock()
PATIENCE_S = 60.0


@dataclass
class Member:
    """A state with its real keys, and at most one session."""

    founded: Founded
    code: str
    signer: Signer
    directory: TrustedDirectory
    _link: Link | None = None
    _refs: int = 0
    met: list[Message] = field(default_factory=list)
    """What came unasked, such as deliveries."""

    @property
    def link(self) -> Link:
        assert self._link is not None
        return self._link

    async def submit(self, submission: Submission | bytes) -> Accepted | Refused:
        """Hand over an envelope and return the answer."""
        self._refs += 1
        content = submission if isinstance(submission, bytes) else codec.encode(submission)
        self.link.send(Submit(ref=self._refs, submission=content))
        async with asyncio.timeout(PATIENCE_S):
            while True:
                message = await self.link.receive()
                if isinstance(message, Accepted | Refused):
                    assert message.ref == self._refs
                    return message
                assert not isinstance(message, Bye), message
                self.met.append(message)

    async def say(self, frame: bytes) -> None:
        """Send any bytes as one message, past this side's own session."""
        await self.link._socket.send_bytes(frame)

    async def farewell(self) -> PeerCode | None:
        """Return the reason for which the coordinator ends the session; None if it just cuts it."""
        async with asyncio.timeout(PATIENCE_S):
            with suppress(Unreachable):
                while True:
                    message = await self.link.receive()
                    if isinstance(message, Bye):
                        return message.code
        return None

    # What it says.

    def header(self, *to: str, **changes: object) -> Header:
        """Return a header that the coordinator accepts, unless ``changes`` spoil it."""
        now_ms = CLOCK.now_ms()
        plain = Header(
            v=1,
            suite=SUITE_1,
            kind=Kind.REPORT,
            exercise=False,
            sender=self.code,
            key_id=self.signer.key_id,
            nonce=secrets.token_bytes(16),
            created_ms=now_ms,
            expires_ms=now_ms + DEFAULT_LIFE_MS,
            directory=self.directory.head(),
            recipients=tuple(
                Addressee(state=state, prekey_id=self.directory.prekey(state, now_ms).prekey.key_id)
                for state in sorted(to)
            ),
            severity=SeverityTag(schema="xaa-national", version=1, level="grave", point=4),
            respond_by_ms=None,
        )
        return msgspec.structs.replace(plain, **changes)

    def seal(
        self, subject: str, *to: str, after: SealedNotice | None = None, notice: bytes = b"", number: int = 1
    ) -> SealedNotice:
        """Seal a genuine notice; ``after`` is the one before it, ``notice`` its logical id."""
        body = Body(
            v=1,
            sender=self.code,
            notice=notice or secrets.token_bytes(16),
            incident=secrets.token_bytes(16),
            refers_to=None,
            tlp=Tlp.AMBER,
            language="en",
            subject=subject,
            text=f"All about {subject}.",
            attachments=(),
        )
        position = PairPosition(number, PAIR_START if after is None else after.id)
        now_ms = CLOCK.now_ms()
        keys = [
            SealFor(state, self.directory.prekey(state, now_ms).prekey.public, position)
            for state in sorted(to)
        ]
        return seal(self.header(*to), body, keys, self.signer)

    def signed(
        self, submission: Submission, header: Header | None = None, signer: Signer | None = None
    ) -> Submission:
        """Return a submission with another header or signer, signed anew over what it then says."""
        manifest = codec.decode(
            submission.manifest, Manifest, limit=len(submission.manifest), what="manifest"
        )
        if header is not None:
            manifest = msgspec.structs.replace(manifest, header=codec.encode(header))
        data = codec.encode(manifest)
        proof = (signer or self.signer).sign(Context.NOTICE, data)
        return msgspec.structs.replace(submission, manifest=data, proof=proof)


def member(founded: Founded, code: str) -> Member:
    """Return a state with the keys that lie in its data directory; it does not talk yet."""
    signer = open_signer(founded.data(code) / "keys" / "node.key", Role.NODE, NO_PASSPHRASE)
    community = founded.community.read_bytes()
    directory, _ = load_community(community, founded.root_hash, Verifier(), CLOCK.now_ms())
    return Member(founded, code, signer, directory)


@asynccontextmanager
async def talking(founded: Founded, code: str, *, certificate_of: str = "") -> AsyncIterator[Member]:
    """Open a session for a state, with its own certificate or another member's."""
    me = member(founded, code)
    keys = founded.data(certificate_of or code) / "keys"
    pinned = me.directory.certificates(HUB)
    link = await connect(
        me.directory.coordinator(HUB).url,
        client_context(keys / "tls.crt", keys / "tls.key", pinned),
        clock=CLOCK,
        own_certificate=certificate_id(certificate_der((keys / "tls.crt").read_bytes())),
    )
    try:
        identity = Identity(code, me.signer, Verifier(), me.directory)
        await authenticate_as_node(
            link, identity, coordinator=HUB, nonce=secrets.token_bytes(32), now_ms=CLOCK.now_ms()
        )
        me._link = link
        yield me
    finally:
        await link.close()
        # The test's loop ends before TLS would have taken its time to say goodbye.
        link._transport.abort()
        await asyncio.sleep(0.01)
