"""From changes of trust to queued events, and from the queues to their receivers.

At least once: an event leaves its queue when its receiver has it. What the trust log brought while
this hub was away is read from the place that was kept with the last events. Of several processes
over one queue the one that leads follows the log and pushes; all of them answer polls.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from realtime_hub.auth.model import TrustChange
from realtime_hub.clock import Clock, Entropy
from realtime_hub.export.events import SecurityEvent, event_of_session, events_of_change, sign_event
from realtime_hub.export.ports import Delivery, EventQueue, PushReceiver, QueueUnavailable
from realtime_hub.keys import KeyRing, Purpose
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import Position, TrustStatus

logger = logging.getLogger(__name__)

PENDING_MAX: Final = 4_096
"""Changes between the log and the queue; more are read from the log again."""
REFUSALS_MAX: Final = 3
"""An event that its receiver refused so often is set aside, so that it doesn't stop the others."""
BACKOFF_MIN_S: Final = 1.0
BACKOFF_MAX_S: Final = 300.0
STORE_RETRY_S: Final = 1.0
LOOK_S: Final = 1.0
"""How often the queue is looked at for what another process put there, and whether we lead."""
TOLD_MAX: Final = 65_536
"""Wallets whose last event is remembered; of others the same may be told twice."""
POLL_EVENTS_MAX: Final = 100
POLLS_WAITING_MAX: Final = 4
"""Of one stream; further ones are answered at once."""


class TrustHistory(Protocol):
    """What the export needs of the trust book."""

    def position(self) -> Position:
        """Where this hub is in the trust log."""
        ...

    @property
    def trouble(self) -> str | None:
        """Why the log can't be vouched for now; None when it can."""
        ...

    async def changes_since(self, position: Position) -> Sequence[TrustChange] | None:
        """Return what came after *position*; None when that can't be told."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One receiver. *receiver* None: it polls."""

    name: str
    audience: str
    event_types: frozenset[str]
    receiver: PushReceiver | None = None


@dataclass(slots=True)
class ExportCounts:
    """What has become of events since the start."""

    delivered: int = 0
    dropped: int = 0
    """Made room for newer ones at a stream's bound."""
    refused: int = 0
    """Set aside because their receiver refused them."""


