"""What protocol/native compiles to; :mod:`realtime_protocol._pure_schnorrq` tells what it does."""

from collections.abc import Iterable
from typing import Final

IMPLEMENTATION: Final[str]
CACHED_KEYS_MAX: Final[int]
KEY_CACHE_BYTES_MAX: Final[int]
PATHS: Final[tuple[str, ...]]
"""How batches can be verified here, the best way first: it is taken until another is chosen.

"ifma": eight at once in AVX-512 IFMA; "portable": one by one; "twin": the source of "ifma" for any
processor, many times slower than "portable", for tests.
"""

def use_path(name: str, /) -> None:
    """Verify batches by this one of PATHS, in the whole process: for tests and benchmarks.

    ValueError for a path that isn't there. A single verification goes by the portable path always.
    """

def use_key_cache(on: bool, /) -> None:
    """Keep prepared keys, or forget them all and keep none: for tests and benchmarks.

    In the whole process. The cache is on when the module is loaded.
    """

def k12(data: bytes, length: int = 32) -> bytes: ...
def public_key(private_key: bytes, /) -> bytes: ...
def sign(subseed: bytes, public_key: bytes, message: bytes, /) -> bytes: ...
def verify(public_key: bytes, message: bytes, signature: bytes, /) -> bool: ...
def verify_many(items: Iterable[tuple[bytes, bytes, bytes]], /) -> list[bool]: ...
def verify_records(records: bytes | bytearray | memoryview, /) -> bytes: ...
def refusal_of_key(public_key: bytes, /) -> str | None: ...
def encode_identity(public_key: bytes, /) -> str: ...
def parse_identity(text: str, /) -> bytes | None:
    """Return the key, or None when the text names none: realtime_protocol.identity says why."""
