"""Frames between bytes and messages, without a network."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame

from raw_socket import BINARY, CLOSE, CONT, PING, PONG, TEXT, frame
from realtime_hub.surfaces.ws.frames import (
    NOT_UTF8,
    Broken,
    FrameStream,
    TextStream,
    encode_messages,
    encode_texts,
    peek_type,
)


@dataclass
class Bounds:
    """What a session allows."""

    frame_bytes_max: int = 16_384
    fragments_max: int = 64


Event = bytes | tuple[int, bytes] | Broken


def read(stream: FrameStream, data: bytes) -> list[Event]:
    """Return everything that *data* completes, in order; plain messages as bytes."""
    events: list[Event] = list(stream.receive(data))
    while (odd := stream.odd()) is not None:
        events.append(
            (int(odd.opcode), bytes(odd.data))
            if isinstance(odd, Frame) and odd.opcode != BINARY
            else odd
            if isinstance(odd, Broken)
            else bytes(odd.data)
        )
        events += stream.receive(b"")
    return events


def test_messages_of_one_read_come_out_together_in_order() -> None:
    messages = [bytes([n]) * size for n, size in enumerate((1, 125, 126, 300, 16_384))]
    stream = FrameStream(Bounds())
    assert stream.receive(b"".join(frame(message) for message in messages)) == messages
    assert stream.held_bytes == 0


_FRAMES = st.lists(
    st.one_of(
        st.binary(max_size=400).map(lambda data: (frame(data), [data])),
        st.binary(max_size=125).map(lambda data: (frame(data, PING), [(PING, data)])),
        st.binary(max_size=125).map(lambda data: (frame(data, PONG), [(PONG, b"")])),
        st.lists(st.binary(max_size=200), min_size=2, max_size=5).map(
            lambda parts: (
                frame(parts[0], fin=False)
                + b"".join(frame(part, CONT, fin=False) for part in parts[1:-1])
                + frame(parts[-1], CONT),
                [b"".join(parts)],
            )
        ),
    ),
    max_size=8,
)


@given(_FRAMES, st.lists(st.integers(min_value=1, max_value=700), max_size=30))
def test_where_the_stream_is_cut_changes_nothing(
    frames: list[tuple[bytes, list[Event]]], cuts: list[int]
) -> None:
    data = b"".join(sent for sent, _ in frames)
    stream = FrameStream(Bounds())
    events: list[Event] = []
    for size in cuts:
        events += read(stream, data[:size])
        data = data[size:]
    events += read(stream, data)
    # A pong between fragments is read by websockets, which tells its content.
    assert [(e[0], b"") if isinstance(e, tuple) and e[0] == PONG else e for e in events] == [
        event for _, expected in frames for event in expected
    ]
    assert stream.held_bytes == 0


def test_what_comes_between_fragments_does_not_disturb_them() -> None:
    stream = FrameStream(Bounds())
    data = frame(b"one", fin=False) + frame(b"?", PING) + frame(b"two", CONT)
    assert read(stream, data) == [(PING, b"?"), b"onetwo"]
    assert stream.output() == [b"\x8a\x01?"]
    assert read(stream, frame(b"three")) == [b"three"]


BROKEN = {
    "a reserved bit": (frame(b"x", rsv=1)[:2], 1002),
    "an unknown opcode": (frame(b"x", 0x3)[:2], 1002),
    "no mask": (frame(b"x", mask=False)[:2], 1002),
    "a ping in fragments": (frame(b"x", PING, fin=False)[:2], 1002),
    "a ping of 126 bytes": (frame(bytes(126), PING)[:2], 1002),
    "125 bytes told in 16 bits": (b"\x82\xfe\x00\x7d", 1002),
    "65,535 bytes told in 64 bits": (b"\x82\xff" + (65_535).to_bytes(8), 1002),
    "a byte too many": (b"\x82\xfe" + (16_385).to_bytes(2), 1009),
    "a mebibyte": (b"\x82\xff" + (2**20).to_bytes(8), 1009),
    "more than there is memory": (b"\x82\xff" + (2**63).to_bytes(8), 1009),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_header_that_breaks_a_rule_is_refused_before_anything_follows_it(name: str) -> None:
    header, code = BROKEN[name]
    for stream in (FrameStream(Bounds()), TextStream(Bounds())):
        plain = frame(b"before")
        before, event = read(stream, plain + header)
        assert before == b"before"
        assert isinstance(event, Broken)
        assert event.code == code
        goodbye, end = stream.output()
        assert goodbye[2:4] == code.to_bytes(2)
        assert end == b""
        assert not stream.is_open
        assert read(stream, frame(b"after")) == []
        assert stream.held_bytes == 0


def test_small_fragments_count_together() -> None:
    stream = FrameStream(Bounds(frame_bytes_max=300))
    data = frame(bytes(100), fin=False) + frame(bytes(100), CONT, fin=False) * 3
    [event] = read(stream, data)
    assert isinstance(event, Broken)
    assert event.code == 1009


def test_a_message_has_at_most_so_many_fragments() -> None:
    stream = FrameStream(Bounds(fragments_max=3))
    assert read(stream, frame(b"", fin=False) + frame(b"", CONT, fin=False) * 2) == []
    [event] = read(stream, frame(b"", CONT))
    assert isinstance(event, Broken)
    assert event.code == 4500


def test_after_our_goodbye_only_the_clients_counts() -> None:
    stream = FrameStream(Bounds())
    stream.close(4000, "draining")
    stream.close(4001, "again")
    assert stream.output() == [b"\x88\x0a\x0f\xa0draining"]
    data = frame(b"late") + frame(b"t", TEXT) + frame(b"\x0f\xa0", CLOSE)
    [event] = read(stream, data)
    assert event == (CLOSE, b"\x0f\xa0")
    assert stream.output() == [b""]


def test_frames_out_have_the_shortest_header() -> None:
    sizes = {125: 2, 126: 4, 65_535: 4, 65_536: 10}
    for size, header_bytes in sizes.items():
        assert len(encode_messages([bytes(size)])) == size + header_bytes
    assert encode_messages([b"a", b"bc"]) == b"\x82\x01a\x82\x02bc"
    assert encode_texts([b"a", b"bc"]) == b"\x81\x01a\x81\x02bc"
    assert encode_texts([bytes(126)])[:4] == b"\x81\x7e\x00\x7e"


@given(
    st.lists(st.lists(st.text(max_size=90), min_size=1, max_size=4), max_size=6),
    st.lists(st.integers(min_value=1, max_value=300), max_size=30),
)
def test_text_comes_whole_in_fragments_and_cut_anywhere(
    messages: list[list[str]], cuts: list[int]
) -> None:
    data = b""
    for parts in messages:
        for place, part in enumerate(parts):
            fin = place == len(parts) - 1
            data += frame(part.encode(), CONT if place else TEXT, fin=fin)
    stream = TextStream(Bounds())
    events: list[Event] = []
    for size in cuts:
        events += read(stream, data[:size])
        data = data[size:]
    events += read(stream, data)
    assert events == [(TEXT, "".join(parts).encode()) for parts in messages]
    assert stream.held_bytes == 0
    assert not stream.in_message


def test_binary_frames_among_text_are_told_as_what_they_are() -> None:
    stream = TextStream(Bounds())
    assert read(stream, frame(b"t", TEXT) + frame(b"b")) == [(TEXT, b"t"), b"b"]


@pytest.mark.parametrize(
    "sent",
    [
        frame(b"\xff", TEXT),
        frame(b"\xc3", TEXT),
        frame(b"\xed\xa0\xbd", TEXT),
        frame(b"ok\xc3", TEXT, fin=False) + frame(b"(", CONT),
    ],
    ids=["no letter", "half a letter", "half a pair", "in fragments"],
)
def test_text_that_is_not_utf8_is_refused_with_1007(sent: bytes) -> None:
    stream = TextStream(Bounds())
    [before, event] = read(stream, frame(b"\xc3\xa4", TEXT) + sent)
    assert before == (TEXT, b"\xc3\xa4")
    assert isinstance(event, Broken)
    assert event.code == NOT_UTF8
    assert read(stream, frame(b"after", TEXT)) == []
    assert stream.held_bytes == 0


def test_half_a_letter_may_end_a_fragment() -> None:
    letter = "ä".encode()
    stream = TextStream(Bounds())
    sent = frame(letter[:1], TEXT, fin=False) + frame(b"?", PING) + frame(letter[1:], CONT)
    assert read(stream, sent) == [(PING, b"?"), (TEXT, letter)]


@given(st.integers(0, 0x7F), st.binary(min_size=6, max_size=400))
def test_the_type_of_the_first_message_is_seen_behind_its_mask(kind: int, rest: bytes) -> None:
    assert peek_type(frame(bytes((0x93, kind)) + rest)) == kind


@given(st.binary(max_size=12))
def test_whatever_comes_a_type_or_none_is_seen(data: bytes) -> None:
    assert -1 <= peek_type(data) <= 255
