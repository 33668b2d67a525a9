"""Sessions of backends: logged in by an API key, told of every wallet, acknowledging."""

import pytest

from app_fakes import KEY_ID, SHOP, SHOP_DOMAIN, TOKEN, api_key
from realtime_hub.apps.model import KeyScope, make_token
from realtime_hub.session.receipts import ACK_WITHIN_S, UNACKNOWLEDGED_MAX
from realtime_protocol.codes import CloseCode, ErrorCode
from realtime_protocol.messages import (
    AckRequest,
    ErrorBody,
    Gap,
    LoginReply,
    LogoutRequest,
    Position,
    PushType,
    RequestType,
    Scheme,
    ServiceRequest,
    SignedText,
    SubscribeReply,
    SubscribeRequest,
    TrustChanged,
    TrustReason,
    TrustStatus,
    Verdict,
)
from session_fakes import (
    ALICE,
    BAD_SIGNATURE,
    BOB,
    CAROL,
    GOOD_SIGNATURE,
    Client,
    FakeHub,
    proof,
    settle,
)


async def following(hub: FakeHub, since: Position | None = None) -> tuple[Client, SubscribeReply]:
    client = await hub.client().serve()
    reply = await client.ask(RequestType.SUBSCRIBE, SubscribeRequest("trust:*", since))
    assert isinstance(reply, SubscribeReply)
    return client, reply


def changes(client: Client) -> list[tuple[int, bytes, TrustStatus]]:
    return [
        (push.offset, push.body.wallet, push.body.status)
        for push in client.pushes(PushType.TRUST_CHANGED)
        if isinstance(push.body, TrustChanged)
    ]


async def test_an_api_key_opens_a_session_without_trust_and_without_a_token() -> None:
    hub = FakeHub()
    async with hub.running():
        reply = await hub.client().ask(RequestType.SERVICE, ServiceRequest(TOKEN))
    assert isinstance(reply, LoginReply)
    assert (reply.resume_token, reply.trust, reply.scopes) == (b"", None, ["service", "trust"])
    assert reply.session_exp_ms > hub.clock.now_ms()


async def test_no_page_opens_one() -> None:
    hub = FakeHub()
    async with hub.running():
        error = await hub.client(from_page=True).ask(RequestType.SERVICE, ServiceRequest(TOKEN))
    assert isinstance(error, ErrorBody)
    assert error.code == ErrorCode.FORBIDDEN_SCOPE


async def test_the_third_wrong_key_closes_4502() -> None:
    hub = FakeHub()
    async with hub.running():
        client = hub.client()
        for secret in (b"\x01" * 32, b"\x02" * 32):
            error = await client.ask(
                RequestType.SERVICE, ServiceRequest(make_token(KEY_ID, secret))
            )
            assert error.code == ErrorCode.NOT_AUTHENTICATED
        client.send(RequestType.SERVICE, ServiceRequest("no token at all"))
        assert client.wire.close_code == CloseCode.AUTH_FAILED


async def test_a_key_has_no_more_sessions_than_it_may_until_one_ends() -> None:
    hub = FakeHub()
    async with hub.running():
        first, _ = await hub.client().serve(), await hub.client().serve()
        error = await hub.client().ask(RequestType.SERVICE, ServiceRequest(TOKEN))
        assert (error.code, error.retry_after_ms) == (ErrorCode.RATE_LIMITED, 1_000)
        first.live.lost()
        await hub.client().serve()


async def test_sessions_of_one_key_share_its_rate() -> None:
    hub = FakeHub()
    hub.app_store.kept_keys[KEY_ID] = api_key(requests_per_s=1)
    hub.apps.reread()
    async with hub.running():
        one, other = await hub.client().serve(), await hub.client().serve()
        assert not isinstance(await one.ask(RequestType.TRUST_GET, [ALICE]), ErrorBody)
        assert not isinstance(await other.ask(RequestType.TRUST_GET, [ALICE]), ErrorBody)
        error = await one.ask(RequestType.TRUST_GET, [ALICE])
        assert (error.code, error.retry_after_ms) == (ErrorCode.RATE_LIMITED, 1_000)


async def test_a_revoked_key_ends_its_sessions_at_once() -> None:
    hub = FakeHub()
    async with hub.running():
        client = await hub.client().serve()
        hub.app_store.kept_keys[KEY_ID] = api_key(revoked_ms=1)
        hub.app_store.writes += 1
        hub.apps.follow()
        assert client.wire.close_code == CloseCode.SESSION_REVOKED


async def test_a_session_ends_with_its_key() -> None:
    hub = FakeHub()
    hub.app_store.kept_keys[KEY_ID] = api_key(expires_ms=hub.clock.now_ms() + 5_000)
    hub.apps.reread()
    async with hub.running():
        reply = await hub.client().ask(RequestType.SERVICE, ServiceRequest(TOKEN))
        assert reply.session_exp_ms == hub.clock.now_ms() + 5_000


