"""Watching trust: nothing missed, nothing twice, nobody waits for a slow reader."""

import asyncio

import pytest

from realtime_client import ConnectionClosedError, Reconnect, TrustStatus, Wallet, connect
from realtime_client.fake_hub import FakeHub
from realtime_client.trust import CHANGES_QUEUED_MAX, TrustChange, TrustWatch
from realtime_protocol.codec import Push
from realtime_protocol.identity import PublicKey, encode_identity
from realtime_protocol.messages import (
    Initiator,
    PushType,
    RequestType,
    SubscribeReply,
    TrustChanged,
)

OTHER = PublicKey(bytes(range(32)))


async def next_of(watch: TrustWatch) -> TrustChange:
    async with asyncio.timeout(5):
        return await anext(watch)


async def test_the_own_wallets_changes_come_with_the_time_they_took(
    hub: FakeHub, wallet: Wallet
) -> None:
    async with connect(hub.url, wallet) as session, session.trust.subscribe() as watch:
        assert watch.current[wallet.public_key].status is TrustStatus.UNKNOWN
        await hub.set_trust(wallet.public_key, TrustStatus.ACTIVE, 90, reason=4, pending=True)
        change = await next_of(watch)
        assert (change.wallet, change.status, change.score) == (wallet.public_key, 1, 90)
        assert (change.reason, change.seq, change.pending) == (4, 1, True)
        assert change.identity == wallet.identity
        assert change.event_ms is not None
        assert change.received_ms >= change.event_ms
        assert watch.current[wallet.public_key] == change


async def test_other_wallets_are_watched_by_identity_or_key(hub: FakeHub, wallet: Wallet) -> None:
    async with connect(hub.url, wallet) as session:
        watch = await session.trust.subscribe([encode_identity(OTHER)])
        await hub.set_trust(wallet.public_key, TrustStatus.ACTIVE)
        await hub.set_trust(OTHER, TrustStatus.BLOCKED)
        assert (await next_of(watch)).wallet == OTHER
        await watch.aclose()
        assert RequestType.UNSUBSCRIBE in hub.requests
        with pytest.raises(StopAsyncIteration):
            await anext(watch)


async def test_trust_is_asked_for_in_order(hub: FakeHub, wallet: Wallet) -> None:
    await hub.set_trust(OTHER, TrustStatus.ACTIVE, 55)
    async with connect(hub.url, wallet) as session:
        first, second = await session.trust.get([wallet.identity, OTHER])
        assert (first.status, second.score) == (TrustStatus.UNKNOWN, 55)
        many = await session.trust.get([OTHER] * 130)
        assert len(many) == 130
        assert hub.requests.count(RequestType.TRUST_GET) == 4


async def test_what_changed_while_away_is_replayed_once(
    hub: FakeHub, wallet: Wallet, quick: Reconnect
) -> None:
    async with connect(hub.url, wallet, reconnect=quick) as session:
        watch = await session.trust.subscribe([OTHER])
        await hub.set_trust(OTHER, TrustStatus.ACTIVE, 10)
        assert (await next_of(watch)).seq == 1
        await hub.drop()
        await hub.set_trust(OTHER, TrustStatus.ACTIVE, 20)
        await hub.set_trust(OTHER, TrustStatus.BLOCKED, 0)
        assert [(await next_of(watch)).seq, (await next_of(watch)).seq] == [2, 3]
        assert session.reconnects == 1


async def test_when_the_position_is_lost_the_snapshot_tells_only_what_differs(
    hub: FakeHub, wallet: Wallet, quick: Reconnect
) -> None:
    async with connect(hub.url, wallet, reconnect=quick) as session:
        watch = await session.trust.subscribe([OTHER, wallet.public_key])
        hub.forget_positions()
        await hub.drop()
        await hub.set_trust(OTHER, TrustStatus.ACTIVE, 20)
        change = await next_of(watch)
        assert (change.wallet, change.score, change.event_ms) == (OTHER, 20, None)
        assert change.initiator is None
        await hub.set_trust(OTHER, TrustStatus.ACTIVE, 21)
        assert (await next_of(watch)).score == 21


async def test_a_gap_is_made_up_for_by_the_state_that_follows(hub: FakeHub, wallet: Wallet) -> None:
    async with connect(hub.url, wallet) as session:
        watch = await session.trust.subscribe([OTHER])
        await hub.set_trust(OTHER, TrustStatus.ACTIVE, 10)
        await next_of(watch)
        await hub.gap()
        await hub.set_trust(OTHER, TrustStatus.ACTIVE, 11)
        assert (await next_of(watch)).score == 11  # What stands as before isn't told again.
        assert watch.gaps == 1


async def test_a_blocked_wallet_hears_it_and_then_the_end(hub: FakeHub, wallet: Wallet) -> None:
    async with connect(hub.url, wallet) as session, session.trust.subscribe() as watch:
        await hub.set_trust(wallet.public_key, TrustStatus.BLOCKED, 0)
        assert (await next_of(watch)).status is TrustStatus.BLOCKED
        with pytest.raises(ConnectionClosedError) as caught:
            await next_of(watch)
        assert caught.value.code == 4503


class NoHub:
    """Keeps streams that nobody feeds."""

    async def add(self, stream: object) -> None: ...
    async def drop(self, stream: object) -> None: ...


def fed_watch(wallets: int) -> TrustWatch:
    watch = TrustWatch(
        NoHub(), [PublicKey(n.to_bytes(32, "little")) for n in range(1, wallets + 1)]
    )
    watch.on_opened(SubscribeReply(1, bytes(8), 0, [], recovered=False), 0)
    return watch


def feed(watch: TrustWatch, wallet: int, offset: int) -> None:
    body = TrustChanged(
        wallet.to_bytes(32, "little"), TrustStatus.ACTIVE, 50, 0, Initiator.ADMIN, 1, 2, False
    )
    watch.on_push(Push(PushType.TRUST_CHANGED, 1, offset, body), 0)


async def test_a_change_that_comes_twice_is_told_once() -> None:
    watch = fed_watch(2)
    for wallet, offset in [(1, 5), (2, 5), (1, 5), (1, 4), (2, 6)]:
        feed(watch, wallet, offset)
    told = [(await anext(watch)).seq for _ in range(3)]
    assert told == [5, 5, 6]
    assert not watch._items


async def test_a_full_queue_keeps_the_newest_of_every_wallet() -> None:
    watch = fed_watch(200)
    feed(watch, 200, 1)
    for offset in range(2, 2_000):
        feed(watch, offset % 3 + 1, offset)
    assert len(watch._items) == CHANGES_QUEUED_MAX
    newest = {change.wallet[0]: change.seq for change in watch._items}
    assert newest == {200: 1, 1: 1_998, 2: 1_999, 3: 1_997}


def test_a_watch_has_a_bound() -> None:
    with pytest.raises(ValueError, match="1 to 256 wallets, not 257"):
        fed_watch(257)
