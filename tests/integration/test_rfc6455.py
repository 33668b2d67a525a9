"""The table of RFC 6455, whole, over a real socket: our own transport and the ASGI endpoint."""

import asyncio
import contextlib
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import msgspec
import pytest

from raw_socket import CLOSE, PONG, RawSocket, raw_socket
from realtime_protocol.codec import ErrorReply, decode_answer
from realtime_protocol.codes import ErrorCode
from realtime_protocol.json_codec import decode_json
from realtime_protocol.limits import Limits
from realtime_protocol.versions import SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK
from rfc6455_cases import HANDSHAKES, Case, Form, Handshake, cases, chop
from waiting import eventually
from ws_hub import ServedHub, served_hub

LAST = 1_000
AT_ONCE = 16
"""Cases; some end only when the hub has waited two seconds for a goodbye."""


@dataclass
class Seen:
    """What came back."""

    answers: list[int] = field(default_factory=list)
    pongs: list[bytes] = field(default_factory=list)
    code: int | None = None
    reason: bytes = b""


async def _read(raw: RawSocket, form: Form, seen: Seen, *, until: int) -> None:
    """Read until the answer *until*, a goodbye or the end."""
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        while until not in seen.answers:
            opcode, payload = await raw.frame()
            if opcode == form.opcode:
                answer = decode_answer(decode_json(payload) if form.is_text else payload)
                assert isinstance(answer, ErrorReply)
                assert answer.error.code == ErrorCode.UNKNOWN_TYPE
                seen.answers.append(answer.id)
            elif opcode == PONG:
                seen.pongs.append(payload)
            elif opcode == CLOSE:
                seen.code = int.from_bytes(payload[:2])
                seen.reason = payload[2:]
                return


async def _play(hub: ServedHub, form: Form, case: Case, *, serves_on: bool, ends: bool) -> Seen:
    seen = Seen()
    subprotocol = SUBPROTOCOL_JSON if form.is_text else SUBPROTOCOL_MSGPACK
    async with raw_socket(hub.url, subprotocol=subprotocol) as raw:
        await raw.message(form.opcode)  # the challenge
        with contextlib.suppress(ConnectionError):
            for part in case.parts:
                await raw.send(part)
                if len(case.parts) < 50:
                    await asyncio.sleep(0)
            if serves_on:
                await raw.send(form.frame(form.message(LAST, 20)))
        await _read(raw, form, seen, until=LAST)
        if seen.code is not None and ends:
            await raw.ended()
    return seen


def _limits(played: list[Case]) -> Limits:
    return msgspec.structs.replace(
        played[0].limits or Limits(), upgrades_per_ip_per_s=10_000, requests_per_ip_per_s=10_000
    )


async def _play_all(
    hub: ServedHub, form: Form, played: list[tuple[Case, int | None]], *, ends: bool
) -> list[tuple[Case, int | None, Seen]]:
    """Play each case with the code that it shall end with; None: it is served on."""
    room = asyncio.Semaphore(AT_ONCE)

    async def play(case: Case, code: int | None) -> tuple[Case, int | None, Seen]:
        async with room:
            seen = await _play(hub, form, case, serves_on=code is None, ends=ends)
        return case, code, seen

    seen = await asyncio.gather(*(play(case, code) for case, code in played))
    await eventually(lambda: not hub.context.registry.connections)
    return seen


FORMS = pytest.mark.parametrize(
    "form", [Form(is_text=False), Form(is_text=True)], ids=["msgpack", "json"]
)


@pytest.mark.slow
@FORMS
@pytest.mark.parametrize("wide", [False, True], ids=["limits as they are", "wide limits"])
async def test_every_case_on_our_own_transport(wide: bool, form: Form) -> None:
    played = [case for case in cases(form) if (case.limits is not None) is wide]
    async with served_hub(_limits(played)) as hub:
        results = await _play_all(hub, form, [(case, case.code) for case in played], ends=True)
    wrong = []
    for case, code, seen in results:
        answers = [*case.answers, LAST] if code is None else [*case.answers]
        reason = seen.reason if case.reason is None else case.reason
        if seen != Seen(answers, list(case.pongs), code, reason):
            wrong.append((case.name, seen))
    assert wrong == []


@pytest.mark.slow
@FORMS
@pytest.mark.parametrize("wide", [False, True], ids=["limits as they are", "wide limits"])
async def test_every_case_on_the_asgi_endpoint(wide: bool, form: Form) -> None:
    every = [case for case in cases(form) if not case.ours_alone]
    played = [case for case in every if (case.limits is not None) is wide]
    coded = [
        (case, case.code if case.asgi_code is None else case.asgi_code or None) for case in played
    ]
    async with served_hub(_limits(played), asgi=True) as hub:
        results = await _play_all(hub, form, coded, ends=False)
    wrong = []
    for case, code, seen in results:
        # The server tells of what it refuses at once: what it took before may be unread.
        right = seen.answers[-1:] == [LAST] if code is None else seen.code == code
        if not right:
            wrong.append((case.name, seen))
    assert wrong == []


async def _shake(hub: ServedHub, handshake: Handshake, *, pieces: int) -> tuple[int, str]:
    address = urlsplit(hub.url)
    headers: dict[str, str | None] = {
        "Host": address.netloc,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Protocol": "realtime.qubic.v1.msgpack",
    }
    headers |= dict(handshake.headers)
    lines = [handshake.line, *(f"{name}: {value}" for name, value in headers.items() if value)]
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        request = ("\r\n".join(lines) + "\r\n\r\n").encode()
        for piece in chop(request, -(-len(request) // pieces)):
            writer.write(piece)
            await asyncio.sleep(0.01 if pieces > 1 else 0)  # Another segment.
        async with asyncio.timeout(5):
            head = await reader.readuntil(b"\r\n\r\n")
            status = int(head.split()[1])
            body = b"" if status == 101 else await reader.read()
    finally:
        writer.close()
    return status, (head + body).decode()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asgi", "pieces"),
    [(False, 1), (False, 2), (True, 1)],
    ids=["read at a glance", "read by uvicorn and websockets", "asgi"],
)
async def test_every_handshake(asgi: bool, pieces: int) -> None:
    wrong = []
    async with served_hub(Limits(upgrades_per_ip_per_s=10_000), asgi=asgi) as hub:
        for handshake in HANDSHAKES:
            expected = handshake.status
            if asgi and handshake.asgi_status is not None:
                expected = handshake.asgi_status
            status, text = await _shake(hub, handshake, pieces=pieces)
            says = handshake.says if expected == handshake.status else ""
            if status == 101:
                says = "realtime.qubic.v1.msgpack"
            if status != expected or says not in text or "permessage-deflate" in text:
                wrong.append((handshake.name, text))
    assert wrong == []
