"""What the session layer counts, cheaply: the metrics get to know of it when they are read."""

from collections import Counter

from realtime_hub.metrics import Metrics
from realtime_protocol.codes import CloseCode, ErrorCode
from realtime_protocol.messages import REQUEST_TYPE_MAX, PushType, RequestType


class SessionCounters:
    """Writes to the hub's metrics."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self.served = [0] * (REQUEST_TYPE_MAX + 1)
        """Requests answered since the metrics were last read, by type: add to it."""
        self._refused: Counter[tuple[int, ErrorCode]] = Counter()
        self._pushes: Counter[PushType] = Counter()
        self._closes: Counter[int] = Counter()
        self._connections = 0
        self._sessions = 0
        metrics.before_reading(self._report)

    def connected(self) -> None:
        """A WebSocket connection is open."""
        self._connections += 1

    def disconnected(self) -> None:
        """A WebSocket connection is gone."""
        self._connections -= 1

    def logged_in(self) -> None:
        """A session is open."""
        self._sessions += 1

    def logged_out(self) -> None:
        """A session ended."""
        self._sessions -= 1

    def login(self, outcome: ErrorCode | None) -> None:
        """A login was decided; None: it was proven."""
        self._metrics.logins.labels(_name(outcome)).inc()

    def resume(self, outcome: ErrorCode | None) -> None:
        """A resume was decided; None: the session goes on."""
        self._metrics.resumes.labels(_name(outcome)).inc()

    def refused(self, kind: int, code: ErrorCode) -> None:
        """A request was refused."""
        self._refused[kind, code] += 1

    def push(self, kind: PushType, number: int = 1) -> None:
        """Messages that nobody asked for were queued."""
        self._pushes[kind] += number

    def shed_quote(self) -> None:
        """A quote was not pushed because of load."""
        self._metrics.quotes_shed.inc()

    def closed(self, code: int) -> None:
        """The hub closed a connection."""
        self._closes[code] += 1

    def _report(self) -> None:
        """Tell the metrics what came since the last time."""
        requests = self._metrics.requests
        for kind, number in enumerate(self.served):
            if number:
                requests.labels(_type_name(kind), _name(None)).inc(number)
                self.served[kind] = 0
        for (kind, error), number in self._refused.items():
            requests.labels(_type_name(kind), _name(error)).inc(number)
        for push, number in self._pushes.items():
            self._metrics.pushes.labels(push.name.lower()).inc(number)
        for code, number in self._closes.items():
            self._metrics.closes.labels(_close_name(code)).inc(number)
        self._metrics.connections.set(self._connections)
        self._metrics.sessions.set(self._sessions)
        self._refused.clear()
        self._pushes.clear()
        self._closes.clear()


def _type_name(kind: int) -> str:
    known = kind in RequestType.__members__.values()
    return RequestType(kind).name.lower() if known else "unknown"


def _close_name(code: int) -> str:
    try:
        return CloseCode(code).wire_name  # type: ignore[call-arg]  # looks up by value
    except ValueError:
        return str(code)


def _name(outcome: ErrorCode | None) -> str:
    return "ok" if outcome is None else outcome.wire_name
