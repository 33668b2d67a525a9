"""Finds a key that a msgpack map holds twice: decoders keep one of the two and say nothing.

Two readers that keep different ones would see different limits or reasons in one message.
"""

from typing import Final

DEPTH_MAX: Final = 8
"""Nesting of a message; deeper is refused."""

# First byte -> size of what follows, where that byte alone fixes it; 0 for all others.
_FIXED: Final = dict(
    zip(
        (0xCA, 0xCB, 0xCC, 0xCD, 0xCE, 0xCF, 0xD0, 0xD1, 0xD2, 0xD3, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8),
        (4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 2, 3, 5, 9, 17),
        strict=True,
    )
)
# First byte -> width of the length that follows; an extension has its type beside it.
_SIZED: Final = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xC7: 1, 0xC8: 2, 0xC9: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
_EXTENSIONS: Final = range(0xC7, 0xCA)
_ARRAYS: Final = {0xDC: 2, 0xDD: 4}
_MAPS: Final = {0xDE: 2, 0xDF: 4}
_FIXED_STRINGS: Final = range(0xA0, 0xC0)
_STRINGS: Final = range(0xD9, 0xDC)


def find_repeated_key(message: bytes) -> bytes | None:
    """Return a key that one map of *message* holds twice, or None.

    ValueError when the message is cut short or nested deeper than `DEPTH_MAX`.
    """
    walk = _Walk(message)
    walk.value(0, 0)
    return walk.repeated


class _Walk:
    """One pass over a message."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.repeated: bytes | None = None

    def value(self, at: int, depth: int) -> int:
        """Pass the value at *at* and return where the next one begins."""
        if depth > DEPTH_MAX:
            raise ValueError(f"a message nested deeper than {DEPTH_MAX}")
        if at >= len(self._data):
            raise ValueError("a message that is cut short")
        first = self._data[at]
        if 0x80 <= first <= 0x8F:
            return self._map(at + 1, first & 0x0F, depth)
        if 0x90 <= first <= 0x9F:
            return self._array(at + 1, first & 0x0F, depth)
        if first in _ARRAYS:
            width = _ARRAYS[first]
            return self._array(at + 1 + width, self._length(at + 1, width), depth)
        if first in _MAPS:
            width = _MAPS[first]
            return self._map(at + 1 + width, self._length(at + 1, width), depth)
        start, size = self._content(at)
        return start + size

    def _content(self, at: int) -> tuple[int, int]:
        """Return where the content of a value without parts begins, and its size."""
        first = self._data[at]
        if first in _FIXED_STRINGS:
            return at + 1, first & 0x1F
        if first in _SIZED:
            width = _SIZED[first]
            beside = 1 if first in _EXTENSIONS else 0
            return at + 1 + width, self._length(at + 1, width) + beside
        return at + 1, _FIXED.get(first, 0)

    def _array(self, at: int, count: int, depth: int) -> int:
        for _ in range(count):
            at = self.value(at, depth + 1)
        return at

    def _map(self, at: int, count: int, depth: int) -> int:
        seen: set[bytes] = set()
        for _ in range(count):
            end = self.value(at, depth + 1)
            key = self._key(at, end)
            if key in seen:
                self.repeated = key[1:]
            seen.add(key)
            at = self.value(end, depth + 1)
        return at

    def _key(self, at: int, end: int) -> bytes:
        first = self._data[at]
        if first in _FIXED_STRINGS or first in _STRINGS:  # One text may have several heads.
            return b"s" + self._data[self._content(at)[0] : end]
        return b"o" + self._data[at:end]

    def _length(self, at: int, width: int) -> int:
        return int.from_bytes(self._data[at : at + width], "big")
