"""What the hub counts and measures, for Prometheus."""

from collections.abc import Callable
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

_BATCH_BUCKETS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024)
_LAG_BUCKETS_S: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0)


class Metrics:
    """The hub's metrics, in a registry of their own so that tests don't share them."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self._registry = registry
        self._reporters: list[Callable[[], None]] = []
        self.sessions = Gauge("realtime_sessions", "Logged-in sessions", registry=registry)
        self.connections = Gauge(
            "realtime_connections", "Open WebSocket connections", registry=registry
        )
        self.resumes = Counter(
            "realtime_resumes", "Resumed sessions by outcome", ["outcome"], registry=registry
        )
        self.logins = Counter(
            "realtime_logins", "Logins by outcome", ["outcome"], registry=registry
        )
        self.requests = Counter(
            "realtime_requests",
            "Requests by type and outcome",
            ["type", "outcome"],
            registry=registry,
        )
        self.pushes = Counter("realtime_pushes", "Pushes by type", ["type"], registry=registry)
        self.closes = Counter(
            "realtime_closes",
            "Connections that the hub closed, by code",
            ["code"],
            registry=registry,
        )
        self.trust_changes = Counter(
            "realtime_trust_changes",
            "Trust log entries applied, by kind",
            ["kind"],
            registry=registry,
        )
        self.payments = Counter(
            "realtime_payments", "Payment states entered", ["state"], registry=registry
        )
        self.loop_lag_s = Histogram(
            "realtime_loop_lag_seconds",
            "How late the event loop ran",
            buckets=_LAG_BUCKETS_S,
            registry=registry,
        )
        self.signature_batch_checks = Histogram(
            "realtime_signature_batch_checks",
            "Signature checks run together, by where: in the loop or in the thread",
            ["where"],
            buckets=_BATCH_BUCKETS,
            registry=registry,
        )
        self.signature_checks_refused = Counter(
            "realtime_signature_checks_refused",
            "Signature checks refused because too many waited",
            registry=registry,
        )
        self.queued_bytes = Gauge(
            "realtime_queued_bytes",
            "What waits in the queues of sessions, by class",
            ["class"],
            registry=registry,
        )
        self.quotes_shed = Counter(
            "realtime_quotes_shed",
            "Quotes that were not pushed because of load",
            registry=registry,
        )
        self.ticks = Counter(
            "realtime_ticks_processed", "Ticks that the hub has processed", registry=registry
        )

    def watch(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Expose what *read* returns at each scrape as a gauge."""
        Gauge(name, text, registry=self._registry).set_function(read)

    def before_reading(self, report: Callable[[], None]) -> None:
        """Call *report* before each scrape: for what is too frequent to be counted here at once."""
        self._reporters.append(report)

    def exposition(self) -> tuple[bytes, str]:
        """Return the metrics as text and their content type."""
        for report in self._reporters:
            report()
        return generate_latest(self._registry), CONTENT_TYPE_LATEST
