"""What an app's own list says comes without a place in the log, and is always news."""

from realtime_client.trust import TrustWatch
from realtime_protocol.codec import Push
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import (
    Initiator,
    Position,
    PushType,
    SubscribeReply,
    TrustChanged,
    TrustStatus,
)

ALICE = PublicKey(b"\x0a" * 32)
EPOCH = b"epoch--1"


class Keeper:
    """A session that has nothing to do."""

    async def add(self, stream: object) -> None: ...

    async def drop(self, stream: object) -> None: ...


def changed(offset: int, status: TrustStatus) -> Push:
    body = TrustChanged(ALICE, status, 0, 0, Initiator.ADMIN, 1, 2, False)
    return Push(PushType.TRUST_CHANGED, 1, offset, body)


def test_a_push_at_offset_0_is_taken_and_moves_no_position() -> None:
    watch = TrustWatch(Keeper(), [ALICE])
    watch.on_opened(SubscribeReply(1, EPOCH, 41, [], recovered=False), 0)
    for offset, status in (
        (42, TrustStatus.ACTIVE),
        (0, TrustStatus.BLOCKED),
        (41, TrustStatus.ACTIVE),
        (0, TrustStatus.UNKNOWN),
        (0, TrustStatus.BLOCKED),
    ):
        watch.on_push(changed(offset, status), 0)
    assert watch.current[ALICE].status is TrustStatus.BLOCKED
    _, request = watch.open_request()
    assert request.position == Position(EPOCH, 42)
