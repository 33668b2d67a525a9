"""Delegation against a live hub and chain: prompts, payments without one, sweep and block."""

import asyncio
import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from realtime_client import (
    CloseCode,
    ConnectionClosedError,
    Delegate,
    ErrorCode,
    HubError,
    Intent,
    LoginToSign,
    PaymentState,
    SpendingWallet,
    SpendLimitError,
    Wallet,
    WalletBlockedError,
    connect,
)
from realtime_protocol.qubic.contract_abi import ChainStatus
from realtime_protocol.schnorrq import keypair, sign
from running_stack import demo_seed, running_stack, set_trust

pytestmark = pytest.mark.slow

FUNDED_QU, MAX_QU = 2_000, 1_500


class Prompted:
    """A demo wallet that counts its prompts."""

    def __init__(self, seed: str) -> None:
        self._keys = keypair(seed)
        self.logins = self.payments = 0
        self.wallet = Wallet(self._keys.public_key, self._sign)

    def _sign(self, to_sign: Any) -> bytes:
        if isinstance(to_sign, LoginToSign):
            self.logins += 1
        else:
            self.payments += 1
        return sign(self._keys.subseed, self._keys.public_key, to_sign.message)

    @property
    def prompts(self) -> tuple[int, int]:
        """Logins and payments that it was asked for."""
        return self.logins, self.payments


def balance_of(http: str, identity: str) -> tuple[int, int]:
    """Return a wallet's balance and how many transfers it has received, by the chain's count."""
    with urllib.request.urlopen(f"{http}/live/v1/balances/{identity}") as answer:
        balance = json.load(answer)["balance"]
    return int(balance["balance"]), int(balance["numberOfIncomingTransfers"])


async def test_a_spending_wallet_is_funded_pays_without_prompts_and_is_swept(
    tmp_path: Path,
) -> None:
    async with asyncio.timeout(90), running_stack(tmp_path, tick_ms=200) as info:
        prompted, payee = Prompted(demo_seed(info, 0)), info.wallets[1]

        def delegate() -> tuple[Delegate, SpendingWallet]:
            """As the program has them after each start: from its files."""
            spending = SpendingWallet.at(tmp_path / "spending.json", max_qu=MAX_QU)
            return Delegate.at(tmp_path / "key.json", spending=spending), spending

        key, spending = delegate()
        async with connect(info.url, prompted.wallet, delegate=key) as session:
            await session.pay(Intent(spending.identity, FUNDED_QU))
            [listed] = await session.keys.list()
            assert [one.max_qu for one in listed.spends] == [MAX_QU]
        assert prompted.prompts == (1, 1)

        before = await asyncio.to_thread(balance_of, info.http, payee)
        key, spending = delegate()
        async with connect(info.url, prompted.wallet, delegate=key) as session:
            for amount_qu in (600, 900):
                status = await session.pay(Intent(payee, amount_qu), source=spending)
                assert status.state is PaymentState.SETTLED
            with pytest.raises(SpendLimitError):
                await session.pay(Intent(payee, 1), source=spending)
            spending._spent_qu = 0  # A client that doesn't keep its bounds.
            with pytest.raises(HubError) as refused:
                await session.pay(Intent(payee, 1), source=spending)
            assert refused.value.code is ErrorCode.SPEND_LIMIT
            left = await session.spend_left(spending)
            assert (left.spent_qu, left.balance_qu) == (MAX_QU, FUNDED_QU - MAX_QU)
            swept = await session.sweep(spending)
            assert swept is not None
            assert swept.state is PaymentState.SETTLED
            assert await session.sweep(spending) is None
        after = await asyncio.to_thread(balance_of, info.http, payee)
        assert (after[0] - before[0], after[1] - before[1]) == (MAX_QU, 2)
        assert (await asyncio.to_thread(balance_of, info.http, spending.identity))[0] == 0
        assert prompted.prompts == (1, 1)


async def test_a_block_of_the_wallet_shuts_its_keys_out_also_after_the_unblock(
    tmp_path: Path,
) -> None:
    async with asyncio.timeout(90), running_stack(tmp_path, tick_ms=200) as info:
        prompted, wallet = Prompted(demo_seed(info, 0)), info.wallets[0]
        key = Delegate.at(tmp_path / "key.json")
        async with connect(info.url, prompted.wallet, delegate=key):
            pass
        async with connect(info.url, prompted.wallet, delegate=key) as session:
            await asyncio.to_thread(set_trust, info, wallet, ChainStatus.BLOCKED)
            closed = await session.wait_closed()
            assert isinstance(closed, ConnectionClosedError)
            assert closed.code is CloseCode.WALLET_BLOCKED
        with pytest.raises(WalletBlockedError):
            await connect(info.url, prompted.wallet, delegate=key).__aenter__()
        await asyncio.to_thread(set_trust, info, wallet, ChainStatus.ACTIVE, score=80)
        assert prompted.logins == 1
        dead = key.public_key
        async with asyncio.timeout(30):
            while prompted.logins == 1:
                try:
                    async with connect(info.url, prompted.wallet, delegate=key) as session:
                        assert [one.key for one in await session.keys.list()] == [key.public_key]
                except WalletBlockedError:
                    await asyncio.sleep(0.1)  # The unblock counts once it is on chain.
        assert key.public_key != dead
