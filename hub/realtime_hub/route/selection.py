"""From an intent to the route that is offered, the ones beside it, or why there is none."""

from dataclasses import dataclass, replace
from typing import Final

from realtime_hub.route.graph import RouteGraph
from realtime_hub.route.model import (
    ARCS_PER_ROUTE_MAX,
    EXECUTABLE_KINDS,
    Bounds,
    Catalog,
    FoundRoute,
)
from realtime_hub.route.ports import RouteHealthPort
from realtime_hub.route.search import Query, SearchTooLargeError, find_best, find_least
from realtime_protocol.messages import Intent, Priority

ALTERNATIVES_MAX: Final = 4


@dataclass(frozen=True, slots=True)
class Selection:
    """What was found for an intent. *partial*: a search was cut off, there may be better ones."""

    chosen: FoundRoute | None
    alternatives: tuple[FoundRoute, ...]
    partial: bool


class RouteSelector:
    """Searches one state of the catalogue and its health."""

    def __init__(self, catalog: Catalog, health: RouteHealthPort) -> None:
        executable = tuple(arc for arc in catalog.arcs if arc.kind in EXECUTABLE_KINDS)
        self._whole = RouteGraph(catalog, health)
        self._executable = RouteGraph(replace(catalog, arcs=executable), health)

    def select(self, intent: Intent) -> Selection:
        """Choose the best route that this hub can carry out; without one, the best of the others.

        A better route that is somebody else's promise stands among the alternatives: who wants to
        pay gets a quote that can be paid. Each other wish's best route stands there too.
        """
        query, bounds = _query(intent), _bounds(intent)
        partial = False
        executable = find_best(
            self._executable, query, _scalar(intent.priority), replace(bounds, arcs_max=1)
        )
        found = [] if executable is None else [executable]
        wishes = (intent.priority, *(each for each in Priority if each is not intent.priority))
        for wish in wishes:
            try:
                best = find_best(self._whole, query, wish, bounds)
            except SearchTooLargeError:
                partial = True
                continue
            if best is not None and best not in found:
                found.append(best)
        chosen = found[0] if found else None
        return Selection(chosen, tuple(found[1 : 1 + ALTERNATIVES_MAX]), partial)

    def least(self, intent: Intent) -> dict[str, int]:
        """Return which bounds alone stand in the way, with the least value that works."""
        try:
            return find_least(self._whole, _query(intent), _bounds(intent))
        except SearchTooLargeError:
            return {}


def _scalar(priority: Priority) -> Priority:
    """Return a wish that a single arc can differ in: no executable route has intermediaries."""
    return Priority.COST if priority is Priority.PRIVACY else priority


def _query(intent: Intent) -> Query:
    return Query(intent.source, intent.destination, intent.amount_qu, intent.deadline_of)


def _bounds(intent: Intent) -> Bounds:
    return Bounds(
        fee_qu_max=intent.max_fee_qu,
        latency_ms_max=intent.timeout_ms,
        reliability_ppm_min=intent.min_reliability_ppm or 0,
        arcs_max=intent.max_hops or ARCS_PER_ROUTE_MAX,
        excluded_operators=frozenset(intent.exclude),
    )
