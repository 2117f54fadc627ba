"""A member that means harm, or has a bug: what it says over a real, authenticated session.

Every bad envelope gets one coarse code and the session goes on; every bad frame ends that session
alone. The genuine notices between them arrive, each once, and nothing else is stored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import msgpack
import msgspec
import pytest

from exchange.setup.keyring import open_signer
from keys.sealing import SealedNotice
from keys.signature import SecretKey
from keys.signer import Signer
from protocol import codec
from protocol.documents import Role
from protocol.envelope import MAX_SUBMISSION_BYTES, Submission
from protocol.errors import PeerCode, RemoteProtocolError, Unreachable
from protocol.notice import Addressee, Header, Manifest
from protocol.session.messages import MAX_MESSAGE_BYTES, Accepted, Deliver, Ping, Refused, Submit
from protocol.statement import StatementKind, parse_statement
from tests.acceptance.ceremony import HUB, NO_PASSPHRASE, Founded
from tests.acceptance.member import CLOCK, Member, talking
from tests.acceptance.world import PATIENCE_S, World, living, settle

DAY_MS = 24 * 3600 * 1000


@dataclass
class Hostile:
    """A coordinator that runs, a member that means harm, and what that member said truly."""

    world: World
    genuine: list[SealedNotice] = field(default_factory=list)

    @property
    def founded(self) -> Founded:
        return self.world.founded

    async def still_served(self, member: Member) -> None:
        """Check that a genuine notice is taken, as the very next thing that the coordinator stores."""
        before = self.genuine[-1] if self.genuine else None
        number = len(self.genuine) + 1
        sealed = member.seal(f"genuine {number}", "XBB", after=before, number=number)
        answer = await member.submit(sealed.submission)
        assert isinstance(answer, Accepted)
        # Nobody else speaks here: the number of everything stored before, and of the one statement
        # about documents before it.
        assert answer.index == len(self.genuine) + 1
        self.genuine.append(sealed)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    """A community whose coordinator runs; in the end XBB collects exactly what was genuine."""
    with living(settle(tmp_path_factory.mktemp("hostile"))) as world:
        world.start(HUB)
        yield (here := Hostile(world))
        world.start("XBB")
        world.until(lambda: len(world.listed("XBB", "inbox")) >= len(here.genuine), "the genuine notices")
        shown = sorted(one.id for one in world.listed("XBB", "inbox"))
        assert shown == sorted(sealed.id.hex() for sealed in here.genuine)
        assert world.node("XBB").alarms == ()


def flipped(data: bytes) -> bytes:
    """Return bytes of which one bit in the middle differs."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def replaced(submission: Submission, **changes: object) -> Submission:
    """Return a submission with other parts."""
    return msgspec.structs.replace(submission, **changes)


# Each of these takes two genuine submissions, and makes a bad one.


def tampered_payload(me: Member, one: Submission, _: Submission) -> Submission:
    return replaced(one, payload=flipped(one.payload))


def tampered_wrap(me: Member, one: Submission, _: Submission) -> Submission:
    return replaced(one, wraps=(flipped(one.wraps[0]), *one.wraps[1:]))


def tampered_manifest(me: Member, one: Submission, _: Submission) -> Submission:
    nonce = me.header("XBB").nonce
    manifest = codec.decode(one.manifest, Manifest, limit=len(one.manifest), what="manifest")
    header = codec.decode(manifest.header, Header, limit=len(manifest.header), what="header")
    changed = msgspec.structs.replace(
        manifest, header=codec.encode(msgspec.structs.replace(header, nonce=nonce))
    )
    return replaced(one, manifest=codec.encode(changed))


def tampered_signature(me: Member, one: Submission, _: Submission) -> Submission:
    proof = msgspec.structs.replace(one.proof, signature=flipped(one.proof.signature))
    return replaced(one, proof=proof)


def wraps_exchanged(me: Member, one: Submission, _: Submission) -> Submission:
    return replaced(one, wraps=one.wraps[::-1])


def spliced_payload(me: Member, one: Submission, other: Submission) -> Submission:
    return replaced(one, payload=other.payload)


def spliced_signature(me: Member, one: Submission, other: Submission) -> Submission:
    return replaced(one, proof=other.proof)


def re_signed_by_an_unlisted_key(me: Member, one: Submission, _: Submission) -> Submission:
    key = Signer(SecretKey.generate(), Role.NODE)
    return me.signed(one, me.header("XBB", "XCC", key_id=key.key_id), key)


def re_signed_under_its_own_name(me: Member, one: Submission, _: Submission) -> Submission:
    return me.signed(one, signer=Signer(SecretKey.generate(), Role.NODE))


