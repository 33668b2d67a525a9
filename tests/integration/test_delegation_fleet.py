"""A key granted at one hub, used at another: it logs in, spends through the owner, is revoked."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet import Fleet, fleet, wait_for
from realtime_client import (
    CloseCode,
    ConnectionClosedError,
    Delegate,
    ErrorCode,
    HubError,
    Intent,
    PaymentState,
    Reconnect,
    SpendingWallet,
    Wallet,
    connect,
)

pytestmark = pytest.mark.slow

DOMAIN = "app.example"
NEVER = Reconnect(tries_max=0)


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    monkeypatch.setenv("REALTIME_HUB_NATIVE_DOMAIN", DOMAIN)
    with fleet(tmp_path, tick_ms=200) as started:
        yield started


def nobody(_to_sign: object) -> bytes:
    raise AssertionError("the wallet was asked")


async def test_a_key_granted_at_one_hub_spends_at_another_until_it_is_revoked_at_the_first(
    running: Fleet,
) -> None:
    one, two = await asyncio.to_thread(lambda: (running.start(), running.start()))
    await asyncio.to_thread(wait_for, lambda: one.ready and two.ready)
    owner = await asyncio.to_thread(running.owner)
    other = two if owner is one else one
    wallet, payee = running.wallets[0], running.wallets[-1]
    spending = SpendingWallet(max_qu=1_000)
    delegate = Delegate(spending=spending)
    silent = Wallet(wallet.public_key, nobody)

    async with connect(owner.url, wallet, domain=DOMAIN, delegate=delegate) as session:
        await session.pay(Intent(spending.identity, 3_000))
        async with connect(
            other.url, silent, domain=DOMAIN, delegate=delegate, reconnect=NEVER
        ) as by_key:
            paid = await by_key.pay(Intent(payee.identity, 1_000), source=spending)
            assert paid.state is PaymentState.SETTLED
            left = await by_key.spend_left(spending)
            assert (left.spent_qu, left.balance_qu) == (1_000, 2_000)
            spending._spent_qu = 0  # A client that doesn't keep its bounds.
            with pytest.raises(HubError) as refused:
                await by_key.pay(Intent(payee.identity, 1), source=spending)
            assert refused.value.code is ErrorCode.SPEND_LIMIT

            assert await session.keys.revoke(delegate.public_key) == 1
            closed = await asyncio.wait_for(by_key.wait_closed(), 5)
            assert isinstance(closed, ConnectionClosedError)
            assert closed.code is CloseCode.SESSION_REVOKED
    with pytest.raises(AssertionError, match="the wallet was asked"):
        await connect(other.url, silent, domain=DOMAIN, delegate=delegate).__aenter__()
    # One to fund it, one from it; what was refused never ran.
    assert await asyncio.to_thread(running.executed) == (2, 1_000)
