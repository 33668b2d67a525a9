"""TickData: the list of transactions that a tick's leader fixed.

Layout: qubic/core src/network_messages/tick.h, 139,376 bytes, packed. A tick without such a
message is empty.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from struct import Struct
from typing import Final, Self

from realtime_protocol.qubic.node_frames import NodeProtocolError, PacketType

TRANSACTIONS_PER_TICK_MAX: Final = 4096
CONTRACTS_MAX: Final = 1024
COMPUTORS: Final = 676
TICK_DATA_BYTES: Final = 139_376
DIGEST_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
ZERO_DIGEST: Final = bytes(DIGEST_BYTES)

# computorIndex, epoch, tick, then millisecond, second, minute, hour, day, month, year - 2000.
_HEAD: Final = Struct("<HHIH6B32s")
_DIGESTS_END: Final = _HEAD.size + TRANSACTIONS_PER_TICK_MAX * DIGEST_BYTES
_FEES: Final = Struct(f"<{CONTRACTS_MAX}q")
_NO_FEES: Final = bytes(_FEES.size)
_SIGNED_END: Final = TICK_DATA_BYTES - SIGNATURE_BYTES


@dataclass(frozen=True, slots=True)
class TickTime:
    """The leader's clock, UTC, as it is on the wire: untrusted, so it may name no real date."""

    year: int
    month: int
    day: int
    hour: int
    minute: int
    second: int
    millisecond: int

    @classmethod
    def of_epoch_ms(cls, epoch_ms: int) -> Self:
        """Return the time of *epoch_ms*, which must lie in 2000 to 2255."""
        moment = datetime.fromtimestamp(epoch_ms // 1000, UTC)
        if not 2000 <= moment.year <= 2255:
            raise ValueError(f"a tick's year lies in 2000 to 2255, {moment.year} doesn't")
        return cls(
            moment.year,
            moment.month,
            moment.day,
            moment.hour,
            moment.minute,
            moment.second,
            epoch_ms % 1000,
        )

    def epoch_ms(self) -> int:
        """Return epoch milliseconds; ValueError when the fields name no real moment."""
        moment = datetime(
            self.year, self.month, self.day, self.hour, self.minute, self.second, tzinfo=UTC
        )
        return int(moment.timestamp()) * 1000 + self.millisecond


@dataclass(frozen=True, slots=True)
class TickData:
    """One tick's TickData.

    *digests* are the transactions in order of execution, without the zero slots; *raw* are the
    exact bytes, whose K12 tells networks apart. Parsing checks the form, not the signature.
    """

    computor_index: int
    epoch: int
    tick: int
    time: TickTime
    timelock: bytes
    digests: tuple[bytes, ...]
    signature: bytes
    raw: bytes = field(repr=False)

    @classmethod
    def build(
        cls,
        *,
        computor_index: int,
        epoch: int,
        tick: int,
        time: TickTime,
        timelock: bytes,
        digests: Sequence[bytes],
    ) -> Self:
        """Return an unsigned TickData with no contract fees; then :meth:`signed`."""
        if not 0 <= computor_index < COMPUTORS:
            raise ValueError(f"there is no computor {computor_index}")
        if len(digests) > TRANSACTIONS_PER_TICK_MAX:
            raise ValueError(f"a tick holds at most {TRANSACTIONS_PER_TICK_MAX} transactions")
        if len(timelock) != DIGEST_BYTES or any(
            len(digest) != DIGEST_BYTES or digest == ZERO_DIGEST for digest in digests
        ):
            raise ValueError("the timelock and each digest have 32 bytes, no digest is zero")
        head = _HEAD.pack(
            computor_index,
            epoch,
            tick,
            time.millisecond,
            time.second,
            time.minute,
            time.hour,
            time.day,
            time.month,
            time.year - 2000,
            timelock,
        )
        raw = (head + b"".join(digests)).ljust(TICK_DATA_BYTES, b"\0")
        return cls(
            computor_index,
            epoch,
            tick,
            time,
            timelock,
            tuple(digests),
            bytes(SIGNATURE_BYTES),
            raw,
        )

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """Parse a payload of type 8; :class:`NodeProtocolError` for a wrong form."""
        if len(raw) != TICK_DATA_BYTES:
            raise NodeProtocolError(f"TickData has {TICK_DATA_BYTES} bytes, not {len(raw)}")
        computor_index, epoch, tick, *clock, timelock = _HEAD.unpack_from(raw)
        if computor_index >= COMPUTORS:
            raise NodeProtocolError(f"TickData of computor {computor_index}; there is none")
        millisecond, second, minute, hour, day, month, year = clock
        return cls(
            computor_index=computor_index,
            epoch=epoch,
            tick=tick,
            time=TickTime(2000 + year, month, day, hour, minute, second, millisecond),
            timelock=timelock,
            digests=_digests_in(raw[_HEAD.size : _DIGESTS_END]),
            signature=raw[_SIGNED_END:],
            raw=raw,
        )

    def encode(self) -> bytes:
        """Return the 139,376 bytes."""
        return self.raw

    def signed(self, signature: bytes) -> Self:
        """Return the same with *signature* in place."""
        if len(signature) != SIGNATURE_BYTES:
            raise ValueError(f"a signature has {SIGNATURE_BYTES} bytes, not {len(signature)}")
        return replace(self, signature=signature, raw=self.raw[:_SIGNED_END] + signature)

    def signing_message(self) -> bytes:
        """Return the bytes whose K12 the leader signs.

        All but the signature, with the computor's index XORed by the message type (qubic/core
        tick processing): a signature over one type can't be passed off as another's.
        """
        marked = (self.computor_index ^ PacketType.TICK_DATA).to_bytes(2, "little")
        return marked + self.raw[2:_SIGNED_END]

    def contract_fees_qu(self) -> tuple[int, ...]:
        """Return the fees by contract index; the zeros at the end are left out."""
        packed = self.raw[_DIGESTS_END:_SIGNED_END]
        if packed == _NO_FEES:
            return ()
        fees: list[int] = list(_FEES.unpack(packed))
        while fees[-1] == 0:
            fees.pop()
        return tuple(fees)


def _digests_in(slots: bytes) -> tuple[bytes, ...]:
    # Nearly all of the 4096 slots are zeros: find the last used one without looking at each.
    used = -(-len(slots.rstrip(b"\0")) // DIGEST_BYTES) * DIGEST_BYTES
    digests = (slots[at : at + DIGEST_BYTES] for at in range(0, used, DIGEST_BYTES))
    return tuple(digest for digest in digests if digest != ZERO_DIGEST)
