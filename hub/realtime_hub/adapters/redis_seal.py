"""Trust in Redis as bytes under a MAC by the fleet's key: what others wrote there doesn't count."""

import hmac
from dataclasses import replace
from typing import Final

import msgspec

from realtime_hub.auth.model import LogEntry
from realtime_hub.auth.ports import CachedRecord

_MAC_BYTES: Final = 16
_SEQUENCE_BYTES: Final = 8


class Seal:
    """Encodes entries and records, and refuses those that the fleet didn't write."""

    def __init__(self, fleet_key: bytes) -> None:
        self._key = fleet_key
        self._entry = msgspec.msgpack.Decoder(LogEntry).decode
        self._record = msgspec.msgpack.Decoder(CachedRecord).decode

    def entry(self, entry: LogEntry) -> bytes:
        """Return an entry's bytes in the log."""
        return self._sealed(msgspec.msgpack.encode(replace(entry, mac=b"")))

    def read_entry(self, data: bytes) -> LogEntry | None:
        """Return the entry, or None when the fleet didn't write it."""
        try:
            return replace(self._entry(self._opened(data)), mac=data[-_MAC_BYTES:])
        except (msgspec.MsgspecError, ValueError):
            return None

    def record(self, cached: CachedRecord) -> bytes:
        """Return a record's bytes; the sequence comes first, for Lua to compare."""
        sequence = cached.record.chain_sequence.to_bytes(_SEQUENCE_BYTES, "big")
        return self._sealed(sequence + msgspec.msgpack.encode(cached))

    def read_record(self, wallet: bytes, data: bytes | None) -> CachedRecord | None:
        """Return the record of *wallet*, or None when that isn't what the fleet wrote there."""
        if data is None:
            return None
        try:
            cached = self._record(self._opened(data)[_SEQUENCE_BYTES:])
        except (msgspec.MsgspecError, ValueError):
            return None
        return cached if cached.record.wallet == wallet else None

    def _sealed(self, data: bytes) -> bytes:
        return data + hmac.digest(self._key, data, "sha256")[:_MAC_BYTES]

    def _opened(self, data: bytes) -> bytes:
        body, mac = data[:-_MAC_BYTES], data[-_MAC_BYTES:]
        if not hmac.compare_digest(hmac.digest(self._key, body, "sha256")[:_MAC_BYTES], mac):
            raise ValueError("not sealed by this fleet")
        return body