def re_signed_by_another_state(me: Member, one: Submission, _: Submission) -> Submission:
    other = open_signer(me.founded.data("XCC") / "keys" / "node.key", Role.NODE, NO_PASSPHRASE)
    return me.signed(one, me.header("XBB", "XCC", key_id=other.key_id), other)


def in_anothers_name(me: Member, one: Submission, _: Submission) -> Submission:
    return me.signed(one, me.header("XBB", "XCC", sender="XCC"))


def re_addressed(me: Member, one: Submission, _: Submission) -> Submission:
    changed = me.signed(one, me.header("XCC", "XBB", exercise=True))
    return replaced(changed, proof=one.proof)


def addressed_to_nobody(me: Member, one: Submission, _: Submission) -> Submission:
    recipients = (Addressee(state="XBB", prekey_id=bytes(32)), Addressee(state="XZZ", prekey_id=bytes(32)))
    return me.signed(one, me.header("XBB", "XCC", recipients=recipients))


def expired(me: Member, one: Submission, _: Submission) -> Submission:
    now_ms = CLOCK.now_ms()
    return me.signed(
        one, me.header("XBB", "XCC", created_ms=now_ms - 4 * DAY_MS, expires_ms=now_ms - 3 * DAY_MS)
    )


def a_day_ahead(me: Member, one: Submission, _: Submission) -> Submission:
    now_ms = CLOCK.now_ms()
    return me.signed(one, me.header("XBB", "XCC", created_ms=now_ms + DAY_MS, expires_ms=now_ms + 2 * DAY_MS))


def living_too_long(me: Member, one: Submission, _: Submission) -> Submission:
    return me.signed(one, me.header("XBB", "XCC", expires_ms=CLOCK.now_ms() + 8 * DAY_MS))


def of_another_suite(me: Member, one: Submission, _: Submission) -> Submission:
    return me.signed(one, me.header("XBB", "XCC", suite=0x0002))


def truncated(me: Member, one: Submission, _: Submission) -> bytes:
    return codec.encode(one)[:-1]


def with_something_behind(me: Member, one: Submission, _: Submission) -> bytes:
    return codec.encode(one) + b"\xc0"


def not_canonical(me: Member, one: Submission, _: Submission) -> bytes:
    data = codec.encode(one)
    assert data[0] == 0x95
    return b"\xdc\x00\x05" + data[1:]


def deeply_nested(me: Member, one: Submission, _: Submission) -> bytes:
    return b"\x91" * 100_000 + b"\x01"


def of_another_form(me: Member, one: Submission, _: Submission) -> bytes:
    return codec.encode(one).replace(b"alm1-submission", b"alm2-submission")


def nothing(me: Member, one: Submission, _: Submission) -> bytes:
    return b""


def as_large_as_can_be(me: Member, one: Submission, _: Submission) -> bytes:
    return bytes(MAX_SUBMISSION_BYTES)


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (tampered_payload, PeerCode.TAMPERED),
        (tampered_wrap, PeerCode.TAMPERED),
        (tampered_manifest, PeerCode.NOT_TRUSTED),
        (tampered_signature, PeerCode.NOT_TRUSTED),
        (wraps_exchanged, PeerCode.TAMPERED),
        (spliced_payload, PeerCode.TAMPERED),
        (spliced_signature, PeerCode.NOT_TRUSTED),
        (re_signed_by_an_unlisted_key, PeerCode.NOT_TRUSTED),
        (re_signed_under_its_own_name, PeerCode.NOT_TRUSTED),
        (re_signed_by_another_state, PeerCode.NOT_TRUSTED),
        (in_anothers_name, PeerCode.NOT_TRUSTED),
        (re_addressed, PeerCode.NOT_TRUSTED),
        (addressed_to_nobody, PeerCode.NOT_ADDRESSED),
        (expired, PeerCode.EXPIRED),
        (a_day_ahead, PeerCode.CLOCK_SKEW),
        (living_too_long, PeerCode.MALFORMED),
        (of_another_suite, PeerCode.SUITE_REFUSED),
        (truncated, PeerCode.MALFORMED),
        (with_something_behind, PeerCode.MALFORMED),
        (not_canonical, PeerCode.MALFORMED),
        (deeply_nested, PeerCode.MALFORMED),
        (of_another_form, PeerCode.MALFORMED),
        (nothing, PeerCode.MALFORMED),
        (as_large_as_can_be, PeerCode.MALFORMED),
    ],
)
async def test_a_bad_envelope(
    hostile: Hostile, spoil: Callable[[Member, Submission, Submission], Submission | bytes], code: PeerCode
) -> None:
    """One coarse code, nothing stored, and the session goes on."""
    async with talking(hostile.founded, "XAA") as me:
        one, other = (me.seal(subject, "XBB", "XCC").submission for subject in ("one", "other"))
        answer = await me.submit(spoil(me, one, other))
        assert isinstance(answer, Refused)
        assert answer.code is code
        await hostile.still_served(me)


