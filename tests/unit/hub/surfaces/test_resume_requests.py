"""Resuming: who may, in which order, and that nothing is missed or told twice."""

import asyncio
from dataclasses import replace

import pytest

from realtime_hub.adapters.memory_resumes import MemoryResumes
from realtime_hub.session.resume import family_key, reused
from realtime_hub.session.resume_store import Move
from realtime_protocol.codec import Push, Reply
from realtime_protocol.codes import CloseCode, ErrorCode
from realtime_protocol.limits import Limits
from realtime_protocol.messages import (
    ChallengeRequest,
    Empty,
    ErrorBody,
    Gap,
    GapCause,
    Goaway,
    LoginReply,
    LogoutRequest,
    PushType,
    RequestType,
    ResumedSub,
    ResumeOutcome,
    ResumeReply,
    ResumeSub,
    SubscribeReply,
    SubscribeRequest,
    TrustChanged,
    TrustStatus,
)
from session_fakes import (
    ALICE,
    BOB,
    EPOCH,
    KEY_SEED,
    Client,
    FakeHub,
    proof,
    settle,
)

FAST = Limits(requests_per_s=1_000, requests_burst=10_000)


async def begin(hub: FakeHub) -> tuple[Client, LoginReply]:
    client = hub.client()
    return client, await client.login_to_resume()


async def again(
    hub: FakeHub, token: bytes, sid: str, *subs: ResumeSub, **options: bytes
) -> tuple[Client, ResumeReply | ErrorBody]:
    client = hub.client()
    return client, await client.resume(token, sid, subs, **options)


def taken(answer: ResumeReply | ErrorBody) -> ResumeReply:
    assert isinstance(answer, ResumeReply), answer
    return answer


def refused(answer: ResumeReply | ErrorBody) -> int:
    assert isinstance(answer, ErrorBody), answer
    return answer.code


# Who may ------------------------------------------------------------------------------------------


async def test_a_login_with_a_session_key_gets_a_token_and_one_without_gets_none() -> None:
    async with FakeHub(FAST).running() as hub:
        _, reply = await begin(hub)
        assert (len(reply.resume_token), reply.resume_ttl_ms) == (32, 120_000)
        client = hub.client()
        without = await client.ask(RequestType.LOGIN, proof(BOB))
        assert (without.resume_token, without.resume_ttl_ms) == (b"", 0)


async def test_a_lost_session_goes_on_as_the_same_with_its_rights_and_no_new_signature() -> None:
    async with FakeHub(FAST).running() as hub:
        hub.auth.scopes = ("trust",)
        first, login = await begin(hub)
        first.live.lost()
        await settle()
        client, answer = await again(hub, login.resume_token, login.sid)
        reply = taken(answer)
        assert reply.sid == login.sid == client.live.sid
        assert reply.resume_token != login.resume_token
        assert reply.trust == login.trust
        assert client.live.machine.scopes == {"trust"}
        assert client.live.machine.wallet == ALICE
        assert hub.context.registry.sessions_of(ALICE) == [client.live]
        assert hub.metric("realtime_resumes_total", outcome="ok") == 1
        assert hub.metric("realtime_sessions") == 1


async def test_tokens_follow_each_other_and_each_is_used_once() -> None:
    async with FakeHub(FAST).running() as hub:
        client, login = await begin(hub)
        token = login.resume_token
        for _ in range(5):
            client.live.lost()
            await settle()
            client, answer = await again(hub, token, login.sid)
            token = taken(answer).resume_token


@pytest.mark.parametrize("what", ["token", "key", "sid"])
async def test_a_wrong_token_key_or_sid_is_208_and_uses_nothing_up(what: str) -> None:
    async with FakeHub(FAST).running() as hub:
        first, login = await begin(hub)
        first.live.lost()
        await settle()
        token = bytes(32) if what == "token" else login.resume_token
        seed = b"\x01" * 32 if what == "key" else KEY_SEED
        sid = "another" if what == "sid" else login.sid
        client, answer = await again(hub, token, sid, key_seed=seed)
        assert refused(answer) == ErrorCode.RESUME_UNKNOWN
        assert client.wire.closed is None
        assert client.live.machine.wallet is None
        _, answer = await again(hub, login.resume_token, login.sid)
        taken(answer)


