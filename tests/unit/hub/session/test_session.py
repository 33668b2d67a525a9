"""One connection's session: deadlines, queue, ending."""

import asyncio

from realtime_hub.session.directory import SessionDirectory
from realtime_hub.session.outbox import KEYS_MAX, Urgency
from realtime_protocol.codec import ErrorReply, Push, Reply
from realtime_protocol.codes import CloseCode, ErrorCode
from realtime_protocol.limits import Limits
from realtime_protocol.messages import (
    Challenge,
    ChallengeRequest,
    Checkpoint,
    Goaway,
    PingRequest,
    PushType,
    QuoteOpenRequest,
    RequestType,
    SubscribeRequest,
)
from session_fakes import ALICE, BAD_SIGNATURE, BOB, FakeHub, intent, proof, quote, settle

FAST = Limits(requests_per_s=1_000, requests_burst=10_000)


async def test_the_first_message_is_the_challenge_with_the_limits() -> None:
    client = FakeHub().client()
    [push] = client.pushes()
    assert isinstance(push.body, Challenge)
    assert push.body.limits["in_flight_max"] == 32
    assert client.hub.metric("realtime_connections") == 1


async def test_a_login_that_does_not_come_closes_4006() -> None:
    client = FakeHub().client()
    client.live.tick(client.hub.clock.monotonic_s() + 9.9)
    assert client.wire.closed is None
    client.live.tick(client.hub.clock.monotonic_s() + 10)
    assert client.wire.close_code == CloseCode.AUTH_TIMEOUT


async def test_an_address_may_have_only_so_many_logins_that_take_long() -> None:
    limits = Limits(long_logins_per_ip_max=1)
    hub = FakeHub(limits)
    first, second, elsewhere = hub.client(), hub.client(), hub.client(address="other")
    first.send(RequestType.CHALLENGE, ChallengeRequest(300_000))
    for client in (second, elsewhere):
        client.wire.take()
        client.send(RequestType.CHALLENGE, ChallengeRequest(300_000))
    [refused] = second.wire.take()
    assert isinstance(refused, ErrorReply)
    assert refused.error.code == ErrorCode.RATE_LIMITED
    assert isinstance(elsewhere.wire.take()[0], Reply)
    second.send(RequestType.CHALLENGE, ChallengeRequest(10_000))
    assert isinstance(second.wire.take()[0], Reply)
    first.live.lost()
    second.send(RequestType.CHALLENGE, ChallengeRequest(300_000))
    assert isinstance(second.wire.take()[0], Reply)


async def test_a_login_gives_its_place_for_long_ones_back() -> None:
    async with FakeHub(Limits(long_logins_per_ip_max=1)).running() as hub:
        first, second = hub.client(), hub.client()
        first.send(RequestType.CHALLENGE, ChallengeRequest(300_000))
        await first.login()
        second.wire.take()
        second.send(RequestType.CHALLENGE, ChallengeRequest(300_000))
        assert isinstance(second.wire.take()[0], Reply)


async def test_a_checkpoint_comes_every_15_s_and_only_after_login() -> None:
    async with FakeHub().running() as hub:
        stranger, client = hub.client(), await hub.session()
        await client.ask(RequestType.SUBSCRIBE, SubscribeRequest("pay:@me"))
        stranger.wire.take()
        now_s = hub.clock.monotonic_s()
        for later_s in (5, 14.9, 15, 16, 30):
            client.live.tick(now_s + later_s)
        checkpoints = client.pushes(PushType.CHECKPOINT)
        assert len(checkpoints) == 2
        assert isinstance(checkpoints[0].body, Checkpoint)
        assert [head.sub for head in checkpoints[0].body.heads] == [1]
        stranger.live.tick(now_s + 9)
        assert stranger.wire.take() == []


async def test_a_service_gets_a_checkpoint_each_second() -> None:
    async with FakeHub().running() as hub:
        hub.auth.scopes = ("trust", "service")
        client = await hub.session()
        now_s = hub.clock.monotonic_s()
        for later_s in (0.9, 1, 1.5, 2, 3):
            client.live.tick(now_s + later_s)
        assert len(client.pushes(PushType.CHECKPOINT)) == 3


async def test_a_hub_that_cant_vouch_any_more_says_so_at_once_and_once() -> None:
    async with FakeHub().running() as hub:
        client = await hub.session()
        now_s = hub.clock.monotonic_s()
        told = []
        for later_s, backbone_ok in ((1, True), (2, False), (2.25, False), (3, True), (4, True)):
            hub.auth.backbone_ok = backbone_ok
            client.live.tick(now_s + later_s)
            bodies = [push.body for push in client.pushes(PushType.CHECKPOINT)]
            told += [body.backbone_ok for body in bodies if isinstance(body, Checkpoint)]
        assert told == [False, True]


async def test_at_64_kib_the_clients_requests_wait_and_go_on_when_half_is_drained() -> None:
    async with FakeHub(FAST).running() as hub:
        client = await hub.session()
        client.wire.writable = False
        reads = []
        for unsent_bytes in (65_535, 65_536, 32_769, 32_768):
            client.wire.unsent_bytes = unsent_bytes
            client.live.flush()
            reads.append(client.wire.reading)
        assert reads == [True, False, False, True]


