"""What waits to be sent to one client: four classes, the most urgent first, bounded by keys.

Within a class messages go in the order in which they were put. A message with a key replaces the
one that waits under the same key and goes to the end, so that positions never step back.
"""

from collections.abc import Collection, Hashable
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


_REPLY: Final = Urgency.REPLY
_LAST: Final = Urgency.QUOTE


class Outbox:
    """The queue of one session."""

    __slots__ = ("_classes", "_replies", "_unique", "bytes")

    def __init__(self) -> None:
        self.bytes = 0
        self._replies: list[bytes] = []
        """Their class, apart: they have no keys, and most queues hold nothing else."""
        self._classes: list[dict[Hashable, bytes] | None] | None = None
        self._unique = 0
        """Counts down, below every key that a caller may give."""

    def put(self, urgency: Urgency, message: bytes, key: Hashable = None) -> bool:
        """Queue *message*; False when the class is full, and then nothing is queued.

        Replies have no key.
        """
        if urgency is _REPLY:
            if len(self._replies) >= KEYS_MAX:
                return False
            self._replies.append(message)
        else:
            waiting = self._waiting(urgency)
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
        if self._classes is None and self.bytes <= bytes_max and least_urgent >= _REPLY:
            taken, self._replies, self.bytes = self._replies, [], 0
            return taken
        taken = []
        size = 0
        for urgency in range(least_urgent + 1):
            if urgency == _REPLY:
                size += self._take_replies(taken, bytes_max - size)
                continue
            waiting = self._classes[urgency] if self._classes is not None else None
            while waiting and size < bytes_max:
                message = waiting.pop(next(iter(waiting)))
                size += len(message)
                taken.append(message)
        self.bytes -= size
        if not self.bytes:
            self._classes = None
        return taken

    def _waiting(self, urgency: Urgency) -> dict[Hashable, bytes]:
        if self._classes is None:
            self._classes = [None, None, None, None]
        waiting = self._classes[urgency]
        if waiting is None:
            waiting = self._classes[urgency] = {}
        return waiting

    def _take_replies(self, taken: list[bytes], bytes_max: int) -> int:
        size = number = 0
        while number < len(self._replies) and size < bytes_max:
            size += len(self._replies[number])
            number += 1
        taken.extend(self._replies[:number])
        del self._replies[:number]
        return size

    def drop(self, urgency: Urgency, key: Hashable) -> None:
        """Forget the message that waits under *key*."""
        waiting = self._classes[urgency] if self._classes is not None else None
        dropped = waiting.pop(key, None) if waiting else None
        if dropped is not None:
            self.bytes -= len(dropped)

    def drop_stream(self, urgency: Urgency, number: int) -> list[bytes]:
        """Forget what waits under keys ``(number, ...)``; return it, the oldest first."""
        waiting = self._waiting(urgency)
        keys = [key for key in waiting if isinstance(key, tuple) and key[0] == number]
        dropped = [waiting.pop(key) for key in keys]
        self.bytes -= sum(map(len, dropped))
        return dropped

    def clear(self) -> None:
        """Forget everything."""
        self._classes = None
        self._replies.clear()
        self.bytes = 0

    def bytes_by_class(self) -> dict[Urgency, int]:
        """Return how much waits in each class."""
        return {urgency: sum(map(len, self._messages(urgency))) for urgency in Urgency}

    def holds(self, urgency: Urgency) -> bool:
        """Whether a message of this class waits."""
        return self._classes is not None and bool(self._classes[urgency])

    @property
    def most_urgent(self) -> Urgency | None:
        """The class of the message that would go next."""
        for urgency in Urgency:
            if self._messages(urgency):
                return urgency
        return None

    def _messages(self, urgency: Urgency) -> Collection[bytes]:
        if urgency is _REPLY:
            return self._replies
        waiting = self._classes[urgency] if self._classes is not None else None
        return waiting.values() if waiting else ()
