"""How a slow reader keeps a hub's queue for it full, without ever blocking on its own requests."""

from dataclasses import dataclass
from typing import Final

RECEIVE_BUFFER_BYTES: Final = 4_096
PIECE_BYTES: Final = 1_024
PIECES_PER_S: Final = 8
"""8 KiB a second."""
UNDER_WAY_MAX: Final = 24
"""Below the hub's 32 in flight."""
ANSWER_BYTES_MIN: Final = 1_000
"""An answer of 64 wallets is longer, so the count of those under way is never too low."""


@dataclass(slots=True)
class Backlog:
    """Counts what was asked and how much came back."""

    asked: int = 0
    read_bytes: int = 0

    def read(self, size_bytes: int) -> None:
        """Note what was read."""
        self.read_bytes += size_bytes

    def questions_to_send(self) -> int:
        """Return how many more may be asked now, and count them as asked: at most one at a time.

        One each turn is 8 a second, which the hub's 20 a second allow.
        """
        answered = self.read_bytes // ANSWER_BYTES_MIN
        if self.asked - answered >= UNDER_WAY_MAX:
            return 0
        self.asked += 1
        return 1
