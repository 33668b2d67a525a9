"""The laws of the field and of the group, one element at a time and eight in lanes.

Python's integers and the reference's points say what is right. What batches use without carries
("loose") and what keys use with them ("tight") are tested apart.
"""

import ctypes
import random
from collections.abc import Callable, Iterator, Sequence
from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from native_build import IFMA, build, has_ifma
from realtime_protocol import _pure_fourq as fourq
from realtime_protocol._pure_fourq import Affine, Element, N, P
from signature_corpus import torsion

pytestmark = pytest.mark.slow

LANES = 8
PROBE = Path(__file__).with_name("core_probe.c")
LOOSE, TIGHT = ("-DIN_LANES",), ("-DIN_LANES", "-DTIGHT")
VARIANTS = {
    "gcc": ("gcc", ()),
    "clang, without assembler": ("clang", ("-DWITHOUT_ASSEMBLER",)),
    "loose twin": ("gcc", LOOSE),
    "tight twin": ("gcc", TIGHT),
}
if has_ifma():
    VARIANTS |= {
        "loose ifma": ("gcc", LOOSE + IFMA),
        "tight ifma": ("clang", TIGHT + IFMA),
    }
FORMULAS_OF_KEYS = [name for name in VARIANTS if not name.startswith("loose")]

WORDS_OF_ELEMENT, WORDS_OF_POINT = 4, 8


class Field(IntEnum):
    ADD = 0
    SUBTRACT = 1
    MULTIPLY = 2
    SQUARE = 3
    NEGATE = 4
    CONJUGATE = 5
    INVERT = 6
    DOUBLE = 7


class Group(IntEnum):
    TWICE = 0
    SUM = 1
    DIFFERENCE = 2
    SUM_OF_BOTH = 3
    PHI = 4
    PSI = 5
    FROM_AFFINE = 6


class Probe(NamedTuple):
    """A build of core_probe.c; each call takes eight values and gives eight."""

    library: ctypes.CDLL
    in_lanes: bool

    def run(self, name: str, outputs: Sequence[int], *inputs: object) -> list[tuple[int, ...]]:
        """Call with numbers or lists of eight tuples of words; return the eight outputs' words."""
        function = getattr(self.library, name)
        width = LANES if self.in_lanes else 1
        results: list[tuple[int, ...]] = []
        for first in range(0, LANES, width):
            arguments: list[object] = []
            for each in inputs:
                if isinstance(each, list):
                    rows = each[first : first + width]
                    columns = [row[i] for i in range(len(rows[0])) for row in rows]
                    arguments.append((ctypes.c_uint64 * len(columns))(*columns))
                else:
                    arguments.append(each)
            made = [(ctypes.c_uint64 * (size * width))() for size in outputs]
            function(*arguments, *made)
            by_lane = [
                [m[lane : n * width : width] for m, n in zip(made, outputs, strict=True)]
                for lane in range(width)
            ]
            results += [tuple(word for part in parts for word in part) for parts in by_lane]
        return results


@cache
def built(folder: Path, variant: str) -> Probe:
    compiler, options = VARIANTS[variant]
    target = folder / f"{variant.replace(' ', '-')}.so"
    build([PROBE], target, "-O1", "-fPIC", *options, link=["-shared"], compiler=compiler)
    return Probe(ctypes.CDLL(str(target)), "-DIN_LANES" in options)


@pytest.fixture(scope="session")
def probe_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Probe]:
    folder = tmp_path_factory.mktemp("probe")
    return lambda variant: built(folder, variant)


def words(*numbers: int) -> tuple[int, ...]:
    return tuple(n >> shift & (1 << 64) - 1 for n in numbers for shift in (0, 64))


def numbers(row: Sequence[int]) -> tuple[int, ...]:
    return tuple(low | high << 64 for low, high in zip(row[::2], row[1::2], strict=True))


