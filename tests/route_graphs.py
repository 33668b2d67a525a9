"""Small catalogues for route tests, by seed, and an exhaustive search to compare with."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from realtime_hub.route.model import Arc, ArcHealth, Bounds, Catalog
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import DeadlineOf

PAYER = PublicKey(b"payer".ljust(32, b"."))
PAYEE = PublicKey(b"payee".ljust(32, b"."))


class AsConfigured:
    """A RouteHealthPort under which every arc does what its catalogue says."""

    def of(self, arc: Arc) -> ArcHealth:
        """Return the configured figures."""
        return ArcHealth(True, arc.accepted_ms, arc.settled_ms, arc.reliability_ppm)


def operator_key(number: int) -> PublicKey:
    """Return the key of an intermediary."""
    return PublicKey(f"operator {number}".encode().ljust(32, b"."))


def random_catalog(seed: int, *, operators: int = 5, density: float = 0.75) -> Catalog:
    """Return a catalogue of random arcs between payer, payee and some operators."""
    random_ = random.Random(seed)
    ends: list[PublicKey | None] = [None, *(operator_key(i) for i in range(operators))]
    arcs: list[Arc] = []
    for source in ends:
        for destination in ends:
            if (source is destination and source is not None) or random_.random() > density:
                continue
            accepted_ms = random_.randint(1, 40)
            arcs.append(
                Arc(
                    arc_id=f"arc{len(arcs)}",
                    source=source,
                    destination=destination,
                    kind="channel",
                    operator=f"operator{random_.randint(1, 4)}",
                    accepted_ms=accepted_ms,
                    settled_ms=accepted_ms + random_.randint(0, 40),
                    fee_base_qu=random_.randint(0, 6),
                    fee_ppm=random_.randint(0, 9_000),
                    capacity_qu=random_.randint(900, 4_000),
                    reliability_ppm=random_.randint(700_000, 1_000_000),
                )
            )
    return Catalog(1, tuple(arcs))


@dataclass(frozen=True, slots=True)
class Walked:
    """A route that the exhaustive search met, with its exact costs."""

    arcs: tuple[Arc, ...]
    fee_qu: int
    latency_ms: int
    reliability: float

    def keeps(self, bounds: Bounds) -> bool:
        """Tell whether it keeps all bounds."""
        return (
            self.fee_qu <= bounds.fee_qu_max
            and self.latency_ms <= bounds.latency_ms_max
            and self.reliability * 1_000_000 >= bounds.reliability_ppm_min
            and len(self.arcs) <= bounds.arcs_max
            and not any(arc.operator in bounds.excluded_operators for arc in self.arcs)
        )

    @property
    def intermediaries_differ(self) -> bool:
        """Tell whether no two intermediaries are of one operator."""
        operators = [arc.operator for arc in self.arcs[1:]]
        return len(operators) == len(set(operators))


def every_route(catalog: Catalog, amount_qu: int, deadline_of: DeadlineOf) -> list[Walked]:
    """Return every route from any payer to any payee without a repeated node."""
    walked = []
    for arcs in _chains(catalog, None, frozenset()):
        arriving_qu, possible = amount_qu, True
        for arc in reversed(arcs):
            possible = possible and arc.capacity_qu >= arriving_qu
            arriving_qu += arc.fee_qu(arriving_qu)
        if possible:
            settled = deadline_of is DeadlineOf.SETTLED
            reliability = 1.0
            for arc in arcs:
                reliability *= arc.reliability_ppm / 1_000_000
            latency_ms = sum(arc.settled_ms if settled else arc.accepted_ms for arc in arcs)
            walked.append(Walked(arcs, arriving_qu - amount_qu, latency_ms, reliability))
    return walked


def _chains(
    catalog: Catalog, at: PublicKey | None, passed: frozenset[PublicKey]
) -> Iterator[tuple[Arc, ...]]:
    for arc in catalog.arcs:
        if arc.source != at or arc.destination in passed:
            continue
        if arc.destination is None:
            yield (arc,)
        else:
            for rest in _chains(catalog, arc.destination, passed | {arc.destination}):
                yield (arc, *rest)
