"""Make the JS client's tables and the reference page of codes from the protocol's own tables.

Run without arguments to write the files, with ``--check`` to learn whether they are up to date.
"""

import inspect
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from enum import IntEnum
from pathlib import Path
from typing import Any, Final

from msgspec import NODEFAULT
from msgspec import inspect as shapes

from generated_files import ROOT, write_or_check
from realtime_protocol import messages, versions
from realtime_protocol.codes import CloseCode, ErrorCode
from realtime_protocol.messages import PUSHES, REQUESTS, PaymentState, PushType, RequestType

MADE_BY: Final = "Made by scripts/generate_tables.py from protocol/realtime_protocol. Don't edit."

ENUMS: Final[tuple[type[IntEnum], ...]] = (
    RequestType,
    PushType,
    messages.TrustStatus,
    messages.TrustReason,
    messages.TrustTier,
    messages.Initiator,
    messages.TrustChangeState,
    messages.Scheme,
    messages.Priority,
    messages.DeadlineOf,
    messages.PaymentState,
    messages.PaymentLevel,
    messages.PrepareKind,
    messages.ResignReason,
    messages.ResumeOutcome,
    messages.GapCause,
    messages.GoawayCause,
)
CONSTANTS: Final[Mapping[str, int | str]] = {
    "INTEGER_MAX": messages.INTEGER_MAX,
    "AMOUNT_QU_MAX": messages.AMOUNT_QU_MAX,
    "REPLY_BIT": messages.REPLY_BIT,
    "ERROR_REPLY": messages.ERROR_REPLY,
    "PUSH_TYPE_MIN": messages.PUSH_TYPE_MIN,
    "PUSH_TYPE_MAX": messages.PUSH_TYPE_MAX,
    "PROTOCOL_VERSION": versions.PROTOCOL_VERSION,
    "SUBPROTOCOL_MSGPACK": versions.SUBPROTOCOL_MSGPACK,
}


# The JS client's tables -----------------------------------------------------------------------


def render_tables() -> str:
    """Return tables.ts: enums, error codes, close codes, payment states that end."""
    parts = [f"// {MADE_BY}\n"]
    parts += [f"export const {name} = {json.dumps(value)};" for name, value in CONSTANTS.items()]
    parts.append("")
    parts += [_js_enum(enum) for enum in ENUMS]
    terminal = ", ".join(str(int(state)) for state in PaymentState if state.terminal)
    parts.append("/** The payment states after which nothing can follow. */")
    parts.append(f"export const TERMINAL_STATES: ReadonlySet<number> = new Set([{terminal}]);\n")
    parts.append(_js_enum(ErrorCode))
    parts.append(
        "/** Why a request was refused: its name, whether the same request may succeed later,"
        " and what to do. */"
    )
    parts.append("export const ERRORS: Readonly<Record<ErrorCode, ErrorEntry>> = {")
    for code in ErrorCode:
        entry = {"name": code.wire_name, "retryable": code.retryable, "advice": code.advice}
        parts.append(f"  {int(code)}: {_js_object(entry)},")
    parts.append("};\n")
    parts.append(_js_enum(CloseCode))
    parts.append("/** Why the hub closes: its name, whether to come back, and what to do. */")
    parts.append("export const CLOSES: Readonly<Record<CloseCode, CloseEntry>> = {")
    for close in CloseCode:
        closing = {"name": close.wire_name, "reconnect": close.reconnect, "advice": close.advice}
        parts.append(f"  {int(close)}: {_js_object(closing)},")
    parts.append("};\n")
    parts.append("export interface ErrorEntry {\n  readonly name: string;")
    parts.append("  readonly retryable: boolean;\n  readonly advice: string;\n}\n")
    parts.append("export interface CloseEntry {\n  readonly name: string;")
    parts.append("  readonly reconnect: boolean;\n  readonly advice: string;\n}")
    return "\n".join(parts) + "\n"