@dataclass(slots=True)
class _StreamState:
    stream: Stream
    added: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when something was added, and replaced: take it before you look at the queue."""
    polls: int = 0
    """Polls that wait for an event."""

    def tell(self) -> None:
        """Wake whoever waits."""
        self.added.set()
        self.added = asyncio.Event()


class EventExport:
    """Follows trust, fills the queues, and empties them by push; polls are answered from them."""

    def __init__(
        self,
        *,
        streams: Sequence[Stream],
        queue: EventQueue,
        history: TrustHistory,
        keys: Callable[[], KeyRing],
        clock: Clock,
        entropy: Entropy,
        issuer: str,
        chain: str,
        leads: Callable[[], bool] = lambda: True,
        pending_max: int = PENDING_MAX,
    ) -> None:
        self._streams: Mapping[str, _StreamState] = {
            stream.name: _StreamState(stream) for stream in streams
        }
        self._queue = queue
        self._history = history
        self._keys = keys
        self._clock = clock
        self._entropy = entropy
        self._issuer = issuer
        self._chain = chain
        self._leads = leads
        self._pending_max = pending_max
        self._pending: deque[tuple[Position | None, SecurityEvent]] = deque()
        self._told: dict[PublicKey, tuple[TrustStatus, int]] = {}
        self._arrived = asyncio.Event()
        self._behind = True
        self.counts = ExportCounts()

    @property
    def has_streams(self) -> bool:
        """Whether anybody receives events."""
        return bool(self._streams)

    # Coming in ------------------------------------------------------------------------------

    def on_trust_change(self, change: TrustChange) -> None:
        """Take an entry of the trust log; never waits."""
        if not self._leads():
            self._behind = True  # Whoever leads has it; should we lead later, we read it then.
            return
        epoch = self._history.position().epoch
        if not self._is_news(change):
            return
        position = Position(epoch, change.log_seq)
        events = events_of_change(change, epoch=epoch, chain=self._chain)
        if len(self._pending) + len(events) > self._pending_max:
            self._behind = True
        else:
            self._pending += [(position, event) for event in events]
        self._arrived.set()

    def _is_news(self, change: TrustChange) -> bool:
        """Whether a receiver would learn anything: an order is logged again once it is on chain."""
        body = change.body
        wallet, counts = PublicKey(body.wallet), (body.status, body.score)
        known = self._told.pop(wallet, None) == counts
        self._told[wallet] = counts
        if len(self._told) > TOLD_MAX:
            del self._told[next(iter(self._told))]
        return not known

    def on_session_revoked(self, sid: str, wallet: PublicKey, why: str) -> None:
        """Take the end of one session whose wallet stays in good standing."""
        event = event_of_session(
            sid, wallet, why=why, event_ms=self._clock.now_ms(), chain=self._chain
        )
        if len(self._pending) >= self._pending_max:
            self.counts.dropped += 1
            logger.error("the end of session %s is not exported: too much waits", sid)
            return
        self._pending.append((None, event))
        self._arrived.set()

    async def run(self) -> None:
        """Fill and empty the queues for ever."""
        if not self._streams:
            return
        async with asyncio.TaskGroup() as group:
            group.create_task(self._fill(), name="event queue")
            for state in self._streams.values():
                if state.stream.receiver is not None:
                    group.create_task(
                        self._push(state, state.stream.receiver), name=state.stream.name
                    )

    async def _fill(self) -> None:
        while True:
            self._arrived.clear()
            try:
                if self._behind and self._leads() and self._history.trouble is None:
                    await self._catch_up()
                else:
                    await self._store_pending()
            except QueueUnavailable as error:
                self._behind = True
                logger.error("events wait for their queue: %s", error)
                await asyncio.sleep(STORE_RETRY_S)
            else:
                await _wait(self._arrived, LOOK_S)

    async def _catch_up(self) -> None:
        """Queue what the log has after the place that was kept."""
        self._behind = False  # Before the reads: what overflows meanwhile must be read again.
        kept = await self._queue.position()
        here = self._history.position()
        changes = [] if kept is None else await self._history.changes_since(kept)
        if changes is None:
            logger.warning("trust changes between two runs of this hub may not be exported")
            changes = []
        events = [
            event
            for change in changes
            for event in events_of_change(change, epoch=here.epoch, chain=self._chain)
        ]
        await self._add(events, here)
        if kept is not None:
            # What stands in the log up to there was queued just now.
            self._pending = deque(
                (place, event)
                for place, event in self._pending
                if place is None or place.epoch != here.epoch or place.offset > here.offset
            )

    async def _store_pending(self) -> None:
        """Queue what came; while something before it may be missing, only the ends of sessions."""
        taken = [entry for entry in self._pending if entry[0] is None or not self._behind]
        if not taken:
            return
        places = [place for place, _ in taken if place is not None]
        await self._add([event for _, event in taken], places[-1] if places else None)
        for entry in taken:
            self._pending.remove(entry)

    async def _add(self, events: Sequence[SecurityEvent], position: Position | None) -> None:
        addressed = [
            (name, event)
            for event in events
            for name, state in self._streams.items()
            if event.type in state.stream.event_types
        ]
        dropped = await self._queue.add(addressed, position)
        if dropped:
            self.counts.dropped += dropped
            logger.error("%d events made room for newer ones; a receiver is too slow", dropped)
        for name in {name for name, _ in addressed}:
            self._streams[name].tell()

    # Going out ------------------------------------------------------------------------------

    async def _push(self, state: _StreamState, receiver: PushReceiver) -> None:
        name, failures, refusals = state.stream.name, 0, 0
        while True:
            added = state.added
            try:
                found = await self._queue.oldest(name, 1) if self._leads() else []
                if not found:
                    await _wait(added, LOOK_S)
                    continue
                [event] = found
                outcome = await receiver.push(self._sign(state.stream, event))
                if outcome.delivery is Delivery.REFUSED:
                    refusals += 1
                if outcome.delivery is Delivery.TAKEN or refusals >= REFUSALS_MAX:
                    await self._queue.remove(name, [event.jti])
                    self._count(name, event, outcome.delivery, outcome.why)
                    failures = refusals = 0
                    continue
            except QueueUnavailable as error:
                why = str(error)
            else:
                why = outcome.why
            failures += 1
            pause_s = self._pause_s(failures)
            logger.warning("stream %s: %s; again in %.0f s", name, why, pause_s)
            await asyncio.sleep(pause_s)

    def _count(self, name: str, event: SecurityEvent, delivery: Delivery, why: str) -> None:
        if delivery is Delivery.TAKEN:
            self.counts.delivered += 1
            return
        self.counts.refused += 1
        logger.error("stream %s: event %s set aside: %s", name, event.jti, why)

    def _pause_s(self, failures: int) -> float:
        """Return a wait that doubles, with jitter between a half and the whole."""
        whole_s = min(BACKOFF_MAX_S, BACKOFF_MIN_S * 2.0 ** min(failures - 1, 16))
        return whole_s * (0.5 + self._entropy.token(1)[0] / 512)

    async def poll(
        self,
        name: str,
        *,
        acknowledged: Sequence[str],
        refused: Mapping[str, str],
        count_max: int,
        wait_s: float,
    ) -> tuple[dict[str, str], bool]:
        """Answer a poll (RFC 8936): SETs by jti, and whether more wait. QueueUnavailable.

        *acknowledged* and *refused* (jti -> why) are forgotten. With nothing to send it waits up to
        *wait_s*.
        """
        state = self._streams[name]
        for jti, why in refused.items():
            self.counts.refused += 1
            logger.error("stream %s: event %.64s set aside: %.200s", name, jti, why)
        if acknowledged or refused:
            await self._queue.remove(name, [*acknowledged, *refused])
            self.counts.delivered += len(acknowledged)
        count = min(count_max, POLL_EVENTS_MAX)
        may_wait = count > 0 and state.polls < POLLS_WAITING_MAX
        found = await self._next(state, count + 1, wait_s if may_wait else 0.0)
        sets = {event.jti: self._sign(state.stream, event) for event in found[:count]}
        return sets, len(found) > count

    async def _next(
        self, state: _StreamState, count_max: int, wait_s: float
    ) -> list[SecurityEvent]:
        """Return what waits; with nothing there, what comes within *wait_s*."""
        state.polls += 1
        try:
            while True:
                added = state.added
                found = await self._queue.oldest(state.stream.name, count_max)
                if found or wait_s <= 0:
                    return found
                await _wait(added, min(wait_s, LOOK_S))
                wait_s -= LOOK_S
        finally:
            state.polls -= 1

    async def depth(self, name: str) -> int:
        """Return how many events wait for a stream; QueueUnavailable."""
        return await self._queue.depth(name)

    def _sign(self, stream: Stream, event: SecurityEvent) -> str:
        # At delivery, not when it is queued: its key must be published when it is read.
        now_ms = self._clock.now_ms()
        key = self._keys().signing(Purpose.EVENT, now_ms)
        return sign_event(event, key, issuer=self._issuer, audience=stream.audience, now_ms=now_ms)


async def _wait(event: asyncio.Event, at_most_s: float) -> None:
    try:
        async with asyncio.timeout(at_most_s):
            await event.wait()
    except TimeoutError:
        pass
