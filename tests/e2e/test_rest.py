"""REST over a real socket, with a wallet's real signatures."""

import asyncio
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from realtime_cli.stack import StackInfo
from realtime_client import CloseCode, ConnectionClosedError, Delegate, Wallet, connect
from realtime_hub.surfaces.wallet_proofs import parse_key
from realtime_protocol.messages import TrustStatus
from realtime_protocol.qubic.contract_abi import ChainStatus
from rest_client import Rest, decided
from running_stack import demo_seed, running_stack, set_trust

pytestmark = pytest.mark.slow


@asynccontextmanager
async def rest_hub(folder: Path) -> AsyncIterator[tuple[Rest, StackInfo]]:
    async with running_stack(folder) as info:
        yield Rest(info), info


async def test_a_wallet_verifies_once_and_its_status_is_told(tmp_path: Path) -> None:
    async with rest_hub(tmp_path) as (rest, info):
        body = await rest.signed()
        status, answer = await rest.post("/verify", body)
        assert (status, answer["valid"], answer["status"]) == (200, True, "ACTIVE")
        assert (await decided(rest, answer["decision"], rest.domain)).nonce is not None
        again = await rest.post("/verify", body)
        assert (again[0], again[1]["code"]) == (401, 201)

        refusals: list[tuple[dict[str, Any], tuple[int, int]]] = [
            ({"signature": "00" * 64}, (401, 204)),
            ({"wallet_address": info.wallets[1]}, (401, 204)),
            ({"message": "another text"}, (401, 204)),
            ({"scheme": "k12"}, (401, 204)),
            ({"scheme": "ed25519"}, (400, 205)),
            ({"surprise": 1}, (400, 103)),
        ]
        for changes, expected in refusals:
            status, answer = await rest.post("/verify", await rest.signed(**changes))
            assert (changes, status, answer["code"]) == (changes, *expected)

        evil = await rest.post("/challenge", {"wallet": rest.identity}, "https://evil.example")
        assert (evil[0], evil[1]["code"]) == (403, 202)

        await asyncio.to_thread(set_trust, info, rest.identity, ChainStatus.BLOCKED)
        status, answer = await rest.get(f"/status/{rest.identity}")
        assert (status, answer["status"], answer["trust_score"]) == (200, "BLOCKED", 0)
        status, answer = await rest.post("/verify", await rest.signed())
        assert (answer["valid"], answer["status"]) == (True, "BLOCKED")
        assert (await decided(rest, answer["decision"], rest.domain)).status is TrustStatus.BLOCKED
        status, answer = await rest.get(f"/decision/{rest.identity}?audience=door-7")
        assert (await decided(rest, answer["decision"], "door-7")).status is TrustStatus.BLOCKED


async def test_a_granted_key_is_listed_and_revoked_and_its_sessions_close(tmp_path: Path) -> None:
    async with asyncio.timeout(60), rest_hub(tmp_path) as (rest, info):
        wallet, delegate = Wallet.from_seed(demo_seed(info, 0)), Delegate()
        async with connect(info.url, wallet, delegate=delegate):
            pass
        async with connect(info.url, wallet, delegate=delegate) as session:
            status, answer = await rest.post("/wallet/keys/list", await rest.signed())
            assert (status, answer["wallet"]) == (200, rest.identity)
            [told] = answer["keys"]
            assert parse_key(told["key"]) == delegate.public_key
            assert told["last_used_ms"] > told["created_ms"]

            by_key = await rest.signed_by(delegate)
            status, answer = await rest.post("/wallet/keys/revoke", {**by_key, "all": True})
            assert (status, answer["code"]) == (403, 102)
            body = {**await rest.signed(), "key": told["key"]}
            assert await rest.post("/wallet/keys/revoke", body) == (
                200,
                {"wallet": rest.identity, "revoked": 1},
            )
            closed = await session.wait_closed()
            assert isinstance(closed, ConnectionClosedError)
            assert closed.code is CloseCode.SESSION_REVOKED
        status, answer = await rest.post("/wallet/keys/list", await rest.signed_by(delegate))
        assert (status, answer["code"]) == (401, 204)
        _, answer = await rest.post("/wallet/keys/list", await rest.signed())
        assert answer["keys"] == []


async def test_what_the_hub_verifies_is_in_its_metrics(tmp_path: Path) -> None:
    async with rest_hub(tmp_path) as (rest, info):
        bodies = [await rest.signed() for _ in range(3)]
        for status, answer in await asyncio.gather(*(rest.post("/verify", b) for b in bodies)):
            assert (status, answer["valid"]) == (200, True)
        metrics = await asyncio.to_thread(read_metrics, info)
    checked = sum(
        metrics.get(f'realtime_signature_batch_checks_sum{{where="{where}"}}', 0)
        for where in ("loop", "thread")
    )
    assert checked == 3
    assert metrics["realtime_signature_checks_pending"] == 0
    assert metrics["realtime_signature_checks_refused_total"] == 0


def read_metrics(info: StackInfo) -> dict[str, float]:
    with urllib.request.urlopen(f"{info.admin_url}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    pairs = [line.rsplit(" ", 1) for line in lines if not line.startswith("#")]
    return {name: float(value) for name, value in pairs}
