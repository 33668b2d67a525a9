"""The stream of durable payment changes: positions, a bounded past, listeners."""

from collections import deque
from collections.abc import Callable

from realtime_hub.pay.model import PaymentChange
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import Position

CHANGES_REMEMBERED_MAX = 20_000


class PaymentStream:
    """Hands changes on in the order of the journal and remembers the latest of them."""

    def __init__(self, *, changes_remembered_max: int = CHANGES_REMEMBERED_MAX) -> None:
        self.listeners: list[Callable[[PaymentChange], None]] = []
        self._changes: deque[PaymentChange] = deque(maxlen=changes_remembered_max)
        self._epoch = bytes(8)
        self._head = 0
        self._begin = 0
        """Everything after this offset is remembered."""

    def open(self, epoch: bytes) -> None:
        """Begin with a replay in the stream that *epoch* names."""
        self._epoch = epoch

    @property
    def position(self) -> Position:
        """Where the stream is."""
        return Position(self._epoch, self._head)

    def replayed(self, change: PaymentChange) -> None:
        """Take a change from the journal; nobody is told."""
        if len(self._changes) == self._changes.maxlen:
            self._begin = self._changes[0].offset
        self._changes.append(change)
        self._head = change.offset

    def publish(self, change: PaymentChange) -> None:
        """Take a change that just became durable and tell all listeners."""
        self.replayed(change)
        for listener in self.listeners:
            listener(change)

    def since(self, position: Position, wallet: PublicKey) -> list[PaymentChange] | None:
        """Return the changes after *position* in which *wallet* pays or is paid.

        None when they can't all be had: another epoch, a position ahead, or too long ago.
        """
        later = self.all_since(position)
        if later is None:
            return None
        return [change for change in later if wallet in (*change.pays, change.payee)]

    def all_since(self, position: Position) -> list[PaymentChange] | None:
        """Return every change after *position*; None when they can't all be had."""
        if position.epoch != self._epoch or not self._begin <= position.offset <= self._head:
            return None
        return [change for change in self._changes if change.offset > position.offset]
