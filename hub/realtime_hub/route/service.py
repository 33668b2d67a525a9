"""Quotes: given once or kept fresh in a stream, and remembered for the payment that follows."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from itertools import islice
from typing import Final

from msgspec import structs

from realtime_hub.clock import Entropy
from realtime_hub.route.model import CERTAIN_PPM, DIRECT, FoundRoute, QuotedRoute
from realtime_hub.route.ports import RouteCatalogPort, RouteHealthPort
from realtime_hub.route.selection import RouteSelector, Selection
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.messages import AMOUNT_QU_MAX, Alternative, Intent, Quote

QUOTE_ID_BYTES: Final = 16
QUOTE_TICKS: Final = 60
"""How long a quote may be the start of a payment."""
RENEW_TICKS: Final = 20
"""A stream gets a new quote when the last one ends within so many ticks."""
KEEP_TICKS: Final = 600
"""How long an ended quote stays known, so that a late payment hears what is wrong with it."""
QUOTES_REMEMBERED_MAX: Final = 65_536
"""Beyond this the oldest quote is forgotten; a payment from it is refused as expired."""
STREAMS_MAX: Final = 65_536
"""Beyond this a new stream is refused (107)."""
STREAMS_PER_TURN: Final = 32
"""Streams that are looked at before others get their turn on the loop."""
ESTIMATE_CHANGE_MIN_PPM: Final = 100_000
"""An estimate that moved by less than this is not news."""

Deliver = Callable[[Quote], None]


class QuoteStream:
    """One intent's quote, kept fresh until `close`."""

    def __init__(
        self,
        intent: Intent,
        first: Quote,
        deliver: Deliver,
        forget: Callable[["QuoteStream"], None],
    ) -> None:
        self.intent = intent
        self.first = first
        self.last = first
        self._deliver = deliver
        self._forget = forget
        self.closed = False

    def close(self) -> None:
        """Deliver nothing more. Closing twice does nothing."""
        self.closed = True
        self._forget(self)

    def push(self, quote: Quote) -> None:
        """Deliver a quote that replaces the last one."""
        self.last = quote
        self._deliver(quote)


