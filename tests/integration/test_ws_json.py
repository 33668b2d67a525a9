"""Sessions in JSON, on our own transport and the ASGI endpoint: what only they do, by eye.

That logins, limits and handshakes are the same as in msgpack is tested in test_ws_login.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

import ws_hub
from raw_socket import CONT, PING, PONG, TEXT, RawSocket, frame, raw_socket
from realtime_protocol.codes import CloseCode, ErrorCode
from realtime_protocol.identity import encode_identity
from realtime_protocol.json_shapes import shape_of
from realtime_protocol.limits import Limits
from realtime_protocol.login_resources import encode_key
from realtime_protocol.messages import PushType, TrustStatus
from realtime_protocol.session_key import (
    Kind,
    resume_body,
    session_public_key,
    sign_with_session_key,
)
from realtime_protocol.versions import SUBPROTOCOL_JSON
from waiting import eventually
from ws_hub import ALICE, BOB, ServedHub, served_hub

WITHIN_S = 5.0
GOOD_SIGNATURE = "AQEB" * 21 + "AQ"
EPOCH_TEXT = "Dg4ODg4ODg4"
SESSION_KEY = b"\x07" * 32
FAST = Limits(requests_per_s=100_000, requests_burst=100_000)


@pytest.fixture(autouse=True, params=[False, True], ids=["own transport", "asgi"])
def mount(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Both ways in."""
    monkeypatch.setattr(ws_hub, "by_asgi", request.param)
    return bool(request.param)


