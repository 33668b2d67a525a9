"""TurboAuth ABI v1: the contract's functions and procedures, byte for byte.

The layouts are C++ structs (little-endian, natural alignment); no other place repeats them. An
all-zero wallet in a batch means "no wallet in this place". Decoders raise ValueError for a wrong
size; what a node answers for any failed call, the empty output, is such a size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise
from struct import Struct
from typing import Any, Final, Self

MAGIC: Final = int.from_bytes(b"TURBOAU1", "little")
ABI_VERSION: Final = 1
BATCH_WALLETS_MAX: Final = 16
CHANGES_MAX: Final = 256
WALLET_BYTES: Final = 32
NO_WALLET: Final = bytes(WALLET_BYTES)
SCORE_MAX: Final = 100

_STATUS: Final = Struct("<QIBBH")
_CHANGES_HEAD: Final = Struct("<QQI4x")
_CHANGE: Final = Struct("<32sQIBBH")
_INFO: Final = Struct("<QIIQQ32s32sQ")
_SET_STATUS: Final = Struct("<32sBBH4x")
_U64: Final = Struct("<Q")

STATUS_BYTES: Final = _STATUS.size
STATUSES_INPUT_BYTES: Final = WALLET_BYTES * BATCH_WALLETS_MAX
STATUSES_BYTES: Final = _STATUS.size * BATCH_WALLETS_MAX
CHANGES_BYTES: Final = _CHANGES_HEAD.size + _CHANGE.size * CHANGES_MAX
INFO_BYTES: Final = _INFO.size
SET_STATUS_BYTES: Final = _SET_STATUS.size
SET_STATUSES_BYTES: Final = _SET_STATUS.size * BATCH_WALLETS_MAX


class Function(IntEnum):
    """Input types of the read-only calls."""

    GET_STATUS = 1
    GET_STATUSES = 2
    GET_CHANGES = 3
    GET_INFO = 4


class Procedure(IntEnum):
    """Input types of the transactions; all but ACCEPT_ADMIN are the admin's."""

    SET_STATUS = 1
    SET_STATUSES = 2
    PROPOSE_ADMIN = 3
    ACCEPT_ADMIN = 4
    SET_NEXT_CONTRACT = 5


class ChainStatus(IntEnum):
    """What the contract says of a wallet; the numbers of the session protocol's TrustStatus."""

    UNKNOWN = 0
    ACTIVE = 1
    BLOCKED = 2


@dataclass(frozen=True, slots=True)
class StatusRecord:
    """One wallet's record. *sequence* 0 = not listed."""

    sequence: int
    updated_tick: int
    status: ChainStatus
    trust_score: int
    reason: int

    @property
    def listed(self) -> bool:
        """Whether the contract holds the wallet."""
        return self.sequence > 0


NOT_LISTED: Final = StatusRecord(0, 0, ChainStatus.UNKNOWN, 0, 0)


@dataclass(frozen=True, slots=True)
class ChangeRecord:
    """A wallet's newest record, as the list of changes gives it."""

    wallet: bytes
    record: StatusRecord


@dataclass(frozen=True, slots=True)
class Changes:
    """The records that changed after a sequence number, ascending by their own."""

    oldest_sequence: int
    """The oldest change that the contract can still tell."""
    last_sequence: int
    changes: tuple[ChangeRecord, ...]

    def overrun(self, since_sequence: int) -> bool:
        """Whether changes after *since_sequence* were lost: re-read all that is known."""
        return since_sequence + 1 < self.oldest_sequence


@dataclass(frozen=True, slots=True)
class ContractInfo:
    """GetInfo's answer; use the contract only when :meth:`is_turboauth`."""

    magic: int
    abi_version: int
    capacity: int
    last_sequence: int
    wallets: int
    admin: bytes
    pending_admin: bytes
    next_contract_index: int
    """0 = none; an index that the admin names as this contract's successor."""

    def is_turboauth(self) -> bool:
        """Whether magic and version are those of this module."""
        return self.magic == MAGIC and self.abi_version == ABI_VERSION


@dataclass(frozen=True, slots=True)
class StatusSetting:
    """What an admin sets for one wallet."""

    wallet: bytes
    status: ChainStatus
    trust_score: int
    reason: int = 0

    def encode(self) -> bytes:
        """Return the 40-byte input of SET_STATUS."""
        _require_wallet(self.wallet)
        return _SET_STATUS.pack(self.wallet, self.status, self.trust_score, self.reason)

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Parse an input of SET_STATUS; ValueError for a status that there isn't."""
        wallet, status, trust_score, reason = _unpack(_SET_STATUS, payload, "SetStatus")
        return cls(wallet, ChainStatus(status), trust_score, reason)


def encode_status_input(wallet: bytes) -> bytes:
    """Return GET_STATUS's input."""
    _require_wallet(wallet)
    return wallet


def decode_status_input(payload: bytes) -> bytes:
    """Return the wallet asked for."""
    _require_size(payload, WALLET_BYTES, "GetStatus input")
    return payload


def encode_status(record: StatusRecord) -> bytes:
    """Return GET_STATUS's 16-byte output."""
    return _STATUS.pack(
        record.sequence, record.updated_tick, record.status, record.trust_score, record.reason
    )


def decode_status(payload: bytes) -> StatusRecord:
    """Parse GET_STATUS's output."""
    return _status(*_unpack(_STATUS, payload, "GetStatus output"))


def encode_statuses_input(wallets: Sequence[bytes]) -> bytes:
    """Return GET_STATUSES's input of up to 16 wallets; empty places are zero."""
    _require_batch(len(wallets))
    for wallet in wallets:
        _require_wallet(wallet)
    return b"".join(wallets).ljust(STATUSES_INPUT_BYTES, b"\0")


