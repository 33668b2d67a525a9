from hypothesis import given, settings
from hypothesis import strategies as st

from realtime_protocol import _pure_fourq as fourq

scalars = st.integers(0, fourq.N - 1)


def generator() -> fourq.Multiples:
    point = fourq.decode_point(fourq.encode_point(fourq.multiply_generator(1)))
    assert point is not None
    return fourq.Multiples(point)


def test_the_order_times_the_generator_is_neutral() -> None:
    assert fourq.is_neutral(generator().multiply(fourq.N))
    assert not fourq.is_neutral(generator().multiply(fourq.N - 1))
    assert fourq.is_neutral(fourq.multiply_generator(0))


@given(scalars)
@settings(max_examples=20, deadline=None)
def test_the_table_of_the_generator_and_the_general_way_agree(scalar: int) -> None:
    expected = fourq.encode_point(generator().multiply(scalar))
    assert fourq.encode_point(fourq.multiply_generator(scalar)) == expected


@given(scalars, scalars)
@settings(max_examples=15, deadline=None)
def test_multiplication_distributes_over_addition(a: int, b: int) -> None:
    total = fourq.add_points(fourq.multiply_generator(a), fourq.multiply_generator(b))
    expected = fourq.encode_point(fourq.multiply_generator((a + b) % fourq.N))
    assert fourq.encode_point(total) == expected


@given(scalars)
@settings(max_examples=15, deadline=None)
def test_a_point_survives_its_32_bytes(scalar: int) -> None:
    encoded = fourq.encode_point(fourq.multiply_generator(scalar))
    point = fourq.decode_point(encoded)
    assert point is not None
    assert fourq.encode_point(fourq.extended(point)) == encoded


def test_doubling_is_adding_to_itself() -> None:
    point = fourq.multiply_generator(12345)
    doubled = fourq.encode_point(fourq.double(point))
    assert doubled == fourq.encode_point(fourq.add_points(point, point))


def test_the_other_root_is_taken_when_the_sign_bit_is_flipped() -> None:
    encoded = bytearray(fourq.encode_point(fourq.multiply_generator(3)))
    point = fourq.decode_point(bytes(encoded))
    encoded[31] ^= 0x80
    mirrored = fourq.decode_point(bytes(encoded))
    assert point is not None
    assert mirrored is not None
    assert mirrored.y == point.y
    assert mirrored.x == (fourq.P - point.x[0], fourq.P - point.x[1])


def test_roots_are_found_for_every_square_also_for_real_and_imaginary_ones() -> None:
    elements = [(0, 0), (1, 0), (0, 1), (5, 0), (0, 5), (fourq.P - 2, 0), (2, 3), (3, fourq.P - 2)]
    for element in elements:
        square = fourq._multiply(element, element)
        root = fourq._square_root(square)
        assert root is not None
        assert fourq._multiply(root, root) == square


def test_half_of_the_elements_have_no_root() -> None:
    without = sum(fourq._square_root((a, 1)) is None for a in range(40))
    assert 8 < without < 32
