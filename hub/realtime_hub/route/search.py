"""The best route under hard bounds, exactly.

Label-setting backward from the payee, since the amount grows by each fee on the way to the payer.
Labels come in the order of the wish plus a lower bound for the rest of the way; one that can't keep
the bounds any more, or that another at its node beats in everything, is dropped. So the first one
at the payer is the best, unlike with weighted sums, which can miss it.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from itertools import count
from typing import Final

from realtime_hub.route.graph import Cost, Link, RouteGraph
from realtime_hub.route.model import ARCS_PER_ROUTE_MAX, CERTAIN_PPM, Bounds, FoundRoute
from realtime_protocol.messages import DeadlineOf, Priority

LABELS_MAX: Final = 20_000
"""What one search may look at; more is SearchTooLargeError."""
INTERMEDIARIES_MAX: Final = 4
"""How many a wish for privacy goes through at most."""

# The order in which costs count for a wish; the later ones decide between equals.
_ORDERS: Final = {
    Priority.SPEED: (1, 0, 2),
    Priority.COST: (0, 1, 2),
    Priority.PRIVACY: (0, 1, 2),
    Priority.RELIABILITY: (2, 0, 1),
}
_UNBOUNDED: Final = 1 << 62
# A product of reliabilities and a sum of logarithms differ in the last places.
_ROUNDING: Final = 1e-7


class SearchTooLargeError(Exception):
    """A search had more labels to look at than allowed."""


@dataclass(frozen=True, slots=True)
class Query:
    """Between whom, how much, and which of the two latencies counts."""

    payer: bytes
    payee: bytes
    amount_qu: int
    deadline_of: DeadlineOf


@dataclass(frozen=True, slots=True)
class _Label:
    """A way from *node* to the payee."""

    node: int
    fee_qu: int
    latency_ms: int
    unreliability: float
    arcs: int
    link: Link | None
    rest: "_Label | None"

    def beats(self, other: "_Label") -> bool:
        return (
            self.fee_qu <= other.fee_qu
            and self.latency_ms <= other.latency_ms
            and self.unreliability <= other.unreliability
            and self.arcs <= other.arcs
        )

    def links(self) -> Iterable[Link]:
        """Yield the links from this node to the payee."""
        label: _Label | None = self
        while label is not None and label.link is not None:
            yield label.link
            label = label.rest


def find_best(
    graph: RouteGraph, query: Query, priority: Priority, bounds: Bounds
) -> FoundRoute | None:
    """Return the best route for *priority* that keeps all bounds, or None when there is none.

    Privacy means most intermediaries of different operators, then the least fee. Raises
    SearchTooLargeError.
    """
    if priority is not Priority.PRIVACY:
        return _Search(graph, query, bounds).best(_ORDERS[priority])
    most = min(INTERMEDIARIES_MAX, bounds.arcs_max - 1)
    for intermediaries in range(most, -1, -1):
        found = _Search(graph, query, bounds).most_private(intermediaries)
        if found is not None:
            return found
    return None


class _Search:
    """One search with its heap."""

    def __init__(self, graph: RouteGraph, query: Query, bounds: Bounds) -> None:
        self._graph = graph
        self._query = query
        self._bounds = bounds
        self._payers = graph.payer_nodes(query.payer)
        self._least = graph.lower_bounds(query.payer, query.amount_qu, query.deadline_of)
        self._unreliability_max = (
            -math.log(bounds.reliability_ppm_min / CERTAIN_PPM) + _ROUNDING
            if bounds.reliability_ppm_min
            else math.inf
        )
        self._heap: list[tuple[tuple[float, ...], int, _Label]] = []
        self._pushed = count()

    def best(self, order: tuple[int, int, int]) -> FoundRoute | None:
        """Return the first route in that order of costs."""
        settled: dict[int, list[_Label]] = {}
        self._start(order)
        while self._heap:
            label = heappop(self._heap)[2]
            if label.node in self._payers:
                return self._found(label)
            rivals = settled.setdefault(label.node, [])
            if any(rival.beats(label) for rival in rivals):
                continue
            rivals.append(label)
            for link in self._graph.incoming[label.node]:
                self._push(self._extended(label, link), order)
        return None

    def most_private(self, intermediaries: int) -> FoundRoute | None:
        """Return the cheapest route with exactly so many intermediaries of different operators."""
        order = _ORDERS[Priority.PRIVACY]
        self._start(order)
        while self._heap:
            label = heappop(self._heap)[2]
            if label.node in self._payers:
                if label.arcs == intermediaries + 1:
                    return self._found(label)
                continue
            if label.arcs > intermediaries:
                continue
            passed = {link.head for link in label.links()} | {label.node}
            # An intermediary is of the operator whose arc leaves it; the payer's own arc is free.
            operators = {link.arc.operator for link in label.links()}
            for link in self._graph.incoming[label.node]:
                from_payer = link.tail in self._payers
                if link.tail not in passed and (from_payer or link.arc.operator not in operators):
                    self._push(self._extended(label, link), order)
        return None

    def _start(self, order: tuple[int, int, int]) -> None:
        for node in sorted(self._graph.payee_nodes(self._query.payee)):
            self._push(_Label(node, 0, 0, 0.0, 0, None, None), order)

    def _extended(self, label: _Label, link: Link) -> _Label | None:
        """Return the way that begins with *link*, or None when the link can't be used."""
        arc = link.arc
        arriving_qu = self._query.amount_qu + label.fee_qu
        if arc.capacity_qu < arriving_qu or arc.operator in self._bounds.excluded_operators:
            return None
        return _Label(
            link.tail,
            label.fee_qu + arc.fee_qu(arriving_qu),
            label.latency_ms + link.latency_ms(self._query.deadline_of),
            label.unreliability + link.unreliability,
            label.arcs + 1,
            link,
            label,
        )

    def _push(self, label: _Label | None, order: tuple[int, int, int]) -> None:
        """Keep a label that can still become a route within the bounds."""
        if label is None or label.arcs > self._bounds.arcs_max:
            return
        least = self._least[label.node]
        if least is None:
            return
        expected: Cost = (
            label.fee_qu + least[0],
            label.latency_ms + least[1],
            label.unreliability + least[2],
        )
        if (
            expected[0] > self._bounds.fee_qu_max
            or expected[1] > self._bounds.latency_ms_max
            or expected[2] > self._unreliability_max
        ):
            return
        number = next(self._pushed)
        if number >= LABELS_MAX:
            raise SearchTooLargeError(f"more than {LABELS_MAX} labels")
        rank = (*(expected[criterion] for criterion in order), label.arcs)
        heappush(self._heap, (rank, number, label))

    def _found(self, label: _Label) -> FoundRoute:
        return FoundRoute(
            arcs=tuple(link.arc for link in label.links()),
            fee_qu=label.fee_qu,
            latency_ms=label.latency_ms,
            # Rounded down, but for the last places: a bound of this very value must be kept.
            reliability_ppm=int(math.exp(-label.unreliability) * CERTAIN_PPM + _ROUNDING),
        )


