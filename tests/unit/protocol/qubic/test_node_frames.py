"""The stream of a node is cut into packets by size alone, within bounds."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_protocol.qubic.node_frames import (
    PACKET_BYTES_MAX,
    NodeProtocolError,
    Packet,
    PacketReader,
    encode_packet,
)

PACKETS = st.lists(
    st.builds(
        Packet,
        type=st.integers(0, 255),
        dejavu=st.integers(0, 0xFFFF_FFFF),
        payload=st.binary(max_size=300),
    ),
    max_size=8,
)


def test_a_header_is_size_type_and_dejavu_in_little_endian() -> None:
    assert encode_packet(27, b"", 0x01020304).hex() == "080000" + "1b" + "04030201"
    assert encode_packet(24, bytes(300), 0)[:4].hex() == "340100" + "18"


@given(PACKETS, st.randoms(use_true_random=False))
def test_packets_arrive_whole_however_the_stream_is_cut(
    packets: list[Packet], chance: random.Random
) -> None:
    stream = b"".join(packet.encode() for packet in packets)
    reader = PacketReader()
    received: list[Packet] = []
    while stream:
        cut = chance.randint(1, len(stream))
        received += reader.feed(stream[:cut])
        stream = stream[cut:]
    assert received == packets
    assert reader.buffered_bytes == 0


def test_packets_fed_byte_by_byte_arrive_at_their_last_byte() -> None:
    reader = PacketReader()
    stream = encode_packet(27, b"", 1) + encode_packet(31, bytes(32), 2)
    arrived = [at for at in range(len(stream)) if reader.feed(stream[at : at + 1])]
    assert arrived == [7, 47]


@pytest.mark.parametrize("size", [0, 1, 7])
def test_a_size_below_the_header_s_own_is_a_violation(size: int) -> None:
    with pytest.raises(NodeProtocolError, match=f"{size} bytes"):
        PacketReader().feed(size.to_bytes(3, "little") + bytes(5))


def test_a_packet_above_the_bound_is_a_violation_before_its_payload_comes() -> None:
    reader = PacketReader(packet_bytes_max=100)
    assert len(reader.feed(encode_packet(1, bytes(92)))) == 1
    with pytest.raises(NodeProtocolError, match="101"):
        reader.feed(encode_packet(1, bytes(93))[:8])


def test_after_a_violation_the_reader_stays_broken() -> None:
    reader = PacketReader()
    with pytest.raises(NodeProtocolError):
        reader.feed(bytes(8))
    with pytest.raises(NodeProtocolError):
        reader.feed(encode_packet(27))
    assert reader.buffered_bytes == 0


@pytest.mark.parametrize("bound", [7, PACKET_BYTES_MAX + 1])
def test_a_bound_that_no_packet_can_have_is_refused(bound: int) -> None:
    with pytest.raises(ValueError, match="packet_bytes_max"):
        PacketReader(packet_bytes_max=bound)


@pytest.mark.parametrize(
    ("packet_type", "payload_bytes", "dejavu"),
    [(256, 0, 0), (-1, 0, 0), (1, 0, 2**32), (1, 0, -1), (1, PACKET_BYTES_MAX - 7, 0)],
)
def test_what_fits_no_header_is_not_encoded(
    packet_type: int, payload_bytes: int, dejavu: int
) -> None:
    with pytest.raises(ValueError):
        encode_packet(packet_type, bytes(payload_bytes), dejavu)
