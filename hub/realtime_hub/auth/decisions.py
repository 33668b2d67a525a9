"""Signed decisions: what this hub knows of a wallet, for readers that can't ask."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from realtime_hub.clock import Clock
from realtime_hub.keys import KeyRing, Purpose
from realtime_protocol.codes import ErrorCode
from realtime_protocol.decision import Decision, sign_decision
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import Position, Trust, TrustReason, TrustStatus

_RETRY_MS: Final = 1_000


class TrustBook(Protocol):
    """What decisions need of the trust book."""

    async def get(self, wallets: Sequence[PublicKey]) -> list[Trust]:
        """Answer from the nearest tier that knows."""
        ...

    def position(self) -> Position:
        """Where this hub is in the trust log."""
        ...


@dataclass(frozen=True, slots=True)
class SignedDecision:
    """A decision and the bytes that carry it."""

    decision: Decision
    signed: bytes


class Decisions:
    """Issues decisions that are fresh for *fresh_ms* and may be listed until *stale_ms* after."""

    def __init__(
        self,
        *,
        book: TrustBook,
        keys: Callable[[], KeyRing],
        clock: Clock,
        fresh_ms: int,
        stale_ms: int,
    ) -> None:
        self._book = book
        self._keys = keys
        self._clock = clock
        self._fresh_ms = fresh_ms
        self._stale_ms = stale_ms

    async def issue(
        self,
        wallet: PublicKey,
        *,
        audience: str,
        nonce: str | None = None,
        session_key: bytes | None = None,
        session_key_until_ms: int | None = None,
        see: Callable[[PublicKey, Trust], Trust] | None = None,
    ) -> SignedDecision:
        """Sign what is known of *wallet* now, as *see* shows it to who asks.

        A decision that names a session key goes stale when that key does; one that says BLOCKED
        names none, for nobody stands for such a wallet. RequestError 103 for an audience or nonce
        that no decision can carry, 108 while trust can't be read.
        """
        # Before the read: every change up to here is in the answer, maybe some more.
        position = self._book.position()
        [trust] = await self._book.get([wallet])
        if trust.reason == TrustReason.UNAVAILABLE:
            raise RequestError(
                ErrorCode.BACKBONE_UNAVAILABLE,
                "the wallet's trust can't be read now; there is nothing to sign",
                retry_after_ms=_RETRY_MS,
            )
        if see is not None:
            trust = see(wallet, trust)
        if trust.status is TrustStatus.BLOCKED:
            session_key = None
        now_ms = self._clock.now_ms()
        stale_until_ms = now_ms + self._stale_ms
        if session_key_until_ms is not None:
            stale_until_ms = max(now_ms, min(stale_until_ms, session_key_until_ms))
        key = self._keys().signing(Purpose.DECISION, now_ms)
        decision = Decision(
            wallet=wallet,
            status=trust.status,
            score=trust.score,
            seq=max(position.offset, trust.seq),
            epoch=position.epoch,
            issued_ms=now_ms,
            fresh_until_ms=min(now_ms + self._fresh_ms, stale_until_ms),
            stale_until_ms=stale_until_ms,
            audience=audience,
            session_key=session_key,
            key_id=key.key_id,
            nonce=nonce,
        )
        try:
            return SignedDecision(decision, sign_decision(key.seed, decision))
        except ValueError as error:
            raise RequestError(ErrorCode.BAD_MESSAGE, f"audience: {error}") from error