async def test_a_client_that_takes_nothing_for_5_s_is_closed_4002_with_the_figures() -> None:
    async with FakeHub(FAST).running() as hub:
        client = await hub.session()
        client.wire.writable = False
        client.wire.unsent_bytes = 70_000
        client.send(RequestType.PING, PingRequest(1))
        now_s = hub.clock.monotonic_s()
        client.live.tick(now_s)
        client.live.tick(now_s + 4.9)
        assert client.wire.close_code is None
        client.live.tick(now_s + 5)
        assert client.wire.closed is not None
        code, reason, _ = client.wire.closed
        assert code == CloseCode.SLOW_CONSUMER
        assert reason.startswith("slow_consumer;queued=70")
        assert reason.endswith("age=5000;class=2")


async def test_a_client_that_drains_slowly_is_never_closed() -> None:
    async with FakeHub(FAST).running() as hub:
        client = await hub.session()
        client.wire.writable = False
        client.wire.unsent_bytes = 1_000_000
        for second in range(600):
            client.wire.drained_bytes += 1
            client.live.tick(hub.clock.monotonic_s() + second)
        assert client.wire.closed is None


async def test_quotes_that_find_the_connection_busy_are_replaced_by_newer_ones() -> None:
    async with FakeHub(FAST).running() as hub:
        client = await hub.session()
        await client.ask(RequestType.QUOTE_OPEN, QuoteOpenRequest(intent()))
        client.wire.take()
        client.wire.writable = False
        for number in range(1, 200):
            hub.quotes.streams[0].deliver(quote(number))
        client.send(RequestType.PING, PingRequest(1))
        assert client.live.queued_bytes < 500
        client.wire.writable = True
        client.live.flush()
        reply, push = client.wire.take()
        assert isinstance(reply, Reply)
        assert isinstance(push, Push)
        assert push.body == quote(199)


async def test_a_class_with_too_many_messages_closes_4003() -> None:
    async with FakeHub(FAST).running() as hub:
        client = await hub.session()
        client.wire.writable = False
        for key in range(KEYS_MAX + 1):
            client.live.push(Urgency.REVOCATION, b"x", key)
        assert client.wire.close_code == CloseCode.POSITION_LOST


async def test_an_ended_session_holds_nothing_and_takes_nothing() -> None:
    async with FakeHub(FAST).running() as hub:
        client = await hub.session()
        await client.ask(RequestType.SUBSCRIBE, SubscribeRequest("trust:@me"))
        await client.ask(RequestType.QUOTE_OPEN, QuoteOpenRequest(intent()))
        client.wire.take()
        client.live.fail(CloseCode.OVERLOADED)
        registry = hub.context.registry
        assert registry.sessions_of(ALICE) == []
        assert registry.trust_watchers(ALICE) == []
        assert hub.quotes.streams[0].closed
        assert hub.metric("realtime_sessions") == 0
        client.feed(b"\xc1")
        client.live.push(Urgency.REVOCATION, b"x", 1)
        client.live.tick(1e9)
        client.live.end(1000, "again")
        client.live.drain()
        assert client.wire.sent == []
        assert client.wire.close_code == CloseCode.OVERLOADED
        client.live.lost()
        assert list(registry.connections) == []
        assert hub.metric("realtime_connections") == 0


async def test_a_lost_connection_ends_what_its_requests_wait_for() -> None:
    async with FakeHub(FAST).running() as hub:
        client = await hub.session()
        hub.auth.in_memory = False
        hub.auth.gate = asyncio.Event()
        client.send(RequestType.TRUST_GET, [BOB])
        await settle()
        client.live.lost()
        hub.auth.gate.set()
        await settle()
        assert client.wire.sent == []
        assert hub.metric("realtime_sessions") == 0


async def test_a_draining_hub_sends_goaway_and_closes_4000() -> None:
    async with FakeHub(FAST).running() as hub:
        client = await hub.session()
        client.live.drain()
        [push] = client.pushes()
        assert isinstance(push.body, Goaway)
        assert push.body.min_ms < push.body.max_ms
        assert client.wire.closed is not None
        assert client.wire.closed[:2] == (CloseCode.DRAINING, "draining;retry=2000")


async def test_what_an_administrator_sees_of_a_session_holds_no_secret() -> None:
    async with FakeHub(FAST).running() as hub:
        await hub.session()
        directory = SessionDirectory(hub.context.registry, hub.context.clock)
        [seen] = directory.page(limit=10)
        assert seen["state"] == "open"
        assert seen["address"] == "192.0.2.1"
        assert set(seen) == {
            "sid", "state", "wallet", "address", "age_s", "subscriptions", "quotes",
            "queued", "queued_bytes", "app", "api_key",
        }  # fmt: skip
        assert seen["queued"] == {"revocation": 0, "payment": 0, "reply": 0, "quote": 0}


async def test_the_third_bad_login_is_answered_and_then_closes_4502() -> None:
    async with FakeHub(FAST).running() as hub:
        client = hub.client()
        for _ in range(2):
            client.send(RequestType.LOGIN, proof(signature=BAD_SIGNATURE))
            await settle()
            client.send(RequestType.CHALLENGE, ChallengeRequest(10_000))
        client.wire.take()
        client.send(RequestType.LOGIN, proof(signature=BAD_SIGNATURE))
        await settle()
        [refused] = client.wire.take()
        assert isinstance(refused, ErrorReply)
        assert refused.error.code == ErrorCode.BAD_SIGNATURE
        assert client.wire.close_code == CloseCode.AUTH_FAILED
        assert hub.metric("realtime_logins_total", outcome="bad_signature") == 3
