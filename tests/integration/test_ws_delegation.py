"""Granted keys over real sockets: logging in, listing, revoking on every hub, blocking."""

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from delegation_fakes import key_login
from realtime_hub.adapters.redis_grants import RedisGrants
from realtime_hub.pay.model import PaymentChange
from realtime_protocol.codes import CloseCode, ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey
from realtime_protocol.login_resources import encode_key, encode_scope, encode_spend
from realtime_protocol.messages import (
    ChallengeRequest,
    KeysListReply,
    KeysListRequest,
    KeysRevokeReply,
    KeysRevokeRequest,
    LoginReply,
    LoginRequest,
    PaymentState,
    PayRequest,
    PingRequest,
    PushType,
    RequestType,
    ResumeReply,
    ResumeRequest,
    Scheme,
    SpendGetRequest,
    SpendTerms,
    TrustStatus,
)
from realtime_protocol.session_key import (
    Kind,
    resume_body,
    session_public_key,
    sign_with_session_key,
)
from ws_hub import ALICE, BOB, GOOD_SIGNATURE, Client, ServedHub, served_hub, status_of

SEED, OTHER_SEED = b"\x21" * 32, b"\x22" * 32
FAR_AWAY_MS = 4_102_444_800_000
SPENDING = PublicKey(b"\x5b" * 32)
KEY, OTHER_KEY = session_public_key(SEED), session_public_key(OTHER_SEED)


