"""Grants: Ed25519 keys that may log in for a wallet, because its holder signed that. Pure.

All living grants of a wallet are one record, the oldest first. A grant says where the trust log
was when the wallet's trust was read for it: a block that the log has later ends it for good.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey
from realtime_protocol.login_resources import LoginResources, SpendGrant
from realtime_protocol.messages import Position

GRANTS_PER_WALLET_MAX: Final = 16
ID_BYTES: Final = 16
CLOCKS_DIFFER_MS_MAX: Final = 30_000
"""How far the clocks of two hubs may be apart."""


@dataclass(frozen=True, slots=True)
class Spending:
    """A wallet that the key may spend from, up to *max_qu* in all."""

    wallet: PublicKey
    max_qu: int
    until_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantTerms:
    """What a wallet signed for a key: what it may do, until when, and from which app."""

    key: bytes
    scopes: tuple[str, ...]
    until_ms: int
    domain: str
    spends: tuple[Spending, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A key that may log in."""

    grant_id: bytes
    """Stays when the wallet signs for the same key again."""
    terms_id: bytes
    """New with each signature: what is spent counts against what was signed."""
    terms: GrantTerms
    created_ms: int
    last_used_ms: int
    seen: Position
    """Where the trust log was before the wallet's trust was read."""


Grants = tuple[Grant, ...]
"""All living grants of one wallet."""


@dataclass(frozen=True, slots=True)
class Block:
    """A block of a wallet: its place in the trust log, and when this hub heard of it, epoch ms."""

    place: Position
    heard_ms: int

    def ends(self, grant: Grant) -> bool:
        """Whether it ends a grant: any but one whose wallet was looked at after it.

        When the log has begun anew in between only the clocks can tell, and they may differ.
        """
        if grant.seen.epoch == self.place.epoch:
            return grant.seen.offset < self.place.offset
        return grant.created_ms <= self.heard_ms + CLOCKS_DIFFER_MS_MAX


def terms_of(resources: LoginResources, *, domain: str) -> GrantTerms | None:
    """Return what a login text grants beyond its session; ValueError for a part without a whole.

    None for a text without a key that has a time: then the key is this session's only.
    """
    key = resources.key
    if key is None or key.until_ms is None:
        if resources.spends:
            raise ValueError("a spending wallet needs a key line with until, whose key spends")
        return None
    return GrantTerms(
        key=key.public_key,
        scopes=resources.scopes,
        until_ms=key.until_ms,
        domain=domain,
        spends=tuple(_spending(spend) for spend in resources.spends),
    )


def granted(
    grants: Grants,
    terms: GrantTerms,
    *,
    grant_id: bytes,
    terms_id: bytes,
    now_ms: int,
    seen: Position,
) -> tuple[Grants, Grant]:
    """Return the grants with one more, and that one; RequestError 211 when there are too many.

    A key that has one already keeps its *grant_id*.
    """
    living = alive(grants, now_ms=now_ms)
    before = find(living, terms.key, now_ms=now_ms)
    others = tuple(one for one in living if one.terms.key != terms.key)
    if len(others) >= GRANTS_PER_WALLET_MAX:
        raise RequestError(
            ErrorCode.KEY_LIMIT,
            f"{GRANTS_PER_WALLET_MAX} keys may log in for this wallet already; revoke one with "
            "keys.revoke, or log in without until",
        )
    grant = Grant(
        grant_id=grant_id if before is None else before.grant_id,
        terms_id=terms_id,
        terms=terms,
        created_ms=now_ms,
        last_used_ms=now_ms,
        seen=seen,
    )
    return (*others, grant), grant


def used(grants: Grants, key: bytes, *, now_ms: int) -> Grants:
    """Return the grants after *key* has logged in."""
    return tuple(
        replace(one, last_used_ms=max(now_ms, one.last_used_ms)) if one.terms.key == key else one
        for one in grants
    )


def revoked(grants: Grants, key: bytes | None) -> Grants:
    """Return the grants without that of *key*; without a key: none."""
    return () if key is None else tuple(one for one in grants if one.terms.key != key)


def after_block(grants: Grants, block: Block) -> Grants:
    """Return the grants that a block leaves."""
    return tuple(one for one in grants if not block.ends(one))


def alive(grants: Iterable[Grant], *, now_ms: int) -> Grants:
    """Return the grants whose time isn't over."""
    return tuple(one for one in grants if now_ms < one.terms.until_ms)


def find(grants: Iterable[Grant], key: bytes, *, now_ms: int) -> Grant | None:
    """Return the living grant of *key*."""
    return next((one for one in alive(grants, now_ms=now_ms) if one.terms.key == key), None)


def scopes_asked(grant: Grant, asked: tuple[str, ...] | None) -> tuple[str, ...]:
    """Return the scopes of a login by key: the grant's, or those *asked* for; RequestError 102."""
    if asked is None:
        return grant.terms.scopes
    missing = [scope for scope in asked if scope not in grant.terms.scopes]
    if missing:
        raise RequestError(
            ErrorCode.FORBIDDEN_SCOPE,
            f"this key was not granted {', '.join(missing)}; it has "
            f"{', '.join(grant.terms.scopes)}",
        )
    return asked


def _spending(spend: SpendGrant) -> Spending:
    return Spending(spend.wallet, spend.max_qu, spend.until_ms)
