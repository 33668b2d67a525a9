"""The catalogue as a graph that can be searched: numbered nodes, live arcs, lower bounds.

Node 0 is "any payer" and node 1 "any payee", so that one graph serves all wallets, also those that
the catalogue has never heard of.
"""

import math
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from typing import Final

from realtime_hub.route.model import CERTAIN_PPM, Arc, Catalog
from realtime_hub.route.ports import RouteHealthPort
from realtime_protocol.messages import DeadlineOf

ANY_PAYER: Final = 0
ANY_PAYEE: Final = 1
BOUND_TREES_MAX: Final = 64

Cost = tuple[int, int, float]
"""Fee in QU, latency in ms, and -ln of the reliability: all three add up along a route."""


@dataclass(frozen=True, slots=True)
class Link:
    """An arc between two numbered nodes."""

    tail: int
    head: int
    arc: Arc
    unreliability: float

    def latency_ms(self, deadline_of: DeadlineOf) -> int:
        """Return its expected duration to the state that the deadline is about."""
        settled = deadline_of is DeadlineOf.SETTLED
        return self.arc.settled_ms if settled else self.arc.accepted_ms


class RouteGraph:
    """An immutable graph of one catalogue version and one state of health."""

    def __init__(self, catalog: Catalog, health: RouteHealthPort) -> None:
        self._numbers: dict[bytes, int] = {}
        links = [self._link(arc) for arc in _live_arcs(catalog.arcs, health)]
        size = 2 + len(self._numbers)
        self.outgoing: list[list[Link]] = [[] for _ in range(size)]
        self.incoming: list[list[Link]] = [[] for _ in range(size)]
        for link in links:
            self.outgoing[link.tail].append(link)
            self.incoming[link.head].append(link)
        self._trees: OrderedDict[tuple[int, int, DeadlineOf], list[Cost | None]] = OrderedDict()

    def payer_nodes(self, key: bytes) -> frozenset[int]:
        """Return the nodes at which a payer stands."""
        return frozenset({ANY_PAYER, self._numbers.get(key, ANY_PAYER)})

    def payee_nodes(self, key: bytes) -> frozenset[int]:
        """Return the nodes at which a payee stands."""
        return frozenset({ANY_PAYEE, self._numbers.get(key, ANY_PAYEE)})

    def lower_bounds(
        self, payer: bytes, amount_qu: int, deadline_of: DeadlineOf
    ) -> list[Cost | None]:
        """Return for each node what it costs at least to get there from the payer, None = can't.

        Made at the next lower power of two of the amount, so that all amounts in between share it
        and it stays a lower bound for each. The trees last used are kept.
        """
        own = self._numbers.get(payer, ANY_PAYER)
        bucket = 1 << (amount_qu.bit_length() - 1)
        key = (own, bucket, deadline_of)
        tree = self._trees.get(key)
        if tree is None:
            starts = self.payer_nodes(payer)
            fees = self._distances(starts, bucket, 0, deadline_of)
            latencies = self._distances(starts, bucket, 1, deadline_of)
            unreliabilities = self._distances(starts, bucket, 2, deadline_of)
            tree = [
                None if fee == math.inf else (int(fee), int(latency), unreliability)
                for fee, latency, unreliability in zip(
                    fees, latencies, unreliabilities, strict=True
                )
            ]
            self._trees[key] = tree
            if len(self._trees) > BOUND_TREES_MAX:
                self._trees.popitem(last=False)
        self._trees.move_to_end(key)
        return tree

    def _distances(
        self, starts: Iterable[int], amount_qu: int, criterion: int, deadline_of: DeadlineOf
    ) -> list[float]:
        """Dijkstra from the payer in one of the three criteria."""
        distances = [math.inf] * len(self.outgoing)
        heap: list[tuple[float, int]] = []
        for start in starts:
            distances[start] = 0
            heappush(heap, (0, start))
        while heap:
            distance, node = heappop(heap)
            if distance > distances[node]:
                continue
            for link in self.outgoing[node]:
                if link.arc.capacity_qu < amount_qu:
                    continue
                further = (
                    distance
                    + (
                        link.arc.fee_qu(amount_qu),
                        link.latency_ms(deadline_of),
                        link.unreliability,
                    )[criterion]
                )
                if further < distances[link.head]:
                    distances[link.head] = further
                    heappush(heap, (further, link.head))
        return distances

    def _link(self, arc: Arc) -> Link:
        tail = ANY_PAYER if arc.source is None else self._number(arc.source)
        head = ANY_PAYEE if arc.destination is None else self._number(arc.destination)
        return Link(tail, head, arc, -math.log(arc.reliability_ppm / CERTAIN_PPM))

    def _number(self, key: bytes) -> int:
        return self._numbers.setdefault(key, 2 + len(self._numbers))


def _live_arcs(arcs: Iterable[Arc], health: RouteHealthPort) -> Iterable[Arc]:
    for arc in arcs:
        live = health.of(arc)
        if live.up and live.reliability_ppm > 0:
            yield replace(
                arc,
                accepted_ms=live.accepted_ms,
                settled_ms=live.settled_ms,
                reliability_ppm=live.reliability_ppm,
            )
