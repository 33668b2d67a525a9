"""The implementations of the signatures, to run one test on each.

Where the native one isn't built the tests see pure Python alone; test_engines.py fails then, unless
REALTIME_NATIVE=0 says that it is meant so.
"""

import importlib
import importlib.util
from collections.abc import Sequence
from typing import Final, Protocol, cast

from realtime_protocol import _pure_schnorrq


class Engine(Protocol):
    """What both offer; `object` so that a test can pass what a type checker would refuse."""

    IMPLEMENTATION: str
    CACHED_KEYS_MAX: int
    KEY_CACHE_BYTES_MAX: int

    def k12(self, data: object, length: object = ...) -> bytes: ...
    def public_key(self, private_key: object, /) -> bytes: ...
    def sign(self, subseed: object, public_key: object, message: object, /) -> bytes: ...
    def verify(self, public_key: object, message: object, signature: object, /) -> bool: ...
    def verify_many(self, items: Sequence[object], /) -> list[bool]: ...
    def verify_records(self, records: object, /) -> bytes: ...
    def refusal_of_key(self, public_key: object, /) -> str | None: ...


PURE: Final = cast(Engine, _pure_schnorrq)


def find_engines() -> dict[str, Engine]:
    """Return all that can run here, by name."""
    engines = {"pure": PURE}
    if importlib.util.find_spec("realtime_protocol._native") is not None:
        engines["native"] = cast(Engine, importlib.import_module("realtime_protocol._native"))
    return engines
