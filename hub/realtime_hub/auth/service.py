"""TurboAuth as the surfaces see it: logins, trust, administration."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, Protocol

from realtime_hub.auth.challenges import ChallengeStore, IssuedChallenge, ProvenChallenge
from realtime_hub.auth.delegation import Delegation
from realtime_hub.auth.grants import Grant
from realtime_hub.auth.login import Logins, ProvenLogin
from realtime_hub.auth.model import TrustChange
from realtime_hub.auth.trust import TrustBook
from realtime_hub.clock import Clock, Entropy
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey, refusal_of_wallet_key
from realtime_protocol.login_resources import encode_key
from realtime_protocol.login_text import LoginChallenge, build_login_text
from realtime_protocol.messages import (
    LoginRequest,
    Position,
    Scheme,
    Trust,
    TrustReason,
    TrustSetReply,
    TrustStatus,
)

REST_CHALLENGE_TTL_MS: Final = 300_000
"""A backend's user may need to fetch a phone."""
_CHALLENGE_ID_BYTES: Final = 16


class TrustOrders(Protocol):
    """Takes an administrator's signed transaction, here or at the process that owns them."""

    async def set_trust(self, signed_tx: bytes, *, admin: PublicKey | None) -> TrustSetReply:
        """Take it; raise RequestError."""
        ...


