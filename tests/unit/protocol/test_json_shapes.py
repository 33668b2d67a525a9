"""Where the shapes of JSON come from, and where they end."""

from typing import Annotated, Any

import pytest
from msgspec import Meta, Struct

from realtime_protocol.json_shapes import Misfit, shape_of
from realtime_protocol.messages import JSON_FORM, JSON_IDENTITY, SnapshotItem

Wallet = Annotated[bytes, Meta(extra={JSON_FORM: JSON_IDENTITY})]


class Plain(Struct, array_like=True):
    """Nothing to do."""

    number: int
    names: list[str]
    facts: dict[str, int | str]


class Named(Struct):
    """A map: bodies are arrays."""

    wallet: Wallet


class Flat(Struct, array_like=True):
    """Bytes here and there."""

    data: bytes | None
    wallets: list[Wallet] | bytes


def test_a_body_without_bytes_has_no_shape() -> None:
    assert shape_of(Plain) is None
    assert shape_of(int | None) is None


def test_each_place_is_read_by_its_own_type() -> None:
    shape = shape_of(list[Flat])
    assert shape is not None
    value = [[b"\x00", [bytes(32)]], [None, b"\xff"]]
    shown = [["AA", ["A" * 56 + "FXIB"]], [None, "_w"]]
    assert shape.to_json(value) == shown
    assert shape.from_json(shown, "$") == value


def test_what_is_no_array_is_left_for_the_reader_of_the_body_to_refuse() -> None:
    shape = shape_of(Flat)
    assert shape is not None
    for odd in (None, 7, "text", {"data": "AA"}):
        assert shape.from_json(odd, "$") == odd
    assert shape.from_json([], "$") == []
    assert shape.from_json([None, None, "more"], "$") == [None, None, "more"]


def test_a_misfit_says_where_it_stands() -> None:
    shape = shape_of(list[Flat])
    assert shape is not None
    with pytest.raises(Misfit, match=r"at `\$\[1\]\[1\]\[0\]`"):
        shape.from_json([[None, "AA"], ["AA", ["A"]]], "$")


def test_an_embedded_body_is_what_it_fits() -> None:
    shape = shape_of(SnapshotItem)
    assert shape is not None
    of_trust: list[Any] = [bytes(32), [1, 80, 7, 0, 1, 0, 5]]
    of_payment: list[Any] = [bytes(16), 1, 0, 7, bytes(32), 0, None]
    for value, first in ((of_trust, "A" * 56 + "FXIB"), (of_payment, "A" * 22)):
        shown = shape.to_json(value)
        assert shown[0] == first
        assert shape.from_json(shown, "$") == value
    with pytest.raises(Misfit):
        shape.from_json(["A" * 22], "$")
    with pytest.raises(Misfit):
        shape.to_json([1])


@pytest.mark.parametrize(
    "type_", [bytes | str, list[bytes] | Flat, Named, dict[str, bytes], float, Any]
)
def test_a_type_that_json_cannot_tell_or_bodies_do_not_have_is_refused(type_: Any) -> None:
    with pytest.raises(TypeError):
        shape_of(type_)
