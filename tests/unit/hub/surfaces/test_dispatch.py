"""Requests and their answers, over fakes: what each gives, what it refuses, in which order."""

import asyncio

import pytest

from realtime_protocol.codec import (
    ErrorReply,
    Push,
    Reply,
    decode_payment_snapshot,
    decode_trust_snapshot,
)
from realtime_protocol.codes import CloseCode, ErrorCode
from realtime_protocol.decision import parse_decision
from realtime_protocol.errors import RequestError
from realtime_protocol.limits import Limits
from realtime_protocol.messages import (
    ChallengeRequest,
    DecisionRequest,
    Empty,
    LoginReply,
    LogoutRequest,
    PaymentGetRequest,
    PaymentState,
    PayReply,
    PayRequest,
    PingReply,
    PingRequest,
    Position,
    PrepareKind,
    PrepareRequest,
    PushType,
    QuoteCloseRequest,
    QuoteOpenReply,
    QuoteOpenRequest,
    RequestType,
    SessionsListRequest,
    SubscribeReply,
    SubscribeRequest,
    TrustSetRequest,
    TrustStatus,
    UnsubscribeRequest,
)
from realtime_protocol.session_key import session_public_key
from session_fakes import (
    ALICE,
    BOB,
    CAROL,
    EPOCH,
    KEY_SEED,
    Client,
    FakeHub,
    intent,
    proof,
    quote,
    settle,
)

PAYMENT = b"\x01" * 16
OTHER_PAYMENT = b"\x02" * 16


def pay(payment: bytes = PAYMENT) -> PayRequest:
    return PayRequest(payment, bytes(16), bytes(144), 1)


def order(client: Client) -> list[str]:
    """Name what was sent since the last time, in order."""
    names = []
    for answer in client.wire.take():
        if isinstance(answer, Push):
            names.append(answer.type.name)
        elif isinstance(answer, Reply):
            names.append(f"reply {answer.id}")
        else:
            names.append(f"refusal {answer.id}")
    return names


# Logins -----------------------------------------------------------------------------------------


async def test_a_login_gives_the_session_its_trust_and_scopes() -> None:
    async with FakeHub().running() as hub:
        hub.auth.change(ALICE)
        reply = await hub.client().ask(RequestType.LOGIN, proof())
        assert isinstance(reply, LoginReply)
        assert reply.sid
        assert (reply.resume_token, reply.resume_ttl_ms) == (b"", 0)
        assert reply.trust is not None
        assert reply.trust.status is TrustStatus.ACTIVE
        assert reply.scopes == ["trust", "quote", "pay"]
        assert hub.metric("realtime_sessions") == 1
        assert hub.metric("realtime_logins_total", outcome="ok") == 1


async def test_a_blocked_wallet_is_refused_with_206_and_is_not_registered() -> None:
    async with FakeHub().running() as hub:
        hub.auth.change(ALICE, TrustStatus.BLOCKED)
        error = await hub.client().ask(RequestType.LOGIN, proof())
        assert error.code == ErrorCode.WALLET_BLOCKED
        assert hub.context.registry.sessions_of(ALICE) == []


async def test_a_block_between_the_trust_read_and_the_reply_is_not_missed() -> None:
    """The read answers ACTIVE, and the block comes before the session opens."""
    async with FakeHub().running() as hub:
        client = hub.client()
        hub.auth.gate = asyncio.Event()
        client.wire.take()
        client.send(RequestType.LOGIN, proof())
        await settle()
        hub.auth.gate.set()
        hub.auth.gate = gate = asyncio.Event()  # The proof passes, the trust read waits.
        await settle()
        read = hub.auth.trusts.copy()
        hub.auth.change(ALICE, TrustStatus.BLOCKED)
        hub.auth.trusts = read
        gate.set()
        await settle()
        [refused] = client.wire.take()
        assert isinstance(refused, ErrorReply)
        assert refused.error.code == ErrorCode.WALLET_BLOCKED
        assert not client.live.machine.logged_in
        assert hub.context.registry.sessions_of(ALICE) == []


