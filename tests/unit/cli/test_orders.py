"""Handing an administrator's order to a hub that answers late, or not at first."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from realtime_cli.hub_access import ORDER_TRIES_MAX, hand_in_order
from realtime_client import HubError
from realtime_protocol.codes import ErrorCode

TAKEN = {"log_seq": 5, "state": "pending"}


class _Desk(HTTPServer):
    """Refuses with the codes that it is given, one after the other, then takes the order."""

    def __init__(self, refusals: list[int]) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.refusals = refusals
        self.bodies: list[bytes] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Answers(BaseHTTPRequestHandler):
    server: _Desk

    def do_POST(self) -> None:
        self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        refusals = self.server.refusals
        status, body = 200, TAKEN
        if refusals:
            status, body = 503, {"code": refusals.pop(0), "retry_after_ms": 250}
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def desk() -> Iterator[_Desk]:
    with _Desk([]) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_the_same_bytes_go_again_while_the_hub_asks_for_it(desk: _Desk) -> None:
    desk.refusals += [ErrorCode.BACKBONE_UNAVAILABLE, ErrorCode.OVERLOADED]
    pauses_s: list[float] = []
    assert hand_in_order(desk.url, b"order", pause=pauses_s.append) == TAKEN
    assert pauses_s == [0.25, 0.25]
    assert len(desk.bodies) == 3
    assert len(set(desk.bodies)) == 1


def test_a_refusal_for_good_is_told_at_once(desk: _Desk) -> None:
    desk.refusals.append(ErrorCode.TARGET_TICK_PASSED)
    with pytest.raises(HubError) as raised:
        hand_in_order(desk.url, b"order", pause=lambda _pause_s: pytest.fail("it waited"))
    assert raised.value.code is ErrorCode.TARGET_TICK_PASSED


def test_it_is_given_up_after_some_tries(desk: _Desk) -> None:
    desk.refusals += [ErrorCode.BACKBONE_UNAVAILABLE] * 50
    with pytest.raises(HubError) as raised:
        hand_in_order(desk.url, b"order", pause=lambda _pause_s: None)
    assert raised.value.code is ErrorCode.BACKBONE_UNAVAILABLE
    assert len(desk.bodies) == ORDER_TRIES_MAX
