"""Reads of nothing but known wallets' trust: answered together, and never otherwise than singly."""

import random
from collections.abc import Sequence

import pytest

from app_fakes import SHOP_DOMAIN
from realtime_hub.session.overload import Load
from realtime_hub.session.ready_trust import TOGETHER_MAX
from realtime_protocol.codec import ErrorReply, Reply, encode, encode_request
from realtime_protocol.codes import CloseCode, ErrorCode
from realtime_protocol.limits import Limits
from realtime_protocol.messages import (
    PayRequest,
    PingRequest,
    RequestType,
    SubscribeRequest,
)
from realtime_protocol.server import MESSAGE_TOO_BIG
from session_fakes import ALICE, BOB, CAROL, Client, FakeHub, settle

GET = RequestType.TRUST_GET
SLOW = Limits(requests_per_s=1, requests_burst=8)


def get(request_id: int, wallet: bytes = ALICE) -> bytes:
    return encode_request(GET, request_id, [wallet])


def answers(client: Client) -> list[tuple[int, int | None]]:
    """Return each answer since the last time: the request's id, and the code of a refusal."""
    found: list[tuple[int, int | None]] = []
    for answer in client.wire.take():
        if isinstance(answer, ErrorReply):
            found.append((answer.id, answer.error.code))
        elif isinstance(answer, Reply):
            found.append((answer.id, None))
    return found


async def test_the_replies_of_a_read_leave_in_order_and_with_one_write() -> None:
    async with FakeHub().running() as hub:
        client = await hub.session()
        writes: list[int] = []
        send = client.wire.send

        def counting(messages: Sequence[bytes]) -> None:
            writes.append(len(messages))
            send(messages)

        client.wire.send = counting  # type: ignore[method-assign]
        client.live.receive([get(5), get(3, BOB), get(4)])
        assert writes == [3]
        assert answers(client) == [(5, None), (3, None), (4, None)]
        assert hub.metric("realtime_requests_total", type="trust_get", outcome="ok") == 3


async def test_ids_that_repeat_within_a_read_are_each_answered_when_memory_knows() -> None:
    async with FakeHub().running() as hub:
        client = await hub.session()
        client.live.receive([get(5), get(5)])
        assert answers(client) == [(5, None), (5, None)]


async def test_ids_that_repeat_within_a_read_close_4500_when_the_first_has_to_wait() -> None:
    async with FakeHub().running() as hub:
        client = await hub.session()
        hub.auth.cold = frozenset({ALICE})
        client.live.receive([get(5), get(5)])
        assert client.wire.close_code == CloseCode.PROTOCOL_ERROR


async def test_an_id_in_flight_closes_4500_in_whatever_read_it_comes_again() -> None:
    async with FakeHub().running() as hub:
        client = await hub.session()
        hub.auth.cold = frozenset({ALICE})
        client.live.receive([get(5)])
        client.live.receive([get(6, BOB), get(5, BOB), get(7, BOB)])
        assert client.wire.close_code == CloseCode.PROTOCOL_ERROR
        assert answers(client) == [(6, None)]


async def test_with_as_many_in_flight_as_may_be_a_read_is_refused_with_106() -> None:
    async with FakeHub(Limits(in_flight_max=1)).running() as hub:
        client = await hub.session()
        hub.auth.cold = frozenset({ALICE})
        client.live.receive([get(5)])
        client.live.receive([get(6, BOB), get(7, BOB)])
        refused = ErrorCode.RATE_LIMITED
        assert answers(client) == [(6, refused), (7, refused)]


async def test_a_rate_that_ends_within_a_read_serves_what_it_allows_and_refuses_the_rest() -> None:
    async with FakeHub(SLOW).running() as hub:
        client = await hub.session()  # The login took five of eight.
        client.live.receive([get(number) for number in range(1, 6)])
        refused = ErrorCode.RATE_LIMITED
        assert answers(client) == [(1, None), (2, None), (3, None), (4, refused), (5, refused)]


async def test_a_wallet_that_memory_lacks_costs_a_read_no_more_of_the_rate() -> None:
    async with FakeHub(SLOW).running() as hub:
        client = await hub.session()
        hub.auth.cold = frozenset({BOB})
        client.live.receive([get(1), get(2, BOB), get(3)])
        await settle()
        assert answers(client) == [(1, None), (3, None), (2, None)]


