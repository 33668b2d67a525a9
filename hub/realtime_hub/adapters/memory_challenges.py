"""Issued challenges in this process."""

from typing import Final

from realtime_hub.auth.challenges import IssuedChallenge
from realtime_hub.clock import Clock
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError

CHALLENGES_MAX: Final = 65_536


class MemoryChallenges:
    """Bounded; what has run out makes room first."""

    def __init__(self, clock: Clock, *, challenges_max: int = CHALLENGES_MAX) -> None:
        self._clock = clock
        self._challenges_max = challenges_max
        self._issued: dict[str, tuple[int, IssuedChallenge]] = {}

    async def put(self, challenge_id: str, issued: IssuedChallenge, *, ttl_ms: int) -> None:
        """Keep it; RequestError 107 at the bound."""
        now_ms = self._clock.now_ms()
        if len(self._issued) >= self._challenges_max:
            self._issued = {k: v for k, v in self._issued.items() if v[0] > now_ms}
        if len(self._issued) >= self._challenges_max:
            raise RequestError(
                ErrorCode.OVERLOADED,
                f"{self._challenges_max} challenges wait for their answer",
                retry_after_ms=1_000,
            )
        self._issued[challenge_id] = (now_ms + ttl_ms, issued)

    async def take(self, challenge_id: str) -> IssuedChallenge | None:
        """Return it and forget it."""
        found = self._issued.pop(challenge_id, None)
        if found is None or found[0] <= self._clock.now_ms():
            return None
        return found[1]
