"""The client commands against a fake hub."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from realtime_cli.main import main
from realtime_client import Delegate, PaymentState, TrustStatus, Wallet, connect
from realtime_client.fake_hub import FakeHub
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import encode_identity
from realtime_protocol.messages import RequestType
from realtime_protocol.schnorrq import keypair

KEYS = keypair("s" * 55)
PAYEE = encode_identity(keypair("t" * 55).public_key)


@pytest.fixture(autouse=True)
def _wallet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REALTIME_SEED", "s" * 55)


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    """A hub in a thread of its own, since a command runs a loop of its own."""
    hub = FakeHub()
    started, stop = threading.Event(), asyncio.Event()

    async def serve() -> None:
        async with hub:
            loops.append(asyncio.get_running_loop())
            started.set()
            await stop.wait()

    loops: list[asyncio.AbstractEventLoop] = []
    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    started.wait(5)
    yield hub
    loops[0].call_soon_threadsafe(stop.set)
    thread.join(5)


def test_login_shows_the_session(hub: FakeHub, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["login", "--url", hub.url, "--scope", "trust"]) == 0
    out = capsys.readouterr().out
    assert encode_identity(KEYS.public_key) in out
    assert "scopes   trust\n" in out


def test_a_refused_login_is_one_line_with_its_code(
    hub: FakeHub, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(hub.set_trust(KEYS.public_key, TrustStatus.BLOCKED))
    assert main(["login", "--url", hub.url]) == 1
    err = capsys.readouterr().err
    assert err.startswith("realtime: 206 wallet_blocked: the wallet is blocked")
    assert err.count("\n") == 1


def test_quote_shows_route_fee_and_time(hub: FakeHub, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["quote", "--url", hub.url, "--to", PAYEE, "--amount", "1000"]) == 0
    assert "direct: fee 0 QU, accepted in about 5000 ms, good until tick" in capsys.readouterr().out


def test_pay_follows_the_payment_to_its_end(
    hub: FakeHub, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["pay", "--url", hub.url, "--to", PAYEE, "--amount", "1000"]) == 0
    out = capsys.readouterr().out
    assert [out.index(name) for name in ("accepted", "broadcast", "included", "settled", "txid")]
    assert len(hub.payments) == 1


def test_a_payment_that_fails_is_status_1(hub: FakeHub, capsys: pytest.CaptureFixture[str]) -> None:
    hub.outcome = (PaymentState.NOT_MOVED,)
    assert main(["pay", "--url", hub.url, "--to", PAYEE, "--amount", "1000"]) == 1
    assert "no money moved" in capsys.readouterr().err


def test_a_refused_payment_names_code_and_advice(
    hub: FakeHub, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.refuse_next(RequestType.PAY, RequestError(ErrorCode.INSUFFICIENT_BALANCE, "5 QU"))
    assert main(["pay", "--url", hub.url, "--to", PAYEE, "--amount", "1000"]) == 1
    assert "308 insufficient_balance: 5 QU (" in capsys.readouterr().err


@pytest.mark.parametrize("amount", ["0", "-1", "200000000000001"])
def test_an_amount_out_of_bounds_is_refused_before_anything_is_sent(
    hub: FakeHub, capsys: pytest.CaptureFixture[str], amount: str
) -> None:
    assert main(["pay", "--url", hub.url, "--to", PAYEE, f"--amount={amount}"]) == 2
    assert f"amount_qu {amount} is not in" in capsys.readouterr().err
    assert hub.logins == 0


async def granted(hub: FakeHub) -> str:
    """Have the wallet let a key log in; return the key as people see it."""
    delegate = Delegate()
    async with connect(hub.url, Wallet.from_seed("s" * 55), delegate=delegate, scopes=["trust"]):
        return delegate.public_key.hex()


def test_the_keys_that_log_in_for_a_wallet_are_shown_and_revoked(
    hub: FakeHub, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, third = (asyncio.run(granted(hub)) for _ in range(3))
    assert main(["wallet", "keys", "--url", hub.url]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == [first, second, third]
    assert lines[1].startswith("  may trust at ")
    assert main(["wallet", "revoke", second, "--url", hub.url]) == 0
    assert main(["wallet", "revoke", second, "--url", hub.url]) == 1
    assert main(["wallet", "revoke", "--all", "--url", hub.url]) == 0
    assert capsys.readouterr().out == "1 revoked\n0 revoked\n2 revoked\n"
    assert main(["wallet", "keys", "--url", hub.url]) == 0
    assert capsys.readouterr().out == "no key may log in for this wallet\n"


@pytest.mark.parametrize("key", ["", "zz", "ab" * 31])
def test_a_key_to_revoke_that_is_none_is_refused_before_anything_is_asked(
    key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["wallet", "revoke", key, "--url", "ws://127.0.0.1:1/v1"]) == 2
    assert "64 hex digits" in capsys.readouterr().err
