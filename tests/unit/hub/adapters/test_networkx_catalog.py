import json
from pathlib import Path
from typing import Any

import networkx as nx
import pytest

from realtime_hub.adapters import networkx_catalog
from realtime_hub.adapters.networkx_catalog import (
    CatalogFileError,
    parse_catalog,
    read_catalog_file,
)
from realtime_protocol.identity import encode_identity
from realtime_protocol.messages import AMOUNT_QU_MAX
from route_graphs import PAYEE, operator_key

HUB = operator_key(1)
HUB_ID = encode_identity(HUB)
EDGE = {"kind": "channel", "operator": "acme", "accepted_ms": 5, "settled_ms": 20}


def graph_data(**changes: Any) -> dict[str, Any]:
    """Return a file's content with one edge from any payer to a hub, changed as given."""
    edge = {"source": "*", "target": HUB_ID, **EDGE, **changes}
    edge = {name: value for name, value in edge.items() if value is not None}
    return {
        "directed": True,
        "multigraph": False,
        "graph": {},
        "nodes": nodes(edge),
        "edges": [edge],
    }


def nodes(edge: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"id": node} for node in dict.fromkeys([edge["source"], edge["target"]])]


def test_what_networkx_writes_is_read(tmp_path: Path) -> None:
    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    graph.add_edge("*", HUB_ID, **EDGE, fee_ppm=300)
    graph.add_edge(HUB_ID, encode_identity(PAYEE), **EDGE, arc_id="last", capacity_qu=5)
    path = tmp_path / "catalog.json"
    path.write_text(json.dumps(nx.node_link_data(graph, edges="edges")))
    first, second = read_catalog_file(path)
    assert (first.source, first.destination, first.fee_ppm) == (None, HUB, 300)
    assert (first.capacity_qu, first.reliability_ppm) == (AMOUNT_QU_MAX, 1_000_000)
    assert (second.source, second.destination, second.arc_id) == (HUB, PAYEE, "last")
    assert second.capacity_qu == 5


def test_files_of_older_networkx_versions_say_links() -> None:
    data = graph_data()
    data["links"] = data.pop("edges")
    (arc,) = parse_catalog(data)
    assert arc.operator == "acme"


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"kind": None}, "missing required field `kind`"),
        ({"settled_ms": None}, "missing required field `settled_ms`"),
        ({"fee": 3}, "unknown field `fee`"),
        ({"fee_ppm": -1}, r"fee_ppm"),
        ({"fee_ppm": 1.5}, r"fee_ppm"),
        ({"fee_base_qu": True}, r"fee_base_qu"),
        ({"fee_base_qu": "3"}, r"fee_base_qu"),
        ({"reliability_ppm": 0}, r"reliability_ppm"),
        ({"capacity_qu": AMOUNT_QU_MAX + 1}, r"capacity_qu"),
        ({"operator": ""}, r"operator"),
        ({"kind": "direct"}, "the hub's own"),
        ({"target": "HUB"}, "60 letters, not 3"),
        ({"target": HUB_ID[:-1] + "A"}, "don't fit the others"),
        ({"target": 5}, "5 is neither an identity"),
        ({"source": HUB_ID}, "leads to where it starts"),
    ],
)
def test_a_wrong_edge_is_named_with_what_is_wrong(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(CatalogFileError, match=rf"^edge .*{complaint}"):
        parse_catalog(graph_data(**changes))


@pytest.mark.parametrize(
    "data",
    [[], "graph", {}, {"nodes": [], "edges": 3}, {"nodes": [{}], "edges": [{"source": 1}]}],
)
def test_what_is_no_node_link_graph_is_refused(data: object) -> None:
    with pytest.raises(CatalogFileError, match="node-link graph"):
        parse_catalog(data)


def test_an_undirected_graph_is_refused() -> None:
    with pytest.raises(CatalogFileError, match="routes have a direction"):
        parse_catalog({**graph_data(), "directed": False})


def test_two_arcs_of_one_name_are_refused() -> None:
    data = graph_data(arc_id="twice")
    data["multigraph"] = True
    data["edges"] = [data["edges"][0], {**data["edges"][0], "key": 1}]
    with pytest.raises(CatalogFileError, match="arc_id twice is there twice"):
        parse_catalog(data)


def test_too_many_edges_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networkx_catalog, "CATALOG_ARCS_MAX", 1)
    with pytest.raises(CatalogFileError, match="1 edges; at most 0"):
        parse_catalog(graph_data())


def test_a_file_that_can_not_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = tmp_path / "missing.json"
    with pytest.raises(CatalogFileError, match=r"missing\.json: No such file"):
        read_catalog_file(missing)
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    with pytest.raises(CatalogFileError, match=r"broken\.json: not JSON"):
        read_catalog_file(broken)
    broken.write_text(json.dumps(graph_data(kind="direct")))
    with pytest.raises(CatalogFileError, match=r"broken\.json: edge"):
        read_catalog_file(broken)
    monkeypatch.setattr(networkx_catalog, "FILE_BYTES_MAX", 10)
    with pytest.raises(CatalogFileError, match="larger than 10 bytes"):
        read_catalog_file(broken)
