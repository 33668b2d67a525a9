"""What a connection does with frames that are odd, broken, too many or not read."""

import asyncio
import gc
import socket
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

import pytest
import uvloop

from raw_socket import BINARY, CLOSE, CONT, PING, PONG, TEXT, RawSocket, frame, raw_socket
from realtime_hub.http.server import RECEIVE_BUFFER_BYTES, SEND_BUFFER_BYTES, bind
from realtime_hub.session.input_turns import InputTurns
from realtime_hub.session.session import LiveSession
from realtime_protocol.codec import ErrorReply, Push, Reply, decode_answer, encode_request
from realtime_protocol.codes import CloseCode, ErrorCode
from realtime_protocol.limits import Limits
from realtime_protocol.messages import (
    LoginRequest,
    PingRequest,
    PushType,
    RequestType,
    Scheme,
    SubscribeRequest,
    TrustStatus,
)
from waiting import eventually
from ws_hub import ALICE, BOB, GOOD_SIGNATURE, ServedHub, served_hub

LOGIN = encode_request(RequestType.LOGIN, 1, LoginRequest(Scheme.WC, ALICE, GOOD_SIGNATURE, []))
CROWD = Limits(
    requests_per_s=100_000,
    requests_burst=100_000,
    requests_per_wallet_per_s=100_000,
    requests_per_ip_per_s=100_000,
    upgrades_per_ip_per_s=1_000,
    sessions_per_ip_max=1_000,
    sessions_per_wallet_max=1_000,
)
FAST = Limits(requests_per_s=100_000, requests_burst=100_000)


def _ping(request_id: int) -> bytes:
    return encode_request(RequestType.PING, request_id, PingRequest(request_id))


async def _log_in(raw: RawSocket) -> None:
    """Pass over the challenge and log in as Alice."""
    await raw.message()
    await raw.send(frame(LOGIN))
    assert isinstance(decode_answer(await raw.message()), Reply)


