"""Polls for events: the receiver alone is let in, and the forms are RFC 8936's."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from starlette.applications import Starlette

from asgi import Answer, call
from realtime_hub.surfaces.event_polls import (
    WAIT_S,
    PollContext,
    hash_token,
    poll_routes,
)
from realtime_hub.surfaces.problems import handle_request_error
from realtime_protocol.errors import RequestError

TOKEN = "a-token-of-sixteen"
PATH = "/api/v1/events/app"


class FakeSource:
    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.fails = False

    async def poll(
        self,
        name: str,
        *,
        acknowledged: Sequence[str],
        refused: Mapping[str, str],
        count_max: int,
        wait_s: float,
    ) -> tuple[dict[str, str], bool]:
        self.asked.append((name, list(acknowledged), dict(refused), count_max, wait_s))
        if self.fails:
            raise OSError
        return {"jti-1": "a.b.c"}, True


@pytest.fixture
def source() -> FakeSource:
    return FakeSource()


@pytest.fixture
def app(source: FakeSource) -> Any:
    context = PollContext(source, {"app": hash_token(TOKEN)}, "https://hub.example", OSError)
    handlers: Any = {RequestError: handle_request_error}
    return Starlette(routes=poll_routes(context), exception_handlers=handlers)


async def poll(app: Any, body: object, *, path: str = PATH, token: str = TOKEN) -> Answer:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return await call(app, "POST", path, body=json.dumps(body).encode(), headers=headers)


async def test_a_poll_answers_with_sets_and_whether_more_wait(app: Any, source: FakeSource) -> None:
    answer = await poll(app, {})
    assert (answer.status, answer.json()) == (
        200,
        {"sets": {"jti-1": "a.b.c"}, "moreAvailable": True},
    )
    assert source.asked == [("app", [], {}, 100, WAIT_S)]


async def test_acknowledgements_and_errors_are_passed_on(app: Any, source: FakeSource) -> None:
    await poll(
        app,
        {
            "maxEvents": 0,
            "returnImmediately": True,
            "ack": ["one"],
            "setErrs": {"two": {"err": "invalid_key", "description": "which?"}},
        },
    )
    assert source.asked == [("app", ["one"], {"two": "invalid_key which?"}, 0, 0.0)]


@pytest.mark.parametrize(
    ("path", "token"),
    [(PATH, ""), (PATH, "another"), (PATH, TOKEN + "x"), ("/api/v1/events/other", TOKEN)],
)
async def test_nobody_else_is_let_in_and_unknown_streams_look_the_same(
    app: Any, source: FakeSource, path: str, token: str
) -> None:
    answer = await poll(app, {}, path=path, token=token)
    assert (answer.status, answer.json()["code"]) == (401, 101)
    assert source.asked == []
    assert answer.body == (await poll(app, {}, token="another")).body


@pytest.mark.parametrize(
    "body",
    [{"maxEvents": -1}, {"ack": "one"}, {"ack": ["x" * 65]}, {"ack": ["x"] * 101}, []],
)
async def test_a_body_of_another_form_is_refused(app: Any, body: object) -> None:
    assert (await poll(app, body)).status == 400


async def test_a_queue_that_cant_be_read_asks_to_come_again(app: Any, source: FakeSource) -> None:
    source.fails = True
    answer = await poll(app, {})
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")


async def test_the_transmitter_describes_itself(app: Any) -> None:
    answer = await call(app, "GET", "/.well-known/ssf-configuration")
    assert answer.json()["issuer"] == "https://hub.example"
    assert answer.json()["jwks_uri"] == "https://hub.example/.well-known/jwks.json"