def find_least(graph: RouteGraph, query: Query, bounds: Bounds) -> dict[str, int]:
    """Return, for each bound that alone keeps every route out, the least value that lets one in.

    Keys are the intent's names max_fee, timeout_ms, min_reliability_ppm (the most that can be
    had), max_hops, and exclude with 0: exclude nobody. Empty when no single bound is to blame.
    """
    least: dict[str, int] = {}
    if found := find_best(graph, query, Priority.COST, replace(bounds, fee_qu_max=_UNBOUNDED)):
        least["max_fee"] = found.fee_qu
    if found := find_best(graph, query, Priority.SPEED, replace(bounds, latency_ms_max=_UNBOUNDED)):
        least["timeout_ms"] = found.latency_ms
    relaxed = replace(bounds, reliability_ppm_min=0)
    if found := find_best(graph, query, Priority.RELIABILITY, relaxed):
        least["min_reliability_ppm"] = found.reliability_ppm
    if find_best(graph, query, Priority.COST, replace(bounds, excluded_operators=frozenset())):
        least["exclude"] = 0
    for arcs_max in range(bounds.arcs_max + 1, ARCS_PER_ROUTE_MAX + 1):
        if find_best(graph, query, Priority.COST, replace(bounds, arcs_max=arcs_max)):
            least["max_hops"] = arcs_max
            break
    return least
