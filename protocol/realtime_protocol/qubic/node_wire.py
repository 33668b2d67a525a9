"""The packets of the Qubic node's TCP protocol, typed, for clients and for the devnet.

Layouts: qubic/core src/network_messages (little-endian, packed). Builders return whole packets;
``parse_`` and ``decode`` take a payload and raise :class:`NodeProtocolError` for a wrong form.
Requests want a fresh non-zero dejavu: answers carry it back, and a node drops repetitions.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address
from struct import Struct
from typing import Final, Self

from realtime_protocol.qubic.node_frames import (
    DEJAVU_MAX,
    HEADER_BYTES,
    PACKET_BYTES_MAX,
    NodeProtocolError,
    Packet,
    PacketReader,
    PacketType,
    encode_packet,
)
from realtime_protocol.qubic.tick_data import (
    COMPUTORS,
    CONTRACTS_MAX,
    DIGEST_BYTES,
    TICK_DATA_BYTES,
    TRANSACTIONS_PER_TICK_MAX,
    TickData,
    TickTime,
)

__all__ = [
    "COMPUTORS",
    "CONTRACTS_MAX",
    "DEJAVU_MAX",
    "HEADER_BYTES",
    "NODE_PORT",
    "PACKET_BYTES_MAX",
    "PEERS_PER_EXCHANGE",
    "TICK_DATA_BYTES",
    "TRANSACTIONS_PER_TICK_MAX",
    "ComputorsPacket",
    "ContractCall",
    "EntityPacket",
    "NodeProtocolError",
    "Packet",
    "PacketReader",
    "PacketType",
    "SystemInfoPacket",
    "TickData",
    "TickInfoPacket",
    "TickTime",
    "TickTransactionsRequest",
    "broadcast_transaction",
    "computors_request",
    "contract_function_request",
    "encode_packet",
    "end_response",
    "entity_request",
    "exchange_peers",
    "parse_digest",
    "parse_empty",
    "parse_entity_request",
    "parse_exchange_peers",
    "parse_tick_data_request",
    "system_info_request",
    "tick_data_request",
    "tick_info_request",
    "tick_transactions_request",
    "transaction_info_request",
    "try_again",
]

NODE_PORT: Final = 21841
PEERS_PER_EXCHANGE: Final = 4
PUBLIC_KEY_BYTES: Final = 32
SPECTRUM_DEPTH: Final = 24
CONTRACT_INPUT_BYTES_MAX: Final = 0xFFFF

_U32: Final = Struct("<I")
_TICK_INFO: Final = Struct("<HHIHHI")
_ENTITY: Final = Struct(f"<32sqqIIIIIi{SPECTRUM_DEPTH * 32}s")
_TICK_TRANSACTIONS: Final = Struct(f"<I{TRANSACTIONS_PER_TICK_MAX // 8}s")
_CONTRACT_CALL: Final = Struct("<IHH")
# version, epoch, tick, initial tick, latest created tick, initial ms/s/min/h/day/month/year,
# entities, transactions, mining seed, threshold, supply, dust threshold, vote signature, reserve.
_SYSTEM_INFO: Final = Struct("<hHIIIH6BII32siQQI40s")
_COMPUTORS: Final = Struct(f"<H{COMPUTORS * PUBLIC_KEY_BYTES}s64s")


@dataclass(frozen=True, slots=True)
class TickInfoPacket:
    """RESPOND_CURRENT_TICK_INFO. All zero while the node is not ready."""

    duration_ms: int
    """Spent in the present tick so far."""
    epoch: int
    tick: int
    aligned_votes: int
    misaligned_votes: int
    initial_tick: int
    """The epoch's first."""

    @property
    def ready(self) -> bool:
        """Whether the node takes part in a tick."""
        return self.tick > 0

    def encode(self) -> bytes:
        """Return the 16-byte payload."""
        return _TICK_INFO.pack(
            self.duration_ms,
            self.epoch,
            self.tick,
            self.aligned_votes,
            self.misaligned_votes,
            self.initial_tick,
        )

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Parse a payload of type 28."""
        _require_size(payload, _TICK_INFO.size, "tick info")
        return cls(*_TICK_INFO.unpack(payload))


@dataclass(frozen=True, slots=True)
class EntityPacket:
    """RESPOND_ENTITY: what the spectrum knows of one key at the start of *tick*."""

    public_key: bytes
    incoming_amount_qu: int
    outgoing_amount_qu: int
    incoming_count: int
    outgoing_count: int
    latest_incoming_tick: int
    latest_outgoing_tick: int
    tick: int
    spectrum_index: int
    """-1 = the spectrum doesn't know the key."""
    siblings: bytes = bytes(SPECTRUM_DEPTH * 32)
    """The Merkle path; zeros on the devnet."""

    @property
    def balance_qu(self) -> int:
        """What the entity can spend."""
        return self.incoming_amount_qu - self.outgoing_amount_qu

    @property
    def known(self) -> bool:
        """Whether the spectrum holds the key."""
        return self.spectrum_index >= 0

    def encode(self) -> bytes:
        """Return the 840-byte payload."""
        return _ENTITY.pack(
            self.public_key,
            self.incoming_amount_qu,
            self.outgoing_amount_qu,
            self.incoming_count,
            self.outgoing_count,
            self.latest_incoming_tick,
            self.latest_outgoing_tick,
            self.tick,
            self.spectrum_index,
            self.siblings,
        )

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Parse a payload of type 32."""
        _require_size(payload, _ENTITY.size, "an entity")
        return cls(*_ENTITY.unpack(payload))


@dataclass(frozen=True, slots=True)
class TickTransactionsRequest:
    """REQUEST_TICK_TRANSACTIONS: the transactions of *tick* less those whose index is in *skip*."""

    tick: int
    skip: frozenset[int] = frozenset()

    def encode(self) -> bytes:
        """Return the 516-byte payload."""
        flags = bytearray(TRANSACTIONS_PER_TICK_MAX // 8)
        for index in self.skip:
            if not 0 <= index < TRANSACTIONS_PER_TICK_MAX:
                raise ValueError(f"a tick has no transaction {index}")
            flags[index >> 3] |= 1 << (index & 7)
        return _TICK_TRANSACTIONS.pack(self.tick, bytes(flags))

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Parse a payload of type 29.

        Shorter flags are taken: clients built for 1,024 transactions a tick send 128 bytes.
        """
        flags = payload[_U32.size :]
        if len(payload) < _U32.size or len(payload) > _TICK_TRANSACTIONS.size:
            raise NodeProtocolError(
                f"a request of tick transactions has {_U32.size} to {_TICK_TRANSACTIONS.size} "
                f"bytes, not {len(payload)}"
            )
        skip = {
            at * 8 + bit
            for at, byte in enumerate(flags)
            if byte
            for bit in range(8)
            if byte >> bit & 1
        }
        return cls(_U32.unpack_from(payload)[0], frozenset(skip))


