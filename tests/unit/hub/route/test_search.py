import math
import random
from dataclasses import replace

import networkx as nx
import pytest

from realtime_hub.route import search
from realtime_hub.route.graph import BOUND_TREES_MAX, RouteGraph
from realtime_hub.route.model import DIRECT, Arc, Bounds, Catalog, FoundRoute
from realtime_hub.route.search import Query, SearchTooLargeError, find_best, find_least
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import DeadlineOf, Priority
from route_graphs import (
    PAYEE,
    PAYER,
    AsConfigured,
    Walked,
    every_route,
    operator_key,
    random_catalog,
)

QUERY = Query(PAYER, PAYEE, 1_000, DeadlineOf.ACCEPTED)
ANYTHING = Bounds(fee_qu_max=10**9, latency_ms_max=10**9)
SCALAR = {
    Priority.SPEED: lambda route: route.latency_ms,
    Priority.COST: lambda route: route.fee_qu,
    Priority.RELIABILITY: lambda route: -route.reliability,
}


def found_cost(priority: Priority, route: FoundRoute) -> float:
    if priority is Priority.RELIABILITY:
        return -math.prod(arc.reliability_ppm / 1_000_000 for arc in route.arcs)
    return route.latency_ms if priority is Priority.SPEED else route.fee_qu


def middle_bounds(routes: list[Walked], seed: int) -> Bounds:
    """Return bounds that about half of the routes break one by one."""
    if not routes:
        return ANYTHING
    middle = len(routes) // 2
    return Bounds(
        fee_qu_max=sorted(route.fee_qu for route in routes)[middle],
        latency_ms_max=sorted(route.latency_ms for route in routes)[middle],
        reliability_ppm_min=int(sorted(route.reliability for route in routes)[middle] * 1_000_000),
        arcs_max=random.Random(seed).randint(1, 5),
        excluded_operators=frozenset({"operator1"}) if seed % 3 == 0 else frozenset(),
    )


@pytest.mark.parametrize("deadline_of", list(DeadlineOf))
def test_the_best_route_under_bounds_is_that_of_an_exhaustive_search(
    deadline_of: DeadlineOf,
) -> None:
    feasible = 0
    for seed in range(120):
        catalog = random_catalog(seed)
        graph = RouteGraph(catalog, AsConfigured())
        query = replace(QUERY, deadline_of=deadline_of)
        routes = every_route(catalog, query.amount_qu, deadline_of)
        for bounds in [ANYTHING, middle_bounds(routes, seed)]:
            allowed = [route for route in routes if route.keeps(bounds)]
            for priority, cost in SCALAR.items():
                found = find_best(graph, query, priority, bounds)
                if not allowed:
                    assert found is None
                    continue
                assert found is not None
                assert found_cost(priority, found) == pytest.approx(min(map(cost, allowed)))
                feasible += 1
    assert feasible > 200


def test_the_most_private_route_is_that_of_an_exhaustive_search() -> None:
    most_seen = 0
    for seed in range(80):
        catalog = random_catalog(seed)
        graph = RouteGraph(catalog, AsConfigured())
        routes = every_route(catalog, QUERY.amount_qu, QUERY.deadline_of)
        bounds = middle_bounds(routes, seed)
        allowed = [
            route
            for route in routes
            if route.keeps(bounds) and route.intermediaries_differ and len(route.arcs) <= 5
        ]
        found = find_best(graph, QUERY, Priority.PRIVACY, bounds)
        if not allowed:
            assert found is None
            continue
        best = min(allowed, key=lambda route: (-len(route.arcs), route.fee_qu))
        assert found is not None
        assert (len(found.arcs), found.fee_qu) == (len(best.arcs), best.fee_qu)
        most_seen = max(most_seen, len(best.arcs))
    assert most_seen >= 4


