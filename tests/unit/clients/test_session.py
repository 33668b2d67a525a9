"""Logging in, coming back, and ending for good."""

import asyncio
from typing import Any

import pytest

from realtime_client import (
    CloseCode,
    ConnectionClosedError,
    ConnectionLostError,
    ConnectionRefusedByHubError,
    ErrorCode,
    HubError,
    HubMistrustedError,
    LoginError,
    LoginToSign,
    Reconnect,
    RequestTimeoutError,
    Scheme,
    TrustStatus,
    Wallet,
    WalletBlockedError,
    connect,
)
from realtime_client.fake_hub import FakeHub
from realtime_protocol.decision import verify_decision
from realtime_protocol.errors import RequestError
from realtime_protocol.messages import RequestType
from realtime_protocol.schnorrq import keypair, sign
from realtime_protocol.session_key import session_public_key
from waiting import eventually

KEYS = keypair("b" * 55)


def key_signer(to_sign: Any) -> bytes:
    return sign(KEYS.subseed, KEYS.public_key, to_sign.message)


async def test_a_wallet_logs_in_and_has_the_scopes_it_asked_for(
    hub: FakeHub, wallet: Wallet
) -> None:
    async with connect(hub.url, wallet, scopes=["trust", "quote"]) as session:
        assert session.login.scopes == ["trust", "quote"]
        assert session.connected
        assert 0 < session.login_timing.wallet_ms < session.login_timing.login_ms
        assert (await session.ping()).backbone_ok
    assert hub.logins == 1


@pytest.mark.parametrize("scheme", [Scheme.WC, Scheme.K12, Scheme.RAW])
async def test_a_signer_sees_the_text_and_signs_under_its_own_scheme(
    hub: FakeHub, scheme: Scheme
) -> None:
    seen: list[LoginToSign] = []

    async def signer(to_sign: Any) -> bytes:
        seen.append(to_sign)
        return key_signer(to_sign)

    async with connect(hub.url, Wallet(KEYS.public_key, signer, scheme=scheme)):
        assert b"wants you to sign in with your Qubic account" in seen[0].text
        assert seen[0].scheme is scheme


async def test_a_signer_that_needs_minutes_gets_a_challenge_that_lives_as_long(
    hub: FakeHub,
) -> None:
    seen: list[bytes] = []

    def signer(to_sign: Any) -> bytes:
        seen.append(to_sign.text)
        return key_signer(to_sign)

    patient = Wallet(KEYS.public_key, signer, sign_within_ms=120_000)
    async with connect(hub.url, patient) as session:
        assert session.connected
    lines = dict(line.split(": ", 1) for line in seen[0].decode().split("\n") if ": " in line)
    issued, expires = lines["Issued At"], lines["Expiration Time"]
    assert (int(expires[14:16]) - int(issued[14:16])) % 60 in (2, 3)


async def test_a_signer_that_returns_no_signature_is_named(hub: FakeHub) -> None:
    with pytest.raises(ValueError, match="64 bytes"):
        async with connect(hub.url, Wallet(KEYS.public_key, lambda _: b"no")):
            pass


@pytest.mark.parametrize(
    "lie",
    [{"domain": "evil.example.org"}, {"uri": "ws://evil.example.org/v1"}, {"nonce": "short"}],
)
async def test_a_lying_challenge_is_refused_before_the_wallet_signs(
    hub: FakeHub, lie: dict[str, str]
) -> None:
    hub.challenge_changes = lie
    signed: list[Any] = []

    def signer(to_sign: Any) -> bytes:
        signed.append(to_sign)
        return bytes(64)

    with pytest.raises(HubMistrustedError):
        async with connect(hub.url, Wallet(KEYS.public_key, signer)):
            pass
    assert signed == []


async def test_another_domain_than_the_configured_one_is_refused(
    hub: FakeHub, wallet: Wallet
) -> None:
    with pytest.raises(HubMistrustedError, match="domain"):
        async with connect(hub.url, wallet, domain="app.example.org"):
            pass


