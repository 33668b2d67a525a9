"""Resume tokens: a session outlives its connection, for whoever holds its token and its key.

The tokens of one session are a family. A token's first half finds the family and stays; its second
half is new each time. Each is used once. The one before it is taken once more for a short while,
because a reply may be lost; any other use of an old one means that two hold the session, and
nobody can tell which of them is the thief: the family is revoked.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum, IntEnum
from hashlib import sha256
from typing import Final

from realtime_protocol.errors import LocalProtocolError
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import Position

TOKEN_BYTES: Final = 32
FAMILY_BYTES: Final = 16
HOLDER_BYTES: Final = 16
REPEAT_WITHIN_MS: Final = 10_000
"""A used token is taken once more within this, for a reply that was lost."""
_NONE: Final = b""


class FamilyState(IntEnum):
    """Who holds a session. The numbers stand in the store."""

    HELD = 1
    AWAY = 2
    REVOKED = 3


# Rule: every move of a family is in this table; one that logs out or runs out is forgotten.
MOVES: Final[Mapping[tuple[FamilyState, str], FamilyState]] = {
    (FamilyState.HELD, "left"): FamilyState.AWAY,
    (FamilyState.HELD, "resumed"): FamilyState.HELD,  # From another connection; the old one ends.
    (FamilyState.AWAY, "resumed"): FamilyState.HELD,
    (FamilyState.HELD, "reused"): FamilyState.REVOKED,
    (FamilyState.AWAY, "reused"): FamilyState.REVOKED,
    (FamilyState.REVOKED, "reused"): FamilyState.REVOKED,
}


class Presented(Enum):
    """What a token that somebody shows is to its family."""

    CURRENT = "current"
    REPEATED = "repeated"
    REUSED = "reused"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """What is kept of a session, and of its tokens no more than their hashes."""

    sid: str
    wallet: PublicKey
    scopes: tuple[str, ...]
    session_key: bytes
    """The Ed25519 key that the login named; its holder alone can resume."""
    domain: str
    session_exp_ms: int
    opened_ms: int
    """When it logged in, by the store's clock; a later logout everywhere ends it."""
    seen: Position
    """Where the trust log was: trust that is read for a resume must not be older."""
    holder: bytes
    """The hub and the connection that have the session, or had it last."""
    token_hash: bytes
    grant_id: bytes = _NONE
    """Of the grant on which it stands: it ends with that."""
    by_key: bool = False
    """Whether that grant's key logged in, not the wallet."""
    previous_hash: bytes = _NONE
    previous_until_ms: int = 0
    state: FamilyState = FamilyState.HELD
    away_since_ms: int = 0


def family_key(token: bytes) -> bytes:
    """Return the name under which the family of a token is kept; no token follows from it."""
    return sha256(token[:FAMILY_BYTES]).digest()[:FAMILY_BYTES]


def token_hash(token: bytes) -> bytes:
    """Return what is kept of a token."""
    return sha256(token).digest()


def following_token(token: bytes, fresh: bytes) -> bytes:
    """Return the family's next token; *fresh* is random and as long as a token's second half."""
    if len(fresh) != TOKEN_BYTES - FAMILY_BYTES:
        raise ValueError(f"a token's second half has {TOKEN_BYTES - FAMILY_BYTES} bytes")
    return token[:FAMILY_BYTES] + fresh


def present(family: Family, token: bytes, *, now_ms: int, within_ms: int) -> Presented:
    """Tell what *token* is to *family* at *now_ms*, *within_ms* being the time for a resume."""
    shown = token_hash(token)
    if family.state is FamilyState.REVOKED:
        return Presented.REUSED
    if hmac.compare_digest(shown, family.token_hash):
        late = family.state is FamilyState.AWAY and now_ms >= family.away_since_ms + within_ms
        return Presented.EXPIRED if late or now_ms >= family.session_exp_ms else Presented.CURRENT
    repeated = hmac.compare_digest(shown, family.previous_hash)
    if repeated and now_ms < min(family.previous_until_ms, family.session_exp_ms):
        return Presented.REPEATED
    return Presented.REUSED


def resumed(
    family: Family,
    presented: Presented,
    *,
    token: bytes,
    holder: bytes,
    seen: Position,
    now_ms: int,
) -> Family:
    """Return the family as *holder* has it with its next *token*.

    After a repeated one the token that it had produced is dead, and it is not taken a third time.
    """
    current = presented is Presented.CURRENT
    return replace(
        family,
        state=_move(family, "resumed"),
        seen=seen,
        holder=holder,
        token_hash=token_hash(token),
        previous_hash=family.token_hash if current else _NONE,
        previous_until_ms=now_ms + REPEAT_WITHIN_MS if current else 0,
        away_since_ms=0,
    )


def left(family: Family, *, seen: Position, now_ms: int) -> Family:
    """Return the family after its connection was lost, *seen* being what that one was told."""
    return replace(family, state=_move(family, "left"), seen=seen, away_since_ms=now_ms)


def reused(family: Family) -> Family:
    """Return the family after somebody used an old token: nobody resumes it any more."""
    return replace(family, state=_move(family, "reused"))


def _move(family: Family, event: str) -> FamilyState:
    following = MOVES.get((family.state, event))
    if following is None:
        raise LocalProtocolError(f"{event} in state {family.state.name.lower()}")
    return following
