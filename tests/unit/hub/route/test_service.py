import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
from msgspec import msgpack, structs

from fakes import SeededEntropy
from realtime_hub.adapters.chain_route_health import ChainRouteHealth
from realtime_hub.adapters.memory_catalog import MemoryCatalog
from realtime_hub.route import service as service_module
from realtime_hub.route.model import CATALOG_ARCS_MAX, DIRECT, Arc, ArcHealth
from realtime_hub.route.service import (
    KEEP_TICKS,
    QUOTE_TICKS,
    RENEW_TICKS,
    STREAMS_PER_TURN,
    QuoteService,
)
from realtime_protocol.codes import ErrorCode
from realtime_protocol.decision import key_id_of
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import NULL_PUBLIC_KEY, contract_public_key
from realtime_protocol.messages import DeadlineOf, Intent, Priority, Quote
from realtime_protocol.quote_signature import sign_quote, verify_quote
from realtime_protocol.session_key import session_public_key
from route_graphs import PAYEE, PAYER, AsConfigured, operator_key

INTENT = Intent(PAYER, PAYEE, 1_000, Priority.SPEED, max_fee_qu=10, timeout_ms=30_000)
HUB = operator_key(1)
CHANNEL = (
    Arc("in", None, HUB, "channel", "acme", accepted_ms=5, settled_ms=20, fee_base_qu=1),
    Arc("out", HUB, None, "channel", "acme", accepted_ms=5, settled_ms=20),
)


class World:
    """A quote service whose catalogue, health and tick a test changes."""

    def __init__(self, *arcs: Arc, sign: Callable[[Quote], Quote] | None = None) -> None:
        self.tick = 1_000_000
        self.tick_ms = 1_000
        self.catalog = MemoryCatalog(arcs)
        self.service = QuoteService(
            self.catalog,
            ChainRouteHealth(tick_duration_ms=lambda: self.tick_ms, tick_offset=5),
            SeededEntropy(),
            lambda: self.tick,
            sign=sign,
        )

    def pass_ticks(self, count: int) -> None:
        for _ in range(count):
            self.tick += 1
            self.service.on_tick(self.tick)
            self.renew_all()

    def renew_all(self) -> None:
        while self.service.renew_some():
            pass

    def replace(self, *arcs: Arc) -> None:
        self.catalog.replace(arcs)
        self.service.refresh()
        self.renew_all()


def refused(request: Callable[[], object]) -> RequestError:
    with pytest.raises(RequestError) as caught:
        request()
    return caught.value


def test_a_transfer_is_quoted_as_direct_without_a_fee_and_can_be_paid() -> None:
    quote = World().service.quote(INTENT)
    assert quote.route is not None
    assert (quote.route.kind, quote.route.hops) == ("direct", [PAYER, PAYEE])
    assert (quote.fee_qu, quote.executable, quote.partial) == (0, True, False)
    assert quote.valid_until_tick == 1_000_000 + QUOTE_TICKS
    assert quote.hub_signature is None


def test_a_hub_that_signs_quotes_signs_each_one_that_is_delivered() -> None:
    def sign(quote: Quote) -> Quote:
        return sign_quote(bytes(32), quote)

    world = World(sign=sign)
    key = session_public_key(bytes(32))
    pushed: list[Quote] = []
    stream = world.service.open(INTENT, pushed.append)
    world.pass_ticks(QUOTE_TICKS)
    signed = [world.service.quote(INTENT), stream.first, *pushed]
    assert len(pushed) >= 1
    assert all(verify_quote(quote, {key_id_of(key): key}) for quote in signed)


def test_the_estimate_is_about_what_the_deadline_is_about() -> None:
    world = World()
    assert world.service.quote(INTENT).est_ms == DIRECT.accepted_ms
    settled = structs.replace(INTENT, deadline_of=DeadlineOf.SETTLED)
    assert world.service.quote(settled).est_ms == 6 * 1_000


def test_a_better_route_of_somebody_else_stands_beside_the_one_that_can_be_paid() -> None:
    settled = structs.replace(INTENT, deadline_of=DeadlineOf.SETTLED)
    quote = World(*CHANNEL).service.quote(settled)
    assert quote.route is not None
    assert (quote.route.kind, quote.executable) == ("direct", True)
    (channel,) = quote.alternatives
    assert channel.route.route_id == "in/out"
    assert channel.route.hops == [PAYER, HUB, PAYEE]
    assert (channel.fee_qu, channel.est_ms, channel.executable) == (1, 40, False)


def test_a_route_without_executor_is_offered_as_such_when_nothing_else_keeps_the_bounds() -> None:
    hurried = structs.replace(INTENT, timeout_ms=DIRECT.accepted_ms - 1)
    quote = World(*CHANNEL).service.quote(hurried)
    assert quote.route is not None
    assert (quote.route.kind, quote.executable) == ("channel", False)