async def test_a_blocked_wallet_is_told_so_by_type(hub: FakeHub, wallet: Wallet) -> None:
    await hub.set_trust(wallet.public_key, TrustStatus.BLOCKED)
    with pytest.raises(WalletBlockedError) as caught:
        async with connect(hub.url, wallet):
            pass
    assert caught.value.code is ErrorCode.WALLET_BLOCKED
    assert not caught.value.retryable


async def test_a_refused_login_has_code_message_and_advice(hub: FakeHub) -> None:
    with pytest.raises(LoginError) as caught:
        async with connect(hub.url, Wallet(KEYS.public_key, lambda _: bytes(64))):
            pass
    assert caught.value.code is ErrorCode.BAD_SIGNATURE
    assert caught.value.advice == ErrorCode.BAD_SIGNATURE.advice


async def test_an_error_of_a_request_leaves_the_session_as_it_is(
    hub: FakeHub, wallet: Wallet
) -> None:
    async with connect(hub.url, wallet) as session:
        refusal = RequestError(
            ErrorCode.RATE_LIMITED, "slower", retry_after_ms=70, fields={"per_s": 20}
        )
        hub.refuse_next(RequestType.PING, refusal)
        with pytest.raises(HubError) as caught:
            await session.ping()
        error = caught.value
        assert (error.code, error.retryable, error.retry_after_ms) == (106, True, 70)
        assert (error.message, error.fields) == ("slower", {"per_s": 20})
        await session.ping()


async def test_nobody_there_is_a_lost_connection(wallet: Wallet) -> None:
    with pytest.raises(ConnectionLostError, match="can't connect"):
        async with connect("ws://127.0.0.1:9/v1", wallet):
            pass


async def test_an_http_answer_names_its_status(wallet: Wallet) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\n\r\norigin")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ConnectionRefusedByHubError, match="HTTP 403: origin") as caught:
            async with connect(f"ws://127.0.0.1:{port}/v1", wallet):
                pass
    assert caught.value.status == 403


async def test_a_request_in_flight_when_the_connection_breaks_says_so(
    hub: FakeHub, wallet: Wallet, quick: Reconnect
) -> None:
    async with connect(hub.url, wallet, reconnect=quick) as session:
        hub.mute_next(RequestType.PING, done=True)
        with pytest.raises(ConnectionLostError, match="before the reply"):
            await session.ping()
        await session.ping()
        assert session.reconnects == 1
        assert (hub.logins, hub.resumes) == (1, 1)


