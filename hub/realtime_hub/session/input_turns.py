"""What thousands of clients ask at once, shared out over short turns of the event loop.

A loop reads everybody who has something to say before it does anything else. With ten thousand of
them one round takes a tenth of a second, and whatever needs several rounds, such as a revocation
on its way from the journal to its watchers, takes as many tenths. So when rounds become long, what
was read is put aside and answered in order, a little in each round. Some goes first.
"""

from typing import Final

from realtime_hub.turns import LoopTurns
from realtime_protocol.messages import RequestType

TURN_S_MAX: Final = 0.001
CROWDED_S: Final = 0.010
"""Of a round, or of the wait for one's turn: from here on requests take turns."""

FIRST: Final = frozenset(
    {
        RequestType.TRUST_SET,
        RequestType.KEYS_REVOKE,
        RequestType.LOGOUT,
        RequestType.PAY_PREPARE,
        RequestType.PAY,
        RequestType.PAYMENT_GET,
        RequestType.PING,
        RequestType.ACK,
        RequestType.QUOTE_OPEN,  # Most are refused then, and whoever is refused should know soon.
    }
)
"""What is served at once in any crowd: trust that falls, money, signs of life."""


class InputTurns(LoopTurns):
    """The requests of one process. While it isn't *crowded*, they are answered as they are read."""

    def __init__(self, *, turn_s_max: float = TURN_S_MAX) -> None:
        super().__init__(turn_s_max=turn_s_max)
        self.crowded = False
        self._late_before_s = 0.0

    def look(self, late_s: float) -> float:
        """Take how late the loop ran; return how late requests are, in seconds.

        A single long round, such as a collection of garbage, makes no crowd: of two in a row the
        shorter counts.
        """
        late_s = max(late_s, self.longest_wait_s)
        self.longest_wait_s = 0.0
        self.crowded = min(late_s, self._late_before_s) >= CROWDED_S
        self._late_before_s = late_s
        return late_s
