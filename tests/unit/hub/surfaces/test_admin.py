"""The administrator's port."""

import base64
import json
from typing import Any

import pytest

from asgi import call
from realtime_hub.surfaces.admin import AdminContext, build_admin_app
from realtime_protocol.messages import TrustChangeState, TrustSetReply


class FakeTrust:
    """Takes every change."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []

    async def set_trust(self, signed_tx: bytes, *, admin: None = None) -> TrustSetReply:
        self.taken.append(signed_tx)
        return TrustSetReply(9, TrustChangeState.PENDING)


@pytest.fixture
def trust() -> FakeTrust:
    return FakeTrust()


@pytest.fixture
def app(trust: FakeTrust) -> Any:
    return build_admin_app(
        AdminContext(
            trust, lambda: (b"realtime_sessions 1\n", "text/plain"), lambda: [{"sid": "a"}]
        )
    )


async def test_a_trust_change_is_taken_and_its_place_told(app: Any, trust: FakeTrust) -> None:
    body = json.dumps({"signed_tx": base64.b64encode(b"x" * 200).decode()}).encode()
    answer = await call(app, "POST", "/admin/v1/trust", body=body)
    assert answer.json() == {"log_seq": 9, "state": "pending"}
    assert trust.taken == [b"x" * 200]


async def test_bytes_that_are_not_base64_are_refused(app: Any, trust: FakeTrust) -> None:
    answer = await call(app, "POST", "/admin/v1/trust", body=b'{"signed_tx":"a*b"}')
    assert (answer.status, answer.json()["code"]) == (400, 103)
    assert trust.taken == []


async def test_metrics_and_sessions_are_there(app: Any) -> None:
    assert (await call(app, "GET", "/metrics")).body == b"realtime_sessions 1\n"
    assert (await call(app, "GET", "/admin/v1/sessions")).json() == {"sessions": [{"sid": "a"}]}


async def test_a_foreign_host_name_is_refused(app: Any) -> None:
    answer = await call(app, "GET", "/metrics", headers={"host": "evil.example"})
    assert answer.status == 400