class Eye:
    """Somebody who types lines and reads lines."""

    def __init__(self, websocket: ClientConnection) -> None:
        self.websocket = websocket

    async def type(self, line: str) -> None:
        """Send a line."""
        await self.websocket.send(line)

    async def read(self) -> Any:
        """Return the next message."""
        async with asyncio.timeout(WITHIN_S):
            line = await self.websocket.recv()
        assert isinstance(line, str)
        return json.loads(line)

    async def ask(self, line: str) -> Any:
        """Send a line and return what comes next."""
        await self.type(line)
        return await self.read()

    async def closed(self) -> int:
        """Read to the end and return the close code."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                await self.read()
        received = self.websocket.protocol.close_rcvd
        assert received is not None, "no close frame came"
        return received.code


@asynccontextmanager
async def look_at(hub: ServedHub) -> AsyncIterator[Eye]:
    async with connect(
        hub.url,
        subprotocols=[Subprotocol(SUBPROTOCOL_JSON)],
        proxy=None,
        ping_interval=None,
        close_timeout=1,
    ) as websocket:
        yield Eye(websocket)


def login_of(wallet: bytes, *, request_id: int = 1, resources: str = "[]") -> str:
    return f'[2,{request_id},[1,"{encode_identity(wallet)}","{GOOD_SIGNATURE}",{resources}]]'


async def test_a_session_can_be_read_and_written_by_eye() -> None:
    alice = encode_identity(ALICE)
    async with served_hub() as hub, look_at(hub) as eye:
        kind, sub, offset, challenge = await eye.read()
        assert (kind, sub, offset) == (0x80, 0, 0)
        assert challenge[3:6] == ["native.example", hub.url, "devnet"]
        assert challenge[8]["frame_bytes_max"] == 16_384
        assert challenge[9] == EPOCH_TEXT
        reply = await eye.ask(login_of(ALICE))
        assert reply[:2] == [2 | 0x40, 1]
        assert reply[2][4] == [1, 80, 0, 0, 1, 0, 0]
        assert await eye.ask(f'[18, 2, ["{alice}"]]') == [82, 2, [[1, 80, 0, 0, 1, 0, 0]]]
        reply = await eye.ask('[16,3,["trust:@me"]]')
        assert reply == [80, 3, [1, EPOCH_TEXT, 0, [[alice, [1, 80, 0, 0, 1, 0, 0]]], False]]
        hub.auth.change(ALICE, TrustStatus.ACTIVE)
        kind, sub, offset, changed = await eye.read()
        assert (kind, sub, offset) == (0x90, 1, 1)
        assert changed == [alice, 1, 0, 7, 1, hub.clock.now_ms(), 0, False]
        reply = await eye.ask("[48,4,[7]]")
        assert reply[2][0] == 7
        assert reply[2][2] == [[1, EPOCH_TEXT, 1]]


async def test_one_frame_made_for_all_reaches_readers_of_both_forms() -> None:
    async with served_hub() as hub, hub.client() as other, look_at(hub) as eye:
        await other.log_in(BOB)
        await other.subscribe("trust", wallets=[ALICE])
        await eye.read()
        await eye.ask(login_of(BOB))
        await eye.ask(f'[16,2,["trust",null,["{encode_identity(ALICE)}"]]]')
        change = hub.auth.change(ALICE, TrustStatus.BLOCKED)
        push = await other.push(PushType.TRUST_CHANGED)
        assert push.body == change.body
        assert (await eye.read())[3][:2] == [encode_identity(ALICE), 2]


async def test_a_blocked_wallets_session_is_told_and_closed_4503() -> None:
    async with served_hub() as hub, look_at(hub) as eye:
        await eye.read()
        await eye.ask(login_of(ALICE))
        await eye.ask('[16,2,["trust:@me"]]')
        hub.auth.change(ALICE, TrustStatus.BLOCKED)
        assert (await eye.read())[3][1] == TrustStatus.BLOCKED
        assert await eye.closed() == CloseCode.WALLET_BLOCKED


async def test_a_refusal_says_where_the_body_is_wrong_and_the_session_goes_on() -> None:
    async with served_hub() as hub, look_at(hub) as eye:
        await eye.read()
        await eye.ask(login_of(ALICE))
        refusals = {
            '[35,2,["AA=="]]': "Expected base64url without padding - at `$[0]`",
            '[18,3,["abc"]]': "an identity has 60 letters, not 3 - at `$[0]`",
            "[48,4,[1.5]]": "Expected `int`, got `float` - at `$[0]`",
            "[48,5,[9007199254740992]]": "Expected `int` <= 9007199254740991 - at `$[0]`",
            "[48,6,7]": "Expected `array`, got `int`",
        }
        for line, message in refusals.items():
            kind, request_id, (code, _, detail) = await eye.ask(line)
            assert (kind, request_id, code) == (0x7F, json.loads(line)[1], ErrorCode.BAD_MESSAGE)
            assert detail == {"message": message}
        assert (await eye.ask("[61,7,[]]"))[2][0] == ErrorCode.UNKNOWN_TYPE
        assert (await eye.ask("[48,8,[1]]"))[:2] == [112, 8]


@pytest.mark.parametrize("line", ["hello", "{}", "[48,0,[1]]", "[48,1,[1]", "", '["48",1]'])
async def test_a_line_that_is_no_message_closes_4500(line: str) -> None:
    async with served_hub() as hub, look_at(hub) as eye:
        await eye.read()
        await eye.type(line)
        assert await eye.closed() == CloseCode.PROTOCOL_ERROR


async def test_a_binary_frame_closes_4500() -> None:
    async with served_hub() as hub, look_at(hub) as eye:
        await eye.read()
        await eye.websocket.send(b"[48,1,[1]]")
        assert await eye.closed() == CloseCode.PROTOCOL_ERROR


async def test_a_session_goes_on_from_msgpack_to_json_and_misses_nothing() -> None:
    async with served_hub() as hub, hub.client() as other:
        key = encode_key(session_public_key(SESSION_KEY), until_ms=None)
        session = await other.log_in(ALICE, resources=[key])
        watched = await other.subscribe("trust:@me")
        await other.websocket.close()
        await eventually(lambda: not hub.context.registry.connections)
        hub.auth.change(ALICE, TrustStatus.ACTIVE)
        async with look_at(hub) as eye:
            challenge = (await eye.read())[3]
            proof = sign_with_session_key(
                SESSION_KEY,
                Kind.RESUME,
                resume_body(
                    domain=challenge[3], uri=challenge[4], sid=session.sid, nonce=challenge[0]
                ),
            )
            shape = shape_of(list[bytes])
            assert shape is not None
            token, signature = shape.to_json([session.resume_token, proof])
            line = [3, 1, [token, signature, [[watched.sub, "trust:@me", EPOCH_TEXT, 0]]]]
            reply = await eye.ask(json.dumps(line))
            assert reply[2][0] == session.sid
            assert reply[2][3] == [[watched.sub, 1, EPOCH_TEXT, 1]]
            assert (await eye.read())[:3] == [0x90, watched.sub, 1]


async def test_requests_in_json_share_the_rate_limits() -> None:
    async with served_hub() as hub, look_at(hub) as eye:
        await eye.read()
        await eye.ask(login_of(ALICE))
        for number in range(2, 102):
            await eye.type(f"[48,{number},[1]]")
        kinds = [(await eye.read())[0] for _ in range(100)]
        # The login weighs 5 of the 40.
        assert kinds == [112] * 35 + [0x7F] * 65


async def test_lines_have_the_limits_of_frames() -> None:
    async with served_hub() as hub, look_at(hub) as eye:
        await eye.read()
        line = "[48,1,[1," + '"' + "x" * 4_096 + '"]]'
        await eye.type(line)
        assert await eye.closed() == 1009


async def test_256_wallets_fit_in_one_line() -> None:
    wallets = [number.to_bytes(32) for number in range(256)]
    async with served_hub(FAST) as hub, look_at(hub) as eye:
        await eye.read()
        await eye.ask(login_of(ALICE))
        line = json.dumps(
            [16, 4_294_967_295, ["trust", None, [encode_identity(w) for w in wallets]]],
            separators=(",", ":"),
        )
        assert 16_000 < len(line) <= 16_384
        if ws_hub.by_asgi:
            return  # uvicorn's bound here is that of a frame before the login.
        reply = await eye.ask(line)
        assert len(reply[2][3]) == 256


def _ping(request_id: int) -> bytes:
    return f"[48,{request_id},[1]]".encode()


async def _log_in(raw: RawSocket) -> None:
    await raw.message(TEXT)
    await raw.send(frame(login_of(ALICE).encode(), TEXT))
    await raw.message(TEXT)


async def test_a_message_may_come_in_fragments_with_a_ping_between() -> None:
    async with served_hub() as hub, raw_socket(hub.url, subprotocol=SUBPROTOCOL_JSON) as raw:
        await _log_in(raw)
        message = _ping(2)
        await raw.send(
            frame(message[:3], TEXT, fin=False)
            + frame(b"are you there", PING)
            + frame(message[3:5], CONT, fin=False)
            + frame(message[5:], CONT)
        )
        frames = dict([await raw.frame(), await raw.frame()])
        assert frames[PONG] == b"are you there"
        assert json.loads(frames[TEXT])[:2] == [112, 2]


async def test_text_that_is_not_utf8_closes_1007() -> None:
    async with served_hub() as hub, raw_socket(hub.url, subprotocol=SUBPROTOCOL_JSON) as raw:
        await _log_in(raw)
        await raw.send(frame(b'[48,2,["\xff"]]', TEXT))
        assert (await raw.closed())[0] == 1007


@pytest.mark.slow
async def test_messages_of_one_packet_are_answered_in_order() -> None:
    async with (
        served_hub(FAST) as hub,
        raw_socket(hub.url, subprotocol=SUBPROTOCOL_JSON) as raw,
    ):
        await _log_in(raw)
        ids = range(2, 502)
        await raw.send(b"".join(frame(_ping(number), TEXT) for number in ids))
        assert [json.loads(await raw.message(TEXT))[1] for _ in ids] == list(ids)


@pytest.mark.slow
@pytest.mark.parametrize("mount", [False], indirect=True, ids=["own transport"])
async def test_who_reads_nothing_is_closed_4002_and_cut() -> None:
    wallets = [encode_identity(number.to_bytes(32)) for number in range(64)]
    async with (
        served_hub(FAST) as hub,
        raw_socket(hub.url, receive_bytes=4_096, subprotocol=SUBPROTOCOL_JSON) as raw,
    ):
        await _log_in(raw)
        lines = [json.dumps([18, number, wallets]).encode() for number in range(2, 600)]
        raw.writer.write(b"".join(frame(line, TEXT) for line in lines))
        [session] = hub.context.registry.connections
        queue_max = hub.context.limits.queue_bytes_max
        await eventually(lambda: session.queued_bytes >= queue_max)
        for _ in range(20):
            await asyncio.sleep(0)
        assert session.queued_bytes < queue_max + 16_384
        await hub.pass_time(1)
        await hub.pass_time(5_000)
        await eventually(lambda: not hub.context.registry.connections)
        assert b'realtime_closes_total{code="slow_consumer"} 1.0' in hub.metrics.exposition()[0]