async def test_every_wallets_change_comes_and_nothing_of_before() -> None:
    hub = FakeHub()
    async with hub.running():
        hub.auth.change(ALICE)
        client, reply = await following(hub)
        assert (reply.snapshot, reply.recovered, reply.head) == (None, False, 1)
        hub.auth.change(BOB)
        hub.auth.change(CAROL, TrustStatus.BLOCKED)
        await settle()
        assert changes(client) == [
            (2, BOB, TrustStatus.ACTIVE),
            (3, CAROL, TrustStatus.BLOCKED),
        ]


async def test_who_comes_back_is_told_what_it_missed() -> None:
    hub = FakeHub()
    async with hub.running():
        client, reply = await following(hub)
        hub.auth.change(ALICE)
        await settle()
        client.send(RequestType.ACK, AckRequest(reply.sub, 1))
        client.live.lost()
        hub.auth.change(BOB, TrustStatus.BLOCKED)
        hub.auth.change(CAROL)
        later = await hub.client().serve()
        later.send(RequestType.SUBSCRIBE, SubscribeRequest("trust:*", Position(reply.epoch, 1)))
        await settle()
        assert changes(later) == [(2, BOB, TrustStatus.BLOCKED), (3, CAROL, TrustStatus.ACTIVE)]


async def test_a_log_that_began_anew_is_a_gap() -> None:
    hub = FakeHub()
    async with hub.running():
        client, _ = await following(hub)
        hub.context.fanout.check_epoch()
        hub.auth.begin_anew(b"epoch--2")
        hub.context.fanout.check_epoch()
        await settle()
        [push] = client.pushes()
        assert isinstance(push.body, Gap)


async def test_trust_of_every_wallet_is_not_for_wallets() -> None:
    hub = FakeHub()
    async with hub.running():
        client = await hub.session(ALICE)
        error = await client.ask(RequestType.SUBSCRIBE, SubscribeRequest("trust:*"))
        assert error.code == ErrorCode.FORBIDDEN_SCOPE
        error = await client.ask(RequestType.VERIFY, [text()])
        assert error.code == ErrorCode.FORBIDDEN_SCOPE


@pytest.mark.parametrize("channel", ["trust:@me", "pay:@me", "pay:in"])
async def test_a_backend_has_no_wallet_of_its_own(channel: str) -> None:
    hub = FakeHub()
    async with hub.running():
        client = await hub.client().serve()
        error = await client.ask(RequestType.SUBSCRIBE, SubscribeRequest(channel))
        assert error.code in (ErrorCode.UNKNOWN_CHANNEL, ErrorCode.FORBIDDEN_SCOPE)
        error = await client.ask(RequestType.REFRESH, proof(ALICE))
        assert error.code == ErrorCode.BAD_MESSAGE
        assert await client.ask(RequestType.LOGOUT, LogoutRequest(everywhere=True))


# Receipts ---------------------------------------------------------------------------------------


async def test_an_ack_gets_no_reply() -> None:
    hub = FakeHub()
    async with hub.running():
        client, reply = await following(hub)
        client.send(RequestType.ACK, AckRequest(reply.sub, 0))
        assert client.wire.take() == []
        error = await client.ask(RequestType.ACK, AckRequest(99, 0))
        assert error.code == ErrorCode.BAD_MESSAGE


async def test_whoever_acknowledges_nothing_for_too_long_is_closed_4002() -> None:
    hub = FakeHub()
    async with hub.running():
        client, _ = await following(hub)
        hub.auth.change(ALICE)
        await settle()
        begin_s = hub.clock.monotonic_s()
        client.live.tick(begin_s)
        client.live.tick(begin_s + ACK_WITHIN_S - 0.1)
        assert client.wire.closed is None
        client.live.tick(begin_s + ACK_WITHIN_S)
        assert client.wire.close_code == CloseCode.SLOW_CONSUMER


async def test_a_receipt_gives_the_next_change_all_the_time_again() -> None:
    hub = FakeHub()
    async with hub.running():
        client, reply = await following(hub)
        for wallet in (ALICE, BOB):
            hub.auth.change(wallet)
        await settle()
        begin_s = hub.clock.monotonic_s()
        client.live.tick(begin_s)
        client.send(RequestType.ACK, AckRequest(reply.sub, 1))
        client.live.tick(begin_s + ACK_WITHIN_S)
        assert client.wire.closed is None


async def test_too_many_changes_without_a_receipt_close_4003() -> None:
    hub = FakeHub()
    async with hub.running():
        client, _ = await following(hub)
        for _ in range(UNACKNOWLEDGED_MAX):
            hub.auth.change(ALICE)
            await settle()
        assert client.wire.closed is None
        hub.auth.change(ALICE)
        await settle()
        assert client.wire.close_code == CloseCode.POSITION_LOST