async def test_a_proof_made_for_another_connection_is_208() -> None:
    async with FakeHub(FAST).running() as hub:
        first, login = await begin(hub)
        first.live.lost()
        await settle()
        overheard = hub.client().resume_request(login.resume_token, login.sid)
        client = hub.client()
        sent = client.send(RequestType.RESUME, overheard)
        await settle()
        [_, answer] = client.wire.take()
        assert not isinstance(answer, Push | Reply)
        assert (answer.id, answer.error.code) == (sent, ErrorCode.RESUME_UNKNOWN)


async def test_a_session_is_not_taken_to_another_domain() -> None:
    async with FakeHub(FAST).running() as hub:
        first, login = await begin(hub)
        first.live.lost()
        await settle()
        elsewhere = hub.client(domain="evil.example")
        answer = await elsewhere.resume(login.resume_token, login.sid)
        assert refused(answer) == ErrorCode.RESUME_UNKNOWN
        _, answer = await again(hub, login.resume_token, login.sid)
        taken(answer)


async def test_an_attempt_uses_the_nonce_up_and_a_login_may_follow_with_another() -> None:
    async with FakeHub(FAST).running() as hub:
        client = hub.client()
        assert refused(await client.resume(bytes(32), "s")) == ErrorCode.RESUME_UNKNOWN
        assert refused(await client.resume(bytes(32), "s")) == ErrorCode.NONCE_UNKNOWN_OR_USED
        await client.ask(RequestType.CHALLENGE, ChallengeRequest(10_000))
        assert isinstance(await client.ask(RequestType.LOGIN, proof()), LoginReply)


async def test_guessing_is_closed_4502_at_the_third_try() -> None:
    async with FakeHub(FAST).running() as hub:
        client = hub.client()
        for _ in range(3):
            assert client.wire.closed is None
            await client.resume(bytes(32), "s")
        assert client.wire.close_code == CloseCode.AUTH_FAILED


async def test_an_open_session_resumes_nothing() -> None:
    async with FakeHub(FAST).running() as hub:
        client, login = await begin(hub)
        answer = await client.resume(login.resume_token, login.sid)
        assert refused(answer) == ErrorCode.BAD_MESSAGE


async def test_after_120_s_it_is_210_and_after_the_time_that_is_kept_208() -> None:
    async with FakeHub(FAST).running() as hub:
        first, login = await begin(hub)
        first.live.lost()
        await settle()
        hub.clock.advance_ms(120_000)
        _, answer = await again(hub, login.resume_token, login.sid)
        assert refused(answer) == ErrorCode.RESUME_EXPIRED
        hub.clock.advance_ms(15_000)
        _, answer = await again(hub, login.resume_token, login.sid)
        assert refused(answer) == ErrorCode.RESUME_UNKNOWN


async def test_a_session_ends_when_its_login_ends_however_often_it_was_resumed() -> None:
    async with FakeHub(FAST).running() as hub:
        hub.auth.session_ttl_ms = 100_000
        first, login = await begin(hub)
        first.live.lost()
        await settle()
        hub.clock.advance_ms(60_000)
        client, answer = await again(hub, login.resume_token, login.sid)
        token = taken(answer).resume_token
        client.live.tick(hub.clock.monotonic_s() + 40)
        assert client.wire.close_code == CloseCode.SESSION_EXPIRED
        client.live.lost()
        await settle()
        _, answer = await again(hub, token, login.sid)
        assert refused(answer) == ErrorCode.RESUME_UNKNOWN


# Theft and repetition -----------------------------------------------------------------------------


async def test_the_old_socket_is_closed_4508_when_its_session_is_resumed() -> None:
    async with FakeHub(FAST).running() as hub:
        first, login = await begin(hub)
        client, answer = await again(hub, login.resume_token, login.sid)
        taken(answer)
        assert first.wire.close_code == CloseCode.SUPERSEDED
        first.live.lost()
        await settle()
        hub.clock.advance_ms(130_000)
        client.live.heard()
        assert hub.context.registry.sessions_of(ALICE) == [client.live]


