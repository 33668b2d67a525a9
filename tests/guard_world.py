"""A hub with one app, an API key for it, and the guard examples as programs beside it."""

import asyncio
import contextlib
import json
import secrets
import urllib.error
import urllib.request
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realtime_cli.stack import StackInfo
from realtime_client import Wallet, connect
from realtime_hub.adapters.sqlite_apps import SqliteApps
from realtime_hub.apps.model import ApiKey, KeyScope, hash_token, make_token
from realtime_hub.wiring.apps import APPS_FILE
from realtime_protocol.session_key import (
    Kind,
    presence_body,
    session_public_key,
    sign_with_session_key,
)
from running_stack import demo_seed, running_stack

AUDIENCE = "shop.example"
KEY_ID = "0badcafe"
CONFIG = '[[hub.apps]]\nname = "shop"\ndomains = ["shop.example"]\n'


@dataclass(frozen=True)
class GuardWorld:
    """The hub and the key."""

    info: StackInfo
    api_key: str
    state: Path


@contextlib.asynccontextmanager
async def guard_world(folder: Path) -> AsyncIterator[GuardWorld]:
    """Run hub and devnet with the app `shop` until the block ends."""
    config, state = folder / "realtime.toml", folder / "hub"
    config.write_text(CONFIG)
    state.mkdir(mode=0o700)
    token = make_token(KEY_ID, secrets.token_bytes(32))
    store = SqliteApps(state / APPS_FILE)
    store.add_key(
        ApiKey(
            key_id=KEY_ID,
            app="shop",
            token_hash=hash_token(token),
            scopes=frozenset(KeyScope),
            requests_per_s=1_000,
            sessions_max=4,
            created_ms=1,
        )
    )
    store.close_file()
    async with running_stack(folder, hub=("--config", str(config))) as info:
        yield GuardWorld(info, token, state)


def request(url: str, body: object = None, **headers: str) -> tuple[int, Any]:
    """Send a request; return status and JSON. It blocks: call it in a thread."""
    data = None if body is None else json.dumps(body).encode()
    sent = urllib.request.Request(url, data, headers)
    try:
        with urllib.request.urlopen(sent, timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


async def prove_wallet(world: GuardWorld, number: int, guarded_url: str) -> tuple[int, Any]:
    """Log a demo wallet in at the hub, and prove it to a guard; return the guard's answer."""
    seed = secrets.token_bytes(32)
    wallet = Wallet.from_seed(demo_seed(world.info, number))
    key = session_public_key(seed)
    async with connect(world.info.url, wallet, session_key=key) as session:
        decision = await session.decision(AUDIENCE)
    _, asked = await asyncio.to_thread(request, f"{guarded_url}/.realtime/challenge")
    assert asked["audience"] == AUDIENCE
    body = presence_body(audience=AUDIENCE, nonce=asked["nonce"])
    proof = sign_with_session_key(seed, Kind.PRESENCE, body)
    sent = {
        "wallet": world.info.wallets[number],
        "decision": _text(decision),
        "nonce": asked["nonce"],
        "proof": _text(proof),
    }
    return await asyncio.to_thread(request, f"{guarded_url}/.realtime/session", sent)


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")
