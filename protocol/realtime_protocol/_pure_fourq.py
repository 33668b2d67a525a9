"""The curve FourQ in pure Python: points, their 32-byte form, and multiplication by scalars.

-x^2 + y^2 = 1 + d x^2 y^2 over GF(p^2), p = 2^127 - 1, i^2 = -1; parameters as in qubic/core's
four_q.h. Formulas are those of Hisil, Wong, Carter and Dawson for a = -1; they are complete here
(d is not a square), so no input needs a case of its own.

Nothing here runs in constant time: keys of value belong into a wallet, not into this process.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Final, NamedTuple

P: Final = (1 << 127) - 1
N: Final = 0x29CBC14E5E0A72F05397829CBC14E5DFBD004DFE0F79992FB2540EC7768CE7
COFACTOR: Final = 392

_D: Final = (0x00000000000000E40000000000000142, 0x5E472F846657E0FCB3821488F1FC0C8D)
_GENERATOR: Final = (
    (0x1A3472237C2FB305286592AD7B3833AA, 0x1E1F553F2878AA9C96869FB360AC77F6),
    (0x0E3FEE9BA120785AB924A2462BCBB287, 0x6E1C4AF8630E024249A7C344844C8B5C),
)
_HALF: Final = (P + 1) // 2
_SIGN_BIT: Final = 1 << 255

# Fixed-base digits of 5 bits: 50 additions a product, and a table of 1,550 points.
_COMB_BITS: Final = 5
_COMB_DIGITS: Final = 50
# Variable-base digits of 5 bits with sign: 8 odd multiples a point.
_WNAF_BITS: Final = 5

Element = tuple[int, int]  # a0 + a1 i


class Affine(NamedTuple):
    """A point by its two coordinates, fully reduced."""

    x: Element
    y: Element


class Point(NamedTuple):
    """A point in extended coordinates: x = X/Z, y = Y/Z, xy = Ta Tb / Z."""

    x0: int
    x1: int
    y0: int
    y1: int
    z0: int
    z1: int
    ta0: int
    ta1: int
    tb0: int
    tb1: int


class Addend(NamedTuple):
    """A point made ready for addition: y + x, y - x, 2 d x y."""

    sum0: int
    sum1: int
    difference0: int
    difference1: int
    product0: int
    product1: int


NEUTRAL: Final = Point(0, 0, 1, 0, 1, 0, 0, 0, 1, 0)


def _multiply(a: Element, b: Element) -> Element:
    low, high = a[0] * b[0], a[1] * b[1]
    return (low - high) % P, ((a[0] + a[1]) * (b[0] + b[1]) - low - high) % P


def _invert(a: Element) -> Element:
    """Return 1/a; the inverse of zero is zero."""
    norm_inverse = pow(a[0] * a[0] + a[1] * a[1], P - 2, P)
    return a[0] * norm_inverse % P, -a[1] * norm_inverse % P


def _square_root(a: Element) -> Element | None:
    """Return one of the two roots of *a*, or None when it isn't a square."""
    # (x0 + x1 i)^2 = a means x0^2 = (a0 +- |a|) / 2 and 2 x0 x1 = a1.
    length = pow(a[0] * a[0] + a[1] * a[1], (P + 1) // 4, P)
    for half in ((a[0] + length) * _HALF % P, (a[0] - length) * _HALF % P):
        x0 = pow(half, (P + 1) // 4, P)
        x1 = a[1] * _HALF * pow(x0, P - 2, P) % P if x0 else pow(-a[0], (P + 1) // 4, P)
        root = (x0, x1)
        if _multiply(root, root) == a:
            return root
    return None


def decode_point(data: bytes) -> Affine | None:
    """Return the point that the 32 bytes name, or None when none lies on the curve there.

    As in core, a half of y that is p counts as 0, and bit 127 must have been checked before.
    """
    number = int.from_bytes(data, "little")
    y = (number & P) % P, (number >> 128 & P) % P
    square = _multiply(y, y)
    denominator = _multiply(_D, square)
    x = _square_root(
        _multiply((square[0] - 1, square[1]), _invert((denominator[0] + 1, denominator[1])))
    )
    if x is None:
        return None
    if _sign(x) != number >> 255:
        x = (-x[0] % P, -x[1] % P)
    return Affine(x, y)


def encode_point(point: Point) -> bytes:
    """Return the one canonical form in 32 bytes."""
    inverse = _invert((point.z0, point.z1))
    x = _multiply((point.x0, point.x1), inverse)
    y = _multiply((point.y0, point.y1), inverse)
    return (y[0] | y[1] << 128 | _sign(x) << 255).to_bytes(32, "little")


def _sign(x: Element) -> int:
    return (x[0] or x[1]) >> 126


def extended(point: Affine) -> Point:
    """Return the same point in extended coordinates."""
    return Point(*point.x, *point.y, 1, 0, *point.x, *point.y)


def is_neutral(point: Point) -> bool:
    """Tell whether this is (0, 1)."""
    return (
        point.x0 % P == point.x1 % P == 0
        and (point.y0 - point.z0) % P == (point.y1 - point.z1) % P == 0
    )


def _addends(points: Sequence[Point]) -> list[Addend]:
    """Make points ready for addition, with one inversion for all of them."""
    products: list[Element] = [(1, 0)]
    for point in points:
        products.append(_multiply(products[-1], (point.z0, point.z1)))
    inverse = _invert(products[-1])
    addends = []
    for point, product in zip(reversed(points), reversed(products[:-1]), strict=True):
        z_inverse = _multiply(inverse, product)
        inverse = _multiply(inverse, (point.z0, point.z1))
        addends.append(
            _addend(
                _multiply((point.x0, point.x1), z_inverse),
                _multiply((point.y0, point.y1), z_inverse),
            )
        )
    addends.reverse()
    return addends


def _addend(x: Element, y: Element) -> Addend:
    product = _multiply(_multiply(x, y), (2 * _D[0], 2 * _D[1]))
    return Addend(
        (y[0] + x[0]) % P, (y[1] + x[1]) % P, (y[0] - x[0]) % P, (y[1] - x[1]) % P, *product
    )


def _negated(addend: Addend) -> Addend:
    return Addend(*addend[2:4], *addend[:2], -addend.product0 % P, -addend.product1 % P)


def double(point: Point) -> Point:
    """Return twice the point. The field arithmetic is written out: calls would cost a third."""
    x0, x1, y0, y1, z0, z1, _, _, _, _ = point
    # A = X^2, B = Y^2, C = 2 Z^2, E = 2 X Y, G = B - A, H = -(A + B), F = G - C.
    a0, a1 = (x0 + x1) * (x0 - x1) % P, 2 * x0 * x1 % P
    b0, b1 = (y0 + y1) * (y0 - y1) % P, 2 * y0 * y1 % P
    low, high = x0 * y0, x1 * y1
    e0, e1 = 2 * (low - high) % P, 2 * ((x0 + x1) * (y0 + y1) - low - high) % P
    g0, g1 = b0 - a0, b1 - a1
    h0, h1 = -a0 - b0, -a1 - b1
    f0, f1 = g0 - 2 * ((z0 + z1) * (z0 - z1) % P), g1 - 4 * z0 * z1 % P
    return _completed(e0, e1, f0, f1, g0, g1, h0, h1)


def add(point: Point, addend: Addend) -> Point:
    """Return the sum of the two points."""
    x0, x1, y0, y1, z0, z1, ta0, ta1, tb0, tb1 = point
    sum0, sum1, difference0, difference1, product0, product1 = addend
    # A = (Y - X)(y - x), B = (Y + X)(y + x), C = T 2dxy, D = 2 Z.
    u0, u1 = y0 - x0, y1 - x1
    low, high = u0 * difference0, u1 * difference1
    a0 = (low - high) % P
    a1 = ((u0 + u1) * (difference0 + difference1) - low - high) % P
    u0, u1 = y0 + x0, y1 + x1
    low, high = u0 * sum0, u1 * sum1
    b0 = (low - high) % P
    b1 = ((u0 + u1) * (sum0 + sum1) - low - high) % P
    low, high = ta0 * tb0, ta1 * tb1
    u0, u1 = (low - high) % P, ((ta0 + ta1) * (tb0 + tb1) - low - high) % P
    low, high = u0 * product0, u1 * product1
    c0 = (low - high) % P
    c1 = ((u0 + u1) * (product0 + product1) - low - high) % P
    d0, d1 = 2 * z0, 2 * z1
    return _completed(b0 - a0, b1 - a1, d0 - c0, d1 - c1, d0 + c0, d1 + c1, b0 + a0, b1 + a1)


def _completed(e0: int, e1: int, f0: int, f1: int, g0: int, g1: int, h0: int, h1: int) -> Point:
    """Return (E F : G H : F G) with T = E H left as its factors."""
    low, high = e0 * f0, e1 * f1
    x0, x1 = (low - high) % P, ((e0 + e1) * (f0 + f1) - low - high) % P
    low, high = g0 * h0, g1 * h1
    y0, y1 = (low - high) % P, ((g0 + g1) * (h0 + h1) - low - high) % P
    low, high = f0 * g0, f1 * g1
    z0, z1 = (low - high) % P, ((f0 + f1) * (g0 + g1) - low - high) % P
    return Point(x0, x1, y0, y1, z0, z1, e0, e1, h0, h1)


@cache
def _generator_table() -> tuple[tuple[Addend, ...], ...]:
    """Return digit * 32^i * G at [i][digit - 1]; made at the first use, in some 20 ms."""
    points = []
    base = extended(Affine(*_GENERATOR))
    for _ in range(_COMB_DIGITS):
        (step,) = _addends([base])
        multiples = [base]
        while len(multiples) < (1 << _COMB_BITS) - 1:
            multiples.append(add(multiples[-1], step))
        points += multiples
        base = add(multiples[-1], step)
    addends = _addends(points)
    width = (1 << _COMB_BITS) - 1
    return tuple(tuple(addends[i : i + width]) for i in range(0, len(addends), width))


def multiply_generator(scalar: int) -> Point:
    """Return [scalar]G for 0 <= scalar < N."""
    point = NEUTRAL
    for row in _generator_table():
        digit = scalar & ((1 << _COMB_BITS) - 1)
        if digit:
            point = add(point, row[digit - 1])
        scalar >>= _COMB_BITS
    return point


class Multiples:
    """The small multiples of one point, kept to multiply it quickly and often."""

    __slots__ = ("_by_digit",)

    def __init__(self, point: Affine) -> None:
        base = extended(point)
        (step,) = _addends([double(base)])
        odd = [base]
        while len(odd) < 1 << (_WNAF_BITS - 2):
            odd.append(add(odd[-1], step))
        self._by_digit = {2 * i + 1: addend for i, addend in enumerate(_addends(odd))}
        self._by_digit |= {-digit: _negated(addend) for digit, addend in self._by_digit.items()}

    def multiply(self, scalar: int) -> Point:
        """Return the point times *scalar*, which isn't negative."""
        point = NEUTRAL
        for digit in _signed_digits(scalar):
            point = double(point)
            if digit:
                point = add(point, self._by_digit[digit])
        return point


def _signed_digits(scalar: int) -> Iterable[int]:
    """Return the non-adjacent form, highest digit first: zeros and odd digits from -15 to 15."""
    digits = []
    while scalar:
        digit = 0
        if scalar & 1:
            digit = scalar & ((1 << _WNAF_BITS) - 1)
            if digit >> (_WNAF_BITS - 1):
                digit -= 1 << _WNAF_BITS
            scalar -= digit
        digits.append(digit)
        scalar >>= 1
    return reversed(digits)


def add_points(point: Point, other: Point) -> Point:
    """Return the sum of two points in extended coordinates."""
    (addend,) = _addends([other])
    return add(point, addend)