async def test_a_lost_reply_costs_nothing_within_10_s() -> None:
    async with FakeHub(FAST).running() as hub:
        first, login = await begin(hub)
        first.live.lost()
        await settle()
        second, answer = await again(hub, login.resume_token, login.sid)
        never_seen = taken(answer).resume_token
        hub.clock.advance_ms(9_999)
        third, answer = await again(hub, login.resume_token, login.sid)
        assert taken(answer).sid == login.sid
        assert second.wire.close_code == CloseCode.SUPERSEDED
        _, answer = await again(hub, never_seen, login.sid)
        assert refused(answer) == ErrorCode.RESUME_REUSED
        assert third.wire.close_code == CloseCode.RESUME_REUSED


async def test_an_old_token_ends_the_session_for_both_who_hold_it() -> None:
    async with FakeHub(FAST).running() as hub:
        first, login = await begin(hub)
        first.live.lost()
        await settle()
        second, answer = await again(hub, login.resume_token, login.sid)
        newest = taken(answer).resume_token
        hub.clock.advance_ms(10_000)
        thief, answer = await again(hub, login.resume_token, login.sid)
        assert refused(answer) == ErrorCode.RESUME_REUSED
        assert thief.wire.close_code == CloseCode.RESUME_REUSED
        assert second.wire.close_code == CloseCode.RESUME_REUSED
        _, answer = await again(hub, newest, login.sid)
        assert refused(answer) == ErrorCode.RESUME_REUSED


async def test_an_old_token_without_the_key_ends_it_too() -> None:
    async with FakeHub(FAST).running() as hub:
        first, login = await begin(hub)
        second, _ = await again(hub, login.resume_token, login.sid)
        hub.clock.advance_ms(10_000)
        _, answer = await again(hub, login.resume_token, login.sid, key_seed=b"\x01" * 32)
        assert refused(answer) == ErrorCode.RESUME_REUSED
        assert second.wire.close_code == CloseCode.RESUME_REUSED
        assert first.wire.close_code == CloseCode.SUPERSEDED


async def test_a_logged_out_session_is_not_resumed() -> None:
    async with FakeHub(FAST).running() as hub:
        client, login = await begin(hub)
        assert await client.ask(RequestType.LOGOUT, LogoutRequest(everywhere=False)) == Empty()
        assert client.wire.close_code == 1000
        _, answer = await again(hub, login.resume_token, login.sid)
        assert refused(answer) == ErrorCode.RESUME_UNKNOWN


async def test_a_logout_everywhere_ends_the_wallets_other_sessions_and_those_away() -> None:
    async with FakeHub(FAST).running() as hub:
        (away, gone), (living, _), (client, mine) = [await begin(hub) for _ in range(3)]
        stranger = await hub.session(BOB)
        plain = await hub.session(ALICE)
        away.live.lost()
        await settle()
        assert await client.ask(RequestType.LOGOUT, LogoutRequest(everywhere=True)) == Empty()
        assert client.wire.close_code == 1000
        assert living.wire.close_code == CloseCode.SESSION_REVOKED
        assert plain.wire.close_code == CloseCode.SESSION_REVOKED
        assert stranger.wire.closed is None
        for login in (gone, mine):
            _, answer = await again(hub, login.resume_token, login.sid)
            assert refused(answer) == ErrorCode.RESUME_UNKNOWN


async def test_a_refresh_prolongs_the_session_under_a_new_token() -> None:
    async with FakeHub(FAST).running() as hub:
        client, login = await begin(hub)
        hub.clock.advance_ms(60_000)
        await client.ask(RequestType.CHALLENGE, ChallengeRequest(10_000))
        reply = await client.ask(RequestType.REFRESH, proof(key_seed=KEY_SEED))
        assert isinstance(reply, LoginReply)
        assert reply.sid == login.sid
        assert reply.session_exp_ms == login.session_exp_ms + 60_000
        client.live.lost()
        await settle()
        _, answer = await again(hub, login.resume_token, login.sid)
        assert refused(answer) == ErrorCode.RESUME_UNKNOWN
        _, answer = await again(hub, reply.resume_token, login.sid)
        taken(answer)


