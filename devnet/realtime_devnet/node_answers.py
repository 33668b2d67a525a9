"""What the node answers to each request: the devnet's side of node_wire, without I/O."""

from collections.abc import Callable
from typing import Final

from realtime_devnet.devnet import Devnet
from realtime_devnet.genesis import EPOCH
from realtime_protocol.qubic import node_wire
from realtime_protocol.qubic.node_wire import (
    COMPUTORS,
    ComputorsPacket,
    ContractCall,
    EntityPacket,
    Packet,
    PacketType,
    SystemInfoPacket,
    TickInfoPacket,
    TickTime,
    TickTransactionsRequest,
    encode_packet,
)
from realtime_protocol.schnorrq import k12, sign

VERSION: Final = 301
"""What system info says of the node's software: qubic/core 1.301, whose layouts these are."""
QUORUM: Final = 451
_UNKNOWN_INDEX: Final = -1
_SIGNATURE_BYTES: Final = 64
_DURATION_MS_MAX: Final = 0xFFFF


class NodeAnswers:
    """Answers packets from a :class:`Devnet`.

    *spent_ms* tells how long the current tick has lasted. An answer is a list of whole packets;
    none at all means that a node keeps silent.
    """

    def __init__(self, devnet: Devnet, *, spent_ms: Callable[[], int]) -> None:
        self._devnet = devnet
        self._spent_ms = spent_ms
        self._computors: bytes | None = None
        self._answers: dict[int, Callable[[Packet], list[bytes]]] = {
            PacketType.EXCHANGE_PUBLIC_PEERS: self._peers,
            PacketType.BROADCAST_TRANSACTION: self._broadcast,
            PacketType.REQUEST_COMPUTORS: self._computor_list,
            PacketType.REQUEST_TICK_DATA: self._tick_data,
            PacketType.REQUEST_TRANSACTION_INFO: self._transaction,
            PacketType.REQUEST_TICK_INFO: self._tick_info,
            PacketType.REQUEST_TICK_TRANSACTIONS: self._tick_transactions,
            PacketType.REQUEST_ENTITY: self._entity,
            PacketType.REQUEST_CONTRACT_FUNCTION: self._contract_function,
            PacketType.REQUEST_SYSTEM_INFO: self._system_info,
        }

    def answer(self, packet: Packet) -> list[bytes]:
        """Return the packets that answer *packet*; types unknown here get none, as on nodes.

        Raises :class:`node_wire.NodeProtocolError` for a payload of the wrong form.
        """
        answer = self._answers.get(packet.type)
        return [] if answer is None else answer(packet)

    def _peers(self, packet: Packet) -> list[bytes]:
        # A network of one node has no peers to remember or to name.
        node_wire.parse_exchange_peers(packet.payload)
        return []

    def _broadcast(self, packet: Packet) -> list[bytes]:
        # Good or bad, no node ever answers a broadcast.
        self._devnet.submit(packet.payload)
        return []

    def _computor_list(self, packet: Packet) -> list[bytes]:
        if self._computors is None:
            self._computors = self._signed_computors()
        return [encode_packet(PacketType.BROADCAST_COMPUTORS, self._computors, packet.dejavu)]

    def _signed_computors(self) -> bytes:
        key = self._devnet.network.computor
        keys = (key.public_key,) * COMPUTORS
        listed = ComputorsPacket(EPOCH, keys, bytes(_SIGNATURE_BYTES))
        message = k12(listed.encode()[:-_SIGNATURE_BYTES])
        signature = sign(key.subseed, key.public_key, message)
        return ComputorsPacket(EPOCH, keys, signature).encode()

    def _tick_data(self, packet: Packet) -> list[bytes]:
        tick = node_wire.parse_tick_data_request(packet.payload)
        data = self._devnet.tick_data(tick)
        if data is None:
            return [node_wire.end_response(packet.dejavu)]
        return [encode_packet(PacketType.TICK_DATA, data.raw, packet.dejavu)]

    def _transaction(self, packet: Packet) -> list[bytes]:
        found = self._devnet.transaction(node_wire.parse_digest(packet.payload))
        if found is None:
            return [node_wire.end_response(packet.dejavu)]
        return [node_wire.broadcast_transaction(found.signed, packet.dejavu)]

    def _tick_info(self, packet: Packet) -> list[bytes]:
        node_wire.parse_empty(packet.payload)
        info = TickInfoPacket(
            duration_ms=min(self._spent_ms(), _DURATION_MS_MAX),
            epoch=EPOCH,
            tick=self._devnet.tick,
            aligned_votes=QUORUM,
            misaligned_votes=0,
            initial_tick=self._devnet.network.genesis.start_tick,
        )
        return [encode_packet(PacketType.RESPOND_TICK_INFO, info.encode(), packet.dejavu)]

    def _tick_transactions(self, packet: Packet) -> list[bytes]:
        request = TickTransactionsRequest.decode(packet.payload)
        found = self._devnet.tick_transactions(request.tick)
        wanted = (each.signed for at, each in enumerate(found) if at not in request.skip)
        sent = [node_wire.broadcast_transaction(signed, packet.dejavu) for signed in wanted]
        return [*sent, node_wire.end_response(packet.dejavu)]

    def _entity(self, packet: Packet) -> list[bytes]:
        public_key = node_wire.parse_entity_request(packet.payload)
        found = self._devnet.entity(public_key)
        tick = self._devnet.tick
        if found is None:
            entity = EntityPacket(public_key, 0, 0, 0, 0, 0, 0, tick, _UNKNOWN_INDEX)
        else:
            entity = EntityPacket(
                public_key=public_key,
                incoming_amount_qu=found.incoming_qu,
                outgoing_amount_qu=found.outgoing_qu,
                incoming_count=found.incoming_count,
                outgoing_count=found.outgoing_count,
                latest_incoming_tick=found.latest_incoming_tick,
                latest_outgoing_tick=found.latest_outgoing_tick,
                tick=tick,
                spectrum_index=found.index,
            )
        return [encode_packet(PacketType.RESPOND_ENTITY, entity.encode(), packet.dejavu)]

    def _contract_function(self, packet: Packet) -> list[bytes]:
        call = ContractCall.decode(packet.payload)
        output = self._devnet.network.call_function(
            call.contract_index, call.input_type, call.payload
        )
        return [encode_packet(PacketType.RESPOND_CONTRACT_FUNCTION, output, packet.dejavu)]

    def _system_info(self, packet: Packet) -> list[bytes]:
        node_wire.parse_empty(packet.payload)
        network = self._devnet.network
        info = SystemInfoPacket(
            version=VERSION,
            epoch=EPOCH,
            tick=network.tick,
            initial_tick=network.genesis.start_tick,
            latest_created_tick=network.tick,
            initial_time=TickTime.of_epoch_ms(network.genesis.clock_ms),
            entities=len(network.ledger),
            transactions=self._devnet.transactions_count(),
            mining_seed=network.genesis.randomness,
            solution_threshold=0,
            supply_qu=network.ledger.supply_qu(),
            dust_threshold_qu=0,
        )
        return [encode_packet(PacketType.RESPOND_SYSTEM_INFO, info.encode(), packet.dejavu)]
