"""Bodies of every message, drawn from the types in the message table."""

from typing import Any

from hypothesis import strategies as st
from msgspec import inspect

from realtime_protocol.messages import INTEGER_MAX, JSON_FORM, PUSH_TYPE_MIN

ITEMS_MAX = 4
LETTERS_MAX = 12


def bodies_of(body: Any) -> st.SearchStrategy[Any]:
    """Return what draws bodies of a type, as msgpack reads them: arrays, numbers, bytes, maps."""
    return _drawn(inspect.type_info(body))


def frames_of(kind: int, body: Any) -> st.SearchStrategy[list[Any]]:
    """Return what draws whole messages."""
    number = st.integers(1, 2**32 - 1)
    if kind >= PUSH_TYPE_MIN:
        return st.tuples(st.just(kind), number, st.integers(0, INTEGER_MAX), bodies_of(body)).map(
            list
        )
    return st.tuples(st.just(kind), number, bodies_of(body)).map(list)


def _drawn(info: inspect.Type) -> st.SearchStrategy[Any]:
    match info:
        case inspect.Metadata():
            embedded = (info.extra or {}).get(JSON_FORM)
            if isinstance(embedded, tuple):
                return st.one_of([bodies_of(body) for body in embedded])
            return _drawn(info.type)
        case inspect.BoolType():
            return st.booleans()
        case inspect.NoneType():
            return st.none()
        case inspect.EnumType():
            return st.sampled_from([int(member.value) for member in info.cls])
        case inspect.IntType():
            return st.integers(info.ge or 0, INTEGER_MAX if info.le is None else info.le)
        case inspect.StrType():
            return st.text(min_size=info.min_length or 0, max_size=LETTERS_MAX)
        case inspect.BytesType():
            least = info.min_length or 0
            return st.binary(min_size=least, max_size=max(least, min(info.max_length or 99, 99)))
        case inspect.ListType():
            return st.lists(
                _drawn(info.item_type), min_size=info.min_length or 0, max_size=ITEMS_MAX
            )
        case inspect.DictType():
            return st.dictionaries(
                _drawn(info.key_type), _drawn(info.value_type), max_size=ITEMS_MAX
            )
        case inspect.UnionType():
            return st.one_of([_drawn(part) for part in info.types])
        case inspect.StructType():
            return st.tuples(*(_drawn(field.type) for field in info.fields)).map(list)
    raise TypeError(f"nothing draws {info}")