@dataclass(frozen=True, slots=True)
class ContractCall:
    """REQUEST_CONTRACT_FUNCTION: a read-only call of a contract."""

    contract_index: int
    input_type: int
    payload: bytes

    def encode(self) -> bytes:
        """Return the payload of type 42."""
        if len(self.payload) > CONTRACT_INPUT_BYTES_MAX:
            raise ValueError(f"a function takes at most {CONTRACT_INPUT_BYTES_MAX} bytes")
        head = _CONTRACT_CALL.pack(self.contract_index, self.input_type, len(self.payload))
        return head + self.payload

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Parse a payload of type 42; its own size field must agree."""
        if len(payload) < _CONTRACT_CALL.size:
            raise NodeProtocolError(f"a contract call of {len(payload)} bytes is cut off")
        contract_index, input_type, size = _CONTRACT_CALL.unpack_from(payload)
        _require_size(payload, _CONTRACT_CALL.size + size, "this contract call")
        return cls(contract_index, input_type, payload[_CONTRACT_CALL.size :])


@dataclass(frozen=True, slots=True)
class SystemInfoPacket:
    """RESPOND_SYSTEM_INFO."""

    version: int
    epoch: int
    tick: int
    initial_tick: int
    latest_created_tick: int
    initial_time: TickTime
    entities: int
    transactions: int
    mining_seed: bytes
    solution_threshold: int
    supply_qu: int
    dust_threshold_qu: int
    vote_signature: int = 0

    def encode(self) -> bytes:
        """Return the 128-byte payload."""
        time = self.initial_time
        clock = (time.second, time.minute, time.hour, time.day, time.month, time.year - 2000)
        return _SYSTEM_INFO.pack(
            self.version,
            self.epoch,
            self.tick,
            self.initial_tick,
            self.latest_created_tick,
            time.millisecond,
            *clock,
            self.entities,
            self.transactions,
            self.mining_seed,
            self.solution_threshold,
            self.supply_qu,
            self.dust_threshold_qu,
            self.vote_signature,
            b"",
        )

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Parse a payload of type 47; the reserve at its end is not kept."""
        _require_size(payload, _SYSTEM_INFO.size, "system info")
        version, epoch, tick, initial, created, *fields = _SYSTEM_INFO.unpack(payload)
        millisecond, second, minute, hour, day, month, year = fields[:7]
        time = TickTime(2000 + year, month, day, hour, minute, second, millisecond)
        entities, transactions, seed, threshold, supply, dust, vote, _reserve = fields[7:]
        head = (version, epoch, tick, initial, created)
        return cls(*head, time, entities, transactions, seed, threshold, supply, dust, vote)