async def test_a_wallet_may_have_only_so_many_sessions() -> None:
    async with FakeHub(Limits(sessions_per_wallet_max=1)).running() as hub:
        await hub.session(ALICE)
        error = await hub.client().ask(RequestType.LOGIN, proof())
        assert error.code == ErrorCode.RATE_LIMITED
        await hub.session(BOB)


async def test_a_failure_of_the_hub_in_a_login_is_100_and_costs_no_try() -> None:
    async with FakeHub().running() as hub:
        hub.auth.prove_error = RuntimeError("disk on fire")  # type: ignore[assignment]  # not foreseen
        client = hub.client()
        for _ in range(4):
            error = await client.ask(RequestType.LOGIN, proof())
            assert error.code == ErrorCode.INTERNAL
            assert "fire" not in str(error.detail)
            await client.ask(RequestType.CHALLENGE, ChallengeRequest(10_000))
        hub.auth.prove_error = None
        await client.login()


async def test_a_refresh_keeps_the_session_and_moves_its_end() -> None:
    async with FakeHub().running() as hub:
        client = hub.client()
        first = await client.ask(RequestType.LOGIN, proof())
        hub.clock.advance_ms(1_000)
        await client.ask(RequestType.CHALLENGE, ChallengeRequest(10_000))
        again = await client.ask(RequestType.REFRESH, proof())
        assert again.sid == first.sid
        assert again.session_exp_ms == first.session_exp_ms + 1_000
        assert hub.metric("realtime_sessions") == 1


async def test_what_a_refresh_did_not_grant_again_ends() -> None:
    async with FakeHub().running() as hub:
        client = await hub.session()
        await client.ask(RequestType.SUBSCRIBE, SubscribeRequest("pay:@me"))
        await client.ask(RequestType.SUBSCRIBE, SubscribeRequest("trust:@me"))
        await client.ask(RequestType.QUOTE_OPEN, QuoteOpenRequest(intent()))
        hub.auth.scopes = ("trust",)
        await client.ask(RequestType.CHALLENGE, ChallengeRequest(10_000))
        await client.ask(RequestType.REFRESH, proof())
        assert hub.quotes.streams[0].closed
        hub.payments.change(ALICE, BOB, PAYMENT)
        hub.auth.change(ALICE)
        assert [push.type for push in client.pushes()] == [PushType.TRUST_CHANGED]


async def test_a_wallet_that_was_blocked_meanwhile_is_closed_4503_by_its_refresh() -> None:
    async with FakeHub().running() as hub:
        client = await hub.session()
        hub.auth.listeners.clear()
        hub.auth.change(ALICE, TrustStatus.BLOCKED)
        await client.ask(RequestType.CHALLENGE, ChallengeRequest(10_000))
        error = await client.ask(RequestType.REFRESH, proof())
        assert error.code == ErrorCode.WALLET_BLOCKED
        assert client.wire.close_code == CloseCode.WALLET_BLOCKED


async def test_a_logout_is_answered_and_ends_this_session_only() -> None:
    async with FakeHub().running() as hub:
        leaving, staying = await hub.session(), await hub.session()
        reply = await leaving.ask(RequestType.LOGOUT, LogoutRequest(everywhere=False))
        assert reply == Empty()
        assert leaving.wire.close_code == 1000
        assert staying.wire.closed is None


async def test_a_logout_everywhere_ends_all_sessions_of_the_wallet() -> None:
    async with FakeHub().running() as hub:
        leaving, other, stranger = (
            await hub.session(), await hub.session(), await hub.session(BOB)
        )  # fmt: skip
        told: list[tuple[str, bytes]] = []
        hub.context.revocation_listeners.append(lambda sid, wallet, _: told.append((sid, wallet)))
        await leaving.ask(RequestType.LOGOUT, LogoutRequest(everywhere=True))
        assert told == [(other.live.sid, ALICE)]
        assert leaving.wire.close_code == 1000
        assert other.wire.close_code == CloseCode.SESSION_REVOKED
        assert stranger.wire.closed is None


async def test_while_the_hub_starts_or_stops_what_must_wait_is_refused_with_107() -> None:
    hub = FakeHub()
    error = await hub.client().ask(RequestType.LOGIN, proof())
    assert error.code == ErrorCode.OVERLOADED
    assert error.retry_after_ms


