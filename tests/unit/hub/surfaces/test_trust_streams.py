"""Trust over server-sent events: order, what was missed, bounds, ends."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app_fakes import KEY_ID, SHOP, api_key, fake_apps
from fakes import FakeClock
from realtime_hub.surfaces import trust_streams
from realtime_hub.surfaces.trust_streams import TrustStream, TrustStreams
from realtime_protocol.identity import PublicKey, encode_identity
from realtime_protocol.messages import Position, TrustStatus
from session_fakes import ALICE, BOB, EPOCH, FakeAuth

Event = tuple[str, str | None, dict[str, Any]]


class Bench:
    """Streams over a log in a list."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.auth = FakeAuth(self.clock)
        self.apps, self.store = fake_apps(self.clock)
        self.streams = TrustStreams(self.auth, self.apps, self.clock)
        self.auth.listeners.append(self.streams.on_trust_change)

    def open(
        self, *wallets: PublicKey, since: Position | None = None
    ) -> tuple[TrustStream, AsyncIterator[Event]]:
        shop = self.apps.named(SHOP)
        assert shop is not None
        stream = self.streams.open(api_key(), shop, frozenset(wallets), since)
        return stream, parse(stream.chunks())

    def place(self, offset: int) -> str:
        return f"{self.auth.epoch.hex()}:{offset}"


async def parse(chunks: AsyncIterator[bytes]) -> AsyncIterator[Event]:
    async for chunk in chunks:
        for text in chunk.decode().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in text.splitlines())
            if fields:
                yield fields["event"], fields.get("id"), json.loads(fields["data"])


async def test_a_stream_begins_then_says_that_nothing_is_missing_then_tells_changes() -> None:
    bench = Bench()
    bench.auth.change(ALICE)
    _, events = bench.open()
    assert await anext(events) == ("begin", bench.place(1), {"recovered": False})
    name, place, data = await anext(events)
    assert (name, place, data["backbone_ok"]) == ("checkpoint", bench.place(1), True)
    bench.auth.change(BOB, TrustStatus.BLOCKED)
    name, place, data = await anext(events)
    assert (name, place) == ("trust", bench.place(2))
    assert (data["wallet"], data["status"]) == (encode_identity(BOB), "BLOCKED")


async def test_who_comes_back_gets_what_it_missed_once_and_in_order() -> None:
    bench = Bench()
    for wallet in (ALICE, BOB, ALICE):
        bench.auth.change(wallet)
    _, events = bench.open(since=Position(EPOCH, 1))
    bench.auth.change(BOB, TrustStatus.BLOCKED)
    assert (await anext(events))[0] == "begin"
    places = [(await anext(events))[1] for _ in range(3)]
    assert places == [bench.place(2), bench.place(3), bench.place(4)]
    assert (await anext(events))[0] == "checkpoint"


@pytest.mark.parametrize("since", [Position(b"epoch--0", 1), Position(EPOCH, 0)])
async def test_what_can_not_be_had_any_more_is_a_gap(
    since: Position, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trust_streams, "REPLAY_MAX", 1)
    bench = Bench()
    bench.auth.change(ALICE)
    bench.auth.change(ALICE)
    _, events = bench.open(since=since)
    assert await anext(events) == ("gap", bench.place(2), {"cause": "trimmed"})


async def test_a_log_that_begins_anew_is_a_gap() -> None:
    bench = Bench()
    _, events = bench.open()
    await anext(events)
    await anext(events)
    bench.auth.begin_anew(b"epoch--2")
    bench.streams.begin_anew()
    assert await anext(events) == ("gap", bench.place(0), {"cause": "epoch"})


async def test_only_the_wallets_that_were_asked_for_come() -> None:
    bench = Bench()
    _, events = bench.open(BOB)
    await anext(events)
    bench.auth.change(ALICE)
    bench.auth.change(BOB)
    assert (await anext(events))[1] == bench.place(2)


async def test_the_apps_own_list_comes_without_a_place() -> None:
    bench = Bench()
    shop = bench.apps.named(SHOP)
    assert shop is not None
    bench.apps.block(shop, ALICE, reason=1)
    _, events = bench.open()
    await anext(events)
    name, place, data = await anext(events)
    assert (name, place, data["status"]) == ("trust", None, "BLOCKED")
    bench.apps.unblock(shop, ALICE)
    name, place, data = await anext(events)
    assert (name, place, data["status"]) == ("trust", None, "UNKNOWN")


async def test_a_reader_that_takes_nothing_is_ended_at_the_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(trust_streams, "EVENTS_QUEUED_MAX", 2)
    bench = Bench()
    _, events = bench.open()
    await anext(events)
    for _ in range(3):
        bench.auth.change(ALICE)
    assert [event async for event in events] == []


async def test_streams_end_with_their_key_and_with_their_hub() -> None:
    bench = Bench()
    _, events = bench.open()
    await anext(events)
    bench.store.kept_keys[KEY_ID] = api_key(revoked_ms=1)
    bench.apps.reread()
    assert [event async for event in events] == []
    _, events = bench.open()
    bench.streams.stop()
    assert [event[0] async for event in events] == ["begin"]