@dataclass(frozen=True, slots=True)
class ComputorsPacket:
    """BROADCAST_COMPUTORS: the keys that lead the epoch's ticks."""

    epoch: int
    public_keys: tuple[bytes, ...]
    signature: bytes

    def encode(self) -> bytes:
        """Return the 21,698-byte payload."""
        if len(self.public_keys) != COMPUTORS:
            raise ValueError(f"an epoch has {COMPUTORS} computors, not {len(self.public_keys)}")
        return _COMPUTORS.pack(self.epoch, b"".join(self.public_keys), self.signature)

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Parse a payload of type 2."""
        _require_size(payload, _COMPUTORS.size, "a list of computors")
        epoch, keys, signature = _COMPUTORS.unpack(payload)
        cut = range(0, len(keys), PUBLIC_KEY_BYTES)
        return cls(epoch, tuple(keys[at : at + PUBLIC_KEY_BYTES] for at in cut), signature)


def exchange_peers(peers: Iterable[str] = (), *, dejavu: int) -> bytes:
    """Return EXCHANGE_PUBLIC_PEERS with up to four IPv4 addresses; the rest is 0.0.0.0."""
    packed = b"".join(IPv4Address(peer).packed for peer in peers)
    if len(packed) > 4 * PEERS_PER_EXCHANGE:
        raise ValueError(f"{PEERS_PER_EXCHANGE} peers at most are exchanged")
    payload = packed.ljust(4 * PEERS_PER_EXCHANGE, b"\0")
    return encode_packet(PacketType.EXCHANGE_PUBLIC_PEERS, payload, dejavu)


def parse_exchange_peers(payload: bytes) -> tuple[str, ...]:
    """Return the addresses other than 0.0.0.0."""
    _require_size(payload, 4 * PEERS_PER_EXCHANGE, "an exchange of peers")
    packed = (payload[at : at + 4] for at in range(0, len(payload), 4))
    return tuple(str(IPv4Address(peer)) for peer in packed if any(peer))


def tick_info_request(dejavu: int) -> bytes:
    """Ask for the current tick; answer :class:`TickInfoPacket`."""
    return encode_packet(PacketType.REQUEST_TICK_INFO, b"", dejavu)


def entity_request(public_key: bytes, dejavu: int) -> bytes:
    """Ask for a key's balance; answer :class:`EntityPacket`."""
    _require_key(public_key)
    return encode_packet(PacketType.REQUEST_ENTITY, public_key, dejavu)


