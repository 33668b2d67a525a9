"""Granted keys for fakes of the hub's auth: real grants in memory, behind a steered signature."""

from dataclasses import dataclass

from fakes import FakeClock, SeededEntropy
from realtime_hub.adapters.memory_grants import MemoryGrants
from realtime_hub.auth.delegation import Delegation
from realtime_hub.auth.grant_store import GrantStore
from realtime_hub.auth.grants import Grant
from realtime_hub.auth.login import Logins, ProvenLogin
from realtime_protocol.login_text import LoginChallenge, build_login_text
from realtime_protocol.messages import Challenge, LoginRequest, Position, Scheme
from realtime_protocol.session_key import Kind, sign_with_session_key


@dataclass(frozen=True)
class _TakesOne:
    """A verifier for which one signature is everybody's."""

    good: bytes

    async def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        return signature == self.good


class FakeGrants:
    """What a fake auth needs for keys that log in."""

    def __init__(
        self,
        clock: FakeClock,
        good_signature: bytes,
        *,
        session_ttl_ms: int,
        store: GrantStore | None = None,
    ) -> None:
        store = MemoryGrants() if store is None else store
        self.delegation = Delegation(store, clock=clock, entropy=SeededEntropy(7))
        self._logins = Logins(
            verifier=_TakesOne(good_signature),
            clock=clock,
            entropy=SeededEntropy(),
            chain="devnet",
            session_ttl_ms=session_ttl_ms,
            grants=self.delegation,
        )

    def concerns(self, request: LoginRequest) -> bool:
        """Whether a login is by key, or grants one."""
        return request.scheme is Scheme.KEY or any("until=" in line for line in request.resources)

    async def prove(self, challenge: LoginChallenge, request: LoginRequest) -> ProvenLogin:
        """Check a login as the hub does, but for the wallet's signature."""
        return await self._logins.prove(
            challenge,
            wallet=request.wallet,
            scheme=request.scheme,
            signature=request.signature,
            resources=request.resources,
        )

    async def stand_on(self, proven: object, *, seen: Position) -> Grant | None:
        """Keep or use the grant of an admitted login."""
        if not isinstance(proven, ProvenLogin):
            return None
        if proven.grant is not None:
            await self.delegation.use(proven.wallet, proven.grant)
            return proven.grant
        assert proven.terms is not None
        return await self.delegation.open(proven.wallet, proven.terms, seen=seen)


def key_signature(
    challenge: LoginChallenge, wallet: bytes, seed: bytes, resources: list[str]
) -> bytes:
    """Return the signature of the key with that *seed* over the login text."""
    text = build_login_text(challenge, wallet, resources)
    return sign_with_session_key(seed, Kind.LOGIN, text)


def key_login(
    challenge: Challenge, wallet: bytes, seed: bytes, resources: list[str]
) -> LoginRequest:
    """Return a login by key under a challenge as it came over the wire."""
    issued = LoginChallenge(
        nonce=challenge.nonce,
        issued_ms=challenge.issued_ms,
        expires_ms=challenge.expires_ms,
        domain=challenge.domain,
        uri=challenge.uri,
        chain=challenge.chain,
        request_id=challenge.request_id,
    )
    signature = key_signature(issued, wallet, seed, resources)
    return LoginRequest(Scheme.KEY, wallet, signature, resources)
