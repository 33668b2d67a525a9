"""Each packet has core's size and layout, survives a round trip, and refuses another form."""

from collections.abc import Callable

import pytest

from realtime_protocol.qubic import node_wire
from realtime_protocol.qubic.node_wire import (
    COMPUTORS,
    ComputorsPacket,
    ContractCall,
    EntityPacket,
    NodeProtocolError,
    Packet,
    PacketReader,
    PacketType,
    SystemInfoPacket,
    TickInfoPacket,
    TickTime,
    TickTransactionsRequest,
)

KEY = bytes(range(32))
TICK_INFO = TickInfoPacket(250, 227, 75_241_999, 451, 3, 75_241_781)
ENTITY = EntityPacket(KEY, 900, 400, 9, 4, 11, 12, 13, 14, bytes([5]) * 768)
SYSTEM_INFO = SystemInfoPacket(
    version=-301,
    epoch=227,
    tick=10,
    initial_tick=1,
    latest_created_tick=11,
    initial_time=TickTime(2026, 8, 19, 12, 0, 1, 2),
    entities=100,
    transactions=200,
    mining_seed=KEY,
    solution_threshold=-1,
    supply_qu=2**63,
    dust_threshold_qu=7,
    vote_signature=8,
)
COMPUTOR_LIST = ComputorsPacket(227, (KEY,) * COMPUTORS, bytes([7]) * 64)


def only(stream: bytes) -> Packet:
    (packet,) = PacketReader().feed(stream)
    return packet


@pytest.mark.parametrize(
    ("packet", "size"),
    [(TICK_INFO, 16), (ENTITY, 840), (SYSTEM_INFO, 128), (COMPUTOR_LIST, 21_698)],
)
def test_answers_have_core_s_size_and_survive_a_round_trip(
    packet: TickInfoPacket | EntityPacket | SystemInfoPacket | ComputorsPacket, size: int
) -> None:
    payload = packet.encode()
    assert len(payload) == size
    assert type(packet).decode(payload) == packet


@pytest.mark.parametrize(
    "decode",
    [
        TickInfoPacket.decode,
        EntityPacket.decode,
        SystemInfoPacket.decode,
        ComputorsPacket.decode,
        ContractCall.decode,
        node_wire.parse_exchange_peers,
        node_wire.parse_entity_request,
        node_wire.parse_digest,
        node_wire.parse_tick_data_request,
        node_wire.parse_empty,
    ],
)
@pytest.mark.parametrize("size", [1, 3, 15, 33, 700, 21_700])
def test_a_payload_of_another_size_is_refused(decode: Callable[[bytes], object], size: int) -> None:
    with pytest.raises(NodeProtocolError):
        decode(bytes(size))


def test_tick_info_lies_as_core_packs_it() -> None:
    payload = TICK_INFO.encode()
    assert payload.hex() == "fa00" + "e300" + "0f1a7c04" + "c301" + "0300" + "35197c04"
    assert TICK_INFO.ready
    assert not TickInfoPacket.decode(bytes(16)).ready


def test_a_balance_is_what_came_less_what_went() -> None:
    assert ENTITY.balance_qu == 500
    assert ENTITY.known
    payload = ENTITY.encode()
    assert payload[:32] == KEY
    assert payload[32:40] == (900).to_bytes(8, "little")
    unknown = EntityPacket(KEY, 0, 0, 0, 0, 0, 0, 13, -1)
    assert not EntityPacket.decode(unknown.encode()).known


def test_system_info_ends_with_what_is_not_read() -> None:
    payload = SYSTEM_INFO.encode()
    assert payload[32:64] == KEY
    assert SystemInfoPacket.decode(payload[:-40] + bytes([255]) * 40) == SYSTEM_INFO


def test_peers_are_four_addresses_and_zeros_are_left_out() -> None:
    packet = only(node_wire.exchange_peers(["10.1.2.3"], dejavu=5))
    assert packet == Packet(PacketType.EXCHANGE_PUBLIC_PEERS, 5, bytes([10, 1, 2, 3]) + bytes(12))
    assert node_wire.parse_exchange_peers(packet.payload) == ("10.1.2.3",)
    assert node_wire.parse_exchange_peers(bytes(16)) == ()
    with pytest.raises(ValueError):
        node_wire.exchange_peers(["10.0.0.1"] * 5, dejavu=1)


@pytest.mark.parametrize(
    ("stream", "packet_type", "size"),
    [
        (node_wire.tick_info_request(9), 27, 8),
        (node_wire.entity_request(KEY, 9), 31, 40),
        (node_wire.transaction_info_request(KEY, 9), 26, 40),
        (node_wire.tick_data_request(77, 9), 16, 12),
        (node_wire.tick_transactions_request(77, 9), 29, 524),
        (node_wire.contract_function_request(29, 1, KEY, 9), 42, 48),
        (node_wire.system_info_request(9), 46, 8),
        (node_wire.computors_request(9), 11, 8),
        (node_wire.end_response(9), 35, 8),
        (node_wire.try_again(9), 54, 8),
    ],
)
def test_requests_have_core_s_type_and_size(stream: bytes, packet_type: int, size: int) -> None:
    packet = only(stream)
    assert (packet.type, packet.dejavu, len(stream)) == (packet_type, 9, size)


def test_a_broadcast_has_no_dejavu_so_that_it_spreads() -> None:
    assert only(node_wire.broadcast_transaction(b"tx")) == Packet(24, 0, b"tx")


def test_flags_name_the_transactions_not_to_send() -> None:
    packet = only(node_wire.tick_transactions_request(77, 9, skip=[0, 9, 4095]))
    assert packet.payload[4] == 1
    assert packet.payload[5] == 2
    assert packet.payload[-1] == 128
    assert TickTransactionsRequest.decode(packet.payload) == TickTransactionsRequest(
        77, frozenset({0, 9, 4095})
    )
    with pytest.raises(ValueError):
        node_wire.tick_transactions_request(77, 9, skip=[4096])


def test_flags_of_clients_built_for_fewer_transactions_are_taken() -> None:
    older = (77).to_bytes(4, "little") + bytes([1]) + bytes(127)
    assert TickTransactionsRequest.decode(older) == TickTransactionsRequest(77, frozenset({0}))


@pytest.mark.parametrize("size", [0, 3, 517, 600])
def test_flags_cut_off_or_too_long_are_refused(size: int) -> None:
    with pytest.raises(NodeProtocolError):
        TickTransactionsRequest.decode(bytes(size))


def test_a_contract_call_s_own_size_must_agree() -> None:
    call = ContractCall(29, 3, b"12345678")
    payload = call.encode()
    assert payload[:8] == bytes([29, 0, 0, 0, 3, 0, 8, 0])
    assert ContractCall.decode(payload) == call
    with pytest.raises(NodeProtocolError):
        ContractCall.decode(payload + b"9")
    with pytest.raises(ValueError):
        ContractCall(29, 3, bytes(65_536)).encode()


@pytest.mark.parametrize("key", [b"", bytes(31), bytes(33)])
def test_a_key_of_another_length_is_not_asked_for(key: bytes) -> None:
    with pytest.raises(ValueError):
        node_wire.entity_request(key, 1)
    with pytest.raises(ValueError):
        node_wire.transaction_info_request(key, 1)
