"""What a backend was sent of one subscription and hasn't said to have dealt with."""

from collections import deque
from typing import Final

UNACKNOWLEDGED_MAX: Final = 4_096
"""Changes; with one more its session is closed 4003."""
ACK_WITHIN_S: Final = 15.0
"""A change that isn't acknowledged for so long closes the session 4002."""


class Receipts:
    """Offsets that were sent and not acknowledged, in order. Without a clock of its own."""

    __slots__ = ("_unacknowledged", "_watched", "_watched_since_s")

    def __init__(self) -> None:
        self._unacknowledged: deque[int] = deque()
        self._watched: int | None = None
        self._watched_since_s = 0.0

    def __len__(self) -> int:
        return len(self._unacknowledged)

    def sent(self, offset: int) -> bool:
        """Note a change that is on its way; False when too many wait for their receipt."""
        self._unacknowledged.append(offset)
        return len(self._unacknowledged) <= UNACKNOWLEDGED_MAX

    def acknowledge(self, offset: int) -> None:
        """Everything up to *offset* was dealt with."""
        waiting = self._unacknowledged
        while waiting and waiting[0] <= offset:
            waiting.popleft()

    def restart(self) -> None:
        """Forget what was sent: positions mean something else from now on."""
        self._unacknowledged.clear()
        self._watched = None

    def lacks(self, offset: int) -> bool:
        """Whether something up to *offset* waits for its receipt."""
        return bool(self._unacknowledged) and self._unacknowledged[0] <= offset

    def is_late(self, now_s: float) -> bool:
        """Whether the oldest has waited for too long. Ask at each look at the session."""
        oldest = self._unacknowledged[0] if self._unacknowledged else None
        if oldest is None or oldest != self._watched:
            self._watched, self._watched_since_s = oldest, now_s
            return False
        return now_s - self._watched_since_s >= ACK_WITHIN_S
