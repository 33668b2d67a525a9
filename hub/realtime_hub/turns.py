"""Work that may come for thousands of connections at once, shared out over turns of the loop."""

import asyncio
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Final

TURN_S_MAX: Final = 0.005
"""Of one turn of the event loop, for one kind of work."""


class LoopTurns:
    """Does at most so much in each turn of the event loop, in order; the rest waits for the next.

    Work that comes while nothing waits and there is time left is done at once. Its number is
    bounded by whoever brings it: one piece a connection.
    """

    def __init__(self, *, turn_s_max: float = TURN_S_MAX) -> None:
        self.longest_wait_s = 0.0
        """Of what was done since this was last set to 0."""
        self._turn_s_max = turn_s_max
        self._waiting: deque[tuple[float, Callable[[], None]]] = deque()
        self._spent_s = 0.0
        self._next_is_due = False

    def __len__(self) -> int:
        return len(self._waiting)

    def take(self, work: Callable[[], None]) -> bool:
        """Do it now and return True, or in a later turn. It must not raise."""
        if self._waiting or self._spent_s >= self._turn_s_max:
            self.put_off(work)
            return False
        began_s = monotonic()
        try:
            work()
        finally:
            self._spent_s += monotonic() - began_s
            self._see_to_next()
        return True

    def put_off(self, work: Callable[[], None]) -> None:
        """Do it in a later turn, after all that waits. It must not raise."""
        self._waiting.append((monotonic(), work))
        self._see_to_next()

    def _see_to_next(self) -> None:
        if not self._next_is_due:
            self._next_is_due = True
            asyncio.get_running_loop().call_soon(self._begin_turn)

    def _begin_turn(self) -> None:
        self._next_is_due = False
        self._spent_s = 0.0
        waiting = self._waiting
        if not waiting:
            return
        began_s = now_s = monotonic()
        end_s = began_s + self._turn_s_max
        try:
            while waiting and now_s < end_s:
                since_s, work = waiting.popleft()
                if now_s - since_s > self.longest_wait_s:
                    self.longest_wait_s = now_s - since_s
                work()
                now_s = monotonic()
        finally:
            self._spent_s = now_s - began_s
            self._see_to_next()
