"""Challenges that wait outside a connection, for REST: taken once, then gone."""

from dataclasses import dataclass
from typing import Protocol

from realtime_hub.auth.login import ProvenLogin
from realtime_protocol.login_text import LoginChallenge


@dataclass(frozen=True, slots=True)
class IssuedChallenge:
    """A challenge, the wallet that it was issued to, and the resources that its text lists."""

    wallet: bytes
    challenge: LoginChallenge
    resources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProvenChallenge:
    """An issued challenge that came back signed, by the wallet or by a key that it granted."""

    login: ProvenLogin
    nonce: str


class ChallengeStore(Protocol):
    """Keeps issued challenges until they are taken or run out. Losing one is allowed."""

    async def put(self, challenge_id: str, issued: IssuedChallenge, *, ttl_ms: int) -> None:
        """Keep it; RequestError 107 at the bound, 108 when the store can't be reached."""
        ...

    async def take(self, challenge_id: str) -> IssuedChallenge | None:
        """Return it and forget it, in one step: of two callers one gets it."""
        ...
