"""The newest entries of the trust log: for those who were away, and to say nothing twice."""

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterable
from itertools import takewhile
from typing import Final

from realtime_hub.auth.model import EntryKind, LogEntry

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


class SaidOfOrders:
    """Where the log says what of an administrator's order: its draft is the same each time.

    A write that timed out may have been made. Who tries again finds it here once it has come out
    of the log. Chain records need nothing of the kind, for their sequence tells.
    """

    def __init__(self, *, entries_max: int = ENTRIES_MAX) -> None:
        self._places: OrderedDict[Hashable, int] = OrderedDict()
        self._entries_max = entries_max

    def begin(self) -> None:
        """Forget what was: places have lost their meaning."""
        self._places.clear()

    def add(self, entry: LogEntry) -> None:
        """Take the next entry."""
        if entry.kind is not EntryKind.CHAIN:
            self._places[_what(entry)] = entry.log_seq
            if len(self._places) > self._entries_max:
                self._places.popitem(last=False)

    def place_of(self, draft: LogEntry) -> int | None:
        """Return where the log says just that already; None where it doesn't, or not lately."""
        return self._places.get(_what(draft))


def _what(entry: LogEntry) -> Hashable:
    change = (entry.wallet, entry.digest, entry.target_tick)
    return entry.kind, change, entry.status, entry.score, entry.reason