# Signatures -------------------------------------------------------------------------------------


def text(signature: bytes = GOOD_SIGNATURE, scheme: Scheme = Scheme.RAW) -> SignedText:
    return SignedText(ALICE, scheme, b"one line of text", signature)


@pytest.mark.parametrize("in_memory", [True, False])
async def test_signatures_are_judged_one_by_one_beside_the_wallets_trust(in_memory: bool) -> None:
    hub = FakeHub()
    hub.auth.in_memory = in_memory
    hub.auth.change(ALICE)
    async with hub.running():
        client = await hub.client().serve()
        verdicts = await client.ask(RequestType.VERIFY, [text(), text(BAD_SIGNATURE)])
        assert [verdict.valid for verdict in verdicts] == [True, False]
        assert all(isinstance(one, Verdict) and one.trust.score == 50 for one in verdicts)


async def test_a_session_keys_signature_is_no_wallets() -> None:
    hub = FakeHub()
    async with hub.running():
        client = await hub.client().serve()
        error = await client.ask(RequestType.VERIFY, [text(scheme=Scheme.KEY)])
        assert error.code == ErrorCode.UNSUPPORTED_SCHEME


async def test_more_than_64_signatures_are_refused() -> None:
    hub = FakeHub()
    async with hub.running():
        client = await hub.client().serve()
        assert len(await client.ask(RequestType.VERIFY, [text()] * 64)) == 64
        error = await client.ask(RequestType.VERIFY, [text()] * 65)
        assert error.code == ErrorCode.BAD_MESSAGE


# The app's own list -----------------------------------------------------------------------------


async def test_an_apps_block_closes_its_own_sessions_and_no_others() -> None:
    hub = FakeHub()
    shop = hub.apps.named(SHOP)
    assert shop is not None
    async with hub.running():
        here = await hub.client(domain=SHOP_DOMAIN).login(ALICE)
        elsewhere = await hub.session(ALICE)
        hub.apps.block(shop, ALICE, reason=7)
        assert here.wire.close_code == CloseCode.WALLET_BLOCKED
        assert elsewhere.wire.closed is None
        error = await hub.client(domain=SHOP_DOMAIN).ask(RequestType.LOGIN, proof(ALICE))
        assert error.code == ErrorCode.WALLET_BLOCKED
        await hub.session(ALICE)


async def test_an_apps_block_is_pushed_to_its_watchers_and_taken_back() -> None:
    hub = FakeHub()
    shop = hub.apps.named(SHOP)
    assert shop is not None
    async with hub.running():
        hub.auth.change(ALICE)
        client, _ = await following(hub)
        stranger = await hub.session(BOB)
        await stranger.ask(RequestType.SUBSCRIBE, SubscribeRequest("trust", None, [ALICE]))
        hub.apps.block(shop, ALICE, reason=7)
        await settle()
        [push] = client.pushes()
        assert isinstance(push.body, TrustChanged)
        assert (push.offset, push.body.status) == (0, TrustStatus.BLOCKED)
        assert push.body.reason == TrustReason.BLOCKED_BY_APP
        [trust] = await client.ask(RequestType.TRUST_GET, [ALICE])
        assert trust.status is TrustStatus.BLOCKED
        hub.auth.change(ALICE, TrustStatus.ACTIVE)
        await settle()
        assert changes(client) == [(2, ALICE, TrustStatus.BLOCKED)]
        hub.apps.unblock(shop, ALICE)
        await settle()
        assert changes(client) == [(0, ALICE, TrustStatus.ACTIVE)]
        assert changes(stranger) == [(2, ALICE, TrustStatus.ACTIVE)]


async def test_who_was_away_learns_of_the_apps_list_when_it_comes_back() -> None:
    hub = FakeHub()
    shop = hub.apps.named(SHOP)
    assert shop is not None
    async with hub.running():
        hub.apps.block(shop, ALICE, reason=7)
        hub.apps.block(shop, BOB, reason=7)
        hub.apps.unblock(shop, BOB)
        client = await hub.client().serve()
        client.send(RequestType.SUBSCRIBE, SubscribeRequest("trust:*", hub.auth.position()))
        await settle()
        assert changes(client) == [(0, ALICE, TrustStatus.BLOCKED), (0, BOB, TrustStatus.UNKNOWN)]
        request = SubscribeRequest("trust", hub.auth.position(), [ALICE])
        reply = await client.ask(RequestType.SUBSCRIBE, request)
        assert reply.recovered is False


async def test_a_key_without_the_scope_opens_no_session() -> None:
    hub = FakeHub()
    hub.app_store.kept_keys[KEY_ID] = api_key(scopes=frozenset({KeyScope.REST}))
    hub.apps.reread()
    async with hub.running():
        error = await hub.client().ask(RequestType.SERVICE, ServiceRequest(TOKEN))
        assert error.code == ErrorCode.FORBIDDEN_SCOPE
