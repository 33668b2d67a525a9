"""sessions.list, drain: what an administrator asks of the process that answers."""

from typing import Final

from realtime_hub.session.context import HubContext
from realtime_hub.session.directory import SessionDirectory
from realtime_hub.session.session import LiveSession
from realtime_hub.surfaces.answers import Answer
from realtime_protocol.messages import (
    Empty,
    ListedSession,
    SessionsListReply,
    SessionsListRequest,
)

_EMPTY: Final = Empty()
_NO_WALLET: Final = bytes(32)
"""Of a backend; nobody can have this key."""


class AdminRequests:
    """Requests of sessions with scope admin, which the session machine has checked."""

    def __init__(self, context: HubContext) -> None:
        self._directory = SessionDirectory(context.registry, context.clock)
        self._clock = context.clock
        self._draining = context.draining

    def sessions_list(self, _session: LiveSession, body: SessionsListRequest) -> Answer:
        """List a page of sessions."""
        found = self._directory.sessions(limit=body.limit, after=body.after)
        after = found[-1].sid if len(found) == body.limit else None
        return Answer(SessionsListReply([self._listed(each) for each in found], after))

    def drain(self, _session: LiveSession, _body: Empty) -> Answer:
        """Send every session elsewhere, this one after its reply."""
        return Answer(_EMPTY, then=self._draining.set)

    def _listed(self, session: LiveSession) -> ListedSession:
        return ListedSession(
            sid=session.sid,
            wallet=session.machine.wallet or _NO_WALLET,
            age_ms=session.age_ms(self._clock.monotonic_s()),
            queued_bytes=session.queued_bytes,
            subscriptions=len(session.subscriptions),
            quotes=len(session.quotes),
        )
