"""Channels, and the place of a subscription in its stream."""

from collections.abc import Hashable

import pytest

from realtime_hub.apps.model import App
from realtime_hub.session.outbox import Urgency
from realtime_hub.session.subscriptions import (
    HELD_MAX,
    Channel,
    ChannelKind,
    Subscription,
    parse_channel,
)
from realtime_protocol.codes import CloseCode, ErrorCode
from realtime_protocol.errors import RequestError


class Recorder:
    """A session that notes what it is given."""

    app: App | None = None

    def __init__(self) -> None:
        self.pushed: list[tuple[bytes, Hashable]] = []
        self.failed: CloseCode | None = None

    def push(self, urgency: Urgency, message: bytes, key: Hashable) -> None:
        self.pushed.append((message, key))

    def fail(self, code: CloseCode) -> None:
        self.failed = code

    @property
    def messages(self) -> list[bytes]:
        return [message for message, _ in self.pushed]


def subscription(recorder: Recorder) -> Subscription:
    return Subscription(recorder, 3, Channel(ChannelKind.TRUST), frozenset())


@pytest.mark.parametrize("kind", [kind for kind in ChannelKind if kind is not ChannelKind.PAY_ONE])
def test_a_channel_is_found_by_its_name(kind: ChannelKind) -> None:
    assert parse_channel(kind.value) == Channel(kind)


def test_a_single_payment_is_a_channel() -> None:
    assert parse_channel("pay:" + "0a" * 16) == Channel(ChannelKind.PAY_ONE, b"\x0a" * 16)


@pytest.mark.parametrize(
    "name", ["", "trust:", "Trust", "pay", "pay:", "pay:<id>", "pay:" + "0A" * 16,
             "pay:" + "0a" * 15, "pay:" + "0a" * 17, "pay:" + "zz" * 16, "quote", "trust:@me "]
)  # fmt: skip
def test_an_unknown_channel_is_221(name: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_channel(name)
    assert caught.value.code is ErrorCode.UNKNOWN_CHANNEL


def test_every_channel_but_those_of_payments_brings_trust() -> None:
    scopes = {kind: kind.scope for kind in ChannelKind if kind.is_trust}
    assert scopes == {
        ChannelKind.TRUST_OWN: "trust",
        ChannelKind.TRUST: "trust",
        ChannelKind.TRUST_ALL: "service",
    }


def test_a_change_is_sent_once_under_a_key_of_the_subscription() -> None:
    recorder = Recorder()
    place = subscription(recorder)
    place.offer(5, Urgency.REVOCATION, ("wallet", b"at 5"))
    place.offer(5, Urgency.REVOCATION, ("wallet", b"at 5"))
    place.offer(4, Urgency.REVOCATION, ("wallet", b"at 4"))
    assert recorder.pushed == [(b"at 5", (3, "wallet"))]


def test_all_messages_of_one_change_are_sent() -> None:
    recorder = Recorder()
    subscription(recorder).offer(5, Urgency.PAYMENT, ("state", b"missed"), ("duty", b"resign"))
    assert recorder.messages == [b"missed", b"resign"]


def test_what_is_held_comes_after_the_replay_without_what_the_snapshot_holds() -> None:
    recorder = Recorder()
    place = subscription(recorder)
    place.hold()
    for offset in (6, 7, 8):
        place.offer(offset, Urgency.REVOCATION, (offset, b"live %d" % offset))
    assert recorder.pushed == []
    replay = [(offset, Urgency.REVOCATION, ((offset, b"old %d" % offset),)) for offset in (5, 6, 7)]
    place.release(5, replay)
    assert recorder.messages == [b"old 6", b"old 7", b"live 8"]
    place.offer(9, Urgency.REVOCATION, (9, b"live 9"))
    assert recorder.messages[-1] == b"live 9"


def test_a_subscription_that_is_held_too_long_closes_4003() -> None:
    recorder = Recorder()
    place = subscription(recorder)
    place.hold()
    for offset in range(1, HELD_MAX + 1):
        place.offer(offset, Urgency.REVOCATION, (offset, b""))
    assert recorder.failed is None
    place.offer(HELD_MAX + 1, Urgency.REVOCATION, (0, b""))
    assert recorder.failed is CloseCode.POSITION_LOST
