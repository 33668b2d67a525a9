"""Living sessions by the grant on which each stands: they end with it, told or not."""

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Final, Protocol

from realtime_hub.auth.grants import Grant
from realtime_hub.session.ports import SessionGrants
from realtime_protocol.codes import CloseCode
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey

logger = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 2.0
"""News of a revocation may get lost on its way from another hub: then it is found so late."""
GRANTS_PER_LOOK: Final = 256


class Holder(Protocol):
    """The session of a living connection."""

    def fail(self, code: CloseCode) -> None:
        """Close the connection."""
        ...


@dataclass(slots=True)
class _Held:
    wallet: PublicKey
    sessions: dict[Holder, None] = field(default_factory=dict)


class Delegates:
    """Ends sessions with their grants. One owner runs :meth:`run`."""

    def __init__(self, grants: SessionGrants) -> None:
        self._grants = grants
        self._held: dict[bytes, _Held] = {}
        grants.listeners.append(self.end)

    def hold(self, session: Holder, wallet: PublicKey, grant: Grant) -> None:
        """Let *session* end with *grant*; RequestError 204 when that has ended just now."""
        self._grants.require_standing(wallet, grant)
        self._held.setdefault(grant.grant_id, _Held(wallet)).sessions[session] = None

    def leave(self, session: Holder, grant: Grant) -> None:
        """The session has ended, or stands on something else."""
        held = self._held.get(grant.grant_id)
        if held is not None:
            held.sessions.pop(session, None)
            if not held.sessions:
                del self._held[grant.grant_id]

    def end(self, grant_id: bytes) -> None:
        """Close a grant's sessions on this hub."""
        held = self._held.get(grant_id)
        if held is not None:
            for session in list(held.sessions):
                session.fail(CloseCode.SESSION_REVOKED)

    async def run(self) -> None:
        """Look for ever whether the grants of living sessions still stand."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await self.look()
            except RequestError as error:
                logger.warning("whether granted keys stand can't be told: %s", error)

    async def look(self) -> None:
        """Close the sessions whose grant has ended; RequestError 108 when that can't be told."""
        held = [(one.wallet, grant_id) for grant_id, one in self._held.items()]
        for begin in range(0, len(held), GRANTS_PER_LOOK):
            some = held[begin : begin + GRANTS_PER_LOOK]
            for (_, grant_id), stands in zip(some, await self._grants.standing(some), strict=True):
                if not stands:
                    self.end(grant_id)
