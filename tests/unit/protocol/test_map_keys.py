"""A key that stands twice in one map is found, however it is written."""

import msgpack
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from realtime_protocol.map_keys import DEPTH_MAX, find_repeated_key

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=40)
    | st.binary(max_size=300)
    | st.builds(msgpack.ExtType, st.integers(0, 127), st.binary(max_size=20)),
    lambda inner: (
        st.lists(inner, max_size=20)
        | st.dictionaries(st.text(max_size=3) | st.integers(0, 20), inner, max_size=20)
    ),
    max_leaves=30,
)


def depth(value: object) -> int:
    if isinstance(value, dict):
        value = [*value, *value.values()]
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


@pytest.mark.slow
@given(VALUES)
def test_whatever_msgpack_makes_of_a_dict_has_no_repeated_key(value: object) -> None:
    assume(depth(value) <= DEPTH_MAX)
    assert find_repeated_key(msgpack.packb(value)) is None


@pytest.mark.parametrize(
    "message",
    [
        bytes.fromhex("82a16101a16102"),
        bytes.fromhex("92c082a16101a16102"),
        bytes.fromhex("81a17882a16101d9016102"),  # "a" once as fixstr and once as str 8.
        bytes.fromhex("de0003a16101a16201a16101"),
    ],
)
def test_a_repeated_key_is_found(message: bytes) -> None:
    assert find_repeated_key(message) == b"a"


def test_one_key_in_two_maps_is_no_repetition() -> None:
    assert find_repeated_key(msgpack.packb([{"a": 1}, {"a": {"a": 2}}])) is None


@pytest.mark.parametrize("message", [b"", b"\x92\x01", bytes.fromhex("81a161")])
def test_a_message_that_is_cut_short_is_refused(message: bytes) -> None:
    with pytest.raises(ValueError, match="cut short"):
        find_repeated_key(message)


def test_deep_nesting_is_refused_before_it_costs_anything() -> None:
    with pytest.raises(ValueError, match="deeper"):
        find_repeated_key(b"\x91" * 10_000)
    assert find_repeated_key(b"\x91" * DEPTH_MAX + b"\x01") is None
