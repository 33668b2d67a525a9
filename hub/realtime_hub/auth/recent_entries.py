"""The newest entries of the trust log, for those who were away for a moment."""

from collections import deque
from collections.abc import Iterable
from itertools import takewhile
from typing import Final

from realtime_hub.auth.model import LogEntry

ENTRIES_MAX: Final = 4_096


class RecentEntries:
    """What came out of the log last, so that a storm of resumes needs no read of the log each."""

    def __init__(self, *, entries_max: int = ENTRIES_MAX) -> None:
        self._entries: deque[LogEntry] = deque(maxlen=entries_max)

    def begin(self, entries: Iterable[LogEntry]) -> None:
        """Forget what was: the log begins with these."""
        self._entries.clear()
        self._entries.extend(entries)

    def add(self, entry: LogEntry) -> None:
        """Take the next entry."""
        self._entries.append(entry)

    def since(self, offset: int) -> list[LogEntry] | None:
        """Return what came after *offset*; None when that is longer ago than is remembered."""
        if not self._entries or offset < self._entries[0].log_seq - 1:
            return None
        found = list(takewhile(lambda entry: entry.log_seq > offset, reversed(self._entries)))
        found.reverse()
        return found
