"""The chain's rules: who gets into the pool, into a tick's list, and what then happens."""

import random
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from devnet_fixture import invocation, transfer
from realtime_devnet.devnet import Devnet
from realtime_devnet.genesis import WALLET_BALANCE_QU, Genesis
from realtime_devnet.network import Refusal
from realtime_devnet.settings import DemoWallet
from realtime_protocol.identity import PublicKey, contract_public_key
from realtime_protocol.qubic import contract_abi as abi
from realtime_protocol.qubic.contract_abi import ChainStatus, Procedure, StatusSetting
from realtime_protocol.qubic.node_wire import TickData
from realtime_protocol.schnorrq import k12, verify
from realtime_protocol.transaction import transaction_digest

AHEAD = 3
CONTRACT = contract_public_key(29)
NOBODY = PublicKey(bytes(range(32)))


@pytest.fixture
def devnet() -> Iterator[Devnet]:
    with closing(Devnet.in_memory()) as devnet:
        yield devnet


@pytest.fixture
def payer(devnet: Devnet) -> DemoWallet:
    return devnet.wallets[0]


@pytest.fixture
def payee(devnet: Devnet) -> PublicKey:
    return devnet.wallets[1].public_key


def settled(devnet: Devnet, signed: bytes) -> bool:
    """Submit, step past its tick and tell whether money flew."""
    assert devnet.submit(signed) is None
    devnet.step(AHEAD + 1)
    done = devnet.transaction(transaction_digest(signed))
    assert done is not None
    return done.money_flew


def test_money_moves_at_its_tick_and_not_before(
    devnet: Devnet, payer: DemoWallet, payee: PublicKey
) -> None:
    signed = transfer(payer, payee, 5, devnet.tick + AHEAD)
    assert devnet.submit(signed) is None
    devnet.step(AHEAD)
    assert devnet.balance_qu(payee) == WALLET_BALANCE_QU
    assert devnet.transaction(transaction_digest(signed)) is None
    devnet.step()
    assert devnet.balance_qu(payee) == WALLET_BALANCE_QU + 5
    assert devnet.balance_qu(payer.public_key) == WALLET_BALANCE_QU - 5


@pytest.mark.parametrize(
    ("offset", "refusal"),
    [
        (-1, Refusal.TICK_PAST),
        (0, Refusal.TICK_PAST),
        (1, Refusal.LIST_FIXED),
        (2, Refusal.LIST_FIXED),
        (3, None),
        (2665, None),
        (2666, Refusal.TICK_TOO_FAR),
    ],
)
def test_a_transaction_needs_a_tick_from_current_plus_three_to_ten_minutes(
    devnet: Devnet, payer: DemoWallet, payee: PublicKey, offset: int, refusal: Refusal | None
) -> None:
    assert devnet.submit(transfer(payer, payee, 5, devnet.tick + offset)) is refusal


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        (lambda signed: b"", Refusal.MALFORMED),
        (lambda signed: signed[:-1], Refusal.MALFORMED),
        (lambda signed: signed + b"\0", Refusal.MALFORMED),
        (lambda signed: signed[:71] + b"\x80" + signed[72:], Refusal.MALFORMED),
        (lambda signed: signed[:64] + b"\6" + signed[65:], Refusal.BAD_SIGNATURE),
        (lambda signed: signed[:-1] + b"\1", Refusal.BAD_SIGNATURE),
        (lambda signed: contract_public_key(4) + signed[32:], Refusal.CONTRACT_SOURCE),
        (lambda signed: NOBODY + signed[32:], Refusal.NO_BALANCE),
    ],
)
def test_what_isn_t_valid_never_waits(
    devnet: Devnet,
    payer: DemoWallet,
    payee: PublicKey,
    change: Callable[[bytes], bytes],
    refusal: Refusal,
) -> None:
    signed = transfer(payer, payee, 5, devnet.tick + AHEAD)
    assert devnet.submit(change(signed)) is refusal
    assert len(devnet.network.pool) == 0


def test_garbage_never_waits_and_never_hurts(devnet: Devnet) -> None:
    chance = random.Random(3)
    for _ in range(300):
        assert devnet.submit(chance.randbytes(chance.randint(0, 1300))) is Refusal.MALFORMED


def test_the_same_transaction_runs_once(
    devnet: Devnet, payer: DemoWallet, payee: PublicKey
) -> None:
    signed = transfer(payer, payee, 5, devnet.tick + AHEAD)
    assert devnet.submit(signed) is None
    assert devnet.submit(signed) is Refusal.DUPLICATE
    devnet.step()
    assert devnet.submit(signed) is Refusal.LIST_FIXED
    devnet.step(AHEAD)
    assert devnet.submit(signed) is Refusal.TICK_PAST
    assert devnet.transactions_count() == 1


def test_two_that_together_exceed_the_balance_are_both_included_and_one_moves(
    devnet: Devnet, payer: DemoWallet, payee: PublicKey
) -> None:
    tick = devnet.tick + AHEAD
    amounts = (WALLET_BALANCE_QU - 1, 2)
    orders = [transfer(payer, payee, amount, tick) for amount in amounts]
    assert [devnet.submit(signed) for signed in orders] == [None, None]
    devnet.step(AHEAD + 1)
    assert [done.money_flew for done in devnet.processed(tick)] == [True, False]
    assert devnet.balance_qu(payer.public_key) == 1


