"""Reads a catalogue file: a networkx graph as node-link JSON.

Nodes are identities of 60 letters, or ``*``: as the source of an edge any payer, as its target any
payee. Edges carry the fields of :class:`realtime_hub.route.model.Arc`; `kind`, `operator`,
`accepted_ms` and `settled_ms` must be there.
"""

import json
from pathlib import Path
from typing import Annotated, Any, Final

import networkx as nx
from msgspec import Meta, Struct, ValidationError, convert

from realtime_hub.route.model import CATALOG_ARCS_MAX, CERTAIN_PPM, DIRECT_KIND, Arc
from realtime_protocol.identity import PublicKey, parse_identity
from realtime_protocol.messages import AMOUNT_QU_MAX

FILE_BYTES_MAX: Final = 8 << 20
ANY_WALLET: Final = "*"

_Name = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._-]+$")]
_Amount = Annotated[int, Meta(ge=0, le=AMOUNT_QU_MAX)]
_Milliseconds = Annotated[int, Meta(ge=0, le=86_400_000)]


class CatalogFileError(ValueError):
    """A catalogue file can't be used; the message says where it is wrong."""


class _Edge(Struct, forbid_unknown_fields=True):
    """An edge's attributes."""

    kind: _Name
    operator: _Name
    accepted_ms: _Milliseconds
    settled_ms: _Milliseconds
    fee_base_qu: _Amount = 0
    fee_ppm: Annotated[int, Meta(ge=0, le=CERTAIN_PPM)] = 0
    capacity_qu: _Amount = AMOUNT_QU_MAX
    reliability_ppm: Annotated[int, Meta(ge=1, le=CERTAIN_PPM)] = CERTAIN_PPM
    arc_id: _Name | None = None


def read_catalog_file(path: Path) -> tuple[Arc, ...]:
    """Return the arcs of a catalogue file; CatalogFileError names what is wrong in it."""
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise CatalogFileError(f"{path}: larger than {FILE_BYTES_MAX} bytes")
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CatalogFileError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        if isinstance(error, CatalogFileError):
            raise
        raise CatalogFileError(f"{path}: not JSON: {error}") from error
    try:
        return parse_catalog(data)
    except CatalogFileError as error:
        raise CatalogFileError(f"{path}: {error}") from error


def parse_catalog(data: Any) -> tuple[Arc, ...]:
    """Return the arcs of node-link data; CatalogFileError names what is wrong in it."""
    if not isinstance(data, dict):
        raise CatalogFileError("not a node-link graph, which is an object with nodes and links")
    try:
        # networkx wrote "links" up to version 3.3, and writes "edges" since.
        graph = nx.node_link_graph(
            data, directed=True, multigraph=True, edges="links" if "links" in data else "edges"
        )
    except (KeyError, TypeError, AttributeError, nx.NetworkXError) as error:
        raise CatalogFileError(f"not a node-link graph: {error!r}") from error
    if not graph.is_directed():
        raise CatalogFileError('routes have a direction; set "directed": true')
    if graph.number_of_edges() >= CATALOG_ARCS_MAX:
        raise CatalogFileError(f"{graph.number_of_edges()} edges; at most {CATALOG_ARCS_MAX - 1}")
    arcs = tuple(
        _parse_edge(tail, head, attributes) for tail, head, attributes in graph.edges(data=True)
    )
    _require_distinct(arcs)
    return arcs


def _parse_edge(tail: object, head: object, attributes: dict[str, Any]) -> Arc:
    where = f"edge {tail} -> {head}"
    try:
        edge = convert(attributes, _Edge)
    except ValidationError as error:
        raise CatalogFileError(f"{where}: {error}") from error
    if edge.kind == DIRECT_KIND:
        raise CatalogFileError(f"{where}: the kind {DIRECT_KIND} is the hub's own")
    source, destination = _parse_node(where, tail), _parse_node(where, head)
    if source == destination and source is not None:
        raise CatalogFileError(f"{where}: leads to where it starts")
    return Arc(
        arc_id=edge.arc_id or f"{edge.kind}:{_short(tail)}:{_short(head)}",
        source=source,
        destination=destination,
        kind=edge.kind,
        operator=edge.operator,
        accepted_ms=edge.accepted_ms,
        settled_ms=edge.settled_ms,
        fee_base_qu=edge.fee_base_qu,
        fee_ppm=edge.fee_ppm,
        capacity_qu=edge.capacity_qu,
        reliability_ppm=edge.reliability_ppm,
    )


def _parse_node(where: str, node: object) -> PublicKey | None:
    if node == ANY_WALLET:
        return None
    if not isinstance(node, str):
        raise CatalogFileError(f"{where}: {node!r} is neither an identity nor {ANY_WALLET!r}")
    try:
        return parse_identity(node)
    except ValueError as error:
        raise CatalogFileError(f"{where}: {error}; or write {ANY_WALLET!r} for any") from error


def _short(node: object) -> str:
    return str(node)[:8]


def _require_distinct(arcs: tuple[Arc, ...]) -> None:
    seen: set[str] = set()
    for arc in arcs:
        if arc.arc_id in seen:
            raise CatalogFileError(f"arc_id {arc.arc_id} is there twice; give each edge its own")
        seen.add(arc.arc_id)
