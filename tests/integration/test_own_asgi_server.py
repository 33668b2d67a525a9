"""The how-to about bringing one's own ASGI server, as it stands."""

import asyncio
import contextlib
import re
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from msgspec import structs
from websockets.exceptions import InvalidStatus

from realtime_hub.asgi import HubApp
from realtime_hub.config import HubSettings
from realtime_protocol.versions import SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK
from waiting import eventually
from ws_hub import open_client

PAGE = Path(__file__).parents[2] / "docs/howto/own-asgi-server.md"


def _example(state: Path, **changes: Any) -> Any:
    """Return the page's application, with a state of this test's own."""
    [code] = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    made: list[HubSettings] = []

    class Example(HubApp):
        def __init__(self, settings: HubSettings) -> None:
            settings = structs.replace(settings, state=state, **changes)
            made.append(settings)
            super().__init__(settings)

    names: dict[str, Any] = {}
    exec(code.replace("HubApp(", "Example(", 1), names | {"Example": Example}, names)
    assert made
    return names["app"]


@contextlib.asynccontextmanager
async def _served(app: Any) -> Any:
    config = uvicorn.Config(
        app, port=0, lifespan="on", ws="websockets-sansio", log_config=None, ws_max_size=16_384
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server._serve())  # without its signal handlers
    try:
        await eventually(lambda: server.started)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await serving


@pytest.mark.slow
async def test_the_pages_application_serves_sessions_and_rest(tmp_path: Path) -> None:
    async with _served(_example(tmp_path)) as port:
        async with open_client(f"ws://127.0.0.1:{port}/v1") as client:
            assert client.challenge.uri == "wss://hub.example.org/v1"
            assert client.challenge.domain == "hub.example.org"
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 200")
        writer.close()


@pytest.mark.slow
@pytest.mark.parametrize(("setting", "chosen"), [(True, SUBPROTOCOL_JSON), (False, None)])
async def test_json_is_served_unless_the_setting_turns_it_off(
    tmp_path: Path, setting: bool, chosen: str | None
) -> None:
    async with _served(_example(tmp_path, json_subprotocol=setting)) as port:
        asked = open_client(f"ws://127.0.0.1:{port}/v1", subprotocols=[SUBPROTOCOL_JSON])
        if chosen is None:
            with pytest.raises(InvalidStatus) as refusal:
                await asked.__aenter__()
            told = bytes(refusal.value.response.body or b"")
            assert told == f"Subprotocols: {SUBPROTOCOL_MSGPACK}\n".encode()
        else:
            async with asked as client:
                assert client.websocket.subprotocol == chosen


async def test_without_the_lifespan_protocol_it_says_what_is_missing(tmp_path: Path) -> None:
    app = _example(tmp_path)
    with pytest.raises(RuntimeError, match="lifespan"):
        await app({"type": "http", "path": "/healthz"}, None, None)