# Trust ------------------------------------------------------------------------------------------


async def test_trust_that_memory_knows_is_answered_in_the_read_callback() -> None:
    async with FakeHub().running() as hub:
        client = await hub.session()
        hub.auth.change(BOB)
        client.send(RequestType.TRUST_GET, [BOB, CAROL])
        assert len(client.wire.take()) == 1


async def test_trust_that_memory_does_not_know_is_waited_for_without_holding_others_up() -> None:
    async with FakeHub().running() as hub:
        client = await hub.session()
        hub.auth.in_memory = False
        hub.auth.gate = asyncio.Event()
        client.send(RequestType.TRUST_GET, [BOB], request_id=100)
        client.send(RequestType.PING, PingRequest(1), request_id=101)
        await settle()
        assert order(client) == ["reply 101"]
        hub.auth.gate.set()
        await settle()
        assert order(client) == ["reply 100"]


async def test_trust_is_answered_in_the_order_that_was_asked() -> None:
    async with FakeHub().running() as hub:
        client = await hub.session()
        hub.auth.change(CAROL, TrustStatus.BLOCKED)
        reply = await client.ask(RequestType.TRUST_GET, [BOB, CAROL, BOB])
        statuses = [trust.status for trust in reply]
        assert statuses == [TrustStatus.UNKNOWN, TrustStatus.BLOCKED, TrustStatus.UNKNOWN]


async def test_a_decision_is_of_the_sessions_own_wallet_for_the_audience_it_names() -> None:
    async with FakeHub().running() as hub:
        hub.auth.change(ALICE)
        client = await hub.session()
        reply = await client.ask(RequestType.DECISION_GET, DecisionRequest("door-7", "n-1"))
        decision = parse_decision(reply.decision)
        assert (decision.wallet, decision.status) == (ALICE, TrustStatus.ACTIVE)
        assert (decision.audience, decision.nonce) == ("door-7", "n-1")
        assert decision.session_key is None
        error = await client.ask(RequestType.DECISION_GET, DecisionRequest("two words"))
        assert error.code == ErrorCode.BAD_MESSAGE


async def test_a_decision_names_the_sessions_key_and_goes_stale_with_the_session() -> None:
    async with FakeHub().running() as hub:
        hub.auth.session_ttl_ms = 1_500
        client = hub.client()
        login = await client.login_to_resume()
        reply = await client.ask(RequestType.DECISION_GET, DecisionRequest("door-7"))
        decision = parse_decision(reply.decision)
        assert decision.session_key == session_public_key(KEY_SEED)
        assert decision.stale_until_ms == login.session_exp_ms


async def test_a_login_without_scope_trust_gets_no_decision() -> None:
    async with FakeHub().running() as hub:
        hub.auth.scopes = ("quote",)
        client = await hub.session()
        error = await client.ask(RequestType.DECISION_GET, DecisionRequest("door-7"))
        assert error.code == ErrorCode.FORBIDDEN_SCOPE


async def test_only_an_administrator_may_set_trust() -> None:
    async with FakeHub().running() as hub:
        client = await hub.session()
        error = await client.ask(RequestType.TRUST_SET, TrustSetRequest(bytes(144)))
        assert error.code == ErrorCode.FORBIDDEN_SCOPE
        hub.auth.scopes = ("admin",)
        admin = await hub.session(BOB)
        reply = await admin.ask(RequestType.TRUST_SET, TrustSetRequest(bytes(144)))
        assert reply.log_seq == 9


async def test_an_administrator_lists_sessions_in_pages_without_strangers() -> None:
    async with FakeHub().running() as hub:
        await hub.session()
        hub.client()  # Connected, not logged in.
        hub.auth.scopes = ("admin",)
        admin = await hub.session(BOB)
        first = await admin.ask(RequestType.SESSIONS_LIST, SessionsListRequest("", 1))
        rest = await admin.ask(RequestType.SESSIONS_LIST, SessionsListRequest(first.after, 2))
        listed = [*first.sessions, *rest.sessions]
        assert {each.wallet for each in listed} == {ALICE, BOB}
        assert [each.sid for each in listed] == sorted(each.sid for each in listed)
        assert rest.after is None