BROKEN: dict[str, tuple[bytes, int]] = {
    "text": (frame(b"hello", TEXT), CloseCode.PROTOCOL_ERROR),
    "not msgpack": (frame(b"\xc1"), CloseCode.PROTOCOL_ERROR),
    "empty": (frame(b""), CloseCode.PROTOCOL_ERROR),
    "a map": (frame(b"\x81\x01\x02"), CloseCode.PROTOCOL_ERROR),
    "request id 0": (frame(b"\x93\x30\x00\x91\x01"), CloseCode.PROTOCOL_ERROR),
    "not masked": (frame(_ping(2), mask=False), 1002),
    "a reserved bit": (frame(_ping(2), rsv=4), 1002),
    "an unknown opcode": (frame(_ping(2), 0x3), 1002),
    "a continuation of nothing": (frame(_ping(2), CONT), 1002),
    "a long control frame": (frame(bytes(126), PING), 1002),
    "a message of 16 KiB and a byte": (frame(bytes(16_385)), 1009),
    "a close with code 1005": (frame(b"\x03\xed", CLOSE), 1002),
    "65 fragments": (
        frame(b"", fin=False) + frame(b"\x93", CONT, fin=False) * 64,
        CloseCode.PROTOCOL_ERROR,
    ),
    "fragments that exceed 16 KiB together": (
        frame(bytes(16_000), fin=False) + frame(bytes(400), CONT),
        1009,
    ),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_broken_frame_closes_its_own_connection_and_disturbs_no_other(name: str) -> None:
    data, code = BROKEN[name]
    async with served_hub() as hub, hub.client() as other, raw_socket(hub.url) as raw:
        await other.log_in(BOB)
        await _log_in(raw)
        await raw.send(data)
        assert (await raw.closed())[0] == code
        raw.writer.close()
        pong = await other.ask(RequestType.PING, PingRequest(1))
        assert pong.client_ms == 1
        await eventually(lambda: len(hub.context.registry.connections) == 1)


@pytest.mark.slow
async def test_before_login_a_message_may_have_4_kib_and_the_first_one_after_it_16() -> None:
    async with served_hub() as hub, raw_socket(hub.url) as raw:
        await _log_in(raw)
        await raw.send(frame(b"\x93\x30\x02\xc5" + (16_378).to_bytes(2) + bytes(16_378)))
        answer = decode_answer(await raw.message())
        assert isinstance(answer, ErrorReply)
        assert answer.error.code == ErrorCode.BAD_MESSAGE
    async with served_hub() as hub, raw_socket(hub.url) as raw:
        await raw.message()
        await raw.send(frame(bytes(4_097)))
        assert (await raw.closed())[0] == 1009


async def test_a_login_may_come_byte_by_byte() -> None:
    async with served_hub() as hub, raw_socket(hub.url) as raw:
        await raw.message()
        for byte in frame(LOGIN):
            await raw.send(bytes((byte,)))
            await asyncio.sleep(0)
        assert isinstance(decode_answer(await raw.message()), Reply)


async def test_a_message_may_come_in_fragments_with_pings_between() -> None:
    async with served_hub() as hub, raw_socket(hub.url) as raw:
        await _log_in(raw)
        message = _ping(2)
        await raw.send(
            frame(message[:1], fin=False)
            + frame(b"are you there", PING)
            + frame(message[1:3], CONT, fin=False)
            + frame(message[3:], CONT)
        )
        frames = dict([await raw.frame(), await raw.frame()])
        assert frames[PONG] == b"are you there"
        answer = decode_answer(frames[BINARY])
        assert isinstance(answer, Reply)
        assert answer.id == 2


@pytest.mark.slow
async def test_messages_of_one_packet_are_answered_in_order() -> None:
    async with served_hub(FAST) as hub, raw_socket(hub.url) as raw:
        await _log_in(raw)
        ids = range(2, 2_002)
        await raw.send(b"".join(frame(_ping(number)) for number in ids))
        answers = [decode_answer(await raw.message()) for _ in ids]
        assert [answer.id for answer in answers if isinstance(answer, Reply)] == list(ids)


@pytest.mark.slow
async def test_a_flood_is_refused_with_106_and_others_are_served_meanwhile() -> None:
    async with served_hub() as hub, hub.client() as other, raw_socket(hub.url) as raw:
        await other.log_in(BOB)
        await _log_in(raw)
        raw.writer.write(b"".join(frame(_ping(number)) for number in range(2, 3_002)))
        await other.ask(RequestType.PING, PingRequest(1))
        answers = [decode_answer(await raw.message()) for _ in range(3_000)]
        codes = {answer.error.code for answer in answers if isinstance(answer, ErrorReply)}
        assert codes == {ErrorCode.RATE_LIMITED}
        # The login weighs 5 of the 40.
        assert sum(isinstance(answer, Reply) for answer in answers) == 35


async def test_a_flood_of_control_frames_closes_4008() -> None:
    async with served_hub() as hub, raw_socket(hub.url) as raw:
        await _log_in(raw)
        await raw.send(frame(b"", PING) * 20)
        assert [await raw.frame() for _ in range(20)] == [(PONG, b"")] * 20
        await raw.send(frame(b"", PONG))
        assert (await raw.closed())[0] == CloseCode.RATE_LIMITED


async def test_who_answers_no_ping_is_closed_4007_after_the_second() -> None:
    async with served_hub() as hub, raw_socket(hub.url) as raw:
        await _log_in(raw)
        for _ in range(2):
            await hub.pass_time(15_000)
        assert hub.context.registry.connections
        await hub.pass_time(15_000)
        assert (await raw.closed())[0] == CloseCode.NO_PONG


@pytest.mark.slow
async def test_who_answers_pings_stays() -> None:
    async with served_hub() as hub, raw_socket(hub.url) as raw:
        await _log_in(raw)
        for _ in range(8):
            await hub.pass_time(15_000)
            while (await raw.frame())[0] != PING:
                pass
            await raw.send(frame(b"", PONG))
            await raw.send(frame(b"", PING))
            while (await raw.frame())[0] != PONG:
                pass


async def _fill(hub: ServedHub, raw: RawSocket) -> None:
    """Ask for far more than is read, until the hub takes no more from this client."""
    wallets = [number.to_bytes(32) for number in range(64)]
    raw.writer.write(
        b"".join(
            frame(encode_request(RequestType.TRUST_GET, number, wallets))
            for number in range(2, 1_002)
        )
    )
    [session] = hub.context.registry.connections
    queue_max = hub.context.limits.queue_bytes_max
    await eventually(lambda: session.queued_bytes >= queue_max)
    for _ in range(20):
        await asyncio.sleep(0)
    # One piece of input is two requests here; their answers may go above.
    assert session.queued_bytes < queue_max + 8_192


@pytest.mark.slow
async def test_who_reads_nothing_is_closed_4002_and_cut() -> None:
    async with served_hub(FAST) as hub, raw_socket(hub.url, receive_bytes=4_096) as raw:
        await _log_in(raw)
        await _fill(hub, raw)
        await hub.pass_time(1)
        await hub.pass_time(4_998)
        assert b"slow_consumer" not in hub.metrics.exposition()[0]
        await hub.pass_time(2)
        await eventually(lambda: not hub.context.registry.connections)
        assert b'realtime_closes_total{code="slow_consumer"} 1.0' in hub.metrics.exposition()[0]


@pytest.mark.slow
async def test_who_reads_slowly_is_never_closed_and_gets_every_answer() -> None:
    async with served_hub(FAST) as hub, raw_socket(hub.url, receive_bytes=4_096) as raw:
        await _log_in(raw)
        await _fill(hub, raw)
        for number in range(2, 1_002):
            if number % 50 == 0:
                await hub.pass_time(4_000)
            message = decode_answer(await raw.message())
            while isinstance(message, Push):
                message = decode_answer(await raw.message())
            assert isinstance(message, Reply)
            assert message.id == number


@pytest.mark.slow
async def test_a_revocation_overtakes_answers_that_wait() -> None:
    async with served_hub(FAST) as hub, raw_socket(hub.url, receive_bytes=4_096) as raw:
        await _log_in(raw)
        await raw.send(
            frame(encode_request(RequestType.SUBSCRIBE, 5_000, SubscribeRequest("trust:@me")))
        )
        await raw.message()
        await _fill(hub, raw)
        hub.auth.change(ALICE, TrustStatus.ACTIVE)
        replies = 0
        while True:
            answer = decode_answer(await raw.message())
            if isinstance(answer, Push):
                assert answer.type is PushType.TRUST_CHANGED
                break
            replies += 1
        assert replies < 300


@pytest.mark.slow
async def test_a_blocked_wallet_that_ignores_the_goodbye_is_cut_within_250_ms() -> None:
    async with served_hub() as hub, raw_socket(hub.url) as raw:
        await _log_in(raw)
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        hub.auth.change(ALICE, TrustStatus.BLOCKED)
        assert (await raw.closed())[0] == CloseCode.WALLET_BLOCKED
        await raw.ended()
        assert loop.time() - began_s < 0.35


async def test_a_goodbye_of_the_client_is_answered_and_its_session_forgotten() -> None:
    async with served_hub() as hub, raw_socket(hub.url) as raw:
        await _log_in(raw)
        await raw.send(frame(b"\x03\xe8bye", CLOSE))
        assert await raw.closed() == (1000, "bye")
        assert not await raw.ended()
        assert not hub.context.registry.connections
        assert hub.context.registry.addresses.try_connect("127.0.0.1", now_s=0)


async def test_a_cut_connection_leaves_nothing_behind() -> None:
    async with served_hub() as hub:
        async with raw_socket(hub.url) as raw:
            await _log_in(raw)
            raw.writer.transport.abort()
        await eventually(lambda: not hub.context.registry.connections)
        assert hub.context.registry.sessions_of(ALICE) == []
        exposed = hub.metrics.exposition()[0]
        assert b"realtime_connections 0.0" in exposed
        assert b"realtime_sessions 0.0" in exposed


async def test_a_message_that_comes_byte_by_byte_has_ten_seconds() -> None:
    async with served_hub() as hub, raw_socket(hub.url) as raw:
        await _log_in(raw)
        await hub.pass_time(1)
        data = frame(_ping(2))
        for byte in data[:9]:
            await raw.send(bytes((byte,)))
            await hub.pass_time(1_000)
        await raw.send(data[9:])
        assert isinstance(decode_answer(await raw.message()), Reply)
        await hub.pass_time(1)
        await raw.send(data[:1])
        await eventually(lambda: hub.context.registry.inbound_bytes == 1)
        await hub.pass_time(9_999)
        await raw.send(data[1:2])
        await eventually(lambda: hub.context.registry.inbound_bytes == 2)
        await hub.pass_time(1)
        assert (await raw.closed())[0] == CloseCode.IDLE


async def test_fragments_have_ten_seconds_together() -> None:
    async with served_hub() as hub, raw_socket(hub.url) as raw:
        await _log_in(raw)
        await hub.pass_time(1)
        message = _ping(2)
        await raw.send(frame(message[:1], fin=False))
        await eventually(lambda: hub.context.registry.inbound_bytes == 1)
        await hub.pass_time(4_999)
        await raw.send(frame(message[1:2], CONT, fin=False))
        await eventually(lambda: hub.context.registry.inbound_bytes == 2)
        await hub.pass_time(4_999)
        await raw.send(frame(message[2:3], CONT, fin=False))
        await eventually(lambda: hub.context.registry.inbound_bytes == 3)
        await hub.pass_time(2)
        assert (await raw.closed())[0] == CloseCode.IDLE


async def test_what_all_clients_may_leave_unfinished_is_bounded() -> None:
    async with served_hub(inbound_bytes_max=10_000) as hub:
        async with raw_socket(hub.url) as first, raw_socket(hub.url) as second:
            await first.message()
            await second.message()
            for raw in (first, second):
                await raw.send(frame(bytes(4_000))[:-1])
            await eventually(lambda: hub.context.registry.inbound_bytes > 8_000)
            async with raw_socket(hub.url) as third:
                await third.message()
                await third.send(frame(bytes(4_000))[:-1])
                assert (await third.closed())[0] == CloseCode.OVERLOADED
            await first.send(frame(bytes(4_000))[-1:])
            assert (await first.closed())[0] == CloseCode.PROTOCOL_ERROR
        await eventually(lambda: hub.context.registry.inbound_bytes == 0)


@pytest.mark.slow
async def test_a_hundred_hostile_clients_leave_little_behind_and_disturb_nobody() -> None:
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(served_hub(CROWD))
        other = await stack.enter_async_context(hub.client())
        await other.log_in(BOB)
        hostile = [
            await stack.enter_async_context(raw_socket(hub.url, receive_bytes=4_096))
            for _ in range(60)
        ]
        for raw in hostile:
            await _log_in(raw)
        stalled, trickling, flooding = hostile[:20], hostile[20:40], hostile[40:]
        ask = encode_request(RequestType.TRUST_GET, 9, [bytes((n,)) * 32 for n in range(64)])
        for raw in stalled:
            raw.writer.write(frame(ask) * 1_000)
        for raw in trickling:
            await raw.send(frame(bytes(16_000))[:8_000])
        for raw in flooding:
            raw.writer.write(frame(bytes(125), PING) * 2_000)
        began_s = asyncio.get_running_loop().time()
        for number in range(50):
            pong = await other.ask(RequestType.PING, PingRequest(number))
            assert pong.client_ms == number
        assert asyncio.get_running_loop().time() - began_s < 5
        # Who floods is closed at once; the others hold no more than their bounds.
        await eventually(lambda: len(hub.context.registry.connections) == 41)
        registry, queue_max = hub.context.registry, hub.context.limits.queue_bytes_max
        queued = [0]

        def all_wait() -> bool:
            queued[:] = [session.queued_bytes for session in registry.connections]
            full = sum(size >= queue_max for size in queued)
            return full == 20 and registry.inbound_bytes >= 20 * 8_000

        await eventually(all_wait)
        assert max(queued) < queue_max + 8_192
        # What the kernel held, read at once, and a part of a message.
        assert registry.inbound_bytes < 40 * 150_000
        for _ in range(11):
            await hub.pass_time(1_000)
        await eventually(lambda: len(hub.context.registry.connections) == 1)
        closes = hub.metrics.exposition()[0].decode()
        for name, number in {"slow_consumer": 20, "idle": 20, "rate_limited": 20}.items():
            assert f'realtime_closes_total{{code="{name}"}} {number}.0' in closes


SCENES: list[Callable[[], Coroutine[Any, Any, None]]] = [
    test_messages_of_one_packet_are_answered_in_order,
    test_who_reads_slowly_is_never_closed_and_gets_every_answer,
    test_who_reads_nothing_is_closed_4002_and_cut,
    test_a_revocation_overtakes_answers_that_wait,
    test_a_cut_connection_leaves_nothing_behind,
]


# The tests above run on asyncio's own loop.
@pytest.mark.slow
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_the_hubs_own_event_loop_does_the_same(scene: Callable[[], Any]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scene())


@pytest.mark.slow
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
async def test_requests_that_take_turns_have_the_same_answers(
    scene: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    always = property(lambda _: True, lambda _, __: None)
    monkeypatch.setattr(InputTurns, "crowded", always, raising=False)
    await scene()


async def test_in_a_crowd_signs_of_life_go_before_what_waits_its_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waiting: list[Callable[[], None]] = []
    async with served_hub(FAST) as hub, hub.client() as one, hub.client() as two:
        await one.log_in(ALICE)
        await two.log_in(BOB)
        monkeypatch.setattr(hub.context.inputs, "put_off", waiting.append)
        hub.context.inputs.crowded = True
        asked = asyncio.create_task(one.ask(RequestType.TRUST_GET, [ALICE]))
        await eventually(lambda: waiting)
        await two.ask(RequestType.PING, PingRequest(1))
        assert not asked.done()
        waiting.pop()()
        await asked


async def test_the_kernel_keeps_little_of_a_connection() -> None:
    listener = bind("127.0.0.1", 0, "a port of its own")
    with listener, socket.create_connection(listener.getsockname()):
        listener.setblocking(True)
        accepted, _ = listener.accept()
        with accepted:  # Linux doubles both, for what it needs itself.
            sending = accepted.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
            receiving = accepted.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    assert (sending, receiving) == (2 * SEND_BUFFER_BYTES, 2 * RECEIVE_BUFFER_BYTES)


async def test_a_session_that_is_gone_needs_no_collection_of_garbage() -> None:
    async with served_hub(FAST) as hub:
        gc.collect()
        before = living_sessions()
        gc.disable()
        try:
            async with hub.client() as client:
                await client.log_in(ALICE)
            await eventually(lambda: not hub.context.registry.connections)
            await asyncio.sleep(0)
            left = living_sessions() - before
        finally:
            gc.enable()
    assert not left


def living_sessions() -> set[int]:
    return {id(each) for each in gc.get_objects() if type(each) is LiveSession}
