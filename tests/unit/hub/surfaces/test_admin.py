"""The administrator's port."""

import base64
import json
from typing import Any

import pytest

from asgi import call
from realtime_hub.readiness import Readiness
from realtime_hub.surfaces.admin import AdminContext, build_admin_app
from realtime_protocol.messages import TrustChangeState, TrustSetReply


class FakeTrust:
    """Takes every change."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []

    async def set_trust(self, signed_tx: bytes, *, admin: None = None) -> TrustSetReply:
        self.taken.append(signed_tx)
        return TrustSetReply(9, TrustChangeState.PENDING)


class FakePages:
    """Sessions that are only ids."""

    def __init__(self, sids: list[str]) -> None:
        self._sids = sids

    def page(self, *, limit: int, after: str = "") -> list[dict[str, object]]:
        found: list[dict[str, object]] = [{"sid": sid} for sid in self._sids if sid > after]
        return found[:limit]

    def find(self, sid: str) -> dict[str, object] | None:
        return {"sid": sid} if sid in self._sids else None


@pytest.fixture
def trust() -> FakeTrust:
    return FakeTrust()


@pytest.fixture
def app(trust: FakeTrust) -> Any:
    return build_admin_app(
        AdminContext(
            trust=trust,
            metrics_text=lambda: (b"realtime_sessions 1\n", "text/plain"),
            sessions=FakePages(["a", "b", "c"]),
            readiness=lambda: Readiness(False, {"chain": "silent"}),
            drain=lambda: trust.taken.append(b"drain"),
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
    answer = (await call(app, "GET", "/admin/v1/sessions")).json()
    assert answer == {"sessions": [{"sid": "a"}, {"sid": "b"}, {"sid": "c"}], "after": None}


async def test_sessions_come_in_pages(app: Any) -> None:
    first = (await call(app, "GET", "/admin/v1/sessions?limit=2")).json()
    assert first == {"sessions": [{"sid": "a"}, {"sid": "b"}], "after": "b"}
    rest = (await call(app, "GET", "/admin/v1/sessions?limit=2&after=b")).json()
    assert rest == {"sessions": [{"sid": "c"}], "after": None}


@pytest.mark.parametrize("limit", ["0", "257", "-1", "x", ""])
async def test_a_page_has_a_bound(app: Any, limit: str) -> None:
    assert (await call(app, "GET", f"/admin/v1/sessions?limit={limit}")).status == 400


async def test_one_session_can_be_looked_at(app: Any) -> None:
    assert (await call(app, "GET", "/admin/v1/sessions/b")).json() == {"sid": "b"}
    assert (await call(app, "GET", "/admin/v1/sessions/z")).status == 404


async def test_a_drain_begins_by_post_only(app: Any, trust: FakeTrust) -> None:
    assert (await call(app, "GET", "/admin/v1/drain")).status == 405
    assert (await call(app, "POST", "/admin/v1/drain")).status == 202
    assert trust.taken == [b"drain"]


async def test_this_process_tells_its_own_readiness(app: Any) -> None:
    answer = await call(app, "GET", "/readyz")
    assert (answer.status, answer.json()["parts"]) == (503, {"chain": "silent"})


async def test_a_foreign_host_name_is_refused(app: Any) -> None:
    answer = await call(app, "GET", "/metrics", headers={"host": "evil.example"})
    assert answer.status == 400