class QuoteService:
    """Gives quotes. All methods but `run` are synchronous and do no I/O.

    `refresh` and `on_tick` only note which streams are to be looked at; `run` does so in small
    turns, so that ten thousand streams don't stop the loop.
    """

    def __init__(
        self,
        catalog: RouteCatalogPort,
        health: RouteHealthPort,
        entropy: Entropy,
        current_tick: Callable[[], int],
        *,
        sign: Callable[[Quote], Quote] | None = None,
    ) -> None:
        self._catalog = catalog
        self._health = health
        self._entropy = entropy
        self._current_tick = current_tick
        self._sign = sign
        self._graph_version = 0
        self._selector = self._new_selector()
        self._remembered: OrderedDict[bytes, QuotedRoute] = OrderedDict()
        # Insertion order: the quote that was delivered longest ago comes first.
        self._streams: dict[QuoteStream, None] = {}
        self._stale: dict[QuoteStream, None] = {}
        self._wake = asyncio.Event()

    @property
    def streams_open(self) -> int:
        """How many streams are kept fresh."""
        return len(self._streams)

    @property
    def quotes_remembered(self) -> int:
        """How many quotes a payment could name."""
        return len(self._remembered)

    def quote(self, intent: Intent) -> Quote:
        """Return a quote for *intent*; RequestError 103, 300 or 302 when there can be none."""
        _require_payable(intent)
        selection = self._selector.select(intent)
        if selection.chosen is None:
            raise self._refusal(intent, selection)
        return self._remember(intent, self._make(intent, selection))

    def open(self, intent: Intent, deliver: Deliver) -> QuoteStream:
        """Open a stream: its `first` quote is for the reply, later ones go to *deliver*.

        Raises RequestError as `quote` does. Later, when a route is lost, a quote without a route
        is delivered and the stream lives on.
        """
        if len(self._streams) >= STREAMS_MAX:
            raise RequestError(
                ErrorCode.OVERLOADED, f"{STREAMS_MAX} quote streams are open", retry_after_ms=1_000
            )
        stream = QuoteStream(intent, self.quote(intent), deliver, self._forget_stream)
        self._streams[stream] = None
        return stream

    def find(self, quote_id: bytes) -> QuotedRoute | None:
        """Return a quote that was given, also for a while after its end; None when forgotten."""
        return self._remembered.get(quote_id)

    def adopt(self, intent: Intent, quote: Quote) -> None:
        """Know a quote that another worker of this hub gave."""
        self._remember(intent, quote)

    def refresh(self) -> None:
        """Take up a changed catalogue or changed health; what changed for a stream follows."""
        self._selector = self._new_selector()
        self._stale.update(self._streams)
        self._wake.set()

    def on_tick(self, tick: int) -> None:
        """Renew what ends soon, forget what ended long ago, take up a changed tick duration."""
        live_ms = self._health.of(DIRECT).settled_ms
        if _differs(self._settled_ms, live_ms):
            self.refresh()
        while self._remembered:
            quote_id, oldest = next(iter(self._remembered.items()))
            if oldest.valid_until_tick + KEEP_TICKS >= tick:
                break
            del self._remembered[quote_id]
        for stream in self._streams:
            if stream.last.valid_until_tick - tick > RENEW_TICKS:
                break
            self._stale[stream] = None
        if self._stale:
            self._wake.set()

    def renew_some(self, streams_max: int = STREAMS_PER_TURN) -> bool:
        """Look at up to *streams_max* noted streams; tell whether more are waiting."""
        for stream in list(islice(self._stale, streams_max)):
            # What one stream delivers may have closed another.
            if not stream.closed:
                self._stale.pop(stream)
                self._renew(stream)
        return bool(self._stale)

    async def run(self) -> None:
        """Keep the streams fresh until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self.renew_some():  # noqa: ASYNC110  # no polling: others get a turn
                await asyncio.sleep(0)

    def _renew(self, stream: QuoteStream) -> None:
        quote = self._make(stream.intent, self._selector.select(stream.intent))
        ends_soon = stream.last.valid_until_tick - self._current_tick() <= RENEW_TICKS
        if ends_soon or _is_news(stream.last, quote):
            self._streams.pop(stream)
            self._streams[stream] = None
            stream.push(self._remember(stream.intent, quote))

    def _make(self, intent: Intent, selection: Selection) -> Quote:
        chosen = selection.chosen
        return Quote(
            quote_id=self._entropy.token(QUOTE_ID_BYTES),
            graph_version=self._graph_version,
            route=None if chosen is None else chosen.on_wire(intent),
            alternatives=[_alternative(each, intent) for each in selection.alternatives],
            fee_qu=0 if chosen is None else chosen.fee_qu,
            est_ms=0 if chosen is None else chosen.latency_ms,
            valid_until_tick=self._current_tick() + QUOTE_TICKS,
            executable=chosen is not None and chosen.executable,
            partial=selection.partial,
            hub_signature=None,
        )

    def _remember(self, intent: Intent, quote: Quote) -> Quote:
        if self._sign is not None:
            quote = self._sign(quote)
        if quote.route is not None:
            self._remembered[quote.quote_id] = QuotedRoute(intent, quote)
            if len(self._remembered) > QUOTES_REMEMBERED_MAX:
                self._remembered.popitem(last=False)
        return quote

    def _refusal(self, intent: Intent, selection: Selection) -> RequestError:
        if selection.partial:
            return RequestError(
                ErrorCode.OVERLOADED, "the search for a route was cut off", retry_after_ms=1_000
            )
        least = self._selector.least(intent)
        fields = {f"least_{name}": value for name, value in least.items()}
        if "max_fee" in least:
            return RequestError(
                ErrorCode.FEE_ABOVE_MAX,
                f"the cheapest route costs {least['max_fee']} QU, above max_fee "
                f"{intent.max_fee_qu}; raise max_fee",
                fields=fields,
            )
        return RequestError(ErrorCode.NO_ROUTE, _advice(intent, least), fields=fields)

    def _new_selector(self) -> RouteSelector:
        self._graph_version += 1
        self._settled_ms = self._health.of(DIRECT).settled_ms
        return RouteSelector(self._catalog.snapshot(), self._health)

    def _forget_stream(self, stream: QuoteStream) -> None:
        self._streams.pop(stream, None)
        self._stale.pop(stream, None)


def _require_payable(intent: Intent) -> None:
    """Refuse what no route can make a payment of (103)."""
    complaint = None
    if intent.source == intent.destination:
        complaint = "payer and payee are the same wallet"
    elif _is_reserved(intent.source):
        complaint = "the payer is not a wallet but the zero key or a contract"
    elif _is_reserved(intent.destination):
        complaint = "the payee is not a wallet but the zero key or a contract: it keeps the money"
    elif not 1 <= intent.amount_qu <= AMOUNT_QU_MAX:
        complaint = f"amount {intent.amount_qu} is not in 1..{AMOUNT_QU_MAX} QU"
    if complaint is not None:
        raise RequestError(ErrorCode.BAD_MESSAGE, complaint)


def _is_reserved(key: bytes) -> bool:
    """Tell whether this is the zero key or an address that only a contract can have."""
    return not any(key[8:])


def _advice(intent: Intent, least: dict[str, int]) -> str:
    """Say which bound blocks, its value, and the least that works."""
    hints = {
        "timeout_ms": f"timeout_ms {intent.timeout_ms}: the fastest route needs {{}}",
        "min_reliability_ppm": (
            f"min_reliability_ppm {intent.min_reliability_ppm}: the best route has {{}}"
        ),
        "max_hops": f"max_hops {intent.max_hops}: the shortest route needs {{}}",
        "exclude": "exclude: only excluded operators have a route",
    }
    named = [hints[name].format(value) for name, value in least.items()]
    if not named:
        return "no route, whichever single bound is lifted"
    return "no route keeps the bounds; " + ", or ".join(named)


def _alternative(found: FoundRoute, intent: Intent) -> Alternative:
    return Alternative(
        route=found.on_wire(intent),
        fee_qu=found.fee_qu,
        est_ms=found.latency_ms,
        executable=found.executable,
    )


def _is_news(last: Quote, new: Quote) -> bool:
    """Tell whether a quote says something else than the one before it."""
    if _essence(last) != _essence(new):
        return True
    return _differs(last.est_ms, new.est_ms)


def _differs(last_ms: int, new_ms: int) -> bool:
    """Tell whether an estimate has moved enough to be news."""
    return abs(new_ms - last_ms) * CERTAIN_PPM >= max(last_ms, 1) * ESTIMATE_CHANGE_MIN_PPM


def _essence(quote: Quote) -> tuple[object, ...]:
    alternatives = [structs.replace(each, est_ms=0) for each in quote.alternatives]
    return quote.route, alternatives, quote.fee_qu, quote.executable, quote.partial
