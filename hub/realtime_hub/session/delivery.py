"""What leaves a session: its queue, the connection behind it, and how well the client keeps up."""

from collections.abc import Hashable
from typing import Final

from realtime_hub.session.outbox import Outbox, Urgency
from realtime_hub.session.ports import Wire
from realtime_protocol.limits import Limits

SEND_BYTES: Final = 16_384
"""Handed to the connection at a time; what waits behind it can still be overtaken."""
_EVERYTHING: Final = 2**62


class Delivery:
    """Sends what a session puts in, the most urgent first, as the connection takes it.

    A client that takes too little is read less: its own requests fill the queue. One that takes
    nothing at all shows by :meth:`stalled`.
    """

    __slots__ = ("_drained_bytes", "_outbox", "_progress_s", "_queue_bytes_max", "reading", "wire")

    def __init__(self, wire: Wire, limits: Limits, *, now_s: float) -> None:
        self.wire = wire
        self.reading = True
        """Whether the client's messages are taken in."""
        self._outbox = Outbox()
        self._queue_bytes_max = limits.queue_bytes_max
        self._progress_s = now_s
        self._drained_bytes = 0

    # Queueing -------------------------------------------------------------------------------

    @property
    def waiting_bytes(self) -> int:
        """What waits here."""
        return self._outbox.bytes

    @property
    def queued_bytes(self) -> int:
        """What waits for this client, here and in the connection."""
        return self._outbox.bytes + self.wire.unsent_bytes

    def put(self, urgency: Urgency, message: bytes, key: Hashable = None) -> bool:
        """Queue a message; False when its class is full, and then nothing is queued."""
        return self._outbox.put(urgency, message, key)

    def drop(self, urgency: Urgency, key: Hashable) -> None:
        """Forget a message that waits under *key*."""
        self._outbox.drop(urgency, key)

    def drop_stream(self, urgency: Urgency, number: int) -> list[bytes]:
        """Forget what waits under keys ``(number, ...)``; return it, the oldest first."""
        return self._outbox.drop_stream(urgency, number)

    def holds(self, urgency: Urgency) -> bool:
        """Whether a message of this class waits here."""
        return self._outbox.holds(urgency)

    def queued_by_class(self) -> dict[Urgency, int]:
        """Return what waits here, in bytes."""
        return self._outbox.bytes_by_class()

    # Sending --------------------------------------------------------------------------------

    def reply(self, replies: list[bytes]) -> bool:
        """Send replies, at once when nothing waits; False: they are queued, flush."""
        wire = self.wire
        if self._outbox.bytes or not wire.writable:
            for one in replies:
                self._outbox.put(Urgency.REPLY, one)
            return False
        wire.send(replies)
        return wire.writable and self.reading

    def send_at_once(self, message: bytes) -> bool:
        """Send a message when nothing waits, as to thousands that a fan-out reaches; else False."""
        wire = self.wire
        if self._outbox.bytes or not self.reading or not wire.writable:
            return False
        wire.send((message,))
        return True

    def flush(self) -> None:
        """Hand over what the connection takes, the most urgent first."""
        outbox, wire = self._outbox, self.wire
        writable = wire.writable
        while writable and outbox.bytes:
            wire.send(outbox.take(SEND_BYTES))
            writable = wire.writable
        if not (writable and self.reading):
            self._steer_reading()

    def send_last(self, least_urgent: Urgency) -> None:
        """Hand over everything that is at least that urgent."""
        last = self._outbox.take(_EVERYTHING, least_urgent=least_urgent)
        if last:
            self.wire.send(last)

    def clear(self) -> None:
        """Forget everything."""
        self._outbox.clear()

    def _steer_reading(self) -> None:
        queued = self.queued_bytes
        if self.reading and queued >= self._queue_bytes_max:
            self.reading = False
            self.wire.pause_reading()
        elif not self.reading and queued <= self._queue_bytes_max // 2:
            self.reading = True
            self.wire.resume_reading()

    # Progress -------------------------------------------------------------------------------

    def stalled_ms(self, now_s: float) -> int:
        """Return for how long something has waited and nothing has drained; 0 when it moves."""
        drained = self.wire.drained_bytes
        if drained != self._drained_bytes or not self.queued_bytes:
            self._drained_bytes = drained
            self._progress_s = now_s
            return 0
        return round((now_s - self._progress_s) * 1_000)

    def stall_facts(self, stalled_ms: int) -> dict[str, int]:
        """Return what a client that stands still is told as it is closed."""
        waiting = self._outbox.most_urgent
        facts = {"queued": self.queued_bytes, "age": stalled_ms}
        return facts if waiting is None else {**facts, "class": int(waiting)}