def key_line(hub: ServedHub, key: bytes = KEY) -> str:
    return encode_key(key, until_ms=hub.auth.clock.now_ms() // 1_000 * 1_000 + 86_400_000)


async def grant(client: Client, *lines: str) -> LoginReply:
    """Log in with the wallet, which signs for what the lines name."""
    login = LoginRequest(Scheme.WC, ALICE, GOOD_SIGNATURE, list(lines))
    reply = await client.ask(RequestType.LOGIN, login)
    assert isinstance(reply, LoginReply)
    return reply


async def log_in_by_key(client: Client, *lines: str, seed: bytes = SEED) -> LoginReply:
    listed = list(lines) or [encode_key(session_public_key(seed))]
    login = key_login(client.challenge, ALICE, seed, listed)
    reply = await client.ask(RequestType.LOGIN, login)
    assert isinstance(reply, LoginReply)
    return reply


async def resume(client: Client, session: LoginReply) -> ResumeReply:
    challenge = client.challenge
    body = resume_body(
        domain=challenge.domain, uri=challenge.uri, sid=session.sid, nonce=challenge.nonce
    )
    proof = sign_with_session_key(SEED, Kind.RESUME, body)
    request = ResumeRequest(session.resume_token, proof, [])
    reply = await client.ask(RequestType.RESUME, request)
    assert isinstance(reply, ResumeReply)
    return reply


async def refusal(work: Awaitable[object]) -> ErrorCode:
    with pytest.raises(RequestError) as refused:
        await work
    return refused.value.code


async def keys_of(client: Client) -> list[bytes]:
    reply = await client.ask(RequestType.KEYS_LIST, KeysListRequest())
    assert isinstance(reply, KeysListReply)
    return [one.key for one in reply.keys]


async def revoke(client: Client, key: bytes | None) -> int:
    reply = await client.ask(RequestType.KEYS_REVOKE, KeysRevokeRequest(key))
    assert isinstance(reply, KeysRevokeReply)
    return reply.revoked


async def test_one_signature_of_the_wallet_lets_a_key_log_in_again_and_again() -> None:
    async with served_hub() as hub:
        async with hub.client() as first:
            await grant(first, key_line(hub), encode_scope("trust"))
        for _ in range(2):
            async with hub.client() as again:
                reply = await log_in_by_key(again)
                assert reply.scopes == ["trust"]
                assert reply.trust is not None
                assert reply.trust.status is TrustStatus.ACTIVE


async def test_a_login_by_key_uses_the_nonce_up_and_a_second_one_needs_another() -> None:
    async with served_hub() as hub, hub.client() as first, hub.client() as client:
        await grant(first, key_line(hub))
        login = key_login(client.challenge, ALICE, OTHER_SEED, [encode_key(OTHER_KEY)])
        assert await refusal(client.ask(RequestType.LOGIN, login)) is ErrorCode.BAD_SIGNATURE
        again = key_login(client.challenge, ALICE, SEED, [encode_key(KEY)])
        used_up = await refusal(client.ask(RequestType.LOGIN, again))
        assert used_up is ErrorCode.NONCE_UNKNOWN_OR_USED
        client.challenge = await client.ask(RequestType.CHALLENGE, ChallengeRequest(60_000))
        await log_in_by_key(client)


async def test_keys_are_listed_with_what_was_signed_for_them() -> None:
    async with served_hub() as hub, hub.client() as client:
        await grant(client, key_line(hub), encode_scope("trust"), encode_scope("quote"))
        [listed] = (await client.ask(RequestType.KEYS_LIST, KeysListRequest())).keys
        assert (listed.key, listed.scopes, listed.domain, listed.spends) == (
            KEY, ["trust", "quote"], "native.example", [],
        )  # fmt: skip
        assert listed.created_ms == listed.last_used_ms == hub.clock.now_ms()


async def test_revoking_a_key_ends_its_sessions_and_their_resumes_but_no_others() -> None:
    async with served_hub() as hub, hub.client() as wallet, hub.client() as other:
        await log_in(wallet)
        async with hub.client() as first, hub.client() as by_key, hub.client() as away:
            await grant(first, key_line(hub))
            await grant(other, key_line(hub, OTHER_KEY))
            await log_in_by_key(by_key)
            left = await log_in_by_key(away)
            await away.websocket.close()
            assert await revoke(wallet, KEY) == 1
            for closed in (first, by_key):
                assert (await closed.closed())[0] == CloseCode.SESSION_REVOKED
        async with hub.client() as back:
            assert await refusal(resume(back, left)) is ErrorCode.RESUME_UNKNOWN
        async with hub.client() as back:
            assert await refusal(log_in_by_key(back)) is ErrorCode.BAD_SIGNATURE
        assert await keys_of(wallet) == [OTHER_KEY]
        await other.ask(RequestType.PING, PingRequest(1))
        assert await revoke(wallet, KEY) == 0


async def log_in(client: Client) -> None:
    await client.log_in(ALICE)


async def test_revoking_all_keys_answers_before_its_own_session_ends() -> None:
    async with served_hub() as hub, hub.client() as client, hub.client() as by_key:
        await grant(client, key_line(hub))
        await log_in_by_key(by_key)
        assert await revoke(client, None) == 1
        for each in (client, by_key):
            assert (await each.closed())[0] == CloseCode.SESSION_REVOKED


async def test_a_session_that_a_key_opened_sees_and_revokes_its_own_key_only() -> None:
    async with served_hub() as hub, hub.client() as one, hub.client() as two:
        await grant(one, key_line(hub))
        await grant(two, key_line(hub, OTHER_KEY))
        async with hub.client() as by_key:
            session = await log_in_by_key(by_key)
            assert await keys_of(by_key) == [KEY]
            for key in (OTHER_KEY, None):
                code = await refusal(revoke(by_key, key))
                assert code is ErrorCode.FORBIDDEN_SCOPE
        async with hub.client() as resumed:
            await resume(resumed, session)
            assert await keys_of(resumed) == [KEY]
            assert await refusal(revoke(resumed, None)) is ErrorCode.FORBIDDEN_SCOPE
            assert await revoke(resumed, KEY) == 1
            assert (await resumed.closed())[0] == CloseCode.SESSION_REVOKED
        assert await keys_of(two) == [OTHER_KEY]


async def test_a_blocked_wallets_key_neither_logs_in_nor_resumes_nor_after_the_unblock() -> None:
    async with served_hub() as hub:
        async with hub.client() as first:
            await grant(first, key_line(hub))
        async with hub.client() as by_key:
            session = await log_in_by_key(by_key)
        async with hub.client() as login, hub.client() as back:
            hub.auth.change(ALICE, TrustStatus.BLOCKED)
            assert await refusal(log_in_by_key(login)) in (
                ErrorCode.WALLET_BLOCKED, ErrorCode.BAD_SIGNATURE,
            )  # fmt: skip
            assert await refusal(resume(back, session)) is ErrorCode.WALLET_BLOCKED
        hub.auth.change(ALICE, TrustStatus.ACTIVE)
        async with hub.client() as login, hub.client() as back:
            assert await refusal(log_in_by_key(login)) is ErrorCode.BAD_SIGNATURE
            assert await refusal(resume(back, session)) is ErrorCode.RESUME_UNKNOWN
        async with hub.client() as anew:
            await grant(anew, key_line(hub))
        async with hub.client() as by_key:
            await log_in_by_key(by_key)


async def test_a_block_that_the_hub_missed_ends_keys_when_it_looks_at_sessions_again() -> None:
    async with served_hub() as hub, hub.client() as first, hub.client() as back:
        await grant(first, key_line(hub))
        hub.auth.change(BOB, TrustStatus.ACTIVE)  # The log has gone on.
        hub.auth.blocked.add(ALICE)
        hub.context.fanout.begin_anew()
        assert (await first.closed())[0] == CloseCode.WALLET_BLOCKED
        hub.auth.blocked.discard(ALICE)
        assert await refusal(log_in_by_key(back)) is ErrorCode.BAD_SIGNATURE


async def test_a_session_ends_when_the_key_on_which_it_stands_runs_out() -> None:
    async with served_hub() as hub, hub.client() as client:
        until_ms = hub.clock.now_ms() + 60_000
        reply = await grant(client, encode_key(KEY, until_ms=until_ms))
        assert reply.session_exp_ms == until_ms
        await hub.pass_time(60_000)
        assert (await client.closed())[0] == CloseCode.SESSION_EXPIRED


def spend_line(hub: ServedHub) -> str:
    until_ms = hub.clock.now_ms() + 60_000
    return encode_spend(SPENDING, max_qu=1_000, until_ms=until_ms)


def pay_from(source: bytes) -> PayRequest:
    return PayRequest(source[:16], b"q" * 16, source + bytes(144 - 32), 1)


async def test_a_key_spends_from_the_wallets_that_were_signed_for_and_no_others() -> None:
    async with served_hub() as hub:
        async with hub.client() as first:
            await grant(first, key_line(hub), spend_line(hub))
            [listed] = (await first.ask(RequestType.KEYS_LIST, KeysListRequest())).keys
            assert listed.spends == [SpendTerms(SPENDING, 1_000, hub.clock.now_ms() + 60_000)]
        async with hub.client() as by_key:
            session = await log_in_by_key(by_key)
            for source in (SPENDING, ALICE, OTHER_KEY):
                await by_key.ask(RequestType.PAY, pay_from(source))
            state = await by_key.ask(RequestType.SPEND_GET, SpendGetRequest(SPENDING))
            assert state.max_qu == 1_000
            other = by_key.ask(RequestType.SPEND_GET, SpendGetRequest(OTHER_KEY))
            assert await refusal(other) is ErrorCode.BAD_MESSAGE
        async with hub.client() as resumed:
            await resume(resumed, session)
            await resumed.ask(RequestType.PAY, pay_from(SPENDING))
        async with hub.client() as without:
            await log_in(without)
            await without.ask(RequestType.PAY, pay_from(SPENDING))
        spender, *others, again, none = hub.payments.spenders
        assert spender == again
        assert spender is not None
        assert (spender.owner, spender.max_qu) == (ALICE, 1_000)
        assert [*others, none] == [None, None, None]


async def test_the_owner_of_a_spending_wallet_hears_what_is_paid_from_it() -> None:
    async with served_hub() as hub, hub.client() as client:
        await log_in(client)
        await client.subscribe("pay:@me")
        status = status_of(b"p" * 16, PaymentState.BROADCAST, 1)
        change = PaymentChange(1, SPENDING, BOB, status, owner=ALICE)
        hub.context.fanout.on_payment_change(change)
        push = await client.push(PushType.PAYMENT_STATUS)
        assert push.body == status


# Several hubs ------------------------------------------------------------------------------------


def store(client: Redis) -> RedisGrants:
    async def ready() -> None:
        return

    return RedisGrants(client, network_id=lambda: b"n" * 32, fleet_key=b"k" * 32, wait_ready=ready)


@asynccontextmanager
async def two_hubs(redis: Redis) -> AsyncIterator[tuple[ServedHub, Client, Client]]:
    """The second of two hubs, a wallet's session at the first, and its key's at the second."""
    async with (
        served_hub(grant_store=store(redis)) as here,
        served_hub(grant_store=store(redis)) as there,
        here.client() as wallet,
        there.client() as by_key,
    ):
        await grant(wallet, encode_key(KEY, until_ms=FAR_AWAY_MS))
        await log_in_by_key(by_key)
        yield there, wallet, by_key


async def test_a_key_that_is_revoked_on_one_hub_ends_its_sessions_on_another(
    redis: Redis,
) -> None:
    async with two_hubs(redis) as (_, wallet, by_key):
        assert await revoke(wallet, None) == 1
        assert (await by_key.closed())[0] == CloseCode.SESSION_REVOKED


async def test_a_hub_that_wasnt_told_of_a_revocation_finds_it_when_it_looks(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lost(_self: RedisGrants, _grant_ids: object) -> None:
        return

    monkeypatch.setattr(RedisGrants, "tell", lost)
    async with two_hubs(redis) as (there, wallet, by_key):
        assert await revoke(wallet, None) == 1
        await there.context.delegates.look()
        assert (await by_key.closed())[0] == CloseCode.SESSION_REVOKED