@pytest.mark.parametrize("priority", list(Priority))
def test_every_wish_gets_a_route_that_can_be_paid(priority: Priority) -> None:
    quote = World(*CHANNEL).service.quote(structs.replace(INTENT, priority=priority))
    assert quote.executable


def test_a_chain_of_many_arcs_still_fits_the_wire() -> None:
    keys = [operator_key(number) for number in range(12)]
    ends = [None, *keys, None]
    arcs = [
        Arc(f"{'x' * 60}{i}", ends[i], ends[i + 1], f"kind{i}", f"operator{i}", 1, 1)
        for i in range(len(ends) - 1)
    ]
    quote = World(*arcs).service.quote(structs.replace(INTENT, timeout_ms=20))
    assert quote.route is not None
    assert quote.route.kind == "mixed"
    assert len(quote.route.route_id) == 64
    assert msgpack.decode(msgpack.encode(quote), type=Quote) == quote


@pytest.mark.parametrize(
    ("intent", "complaint"),
    [
        (structs.replace(INTENT, destination=PAYER), "same wallet"),
        (structs.replace(INTENT, destination=NULL_PUBLIC_KEY), "payee is not a wallet"),
        (structs.replace(INTENT, destination=contract_public_key(4)), "payee is not a wallet"),
        (structs.replace(INTENT, source=NULL_PUBLIC_KEY), "payer is not a wallet"),
        (structs.replace(INTENT, amount_qu=0), "amount 0"),
        (structs.replace(INTENT, amount_qu=200_000_000_000_001), "amount 200000000000001"),
    ],
)
def test_what_can_not_be_paid_is_a_bad_message(intent: Intent, complaint: str) -> None:
    error = refused(lambda: World().service.quote(intent))
    assert error.code is ErrorCode.BAD_MESSAGE
    assert complaint in error.message


def test_too_short_a_time_is_named_with_the_least_that_works() -> None:
    hurried = structs.replace(INTENT, timeout_ms=5_999, deadline_of=DeadlineOf.SETTLED)
    error = refused(lambda: World().service.quote(hurried))
    assert error.code is ErrorCode.NO_ROUTE
    assert error.fields == {"least_timeout_ms": 6_000}
    assert "timeout_ms 5999: the fastest route needs 6000" in error.message
    works = structs.replace(hurried, timeout_ms=6_000)
    assert World().service.quote(works).executable


def test_an_excluded_operator_is_named() -> None:
    error = refused(lambda: World().service.quote(structs.replace(INTENT, exclude=["qubic"])))
    assert error.code is ErrorCode.NO_ROUTE
    assert "excluded operators" in error.message


def test_a_fee_above_the_bound_has_its_own_code() -> None:
    thrifty = structs.replace(INTENT, max_fee_qu=0, exclude=["qubic"])
    error = refused(lambda: World(*CHANNEL).service.quote(thrifty))
    assert error.code is ErrorCode.FEE_ABOVE_MAX
    assert error.fields["least_max_fee"] == 1


def test_two_bounds_in_the_way_are_not_blamed_on_one() -> None:
    error = refused(
        lambda: World().service.quote(structs.replace(INTENT, exclude=["qubic"], timeout_ms=1))
    )
    assert error.code is ErrorCode.NO_ROUTE
    assert error.fields == {}


def test_a_quote_is_found_by_its_id_until_long_after_its_end() -> None:
    world = World()
    quote = world.service.quote(INTENT)
    found = world.service.find(quote.quote_id)
    assert found is not None
    assert (found.intent, found.quote, found.valid_until_tick) == (
        INTENT,
        quote,
        quote.valid_until_tick,
    )
    world.pass_ticks(QUOTE_TICKS + KEEP_TICKS)
    assert world.service.find(quote.quote_id) is not None
    world.pass_ticks(1)
    assert world.service.find(quote.quote_id) is None
    assert world.service.quotes_remembered == 0


def test_the_oldest_quote_is_forgotten_at_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_module, "QUOTES_REMEMBERED_MAX", 2)
    world = World()
    ids = [world.service.quote(INTENT).quote_id for _ in range(3)]
    assert [world.service.find(each) is not None for each in ids] == [False, True, True]


def test_a_stream_is_silent_while_nothing_changes() -> None:
    world = World()
    seen: list[Quote] = []
    stream = world.service.open(INTENT, seen.append)
    assert stream.first.executable
    world.service.refresh()
    world.renew_all()
    world.pass_ticks(QUOTE_TICKS - RENEW_TICKS - 1)
    assert seen == []


def test_a_stream_gets_a_new_quote_before_the_last_one_ends() -> None:
    world = World()
    seen: list[Quote] = []
    stream = world.service.open(INTENT, seen.append)
    world.pass_ticks(3 * QUOTE_TICKS)
    assert len(seen) == 3 * QUOTE_TICKS // (QUOTE_TICKS - RENEW_TICKS)
    ends = [stream.first.valid_until_tick, *(quote.valid_until_tick for quote in seen)]
    assert ends == sorted(ends)
    assert len({stream.first.quote_id, *(quote.quote_id for quote in seen)}) == len(seen) + 1
    assert all(world.service.find(quote.quote_id) for quote in seen)