async def test_an_administrator_drains_the_hub_and_is_answered_first() -> None:
    async with FakeHub().running() as hub:
        hub.auth.scopes = ("admin",)
        admin = await hub.session(BOB)
        assert isinstance(await admin.ask(RequestType.DRAIN, Empty()), Empty)
        assert hub.context.draining.is_set()


async def test_a_ping_gives_clocks_heads_and_health() -> None:
    async with FakeHub().running() as hub:
        client = await hub.session()
        await client.ask(RequestType.SUBSCRIBE, SubscribeRequest("trust:@me"))
        hub.auth.backbone_ok = False
        reply = await client.ask(RequestType.PING, PingRequest(5))
        assert isinstance(reply, PingReply)
        assert (reply.client_ms, reply.server_ms) == (5, hub.clock.now_ms())
        assert [(head.sub, head.epoch, head.head) for head in reply.heads] == [(1, EPOCH, 0)]
        assert not reply.backbone_ok


# Subscriptions ----------------------------------------------------------------------------------


async def test_a_trust_subscription_begins_with_what_is_known() -> None:
    async with FakeHub().running() as hub:
        hub.auth.change(BOB)
        client = await hub.session()
        reply = await client.ask(
            RequestType.SUBSCRIBE, SubscribeRequest("trust", None, [BOB, CAROL])
        )
        assert isinstance(reply, SubscribeReply)
        assert (reply.epoch, reply.head, reply.recovered) == (EPOCH, 1, False)
        assert reply.snapshot is not None
        known = {entry.wallet: entry.trust for entry in decode_trust_snapshot(reply.snapshot)}
        assert set(known) == {BOB, CAROL}
        assert known[BOB].seq == 1


async def test_a_change_during_the_snapshots_read_comes_once_and_after_the_reply() -> None:
    async with FakeHub().running() as hub:
        client = await hub.session()
        hub.auth.gate = asyncio.Event()
        sent = client.send(RequestType.SUBSCRIBE, SubscribeRequest("trust", None, [BOB]))
        await settle()
        hub.auth.change(BOB)
        await settle()
        assert order(client) == []
        hub.auth.gate.set()
        await settle()
        assert order(client) == [f"reply {sent}", "TRUST_CHANGED"]


async def test_a_subscription_from_a_position_is_caught_up_without_hole_or_overlap() -> None:
    async with FakeHub().running() as hub:
        client = await hub.session()
        for wallet in (BOB, CAROL, BOB, BOB):
            hub.auth.change(wallet)
        hub.auth.gate = asyncio.Event()
        request = SubscribeRequest("trust", Position(EPOCH, 1), [BOB])
        sent = client.send(RequestType.SUBSCRIBE, request)
        await settle()
        hub.auth.change(BOB)
        hub.auth.gate.set()
        await settle()
        reply, *pushes = client.wire.take()
        assert isinstance(reply, Reply)
        assert reply.id == sent
        offsets = [push.offset for push in pushes if isinstance(push, Push)]
        assert offsets == sorted(set(offsets))
        assert {3, 4, 5} == set(offsets)


async def test_a_position_of_another_log_gives_a_snapshot_and_says_so() -> None:
    async with FakeHub().running() as hub:
        client = await hub.session()
        for channel in ("trust:@me", "pay:@me"):
            request = SubscribeRequest(channel, Position(b"long ago", 7))
            reply = await client.ask(RequestType.SUBSCRIBE, request)
            assert not reply.recovered
            assert reply.snapshot is not None


async def test_a_failed_subscription_leaves_nothing_behind() -> None:
    async with FakeHub().running() as hub:
        client = await hub.session()
        error = await client.ask(RequestType.SUBSCRIBE, SubscribeRequest("pay:" + PAYMENT.hex()))
        assert error.code == ErrorCode.BAD_MESSAGE
        hub.payments.change(ALICE, BOB, PAYMENT)
        assert client.pushes() == []
        assert client.live.subscriptions == {}


