"""A backend's REST client over a real socket, with a wallet's and a granted key's signatures."""

import asyncio
import base64
import json
import urllib.error
import urllib.request
from typing import Any

from realtime_cli.stack import StackInfo
from realtime_client import Delegate
from realtime_hub.surfaces.wallet_proofs import base64url
from realtime_protocol.decision import Decision, verify_decision
from realtime_protocol.identity import PublicKey, encode_identity
from realtime_protocol.messages import Scheme
from realtime_protocol.schnorrq import keypair
from realtime_protocol.session_key import Kind, sign_with_session_key
from realtime_protocol.wallet_signatures import sign_login
from running_stack import demo_seed

Answer = tuple[int, dict[str, Any]]


def ask(url: str, body: dict[str, Any] | None = None, origin: str | None = None) -> Answer:
    request = urllib.request.Request(url, None if body is None else json.dumps(body).encode())
    if origin is not None:
        request.add_header("Origin", origin)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


class Rest:
    """A backend that uses a hub."""

    def __init__(self, info: StackInfo) -> None:
        self._info = info
        self.keys = keypair(demo_seed(info, 0))
        self.identity = info.wallets[0]
        self.domain = info.rest_url.split("/")[2]

    async def get(self, path: str) -> Answer:
        return await asyncio.to_thread(ask, self._info.rest_url + path)

    async def post(self, path: str, body: dict[str, Any], origin: str | None = None) -> Answer:
        return await asyncio.to_thread(ask, self._info.rest_url + path, body, origin)

    async def signed(self, **changes: Any) -> dict[str, Any]:
        """Fetch a challenge, sign it, and return the body of /verify with *changes*."""
        status, challenge = await self.post("/challenge", {"wallet": self.identity})
        assert status == 200
        signature = sign_login(Scheme.WC, self.keys, challenge["text"].encode())
        return {
            "challenge_id": challenge["challenge_id"],
            "wallet_address": self.identity,
            "scheme": "wc",
            "signature": signature.hex(),
            "message": challenge["text"],
            **changes,
        }

    async def signed_by(self, delegate: Delegate, **changes: Any) -> dict[str, Any]:
        """The same, signed by a granted key."""
        wanted = {"wallet": self.identity, "key": base64url(delegate.public_key)}
        _, challenge = await self.post("/challenge", wanted)
        text = challenge["text"].encode()
        signature = sign_with_session_key(delegate.seed, Kind.LOGIN, text)
        return {
            "challenge_id": challenge["challenge_id"],
            "wallet_address": self.identity,
            "scheme": "key",
            "signature": signature.hex(),
            **changes,
        }


async def decided(rest: Rest, text: str, audience: str) -> Decision:
    """Verify a decision by the keys that the hub publishes."""
    _, answer = await rest.get("/keys")
    keys = {
        bytes.fromhex(key["key_id"]): bytes.fromhex(key["public_key"])
        for key in answer["keys"]
        if key["purpose"] == "decision"
    }
    signed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    decision = verify_decision(signed, keys, audience=audience)
    assert encode_identity(PublicKey(decision.wallet)) == rest.identity
    return decision