def test_an_unbounded_search_costs_what_networkx_finds() -> None:
    for seed in range(40):
        catalog = random_catalog(seed, operators=12, density=0.25)
        catalog = Catalog(
            1, tuple(replace(arc, fee_ppm=0, capacity_qu=10**6) for arc in catalog.arcs)
        )
        graph = RouteGraph(catalog, AsConfigured())
        oracle: nx.MultiDiGraph[object] = nx.MultiDiGraph()
        oracle.add_nodes_from(["payer", "payee"])
        for arc in catalog.arcs:
            tail = arc.source or "payer"
            head = arc.destination or "payee"
            oracle.add_edge(tail, head, fee=arc.fee_base_qu, latency=arc.accepted_ms)
        for priority, weight in [(Priority.COST, "fee"), (Priority.SPEED, "latency")]:
            found = find_best(graph, QUERY, priority, ANYTHING)
            try:
                expected = nx.dijkstra_path_length(oracle, "payer", "payee", weight=weight)
            except nx.NetworkXNoPath:
                assert found is None
            else:
                assert found is not None
                assert found_cost(priority, found) == expected


def hop(
    number: int, source: PublicKey | None, destination: PublicKey | None, **figures: int
) -> Arc:
    fields = {"accepted_ms": 10, "settled_ms": 10, **figures}
    return Arc(f"arc{number}", source, destination, "channel", f"operator{number}", **fields)


def graph_of(*arcs: Arc) -> RouteGraph:
    return RouteGraph(Catalog(1, arcs), AsConfigured())


def test_fees_compound_from_the_payee_to_the_payer() -> None:
    hub = operator_key(1)
    graph = graph_of(
        hop(1, None, hub, fee_base_qu=3, fee_ppm=100_000), hop(2, hub, None, fee_ppm=500_000)
    )
    found = find_best(graph, QUERY, Priority.COST, ANYTHING)
    assert found is not None
    assert found.fee_qu == 500 + 3 + 150  # half of 1,000; then a tenth of 1,500 and 3


def test_a_part_of_a_qu_is_rounded_up() -> None:
    assert hop(1, None, None, fee_ppm=1).fee_qu(1) == 1
    assert hop(1, None, None, fee_ppm=1).fee_qu(1_000_001) == 2
    assert hop(1, None, None, fee_ppm=0).fee_qu(10**15) == 0


def test_a_fee_that_no_longer_fits_through_an_arc_closes_it() -> None:
    hub = operator_key(1)
    graph = graph_of(hop(1, None, hub, capacity_qu=1_000), hop(2, hub, None, fee_base_qu=1))
    assert find_best(graph, QUERY, Priority.COST, ANYTHING) is None
    smaller = replace(QUERY, amount_qu=999)
    assert find_best(graph, smaller, Priority.COST, ANYTHING) is not None


def test_an_amount_in_the_same_bucket_does_not_reuse_too_high_a_bound() -> None:
    graph = graph_of(hop(1, None, None, fee_ppm=1_000_000))
    for amount_qu in [1023, 512, 700]:
        query = replace(QUERY, amount_qu=amount_qu)
        found = find_best(graph, query, Priority.COST, replace(ANYTHING, fee_qu_max=amount_qu))
        assert found is not None
        assert found.fee_qu == amount_qu


def test_payer_and_payee_may_themselves_stand_in_the_catalogue() -> None:
    hub = operator_key(1)
    graph = graph_of(hop(1, PAYER, hub), hop(2, hub, PAYEE))
    found = find_best(graph, QUERY, Priority.SPEED, ANYTHING)
    assert found is not None
    assert [arc.arc_id for arc in found.arcs] == ["arc1", "arc2"]
    stranger = replace(QUERY, payer=bytes([7] * 32))
    assert find_best(graph, stranger, Priority.SPEED, ANYTHING) is None


def test_privacy_prefers_more_operators_and_not_more_hops_of_one() -> None:
    first, second, third = (operator_key(number) for number in range(3))
    two = [hop(1, None, first), hop(2, first, second), hop(3, second, None)]
    same = [
        hop(4, None, first),
        replace(hop(5, first, third), operator="one"),
        replace(hop(6, third, second), operator="one"),
    ]
    found = find_best(graph_of(DIRECT, *two, *same), QUERY, Priority.PRIVACY, ANYTHING)
    assert found is not None
    assert [arc.arc_id for arc in found.arcs] == ["arc1", "arc2", "arc3"]


