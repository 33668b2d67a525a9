"""Which sessions have seen a revocation."""

from realtime_hub.session.coverage import REVOCATIONS_MAX
from realtime_hub.surfaces.coverage_admin import add_up
from realtime_protocol.messages import (
    AckRequest,
    RequestType,
    SubscribeRequest,
    TrustStatus,
)
from session_fakes import ALICE, BOB, CAROL, Client, FakeHub, settle


async def watcher(hub: FakeHub) -> Client:
    client = await hub.session(BOB)
    await client.ask(RequestType.SUBSCRIBE, SubscribeRequest("trust", None, [ALICE]))
    return client


def figures(hub: FakeHub, log_seq: int) -> tuple[object, ...]:
    found = hub.context.coverage.describe(log_seq)
    assert found is not None
    return tuple(found[name] for name in ("owed", "seen", "closed", "waiting"))


async def test_who_took_the_bytes_has_seen_it_and_the_blocked_ones_are_closed() -> None:
    hub = FakeHub()
    async with hub.running():
        await watcher(hub)
        await hub.session(ALICE)
        await hub.session(CAROL)
        hub.auth.change(ALICE, TrustStatus.BLOCKED)
        await settle()
        assert figures(hub, 1) == (2, 1, 1, 0)
        assert hub.context.coverage.waiting == 0


async def test_a_client_whose_system_takes_nothing_is_named_until_it_does() -> None:
    hub = FakeHub()
    async with hub.running():
        slow = await watcher(hub)
        slow.wire.writable = False
        hub.auth.change(ALICE, TrustStatus.BLOCKED)
        await settle()
        found = hub.context.coverage.describe(1)
        assert found is not None
        assert found["waiting_sessions"] == [slow.live.sid]
        hub.clock.advance_ms(700)
        assert hub.context.coverage.oldest_waiting_ms == 700
        slow.wire.writable = True
        slow.live.flush()
        slow.live.tick(hub.clock.monotonic_s())
        assert figures(hub, 1) == (1, 1, 0, 0)


async def test_bytes_that_wait_in_the_system_are_not_seen() -> None:
    hub = FakeHub()
    async with hub.running():
        slow = await watcher(hub)
        slow.wire.unsent_bytes = 1
        hub.auth.change(ALICE, TrustStatus.BLOCKED)
        await settle()
        assert figures(hub, 1) == (1, 0, 0, 1)
        slow.wire.unsent_bytes, slow.wire.drained_bytes = 0, slow.wire.drained_bytes + 1
        slow.live.tick(hub.clock.monotonic_s())
        assert figures(hub, 1) == (1, 1, 0, 0)


async def test_a_session_that_ends_before_it_saw_it_is_closed() -> None:
    hub = FakeHub()
    async with hub.running():
        slow = await watcher(hub)
        slow.wire.writable = False
        hub.auth.change(ALICE, TrustStatus.BLOCKED)
        await settle()
        slow.live.lost()
        assert figures(hub, 1) == (1, 0, 1, 0)


async def test_a_backend_has_seen_it_when_it_says_so() -> None:
    hub = FakeHub()
    async with hub.running():
        client = await hub.client().serve()
        reply = await client.ask(RequestType.SUBSCRIBE, SubscribeRequest("trust:*"))
        hub.auth.change(ALICE, TrustStatus.BLOCKED)
        hub.auth.change(BOB, TrustStatus.BLOCKED)
        await settle()
        client.live.tick(hub.clock.monotonic_s())
        assert figures(hub, 1) == figures(hub, 2) == (1, 0, 0, 1)
        client.send(RequestType.ACK, AckRequest(reply.sub, 1))
        assert figures(hub, 1) == (1, 1, 0, 0)
        assert figures(hub, 2) == (1, 0, 0, 1)


async def test_a_session_with_two_subscriptions_counts_once() -> None:
    hub = FakeHub()
    async with hub.running():
        client = await watcher(hub)
        await client.ask(RequestType.SUBSCRIBE, SubscribeRequest("trust", None, [ALICE, CAROL]))
        hub.auth.change(ALICE, TrustStatus.BLOCKED)
        await settle()
        assert figures(hub, 1) == (1, 1, 0, 0)


async def test_only_blocks_are_counted_and_only_the_newest_kept() -> None:
    hub = FakeHub()
    async with hub.running():
        hub.auth.change(ALICE)
        assert hub.context.coverage.describe(1) is None
        for _ in range(REVOCATIONS_MAX + 1):
            hub.auth.change(ALICE, TrustStatus.BLOCKED)
            await settle()
        assert hub.context.coverage.describe(2) is None
        assert hub.context.coverage.describe(3) is not None
        assert hub.context.coverage.page(limit=1)[0]["log_seq"] == REVOCATIONS_MAX + 2


async def test_a_log_that_began_anew_counts_anew() -> None:
    hub = FakeHub()
    async with hub.running():
        slow = await watcher(hub)
        hub.context.fanout.check_epoch()
        slow.wire.writable = False
        hub.auth.change(ALICE, TrustStatus.BLOCKED)
        await settle()
        hub.auth.begin_anew(b"epoch--2")
        hub.context.fanout.check_epoch()
        assert hub.context.coverage.waiting == 0
        assert not slow.live.owes(1)
        slow.wire.writable = True
        slow.live.flush()
        await settle()
        hub.auth.change(ALICE, TrustStatus.BLOCKED)
        await settle()
        assert figures(hub, 1) == (1, 1, 0, 0)


def test_what_several_processes_say_is_added_up() -> None:
    one = {"log_seq": 4, "at_ms": 9, "owed": 3, "seen": 2, "closed": 0, "waiting": 1}
    other = {"log_seq": 4, "at_ms": 7, "owed": 1, "seen": 0, "closed": 1, "waiting": 0}
    whole = add_up([{**one, "waiting_sessions": ["a"]}, {**other, "waiting_sessions": []}])
    assert whole == {
        "log_seq": 4,
        "at_ms": 7,
        "owed": 4,
        "seen": 2,
        "closed": 1,
        "waiting": 1,
        "waiting_sessions": ["a"],
    }
