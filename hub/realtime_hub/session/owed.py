"""Revocations that one client was sent and may not have yet."""

from collections import deque
from collections.abc import Callable, Iterator

from realtime_hub.session.coverage import REVOCATIONS_MAX


class Owed:
    """Their places in the log, in order; as many as are remembered at all."""

    __slots__ = ("_log_seqs", "_mark")

    def __init__(self) -> None:
        self._log_seqs: deque[int] = deque(maxlen=REVOCATIONS_MAX)
        self._mark: tuple[int, int] | None = None
        """Once the system took so many bytes, the client has everything up to that place."""

    def __bool__(self) -> bool:
        return bool(self._log_seqs)

    def __iter__(self) -> Iterator[int]:
        return iter(self._log_seqs)

    def __contains__(self, log_seq: int) -> bool:
        return log_seq in self._log_seqs

    def add(self, log_seq: int) -> None:
        """The client was sent it just now."""
        self._log_seqs.append(log_seq)

    def take_acknowledged(self, has_all: Callable[[int], bool]) -> list[int]:
        """Remove and return those up to which everything was acknowledged."""
        seen = []
        while self._log_seqs and has_all(self._log_seqs[0]):
            seen.append(self._log_seqs.popleft())
        return seen

    def take_drained(self, drained_bytes: int, handed_over_bytes: int | None) -> list[int]:
        """Remove and return those whose bytes the system has taken.

        *handed_over_bytes*: how much was handed over in all, or None while a revocation still
        waits for that.
        """
        if self._mark is None and self._log_seqs and handed_over_bytes is not None:
            self._mark = (handed_over_bytes, self._log_seqs[-1])
        if self._mark is None or drained_bytes < self._mark[0]:
            return []
        last, self._mark, seen = self._mark[1], None, []
        while self._log_seqs and self._log_seqs[0] <= last:
            seen.append(self._log_seqs.popleft())
        return seen
