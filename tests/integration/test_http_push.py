"""Handing SETs over: what each answer of a receiver means, with a real HTTP server."""

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from realtime_hub.adapters.http_push import HttpReceiver
from realtime_hub.export.ports import Delivery


@dataclass
class Server:
    """Answers with what the test says and remembers what came."""

    port: int = 0
    status: int = 202
    body: bytes = b""
    came: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    told = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            told.came.append((self.path, dict(self.headers), body))
            self.send_response(told.status)
            if told.status == 307:
                self.send_header("Location", f"http://127.0.0.1:{told.port}/elsewhere")
            self.send_header("Content-Length", str(len(told.body)))
            self.end_headers()
            self.wfile.write(told.body)

        def log_message(self, *_arguments: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.port = http.server_address[1]
    thread = threading.Thread(target=http.serve_forever, args=(0.01,))
    thread.start()
    yield told
    http.shutdown()
    thread.join(5)
    http.server_close()


def receiver_of(server: Server, token: str | None = "secret-token-1234") -> HttpReceiver:
    return HttpReceiver(f"http://127.0.0.1:{server.port}/events?app=1", token)


async def test_a_set_is_posted_with_its_type_and_the_token(server: Server) -> None:
    outcome = await receiver_of(server).push("a.b.c")
    assert outcome.delivery is Delivery.TAKEN
    [(path, headers, body)] = server.came
    assert (path, body) == ("/events?app=1", b"a.b.c")
    assert headers["Content-Type"] == "application/secevent+jwt"
    assert headers["Authorization"] == "Bearer secret-token-1234"


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, b'{"err":"invalid_request"}', Delivery.REFUSED),
        (400, b'{"err":"invalid_key"}', Delivery.FAILED),
        (400, b'{"err":"authentication_failed"}', Delivery.FAILED),
        (400, b"not JSON", Delivery.FAILED),
        (400, b'{"err":["a"]}', Delivery.FAILED),
        (401, b"", Delivery.FAILED),
        (307, b"", Delivery.FAILED),
        (200, b"", Delivery.FAILED),
        (503, b"x" * 10_000, Delivery.FAILED),
    ],
)
async def test_what_isnt_202_is_no_delivery(
    server: Server, status: int, body: bytes, expected: Delivery
) -> None:
    server.status, server.body = status, body
    outcome = await receiver_of(server).push("a.b.c")
    assert outcome.delivery is expected
    assert str(status) in outcome.why
    assert "secret-token" not in outcome.why
    assert len(server.came) == 1


async def test_a_receiver_that_isnt_there_or_says_nothing_is_a_failure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        url = f"http://127.0.0.1:{port}/"
        outcome = await HttpReceiver(url, None, timeout_s=0.05).push("a.b.c")
        assert outcome.delivery is Delivery.FAILED
    outcome = await HttpReceiver(url, None).push("a.b.c")
    assert outcome.delivery is Delivery.FAILED
    assert "can't be reached" in outcome.why
