"""How the parts of a body look as JSON: its arrays and numbers as they are, bytes as text.

A shape is made from a body's type, by the annotations in :mod:`~realtime_protocol.messages`: byte
strings are base64url without padding, wallets their 60 letters. So a new message needs no code
here. A part without bytes has no shape: it stays as it is.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

from msgspec import MsgspecError, convert, inspect

from realtime_protocol.identity import encode_identity, parse_identity
from realtime_protocol.messages import JSON_FORM, JSON_IDENTITY


class Misfit(ValueError):  # noqa: N818  # says what and where, for a bad_message
    """A part of a message can't be what stands at its place."""


class Shape(Protocol):
    """One part of a body, both ways. Values are what msgpack and JSON read without types."""

    def to_json(self, value: Any) -> Any:
        """Return what stands in the JSON for a *value* of ours."""
        ...

    def from_json(self, value: Any, at: str) -> Any:
        """Return the value that JSON stands for; Misfit tells that the one at *at* is wrong.

        What no bytes can stand for is returned as it is: the reader of the body knows its type.
        """
        ...


def shape_of(body: Any) -> Shape | None:
    """Make the shape of a type; None when it holds no bytes.

    TypeError for a type that JSON can't tell from another: choose another one for the message.
    """
    return _shape(inspect.type_info(body))


class _Bytes:
    """Bytes as base64url without padding: one text for each."""

    def to_json(self, value: bytes) -> str:
        return urlsafe_b64encode(value).rstrip(b"=").decode()

    def from_json(self, value: Any, at: str) -> bytes:
        if isinstance(value, str):
            try:
                data = urlsafe_b64decode(value + "=" * (-len(value) % 4))
            except ValueError:
                data = b""
            # What the decoder passed over doesn't come back.
            if self.to_json(data) == value:
                return data
        raise Misfit(f"Expected base64url without padding - at `{at}`")


class _Identity:
    """A wallet as its 60 letters."""

    def to_json(self, value: bytes) -> str:
        return encode_identity(value)

    def from_json(self, value: Any, at: str) -> bytes:
        if not isinstance(value, str):
            raise Misfit(f"Expected an identity of 60 letters - at `{at}`")
        try:
            return parse_identity(value)
        except ValueError as error:
            raise Misfit(f"{error} - at `{at}`") from error


@dataclass(frozen=True, slots=True)
class _Array:
    """A struct: what stands where, for those parts that have a shape."""

    parts: tuple[tuple[int, Shape], ...]

    def to_json(self, value: list[Any]) -> list[Any]:
        items = list(value)
        for place, shape in self.parts:
            if place < len(items):
                items[place] = shape.to_json(items[place])
        return items

    def from_json(self, value: Any, at: str) -> Any:
        if not isinstance(value, list):
            return value
        items = list(value)
        for place, shape in self.parts:
            if place < len(items):
                items[place] = shape.from_json(items[place], f"{at}[{place}]")
        return items


@dataclass(frozen=True, slots=True)
class _List:
    """Any number of one shape."""

    item: Shape

    def to_json(self, value: list[Any]) -> list[Any]:
        return [self.item.to_json(item) for item in value]

    def from_json(self, value: Any, at: str) -> Any:
        if not isinstance(value, list):
            return value
        return [self.item.from_json(item, f"{at}[{place}]") for place, item in enumerate(value)]


@dataclass(frozen=True, slots=True)
class _Either:
    """One of several, told apart by what it is in JSON: an array, a text, or anything else."""

    array: Shape | None
    text: Shape | None

    def to_json(self, value: Any) -> Any:
        shape = self._shape_of(value)
        return value if shape is None else shape.to_json(value)

    def from_json(self, value: Any, at: str) -> Any:
        shape = self._shape_of(value)
        return value if shape is None else shape.from_json(value, at)

    def _shape_of(self, value: Any) -> Shape | None:
        if isinstance(value, list):
            return self.array
        return self.text if isinstance(value, (bytes, str)) else None


@dataclass(frozen=True, slots=True)
class _Embedded:
    """A body inside a body, of the first type that fits."""

    choices: tuple[tuple[Callable[[Any], object], Shape], ...]

    def to_json(self, value: Any) -> Any:
        for read, shape in self.choices:
            try:
                read(value)
            except MsgspecError:
                continue
            return shape.to_json(value)
        raise Misfit("an embedded body of no known type")

    def from_json(self, value: Any, at: str) -> Any:
        for read, shape in self.choices:
            try:
                read(found := shape.from_json(value, at))
            except (Misfit, MsgspecError):
                continue
            return found
        raise Misfit(f"Expected another body - at `{at}`")


_BYTES: Final = _Bytes()
_IDENTITY: Final = _Identity()
_SAME_IN_JSON: Final = (
    inspect.IntType,
    inspect.BoolType,
    inspect.StrType,
    inspect.NoneType,
    inspect.EnumType,
)


def _shape(info: inspect.Type) -> Shape | None:
    match info:
        case inspect.Metadata():
            return _marked(info)
        case inspect.BytesType():
            return _BYTES
        case inspect.ListType():
            item = _shape(info.item_type)
            return None if item is None else _List(item)
        case inspect.StructType(array_like=True):
            shapes = [_shape(field.type) for field in info.fields]
            parts = [(place, shape) for place, shape in enumerate(shapes) if shape is not None]
            return _Array(tuple(parts)) if parts else None
        case inspect.UnionType():
            return _either(info)
        case inspect.DictType() if _shape(info.key_type) is _shape(info.value_type) is None:
            return None
        case _ if isinstance(info, _SAME_IN_JSON):
            return None
    raise TypeError(f"{info} has no JSON form")


def _marked(info: inspect.Metadata) -> Shape | None:
    mark = (info.extra or {}).get(JSON_FORM)
    if mark is None:
        return _shape(info.type)
    if mark == JSON_IDENTITY:
        return _IDENTITY
    found = [(partial(convert, type=body), shape_of(body)) for body in mark]
    return _Embedded(tuple((read, shape) for read, shape in found if shape is not None))


def _either(info: inspect.UnionType) -> Shape | None:
    shapes = [shape for part in info.types if (shape := _shape(part)) is not None]
    arrays = [shape for shape in shapes if isinstance(shape, (_Array, _List))]
    texts = [shape for shape in shapes if shape is _BYTES or shape is _IDENTITY]
    a_text_too = any(isinstance(part, inspect.StrType) for part in info.types)
    if len(arrays) > 1 or len(texts) + a_text_too > 1 or len(arrays) + len(texts) < len(shapes):
        raise TypeError(f"JSON can't tell the parts of {info} apart")
    if not shapes:
        return None
    return _Either(arrays[0] if arrays else None, texts[0] if texts else None)