async def test_a_goaway_says_whether_the_session_can_be_resumed() -> None:
    async with FakeHub(FAST).running() as hub:
        client, _ = await begin(hub)
        plain = await hub.session(BOB)
        for each, resume_ok in ((client, True), (plain, False)):
            each.live.drain()
            [push] = each.pushes()
            assert isinstance(push.body, Goaway)
            assert push.body.resume_ok is resume_ok


async def test_a_session_stays_resumable_as_long_as_its_client_gives_signs_of_life() -> None:
    async with FakeHub(FAST).running() as hub:
        client, login = await begin(hub)
        for _ in range(4):
            hub.clock.advance_ms(60_000)
            await renew(hub, client)
        client.live.lost()
        await settle()
        _, answer = await again(hub, login.resume_token, login.sid)
        taken(answer)


async def renew(hub: FakeHub, client: Client) -> None:
    """Let a client give a sign of life, and the hub note it in the store."""
    client.live.heard()
    resumes = hub.context.resumes
    alive, resumes._alive = [*resumes._alive.values()], {}
    await resumes._renew_some(alive)
    await settle()


async def test_a_store_that_lost_everything_learns_of_living_sessions_again() -> None:
    async with FakeHub(FAST).running() as hub:
        client, login = await begin(hub)
        store = hub.context.resumes._store
        assert isinstance(store, MemoryResumes)
        store._kept.clear()
        await renew(hub, client)
        client.live.lost()
        await settle()
        _, answer = await again(hub, login.resume_token, login.sid)
        taken(answer)


@pytest.mark.parametrize(
    ("revoked", "code"), [(False, CloseCode.SUPERSEDED), (True, CloseCode.RESUME_REUSED)]
)
async def test_news_that_got_lost_are_seen_at_the_next_sign_of_life(
    revoked: bool, code: CloseCode
) -> None:
    async with FakeHub(FAST).running() as hub:
        client, login = await begin(hub)
        store, key = hub.context.resumes._store, family_key(login.resume_token)
        family = await store.load(key)
        assert family is not None
        after = reused(family) if revoked else replace(family, holder=b"another hub's...")
        assert await store.swap([Move(key, family, after)]) == [True]
        assert client.wire.closed is None
        await renew(hub, client)
        assert client.wire.close_code == code


async def test_a_session_whose_wallet_has_all_its_places_takes_its_own_place_over() -> None:
    limits = Limits(requests_per_s=1_000, requests_burst=10_000, sessions_per_wallet_max=2)
    async with FakeHub(limits).running() as hub:
        first, login = await begin(hub)
        await hub.session(ALICE)
        _, answer = await again(hub, login.resume_token, login.sid)
        taken(answer)
        assert first.wire.close_code == CloseCode.SUPERSEDED


# A blocked wallet ---------------------------------------------------------------------------------


async def test_a_wallet_blocked_while_away_is_206_and_closed_4503() -> None:
    async with FakeHub(FAST).running() as hub:
        first, login = await begin(hub)
        first.live.lost()
        await settle()
        hub.auth.change(ALICE, TrustStatus.BLOCKED)
        client, answer = await again(hub, login.resume_token, login.sid)
        assert refused(answer) == ErrorCode.WALLET_BLOCKED
        assert client.wire.close_code == CloseCode.WALLET_BLOCKED
        assert hub.context.registry.sessions_of(ALICE) == []


# What was missed ----------------------------------------------------------------------------------


def pushed(client: Client) -> list[tuple[PushType, int, int]]:
    """What a client was told: type, subscription, offset."""
    return [(push.type, push.sub, push.offset) for push in client.pushes()]


