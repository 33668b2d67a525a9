"""Whoever owns the payments, sessions see one stream, once and in order."""

from typing import Any

import pytest

from realtime_hub.pay.desk import PaymentDesk
from realtime_hub.pay.model import PaymentChange
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import PaymentLevel, PaymentState, PaymentStatus, Position

EPOCH = b"journal1"
PAYER, PAYEE = PublicKey(b"a" * 32), PublicKey(b"b" * 32)


def change(offset: int) -> PaymentChange:
    status = PaymentStatus(
        bytes(16), offset, PaymentState.ACCEPTED, 9, bytes(32), PaymentLevel.NONE
    )
    return PaymentChange(offset, PAYER, PAYEE, status)


async def who_serves(desk: PaymentDesk) -> object:
    return await desk.get(PAYER, bytes(16))


def trouble_of(desk: PaymentDesk) -> str | None:
    return desk.trouble


class FakeOwner:
    """Answers everything with its name."""

    trouble: str | None = None

    def __init__(self, name: str) -> None:
        self.name = name
        self.blocked: list[PublicKey] = []

    async def get(self, wallet: PublicKey, payment_id: bytes) -> Any:
        return self.name

    async def prepare(self, *_: Any, **__: Any) -> Any: ...

    async def pay(self, *_: Any, **__: Any) -> Any: ...

    async def spent(self, *_: Any) -> Any: ...

    async def read_stream(self, *_: Any, **__: Any) -> Any: ...

    async def set_trust(self, *_: Any, **__: Any) -> Any: ...

    def block(self, wallet: PublicKey) -> None:
        self.blocked.append(wallet)

    def unblock(self, wallet: PublicKey) -> None:
        self.blocked.remove(wallet)


@pytest.fixture
def seen(desk: PaymentDesk) -> list[int]:
    offsets: list[int] = []
    desk.listeners.append(lambda change: offsets.append(change.offset))
    return offsets


@pytest.fixture
def desk() -> PaymentDesk:
    return PaymentDesk()


async def test_without_an_owner_everything_is_108_and_says_why(desk: PaymentDesk) -> None:
    desk.explain("the lease is elsewhere")
    with pytest.raises(RequestError, match="the lease is elsewhere") as refused:
        await desk.get(PAYER, bytes(16))
    assert refused.value.code is ErrorCode.BACKBONE_UNAVAILABLE
    assert refused.value.retry_after_ms
    with pytest.raises(RequestError):
        desk.position()
    assert trouble_of(desk) == "the lease is elsewhere"


async def test_the_next_owner_goes_on_behind_what_was_heard(
    desk: PaymentDesk, seen: list[int]
) -> None:
    first, second = FakeOwner("first"), FakeOwner("second")
    desk.open(first, Position(EPOCH, 3), [])
    assert trouble_of(desk) is None
    for offset in (4, 5):
        desk.take(change(offset))
    desk.close(first, "killed")
    assert trouble_of(desk) == "killed"
    assert desk.heard == Position(EPOCH, 5)
    desk.open(second, Position(EPOCH, 8), [change(6), change(8)])
    assert await who_serves(desk) == "second"
    assert seen == [4, 5, 6, 8]
    assert desk.position() == Position(EPOCH, 8)


def test_what_comes_twice_is_told_once(desk: PaymentDesk, seen: list[int]) -> None:
    desk.open(FakeOwner("one"), Position(EPOCH, 1), [])
    for offset in (2, 2, 1, 3):
        desk.take(change(offset))
    assert seen == [2, 3]


def test_changes_that_are_lost_are_said_to_be(desk: PaymentDesk, seen: list[int]) -> None:
    gaps: list[str] = []
    desk.gap_listeners.append(lambda: gaps.append("gap"))
    desk.open(FakeOwner("one"), Position(EPOCH, 1), None)
    assert gaps == []  # Nobody had heard anything yet.
    desk.open(FakeOwner("two"), Position(b"journal2", 7), None)
    assert gaps == ["gap"]
    assert desk.position() == Position(b"journal2", 7)
    assert seen == []


async def test_an_owner_that_is_late_to_go_does_not_close_the_next_one(desk: PaymentDesk) -> None:
    first, second = FakeOwner("first"), FakeOwner("second")
    desk.open(first, Position(EPOCH, 1), [])
    desk.open(second, Position(EPOCH, 1), [])
    desk.close(first, "gone")
    assert await who_serves(desk) == "second"


def test_a_block_reaches_the_owner_of_the_moment(desk: PaymentDesk) -> None:
    desk.block(PAYER)
    owner = FakeOwner("one")
    desk.open(owner, Position(EPOCH, 1), [])
    desk.block(PAYER)
    assert owner.blocked == [PAYER]
    desk.unblock(PAYER)
    assert owner.blocked == []
