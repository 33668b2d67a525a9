"""What the route domain needs from outside."""

from typing import Protocol

from realtime_hub.route.model import Arc, ArcHealth, Catalog


class RouteCatalogPort(Protocol):
    """Knows the arcs. The direct transfer is always among them, and first."""

    def snapshot(self) -> Catalog:
        """Return the arcs now; another version means other arcs."""
        ...


class RouteHealthPort(Protocol):
    """Knows how the arcs do at present."""

    def of(self, arc: Arc) -> ArcHealth:
        """Return an arc's live figures, at once and without I/O."""
        ...
