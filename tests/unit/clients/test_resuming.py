"""Coming back without the wallet: what is resumed, what is told, when a login is needed."""

import asyncio
from typing import Any

import pytest

from realtime_client import (
    CloseCode,
    ConnectionClosedError,
    ErrorCode,
    HubError,
    LoggedInAgain,
    LoginError,
    Lost,
    Reconnect,
    Reconnecting,
    Resumed,
    SessionEvent,
    TrustChange,
    TrustStatus,
    TrustWatch,
    Wallet,
    WalletBlockedError,
    connect,
)
from realtime_client.fake_hub import FakeHub
from realtime_client.resuming import Ticket, fitting
from realtime_client.session import Session
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import RequestType, ResumeSub
from realtime_protocol.schnorrq import keypair, sign
from waiting import eventually

KEYS = keypair("c" * 55)
OTHER = PublicKey(bytes(range(32)))
EPOCH = bytes(8)


class CountingWallet(Wallet):
    """Counts how often somebody had to sign."""

    def __init__(self) -> None:
        self.signatures = 0

        def signer(to_sign: Any) -> bytes:
            self.signatures += 1
            return sign(KEYS.subseed, KEYS.public_key, to_sign.message)

        super().__init__(KEYS.public_key, signer)


@pytest.fixture
def counting() -> CountingWallet:
    return CountingWallet()


async def next_of(watch: TrustWatch) -> TrustChange:
    async with asyncio.timeout(5):
        return await anext(watch)


async def event(session: Session, kind: type[SessionEvent]) -> Any:
    """Return the next event of that kind."""
    async with asyncio.timeout(5):
        async for found in session.events:
            if isinstance(found, kind):
                return found
    raise AssertionError("the session ended")


async def test_a_lost_session_goes_on_without_another_signature(
    hub: FakeHub, counting: CountingWallet, quick: Reconnect
) -> None:
    async with connect(hub.url, counting, reconnect=quick) as session:
        sid = session.login.sid
        for _ in range(3):
            await hub.drop()
            assert await event(session, Resumed) == Resumed(0, 0, 0)
        assert session.login.sid == sid
        assert (await session.ping()).backbone_ok
        assert (hub.logins, hub.resumes, counting.signatures) == (1, 3, 1)


async def test_a_program_is_told_of_the_way_back(
    hub: FakeHub, wallet: Wallet, quick: Reconnect
) -> None:
    async with connect(hub.url, wallet, reconnect=quick) as session:
        watch = await session.trust.subscribe([OTHER])
        hub.forget_positions()
        await hub.drop(CloseCode.OVERLOADED)
        way = await event(session, Reconnecting)
        assert isinstance(way.why, ConnectionClosedError)
        assert 0 <= way.pause_s <= 0.01
        assert await event(session, Resumed) == Resumed(0, 0, 1)
        assert (await event(session, Lost)).gap.sub == watch.sub
    assert [left async for left in session.events] == []


async def test_what_happened_meanwhile_is_told_once_and_streams_keep_their_numbers(
    hub: FakeHub, wallet: Wallet, quick: Reconnect
) -> None:
    async with connect(hub.url, wallet, reconnect=quick) as session:
        own = await session.trust.subscribe()
        other = await session.trust.subscribe([OTHER])
        numbers = own.sub, other.sub
        await hub.set_trust(OTHER, TrustStatus.ACTIVE, 1)
        assert (await next_of(other)).score == 1
        await hub.drop()
        await hub.set_trust(OTHER, TrustStatus.ACTIVE, 2)
        await hub.set_trust(OTHER, TrustStatus.ACTIVE, 3)
        assert await event(session, Resumed) == Resumed(1, 1, 0)
        await hub.set_trust(OTHER, TrustStatus.ACTIVE, 4)
        assert [(await next_of(other)).score for _ in range(3)] == [2, 3, 4]
        assert (own.sub, other.sub) == numbers
        assert RequestType.SUBSCRIBE not in hub.requests[4:]


