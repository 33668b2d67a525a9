"""What the session layer counts. Labels are resolved once, not for each message."""

from functools import cache
from typing import Any

from realtime_hub.metrics import Metrics
from realtime_protocol.codes import CloseCode, ErrorCode
from realtime_protocol.messages import PushType, RequestType


class SessionCounters:
    """Writes to the hub's metrics."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._request = cache(self._request_counter)
        self._push = cache(self._push_counter)

    def connected(self) -> None:
        """A WebSocket connection is open."""
        self._metrics.connections.inc()

    def disconnected(self) -> None:
        """A WebSocket connection is gone."""
        self._metrics.connections.dec()

    def logged_in(self) -> None:
        """A session is open."""
        self._metrics.sessions.inc()

    def logged_out(self) -> None:
        """A session ended."""
        self._metrics.sessions.dec()

    def login(self, outcome: ErrorCode | None) -> None:
        """A login was decided; None: it was proven."""
        self._metrics.logins.labels(_name(outcome)).inc()

    def request(self, kind: int, outcome: ErrorCode | None) -> None:
        """A request was answered; None: served."""
        self._request(kind, outcome).inc()

    def push(self, kind: PushType, number: int = 1) -> None:
        """Messages that nobody asked for were queued."""
        self._push(kind).inc(number)

    def closed(self, code: int) -> None:
        """The hub closed a connection."""
        try:
            name = CloseCode(code).wire_name  # type: ignore[call-arg]  # looks up by value
        except ValueError:
            name = str(code)
        self._metrics.closes.labels(name).inc()

    def _request_counter(self, kind: int, outcome: ErrorCode | None) -> Any:
        known = kind in RequestType.__members__.values()
        name = RequestType(kind).name.lower() if known else "unknown"
        return self._metrics.requests.labels(name, _name(outcome))

    def _push_counter(self, kind: PushType) -> Any:
        return self._metrics.pushes.labels(kind.name.lower())


def _name(outcome: ErrorCode | None) -> str:
    return "ok" if outcome is None else outcome.wire_name
