"""An app, its API keys and its block list."""

import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Final

from msgspec.structs import replace

from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import Trust, TrustChanged, TrustReason, TrustStatus

APP_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
SECRET_BYTES: Final = 32
KEY_ID_BYTES: Final = 4
_TOKEN: Final = re.compile(r"rtk_([0-9a-f]{8})_[A-Za-z0-9_-]{43}")


class KeyScope(StrEnum):
    """What an API key is good for."""

    SERVICE = "service"
    """Service sessions, and the stream of trust changes over HTTP."""
    REST = "rest"
    """REST in the app's name: challenges for its domains, its own block list in the answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key as it is kept: enough to know it again, not enough to use it. Times are epoch ms."""

    key_id: str
    """Eight digits that stand in the token and in every list; no secret."""
    app: str
    token_hash: bytes = field(repr=False)
    scopes: frozenset[str]
    requests_per_s: int
    sessions_max: int
    created_ms: int
    expires_ms: int | None = None
    """Also the end of the overlap, once another key took its place."""
    revoked_ms: int | None = None

    def is_good(self, now_ms: int) -> bool:
        """Whether it may be used now."""
        return self.revoked_ms is None and (self.expires_ms is None or now_ms < self.expires_ms)


@dataclass(frozen=True, slots=True)
class AppBlock:
    """A wallet that one app doesn't let in; *reason* is the app's own number, times epoch ms."""

    app: str
    wallet: PublicKey
    reason: int
    at_ms: int
    ended_ms: int | None = None
    """When it was taken back. It is kept for a while: who was away must be told of the end too."""


def make_token(key_id: str, secret: bytes) -> str:
    """Return the text that a backend keeps; 256 random bits behind the key's id."""
    if len(secret) != SECRET_BYTES:
        raise ValueError(f"the secret of an API key has {SECRET_BYTES} bytes")
    return f"rtk_{key_id}_{urlsafe_b64encode(secret).decode().rstrip('=')}"


def key_id_of(token: str) -> str | None:
    """Return the id in a token; None when it can't be one."""
    found = _TOKEN.fullmatch(token)
    return None if found is None else found[1]


def hash_token(token: str) -> bytes:
    """Return what is kept of a token. It is random, so that nothing slower is needed."""
    return sha256(token.encode()).digest()


class App:
    """One app as the hub's sessions see it: its domains, and whom it blocks right now."""

    __slots__ = ("blocked", "domains", "ended", "name")

    def __init__(self, name: str, domains: Iterable[str]) -> None:
        self.name = name
        self.domains = frozenset(domains)
        self.blocked: dict[PublicKey, AppBlock] = {}
        self.ended: frozenset[PublicKey] = frozenset()
        """Whose blocks were taken back not long ago."""

    def touched(self, wallet: PublicKey) -> bool:
        """Whether the shared log doesn't tell all that this app was told of a wallet."""
        return wallet in self.blocked or wallet in self.ended

    def see(self, wallet: PublicKey, trust: Trust) -> Trust:
        """Return what this app is told of a wallet: its own block stands over the shared record."""
        if wallet not in self.blocked or trust.status is TrustStatus.BLOCKED:
            return trust
        return replace(
            trust, status=TrustStatus.BLOCKED, score=0, reason=int(TrustReason.BLOCKED_BY_APP)
        )

    def see_change(self, body: TrustChanged) -> TrustChanged:
        """Return a change of the shared record as this app is told of it."""
        if body.wallet not in self.blocked or body.status is TrustStatus.BLOCKED:
            return body
        return replace(
            body, status=TrustStatus.BLOCKED, score=0, reason=int(TrustReason.BLOCKED_BY_APP)
        )