def decode_statuses_input(payload: bytes) -> tuple[bytes, ...]:
    """Return the 16 wallets asked for, zero ones included."""
    _require_size(payload, STATUSES_INPUT_BYTES, "GetStatuses input")
    return tuple(_cut(payload, WALLET_BYTES))


def encode_statuses(records: Sequence[StatusRecord]) -> bytes:
    """Return GET_STATUSES's 256-byte output; missing ones are "not listed"."""
    _require_batch(len(records))
    return b"".join(map(encode_status, records)).ljust(STATUSES_BYTES, b"\0")


def decode_statuses(payload: bytes) -> tuple[StatusRecord, ...]:
    """Parse GET_STATUSES's output: 16 records in the order of the question."""
    _require_size(payload, STATUSES_BYTES, "GetStatuses output")
    return tuple(_status(*fields) for fields in _STATUS.iter_unpack(payload))


def encode_changes_input(since_sequence: int) -> bytes:
    """Return GET_CHANGES's input."""
    return _U64.pack(since_sequence)


def decode_changes_input(payload: bytes) -> int:
    """Return the sequence number after which changes are asked for."""
    since_sequence: int = _unpack(_U64, payload, "GetChanges input")[0]
    return since_sequence


def encode_changes(changes: Changes) -> bytes:
    """Return GET_CHANGES's 12,312-byte output."""
    if len(changes.changes) > CHANGES_MAX:
        raise ValueError(f"an answer has at most {CHANGES_MAX} changes")
    head = _CHANGES_HEAD.pack(changes.oldest_sequence, changes.last_sequence, len(changes.changes))
    records = b"".join(change.wallet + encode_status(change.record) for change in changes.changes)
    return (head + records).ljust(CHANGES_BYTES, b"\0")


def decode_changes(payload: bytes) -> Changes:
    """Parse GET_CHANGES's output; ValueError when it isn't ascending."""
    _require_size(payload, CHANGES_BYTES, "GetChanges output")
    oldest, last, count = _CHANGES_HEAD.unpack_from(payload)
    if count > CHANGES_MAX:
        raise ValueError(f"GetChanges says {count} changes; {CHANGES_MAX} fit")
    end = _CHANGES_HEAD.size + count * _CHANGE.size
    changes = tuple(
        ChangeRecord(wallet, _status(*fields))
        for wallet, *fields in _CHANGE.iter_unpack(payload[_CHANGES_HEAD.size : end])
    )
    sequences = [change.record.sequence for change in changes]
    if any(later <= earlier for earlier, later in pairwise(sequences)):
        raise ValueError("GetChanges is not ascending")
    return Changes(oldest, last, changes)


def encode_info(info: ContractInfo) -> bytes:
    """Return GET_INFO's 104-byte output."""
    return _INFO.pack(
        info.magic,
        info.abi_version,
        info.capacity,
        info.last_sequence,
        info.wallets,
        info.admin,
        info.pending_admin,
        info.next_contract_index,
    )


def decode_info(payload: bytes) -> ContractInfo:
    """Parse GET_INFO's output."""
    return ContractInfo(*_unpack(_INFO, payload, "GetInfo output"))


def encode_settings(settings: Sequence[StatusSetting]) -> bytes:
    """Return SET_STATUSES's 640-byte input; the contract skips the empty places."""
    _require_batch(len(settings))
    return b"".join(setting.encode() for setting in settings).ljust(SET_STATUSES_BYTES, b"\0")


def decode_settings(payload: bytes) -> tuple[StatusSetting, ...]:
    """Parse SET_STATUSES's input; places with the zero wallet are left out."""
    _require_size(payload, SET_STATUSES_BYTES, "SetStatuses input")
    records = (record for record in _cut(payload, SET_STATUS_BYTES))
    return tuple(
        StatusSetting.decode(record) for record in records if record[:WALLET_BYTES] != NO_WALLET
    )


def encode_admin(public_key: bytes) -> bytes:
    """Return PROPOSE_ADMIN's input; the zero key withdraws a proposal."""
    _require_wallet(public_key)
    return public_key


def decode_admin(payload: bytes) -> bytes:
    """Return the proposed admin."""
    _require_size(payload, WALLET_BYTES, "ProposeAdmin input")
    return payload


def encode_next_contract(contract_index: int) -> bytes:
    """Return SET_NEXT_CONTRACT's input."""
    return _U64.pack(contract_index)


def decode_next_contract(payload: bytes) -> int:
    """Return the successor's index."""
    contract_index: int = _unpack(_U64, payload, "SetNextContract input")[0]
    return contract_index


def _status(
    sequence: int, updated_tick: int, status: int, trust_score: int, reason: int
) -> StatusRecord:
    if trust_score > SCORE_MAX:
        raise ValueError(f"a trust score is at most {SCORE_MAX}, not {trust_score}")
    return StatusRecord(sequence, updated_tick, ChainStatus(status), trust_score, reason)


def _cut(payload: bytes, size: int) -> list[bytes]:
    return [payload[at : at + size] for at in range(0, len(payload), size)]


def _unpack(layout: Struct, payload: bytes, what: str) -> tuple[Any, ...]:
    _require_size(payload, layout.size, what)
    return layout.unpack(payload)


def _require_size(payload: bytes, size: int, what: str) -> None:
    if len(payload) != size:
        raise ValueError(f"{what} has {size} bytes, not {len(payload)}")


def _require_wallet(wallet: bytes) -> None:
    if len(wallet) != WALLET_BYTES:
        raise ValueError(f"a wallet has {WALLET_BYTES} bytes, not {len(wallet)}")


def _require_batch(count: int) -> None:
    if count > BATCH_WALLETS_MAX:
        raise ValueError(f"a batch has at most {BATCH_WALLETS_MAX} wallets, not {count}")