def _js_enum(enum: type[IntEnum]) -> str:
    members = "\n".join(f"  {member.name}: {int(member)}," for member in enum)
    return (
        f"/** {_first_line(enum)} */\n"
        f"export const {enum.__name__} = {{\n{members}\n}} as const;\n"
        f"export type {enum.__name__} = (typeof {enum.__name__})[keyof typeof {enum.__name__}];\n"
    )


def _js_object(entry: Mapping[str, object]) -> str:
    return "{ " + ", ".join(f"{key}: {json.dumps(value)}" for key, value in entry.items()) + " }"


def _first_line(thing: object) -> str:
    return (inspect.getdoc(thing) or "").partition("\n")[0]


# The JS client's messages ---------------------------------------------------------------------


def render_messages() -> str:
    """Return messages.ts: an interface and a shape for each body, and what goes with which type."""
    parts = [_js_body(body) for body in _bodies()]
    parts.append("/** Each request this protocol version serves, with its body and its reply's. */")
    parts.append("export interface Requests {")
    for kind, (request, reply) in REQUESTS.items():
        types = f"request: {_ts_type(_shape(request))}; reply: {_ts_type(_shape(reply))}"
        parts.append(f"  [RequestType.{kind.name}]: {{ {types} }};")
    parts.append("}\n")
    parts.append("export const REQUESTS: {")
    parts.append("  readonly [T in keyof Requests]: {")
    parts.append('    readonly request: Shape<Requests[T]["request"]>;')
    parts.append('    readonly reply: Shape<Requests[T]["reply"]>;\n  };\n} = {')
    for kind, (request, reply) in REQUESTS.items():
        values = f"request: {_js_shape(_shape(request))}, reply: {_js_shape(_shape(reply))}"
        parts.append(f"  [RequestType.{kind.name}]: {{ {values} }},")
    parts.append("};\n")
    parts.append("/** Each push, with its body. */\nexport interface Pushes {")
    parts += [f"  [PushType.{kind.name}]: {body.__name__};" for kind, body in PUSHES.items()]
    parts.append("}\n")
    parts.append("export const PUSHES: { readonly [T in keyof Pushes]: Shape<Pushes[T]> } = {")
    parts += [f"  [PushType.{kind.name}]: {_constant(body)}," for kind, body in PUSHES.items()]
    parts.append("};")
    text = "\n".join(parts) + "\n"
    return _js_imports(text) + text


def _js_imports(text: str) -> str:
    enums = _joined(enum.__name__ for enum in ENUMS if enum.__name__ in text)
    return (
        f"// {MADE_BY}\n\nimport {{\n"
        "  anything, bool, bytes, either, facts, list, oneOf, optional, struct, text, uint,\n"
        '  type Facts, type Shape,\n} from "./shapes.js";\n'
        f'import {{\n  {enums},\n}} from "./tables.js";\n\n'
    )


def _bodies() -> list[type[messages.Body]]:
    """All bodies in the order of messages.py, where none comes before those it consists of."""
    return [
        thing
        for thing in vars(messages).values()
        if isinstance(thing, type) and issubclass(thing, messages.Body) and thing != messages.Body
    ]


def _js_body(body: type[messages.Body]) -> str:
    shape = shapes.type_info(body)
    if not isinstance(shape, shapes.StructType):
        raise TypeError(f"{body.__name__} is not a struct")
    lines = [f"/** {_first_line(body)} */", f"export interface {body.__name__} {{"]
    lines += [f"  {_camel(field.name)}: {_ts_type(field.type)};" for field in shape.fields]
    lines += ["}", f"export const {_constant(body)}: Shape<{body.__name__}> = struct("]
    lines.append(f'  "{body.__name__}",\n  {{')
    lines += [f"    {_camel(field.name)}: {_js_shape(field.type)}," for field in shape.fields]
    lines.append("  },")
    defaults = [
        f"{_camel(field.name)}: {_js_default(field)}"
        for field in shape.fields
        if not field.required
    ]
    if defaults:
        lines.append(f"  {{ {', '.join(defaults)} }},")
    lines.append(");\n")
    return "\n".join(lines)


