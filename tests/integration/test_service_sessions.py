"""Backends over a real socket, on both ways in: who is let in, and what a feed is worth."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from app_fakes import TOKEN, api_key
from realtime_client.errors import HubError
from realtime_client.trust_feed import FeedStaleError, TrustFeed
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import (
    LoginReply,
    PushType,
    RequestType,
    Scheme,
    ServiceRequest,
    SignedText,
    TrustStatus,
)
from waiting import eventually
from ws_hub import ALICE, ORIGIN, ServedHub, served_hub

GOOD = b"\x01" * 64


@pytest.mark.parametrize("asgi", [False, True])
async def test_a_key_in_a_page_is_refused_and_a_backends_taken(asgi: bool) -> None:
    async with served_hub(asgi=asgi, keys=[api_key()]) as hub:
        async with hub.client(origin=ORIGIN) as page:
            with pytest.raises(RequestError) as refused:
                await page.ask(RequestType.SERVICE, ServiceRequest(TOKEN))
            assert refused.value.code is ErrorCode.FORBIDDEN_SCOPE
        async with hub.client() as backend:
            reply = await backend.ask(RequestType.SERVICE, ServiceRequest(TOKEN))
            assert isinstance(reply, LoginReply)


async def test_where_only_pages_log_wallets_in_a_backend_still_gets_in() -> None:
    async with served_hub(keys=[api_key()], domain_without_origin=None) as hub:
        async with hub.client() as stranger:
            with pytest.raises(RequestError) as refused:
                await stranger.log_in()
            assert refused.value.code is ErrorCode.DOMAIN_MISMATCH
        async with hub.client() as backend:
            await backend.ask(RequestType.SERVICE, ServiceRequest(TOKEN))


@asynccontextmanager
async def feed_of(hub: ServedHub) -> AsyncIterator[TrustFeed]:
    """A feed whose hub's clock a test moves; it goes by the same clock."""
    feed = TrustFeed(hub.url, TOKEN, monotonic_s=hub.clock.monotonic_s)
    opening = asyncio.create_task(feed.__aenter__())
    try:
        async with asyncio.timeout(10):
            while not opening.done():
                await asyncio.sleep(0.01)
                await hub.pass_time(500)
        await opening
        yield feed
    finally:
        await feed.__aexit__(None, None, None)


async def test_a_feed_knows_of_a_change_without_asking_again() -> None:
    async with served_hub(keys=[api_key()]) as hub, feed_of(hub) as feed:
        await feed.get(ALICE)
        hub.auth.change(ALICE, TrustStatus.BLOCKED)
        asked = hub.context.counters.served[RequestType.TRUST_GET]
        await eventually(lambda: feed._known[ALICE] is not None and _blocked(feed, ALICE))
        assert (await feed.get(ALICE)).status is TrustStatus.BLOCKED
        assert hub.context.counters.served[RequestType.TRUST_GET] == asked
        [verdict] = await feed.verify([SignedText(ALICE, Scheme.RAW, b"text", GOOD)])
        assert (verdict.valid, verdict.trust.status) == (True, TrustStatus.BLOCKED)


def _blocked(feed: TrustFeed, wallet: PublicKey) -> bool:
    known = feed._known[wallet]
    return known is not None and known.status is TrustStatus.BLOCKED


async def test_a_feed_is_stale_once_its_hub_vouches_no_more_and_fresh_again_after() -> None:
    async with served_hub(keys=[api_key()]) as hub, feed_of(hub) as feed:
        hub.auth.backbone_ok = False
        await hub.pass_time(250)
        await eventually(lambda: not feed.is_fresh)
        with pytest.raises(FeedStaleError):
            await feed.get(ALICE)
        hub.auth.backbone_ok = True
        await hub.pass_time(1_000)
        await eventually(lambda: feed.is_fresh)


async def test_silence_alone_makes_a_feed_stale() -> None:
    async with served_hub(keys=[api_key()]) as hub, feed_of(hub) as feed:
        hub.clock.advance_ms(5_000)
        assert not feed.is_fresh


async def test_a_key_that_isnt_taken_is_told_at_once() -> None:
    async with served_hub(keys=[api_key(revoked_ms=1)]) as hub:
        with pytest.raises(HubError) as refused:
            async with TrustFeed(hub.url, TOKEN):
                pass
        assert refused.value.code == ErrorCode.NOT_AUTHENTICATED


async def test_every_second_a_backend_hears_that_nothing_is_missing() -> None:
    async with served_hub(keys=[api_key()]) as hub, hub.client() as backend:
        await backend.ask(RequestType.SERVICE, ServiceRequest(TOKEN))
        reply = await backend.subscribe("trust:*")
        await hub.pass_time(1_000)
        push = await backend.push(PushType.CHECKPOINT)
        assert [(head.sub, head.head) for head in push.body.heads] == [(reply.sub, reply.head)]  # type: ignore[attr-defined]