class AuthService:
    """One entrance to logins, trust and its administration."""

    def __init__(
        self,
        *,
        logins: Logins,
        book: TrustBook,
        orders: TrustOrders,
        challenges: ChallengeStore,
        clock: Clock,
        entropy: Entropy,
        delegation: Delegation,
        login_when_unavailable: bool = False,
    ) -> None:
        self.delegation = delegation
        self._logins = logins
        self._book = book
        self.peek_ready = book.peek_ready
        """Answer from memory, to be encoded at once; None when that doesn't cover all."""
        self._orders = orders
        self._challenges = challenges
        self._clock = clock
        self._entropy = entropy
        self._login_when_unavailable = login_when_unavailable

    # Logins ---------------------------------------------------------------------------------

    def issue_challenge(self, *, domain: str, uri: str, ttl_ms: int) -> LoginChallenge:
        """Return a fresh challenge for one connection."""
        return self._logins.issue_challenge(domain=domain, uri=uri, ttl_ms=ttl_ms)

    async def prove(self, challenge: LoginChallenge, request: LoginRequest) -> ProvenLogin:
        """Check a login; the caller has used the nonce up before."""
        proven = await self._prove(challenge, request)
        if proven.by_key or proven.wallet != self._book.contract_admin:
            return proven  # No key administers: its theft would be the fleet's.
        return replace(proven, scopes=(*proven.scopes, "admin"))

    async def _prove(self, challenge: LoginChallenge, request: LoginRequest) -> ProvenLogin:
        try:
            return await self._logins.prove(
                challenge,
                wallet=request.wallet,
                scheme=request.scheme,
                signature=request.signature,
                resources=request.resources,
            )
        except RequestError as error:
            # A block ends the key first. Who knows why needn't ask the wallet for another in vain.
            no_key = request.scheme is Scheme.KEY and error.code is ErrorCode.BAD_SIGNATURE
            if no_key and self._is_known_as_blocked(PublicKey(request.wallet)):
                raise RequestError(
                    ErrorCode.WALLET_BLOCKED, "the wallet is blocked, and its keys with it"
                ) from error
            raise

    async def admit(self, wallet: PublicKey) -> Trust:
        """Decide whether a proven, registered wallet may stay; RequestError 108 or 206.

        The session must be registered before: a change that comes between is then pushed to it.
        """
        [trust] = await self._book.get([wallet])
        return self._require_welcome(wallet, trust)

    def _is_known_as_blocked(self, wallet: PublicKey) -> bool:
        known = self._book.peek([wallet])
        return known is not None and known[0].status is TrustStatus.BLOCKED

    async def stand_on(self, proven: ProvenLogin, *, seen: Position) -> Grant | None:
        """Return the grant of an admitted login: kept, or noted as used; None without one.

        *seen* is where the trust log was before :meth:`admit`. RequestError 108, 204, 206 or 211.
        """
        if proven.grant is not None:
            await self.delegation.use(proven.wallet, proven.grant)
            return proven.grant
        if proven.terms is None:
            return None
        return await self.delegation.open(proven.wallet, proven.terms, seen=seen)

    async def readmit(self, wallet: PublicKey, *, seen: Position) -> Trust:
        """Decide the same for one whose session saw the trust log up to *seen*.

        Every change that the log holds by now counts; nothing is taken from memory alone.
        """
        await self._book.catch_up(seen)
        if self._login_when_unavailable and not self._book.backbone_ok:
            return await self.admit(wallet)
        return self._require_welcome(wallet, await self._book.fresh(wallet))

    def _require_welcome(self, wallet: PublicKey, trust: Trust) -> Trust:
        if trust.status is TrustStatus.BLOCKED:
            self.delegation.block(wallet, self._book.position())
            raise RequestError(
                ErrorCode.WALLET_BLOCKED, f"the wallet is blocked (reason {trust.reason})"
            )
        if trust.reason == TrustReason.UNAVAILABLE and not self._login_when_unavailable:
            raise RequestError(
                ErrorCode.BACKBONE_UNAVAILABLE,
                "the wallet's trust can't be read now",
                retry_after_ms=1_000,
            )
        return trust

    async def issue_rest_challenge(
        self, wallet: PublicKey, *, domain: str, uri: str, key: bytes | None = None
    ) -> tuple[str, str, int]:
        """Return challenge id, text and end (epoch ms) for a caller without a session.

        The text lists *key*, an Ed25519 key that stands for the wallet. No time stands with it: a
        key is granted in a session, never here.
        """
        refusal = await asyncio.to_thread(refusal_of_wallet_key, wallet)
        if refusal is not None:
            raise RequestError(ErrorCode.BAD_MESSAGE, f"this key can't log in: {refusal}")
        challenge = self._logins.issue_challenge(
            domain=domain, uri=uri, ttl_ms=REST_CHALLENGE_TTL_MS
        )
        resources = () if key is None else (encode_key(key),)
        challenge_id = self._entropy.token(_CHALLENGE_ID_BYTES).hex()
        await self._challenges.put(
            challenge_id,
            IssuedChallenge(wallet, challenge, resources),
            ttl_ms=challenge.expires_ms - self._clock.now_ms(),
        )
        text = build_login_text(challenge, wallet, resources).decode("ascii")
        return challenge_id, text, challenge.expires_ms

    async def prove_rest(
        self,
        challenge_id: str,
        wallet: PublicKey,
        *,
        scheme: Scheme,
        signature: bytes,
        domain: str,
        message: str | None = None,
    ) -> ProvenChallenge:
        """Check a signature over an issued challenge, once; RequestError as of a login, and 201.

        *message*, where given, is compared byte for byte with the hub's own text.
        """
        issued = await self._challenges.take(challenge_id)
        if issued is None:
            raise RequestError(
                ErrorCode.NONCE_UNKNOWN_OR_USED, "the challenge is unknown, used or expired"
            )
        if issued.challenge.domain != domain:
            raise RequestError(
                ErrorCode.DOMAIN_MISMATCH, "the challenge was issued for another domain"
            )
        if issued.wallet != wallet:
            raise RequestError(
                ErrorCode.BAD_SIGNATURE, "the challenge was issued to another wallet"
            )
        resources = list(issued.resources)
        if message is not None and message.encode() != build_login_text(
            issued.challenge, wallet, resources
        ):
            raise RequestError(ErrorCode.BAD_SIGNATURE, "message is not the challenge's text")
        login = LoginRequest(scheme, wallet, signature, resources)
        proven = await self._prove(issued.challenge, login)
        if proven.grant is not None:
            await self.delegation.use(wallet, proven.grant)
        return ProvenChallenge(proven, issued.challenge.nonce)

    # Trust ----------------------------------------------------------------------------------

    @property
    def listeners(self) -> list[Callable[[TrustChange], None]]:
        """Called for each change in log order, once, at once."""
        return self._book.listeners

    @property
    def backbone_ok(self) -> bool:
        """Whether the hub can vouch for its answers."""
        return self._book.backbone_ok

    @property
    def trouble(self) -> str | None:
        """What stands in the way, in words for people."""
        return self._book.trouble

    async def get(self, wallets: Sequence[PublicKey]) -> list[Trust]:
        """Answer from the nearest tier that knows."""
        return await self._book.get(wallets)

    async def fresh(self, wallet: PublicKey) -> Trust:
        """Answer for money: never from memory alone; RequestError 108."""
        return await self._book.fresh(wallet)

    def remembered(self, wallet: PublicKey) -> Trust | None:
        """Return what was known not long ago; None when that doesn't tell enough."""
        return self._book.remembered(wallet)

    def position(self) -> Position:
        """Where the trust log is."""
        return self._book.position()

    async def changes_since(self, position: Position) -> list[TrustChange] | None:
        """Return what came after *position*; None when that can't be told."""
        return await self._book.changes_since(position)

    async def set_trust(self, signed_tx: bytes, *, admin: PublicKey | None = None) -> TrustSetReply:
        """Take an administrator's signed transaction."""
        return await self._orders.set_trust(signed_tx, admin=admin)
