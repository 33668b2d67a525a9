"""How routes do: the direct transfer as fast as the chain's ticks, the others as configured."""

from collections.abc import Callable

from realtime_hub.route.model import DIRECT_KIND, Arc, ArcHealth


class ChainRouteHealth:
    """Implements RouteHealthPort.

    A direct transfer settles when its target tick, *tick_offset* ahead, has been processed: one
    tick later.
    """

    def __init__(self, *, tick_duration_ms: Callable[[], int], tick_offset: int) -> None:
        self._tick_duration_ms = tick_duration_ms
        self._tick_offset = tick_offset

    def of(self, arc: Arc) -> ArcHealth:
        """Return an arc's live figures."""
        settled_ms = arc.settled_ms
        if arc.kind == DIRECT_KIND:
            settled_ms = max(1, self._tick_duration_ms()) * (self._tick_offset + 1)
        return ArcHealth(
            up=True,
            accepted_ms=arc.accepted_ms,
            settled_ms=settled_ms,
            reliability_ppm=arc.reliability_ppm,
        )
