"""The node client against a devnet's node, and against nodes that misbehave."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from devnet_fixture import running_devnet, transfer
from fakes import FakeClock, SeededEntropy
from realtime_devnet.serving import DevnetServer
from realtime_hub.adapters.qubic_node import NodeAddress, NodeSettings, QubicNodes
from realtime_hub.adapters.system import SystemClock, SystemEntropy
from realtime_hub.chain.model import NodeUnavailable
from realtime_protocol.identity import PublicKey
from realtime_protocol.qubic import node_wire
from realtime_protocol.qubic.contract_abi import Function
from realtime_protocol.qubic.node_wire import EntityPacket, PacketReader, TickInfoPacket
from realtime_protocol.schnorrq import keypair
from realtime_protocol.transaction import transaction_digest

STRANGER = PublicKey(keypair("stranger" * 6 + "strange").public_key)
QUICK = NodeSettings(request_timeout_s=0.2, connect_timeout_s=0.2)

Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
async def devnet() -> AsyncIterator[DevnetServer]:
    async with running_devnet() as server:
        yield server


@pytest.fixture
async def nodes(devnet: DevnetServer) -> AsyncIterator[QubicNodes]:
    opened = to(devnet.info.node_port)
    yield opened
    opened.close()


def to(*ports: int, settings: NodeSettings | None = None) -> QubicNodes:
    addresses = [NodeAddress("127.0.0.1", port) for port in ports]
    return QubicNodes(addresses, SystemClock(), SystemEntropy(), settings)


@asynccontextmanager
async def peer(behave: Peer) -> AsyncIterator[int]:
    """Serve connections with *behave*; yield the port."""
    open_writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_writers.append(writer)
        try:
            await behave(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    for writer in open_writers:
        writer.transport.abort()
    await asyncio.sleep(0)


async def silence(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read(-1)


async def answering(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    answer: Callable[[node_wire.Packet], bytes],
) -> None:
    """Answer each packet with what *answer* makes of it."""
    packets = PacketReader()
    while data := await reader.read(65_536):
        for packet in packets.feed(data):
            writer.write(answer(packet))


async def test_tick_info_says_where_the_node_is(nodes: QubicNodes, devnet: DevnetServer) -> None:
    info = await nodes.tick_info()
    assert (info.tick, info.epoch, info.initial_tick) == (devnet.info.tick, 1, devnet.info.tick)
    devnet.step()
    assert (await nodes.tick_info()).tick == devnet.info.tick + 1


async def test_entities_are_known_or_not(nodes: QubicNodes, devnet: DevnetServer) -> None:
    wallet = devnet.info.wallets[0]
    entity = await nodes.entity(wallet.public_key)
    assert entity is not None
    assert (entity.balance_qu, entity.tick) == (wallet.balance_qu, devnet.info.tick)
    assert await nodes.entity(STRANGER) is None


async def test_a_broadcast_transaction_is_executed_and_shown(
    nodes: QubicNodes, devnet: DevnetServer
) -> None:
    payer, payee = devnet.info.wallets[:2]
    tick = devnet.info.tick + 5
    signed_tx = transfer(payer, payee.public_key, 1_000, tick)
    digest = transaction_digest(signed_tx)
    await nodes.broadcast(signed_tx)
    await nodes.broadcast(signed_tx, again=True)
    assert await nodes.transaction(digest) is None
    devnet.step(6)

    assert await nodes.transaction(digest) == signed_tx
    data = await nodes.tick_data(tick)
    assert data is not None
    assert data.digests == (digest,)
    assert await nodes.tick_transactions(tick) == [signed_tx]
    entity = await nodes.entity(payer.public_key)
    assert entity is not None
    assert entity.latest_outgoing_tick == tick
    assert await nodes.tick_data(tick - 1) is None


async def test_a_tick_that_the_node_is_not_past_is_never_read(
    nodes: QubicNodes, devnet: DevnetServer
) -> None:
    payer, payee = devnet.info.wallets[:2]
    tick = devnet.info.tick + 3
    await nodes.broadcast(transfer(payer, payee.public_key, 1_000, tick))
    await nodes.tick_info()
    devnet.step(3)  # The node serves the list of its current tick; it may still change.
    with pytest.raises(NodeUnavailable, match="not past"):
        await nodes.tick_data(tick)
    with pytest.raises(NodeUnavailable, match="not past"):
        await nodes.tick_transactions(tick)
    devnet.step()
    assert await nodes.tick_data(tick) is not None


async def test_many_requests_at_once_get_their_own_answers(
    nodes: QubicNodes, devnet: DevnetServer
) -> None:
    keys = [wallet.public_key for wallet in devnet.info.wallets] * 20
    entities = await asyncio.gather(*(nodes.entity(key) for key in keys))
    assert [entity and entity.public_key for entity in entities] == keys


async def test_a_contract_function_answers_or_fails_empty(
    nodes: QubicNodes, devnet: DevnetServer
) -> None:
    assert await nodes.call_function(devnet.info.contract_index, Function.GET_INFO, b"")
    assert await nodes.call_function(999, 1, b"") == b""


async def test_a_lost_connection_is_made_again_and_counts_as_another(
    nodes: QubicNodes, devnet: DevnetServer
) -> None:
    await nodes.tick_info()
    before = nodes.generation
    nodes.close()
    await asyncio.sleep(0)
    assert (await nodes.tick_info()).tick == devnet.info.tick
    assert nodes.generation > before


async def test_a_silent_node_is_unavailable_in_time() -> None:
    async with peer(silence) as port:
        with pytest.raises(NodeUnavailable, match="no answer within"):
            await to(port, settings=QUICK).tick_info()


async def test_a_node_that_refuses_is_left_alone_for_a_while() -> None:
    clock = FakeClock()
    nodes = QubicNodes([NodeAddress("127.0.0.1", 1)], clock, SeededEntropy())
    with pytest.raises(NodeUnavailable, match="can't be reached"):
        await nodes.tick_info()
    with pytest.raises(NodeUnavailable, match="just now"):
        await nodes.tick_info()
    clock.advance_ms(60)
    with pytest.raises(NodeUnavailable, match="can't be reached"):
        await nodes.tick_info()


async def test_the_next_node_serves_when_the_first_is_gone(devnet: DevnetServer) -> None:
    async with peer(silence) as silent:
        nodes = to(silent, devnet.info.node_port, settings=QUICK)
        before = nodes.generation
        assert (await nodes.tick_info()).tick == devnet.info.tick
        assert nodes.generation > before
        nodes.close()


@pytest.mark.parametrize(
    "garbage",
    [b"\x00" * 8, b"\xff\xff\xff" + b"\x00" * 20, b"\x03\x00\x00\x1c\x00\x00\x00\x00"],
    ids=["size 0", "16 MB", "size 3"],
)
async def test_a_node_that_breaks_the_protocol_loses_its_connection(garbage: bytes) -> None:
    async def break_it(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answering(reader, writer, lambda _: garbage)

    async with peer(break_it) as port:
        with pytest.raises(NodeUnavailable, match="broke the protocol"):
            await to(port, settings=QUICK).tick_info()


async def test_an_answer_of_the_wrong_form_is_no_answer() -> None:
    def short(packet: node_wire.Packet) -> bytes:
        return node_wire.encode_packet(28, b"short", packet.dejavu)

    async with peer(lambda reader, writer: answering(reader, writer, short)) as port:
        with pytest.raises(NodeUnavailable, match="garbage"):
            await to(port, settings=QUICK).tick_info()


async def test_another_keys_entity_is_no_answer() -> None:
    other = EntityPacket(bytes(32), 5, 0, 1, 0, 1, 0, 9, 1).encode()

    def wrong(packet: node_wire.Packet) -> bytes:
        return node_wire.encode_packet(32, other, packet.dejavu)

    async with peer(lambda reader, writer: answering(reader, writer, wrong)) as port:
        with pytest.raises(NodeUnavailable, match="another entity"):
            await to(port, settings=QUICK).entity(STRANGER)


async def test_answers_to_nobody_and_unknown_packets_are_ignored(devnet: DevnetServer) -> None:
    info = TickInfoPacket(1, 1, 77, 0, 0, 70).encode()

    def noisy(packet: node_wire.Packet) -> bytes:
        stray = node_wire.encode_packet(28, b"?", packet.dejavu ^ 1)
        unknown = node_wire.encode_packet(200, b"?", packet.dejavu)
        return stray + unknown + node_wire.encode_packet(28, info, packet.dejavu)

    async with peer(lambda reader, writer: answering(reader, writer, noisy)) as port:
        nodes = to(port, settings=QUICK)
        assert (await nodes.tick_info()).tick == 77
        nodes.close()


def not_ready(packet: node_wire.Packet) -> bytes:
    return node_wire.encode_packet(28, bytes(16), packet.dejavu)


def busy(packet: node_wire.Packet) -> bytes:
    return node_wire.try_again(packet.dejavu)


@pytest.mark.parametrize(("answer", "said"), [(not_ready, "isn't ready"), (busy, "busy")])
async def test_a_node_that_is_not_ready_or_busy_is_unavailable(
    answer: Callable[[node_wire.Packet], bytes], said: str
) -> None:
    async with peer(lambda reader, writer: answering(reader, writer, answer)) as port:
        with pytest.raises(NodeUnavailable, match=said):
            await to(port, settings=QUICK).tick_info()


async def test_an_empty_tick_wants_as_many_proofs_as_configured(devnet: DevnetServer) -> None:
    devnet.step(3)
    tick = devnet.info.tick + 1
    port = devnet.info.node_port
    two = NodeSettings(empty_proofs=2)
    alone = to(port, settings=two)
    with pytest.raises(NodeUnavailable, match="1 of 2 nodes"):
        await alone.tick_data(tick)
    both = to(port, port, settings=two)
    assert await both.tick_data(tick) is None
    for nodes in (alone, both):
        nodes.close()


async def test_requests_beyond_the_bound_are_refused_at_once() -> None:
    settings = NodeSettings(request_timeout_s=0.2, requests_pending_max=2)
    async with peer(silence) as port:
        nodes = to(port, settings=settings)
        outcomes = await asyncio.gather(
            *(nodes.tick_info() for _ in range(5)), return_exceptions=True
        )
        said = sorted(str(one) for one in outcomes)
        assert sum("2 requests wait" in one for one in said) == 3
        nodes.close()


def test_an_address_is_host_and_port() -> None:
    assert NodeAddress.parse("node.example:21841") == NodeAddress("node.example", 21841)
    assert NodeAddress.parse("[::1]:1") == NodeAddress("::1", 1)
    for bad in ("node", "node:", ":1", "node:x"):
        with pytest.raises(ValueError, match="host:port"):
            NodeAddress.parse(bad)