EDGES = [0, 1, 2, P, P - 1, P - 2, P >> 1, 1 << 126, (1 << 43) - 1, 1 << 43, 1 << 86]
EDGES += [(1 << 86) - 1, (1 << 64) - 1, 1 << 64, (1 << 127) - (1 << 86), (1 << 127) - (1 << 64)]
HALVES = st.sampled_from(EDGES) | st.integers(0, P)
ELEMENTS = st.lists(st.tuples(HALVES, HALVES), min_size=LANES, max_size=LANES)


def inverse(a: Element) -> Element:
    norm = pow(a[0] * a[0] + a[1] * a[1], P - 2, P)
    return a[0] * norm % P, -a[1] * norm % P


def product(a: Element, b: Element) -> Element:
    return (a[0] * b[0] - a[1] * b[1]) % P, (a[0] * b[1] + a[1] * b[0]) % P


LAWS: dict[Field, Callable[[Element, Element], Element]] = {
    Field.ADD: lambda a, b: ((a[0] + b[0]) % P, (a[1] + b[1]) % P),
    Field.SUBTRACT: lambda a, b: ((a[0] - b[0]) % P, (a[1] - b[1]) % P),
    Field.MULTIPLY: product,
    Field.SQUARE: lambda a, _: product(a, a),
    Field.NEGATE: lambda a, _: (-a[0] % P, -a[1] % P),
    Field.CONJUGATE: lambda a, _: (a[0] % P, -a[1] % P),
    Field.INVERT: lambda a, _: inverse(a),
    Field.DOUBLE: lambda a, _: (2 * a[0] % P, 2 * a[1] % P),
}


@pytest.mark.parametrize("variant", VARIANTS)
@given(left=ELEMENTS, right=ELEMENTS)
@settings(max_examples=20, deadline=None)
def test_the_field_is_that_of_python_s_integers(
    probe_of: Callable[[str], Probe], variant: str, left: list[Element], right: list[Element]
) -> None:
    probe = probe_of(variant)
    a, b = [words(*each) for each in left], [words(*each) for each in right]
    for operation, law in LAWS.items():
        found = probe.run("field", [WORDS_OF_ELEMENT], operation, a, b)
        expected = [law(*pair) for pair in zip(left, right, strict=True)]
        assert [numbers(row) for row in found] == expected, operation
    zeros = [row == (1,) for row in probe.run("is_zero", [1], a)]
    assert zeros == [each[0] % P == each[1] % P == 0 for each in left]


def point_of(scalar: int) -> Affine:
    point = fourq.decode_point(fourq.encode_point(fourq.multiply_generator(scalar % N)))
    assert point is not None
    return point


def point_words(points: Sequence[Affine]) -> list[tuple[int, ...]]:
    return [words(*point.x, *point.y) for point in points]


def expected_rows(points: Iterator[fourq.Point]) -> list[tuple[int, ...]]:
    rows: list[tuple[int, ...]] = []
    for point in points:
        affine = fourq.decode_point(fourq.encode_point(point))
        assert affine is not None
        rows.append((*affine.x, *affine.y))
    return rows


def xy(row: Sequence[int]) -> tuple[int, ...]:
    """Return x and y, once it is seen that the third coordinate is their product."""
    x0, x1, y0, y1, t0, t1 = numbers(row)
    assert product((x0, x1), (y0, y1)) == (t0, t1)
    return x0, x1, y0, y1


SCALARS = st.lists(
    st.sampled_from([0, 1, 2, N - 1]) | st.integers(0, N - 1), min_size=8, max_size=8
)


