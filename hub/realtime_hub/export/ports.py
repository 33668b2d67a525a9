"""What the export of events needs from outside."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from realtime_hub.export.events import SecurityEvent
from realtime_protocol.messages import Position


class QueueUnavailable(Exception):  # noqa: N818 - names a state of the world, not a mistake
    """The queue can't be read or written now."""


class EventQueue(Protocol):
    """Keeps events for each stream until they are delivered, across restarts.

    Every method raises QueueUnavailable.
    """

    async def add(
        self, events: Sequence[tuple[str, SecurityEvent]], position: Position | None
    ) -> int:
        """Keep events, each for a stream, and *position* with them, durably and all at once.

        An event that a stream has already is kept once. At the bound of a stream its oldest events
        make room; returns how many did.
        """
        ...

    async def position(self) -> Position | None:
        """Return the newest place of the trust log that was kept."""
        ...

    async def oldest(self, stream: str, count_max: int) -> list[SecurityEvent]:
        """Return the events that wait longest, in order."""
        ...

    async def remove(self, stream: str, jtis: Sequence[str]) -> None:
        """Forget events: they were delivered, or never can be."""
        ...

    async def depth(self, stream: str) -> int:
        """Return how many events wait."""
        ...


class Delivery(Enum):
    """What became of a SET that was handed over."""

    TAKEN = "taken"
    REFUSED = "refused"
    """The receiver can't make anything of this event; it may take others."""
    FAILED = "failed"
    """Nothing can be delivered now: the network, the receiver or the agreement with it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A delivery, in words for the log."""

    delivery: Delivery
    why: str = ""


class PushReceiver(Protocol):
    """The far end of one push stream (RFC 8935)."""

    async def push(self, signed_event: str) -> Outcome:
        """Hand one SET over; never raises for what the network or the receiver does."""
        ...
