"""A route catalogue in memory: the direct transfer, and what else is put there."""

from collections.abc import Iterable

from realtime_hub.route.model import CATALOG_ARCS_MAX, DIRECT, Arc, Catalog


class MemoryCatalog:
    """Implements RouteCatalogPort. Call the quote service's `refresh` after `replace`."""

    def __init__(self, arcs: Iterable[Arc] = ()) -> None:
        self._catalog = _with_direct(1, arcs)

    def snapshot(self) -> Catalog:
        """Return the arcs now."""
        return self._catalog

    def replace(self, arcs: Iterable[Arc]) -> None:
        """Put other arcs beside the direct transfer; ValueError when they are too many."""
        self._catalog = _with_direct(self._catalog.version + 1, arcs)


def _with_direct(version: int, arcs: Iterable[Arc]) -> Catalog:
    all_arcs = (DIRECT, *arcs)
    if len(all_arcs) > CATALOG_ARCS_MAX:
        raise ValueError(f"a catalogue of {len(all_arcs)} arcs; at most {CATALOG_ARCS_MAX}")
    return Catalog(version, all_arcs)
