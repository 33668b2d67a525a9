"""Apps and coverage on the administrator's port, of one process and of several."""

import json
from typing import Any

import httpx
import pytest

from app_fakes import KEY_ID, SHOP, TOKEN, fake_apps
from asgi import call
from fakes import FakeClock
from realtime_hub.apps.service import Apps
from realtime_hub.surfaces.admin import AdminContext, build_admin_app
from realtime_hub.surfaces.app_admin import app_admin_routes
from realtime_hub.surfaces.coverage_admin import coverage_routes
from realtime_hub.surfaces.fleet_admin import FleetContext, WorkerView, build_fleet_admin_app
from realtime_protocol.identity import encode_identity
from realtime_protocol.messages import TrustStatus
from session_fakes import ALICE, FakeHub

WALLET = encode_identity(ALICE)


@pytest.fixture
def apps() -> Apps:
    return fake_apps(FakeClock())[0]


@pytest.fixture
def hub() -> FakeHub:
    return FakeHub()


@pytest.fixture
def port(apps: Apps, hub: FakeHub) -> Any:
    nothing: Any = None
    return build_admin_app(
        AdminContext(
            trust=nothing,
            metrics_text=nothing,
            sessions=nothing,
            readiness=nothing,
            drain=nothing,
            further=[
                *app_admin_routes(apps, apps.list_keys),
                *coverage_routes(hub.context.coverage),
            ],
        )
    )


async def test_a_wallet_is_blocked_in_one_app_listed_and_let_in_again(
    port: Any, apps: Apps
) -> None:
    path = f"/admin/v1/apps/{SHOP}/blocks"
    body = json.dumps({"wallet": WALLET, "reason": 7}).encode()
    assert (await call(port, "POST", path, body=body)).status == 200
    [listed] = (await call(port, "GET", path)).json()["blocks"]
    assert (listed["wallet"], listed["reason"]) == (WALLET, 7)
    [app] = (await call(port, "GET", "/admin/v1/apps")).json()["apps"]
    assert app == {"name": SHOP, "domains": ["shop.example"], "blocked": 1}
    assert (await call(port, "DELETE", f"{path}/{WALLET}")).status == 200
    assert (await call(port, "DELETE", f"{path}/{WALLET}")).status == 404


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/admin/v1/apps/shep/blocks", {"wallet": WALLET}, 404),
        ("/admin/v1/apps/shop/blocks", {"wallet": "nobody"}, 400),
        ("/admin/v1/apps/shop/blocks", {"wallet": WALLET, "reason": -1}, 400),
    ],
)
async def test_what_can_not_be_meant_is_refused(
    port: Any, path: str, body: object, status: int
) -> None:
    assert (await call(port, "POST", path, body=json.dumps(body).encode())).status == status


async def test_keys_are_listed_without_what_they_are_known_by(port: Any) -> None:
    answer = await call(port, "GET", f"/admin/v1/apps/{SHOP}/keys")
    [key] = answer.json()["keys"]
    assert key["key_id"] == KEY_ID
    assert "hash" not in answer.body.decode()
    assert TOKEN not in answer.body.decode()


async def test_a_revocation_is_found_by_its_place_and_nothing_else_is(
    port: Any, hub: FakeHub
) -> None:
    async with hub.running():
        await hub.session(ALICE)
        hub.auth.change(ALICE, TrustStatus.BLOCKED)
        answer = await call(port, "GET", "/admin/v1/revocations/1")
        assert (answer.json()["wallet"], answer.json()["closed"]) == (WALLET, 1)
        newest = await call(port, "GET", "/admin/v1/revocations")
        assert [one["log_seq"] for one in newest.json()["revocations"]] == [1]
        assert (await call(port, "GET", "/admin/v1/revocations/2")).status == 404
        assert (await call(port, "GET", "/admin/v1/revocations/x")).status == 400


async def test_workers_answer_for_a_revocation_together(port: Any, hub: FakeHub) -> None:
    workers = [WorkerView(f"w{n}", f"http://w{n}", 1, 0) for n in range(2)]
    transport = httpx.ASGITransport(app=port)
    async with (
        hub.running(),
        httpx.AsyncClient(mounts={"http://": transport}, headers={"Host": "127.0.0.1"}) as client,
    ):
        await hub.session(ALICE)
        hub.auth.change(ALICE, TrustStatus.BLOCKED)
        fleet = build_fleet_admin_app(
            FleetContext(workers=lambda: workers, restart=lambda: False), client
        )
        answer = (await call(fleet, "GET", "/admin/v1/revocations/1")).json()
        assert (answer["owed"], answer["closed"], answer["workers"]) == (2, 2, 2)
        assert (await call(fleet, "GET", "/admin/v1/revocations/2")).status == 404
