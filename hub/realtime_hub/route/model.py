"""What routes are made of: arcs of the catalogue, the bounds of a wish, and what was found."""

from dataclasses import dataclass
from typing import Final

from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import AMOUNT_QU_MAX, Intent, Quote, Route
from realtime_protocol.schnorrq import k12

CERTAIN_PPM: Final = 1_000_000
ARCS_PER_ROUTE_MAX: Final = 16
"""As many as the wire's max_hops can name."""

CATALOG_ARCS_MAX: Final = 10_000
ROUTE_ID_LETTERS_MAX: Final = 128
"""A longer chain of arc ids is named by its digest."""

DIRECT_KIND: Final = "direct"
MIXED_KIND: Final = "mixed"
DIRECT_OPERATOR: Final = "qubic"
EXECUTABLE_KINDS: Final = frozenset({DIRECT_KIND})
"""Kinds that this hub can carry out. A hop through another party is that party's promise only."""


@dataclass(frozen=True, slots=True)
class Arc:
    """One way to pass value on. *source* None is any payer, *destination* None any payee.

    Its fee is ``fee_base_qu`` plus ``fee_ppm`` of what arrives, rounded up; *accepted_ms* and
    *settled_ms* are expected durations.
    """

    arc_id: str
    source: PublicKey | None
    destination: PublicKey | None
    kind: str
    operator: str
    accepted_ms: int
    settled_ms: int
    fee_base_qu: int = 0
    fee_ppm: int = 0
    capacity_qu: int = AMOUNT_QU_MAX
    reliability_ppm: int = CERTAIN_PPM

    def fee_qu(self, arriving_qu: int) -> int:
        """Return what it costs to let *arriving_qu* arrive at its end."""
        return self.fee_base_qu - (-arriving_qu * self.fee_ppm // CERTAIN_PPM)


# Acceptance is a signature check and a journal write; settlement comes from the chain's ticks.
DIRECT: Final = Arc(
    arc_id=DIRECT_KIND,
    source=None,
    destination=None,
    kind=DIRECT_KIND,
    operator=DIRECT_OPERATOR,
    accepted_ms=50,
    settled_ms=6_000,
)


@dataclass(frozen=True, slots=True)
class Catalog:
    """All arcs at one moment."""

    version: int
    arcs: tuple[Arc, ...]


@dataclass(frozen=True, slots=True)
class ArcHealth:
    """An arc's live figures. An arc that isn't *up* is never quoted."""

    up: bool
    accepted_ms: int
    settled_ms: int
    reliability_ppm: int


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a route must keep, all of it."""

    fee_qu_max: int
    latency_ms_max: int
    reliability_ppm_min: int = 0
    arcs_max: int = ARCS_PER_ROUTE_MAX
    excluded_operators: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class FoundRoute:
    """A route with what it costs; its arcs run from the payer to the payee."""

    arcs: tuple[Arc, ...]
    fee_qu: int
    latency_ms: int
    reliability_ppm: int

    @property
    def executable(self) -> bool:
        """Whether this hub can carry it out by itself."""
        return len(self.arcs) == 1 and self.arcs[0].kind in EXECUTABLE_KINDS

    def on_wire(self, intent: Intent) -> Route:
        """Return it as the protocol shows it, with the intent's two ends."""
        between = [arc.destination for arc in self.arcs[:-1] if arc.destination is not None]
        route_id = "/".join(arc.arc_id for arc in self.arcs)
        if len(route_id) > ROUTE_ID_LETTERS_MAX:
            route_id = k12(route_id.encode()).hex()
        kinds = {arc.kind for arc in self.arcs}
        return Route(
            route_id=route_id,
            kind=kinds.pop() if len(kinds) == 1 else MIXED_KIND,
            hops=[intent.source, *between, intent.destination],
        )


@dataclass(frozen=True, slots=True)
class QuotedRoute:
    """A quote that was given, and for what. It stays known for a while after it has ended."""

    intent: Intent
    quote: Quote

    @property
    def valid_until_tick(self) -> int:
        """The last tick at which a payment may begin from it."""
        return self.quote.valid_until_tick