async def test_a_strangers_payment_cannot_be_followed() -> None:
    async with FakeHub().running() as hub:
        hub.payments.change(ALICE, BOB, PAYMENT)
        stranger = await hub.session(CAROL)
        request = SubscribeRequest("pay:" + PAYMENT.hex())
        assert (await stranger.ask(RequestType.SUBSCRIBE, request)).code == ErrorCode.BAD_MESSAGE
        payee = await hub.session(BOB)
        reply = await payee.ask(RequestType.SUBSCRIBE, request)
        [status] = decode_payment_snapshot(reply.snapshot)
        assert status.payment_id == PAYMENT


@pytest.mark.parametrize("wallets", [None, []])
async def test_the_trust_channel_needs_wallets(wallets: list[bytes] | None) -> None:
    async with FakeHub().running() as hub:
        client = await hub.session()
        error = await client.ask(RequestType.SUBSCRIBE, SubscribeRequest("trust", None, wallets))
        assert error.code == ErrorCode.BAD_MESSAGE


@pytest.mark.parametrize(
    ("channel", "code"),
    [("nowhere", ErrorCode.UNKNOWN_CHANNEL), ("trust:*", ErrorCode.FORBIDDEN_SCOPE)],
)
async def test_a_channel_that_is_not_there_or_not_for_wallets_is_refused(
    channel: str, code: ErrorCode
) -> None:
    async with FakeHub().running() as hub:
        client = await hub.session()
        assert (await client.ask(RequestType.SUBSCRIBE, SubscribeRequest(channel))).code == code


async def test_a_channel_needs_the_scope_of_what_it_tells() -> None:
    async with FakeHub().running() as hub:
        hub.auth.scopes = ("trust",)
        client = await hub.session()
        error = await client.ask(RequestType.SUBSCRIBE, SubscribeRequest("pay:@me"))
        assert error.code == ErrorCode.FORBIDDEN_SCOPE


async def test_more_subscriptions_than_the_limit_are_220_until_one_ends() -> None:
    async with FakeHub(Limits(subscriptions_max=1)).running() as hub:
        client = await hub.session()
        first = await client.ask(RequestType.SUBSCRIBE, SubscribeRequest("trust:@me"))
        error = await client.ask(RequestType.SUBSCRIBE, SubscribeRequest("pay:@me"))
        assert error.code == ErrorCode.SUB_LIMIT
        assert await client.ask(RequestType.UNSUBSCRIBE, UnsubscribeRequest(first.sub)) == Empty()
        second = await client.ask(RequestType.SUBSCRIBE, SubscribeRequest("pay:@me"))
        assert second.sub != first.sub


async def test_the_limit_holds_for_requests_that_are_sent_without_waiting() -> None:
    limits = Limits(subscriptions_max=2, requests_per_s=1_000, requests_burst=1_000)
    async with FakeHub(limits).running() as hub:
        client = await hub.session()
        for _ in range(5):
            client.send(RequestType.SUBSCRIBE, SubscribeRequest("trust:@me"))
        await settle()
        assert len(client.live.subscriptions) == 2


async def test_after_unsubscribing_nothing_more_comes() -> None:
    async with FakeHub().running() as hub:
        client = await hub.session()
        reply = await client.ask(RequestType.SUBSCRIBE, SubscribeRequest("trust:@me"))
        await client.ask(RequestType.UNSUBSCRIBE, UnsubscribeRequest(reply.sub))
        hub.auth.change(ALICE)
        await settle()
        assert client.pushes() == []
        error = await client.ask(RequestType.UNSUBSCRIBE, UnsubscribeRequest(reply.sub))
        assert error.code == ErrorCode.BAD_MESSAGE


# Quotes -----------------------------------------------------------------------------------------


async def test_the_first_quote_follows_the_reply_and_later_ones_come_by_themselves() -> None:
    async with FakeHub().running() as hub:
        client = await hub.session()
        sent = client.send(RequestType.QUOTE_OPEN, QuoteOpenRequest(intent()))
        reply, push = client.wire.take()
        assert isinstance(reply, Reply)
        assert reply.id == sent
        assert isinstance(push, Push)
        assert (push.sub, push.offset, push.body) == (1, 0, quote(0))
        hub.quotes.streams[0].deliver(quote(1))
        assert [push.body for push in client.pushes()] == [quote(1)]


