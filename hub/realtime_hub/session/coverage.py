"""For each revocation: how many sessions had to hear of it, how many have, which have not.

A session has *seen* it once the system took every byte of it for that client, or, of a backend,
once that acknowledged it. A session that ended before is *closed*: nobody acts on it any more; that
is also how the blocked wallet's own sessions end. All others *wait*. What began later than the
revocation has read trust that holds it and isn't counted.
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from realtime_hub.clock import Clock
from realtime_hub.session.ports import TrustChange
from realtime_hub.session.registry import SessionRegistry
from realtime_protocol.identity import encode_identity

if TYPE_CHECKING:
    from realtime_hub.session.session import LiveSession

REVOCATIONS_MAX: Final = 1_024
"""The newest are remembered; a session that still waits for an older one is not counted."""
NAMED_MAX: Final = 64
"""Waiting sessions that an answer names."""


class Revocation(Struct):
    """One block on its way to this process's sessions."""

    log_seq: int
    wallet: bytes
    at_ms: int
    owed: int = 0
    seen: int = 0
    closed: int = 0

    @property
    def waiting(self) -> int:
        """How many sessions neither saw it nor ended."""
        return self.owed - self.seen - self.closed


class Coverage:
    """The newest revocations. Everything is synchronous and costs the same however many there are.

    Which sessions wait for which is kept with the sessions: see `LiveSession.owe`.
    """

    def __init__(self, registry: "SessionRegistry[LiveSession]", clock: Clock) -> None:
        self._registry = registry
        self._clock = clock
        self._held: OrderedDict[int, Revocation] = OrderedDict()

    def begin(self, change: TrustChange) -> None:
        """A wallet was blocked: from now on sessions may owe us word of it."""
        self._held[change.log_seq] = Revocation(
            change.log_seq, change.body.wallet, self._clock.now_ms()
        )
        if len(self._held) > REVOCATIONS_MAX:
            self._held.popitem(last=False)

    def begin_anew(self) -> None:
        """The log lost its positions: numbers of before mean nothing any more."""
        self._held.clear()

    def owed(self, log_seq: int) -> None:
        """A session was sent it."""
        if (held := self._held.get(log_seq)) is not None:
            held.owed += 1

    def seen(self, log_seq: int) -> None:
        """A session that was sent it has it."""
        if (held := self._held.get(log_seq)) is not None:
            held.seen += 1

    def closed(self, log_seqs: Iterable[int]) -> None:
        """A session ended before it had these."""
        for log_seq in log_seqs:
            if (held := self._held.get(log_seq)) is not None:
                held.closed += 1

    @property
    def waiting(self) -> int:
        """Pairs of a session and a revocation that it hasn't seen."""
        return sum(held.waiting for held in self._held.values())

    @property
    def oldest_waiting_ms(self) -> int:
        """For how long the oldest revocation that not all have seen has been on its way."""
        ages = (self._clock.now_ms() - held.at_ms for held in self._held.values() if held.waiting)
        return next(ages, 0)

    def describe(self, log_seq: int) -> dict[str, object] | None:
        """Return how far one has come; None when it isn't remembered here."""
        held = self._held.get(log_seq)
        if held is None:
            return None
        late = (one for one in self._registry.connections if one.owes(log_seq))
        named = [one.sid for _, one in zip(range(NAMED_MAX), late, strict=False)]
        return {**_figures(held), "waiting_sessions": named}

    def page(self, *, limit: int) -> list[dict[str, object]]:
        """Return the newest *limit* ones, the newest first."""
        newest = zip(range(limit), reversed(self._held.values()), strict=False)
        return [_figures(held) for _, held in newest]


def _figures(held: Revocation) -> dict[str, object]:
    return {
        "log_seq": held.log_seq,
        "wallet": encode_identity(held.wallet),
        "at_ms": held.at_ms,
        "owed": held.owed,
        "seen": held.seen,
        "closed": held.closed,
        "waiting": held.waiting,
    }