def broadcast_transaction(signed_tx: bytes, dejavu: int = 0) -> bytes:
    """Hand a signed transaction over, to be spread. A node never answers it."""
    return encode_packet(PacketType.BROADCAST_TRANSACTION, signed_tx, dejavu)


def transaction_info_request(digest: bytes, dejavu: int) -> bytes:
    """Ask for a processed transaction; answer BROADCAST_TRANSACTION or END_RESPONSE."""
    _require_key(digest)
    return encode_packet(PacketType.REQUEST_TRANSACTION_INFO, digest, dejavu)


def tick_data_request(tick: int, dejavu: int) -> bytes:
    """Ask for a tick's list; answer TICK_DATA or END_RESPONSE."""
    return encode_packet(PacketType.REQUEST_TICK_DATA, _U32.pack(tick), dejavu)


def tick_transactions_request(tick: int, dejavu: int, *, skip: Iterable[int] = ()) -> bytes:
    """Ask for a tick's transactions; answers BROADCAST_TRANSACTION in any order, END_RESPONSE."""
    payload = TickTransactionsRequest(tick, frozenset(skip)).encode()
    return encode_packet(PacketType.REQUEST_TICK_TRANSACTIONS, payload, dejavu)


def contract_function_request(
    contract_index: int, input_type: int, payload: bytes, dejavu: int
) -> bytes:
    """Call a contract's function; an EMPTY answer of type 43 stands for any failure."""
    call = ContractCall(contract_index, input_type, payload).encode()
    return encode_packet(PacketType.REQUEST_CONTRACT_FUNCTION, call, dejavu)


def system_info_request(dejavu: int) -> bytes:
    """Ask for the node's state; answer :class:`SystemInfoPacket`."""
    return encode_packet(PacketType.REQUEST_SYSTEM_INFO, b"", dejavu)


def computors_request(dejavu: int) -> bytes:
    """Ask for the epoch's computors; answer :class:`ComputorsPacket` or END_RESPONSE."""
    return encode_packet(PacketType.REQUEST_COMPUTORS, b"", dejavu)


def end_response(dejavu: int) -> bytes:
    """Say that an answer has ended or that there is none."""
    return encode_packet(PacketType.END_RESPONSE, b"", dejavu)


def try_again(dejavu: int) -> bytes:
    """Say that the queue is full."""
    return encode_packet(PacketType.TRY_AGAIN, b"", dejavu)


def parse_entity_request(payload: bytes) -> bytes:
    """Return the key asked for."""
    _require_size(payload, PUBLIC_KEY_BYTES, "a request of an entity")
    return payload


def parse_digest(payload: bytes) -> bytes:
    """Return the transaction digest asked for."""
    _require_size(payload, DIGEST_BYTES, "a request of a transaction")
    return payload


def parse_tick_data_request(payload: bytes) -> int:
    """Return the tick asked for."""
    _require_size(payload, _U32.size, "a request of tick data")
    tick: int = _U32.unpack(payload)[0]
    return tick


def parse_empty(payload: bytes) -> None:
    """Check that a request has no payload."""
    _require_size(payload, 0, "this request")


def _require_size(payload: bytes, size: int, what: str) -> None:
    if len(payload) != size:
        raise NodeProtocolError(f"{what} has {size} bytes of payload, not {len(payload)}")


def _require_key(value: bytes) -> None:
    if len(value) != PUBLIC_KEY_BYTES:
        raise ValueError(f"a key or digest has {PUBLIC_KEY_BYTES} bytes, not {len(value)}")