async def test_a_closed_stream_ends_and_its_waiting_quote_is_forgotten() -> None:
    async with FakeHub().running() as hub:
        client = await hub.session()
        reply = await client.ask(RequestType.QUOTE_OPEN, QuoteOpenRequest(intent()))
        assert isinstance(reply, QuoteOpenReply)
        client.wire.writable = False
        hub.quotes.streams[0].deliver(quote(1))
        client.send(RequestType.QUOTE_CLOSE, QuoteCloseRequest(reply.sub))
        client.wire.writable = True
        client.live.flush()
        assert [type(answer) for answer in client.wire.take()] == [Reply]
        assert hub.quotes.streams[0].closed
        error = await client.ask(RequestType.QUOTE_CLOSE, QuoteCloseRequest(reply.sub))
        assert error.code == ErrorCode.BAD_MESSAGE


async def test_more_streams_than_the_limit_are_220() -> None:
    async with FakeHub(Limits(quotes_max=1)).running() as hub:
        client = await hub.session()
        await client.ask(RequestType.QUOTE_OPEN, QuoteOpenRequest(intent()))
        error = await client.ask(RequestType.QUOTE_OPEN, QuoteOpenRequest(intent()))
        assert error.code == ErrorCode.SUB_LIMIT
        assert len(hub.quotes.streams) == 1


async def test_a_refused_intent_opens_nothing_and_says_why() -> None:
    async with FakeHub().running() as hub:
        client = await hub.session()
        hub.quotes.error = RequestError(ErrorCode.NO_ROUTE, "none", fields={"least_hops": 3})
        error = await client.ask(RequestType.QUOTE_OPEN, QuoteOpenRequest(intent()))
        assert error.code == ErrorCode.NO_ROUTE
        assert error.detail == {"message": "none", "least_hops": 3}
        assert client.live.quotes == {}


# Payments ---------------------------------------------------------------------------------------


async def test_the_reply_to_pay_comes_before_the_states_of_the_payment() -> None:
    async with FakeHub().running() as hub:
        client = await hub.session()
        await client.ask(RequestType.SUBSCRIBE, SubscribeRequest("pay:@me"))
        sent = client.send(RequestType.PAY, pay())
        await settle()
        assert order(client) == [f"reply {sent}", "PAYMENT_STATUS"]


async def test_it_does_so_when_the_connection_is_busy_too() -> None:
    async with FakeHub().running() as hub:
        client = await hub.session()
        client.wire.writable = False
        subscribing = client.send(RequestType.SUBSCRIBE, SubscribeRequest("pay:@me"))
        paying = client.send(RequestType.PAY, pay())
        await settle()
        hub.payments.change(ALICE, BOB, OTHER_PAYMENT)
        client.wire.writable = True
        client.live.flush()
        assert order(client) == [
            f"reply {subscribing}", f"reply {paying}", "PAYMENT_STATUS", "PAYMENT_STATUS"
        ]  # fmt: skip


async def test_other_sessions_of_the_payer_do_not_wait_for_that_reply() -> None:
    async with FakeHub().running() as hub:
        paying, watching = await hub.session(), await hub.session()
        await watching.ask(RequestType.SUBSCRIBE, SubscribeRequest("pay:@me"))
        hub.payments.gate = asyncio.Event()
        paying.send(RequestType.PAY, pay())
        await settle()
        assert order(watching) == ["PAYMENT_STATUS"]


async def test_heads_do_not_cover_states_that_wait_for_a_reply() -> None:
    async with FakeHub().running() as hub:
        client = await hub.session()
        await client.ask(RequestType.SUBSCRIBE, SubscribeRequest("pay:@me"))
        hub.payments.gate = asyncio.Event()
        client.send(RequestType.PAY, pay())
        await settle()
        assert client.live.heads() == []
        hub.payments.gate.set()
        await settle()
        assert [head.head for head in client.live.heads()] == [1]


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (RequestError(ErrorCode.INSUFFICIENT_BALANCE, "no"), ErrorCode.INSUFFICIENT_BALANCE),
        (RuntimeError("disk on fire"), ErrorCode.INTERNAL),
    ],
)
async def test_a_refused_payment_holds_nothing_back(failure: Exception, code: ErrorCode) -> None:
    async with FakeHub().running() as hub:
        client = await hub.session()
        await client.ask(RequestType.SUBSCRIBE, SubscribeRequest("pay:@me"))
        hub.payments.failure = failure
        error = await client.ask(RequestType.PAY, pay())
        assert error.code == code
        assert "fire" not in str(error.detail)
        hub.payments.change(ALICE, BOB, PAYMENT)
        assert order(client) == ["PAYMENT_STATUS"]


