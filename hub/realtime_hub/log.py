"""Logs: one JSON object a line, never a secret, never a flood."""

import json
import logging
import sys
from collections.abc import Callable
from typing import TextIO

_STANDARD = frozenset(vars(logging.makeLogRecord({})))
LINES_PER_S_MAX = 50
"""Above this rate lines are counted instead of written; the count follows as one line."""


class JsonFormatter(logging.Formatter):
    """Time, level, logger, message, and whatever was given as ``extra``."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one JSON line."""
        line: dict[str, object] = {
            "time_ms": int(record.created * 1000),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update({k: v for k, v in vars(record).items() if k not in _STANDARD})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


class FloodFilter(logging.Filter):
    """Lets *lines_per_s_max* lines through each second; errors always pass."""

    def __init__(
        self, monotonic_s: Callable[[], float], lines_per_s_max: int = LINES_PER_S_MAX
    ) -> None:
        super().__init__()
        self._monotonic_s = monotonic_s
        self._lines_per_s_max = lines_per_s_max
        self._second = -1
        self._lines = 0
        self._dropped = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether the line is written; the first of a second tells what was left out."""
        second = int(self._monotonic_s())
        if second != self._second:
            self._second, self._lines = second, 0
            if self._dropped:
                record.lines_left_out = self._dropped
                self._dropped = 0
        self._lines += 1
        if self._lines <= self._lines_per_s_max or record.levelno >= logging.ERROR:
            return True
        self._dropped += 1
        return False


def start_logging(
    level: str, monotonic_s: Callable[[], float], stream: TextIO | None = None
) -> None:
    """Write this process's logs to *stream* (default: standard error)."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(FloodFilter(monotonic_s))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Every request of uvicorn at info would drown what matters.
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
