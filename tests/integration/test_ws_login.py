"""Connecting and logging in over a real socket."""

import asyncio

import pytest
from websockets.exceptions import InvalidStatus

import ws_hub
from realtime_protocol.codes import CloseCode, ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.limits import Limits
from realtime_protocol.messages import (
    ChallengeRequest,
    Empty,
    LoginRequest,
    LogoutRequest,
    PingRequest,
    RequestType,
    Scheme,
    TrustStatus,
)
from realtime_protocol.versions import SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK, SUBPROTOCOLS
from waiting import eventually
from ws_hub import ALICE, BAD_SIGNATURE, BOB, ORIGIN, Client, open_client, served_hub


@pytest.fixture(autouse=True, params=[False, True], ids=["own transport", "asgi"])
def mount(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways in behave alike; paths and the server's own end are the server's business."""
    monkeypatch.setattr(ws_hub, "by_asgi", request.param)


@pytest.fixture(autouse=True, params=[SUBPROTOCOL_MSGPACK, SUBPROTOCOL_JSON])
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said in msgpack can be said in JSON."""
    monkeypatch.setattr(ws_hub, "subprotocol", request.param)


async def _refused(client: Client, kind: RequestType, body: object) -> ErrorCode:
    with pytest.raises(RequestError) as refusal:
        await client.ask(kind, body)
    return refusal.value.code


async def test_the_first_frame_is_the_challenge_with_uri_domain_and_limits() -> None:
    async with served_hub() as hub, hub.client() as client:
        challenge = client.challenge
        assert (challenge.uri, challenge.domain) == (hub.url, "native.example")
        assert challenge.chain == "devnet"
        assert challenge.limits == Limits().as_detail()


async def test_the_origin_decides_the_domain() -> None:
    async with served_hub() as hub, hub.client(origin=ORIGIN) as client:
        assert client.challenge.domain == "app.example"


@pytest.mark.parametrize("origin", ["null", "https://evil.example", "https://app.example.evil"])
async def test_an_unknown_origin_is_refused(origin: str) -> None:
    async with served_hub() as hub:
        with pytest.raises(InvalidStatus) as refusal:
            await hub.client(origin=origin).__aenter__()
        assert refusal.value.response.status_code == 403


async def test_a_client_without_origin_is_refused_where_native_clients_are_not_let_in() -> None:
    async with served_hub(domain_without_origin=None) as hub:
        with pytest.raises(InvalidStatus) as refusal:
            await hub.client().__aenter__()
        assert refusal.value.response.status_code == 403
        async with hub.client(origin=ORIGIN) as client:
            await client.log_in()


@pytest.mark.parametrize("offered", [[], ["chat"], ["realtime.qubic.v2.json"]])
async def test_a_client_without_our_subprotocol_is_told_which_there_are(
    offered: list[str],
) -> None:
    async with served_hub() as hub:
        with pytest.raises(InvalidStatus) as refusal:
            await hub.client(subprotocols=offered).__aenter__()
        assert refusal.value.response.status_code == 400
        told = bytes(refusal.value.response.body or b"").decode()
        assert f"Subprotocols: {', '.join(SUBPROTOCOLS)}\n" in told


async def test_a_hub_may_serve_no_json_and_then_does_not_list_it() -> None:
    limits = Limits(sessions_per_ip_max=1)
    async with served_hub(limits, subprotocols=(SUBPROTOCOL_MSGPACK,)) as hub:
        with pytest.raises(InvalidStatus) as refusal:
            await hub.client(subprotocols=[SUBPROTOCOL_JSON]).__aenter__()
        assert refusal.value.response.status_code == 400
        told = bytes(refusal.value.response.body or b"").decode()
        assert f"Subprotocols: {SUBPROTOCOL_MSGPACK}\n" in told
        async with hub.client(subprotocols=SUBPROTOCOLS) as client:
            assert client.websocket.subprotocol == SUBPROTOCOL_MSGPACK


async def test_ours_is_chosen_among_several_subprotocols_and_compression_is_declined() -> None:
    offered = ["chat", SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK]
    async with served_hub() as hub, hub.client(subprotocols=offered) as client:
        assert client.websocket.subprotocol == SUBPROTOCOL_MSGPACK
        assert not client.websocket.protocol.extensions


async def test_there_is_nothing_at_another_path() -> None:
    async with served_hub(asgi=False) as hub:
        with pytest.raises(InvalidStatus) as refusal:
            await open_client(hub.url + "2").__aenter__()
        assert refusal.value.response.status_code == 404


async def test_an_address_may_open_only_so_many_connections_at_a_time() -> None:
    async with served_hub(Limits(sessions_per_ip_max=2)) as hub:
        async with hub.client(), hub.client():
            with pytest.raises(InvalidStatus) as refusal:
                await hub.client().__aenter__()
            assert refusal.value.response.status_code == 429
        await eventually(lambda: not hub.context.registry.connections)
        async with hub.client():
            pass


async def test_an_address_may_open_only_so_many_connections_a_second() -> None:
    async with served_hub(Limits(upgrades_per_ip_per_s=2)) as hub:
        async with hub.client(), hub.client():
            with pytest.raises(InvalidStatus) as refusal:
                await hub.client().__aenter__()
        assert refusal.value.response.status_code == 429
        assert refusal.value.response.headers["Retry-After"] == "1"
        hub.clock.advance_ms(1_000)
        async with hub.client():
            pass


async def test_a_full_hub_takes_no_more_connections() -> None:
    async with served_hub(connections_max=1) as hub, hub.client():
        with pytest.raises(InvalidStatus) as refusal:
            await hub.client().__aenter__()
        assert refusal.value.response.status_code == 503


async def test_a_login_opens_a_session() -> None:
    async with served_hub() as hub, hub.client() as client:
        reply = await client.log_in()
        assert reply.scopes == ["trust", "quote", "pay"]
        assert reply.trust is not None
        assert reply.trust.status is TrustStatus.ACTIVE
        pong = await client.ask(RequestType.PING, PingRequest(7))
        assert (pong.client_ms, pong.heads, pong.backbone_ok) == (7, [], True)


async def test_nothing_but_challenge_and_login_is_served_before_login() -> None:
    async with served_hub() as hub, hub.client() as client:
        code = await _refused(client, RequestType.TRUST_GET, [ALICE])
        assert code is ErrorCode.NOT_AUTHENTICATED
        await client.log_in()


async def test_a_nonce_has_one_attempt_and_a_further_challenge_gives_another() -> None:
    async with served_hub() as hub, hub.client() as client:
        login = LoginRequest(Scheme.WC, ALICE, BAD_SIGNATURE, [])
        assert await _refused(client, RequestType.LOGIN, login) is ErrorCode.BAD_SIGNATURE
        assert await _refused(client, RequestType.LOGIN, login) is ErrorCode.NONCE_UNKNOWN_OR_USED
        fresh = await client.ask(RequestType.CHALLENGE, ChallengeRequest(60_000))
        assert fresh.nonce != client.challenge.nonce
        await client.log_in()


async def test_the_third_failed_login_closes() -> None:
    async with served_hub() as hub, hub.client() as client:
        login = LoginRequest(Scheme.WC, ALICE, BAD_SIGNATURE, [])
        codes = [await _refused(client, RequestType.LOGIN, login) for _ in range(3)]
        assert codes[-1] is ErrorCode.NONCE_UNKNOWN_OR_USED
        assert await client.closed() == (CloseCode.AUTH_FAILED, "auth_failed")


async def test_a_login_must_come_before_its_deadline() -> None:
    async with served_hub() as hub, hub.client() as client:
        await hub.pass_time(9_999)
        await hub.pass_time(1)
        assert await client.closed() == (CloseCode.AUTH_TIMEOUT, "auth_timeout")


async def test_a_longer_challenge_moves_the_deadline() -> None:
    async with served_hub() as hub, hub.client() as client:
        await client.ask(RequestType.CHALLENGE, ChallengeRequest(300_000))
        await hub.pass_time(299_000)
        await client.log_in()


async def test_a_blocked_wallet_is_refused_with_206() -> None:
    async with served_hub() as hub, hub.client() as client:
        hub.auth.blocked.add(ALICE)
        login = LoginRequest(Scheme.WC, ALICE, b"\x01" * 64, [])
        assert await _refused(client, RequestType.LOGIN, login) is ErrorCode.WALLET_BLOCKED
        await client.ask(RequestType.CHALLENGE, ChallengeRequest(10_000))
        await client.log_in(BOB)


async def test_a_refresh_prolongs_the_session_under_a_new_challenge() -> None:
    async with served_hub() as hub, hub.client() as client:
        first = await client.log_in()
        await hub.pass_time(1_000_000)
        await client.ask(RequestType.CHALLENGE, ChallengeRequest(60_000))
        second = await client.log_in(kind=RequestType.REFRESH)
        assert second.sid == first.sid
        assert second.session_exp_ms == first.session_exp_ms + 1_000_000


async def test_a_session_ends_when_it_expires() -> None:
    async with served_hub() as hub, hub.client() as client:
        await client.log_in()
        await hub.pass_time(hub.auth.session_ttl_ms)
        assert (await client.closed())[0] == CloseCode.SESSION_EXPIRED


async def test_a_logout_everywhere_ends_the_other_sessions_of_the_wallet_only() -> None:
    async with served_hub() as hub, hub.client() as one, hub.client() as two, hub.client() as bob:
        await one.log_in()
        await two.log_in()
        await bob.log_in(BOB)
        reply = await one.ask(RequestType.LOGOUT, LogoutRequest(everywhere=True))
        assert reply == Empty()
        assert (await one.closed())[0] == 1000
        assert (await two.closed())[0] == CloseCode.SESSION_REVOKED
        await bob.ask(RequestType.PING, PingRequest(1))


async def test_a_wallet_may_have_only_so_many_sessions() -> None:
    async with (
        served_hub(Limits(sessions_per_wallet_max=1)) as hub,
        hub.client() as one,
        hub.client() as two,
    ):
        await one.log_in()
        login = LoginRequest(Scheme.WC, ALICE, b"\x01" * 64, [])
        assert await _refused(two, RequestType.LOGIN, login) is ErrorCode.RATE_LIMITED
        await one.websocket.close()
        await eventually(lambda: len(hub.context.registry.connections) == 1)
        await two.ask(RequestType.CHALLENGE, ChallengeRequest(10_000))
        await two.log_in()


@pytest.mark.slow
async def test_a_stopping_hub_says_goodbye_within_a_second() -> None:
    async with served_hub(asgi=False) as hub, hub.client() as open_one, hub.client() as new_one:
        await open_one.log_in()
        hub.stop()
        async with asyncio.timeout(1):
            for client in (open_one, new_one):
                code, reason = await client.closed()
                assert (code, reason) == (CloseCode.DRAINING, "draining;retry=2000")
                assert [push.type.name for push in client.pushes] == ["GOAWAY"]
