"""A wallet is blocked: receivers elsewhere learn it, and check it with a library not ours."""

import asyncio
import contextlib
import json
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import KeySet

from realtime_cli.stack import StackInfo
from realtime_hub.export.events import SESSION_REVOKED, TOKEN_CLAIMS_CHANGE
from realtime_protocol.qubic.contract_abi import ChainStatus
from running_stack import running_stack, set_trust
from waiting import eventually

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:EdDSA is deprecated"),
]

TOKEN = "the-token-of-the-poll-stream"
CONFIG = """
[[hub.event_streams]]
name = "pushed"
audience = "https://app.example"
push_url = "http://127.0.0.1:{port}/events"

[[hub.event_streams]]
name = "polled"
audience = "https://bank.example"
token_file = "{token}"
events = ["session-revoked"]
"""


@contextlib.contextmanager
def receiver() -> Iterator[tuple[int, list[str]]]:
    """A receiver that is out of order for its first two requests."""
    came: list[str] = []
    failures = iter([503, 503])

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            status = next(failures, 202)
            if status == 202:
                came.append(body)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield http.server_address[1], came
    finally:
        http.shutdown()
        thread.join(5)
        http.server_close()


def fetch(url: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data)
    request.add_header("Authorization", f"Bearer {TOKEN}")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def read(info: StackInfo, token: str) -> dict[str, Any]:
    """Verify a SET by the keys that its issuer publishes."""
    origin = info.rest_url.removesuffix("/api/v1")
    keys = KeySet.import_key_set(fetch(f"{origin}/.well-known/jwks.json"))
    found = jws.deserialize_compact(token, keys, algorithms=["EdDSA"])
    assert found.headers()["typ"] == "secevent+jwt"
    claims: dict[str, Any] = json.loads(found.payload)
    assert claims["iss"] == fetch(f"{origin}/.well-known/ssf-configuration")["issuer"] == origin
    return claims


async def test_a_block_reaches_push_and_poll_receivers_as_signed_events(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    config = tmp_path / "realtime.toml"
    with receiver() as (port, came):
        config.write_text(CONFIG.format(port=port, token=token))
        async with running_stack(tmp_path, hub=("--config", str(config))) as info:
            wallet = info.wallets[0]
            await asyncio.to_thread(set_trust, info, wallet, ChainStatus.BLOCKED)
            poll = f"{info.rest_url}/events/polled"
            answer = await asyncio.to_thread(fetch, poll, {})
            [(jti, polled)] = answer["sets"].items()
            acknowledged = {"ack": [jti], "returnImmediately": True}
            assert (await asyncio.to_thread(fetch, poll, acknowledged))["sets"] == {}

            await eventually(lambda: len(came) == 2, within_s=30)
            claims = [await asyncio.to_thread(read, info, set_) for set_ in (polled, *came[:2])]

    did = f"did:pkh:qubic:devnet:{wallet}"
    assert [told["sub_id"] for told in claims] == [{"format": "did", "url": did}] * 3
    assert [told["aud"] for told in claims] == [
        "https://bank.example",
        *["https://app.example"] * 2,
    ]
    assert [list(told["events"]) for told in claims] == [
        [SESSION_REVOKED],
        [SESSION_REVOKED],
        [TOKEN_CLAIMS_CHANGE],
    ]
    # The same entry of the log has the same name for every receiver.
    assert claims[0]["jti"] == claims[1]["jti"] == jti
    assert claims[2]["events"][TOKEN_CLAIMS_CHANGE]["claims"] == {
        "trust_status": "BLOCKED",
        "trust_score": 0,
    }
