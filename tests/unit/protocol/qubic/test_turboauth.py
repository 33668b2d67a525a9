"""The contract: who may change what, how changes are numbered, what is kept."""

import pytest

from realtime_protocol.qubic import contract_abi as abi
from realtime_protocol.qubic.contract_abi import (
    ChainStatus,
    Function,
    Procedure,
    StatusRecord,
    StatusSetting,
)
from realtime_protocol.qubic.turboauth import Roles, TurboAuth

ADMIN, WALLET, OTHER, STRANGER = (bytes([number]) * 32 for number in (1, 2, 3, 4))
BLOCKED = StatusSetting(WALLET, ChainStatus.BLOCKED, 0, 7)
ACTIVE = StatusSetting(OTHER, ChainStatus.ACTIVE, 90)


@pytest.fixture
def contract() -> TurboAuth:
    return TurboAuth(Roles(ADMIN))


def asked(contract: TurboAuth, wallet: bytes) -> StatusRecord:
    return abi.decode_status(contract.call(Function.GET_STATUS, wallet))


def changes(contract: TurboAuth, since: int) -> abi.Changes:
    return abi.decode_changes(contract.call(Function.GET_CHANGES, abi.encode_changes_input(since)))


def test_the_admin_sets_a_status(contract: TurboAuth) -> None:
    assert contract.invoke(ADMIN, Procedure.SET_STATUS, BLOCKED.encode(), 50)
    assert asked(contract, WALLET) == StatusRecord(1, 50, ChainStatus.BLOCKED, 0, 7)
    assert asked(contract, OTHER) == abi.NOT_LISTED


def test_nobody_else_changes_anything(contract: TurboAuth) -> None:
    inputs = {
        Procedure.SET_STATUS: BLOCKED.encode(),
        Procedure.SET_STATUSES: abi.encode_settings([BLOCKED]),
        Procedure.PROPOSE_ADMIN: STRANGER,
        Procedure.ACCEPT_ADMIN: b"",
        Procedure.SET_NEXT_CONTRACT: abi.encode_next_contract(30),
    }
    assert inputs.keys() == set(Procedure)
    before = contract.info()
    for procedure, payload in inputs.items():
        assert not contract.invoke(STRANGER, procedure, payload, 50)
    assert contract.info() == before
    assert asked(contract, WALLET) == abi.NOT_LISTED


def test_a_batch_numbers_each_record_and_skips_zero_wallets(contract: TurboAuth) -> None:
    assert contract.invoke(
        ADMIN, Procedure.SET_STATUSES, abi.encode_settings([BLOCKED, ACTIVE, BLOCKED]), 50
    )
    assert contract.roles.last_sequence == 3
    assert asked(contract, WALLET).sequence == 3
    assert [change.record.sequence for change in changes(contract, 0).changes] == [1, 2, 3]


@pytest.mark.parametrize(
    "bad",
    [
        StatusSetting(OTHER, ChainStatus.ACTIVE, 101).encode(),
        OTHER + bytes([3, 0, 0, 0, 0, 0, 0, 0]),
    ],
)
def test_one_bad_record_refuses_the_whole_batch(contract: TurboAuth, bad: bytes) -> None:
    payload = (BLOCKED.encode() + bad).ljust(abi.SET_STATUSES_BYTES, b"\0")
    assert not contract.invoke(ADMIN, Procedure.SET_STATUSES, payload, 50)
    assert not contract.invoke(ADMIN, Procedure.SET_STATUS, bad, 50)
    assert contract.roles.last_sequence == 0


def test_the_zero_wallet_has_no_record(contract: TurboAuth) -> None:
    assert not contract.invoke(ADMIN, Procedure.SET_STATUS, bytes(40), 50)


def test_short_input_is_filled_up_and_long_input_cut_as_on_chain(contract: TurboAuth) -> None:
    assert contract.invoke(ADMIN, Procedure.SET_STATUS, BLOCKED.encode()[:36], 50)
    assert contract.invoke(ADMIN, Procedure.SET_STATUS, ACTIVE.encode() + b"more", 50)
    assert asked(contract, WALLET).reason == 7
    assert contract.call(Function.GET_STATUS, OTHER + b"more") == contract.call(1, OTHER)


def test_a_full_contract_changes_known_wallets_only() -> None:
    contract = TurboAuth(Roles(ADMIN), capacity=1)
    assert contract.invoke(ADMIN, Procedure.SET_STATUS, BLOCKED.encode(), 50)
    assert not contract.invoke(ADMIN, Procedure.SET_STATUS, ACTIVE.encode(), 51)
    assert contract.invoke(ADMIN, Procedure.SET_STATUS, BLOCKED.encode(), 52)
    assert asked(contract, WALLET).updated_tick == 52


def test_changes_are_told_after_a_sequence_256_at_a_time(contract: TurboAuth) -> None:
    for tick in range(300):
        contract.invoke(ADMIN, Procedure.SET_STATUS, BLOCKED.encode(), tick)
    first = changes(contract, 0)
    assert (first.oldest_sequence, first.last_sequence, len(first.changes)) == (1, 300, 256)
    rest = changes(contract, 256)
    assert [change.record.sequence for change in rest.changes] == list(range(257, 301))
    assert changes(contract, 300).changes == ()
    assert changes(contract, 2**64 - 1).changes == ()


def test_changes_no_longer_kept_are_an_overrun() -> None:
    contract = TurboAuth(Roles(ADMIN), changes_kept_max=4)
    for tick in range(10):
        contract.invoke(ADMIN, Procedure.SET_STATUS, BLOCKED.encode(), tick)
    told = changes(contract, 2)
    assert told.oldest_sequence == 7
    assert told.overrun(2)
    assert not told.overrun(6)
    assert [change.record.sequence for change in told.changes] == [7, 8, 9, 10]


def test_a_contract_without_changes_is_no_overrun(contract: TurboAuth) -> None:
    assert not changes(contract, 0).overrun(0)


def test_a_new_admin_is_proposed_and_accepts(contract: TurboAuth) -> None:
    assert contract.invoke(ADMIN, Procedure.PROPOSE_ADMIN, OTHER, 50)
    assert not contract.invoke(STRANGER, Procedure.ACCEPT_ADMIN, b"", 51)
    assert contract.info().pending_admin == OTHER
    assert contract.invoke(OTHER, Procedure.ACCEPT_ADMIN, b"", 52)
    assert (contract.info().admin, contract.info().pending_admin) == (OTHER, bytes(32))
    assert not contract.invoke(ADMIN, Procedure.SET_STATUS, BLOCKED.encode(), 53)
    assert not contract.invoke(OTHER, Procedure.ACCEPT_ADMIN, b"", 54)


def test_info_tells_who_it_is(contract: TurboAuth) -> None:
    contract.invoke(ADMIN, Procedure.SET_STATUS, BLOCKED.encode(), 50)
    contract.invoke(ADMIN, Procedure.SET_NEXT_CONTRACT, abi.encode_next_contract(31), 51)
    info = abi.decode_info(contract.call(Function.GET_INFO, b""))
    assert info.is_turboauth()
    assert (info.admin, info.wallets, info.last_sequence) == (ADMIN, 1, 1)
    assert info.next_contract_index == 31


@pytest.mark.parametrize("input_type", [0, 5, 65_535])
def test_a_function_that_there_is_not_answers_nothing(contract: TurboAuth, input_type: int) -> None:
    assert contract.call(input_type, b"") == b""
