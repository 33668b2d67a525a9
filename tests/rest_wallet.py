"""The REST surface over a real TurboAuth in memory, and a wallet with granted keys that uses it."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from app_fakes import api_key, fake_apps
from asgi import Answer, call
from decision_fakes import fake_decisions
from fakes import SeededEntropy
from qubic_vectors import qubic_vectors
from realtime_hub.adapters.memory_challenges import MemoryChallenges
from realtime_hub.adapters.memory_grants import MemoryGrants
from realtime_hub.auth.delegation import Delegation
from realtime_hub.auth.grants import Grant, GrantTerms
from realtime_hub.auth.login import Logins
from realtime_hub.auth.service import AuthService
from realtime_hub.pay.desk import PaymentDesk
from realtime_hub.readiness import Readiness
from realtime_hub.signatures import SignatureChecks
from realtime_hub.surfaces.rest import RestContext, build_rest_app
from realtime_hub.surfaces.wallet_proofs import base64url
from realtime_protocol.identity import PublicKey, encode_identity
from realtime_protocol.messages import Scheme
from realtime_protocol.schnorrq import keypair
from realtime_protocol.session_key import Kind, session_public_key, sign_with_session_key
from realtime_protocol.wallet_signatures import sign_login
from trust_fakes import TrustBench, record
from waiting import eventually

KEYS = keypair(qubic_vectors()["keys"][0]["seed"])
WALLET = PublicKey(KEYS.public_key)
IDENTITY = encode_identity(WALLET)
DOMAIN = "app.example"
SEED, OTHER_SEED = b"\x21" * 32, b"\x22" * 32
KEY, OTHER_KEY = session_public_key(SEED), session_public_key(OTHER_SEED)
DAY_MS = 86_400_000
SESSION_TTL_MS = 3_600_000


class RestHub:
    """One hub in memory; the wallet is ACTIVE at its source."""

    def __init__(self) -> None:
        self.trust = TrustBench()
        self.trust.source.write(record(WALLET))
        self.clock = self.trust.clock
        self.grants = MemoryGrants()
        self.delegation = Delegation(self.grants, clock=self.clock, entropy=SeededEntropy(7))
        self.apps, _ = fake_apps(self.clock, api_key())
        auth = AuthService(
            logins=Logins(
                verifier=SignatureChecks(),
                clock=self.clock,
                entropy=SeededEntropy(),
                chain="devnet",
                session_ttl_ms=SESSION_TTL_MS,
                grants=self.delegation,
            ),
            book=self.trust.book,
            orders=PaymentDesk(),
            challenges=MemoryChallenges(self.clock),
            clock=self.clock,
            entropy=SeededEntropy(3),
            delegation=self.delegation,
        )
        self.app = build_rest_app(
            RestContext(
                auth=auth,
                decisions=fake_decisions(self.trust.book, self.clock),
                grants=self.delegation,
                uri="wss://hub.example/v1",
                domain_without_origin=DOMAIN,
                origins={"https://other.example": "other.example"},
                apps=self.apps,
                readiness=lambda: Readiness(True, {}),
                admit=lambda _address: None,
            )
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator["RestHub"]:
        """Vouch for trust until the block ends."""
        task = asyncio.create_task(self.trust.book.run())
        await eventually(lambda: self.trust.book.backbone_ok)
        yield self
        task.cancel()
        await asyncio.wait([task])

    async def grant(self, key: bytes = KEY, *, scopes: tuple[str, ...] = ("trust",)) -> Grant:
        """Let a key log in, as a session does after the wallet's login."""
        terms = GrantTerms(
            key=key, scopes=scopes, until_ms=self.clock.now_ms() + DAY_MS, domain=DOMAIN
        )
        return await self.delegation.open(WALLET, terms, seen=self.trust.book.position())

    async def post(self, path: str, body: object, **headers: str) -> Answer:
        """Send a request."""
        content = json.dumps(body).encode()
        return await call(self.app, "POST", f"/api/v1/{path}", body=content, headers=headers)

    async def proof(
        self,
        *,
        seed: bytes | None = None,
        key: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Fetch a challenge and return its proof: the wallet's, or that of the key with *seed*.

        The text lists the key of *seed*, or *key*.
        """
        listed = session_public_key(seed) if key is None and seed is not None else key
        wanted = {"wallet": IDENTITY} | ({} if listed is None else {"key": base64url(listed)})
        challenge = (await self.post("challenge", wanted, **(headers or {}))).json()
        text = challenge["text"].encode()
        if seed is None:
            signature = sign_login(Scheme.WC, KEYS, text)
        else:
            signature = sign_with_session_key(seed, Kind.LOGIN, text)
        return {
            "challenge_id": challenge["challenge_id"],
            "wallet_address": IDENTITY,
            "scheme": "wc" if seed is None else "key",
            "signature": signature.hex(),
        }