def test_nothing_moved_is_not_money_flown_though_the_source_was_active(
    devnet: Devnet, payer: DemoWallet, payee: PublicKey
) -> None:
    tick = devnet.tick + AHEAD
    assert not settled(devnet, transfer(payer, payee, 0, tick))
    entity = devnet.entity(payer.public_key)
    assert entity is not None
    assert entity.latest_outgoing_tick == tick


def test_a_list_is_fixed_two_ticks_ahead_and_signed_by_the_leader(
    devnet: Devnet, payer: DemoWallet, payee: PublicKey
) -> None:
    tick = devnet.tick + AHEAD
    signed = transfer(payer, payee, 5, tick)
    devnet.submit(signed)
    assert devnet.tick_data(tick) is None
    devnet.step()
    data = devnet.tick_data(tick)
    assert data is not None
    assert data.digests == (transaction_digest(signed),)
    assert (data.tick, data.computor_index) == (tick, tick % 676)
    leader = devnet.network.computor.public_key
    assert verify(leader, k12(data.signing_message()), data.signature)
    devnet.step(AHEAD + 5)
    assert devnet.tick_data(tick) == data


def test_only_the_first_tick_and_ticks_with_transactions_have_a_list(devnet: Devnet) -> None:
    first = devnet.tick
    devnet.step(5)
    assert [devnet.tick_data(tick) is None for tick in range(first, first + 5)] == [
        False,
        True,
        True,
        True,
        True,
    ]


def test_the_first_list_names_the_network() -> None:
    def first_list(seed: int) -> tuple[TickData, Genesis]:
        with closing(Devnet.in_memory(seed=seed)) as devnet:
            data = devnet.tick_data(devnet.tick)
            assert data is not None
            return data, devnet.network.genesis

    data, genesis = first_list(seed=1)
    assert data.timelock == genesis.randomness
    assert data.raw != first_list(seed=2)[0].raw
    assert data.raw == first_list(seed=1)[0].raw


def test_the_same_arrivals_make_the_same_network() -> None:
    def run() -> list[bytes]:
        lists = []
        with closing(Devnet.in_memory(seed=5)) as devnet:
            first, payee, third = devnet.wallets
            for amount in (3, 1, 2):
                tick = devnet.tick + AHEAD
                devnet.submit(transfer(first, payee.public_key, amount, tick))
                devnet.submit(transfer(third, payee.public_key, amount, tick))
                devnet.step()
                data = devnet.tick_data(tick)
                assert data is not None
                lists.append(data.raw)
        return lists

    assert run() == run()


def test_a_demo_network_begins_with_funded_and_trusted_wallets(devnet: Devnet) -> None:
    for wallet in devnet.wallets:
        assert devnet.balance_qu(wallet.public_key) == WALLET_BALANCE_QU
        record = devnet.network.contract.status(wallet.public_key)
        assert (record.status, record.trust_score) == (ChainStatus.ACTIVE, 80)
    assert devnet.balance_qu(devnet.admin.public_key) == WALLET_BALANCE_QU
    assert devnet.network.contract.info().last_sequence == 3


def test_the_admin_s_transaction_changes_trust_and_keeps_the_reward(devnet: Devnet) -> None:
    wallet = devnet.wallets[0].public_key
    setting = StatusSetting(wallet, ChainStatus.BLOCKED, 0, 9).encode()
    tick = devnet.tick + AHEAD
    signed = invocation(devnet.admin, Procedure.SET_STATUS, setting, tick, amount_qu=7)
    assert settled(devnet, signed)
    record = abi.decode_status(devnet.network.call_function(29, 1, wallet))
    assert record == abi.StatusRecord(4, tick, ChainStatus.BLOCKED, 0, 9)
    assert devnet.balance_qu(CONTRACT) == 7


def test_a_stranger_s_reward_comes_back(devnet: Devnet, payer: DemoWallet) -> None:
    setting = StatusSetting(NOBODY, ChainStatus.ACTIVE, 100).encode()
    signed = invocation(payer, Procedure.SET_STATUS, setting, devnet.tick + AHEAD, amount_qu=1_000)
    assert not settled(devnet, signed)
    assert devnet.balance_qu(payer.public_key) == WALLET_BALANCE_QU
    assert devnet.balance_qu(CONTRACT) == 0
    assert devnet.network.contract.status(NOBODY) == abi.NOT_LISTED


def test_an_unregistered_type_keeps_the_amount(devnet: Devnet, payer: DemoWallet) -> None:
    tick = devnet.tick + AHEAD
    assert settled(devnet, transfer(payer, CONTRACT, 10, tick, input_type=99))
    assert devnet.balance_qu(CONTRACT) == 10


def test_a_contract_that_isn_t_built_gives_the_amount_back(
    devnet: Devnet, payer: DemoWallet
) -> None:
    qutil = contract_public_key(4)
    assert not settled(devnet, transfer(payer, qutil, 10, devnet.tick + AHEAD, input_type=1))
    assert devnet.balance_qu(payer.public_key) == WALLET_BALANCE_QU


def test_only_turboauth_answers_calls(devnet: Devnet) -> None:
    assert devnet.network.call_function(29, 4, b"") != b""
    assert devnet.network.call_function(28, 4, b"") == b""
    assert devnet.network.call_function(2**32 - 1, 4, b"") == b""