async def test_a_stream_that_was_closed_while_away_is_not_taken_up_again(
    hub: FakeHub, wallet: Wallet, quick: Reconnect
) -> None:
    async with connect(hub.url, wallet, reconnect=quick) as session:
        watch = await session.trust.subscribe([OTHER])
        await hub.drop()
        await watch.aclose()
        await event(session, Resumed)
        await session.ping()
        assert all(not client.subs for client in hub._clients)


async def test_a_checkpoint_moves_a_quiet_stream_on(
    hub: FakeHub, wallet: Wallet, quick: Reconnect
) -> None:
    async with connect(hub.url, wallet, reconnect=quick) as session:
        watch = await session.trust.subscribe([OTHER])
        await hub.set_trust(wallet.public_key, TrustStatus.ACTIVE, 1)
        await hub.checkpoint()
        await session.ping()
        hub._trust_log.clear()  # A position before it would need what is gone.
        await hub.drop()
        assert await event(session, Resumed) == Resumed(1, 0, 0)
        await hub.set_trust(OTHER, TrustStatus.ACTIVE, 9)
        assert (await next_of(watch)).seq == 2


async def test_behind_a_gap_only_what_differs_is_told(
    hub: FakeHub, wallet: Wallet, quick: Reconnect
) -> None:
    async with connect(hub.url, wallet, reconnect=quick) as session:
        watch = await session.trust.subscribe([OTHER, wallet.public_key])
        await hub.set_trust(OTHER, TrustStatus.ACTIVE, 1)
        assert (await next_of(watch)).score == 1
        await hub.drop()
        hub.forget_positions()
        await hub.set_trust(wallet.public_key, TrustStatus.ACTIVE, 7)
        change = await next_of(watch)
        assert (change.wallet, change.score, change.initiator) == (wallet.public_key, 7, None)
        assert watch.gaps == 1
        await hub.drop()
        assert await event(session, Resumed) == Resumed(0, 0, 1)
        assert await event(session, Resumed) == Resumed(1, 0, 0)


@pytest.mark.parametrize("code", [ErrorCode.RESUME_UNKNOWN, ErrorCode.RESUME_EXPIRED])
async def test_only_a_session_that_is_gone_asks_the_wallet_again(
    hub: FakeHub, counting: CountingWallet, quick: Reconnect, code: ErrorCode
) -> None:
    async with connect(hub.url, counting, reconnect=quick) as session:
        watch = await session.trust.subscribe([OTHER])
        hub.refuse_next(RequestType.RESUME, RequestError(code))
        await hub.drop()
        await hub.set_trust(OTHER, TrustStatus.ACTIVE, 5)
        assert await event(session, LoggedInAgain) == LoggedInAgain()
        assert (await next_of(watch)).score == 5
        assert (hub.logins, counting.signatures) == (2, 2)
        await hub.drop()
        await event(session, Resumed)
        assert counting.signatures == 2


async def test_a_busy_hub_is_asked_again_with_the_same_token(
    hub: FakeHub, counting: CountingWallet, quick: Reconnect
) -> None:
    async with connect(hub.url, counting, reconnect=quick) as session:
        busy = RequestError(ErrorCode.OVERLOADED, retry_after_ms=1)
        hub.refuse_next(RequestType.RESUME, busy)
        hub.refuse_next(RequestType.RESUME, busy)
        await hub.drop()
        await event(session, Resumed)
        assert (hub.resumes, counting.signatures) == (1, 1)


@pytest.mark.parametrize("done", [False, True])
async def test_a_lost_answer_costs_no_signature(
    hub: FakeHub, counting: CountingWallet, quick: Reconnect, done: bool
) -> None:
    async with connect(hub.url, counting, reconnect=quick) as session:
        hub.mute_next(RequestType.RESUME, done=done)
        await hub.drop()
        await event(session, Resumed)
        assert counting.signatures == 1


