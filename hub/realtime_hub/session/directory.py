"""Living sessions as an administrator sees them: in pages, in the order of their ids."""

import heapq
from typing import TYPE_CHECKING, Final

from realtime_hub.clock import Clock
from realtime_hub.session.registry import SessionRegistry
from realtime_protocol.identity import encode_identity

if TYPE_CHECKING:
    from realtime_hub.session.session import LiveSession

PAGE_MAX: Final = 256


class SessionDirectory:
    """Looks sessions up. Connections that haven't logged in are only counted, in the metrics."""

    def __init__(self, registry: "SessionRegistry[LiveSession]", clock: Clock) -> None:
        self._registry = registry
        self._clock = clock

    def page(self, *, limit: int, after: str = "") -> list[dict[str, object]]:
        """Return up to *limit* sessions, at most PAGE_MAX, whose ids follow *after*."""
        return [self._describe(one) for one in self.sessions(limit=limit, after=after)]

    def sessions(self, *, limit: int, after: str = "") -> "list[LiveSession]":
        """Return the sessions of such a page; none whose end has begun."""
        living = (one for one in self._registry.connections if one.sid > after and not one.ended)
        return heapq.nsmallest(min(limit, PAGE_MAX), living, key=lambda one: one.sid)

    def find(self, sid: str) -> dict[str, object] | None:
        """Return one session with its channels; None when no session here has this id."""
        found = next((one for one in self._registry.connections if one.sid == sid and sid), None)
        if found is None:
            return None
        channels = [
            {"sub": one.number, "channel": one.channel.kind.value, "wallets": len(one.wallets)}
            for one in found.subscriptions.values()
        ]
        return {**self._describe(found), "channels": channels}

    def _describe(self, session: "LiveSession") -> dict[str, object]:
        wallet = session.machine.wallet
        queued = session.queued_by_class()
        return {
            "sid": session.sid,
            "state": session.machine.state.value,
            "wallet": None if wallet is None else encode_identity(wallet),
            "app": None if session.app is None else session.app.name,
            "api_key": None if session.seat is None else session.seat.key.key_id,
            "address": session.address,
            "age_s": session.age_ms(self._clock.monotonic_s()) / 1_000,
            "subscriptions": len(session.subscriptions),
            "quotes": len(session.quotes),
            "queued_bytes": session.queued_bytes,
            "queued": {urgency.name.lower(): size for urgency, size in queued.items()},
        }