def _js_default(field: shapes.Field) -> str:
    if field.default is NODEFAULT:
        return json.dumps(field.default_factory())
    return json.dumps(field.default)


def _shape(body: Any) -> shapes.Type:
    return shapes.type_info(body)


def _ts_type(shape: shapes.Type) -> str:
    match shape:
        case shapes.Metadata(type=inner):
            return _ts_type(inner)
        case shapes.StructType(cls=body):
            return str(body.__name__)
        case shapes.EnumType(cls=enum):
            return enum.__name__
        case shapes.BytesType():
            return "Uint8Array"
        case shapes.StrType():
            return "string"
        case shapes.BoolType():
            return "boolean"
        case shapes.IntType():
            return "number"
        case shapes.NoneType():
            return "null"
        case shapes.RawType():
            return "unknown"
        case shapes.DictType():
            return "Facts"
        case shapes.ListType(item_type=item):
            return f"{_ts_type(item)}[]"
        case shapes.UnionType(types=types):
            return " | ".join(map(_ts_type, types))
    raise TypeError(f"no TypeScript for {shape}")


def _js_shape(shape: shapes.Type) -> str:
    match shape:
        case shapes.Metadata(type=inner):
            return _js_shape(inner)
        case shapes.StructType(cls=body):
            return _constant(body)
        case shapes.EnumType(cls=enum):
            return f"oneOf({enum.__name__})"
        case shapes.BytesType(min_length=least, max_length=most):
            return f"bytes({least or 0}, {_bound(most)})"
        case shapes.StrType(max_length=most):
            return f"text({_bound(most)})"
        case shapes.BoolType():
            return "bool"
        case shapes.IntType(ge=least, le=most):
            return f"uint({least}, {most})"
        case shapes.RawType():
            return "anything"
        case shapes.DictType(max_length=most):
            return f"facts({_bound(most)})"
        case shapes.ListType(item_type=item, min_length=least, max_length=most):
            bounds = f", {least or 0}, {_bound(most)}" if least or most else ""
            return f"list({_js_shape(item)}{bounds})"
        case shapes.UnionType(types=types):
            return _js_union(types)
    raise TypeError(f"no shape for {shape}")


def _js_union(types: Iterable[shapes.Type]) -> str:
    some = [_js_shape(shape) for shape in types if not isinstance(shape, shapes.NoneType)]
    inner = some[0] if len(some) == 1 else f"either({', '.join(some)})"
    return f"optional({inner})" if len(some) < len(tuple(types)) else inner


def _bound(bound: int | None) -> int:
    if bound is None:
        raise TypeError("every text, bytes and map in a body has a bound")
    return bound


def _constant(body: type[Any]) -> str:
    name: str = body.__name__
    return "".join(f"_{letter}" if letter.isupper() else letter for letter in name)[1:].upper()


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)


def _joined(names: Iterable[str]) -> str:
    lines, line = [], ""
    for name in names:
        if len(line) + len(name) > 90:
            lines.append(line)
            line = ""
        line += f"{name}, "
    return "\n  ".join(entry.strip() for entry in [*lines, line]).removesuffix(",")


# The reference page ---------------------------------------------------------------------------


def render_reference() -> str:
    """Return the reference page of message types and codes."""
    sections = (
        ["# Codes of the session protocol", f"<!-- {MADE_BY} -->"],
        ["## Subprotocols", _SUBPROTOCOLS],
        ["## Requests", _INTRODUCTION_REQUESTS, _request_table()],
        ["## Pushes", _push_table()],
        ["## Errors", _INTRODUCTION_ERRORS, _error_table()],
        ["## Close codes", _INTRODUCTION_CLOSES, _close_table()],
        ["## Payment states", "Nothing follows a state that ends.", _state_table()],
        ["## Other numbers", _enum_table()],
    )
    return "\n\n".join(part for section in sections for part in section) + "\n"