async def test_a_wallet_blocked_while_away_ends_the_session_unasked(
    hub: FakeHub, counting: CountingWallet, quick: Reconnect
) -> None:
    async with connect(hub.url, counting, reconnect=quick) as session:
        await hub.drop()
        await hub.set_trust(counting.public_key, TrustStatus.BLOCKED)
        assert isinstance(await session.wait_closed(), WalletBlockedError)
        assert (hub.logins, counting.signatures) == (1, 1)


async def test_a_token_that_another_used_ends_the_session(
    hub: FakeHub, counting: CountingWallet, quick: Reconnect
) -> None:
    async with connect(hub.url, counting, reconnect=quick) as session:
        old = session._ticket
        await hub.drop()
        await event(session, Resumed)
        session._ticket = old
        await hub.drop()
        ended = await session.wait_closed()
        assert isinstance(ended, LoginError)
        assert ended.code == ErrorCode.RESUME_REUSED
        assert counting.signatures == 1


async def test_a_goaways_range_is_kept_and_without_resume_it_logs_in(
    hub: FakeHub, counting: CountingWallet
) -> None:
    slow = Reconnect(first_s=30.0)
    async with connect(hub.url, counting, reconnect=slow) as session:
        for resume_ok in (True, False):
            await hub.goaway(max_ms=50, resume_ok=resume_ok)
            way = await event(session, Reconnecting)
            assert way.pause_s <= 0.05
            await event(session, Resumed if resume_ok else LoggedInAgain)
        assert counting.signatures == 2


async def test_a_refresh_prolongs_the_session_with_a_new_key(
    hub: FakeHub, counting: CountingWallet, quick: Reconnect
) -> None:
    async with connect(hub.url, counting, reconnect=quick) as session:
        before = session._ticket
        reply = await session.refresh()
        assert reply.sid == session.login.sid
        assert session._ticket != before
        assert (hub.requests[-2:], counting.signatures) == (
            [RequestType.LOGIN, RequestType.REFRESH],
            2,
        )
        await hub.drop()
        await event(session, Resumed)
        assert counting.signatures == 2


async def test_a_refused_refresh_leaves_the_session_as_it_is(
    hub: FakeHub, counting: CountingWallet
) -> None:
    async with connect(hub.url, counting) as session:
        hub.refuse_next(RequestType.LOGIN, RequestError(ErrorCode.BAD_SIGNATURE))
        with pytest.raises(HubError, match="204"):
            await session.refresh()
        assert session.connected
        await session.ping()


async def test_with_a_key_of_the_programs_own_a_lost_session_is_logged_in_to(
    hub: FakeHub, counting: CountingWallet, quick: Reconnect
) -> None:
    async with connect(hub.url, counting, session_key=bytes(32), reconnect=quick) as session:
        await hub.drop()
        await event(session, LoggedInAgain)
        assert counting.signatures == 2


async def test_secrets_stay_out_of_what_is_printed(hub: FakeHub, wallet: Wallet) -> None:
    async with connect(hub.url, wallet) as session:
        ticket = session._ticket
        assert ticket is not None
        assert session.login.resume_token == b""
        assert repr(ticket) == f"Ticket(sid={ticket.sid!r})"


def test_rows_fill_a_frame_and_no_more() -> None:
    watch = ResumeSub(1, "trust", EPOCH, 0, [bytes(32)] * 100)
    small = [ResumeSub(number, "trust:@me", EPOCH, 0) for number in range(2, 100)]
    assert len(fitting(small, 4_096)) == 64
    assert fitting([watch, watch, small[0]], 4_096) == [watch, small[0]]
    assert fitting([watch], 4_096 // 2) == []


def test_a_ticket_is_a_value() -> None:
    assert Ticket("s", b"t", b"k") == Ticket("s", b"t", b"k")


async def test_a_session_that_another_connection_took_ends(
    hub: FakeHub, wallet: Wallet, quick: Reconnect
) -> None:
    async with connect(hub.url, wallet, reconnect=quick) as session:
        await hub.drop(CloseCode.SUPERSEDED)
        ended = await session.wait_closed()
        assert isinstance(ended, ConnectionClosedError)
        assert ended.code is CloseCode.SUPERSEDED
        await eventually(lambda: not hub.connections)
