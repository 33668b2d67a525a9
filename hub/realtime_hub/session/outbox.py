"""What waits to be sent to one client: four classes, the most urgent first, bounded by keys.

Within a class messages go in the order in which they were put. A message with a key replaces the
one that waits under the same key and goes to the end, so that positions never step back.
"""

from collections.abc import Hashable
from enum import IntEnum
from typing import Final

KEYS_MAX: Final = 4_096
"""Messages that wait in one class."""


class Urgency(IntEnum):
    """The class of a message."""

    REVOCATION = 0
    PAYMENT = 1
    REPLY = 2
    QUOTE = 3


_LAST: Final = Urgency.QUOTE


class Outbox:
    """The queue of one session."""

    __slots__ = ("_classes", "_unique", "bytes")

    def __init__(self) -> None:
        self.bytes = 0
        self._classes: list[dict[Hashable, bytes] | None] = [None, None, None, None]
        self._unique = 0
        """Counts down, below every key that a caller may give."""

    def put(self, urgency: Urgency, message: bytes, key: Hashable = None) -> bool:
        """Queue *message*; False when the class is full, and then nothing is queued."""
        waiting = self._classes[urgency]
        if waiting is None:
            waiting = self._classes[urgency] = {}
        if key is None:
            key = self._unique = self._unique - 1
        elif (replaced := waiting.pop(key, None)) is not None:
            self.bytes -= len(replaced)
        if len(waiting) >= KEYS_MAX:
            return False
        waiting[key] = message
        self.bytes += len(message)
        return True

    def take(self, bytes_max: int, *, least_urgent: Urgency = _LAST) -> list[bytes]:
        """Remove and return messages until *bytes_max* is reached or exceeded."""
        if self.bytes <= bytes_max and least_urgent is _LAST:
            return self._take_all()
        taken: list[bytes] = []
        size = 0
        for waiting in self._classes[: least_urgent + 1]:
            while waiting and size < bytes_max:
                message = waiting.pop(next(iter(waiting)))
                size += len(message)
                taken.append(message)
        self.bytes -= size
        return taken

    def _take_all(self) -> list[bytes]:
        taken: list[bytes] = []
        for waiting in self._classes:
            if waiting:
                taken.extend(waiting.values())
                waiting.clear()
        self.bytes = 0
        return taken

    def drop(self, urgency: Urgency, key: Hashable) -> None:
        """Forget the message that waits under *key*."""
        waiting = self._classes[urgency]
        dropped = waiting.pop(key, None) if waiting else None
        if dropped is not None:
            self.bytes -= len(dropped)

    def drop_stream(self, urgency: Urgency, number: int) -> list[bytes]:
        """Forget what waits under keys ``(number, ...)``; return it, the oldest first."""
        waiting = self._classes[urgency] or {}
        keys = [key for key in waiting if isinstance(key, tuple) and key[0] == number]
        dropped = [waiting.pop(key) for key in keys]
        self.bytes -= sum(map(len, dropped))
        return dropped

    def clear(self) -> None:
        """Forget everything."""
        self._classes = [None, None, None, None]
        self.bytes = 0

    def bytes_by_class(self) -> dict[Urgency, int]:
        """Return how much waits in each class."""
        return {
            urgency: sum(map(len, (self._classes[urgency] or {}).values())) for urgency in Urgency
        }

    @property
    def most_urgent(self) -> Urgency | None:
        """The class of the message that would go next."""
        for urgency in Urgency:
            if self._classes[urgency]:
                return urgency
        return None