async def test_a_reply_that_never_comes_times_out_and_leaves_the_rest_alone(
    hub: FakeHub, wallet: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connect(hub.url, wallet, request_timeout_s=0.1) as session:
        held = asyncio.Event()
        answer = hub._answer

        async def late(client: Any, event: Any) -> None:
            await held.wait()
            await answer(client, event)

        monkeypatch.setattr(hub, "_answer", late)
        with pytest.raises(RequestTimeoutError, match=r"no reply to ping within 0\.1 s"):
            await session.ping()
        held.set()  # The late reply to the first ping comes now, and disturbs nobody.
        await session.ping()


async def test_a_goaway_moves_the_session_to_another_connection(
    hub: FakeHub, wallet: Wallet, quick: Reconnect
) -> None:
    async with connect(hub.url, wallet, reconnect=quick) as session:
        await hub.goaway()
        await eventually(lambda: session.reconnects)
        await session.ping()


@pytest.mark.parametrize(
    ("code", "name"),
    [(4503, CloseCode.WALLET_BLOCKED), (4500, CloseCode.PROTOCOL_ERROR), (1009, 1009)],
)
async def test_codes_that_say_dont_come_back_end_the_session(
    hub: FakeHub, wallet: Wallet, quick: Reconnect, code: int, name: int
) -> None:
    async with connect(hub.url, wallet, reconnect=quick) as session:
        await hub.drop(code, "named;ref=x")
        error = await session.wait_closed()
        assert isinstance(error, ConnectionClosedError)
        assert (error.code, error.reason) == (name, "named;ref=x")
        with pytest.raises(ConnectionClosedError):
            await session.ping()
    assert hub.logins == 1


async def test_a_wallet_blocked_while_away_ends_the_session_with_that_error(
    hub: FakeHub, wallet: Wallet, quick: Reconnect
) -> None:
    async with connect(hub.url, wallet, reconnect=quick) as session:
        hub._trust[wallet.public_key] = await blocked(hub, wallet)
        await hub.drop()
        assert isinstance(await session.wait_closed(), WalletBlockedError)


async def blocked(hub: FakeHub, wallet: Wallet) -> Any:
    other = FakeHub()
    await other.set_trust(wallet.public_key, TrustStatus.BLOCKED)
    return other._trust[wallet.public_key]


async def test_tries_to_come_back_are_bounded(hub: FakeHub, wallet: Wallet) -> None:
    few = Reconnect(first_s=0.001, longest_s=0.001, tries_max=3)
    async with connect(hub.url, wallet, reconnect=few) as session:
        hub._server.close()
        await hub._server.wait_closed()
        assert isinstance(await session.wait_closed(), (ConnectionLostError, ConnectionClosedError))


async def test_no_reconnect_when_it_is_not_wanted(hub: FakeHub, wallet: Wallet) -> None:
    async with connect(hub.url, wallet, reconnect=Reconnect(tries_max=0)) as session:
        await hub.drop(4000, "draining;retry=100")
        error = await session.wait_closed()
        assert isinstance(error, ConnectionClosedError)
        assert error.retry_ms == 100
    assert hub.logins == 1


async def test_leaving_the_block_closes_the_connection(hub: FakeHub, wallet: Wallet) -> None:
    async with connect(hub.url, wallet) as session:
        assert hub.connections == 1
    await eventually(lambda: not hub.connections)
    with pytest.raises(ConnectionClosedError):
        await session.ping()


async def test_an_error_in_the_block_comes_out_as_it_is(hub: FakeHub, wallet: Wallet) -> None:
    with pytest.raises(KeyError):
        async with connect(hub.url, wallet):
            raise KeyError("mine")


async def test_a_hub_that_breaks_the_protocol_is_left_for_good(
    hub: FakeHub, wallet: Wallet, quick: Reconnect
) -> None:
    async with connect(hub.url, wallet, reconnect=quick) as session:
        await hub._clients[0].websocket.send(b"\xc1")
        error = await session.wait_closed()
        assert isinstance(error, ConnectionClosedError)
        assert error.code is CloseCode.PROTOCOL_ERROR


def test_pauses_double_with_full_jitter_up_to_a_bound() -> None:
    plan = Reconnect(first_s=0.5, longest_s=10.0)
    highest = [plan.pause_s(failures, lambda _low, high: high) for failures in range(7)]
    assert highest == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    assert plan.pause_s(3, lambda low, _high: low) == 0.0


async def test_a_decision_names_the_session_key_of_the_login(hub: FakeHub, wallet: Wallet) -> None:
    key = session_public_key(bytes(32))
    async with connect(hub.url, wallet, session_key=key) as session:
        signed = await session.decision("door-7", nonce="n-1")
    decision = verify_decision(signed, hub.decision_keys, audience="door-7", nonce="n-1")
    assert (decision.wallet, decision.session_key) == (wallet.public_key, key)


async def test_without_a_key_of_the_programs_a_decision_names_the_one_that_resumes(
    hub: FakeHub, wallet: Wallet
) -> None:
    async with connect(hub.url, wallet) as session:
        signed = await session.decision("door-7")
        with pytest.raises(HubError, match="103"):
            await session.decision("two words")
    assert verify_decision(signed, hub.decision_keys, audience="door-7").session_key
