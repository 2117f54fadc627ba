"""Two session cores joined by a fake link, and one example of every message."""

from __future__ import annotations

from protocol import codec
from protocol.errors import PeerCode
from protocol.ledger.origins import Log
from protocol.notice import DirectoryHead
from protocol.session.messages import (
    Accepted,
    Ahead,
    Attest,
    Bye,
    Challenge,
    Collected,
    Compare,
    Compared,
    Cosigned,
    Deliver,
    Documents,
    Hello,
    ItemKind,
    Locate,
    Located,
    Message,
    Mirror,
    Ping,
    Place,
    Pong,
    Prove,
    Publish,
    Refused,
    Submit,
    Unusable,
    Welcome,
    Witness,
    Witnessed,
    parse_message,
)
from protocol.session.session import Session
from protocol.session.table import Side, State
from protocol.signed import Proof
from protocol.suite import SIGNATURE_BYTES

PROOF = Proof(signature=bytes(SIGNATURE_BYTES), index=0, size=1, path=())
HELLO = Hello(
    versions=(1,),
    community=bytes(32),
    party="XAA",
    nonce=bytes(32),
    time_ms=1_772_335_000_000,
    directory=DirectoryHead(version=3, hash=bytes(32)),
)
CHALLENGE = Challenge(
    version=1,
    party="NORTH-1",
    nonce=bytes(32),
    time_ms=1_772_335_000_120,
    key_id=bytes(32),
    proof=PROOF,
)
PROVE = Prove(key_id=bytes(32), proof=PROOF)
WELCOME = Welcome(request_window=4, delivery_window=4, heartbeat_ms=20_000, documents=7)

EXAMPLES: tuple[Message, ...] = (
    HELLO,
    CHALLENGE,
    PROVE,
    WELCOME,
    Submit(ref=1, submission=b"sealed"),
    Attest(ref=1, statement=b"signed"),
    Publish(ref=1, document=b"signed"),
    Accepted(ref=1, index=1, statement=None),
    Refused(ref=1, code=PeerCode.OVER_QUOTA),
    Deliver(sequence=1, item=ItemKind.ENVELOPE, content=b"sealed"),
    Collected(sequence=1),
    Unusable(sequence=1, code=PeerCode.TAMPERED),
    Mirror(index=0),
    Documents(first=0, documents=(b"signed",), head=1),
    Witness(log=Log.ACK, body=b"old 0\n\n"),
    Cosigned(log=Log.ACK, status=409, body=b"7\n", held=b"a note"),
    Witnessed(log=Log.DIRECTORY, checkpoint=b"signed"),
    Locate(statements=(bytes(32),)),
    Located(
        checkpoint=b"signed",
        places=(Place(statement=bytes(32), index=3, at_ms=1_772_335_000_000, path=(bytes(32),)),),
    ),
    Compare(log=Log.DIRECTORY, old=3, new=7),
    Compared(log=Log.DIRECTORY, old=3, new=7, proof=(bytes(32),)),
    Ahead(content=b"sealed"),
    Ping(token=1),
    Pong(token=1),
    Bye(code=PeerCode.GOING_AWAY),
)

# The way to each state: who sends what.
WAY: dict[State, tuple[tuple[Side, Message], ...]] = {
    State.START: (),
    State.GREETED: ((Side.NODE, HELLO),),
    State.CHALLENGED: ((Side.NODE, HELLO), (Side.COORDINATOR, CHALLENGE)),
    State.PROVEN: ((Side.NODE, HELLO), (Side.COORDINATOR, CHALLENGE), (Side.NODE, PROVE)),
    State.OPEN: (
        (Side.NODE, HELLO),
        (Side.COORDINATOR, CHALLENGE),
        (Side.NODE, PROVE),
        (Side.COORDINATOR, WELCOME),
    ),
    State.CLOSED: ((Side.NODE, Bye(code=PeerCode.GOING_AWAY)),),
}


class Pair:
    """Both ends of one session, and what travels between them."""

    def __init__(self, state: State = State.START, *, welcome: Welcome = WELCOME, now: float = 0.0) -> None:
        self.now = now
        self.ends = {side: Session(side, now) for side in Side}
        for sender, message in WAY[state]:
            self.pass_on(sender, welcome if isinstance(message, Welcome) else message)

    def __getitem__(self, side: Side) -> Session:
        return self.ends[side]

    def pass_on(self, sender: Side, message: Message) -> list[Message]:
        """Let one end send, and return what arrives at the other."""
        self.ends[sender].send(message)
        return self.deliver(sender)

    def deliver(self, sender: Side) -> list[Message]:
        """Carry over everything that one end has to say."""
        arrived = [self.ends[sender.other].receive(data, self.now) for data in self.ends[sender].outgoing()]
        return [message for message in arrived if message is not None]

    def inject(self, sender: Side, message: Message) -> Message | None:
        """Let something arrive that the sender's own core would not send."""
        return self.ends[sender.other].receive(codec.encode(message), self.now)

    def farewells(self, side: Side) -> list[PeerCode]:
        """Return the codes of the goodbyes that one end has queued."""
        queued = [parse_message(data) for data in self.ends[side].outgoing()]
        return [message.code for message in queued if isinstance(message, Bye)]