def test_each_blocking_bound_is_named_with_the_least_that_works() -> None:
    graph = graph_of(hop(1, None, None, fee_base_qu=9, accepted_ms=70, reliability_ppm=900_000))
    cases = {
        "max_fee": (Bounds(8, 70), 9),
        "timeout_ms": (Bounds(9, 69), 70),
        "min_reliability_ppm": (Bounds(9, 70, reliability_ppm_min=900_001), 900_000),
        "exclude": (Bounds(9, 70, excluded_operators=frozenset({"operator1"})), 0),
    }
    for name, (bounds, least) in cases.items():
        assert find_best(graph, QUERY, Priority.COST, bounds) is None
        assert find_least(graph, QUERY, bounds) == {name: least}


def test_the_least_number_of_hops_is_named() -> None:
    hub = operator_key(1)
    graph = graph_of(hop(1, None, hub), hop(2, hub, None))
    assert find_least(graph, QUERY, replace(ANYTHING, arcs_max=1)) == {"max_hops": 2}


def test_no_bound_is_named_when_two_stand_in_the_way() -> None:
    graph = graph_of(hop(1, None, None, fee_base_qu=9, accepted_ms=70))
    assert find_least(graph, QUERY, Bounds(8, 69)) == {}


def test_a_bound_of_exactly_what_was_reported_is_kept() -> None:
    hub = operator_key(1)
    arcs = [hop(1, None, hub, reliability_ppm=987_654), hop(2, hub, None, reliability_ppm=876_543)]
    graph = graph_of(*arcs)
    found = find_best(graph, QUERY, Priority.RELIABILITY, ANYTHING)
    assert found is not None
    again = find_best(
        graph,
        QUERY,
        Priority.RELIABILITY,
        replace(ANYTHING, reliability_ppm_min=found.reliability_ppm),
    )
    assert again == found


def test_a_search_that_grows_too_large_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "LABELS_MAX", 3)
    graph = RouteGraph(random_catalog(5, density=1.0), AsConfigured())
    with pytest.raises(SearchTooLargeError, match="more than 3 labels"):
        find_best(graph, QUERY, Priority.PRIVACY, ANYTHING)


def test_lower_bounds_are_kept_for_a_bounded_number_of_payers() -> None:
    payers = [PublicKey(bytes([number]) * 32) for number in range(1, BOUND_TREES_MAX + 20)]
    graph = graph_of(*(hop(number, key, None) for number, key in enumerate(payers)))
    for payer in payers:
        assert find_best(graph, replace(QUERY, payer=payer), Priority.COST, ANYTHING) is not None
    assert len(graph._trees) == BOUND_TREES_MAX


@pytest.mark.parametrize(
    ("worse", "bounds"),
    [
        ({"reliability_ppm": 900_000}, Bounds(8, 10**9, reliability_ppm_min=890_000)),
        ({"accepted_ms": 100}, Bounds(8, 125)),
    ],
)
def test_a_cheaper_half_does_not_hide_the_one_that_fits_the_other_half(
    worse: dict[str, int], bounds: Bounds
) -> None:
    hub = operator_key(1)
    graph = graph_of(
        hop(1, hub, None, fee_base_qu=1, **worse),
        hop(2, hub, None, fee_base_qu=2),
        hop(3, None, hub, **worse),
        hop(4, None, hub, fee_base_qu=10),
    )
    found = find_best(graph, QUERY, Priority.COST, bounds)
    assert found is not None
    assert [arc.arc_id for arc in found.arcs] == ["arc3", "arc2"]


def test_a_cheaper_longer_half_does_not_hide_the_short_one_when_hops_are_bounded() -> None:
    hub, before, after = operator_key(1), operator_key(2), operator_key(3)
    graph = graph_of(
        hop(1, hub, after, fee_base_qu=1),
        hop(2, after, None, accepted_ms=0),
        hop(3, hub, None, fee_base_qu=2),
        hop(4, None, before),
        hop(5, before, hub),
        hop(6, None, hub, fee_base_qu=10),
    )
    found = find_best(graph, QUERY, Priority.COST, replace(ANYTHING, fee_qu_max=8, arcs_max=3))
    assert found is not None
    assert [arc.arc_id for arc in found.arcs] == ["arc4", "arc5", "arc3"]