async def test_an_app_blocks_a_wallet_in_a_read_of_several() -> None:
    async with FakeHub().running() as hub:
        shop = hub.apps.of_domain(SHOP_DOMAIN)
        assert shop is not None
        client = await hub.client(domain=SHOP_DOMAIN).login()
        hub.apps.block(shop, BOB, reason=7)
        client.live.receive([get(1), get(2, BOB)])
        await settle()
        [first, second] = client.wire.take()
        assert isinstance(first, Reply)
        assert isinstance(second, Reply)
        assert bytes(first.body) != bytes(second.body)


async def test_an_overloaded_hub_still_answers_what_memory_knows() -> None:
    async with FakeHub().running() as hub:
        client = await hub.session()
        hub.auth.cold = frozenset({BOB})
        hub.context.overload.level = Load.REPLIES
        client.live.receive([get(1), get(2, BOB), get(3)])
        await settle()
        assert answers(client) == [(1, None), (3, None), (2, ErrorCode.OVERLOADED)]


async def test_replies_to_a_client_that_does_not_read_wait_behind_what_waits() -> None:
    async with FakeHub().running() as hub:
        client = await hub.session()
        client.wire.writable = False
        client.live.receive([get(1), get(2)])
        client.live.receive([get(3)])
        assert client.wire.sent == []
        client.wire.writable = True
        client.live.flush()
        assert answers(client) == [(1, None), (2, None), (3, None)]


async def test_a_read_of_very_many_requests_is_answered_like_any_other() -> None:
    async with FakeHub().running() as hub:
        client = await hub.session()
        ids = range(1, TOGETHER_MAX + 2)
        client.live.receive([get(number) for number in ids])
        assert answers(client) == [(number, None) for number in ids]


async def test_a_hub_that_takes_only_the_shortest_messages_looks_at_each() -> None:
    async with FakeHub(Limits(frame_bytes_max=38)).running() as hub:
        client = await hub.session()
        client.live.receive([get(1)])
        client.live.receive([get(128)])
        assert client.wire.close_code == MESSAGE_TOO_BIG
        assert answers(client) == [(1, None)]


async def test_an_ended_session_answers_no_read() -> None:
    async with FakeHub().running() as hub:
        client = await hub.session()
        client.live.fail(CloseCode.SESSION_EXPIRED)
        client.wire.sent.clear()
        client.live.receive([get(1), get(2)])
        assert client.wire.sent == []


def some_message(rng: random.Random, request_id: int) -> bytes:
    """Return a request: nearly always of trust, sometimes another, seldom a bad one."""
    wallet = rng.choice([ALICE, BOB, CAROL])
    others = (
        encode_request(GET, request_id, [wallet, BOB]),
        encode_request(GET, request_id, []),
        encode_request(GET, request_id, [wallet[:31]]),
        encode([int(GET), request_id, [wallet], 1]),
        encode([0x3D, request_id, []]),
        encode_request(RequestType.PING, request_id, PingRequest(1)),
        encode_request(
            RequestType.PAY, request_id, PayRequest(bytes([request_id]) * 16, bytes(16), b"", 1)
        ),
        encode_request(
            RequestType.PAY,
            request_id,
            PayRequest(bytes([request_id]) * 16, bytes(16), bytes(144), 1),
        ),
        encode_request(RequestType.SUBSCRIBE, request_id, SubscribeRequest("trust:@me")),
        encode_request(GET, 0, [wallet]),
        get(request_id, wallet) + b"\x00",
        get(request_id, wallet)[:-1],
    )
    return rng.choice(others) if rng.random() < 0.08 else get(request_id, wallet)


async def outcome(reads: list[list[bytes]], *, cold: frozenset[bytes]) -> tuple[object, ...]:
    """Return everything that a client sees who sends these reads."""
    async with FakeHub(Limits(requests_per_s=1, requests_burst=40)).running() as hub:
        client = await hub.session()
        hub.auth.change(BOB)
        hub.auth.cold = cold  # type: ignore[assignment]  # wallets
        for read in reads:
            client.live.receive(read)
        await settle()
        served = hub.metric("realtime_requests_total", type="trust_get", outcome="ok")
        return client.wire.sent, client.wire.closed, served


@pytest.mark.parametrize("seed", range(40))
async def test_a_read_of_many_messages_gives_what_the_messages_give_one_by_one(seed: int) -> None:
    rng = random.Random(seed)
    messages = [some_message(rng, rng.randrange(1, 60)) for _ in range(rng.randrange(1, 50))]
    cold = frozenset({CAROL}) if seed % 4 == 0 else frozenset()
    together = await outcome([messages], cold=cold)
    assert together == await outcome([[message] for message in messages], cold=cold)
    pairs = [messages[at : at + 3] for at in range(0, len(messages), 3)]
    assert together == await outcome(pairs, cold=cold)
