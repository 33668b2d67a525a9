"""TurboAuth ABI v1: sizes, offsets and round trips; the numbers are promises to other programs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_protocol.messages import TrustStatus
from realtime_protocol.qubic import contract_abi as abi
from realtime_protocol.qubic.contract_abi import (
    ChainStatus,
    ChangeRecord,
    Changes,
    ContractInfo,
    StatusRecord,
    StatusSetting,
)

WALLET = bytes(range(32))
RECORD = StatusRecord(0x0102030405060708, 1_000_005, ChainStatus.BLOCKED, 77, 0x1234)

records = st.builds(
    StatusRecord,
    sequence=st.integers(0, 2**64 - 1),
    updated_tick=st.integers(0, 2**32 - 1),
    status=st.sampled_from(ChainStatus),
    trust_score=st.integers(0, abi.SCORE_MAX),
    reason=st.integers(0, 0xFFFF),
)
wallets = st.binary(min_size=32, max_size=32)


def test_sizes_are_those_of_the_c_structs() -> None:
    assert abi.STATUS_BYTES == 16
    assert abi.STATUSES_INPUT_BYTES == 512
    assert abi.STATUSES_BYTES == 256
    assert abi.CHANGES_BYTES == 12_312
    assert abi.INFO_BYTES == 104
    assert abi.SET_STATUS_BYTES == 40
    assert abi.SET_STATUSES_BYTES == 640


def test_numbers_never_change() -> None:
    assert [*abi.Function] == [1, 2, 3, 4]
    assert [*abi.Procedure] == [1, 2, 3, 4, 5]
    assert {status.name: int(status) for status in ChainStatus} == {
        status.name: int(status) for status in TrustStatus
    }
    assert abi.MAGIC.to_bytes(8, "little") == b"TURBOAU1"
    assert abi.ABI_VERSION == 1


def test_a_status_lies_as_the_compiler_puts_it() -> None:
    assert abi.encode_status(RECORD).hex() == "0807060504030201" + "45420f00" + "02" + "4d" + "3412"


def test_a_setting_ends_with_four_bytes_of_padding() -> None:
    setting = StatusSetting(WALLET, ChainStatus.ACTIVE, 80, 3)
    assert setting.encode() == WALLET + bytes([1, 80, 3, 0, 0, 0, 0, 0])


@given(records)
def test_a_status_survives_a_round_trip(record: StatusRecord) -> None:
    assert abi.decode_status(abi.encode_status(record)) == record


def test_an_unlisted_wallet_is_all_zeros() -> None:
    assert abi.encode_status(abi.NOT_LISTED) == bytes(16)
    assert not abi.decode_status(bytes(16)).listed


@given(st.lists(records, max_size=16))
def test_statuses_come_sixteen_at_a_time(found: list[StatusRecord]) -> None:
    decoded = abi.decode_statuses(abi.encode_statuses(found))
    assert decoded[: len(found)] == tuple(found)
    assert decoded[len(found) :] == (abi.NOT_LISTED,) * (16 - len(found))


@given(st.lists(wallets, max_size=16))
def test_wallets_asked_for_keep_their_places(asked: list[bytes]) -> None:
    decoded = abi.decode_statuses_input(abi.encode_statuses_input(asked))
    assert decoded == (*asked, *[bytes(32)] * (16 - len(asked)))


@given(st.lists(st.tuples(wallets, records), max_size=8), st.integers(0, 2**63))
def test_changes_survive_a_round_trip(found: list[tuple[bytes, StatusRecord]], oldest: int) -> None:
    by_sequence = {record.sequence: ChangeRecord(wallet, record) for wallet, record in found}
    ascending = tuple(by_sequence[sequence] for sequence in sorted(by_sequence))
    changes = Changes(oldest, oldest + 9, ascending)
    assert abi.decode_changes(abi.encode_changes(changes)) == changes


def test_changes_begin_with_a_padded_head() -> None:
    packed = abi.encode_changes(Changes(2, 3, (ChangeRecord(WALLET, RECORD),)))
    assert packed[:24].hex() == "02" + "00" * 7 + "03" + "00" * 7 + "01" + "00" * 7
    assert packed[24:72] == WALLET + abi.encode_status(RECORD)
    assert packed[72:] == bytes(12_312 - 72)


def test_an_overrun_is_a_gap_before_the_oldest_change() -> None:
    changes = Changes(oldest_sequence=10, last_sequence=20, changes=())
    assert changes.overrun(8)
    assert not changes.overrun(9)
    assert not Changes(1, 0, ()).overrun(0)


def test_info_lies_as_the_compiler_puts_it_and_survives() -> None:
    info = ContractInfo(abi.MAGIC, 1, 65_536, 9, 3, WALLET, bytes([1]) * 32, 2**64 - 1)
    packed = abi.encode_info(info)
    assert packed[:16] == b"TURBOAU1" + bytes([1, 0, 0, 0, 0, 0, 1, 0])
    assert packed[32:64] == WALLET
    assert packed[96:] == bytes([255]) * 8
    assert abi.decode_info(packed) == info
    assert info.is_turboauth()
    assert not abi.decode_info(bytes(104)).is_turboauth()


@given(
    st.lists(
        st.builds(
            StatusSetting,
            wallet=wallets.filter(any),
            status=st.sampled_from(ChainStatus),
            trust_score=st.integers(0, 255),
            reason=st.integers(0, 0xFFFF),
        ),
        max_size=16,
    )
)
def test_a_batch_of_settings_survives_and_zero_wallets_are_skipped(
    settings: list[StatusSetting],
) -> None:
    packed = abi.encode_settings(settings)
    assert len(packed) == 640
    assert abi.decode_settings(packed) == tuple(settings)


def test_the_other_inputs_survive() -> None:
    assert abi.decode_status_input(abi.encode_status_input(WALLET)) == WALLET
    assert abi.decode_changes_input(abi.encode_changes_input(2**64 - 1)) == 2**64 - 1
    assert abi.decode_admin(abi.encode_admin(WALLET)) == WALLET
    assert abi.decode_next_contract(abi.encode_next_contract(30)) == 30


@pytest.mark.parametrize("size", [0, 1, 15, 17, 41, 103, 639, 12_311, 12_313])
def test_outputs_of_another_size_are_refused_among_them_the_empty_one(size: int) -> None:
    for decode in (
        abi.decode_status,
        abi.decode_statuses,
        abi.decode_changes,
        abi.decode_info,
        abi.decode_settings,
        StatusSetting.decode,
    ):
        with pytest.raises(ValueError):
            decode(bytes(size))


def test_values_that_no_contract_of_this_version_gives_are_refused() -> None:
    with pytest.raises(ValueError):
        abi.decode_status(bytes(12) + bytes([3, 0, 0, 0]))
    with pytest.raises(ValueError):
        abi.decode_status(bytes(12) + bytes([1, 101, 0, 0]))
    with pytest.raises(ValueError):
        abi.decode_changes(bytes(16) + bytes([1, 1, 0, 0]) + bytes(12_312 - 20))
    twice = Changes(1, 2, (ChangeRecord(WALLET, RECORD), ChangeRecord(WALLET, RECORD)))
    with pytest.raises(ValueError):
        abi.decode_changes(abi.encode_changes(twice))


def test_more_than_a_batch_is_not_encoded() -> None:
    with pytest.raises(ValueError):
        abi.encode_statuses_input([WALLET] * 17)
    with pytest.raises(ValueError):
        abi.encode_statuses([RECORD] * 17)
    with pytest.raises(ValueError):
        abi.encode_settings([StatusSetting(WALLET, ChainStatus.ACTIVE, 1)] * 17)
    with pytest.raises(ValueError):
        abi.encode_status_input(WALLET[:-1])
