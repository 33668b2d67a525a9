"""A spending wallet: what it signs without a prompt, and everything that it doesn't."""

import stat
from pathlib import Path
from typing import Any

import pytest

from realtime_client import (
    Delegate,
    Intent,
    LoginToSign,
    SpendingWallet,
    SpendLimitError,
    Wallet,
    connect,
)
from realtime_client.fake_hub import FakeHub
from realtime_protocol.messages import PaymentState
from realtime_protocol.schnorrq import keypair, sign
from realtime_protocol.transaction import parse_transaction

KEYS = keypair("b" * 55)
OWNER = Wallet.from_seed("b" * 55)
PAYEE = Wallet.from_seed("c" * 55).public_key


class Prompted:
    """A wallet that counts what it is asked for."""

    def __init__(self) -> None:
        self.logins: list[str] = []
        self.payments = 0
        self.wallet = Wallet(KEYS.public_key, self._sign)

    def _sign(self, to_sign: Any) -> bytes:
        if isinstance(to_sign, LoginToSign):
            self.logins.append(to_sign.text.decode())
        else:
            self.payments += 1
        return sign(KEYS.subseed, KEYS.public_key, to_sign.message)


async def test_it_pays_without_a_prompt_what_the_login_text_named(hub: FakeHub) -> None:
    prompted, spending = Prompted(), SpendingWallet(max_qu=1_500)
    delegate = Delegate(spending=spending)
    hub.outcome = [PaymentState.BROADCAST, PaymentState.INCLUDED, PaymentState.SETTLED]
    async with connect(hub.url, prompted.wallet, delegate=delegate) as session:
        assert f"spend:{spending.identity}?max=1500&until=" in prompted.logins[0]
        assert (await session.pay(Intent(PAYEE, 600), source=spending)).state
        assert (await session.pay(Intent(PAYEE, 900), source=spending)).state
        with pytest.raises(SpendLimitError, match="0 of 1500 QU are left"):
            await session.pay(Intent(PAYEE, 1), source=spending)
    signed = [parse_transaction(tx) for one in hub.payments.values() for tx in one.signed]
    assert [(each.source, each.amount_qu) for each in signed] == [
        (spending.public_key, 600), (spending.public_key, 900),
    ]  # fmt: skip
    assert (len(prompted.logins), prompted.payments) == (1, 0)


async def test_a_further_attempt_of_a_payment_counts_once(hub: FakeHub) -> None:
    prompted, spending = Prompted(), SpendingWallet(max_qu=1_000)
    hub.outcome = [PaymentState.MISSED]
    delegate = Delegate(spending=spending)
    async with connect(hub.url, prompted.wallet, delegate=delegate) as session:
        payment = session.pay(Intent(PAYEE, 1_000), source=spending, attempts_max=2)
        async for _ in payment:
            if payment.attempt == 2:
                break
    [made] = hub.payments.values()
    assert len(made.signed) == 2
    assert spending.left_qu == 0


async def test_what_goes_home_counts_against_nothing_and_is_bound_by_no_time(hub: FakeHub) -> None:
    prompted, spending = Prompted(), SpendingWallet(max_qu=10)
    hub.outcome = [PaymentState.SETTLED]
    delegate = Delegate(spending=spending)
    async with connect(hub.url, prompted.wallet, delegate=delegate) as session:
        await session.pay(Intent(OWNER.public_key, 5_000), source=spending)
        assert spending.left_qu == 10
        spending._until_ms = 1
        await session.pay(Intent(OWNER.public_key, 5_000), source=spending)
        with pytest.raises(SpendLimitError, match="its time is over"):
            await session.pay(Intent(PAYEE, 1), source=spending)


async def test_a_wallet_that_nobody_signed_for_signs_nothing(hub: FakeHub) -> None:
    prompted, spending = Prompted(), SpendingWallet(max_qu=10)
    async with connect(hub.url, prompted.wallet) as session:
        with pytest.raises(SpendLimitError, match="nobody has signed for it"):
            await session.pay(Intent(PAYEE, 1), source=spending)
    assert not hub.payments


async def test_the_wallet_is_asked_again_for_another_spending_wallet_or_more_time(
    hub: FakeHub,
) -> None:
    prompted = Prompted()
    delegate = Delegate(spending=SpendingWallet(max_qu=10))
    for _ in range(2):
        async with connect(hub.url, prompted.wallet, delegate=delegate):
            pass
    assert len(prompted.logins) == 1
    delegate.spending = SpendingWallet(max_qu=10)
    async with connect(hub.url, prompted.wallet, delegate=delegate):
        pass
    assert len(prompted.logins) == 2
    delegate.spending._until_ms = 1
    async with connect(hub.url, prompted.wallet, delegate=delegate):
        pass
    assert len(prompted.logins) == 3


def test_key_and_count_outlive_the_program_in_a_file_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "spending.json"
    first = SpendingWallet.at(path, max_qu=1_000)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert SpendingWallet.at(path, max_qu=5).identity == first.identity
    first.grant(OWNER.public_key, 2_000_000)
    first.spend(400)
    again = SpendingWallet.at(path, max_qu=7)
    assert (again.left_qu, again.until_ms) == (600, 2_000_000)
    assert again.may_spend(OWNER.public_key, now_ms=1_999_999)
    assert not again.may_spend(OWNER.public_key, now_ms=2_000_000)
    assert not again.may_spend(PAYEE, now_ms=0)
    with pytest.raises(SpendLimitError, match="601 QU are too much"):
        again.spend(601)
    assert SpendingWallet.at(path, max_qu=7).left_qu == 600


def test_a_file_of_another_kind_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "spending.json"
    path.touch(mode=0o600)
    path.write_text('{"seed": "x"}')
    with pytest.raises(ValueError, match="holds no spending wallet"):
        SpendingWallet.at(path, max_qu=1)
    assert path.read_text() == '{"seed": "x"}'


def test_it_shows_no_seed_and_takes_whole_amounts_only() -> None:
    spending = SpendingWallet(max_qu=1)
    assert spending._seed not in repr(spending)
    for bad in (0, 200_000_000_000_001):
        with pytest.raises(ValueError, match="max_qu"):
            SpendingWallet(max_qu=bad)
    with pytest.raises(TypeError, match="whole number"):
        SpendingWallet(max_qu=1.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least a second"):
        SpendingWallet(max_qu=1, lives_s=0)
