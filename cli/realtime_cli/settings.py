"""Settings from a TOML file, the environment and the command line; later ones win.

``realtime.toml`` has the tables [hub] and [devnet]; ``REALTIME_<TABLE>_<KEY>`` says the same. What
isn't known or can't be used is refused with one line that names it: a misspelt key must not leave a
default in force that nobody wanted.
"""

import difflib
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Final, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import Struct, structs

from realtime_cli.errors import UsageError
from realtime_devnet.settings import DevnetSettings
from realtime_hub.config import DEVNET_CHAIN, HubSettings

CONFIG_NAME: Final = "realtime.toml"
CONFIG_BYTES_MAX: Final = 1 << 20
PREFIX: Final = "REALTIME_"
TABLES: Final[Mapping[str, type[Struct]]] = {"hub": HubSettings, "devnet": DevnetSettings}

SEED_VARIABLE: Final = "REALTIME_SEED"
_FOREIGN: Final = ("REALTIME_LOADTEST_", "REALTIME_TEST_")
"""Prefixes of the load test's and the tests' own variables."""

Settings = TypeVar("Settings", bound=Struct)


class Layers:
    """Where settings come from, read once and checked as a whole."""

    def __init__(self, config: Path | None, environ: Mapping[str, str]) -> None:
        self._values: dict[str, dict[str, tuple[str, Any, bool]]] = {name: {} for name in TABLES}
        for table, key, source, value in _read_file(config):
            self._values[table][key] = (source, value, True)
        for table, key, source, text in _read_environment(environ):
            self._values[table][key] = (source, text, False)

    def hub(self, overrides: Mapping[str, Any] | None = None) -> HubSettings:
        """Return the hub's settings; UsageError names what can't be used."""
        return self._build("hub", HubSettings, overrides or {})

    def devnet(self, overrides: Mapping[str, Any] | None = None) -> DevnetSettings:
        """Return the devnet's settings; UsageError names what can't be used."""
        return self._build("devnet", DevnetSettings, overrides or {})

    def node(self) -> str:
        """Return host:port of a node to ask: the hub's first, or the devnet's where it is moved."""
        hub = self.hub()
        if hub.chain == DEVNET_CHAIN and not self.named("hub", "nodes"):
            devnet = self.devnet()
            return f"{devnet.host}:{devnet.node_port}"
        return hub.nodes[0]

    def named(self, table: str, key: str) -> bool:
        """Whether file or environment set it."""
        return key in self._values[table]

    def _build(self, table: str, kind: type[Settings], overrides: Mapping[str, Any]) -> Settings:
        fields = {field.name: field for field in structs.fields(kind)}
        layers = dict(self._values[table])
        for key, value in overrides.items():
            if value is not None:
                layers[key] = (f"--{key.replace('_', '-')}", value, True)
        values = {
            key: _convert(source, key, value, fields[key].type, strict=strict)
            for key, (source, value, strict) in layers.items()
        }
        try:
            return kind(**values)
        except ValueError as error:
            raise UsageError(f"{table}.{error}") from error


def _read_file(path: Path | None) -> Iterator[tuple[str, str, str, Any]]:
    name = path or Path(CONFIG_NAME)
    try:
        if path is None and not name.exists():
            return
        if name.stat().st_size > CONFIG_BYTES_MAX:
            raise UsageError(f"{name} has more than {CONFIG_BYTES_MAX} bytes")
        content = tomllib.loads(name.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"can't read {name}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{name} is not TOML: {error}") from error
    for table, values in content.items():
        kind = TABLES.get(table)
        if kind is None:
            raise UsageError(_unknown(f"[{table}] in {name}", "table", table, list(TABLES)))
        if not isinstance(values, dict):
            raise UsageError(f"{table} in {name} is not a table; write [{table}]")
        for key, value in values.items():
            if key not in _keys(kind):
                raise UsageError(_unknown(f"{table}.{key} in {name}", "key", key, _keys(kind)))
            yield table, key, f"{table}.{key} in {name}", value


def _read_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, str, str, str]]:
    known = {
        f"{PREFIX}{table.upper()}_{key.upper()}": (table, key)
        for table, kind in TABLES.items()
        for key in _keys(kind)
    }
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name == SEED_VARIABLE or name.startswith(_FOREIGN):
            continue
        if name not in known:
            raise UsageError(_unknown(name, "variable", name, [*known, SEED_VARIABLE]))
        table, key = known[name]
        yield table, key, name, environ[name]


def _keys(kind: type[Struct]) -> list[str]:
    return [field.name for field in structs.fields(kind)]


def _unknown(where: str, what: str, given: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(given, known, n=1)
    return f"{where}: unknown {what}" + (f"; did you mean {near[0]}?" if near else "")


def _convert(source: str, key: str, value: Any, kind: Any, *, strict: bool) -> Any:
    try:
        plain = value if strict else _split(value, kind)
        return msgspec.convert(plain, kind, strict=strict, dec_hook=_decode_special)
    except (msgspec.ValidationError, ValueError) as error:
        problem = str(error).partition(" - at ")[0]
        # An URL may hold a password.
        shown = "" if key.endswith("_url") else f" (it is {value!r})"
        raise UsageError(f"{source}: {problem}{shown}") from error


def _split(text: str, kind: Any) -> Any:
    """Take a variable's text apart: lists by commas, maps as name=value by commas."""
    kinds = set(_flat(kind))
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if list in kinds:
        return parts
    if dict in kinds:
        pairs = [part.partition("=") for part in parts]
        if any(not equals for _, equals, _ in pairs):
            raise ValueError("expected name=value, name=value")
        return {name.strip(): value.strip() for name, _, value in pairs}
    if not text and NoneType in kinds and str not in kinds:
        return None
    return text


def _flat(kind: Any) -> Iterator[Any]:
    """Return the plain types that a field's type may be."""
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        for part in get_args(kind):
            yield from _flat(part)
    elif hasattr(kind, "__metadata__"):
        yield from _flat(kind.__origin__)
    else:
        yield origin or kind


def _decode_special(kind: Any, value: Any) -> Any:
    if kind is Path and isinstance(value, (str, Path)):
        return Path(value)
    raise ValueError(f"expected a path, got {type(value).__name__}")
