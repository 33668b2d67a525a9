"""TickData: 139,376 bytes with the list of a tick's transactions."""

import hashlib
from dataclasses import replace

import pytest

from realtime_protocol.qubic.node_frames import NodeProtocolError
from realtime_protocol.qubic.tick_data import (
    COMPUTORS,
    TICK_DATA_BYTES,
    TRANSACTIONS_PER_TICK_MAX,
    TickData,
    TickTime,
)

TIME = TickTime(2026, 3, 4, 5, 6, 7, 890)
DIGESTS = tuple(hashlib.sha256(bytes([number])).digest() for number in range(5))


def built(digests: tuple[bytes, ...] = DIGESTS, computor_index: int = 12) -> TickData:
    return TickData.build(
        computor_index=computor_index,
        epoch=7,
        tick=1_000_044,
        time=TIME,
        timelock=bytes(range(32)),
        digests=digests,
    )


def test_it_has_the_size_and_the_offsets_of_core() -> None:
    raw = built().signed(bytes([9]) * 64).encode()
    assert len(raw) == TICK_DATA_BYTES == 139_376
    assert raw[0:2] == (12).to_bytes(2, "little")
    assert raw[2:4] == (7).to_bytes(2, "little")
    assert raw[4:8] == (1_000_044).to_bytes(4, "little")
    assert raw[8:10] == (890).to_bytes(2, "little")
    assert tuple(raw[10:16]) == (7, 6, 5, 4, 3, 26)
    assert raw[16:48] == bytes(range(32))
    assert raw[48:80] == DIGESTS[0]
    assert raw[48 + 4096 * 32 - 32 : -64] == bytes(32 + 1024 * 8)
    assert raw[-64:] == bytes([9]) * 64


def test_decoding_returns_what_was_built() -> None:
    data = built().signed(bytes([9]) * 64)
    assert TickData.decode(data.encode()) == data
    assert data.contract_fees_qu() == ()


def test_a_full_and_an_empty_list_survive() -> None:
    full = tuple(hashlib.sha256(number.to_bytes(4)).digest() for number in range(4096))
    assert TickData.decode(built(full).raw).digests == full
    assert TickData.decode(built(()).raw).digests == ()


def test_digests_are_read_without_zero_slots_and_with_zeros_at_their_ends() -> None:
    raw = bytearray(built(()).raw)
    first, second = b"\0" * 31 + b"\1", b"\2" + b"\0" * 31
    raw[48 + 32 : 48 + 64] = first
    raw[48 + 5 * 32 : 48 + 6 * 32] = second
    decoded = TickData.decode(bytes(raw))
    assert decoded.digests == (first, second)
    assert decoded.raw == bytes(raw)


def test_contract_fees_are_read_by_contract_index() -> None:
    raw = bytearray(built().raw)
    at = 48 + 4096 * 32
    raw[at + 8 : at + 16] = (-5).to_bytes(8, "little", signed=True)
    assert TickData.decode(bytes(raw)).contract_fees_qu() == (0, -5)


def test_the_signed_bytes_carry_the_computor_xored_by_the_type_and_no_signature() -> None:
    data = built(computor_index=12).signed(bytes([1]) * 64)
    message = data.signing_message()
    assert len(message) == TICK_DATA_BYTES - 64
    assert message[:2] == (12 ^ 8).to_bytes(2, "little")
    assert message[2:] == data.raw[2:-64]


@pytest.mark.parametrize("size", [0, 1, TICK_DATA_BYTES - 1, TICK_DATA_BYTES + 1])
def test_another_size_is_refused(size: int) -> None:
    with pytest.raises(NodeProtocolError):
        TickData.decode(bytes(size))


def test_a_computor_that_there_is_not_is_refused() -> None:
    raw = COMPUTORS.to_bytes(2, "little") + built().raw[2:]
    with pytest.raises(NodeProtocolError, match="676"):
        TickData.decode(raw)


def test_what_no_tick_can_hold_is_not_built() -> None:
    with pytest.raises(ValueError):
        built((bytes(32),))
    with pytest.raises(ValueError):
        built((b"short",))
    with pytest.raises(ValueError):
        built((DIGESTS[0],) * (TRANSACTIONS_PER_TICK_MAX + 1))
    with pytest.raises(ValueError):
        built(computor_index=COMPUTORS)


def test_times_convert_both_ways_and_impossible_ones_only_complain_when_converted() -> None:
    epoch_ms = 1_767_225_600_123
    assert TickTime.of_epoch_ms(epoch_ms) == TickTime(2026, 1, 1, 0, 0, 0, 123)
    assert TickTime.of_epoch_ms(epoch_ms).epoch_ms() == epoch_ms
    raw = bytearray(built().raw)
    raw[14] = 13
    decoded = TickData.decode(bytes(raw))
    assert decoded.time == replace(TIME, month=13)
    with pytest.raises(ValueError):
        decoded.time.epoch_ms()
