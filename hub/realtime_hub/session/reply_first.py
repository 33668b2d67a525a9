"""Keeps what a request causes behind the reply to it."""

from collections import deque
from collections.abc import Hashable
from typing import Final

HELD_MAX: Final = 4_096


class ReplyFirst:
    """Holds pushes back while a request is in flight that may have caused them.

    A push waits only for requests that were taken before it came, so that a client that always
    has one in flight still hears of its payments.
    """

    __slots__ = ("_held", "_newest", "_open")

    def __init__(self) -> None:
        self._newest = 0
        self._open: set[int] = set()
        self._held: deque[tuple[int, Hashable, bytes]] = deque()

    @property
    def holding(self) -> bool:
        """Whether something waits."""
        return bool(self._held)

    @property
    def is_full(self) -> bool:
        """Whether nothing more can be held."""
        return len(self._held) >= HELD_MAX

    def begin(self) -> int:
        """A request was taken; give the number back to `end`."""
        self._newest += 1
        self._open.add(self._newest)
        return self._newest

    def end(self, request: int) -> list[tuple[Hashable, bytes]]:
        """Its reply is queued: return what need not wait any longer, in order."""
        self._open.discard(request)
        waits_for = min(self._open, default=self._newest + 1)
        released = []
        while self._held and self._held[0][0] < waits_for:
            _, key, message = self._held.popleft()
            released.append((key, message))
        return released

    def hold(self, key: Hashable, message: bytes) -> bool:
        """Hold a push back if a request is in flight, or if an earlier push waits."""
        if not self._open and not self._held:
            return False
        self._held.append((self._newest, key, message))
        return True