@pytest.mark.parametrize("variant", VARIANTS)
@given(left=SCALARS, right=SCALARS)
@settings(max_examples=8, deadline=None)
def test_points_are_added_as_the_reference_adds_them(
    probe_of: Callable[[str], Probe], variant: str, left: list[int], right: list[int]
) -> None:
    a, b = (point_words([point_of(k) for k in scalars]) for scalars in (left, right))
    expected: dict[Group, Callable[[int, int], int]] = {
        Group.TWICE: lambda k, _: 2 * k,
        Group.SUM: lambda k, m: k + m,
        Group.SUM_OF_BOTH: lambda k, m: k + m,
        Group.DIFFERENCE: lambda k, m: k - m,
        Group.FROM_AFFINE: lambda k, _: k,
    }
    for operation, scalar in expected.items():
        found = probe_of(variant).run("group", [12], operation, a, b)
        wanted = [point_of(scalar(*pair)) for pair in zip(left, right, strict=True)]
        assert [xy(row) for row in found] == [(*point.x, *point.y) for point in wanted], operation


PSI_SQUARED, PHI_SQUARED = 8, -20


@pytest.mark.parametrize("variant", FORMULAS_OF_KEYS)
def test_the_endomorphisms_are_square_roots_of_8_and_minus_20_and_commute(
    probe_of: Callable[[str], Probe], variant: str
) -> None:
    probe = probe_of(variant)
    source = random.Random(8)
    scalars = [1, 2, N - 1, *(source.randrange(1, N) for _ in range(LANES - 3))]
    start = point_words([point_of(k) for k in scalars])

    def image(operation: Group, rows: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
        return [words(*xy(row)) for row in probe.run("group", [12], operation, rows, rows)]

    for operation, square in ((Group.PSI, PSI_SQUARED), (Group.PHI, PHI_SQUARED)):
        twice = image(operation, image(operation, start))
        assert twice == point_words([point_of(square * k) for k in scalars])
    assert image(Group.PHI, image(Group.PSI, start)) == image(Group.PSI, image(Group.PHI, start))


@pytest.mark.parametrize("variant", FORMULAS_OF_KEYS)
def test_of_392_torsion_classes_the_subgroup_is_the_one_without_torsion(
    probe_of: Callable[[str], Probe], variant: str
) -> None:
    probe = probe_of(variant)
    base = fourq.multiply_generator(random.Random(9).randrange(1, N))
    rows = expected_rows(fourq.add_points(base, small) for small in torsion())
    assert len({*rows}) == fourq.COFACTOR
    is_pure = []
    for at in range(0, len(rows), LANES):
        chosen = [words(*row) for row in rows[at : at + LANES]]
        is_pure += [row == (1,) for row in probe.run("subgroup", [1], chosen)]
    assert [i for i, pure in enumerate(is_pure) if pure] == [
        i for i, small in enumerate(torsion()) if fourq.is_neutral(small)
    ]


@pytest.mark.parametrize("variant", FORMULAS_OF_KEYS)
def test_points_of_low_order_alone_are_outside_the_subgroup(
    probe_of: Callable[[str], Probe], variant: str
) -> None:
    probe = probe_of(variant)
    rows = expected_rows(small for small in torsion() if not fourq.is_neutral(small))
    rows += rows[:1]  # A whole number of eights.
    for at in range(0, len(rows), LANES):
        chosen = [words(*row) for row in rows[at : at + LANES]]
        assert probe.run("subgroup", [1], chosen) == [(0,)] * LANES, at


@pytest.mark.parametrize("variant", FORMULAS_OF_KEYS)
@given(ys=ELEMENTS, signs=st.lists(st.integers(0, 1), min_size=LANES, max_size=LANES))
@settings(max_examples=20, deadline=None)
def test_an_x_is_found_exactly_where_the_reference_finds_one(
    probe_of: Callable[[str], Probe], variant: str, ys: list[Element], signs: list[int]
) -> None:
    rows = [words(*y) for y in ys]
    found = probe_of(variant).run(
        "decode", [WORDS_OF_ELEMENT, 1], rows, [(sign,) for sign in signs]
    )
    for y, sign, row in zip(ys, signs, found, strict=True):
        encoded = (y[0] | y[1] << 128 | sign << 255).to_bytes(32, "little")
        point = fourq.decode_point(encoded)
        assert row[-1] == (point is not None)
        if point is not None:
            x0, x1 = numbers(row[:-1])
            assert (x0 % P, x1 % P) == point.x