async def test_each_subscription_goes_on_under_its_number_where_its_client_stands() -> None:
    async with FakeHub(FAST).running() as hub:
        first, login = await begin(hub)
        own = await first.ask(RequestType.SUBSCRIBE, SubscribeRequest("trust:@me"))
        other = await first.ask(RequestType.SUBSCRIBE, SubscribeRequest("trust", None, [BOB]))
        paid = await first.ask(RequestType.SUBSCRIBE, SubscribeRequest("pay:@me"))
        hub.auth.change(BOB)
        first.live.lost()
        await settle()
        hub.auth.change(BOB)
        hub.auth.change(ALICE)
        client, answer = await again(
            hub,
            login.resume_token,
            login.sid,
            ResumeSub(own.sub, "trust:@me", EPOCH, 3),
            ResumeSub(other.sub, "trust", EPOCH, 1, [BOB]),
            ResumeSub(paid.sub, "pay:@me", paid.epoch, paid.head),
        )
        assert taken(answer).subs == [
            ResumedSub(own.sub, ResumeOutcome.CAUGHT_UP, EPOCH, 3),
            ResumedSub(other.sub, ResumeOutcome.REPLAYING, EPOCH, 3),
            ResumedSub(paid.sub, ResumeOutcome.CAUGHT_UP, paid.epoch, paid.head),
        ]
        assert pushed(client) == [(PushType.TRUST_CHANGED, other.sub, 2)]
        hub.auth.change(BOB)
        hub.auth.change(ALICE)
        hub.payments.change(ALICE, BOB, bytes(16))
        await settle()
        assert sorted(pushed(client)) == [
            (PushType.TRUST_CHANGED, own.sub, 5),
            (PushType.TRUST_CHANGED, other.sub, 4),
            (PushType.PAYMENT_STATUS, paid.sub, 1),
        ]
        new = await client.ask(RequestType.SUBSCRIBE, SubscribeRequest("trust:@me"))
        assert isinstance(new, SubscribeReply)
        assert new.sub == paid.sub + 1


async def test_payments_that_moved_meanwhile_are_told_in_order() -> None:
    async with FakeHub(FAST).running() as hub:
        first, login = await begin(hub)
        hub.payments.change(ALICE, BOB, b"1" * 16)
        paid = await first.ask(RequestType.SUBSCRIBE, SubscribeRequest("pay:@me"))
        first.live.lost()
        await settle()
        hub.payments.change(ALICE, BOB, b"1" * 16)
        hub.payments.change(ALICE, BOB, b"2" * 16)
        one = "31" * 16
        client, answer = await again(
            hub,
            login.resume_token,
            login.sid,
            ResumeSub(paid.sub, "pay:@me", paid.epoch, paid.head),
            ResumeSub(9, f"pay:{one}", paid.epoch, 1),
        )
        assert [sub.outcome for sub in taken(answer).subs] == [ResumeOutcome.REPLAYING] * 2
        assert pushed(client) == [
            (PushType.PAYMENT_STATUS, paid.sub, 2),
            (PushType.PAYMENT_STATUS, paid.sub, 3),
            (PushType.PAYMENT_STATUS, 9, 3),
        ]


async def test_a_lost_position_gets_a_gap_and_then_what_stands() -> None:
    async with FakeHub(FAST).running() as hub:
        first, login = await begin(hub)
        first.live.lost()
        await settle()
        hub.auth.begin_anew(b"epoch--2")
        hub.auth.change(BOB, TrustStatus.BLOCKED)
        hub.payments.change(ALICE, BOB, b"1" * 16)
        client, answer = await again(
            hub,
            login.resume_token,
            login.sid,
            ResumeSub(4, "trust", EPOCH, 900, [ALICE, BOB]),
            ResumeSub(5, "pay:@me", b"another!", 7),
        )
        assert taken(answer).subs == [
            ResumedSub(4, ResumeOutcome.GAP, b"epoch--2", 1),
            ResumedSub(5, ResumeOutcome.GAP, b"journal1", 1),
        ]
        gap, alice, bob, gap_of_pay, payment = client.pushes()
        assert gap.body == Gap(4, 901, 1, GapCause.EPOCH)
        assert isinstance(alice.body, TrustChanged)
        assert isinstance(bob.body, TrustChanged)
        assert (alice.body.wallet, bob.body.wallet) == (ALICE, BOB)
        assert (bob.body.status, bob.offset) == (TrustStatus.BLOCKED, 1)
        assert gap_of_pay.body == Gap(5, 8, 1, GapCause.EPOCH)
        assert payment.type is PushType.PAYMENT_STATUS
        hub.auth.change(ALICE)
        await settle()
        assert pushed(client) == [(PushType.TRUST_CHANGED, 4, 2)]


