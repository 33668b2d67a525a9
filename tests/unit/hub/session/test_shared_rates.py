"""What sessions of one wallet, and connections of one address, may ask for together."""

import pytest

from realtime_hub.session.addresses import AddressBook
from realtime_hub.session.shared_rates import UNLIMITED_PER_S, SharedRates
from realtime_protocol.codec import ErrorReply
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.limits import Limits
from realtime_protocol.messages import PingRequest, RequestType
from session_fakes import FakeHub


def test_a_lone_member_shares_nothing_and_the_second_begins_a_bucket() -> None:
    rates = SharedRates(5, "this wallet")
    assert rates.join("a", members=1, now_s=0.0) is None
    assert len(rates) == 0
    assert rates.join("a", members=2, now_s=0.0) is not None
    assert len(rates) == 1


def test_members_use_up_one_rate_and_are_told_when_to_come_again() -> None:
    rates = SharedRates(5, "this wallet")
    one = rates.join("a", members=2, now_s=0.0)
    two = rates.join("a", members=3, now_s=0.0)
    other = rates.join("b", members=2, now_s=0.0)
    assert one is not None
    assert two is not None
    assert other is not None
    for _ in range(5):
        one.take(1, now_s=0.0)
        two.take(1, now_s=0.0)
    with pytest.raises(RequestError, match="5 requests a second of this wallet") as refused:
        two.take(1, now_s=0.0)
    assert refused.value.code is ErrorCode.RATE_LIMITED
    assert refused.value.retry_after_ms == 200
    other.take(10, now_s=0.0)
    one.take(1, now_s=0.2)


def test_an_empty_group_is_forgotten_and_a_rate_beyond_reach_is_not_counted() -> None:
    rates = SharedRates(5, "this wallet")
    rates.join("a", members=2, now_s=0.0)
    rates.forget("a")
    assert len(rates) == 0
    unlimited = SharedRates(UNLIMITED_PER_S, "this wallet")
    assert unlimited.join("a", members=9, now_s=0.0) is None


def test_an_address_shares_from_its_second_connection_on_until_all_are_gone() -> None:
    book = AddressBook(Limits(requests_per_ip_per_s=1))
    book.try_connect("a", now_s=0.0)
    assert book.shared_rate("a", now_s=0.0) is None
    book.try_connect("a", now_s=0.0)
    rate = book.shared_rate("a", now_s=0.0)
    assert rate is not None
    rate.take(2, now_s=0.0)
    with pytest.raises(RequestError, match="this address"):
        rate.take(1, now_s=0.0)
    for _ in range(2):
        book.disconnect("a")
    assert book.shared_rate("a", now_s=0.0) is None


async def test_a_wallets_sessions_are_limited_together_and_others_are_not() -> None:
    limits = Limits(requests_per_s=1_000, requests_burst=10_000, requests_per_wallet_per_s=2)
    async with FakeHub(limits).running() as hub:
        await hub.session()
        second, third = await hub.session(), await hub.session()
        for client in (second, third, second, third):
            client.wire.take()
            client.send(RequestType.PING, PingRequest(1))
            assert not isinstance(client.wire.take()[0], ErrorReply)
        second.send(RequestType.PING, PingRequest(1))
        [refused] = second.wire.take()
        assert isinstance(refused, ErrorReply)
        assert refused.error.code == ErrorCode.RATE_LIMITED
        hub.clock.advance_ms(500)
        second.send(RequestType.PING, PingRequest(1))
        assert not isinstance(second.wire.take()[0], ErrorReply)