def test_a_changed_catalogue_reaches_the_stream() -> None:
    world = World()
    seen: list[Quote] = []
    stream = world.service.open(INTENT, seen.append)
    world.replace(*CHANNEL)
    assert [len(quote.alternatives) for quote in seen] == [1]
    assert seen[0].graph_version > stream.first.graph_version
    world.replace()
    assert [len(quote.alternatives) for quote in seen] == [1, 0]


def test_a_stream_that_loses_its_route_says_so_and_finds_it_again() -> None:
    world = World(*CHANNEL)
    seen: list[Quote] = []
    world.service.open(structs.replace(INTENT, exclude=["qubic"]), seen.append)
    world.replace()
    world.replace(*CHANNEL)
    assert [quote.route is None for quote in seen] == [True, False]
    assert [quote.executable for quote in seen] == [False, False]
    assert world.service.find(seen[0].quote_id) is None


def test_slower_ticks_are_news_when_they_are_much_slower() -> None:
    world = World()
    seen: list[Quote] = []
    world.service.open(structs.replace(INTENT, deadline_of=DeadlineOf.SETTLED), seen.append)
    world.tick_ms = 1_050
    world.pass_ticks(1)
    world.service.refresh()
    world.renew_all()
    assert seen == []
    world.tick_ms = 1_200
    world.pass_ticks(1)
    assert [quote.est_ms for quote in seen] == [7_200]


def test_a_closed_stream_gets_nothing_more() -> None:
    world = World()
    seen: list[Quote] = []
    stream = world.service.open(INTENT, seen.append)
    world.catalog.replace(CHANNEL)
    world.service.refresh()
    stream.close()
    stream.close()
    world.renew_all()
    assert seen == []
    assert world.service.streams_open == 0


def test_a_stream_closed_by_what_another_one_delivers_gets_nothing_more() -> None:
    world = World()
    seen: list[Quote] = []

    def close_all(quote: Quote) -> None:
        seen.append(quote)
        for stream in streams:
            stream.close()

    streams = [world.service.open(INTENT, close_all) for _ in range(2)]
    world.replace(*CHANNEL)
    assert len(seen) == 1


def test_streams_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_module, "STREAMS_MAX", 1)
    world = World()
    stream = world.service.open(INTENT, lambda quote: None)
    error = refused(lambda: world.service.open(INTENT, lambda quote: None))
    assert error.code is ErrorCode.OVERLOADED
    assert error.retry_after_ms is not None
    stream.close()
    world.service.open(INTENT, lambda quote: None)


def test_a_search_that_is_cut_off_still_offers_the_direct_transfer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("realtime_hub.route.search.LABELS_MAX", 2)
    world = World(*CHANNEL)
    quote = world.service.quote(INTENT)
    assert (quote.executable, quote.partial) == (True, True)
    error = refused(lambda: world.service.quote(structs.replace(INTENT, exclude=["qubic"])))
    assert error.code is ErrorCode.OVERLOADED


def test_an_arc_that_is_down_is_never_quoted() -> None:
    class DirectDown(AsConfigured):
        def of(self, arc: Arc) -> ArcHealth:
            return replace(super().of(arc), up=arc.kind != "direct")

    service = QuoteService(MemoryCatalog(), DirectDown(), SeededEntropy(), lambda: 1)
    error = refused(lambda: service.quote(INTENT))
    assert error.code is ErrorCode.NO_ROUTE


async def test_many_streams_are_renewed_in_turns_that_let_others_run() -> None:
    world = World()
    seen: list[Quote] = []
    for _ in range(3 * STREAMS_PER_TURN):
        world.service.open(INTENT, seen.append)
    running = asyncio.create_task(world.service.run())
    world.catalog.replace(CHANNEL)
    world.service.refresh()
    counts = []
    while len(seen) < 3 * STREAMS_PER_TURN:
        await asyncio.sleep(0)
        counts.append(len(seen))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert STREAMS_PER_TURN in counts
    assert 2 * STREAMS_PER_TURN in counts


def test_a_catalogue_has_the_direct_transfer_first_and_a_bound() -> None:
    catalog = MemoryCatalog(CHANNEL)
    assert catalog.snapshot().arcs == (DIRECT, *CHANNEL)
    version = catalog.snapshot().version
    catalog.replace(())
    assert catalog.snapshot().arcs == (DIRECT,)
    assert catalog.snapshot().version > version
    with pytest.raises(ValueError, match=f"at most {CATALOG_ARCS_MAX}"):
        catalog.replace([CHANNEL[0]] * CATALOG_ARCS_MAX)