async def test_more_than_4096_entries_behind_begins_with_what_stands() -> None:
    async with FakeHub(FAST).running() as hub:
        first, login = await begin(hub)
        first.live.lost()
        await settle()
        hub.auth.change(BOB)
        hub.auth.log.append(type(hub.auth.log[0])(4_097, hub.auth.log[0].body))
        token = login.resume_token
        client, answer = await again(hub, token, login.sid, ResumeSub(1, "trust", EPOCH, 0, [BOB]))
        assert [sub.outcome for sub in taken(answer).subs] == [ResumeOutcome.GAP]
        assert isinstance(client.pushes()[0].body, Gap)
        client.live.lost()
        await settle()
        client, answer = await again(
            hub, taken(answer).resume_token, login.sid, ResumeSub(1, "trust", EPOCH, 1, [BOB])
        )
        assert [sub.outcome for sub in taken(answer).subs] == [ResumeOutcome.REPLAYING]


async def test_what_cant_be_read_is_left_out_and_the_rest_goes_on() -> None:
    async with FakeHub(FAST).running() as hub:
        first, login = await begin(hub)
        first.live.lost()
        await settle()
        hub.payments.ready = False
        client, answer = await again(
            hub,
            login.resume_token,
            login.sid,
            ResumeSub(1, "pay:" + "00" * 16, EPOCH, 0),
            ResumeSub(2, "trust:@me", EPOCH, 0),
        )
        assert [sub.sub for sub in taken(answer).subs] == [2]
        assert list(client.live.subscriptions) == [2]


@pytest.mark.parametrize(
    ("subs", "code"),
    [
        ([ResumeSub(1, "nowhere", EPOCH, 0)], ErrorCode.UNKNOWN_CHANNEL),
        ([ResumeSub(1, "trust", EPOCH, 0)], ErrorCode.BAD_MESSAGE),
        ([ResumeSub(1, "pay:@me", EPOCH, 0)], ErrorCode.FORBIDDEN_SCOPE),
        ([ResumeSub(1, "trust:@me", EPOCH, 0)] * 2, ErrorCode.BAD_MESSAGE),
        ([ResumeSub(n, "trust:@me", EPOCH, 0) for n in (1, 2, 3)], ErrorCode.SUB_LIMIT),
    ],
)
async def test_subscriptions_that_cant_be_meant_are_refused_before_the_token_is_used(
    subs: list[ResumeSub], code: ErrorCode
) -> None:
    limits = Limits(requests_per_s=1_000, requests_burst=10_000, subscriptions_max=2)
    async with FakeHub(limits).running() as hub:
        hub.auth.scopes = ("trust",)
        first, login = await begin(hub)
        first.live.lost()
        await settle()
        _, answer = await again(hub, login.resume_token, login.sid, *subs)
        assert refused(answer) == code
        _, answer = await again(hub, login.resume_token, login.sid)
        taken(answer)


async def test_a_change_while_the_missed_ones_are_read_comes_once_behind_them() -> None:
    async with FakeHub(FAST).running() as hub:
        first, login = await begin(hub)
        first.live.lost()
        await settle()
        hub.auth.change(BOB)
        hub.auth.gate = asyncio.Event()
        client = hub.client()
        subs = [ResumeSub(1, "trust", EPOCH, 0, [BOB])]
        sent = client.send(
            RequestType.RESUME, client.resume_request(login.resume_token, login.sid, subs)
        )
        await settle()
        hub.auth.gate.set()
        hub.auth.gate = asyncio.Event()
        await settle()  # The trust was read again; now the log is being read.
        hub.auth.change(BOB)
        hub.auth.gate.set()
        await settle()
        hub.auth.change(BOB)
        await settle()
        _, reply, *pushes = client.wire.take()
        assert isinstance(reply, Reply)
        assert reply.id == sent
        assert [push.offset for push in pushes if isinstance(push, Push)] == [1, 2, 3]
