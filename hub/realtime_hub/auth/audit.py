"""The audit log: what administrators did, each record bound to all before it by a MAC.

A record is one line of JSON. Its MAC, by a key that only the hub's machine has, covers the MAC
before and the record itself, so a changed, removed or swapped record shows. Where the log ends is
kept beside it in the same way: without that a removed end would not show.
"""

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from realtime_protocol.identity import PublicKey, encode_identity

MAC_BYTES: Final = 32
NO_MAC: Final = bytes(MAC_BYTES)
LINE_BYTES_MAX: Final = 8_192
_RECORD_LINE: Final = b"realtime/audit/v1\n"
_HEAD_LINE: Final = b"realtime/audit-head/v1\n"

Mac = Annotated[str, Meta(pattern=rf"^[0-9a-f]{{{2 * MAC_BYTES}}}$")]


class AuditError(ValueError):
    """The log isn't what the hub wrote; the message says where and what that means."""


class AuditRecord(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One line of the log."""

    number: Annotated[int, Meta(ge=1)]
    at_ms: int
    """Epoch ms, by the hub's clock."""
    action: str
    actor: str
    """Identity of the administrator."""
    details: dict[str, str | int]
    mac: Mac


class AuditHead(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the log ends."""

    number: Annotated[int, Meta(ge=0)]
    mac: Mac
    """Of the last record."""
    head_mac: Mac
    """Of this head."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the log: after its record with that number; 0 is before the first."""

    number: int = 0
    mac: bytes = NO_MAC


def next_record(
    key: bytes,
    place: Place,
    *,
    at_ms: int,
    action: str,
    actor: PublicKey,
    details: Mapping[str, str | int],
) -> AuditRecord:
    """Return the record that comes after *place*."""
    bare = AuditRecord(
        number=place.number + 1,
        at_ms=at_ms,
        action=action,
        actor=encode_identity(actor),
        details=dict(details),
        mac=NO_MAC.hex(),
    )
    return msgspec.structs.replace(bare, mac=_record_mac(key, place, bare).hex())


def place_of(record: AuditRecord) -> Place:
    """Return the place after a record."""
    return Place(record.number, bytes.fromhex(record.mac))


def head_at(key: bytes, place: Place) -> AuditHead:
    """Return what is kept beside a log that ends at *place*."""
    return AuditHead(number=place.number, mac=place.mac.hex(), head_mac=_head_mac(key, place).hex())


def verify_log(key: bytes, lines: Iterable[bytes], head: AuditHead | None) -> Place:
    """Return where a log ends; AuditError for the first thing that isn't as it was written."""
    place = Place()
    for number, line in enumerate(lines, start=1):
        place = _follow(key, place, line, number)
    if head is None:
        raise AuditError("the file that says where the log ends is gone")
    end = Place(head.number, bytes.fromhex(head.mac))
    if not hmac.compare_digest(bytes.fromhex(head.head_mac), _head_mac(key, end)):
        raise AuditError("the file that says where the log ends was changed, or the key is another")
    if place.number < end.number:
        raise AuditError(f"the log ends at record {place.number}; {end.number} were written")
    if place.number > end.number + 1:
        # One more than told is a hub that was killed between the two writes.
        raise AuditError(f"the log has {place.number} records; {end.number} were written")
    return place


def _follow(key: bytes, place: Place, line: bytes, number: int) -> Place:
    try:
        record = msgspec.json.decode(line, type=AuditRecord)
    except msgspec.MsgspecError as error:
        raise AuditError(f"line {number} is no record: {error}") from error
    if record.number != place.number + 1:
        raise AuditError(
            f"line {number} has record {record.number}: one was removed, added or swapped"
        )
    if not hmac.compare_digest(bytes.fromhex(record.mac), _record_mac(key, place, record)):
        raise AuditError(f"record {record.number}, or one before it, was changed")
    return place_of(record)


def _record_mac(key: bytes, before: Place, record: AuditRecord) -> bytes:
    content = msgspec.json.encode(
        [record.number, record.at_ms, record.action, record.actor, sorted(record.details.items())]
    )
    return hmac.digest(key, _RECORD_LINE + before.mac + content, "sha256")


def _head_mac(key: bytes, place: Place) -> bytes:
    return hmac.digest(key, _HEAD_LINE + place.number.to_bytes(8, "big") + place.mac, "sha256")