async def test_payments_are_prepared_taken_and_looked_up_for_the_sessions_wallet() -> None:
    async with FakeHub().running() as hub:
        client = await hub.session()
        prepared = await client.ask(
            RequestType.PAY_PREPARE, PrepareRequest(PrepareKind.QUOTE, PAYMENT, None, 0)
        )
        assert prepared.tick == 7
        reply = await client.ask(RequestType.PAY, pay())
        assert reply == PayReply(PAYMENT, PaymentState.ACCEPTED, 1)
        status = await client.ask(RequestType.PAYMENT_GET, PaymentGetRequest(PAYMENT))
        assert status.payment_id == PAYMENT
        stranger = await hub.session(CAROL)
        error = await stranger.ask(RequestType.PAYMENT_GET, PaymentGetRequest(PAYMENT))
        assert error.code == ErrorCode.BAD_MESSAGE


async def test_a_payment_channel_begins_with_the_wallets_payments_or_catches_up() -> None:
    async with FakeHub().running() as hub:
        client = await hub.session()
        hub.payments.change(ALICE, BOB, PAYMENT)
        hub.payments.change(BOB, ALICE, OTHER_PAYMENT)
        reply = await client.ask(RequestType.SUBSCRIBE, SubscribeRequest("pay:@me"))
        assert [each.payment_id for each in decode_payment_snapshot(reply.snapshot)] == [PAYMENT]
        assert reply.head == 2
        hub.payments.change(ALICE, BOB, PAYMENT, PaymentState.BROADCAST)
        client.wire.take()
        position = Position(hub.payments.epoch, 1)
        for channel, offsets in (("pay:@me", [3]), ("pay:in", [2])):
            client.send(RequestType.SUBSCRIBE, SubscribeRequest(channel, position))
            await settle()
            answer, *pushes = client.wire.take()
            assert isinstance(answer, Reply)
            assert [push.offset for push in pushes if isinstance(push, Push)] == offsets


async def test_before_the_journal_is_read_payment_channels_are_refused_and_pings_served() -> None:
    async with FakeHub().running() as hub:
        client = await hub.session()
        hub.payments.ready = False
        error = await client.ask(RequestType.SUBSCRIBE, SubscribeRequest("pay:@me"))
        assert error.code == ErrorCode.BACKBONE_UNAVAILABLE
        assert isinstance(await client.ask(RequestType.PING, PingRequest(1)), PingReply)


async def test_one_clients_bad_messages_do_not_disturb_another() -> None:
    async with FakeHub().running() as hub:
        good, bad = await hub.session(), await hub.session(BOB)
        await good.ask(RequestType.SUBSCRIBE, SubscribeRequest("trust:@me"))
        bad.feed(b"\xc1\xc1")
        assert bad.wire.close_code == CloseCode.PROTOCOL_ERROR
        hub.auth.change(ALICE)
        assert order(good) == ["TRUST_CHANGED"]
        assert isinstance(await good.ask(RequestType.PING, PingRequest(1)), PingReply)


async def test_requests_are_counted_by_type_and_outcome() -> None:
    async with FakeHub().running() as hub:
        client = await hub.session()
        await client.ask(RequestType.PING, PingRequest(1))
        await client.ask(RequestType.UNSUBSCRIBE, UnsubscribeRequest(7))
        client.feed(b"\x93\x3e\x09\x90")
        counted = "realtime_requests_total"
        assert hub.metric(counted, type="ping", outcome="ok") == 1
        assert hub.metric(counted, type="unsubscribe", outcome="bad_message") == 1
        assert hub.metric(counted, type="unknown", outcome="unknown_type") == 1