_SUBPROTOCOLS: Final = f"""\
`{versions.SUBPROTOCOL_MSGPACK}`: each message is a msgpack array in a binary frame. A text frame
closes 4500.

`{versions.SUBPROTOCOL_JSON}`, where the hub serves it: the same arrays as JSON in text frames, for
people who [look on](../howto/debug-by-eye.md). A binary frame closes 4500. Types are decimal
numbers. Wallets are their 60 letters; all other bytes are base64url without padding, in the one
spelling that encodes them. Integers have no fraction and no exponent and are at most 2^53 - 1. A
key that stands twice in an object is refused. Limits in bytes count the text.

A client that offers both gets msgpack; one that offers neither gets HTTP 400 with those served."""
_INTRODUCTION_REQUESTS: Final = (
    "A reply carries its request's type with bit 0x40 set; an error reply is 0x7f. A type that is "
    "reserved is answered 104. A body is an array; readers ignore elements beyond those they know."
)
_INTRODUCTION_ERRORS: Final = (
    "The session goes on after an error. *Again*: the same request may succeed later, unchanged."
)
_INTRODUCTION_CLOSES: Final = "4000 to 4499: come back. 4500 to 4999: don't come back by yourself."


def _request_table() -> str:
    rows = []
    for kind in RequestType:
        served = REQUESTS.get(kind)
        body, reply = (_fields(served[0]), _fields(served[1])) if served else ("reserved", "")
        rows.append((_type(kind), _dotted(kind.name), body, reply))
    return _table(("type", "name", "body", "reply"), rows)


def _push_table() -> str:
    rows = [(_type(kind), _dotted(kind.name), _fields(PUSHES[kind])) for kind in PushType]
    return _table(("type", "name", "body"), rows)


def _error_table() -> str:
    rows = [
        (
            f'<a id="error-{int(code)}"></a>{int(code)}',
            code.wire_name,
            "yes" if code.retryable else "",
            code.advice,
        )
        for code in ErrorCode
    ]
    return _table(("code", "name", "again", "what to do"), rows)


def _close_table() -> str:
    rows = [
        (f'<a id="close-{int(code)}"></a>{int(code)}', code.wire_name, code.advice)
        for code in CloseCode
    ]
    return _table(("code", "name", "what to do"), rows)


def _state_table() -> str:
    rows = [
        (str(int(state)), state.name.lower(), "yes" if state.terminal else "")
        for state in PaymentState
    ]
    return _table(("state", "name", "ends"), rows)


def _enum_table() -> str:
    rows = [
        (
            enum.__name__,
            _first_line(enum),
            ", ".join(f"{int(member)} {member.name.lower()}" for member in enum),
        )
        for enum in ENUMS
        if enum not in {RequestType, PushType, PaymentState}
    ]
    return _table(("name", "what it says", "values"), rows)


def _fields(body: Any) -> str:
    shape = _shape(body)
    if isinstance(shape, shapes.ListType):
        return f"list of {_noun(shape.item_type)}"
    if not isinstance(shape, shapes.StructType):
        raise TypeError(f"a body is a struct or a list, not {shape}")
    return ", ".join(field.name for field in shape.fields) or "(empty)"


def _noun(shape: shapes.Type) -> str:
    if isinstance(shape, shapes.StructType):
        return f"[{', '.join(field.name for field in shape.fields)}]"
    return "wallets"


def _type(kind: int) -> str:
    return f"0x{kind:02x} ({kind:d})"


def _dotted(name: str) -> str:
    return name.lower().replace("_", " ")


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


# The program ----------------------------------------------------------------------------------

OUTPUTS: Final[Mapping[Path, Callable[[], str]]] = {
    ROOT / "clients/js/src/tables.ts": render_tables,
    ROOT / "clients/js/src/messages.ts": render_messages,
    ROOT / "docs/reference/codes.md": render_reference,
}


if __name__ == "__main__":
    sys.exit(write_or_check(__doc__, OUTPUTS))