async def test_a_replayed_envelope(hostile: Hostile) -> None:
    """It gets its first answer again, on this session and on the next; it is delivered once."""
    async with talking(hostile.founded, "XAA") as me:
        await hostile.still_served(me)
        again = hostile.genuine[-1].submission
        first, second = await me.submit(again), await me.submit(again)
    async with talking(hostile.founded, "XAA") as me:
        third = await me.submit(again)
        await hostile.still_served(me)
    assert isinstance(first, Accepted)
    assert first.index == len(hostile.genuine) - 1
    for answer in (second, third):
        assert isinstance(answer, Accepted)
        assert (answer.index, answer.statement) == (first.index, first.statement)


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        pytest.param(b"", PeerCode.MALFORMED, id="nothing"),
        pytest.param(b"\xc1", PeerCode.MALFORMED, id="no MessagePack"),
        pytest.param(
            codec.encode(Submit(ref=1, submission=b"x" * 99))[:-1], PeerCode.MALFORMED, id="truncated"
        ),
        pytest.param(codec.encode(Ping(token=1)) + b"\xc0", PeerCode.MALFORMED, id="something behind"),
        pytest.param(b"\x92\x14\xcd\x00\x01", PeerCode.MALFORMED, id="not canonical"),
        pytest.param(msgpack.packb([20, -1]), PeerCode.MALFORMED, id="a negative number"),
        pytest.param(msgpack.packb({"ping": 1}), PeerCode.MALFORMED, id="a map"),
        pytest.param(b"\x91" * 100_000 + b"\x01", PeerCode.MALFORMED, id="deeply nested"),
        pytest.param(b"\xdd\xff\xff\xff\xff", PeerCode.MALFORMED, id="a huge array that is not there"),
        pytest.param(msgpack.packb([99, 1]), PeerCode.UNKNOWN_KIND, id="an unknown kind"),
        pytest.param(
            msgpack.packb([9, 1, "malformed"]), PeerCode.ILLEGAL_MESSAGE, id="the other side's words"
        ),
        pytest.param(bytes(MAX_MESSAGE_BYTES + 1), PeerCode.TOO_LARGE, id="oversized"),
    ],
)
async def test_a_bad_frame(hostile: Hostile, frame: bytes, code: PeerCode) -> None:
    """The session ends with one coarse code; others' sessions, and this member's next, are served."""
    async with talking(hostile.founded, "XCC") as other:
        async with talking(hostile.founded, "XAA") as me:
            await me.say(frame)
            # A goodbye can get lost behind what the coordinator would not read.
            assert await me.farewell() in ((code, None) if code is PeerCode.TOO_LARGE else (code,))
        refused = await other.submit(b"")
        assert isinstance(refused, Refused)
    async with talking(hostile.founded, "XAA") as me:
        await hostile.still_served(me)


async def test_another_members_certificate(hostile: Hostile) -> None:
    """A certificate that is pinned for one member opens no session of another, whatever its key."""
    with pytest.raises((RemoteProtocolError, Unreachable)) as refused:
        async with talking(hostile.founded, "XAA", certificate_of="XCC"):
            raise AssertionError("a session was opened")
    assert isinstance(refused.value, RemoteProtocolError)
    assert refused.value.tell is PeerCode.NOT_AUTHENTICATED


async def test_a_notice_under_two_envelopes_is_shown_once(world: World) -> None:
    """The coordinator cannot know; the recipient's node does, and says so with its signature."""
    world.start(HUB, "XBB")
    async with talking(world.founded, "XAA") as me:
        first = me.seal("once", "XBB", notice=bytes(range(16)))
        second = me.seal("once", "XBB", notice=bytes(range(16)), after=first, number=2)
        for sealed in (first, second):
            assert isinstance(await me.submit(sealed.submission), Accepted)
        async with asyncio.timeout(PATIENCE_S):
            # Between them a member may be asked to witness.
            while len(items := [item for item in me.met if isinstance(item, Deliver)]) < 2:
                me.met.append(await me.link.receive())
    said = [parse_statement(item.content)[1] for item in items]
    assert [(one.envelope, one.kind, one.code) for one in said] == [
        (first.id, StatementKind.RECEIVED, None),
        (second.id, StatementKind.REJECTED, PeerCode.DUPLICATE),
    ]
    assert [one.id for one in await asyncio.to_thread(world.listed, "XBB", "inbox")] == [first.id.hex()]
