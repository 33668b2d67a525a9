"""A devnet over TCP: what programs written by others send and expect, and what it won't bear.

The requests are the bytes that qubic-cli builds (its connection.cpp, node_utils.cpp and
wallet_utils.cpp), put together by hand here, so that an error in our packets can't hide itself.
"""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from devnet_fixture import running_devnet, transfer
from realtime_devnet.node_server import NodeLimits
from realtime_devnet.serving import DevnetServer
from realtime_protocol.schnorrq import k12, verify
from realtime_protocol.transaction import transaction_digest

ANSWER_TIMEOUT_S = 5.0
DEJAVUS = itertools.count(0xE000_0000)
ALL_FLAGS = bytes(512)


def header(size: int, packet_type: int, dejavu: int) -> bytes:
    return size.to_bytes(3, "little") + bytes([packet_type]) + dejavu.to_bytes(4, "little")


@dataclass
class Received:
    type: int
    dejavu: int
    payload: bytes


class Client:
    """Reads as qubic-cli does: a header, then as many bytes as it says."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def receive(self) -> Received:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            head = await self._reader.readexactly(8)
            size = int.from_bytes(head[:3], "little")
            payload = await self._reader.readexactly(size - 8)
        return Received(head[3], int.from_bytes(head[4:], "little"), payload)

    async def nothing_comes(self) -> bool:
        """Whether nothing was on its way before the answer to one more question."""
        dejavu = next(DEJAVUS)
        self.send(header(8, 27, dejavu))
        return (await self.receive()).dejavu == dejavu

    async def is_cut_off(self) -> bool:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            try:
                return await self._reader.read() == b""
            except ConnectionError:
                return True


@contextlib.asynccontextmanager
async def connected(server: DevnetServer, *, greeted: bool = True) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.info.node_port)
    client = Client(reader, writer)
    try:
        if greeted:
            assert (await client.receive()).type == 0
        yield client
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_a_node_speaks_first_with_the_exchange_of_peers() -> None:
    async with running_devnet() as server, connected(server, greeted=False) as client:
        greeting = await client.receive()
        assert (greeting.type, greeting.payload) == (0, bytes(16))
        assert greeting.dejavu != 0
        # Its own exchange of peers is welcome, and not needed.
        client.send(header(24, 0, 77) + bytes(16))
        assert await client.nothing_comes()


async def test_qubic_cli_getcurrenttick() -> None:
    async with running_devnet() as server, connected(server) as client:
        server.step(3)
        client.send(bytes.fromhex("0800001b" + "a1b2c3d4"))
        answer = await client.receive()
        assert (answer.type, answer.dejavu) == (28, 0xD4C3B2A1)
        assert len(answer.payload) == 16
        assert int.from_bytes(answer.payload[2:4], "little") == 1
        assert int.from_bytes(answer.payload[4:8], "little") == 1_000_003
        assert int.from_bytes(answer.payload[12:16], "little") == 1_000_000


async def test_qubic_cli_getbalance() -> None:
    async with running_devnet() as server, connected(server) as client:
        wallet = server.info.wallets[0].public_key
        client.send(header(40, 31, 5) + wallet)
        answer = await client.receive()
        assert (answer.type, len(answer.payload)) == (32, 840)
        assert answer.payload[:32] == wallet
        assert int.from_bytes(answer.payload[32:40], "little") == 1_000_000_000
        assert int.from_bytes(answer.payload[40:48], "little") == 0
        assert int.from_bytes(answer.payload[64:68], "little") == server.info.tick
        client.send(header(40, 31, 6) + bytes(range(32)))
        unknown = await client.receive()
        assert unknown.payload[32:48] == bytes(16)
        assert unknown.payload[68:72] == b"\xff\xff\xff\xff"


async def test_qubic_cli_sendtoaddress_then_checktxontick() -> None:
    async with running_devnet() as server, connected(server) as client:
        payer, payee = server.info.wallets[0], server.info.wallets[1].public_key
        # sendtoaddress asks the tick, then broadcasts for that tick + 8 with dejavu 0.
        client.send(header(8, 27, 1))
        tick = int.from_bytes((await client.receive()).payload[4:8], "little") + 8
        signed = transfer(payer, payee, 12_345, tick)
        client.send(header(8 + len(signed), 24, 0) + signed)
        # checktxontick asks the tick until it is past, then the list, then the transactions.
        assert await client.nothing_comes()
        server.step(9)
        client.send(header(8, 27, 2))
        assert int.from_bytes((await client.receive()).payload[4:8], "little") > tick
        client.send(header(12, 16, 3) + tick.to_bytes(4, "little"))
        listed = await client.receive()
        assert (listed.type, listed.dejavu, len(listed.payload)) == (8, 3, 139_376)
        assert int.from_bytes(listed.payload[2:4], "little") != 0, "the cli takes epoch 0 for empty"
        digests = listed.payload[48 : 48 + 4096 * 32]
        assert digests[:32] == transaction_digest(signed)
        assert not any(digests[32:])
        flags = bytes(1) + bytes([0xFF]) * 511
        client.send(header(524, 29, 4) + tick.to_bytes(4, "little") + flags)
        sent = await client.receive()
        assert (sent.type, sent.dejavu, sent.payload) == (24, 4, signed)
        end = await client.receive()
        assert (end.type, end.dejavu) == (35, 4)


async def test_an_empty_tick_has_no_list_and_no_transactions() -> None:
    async with running_devnet() as server, connected(server) as client:
        server.step(5)
        for dejavu, tick in enumerate((1_000_002, 999_999, 0, 0xFFFF_FFFF), 1):
            client.send(header(12, 16, dejavu) + tick.to_bytes(4, "little"))
            answer = await client.receive()
            assert (answer.type, answer.dejavu) == (35, dejavu)
            client.send(header(524, 29, 99 + dejavu) + tick.to_bytes(4, "little") + ALL_FLAGS)
            assert (await client.receive()).type == 35


async def test_flags_choose_among_a_tick_s_transactions() -> None:
    async with running_devnet() as server, connected(server) as client:
        payer, payee = server.info.wallets[0], server.info.wallets[1].public_key
        orders = [transfer(payer, payee, amount, server.info.tick + 3) for amount in (1, 2, 3)]
        for signed in orders:
            client.send(header(8 + len(signed), 24, 0) + signed)
        assert await client.nothing_comes()
        server.step(4)
        question = (server.info.tick + 3).to_bytes(4, "little") + bytes([0b101]) + bytes(511)
        client.send(header(524, 29, 9) + question)
        assert (await client.receive()).payload == orders[1]
        assert (await client.receive()).type == 35


async def test_a_transaction_is_told_once_it_is_processed() -> None:
    async with running_devnet() as server, connected(server) as client:
        payer, payee = server.info.wallets[0], server.info.wallets[1].public_key
        signed = transfer(payer, payee, 1, server.info.tick + 3)
        question = transaction_digest(signed)
        client.send(header(8 + len(signed), 24, 0) + signed)
        assert await client.nothing_comes()
        server.step(3)
        client.send(header(40, 26, 1) + question)
        assert (await client.receive()).type == 35
        server.step()
        client.send(header(40, 26, 2) + question)
        told = await client.receive()
        assert (told.type, told.dejavu, told.payload) == (24, 2, signed)


async def test_a_contract_function_answers_and_a_failed_one_is_empty() -> None:
    async with running_devnet() as server, connected(server) as client:
        client.send(header(16, 42, 1) + bytes([29, 0, 0, 0, 4, 0, 0, 0]))
        info = await client.receive()
        assert (info.type, len(info.payload)) == (43, 104)
        assert info.payload[:8] == b"TURBOAU1"
        assert info.payload[32:64] == server.info.admin.public_key
        client.send(header(16, 42, 2) + bytes([29, 0, 0, 0, 77, 0, 0, 0]))
        failed = await client.receive()
        assert (failed.type, failed.dejavu, failed.payload) == (43, 2, b"")


async def test_the_leader_s_key_is_in_the_list_of_computors() -> None:
    async with running_devnet() as server, connected(server) as client:
        client.send(header(8, 11, 1))
        computors = await client.receive()
        assert (computors.type, len(computors.payload)) == (2, 21_698)
        client.send(header(12, 16, 2) + (1_000_000).to_bytes(4, "little"))
        listed = (await client.receive()).payload
        leader = int.from_bytes(listed[:2], "little")
        key = computors.payload[2 + 32 * leader : 34 + 32 * leader]
        message = (leader ^ 8).to_bytes(2, "little") + listed[2:-64]
        assert verify(key, k12(message), listed[-64:])


async def test_system_info_counts_what_there_is() -> None:
    async with running_devnet() as server, connected(server) as client:
        client.send(header(8, 46, 1))
        info = await client.receive()
        assert (info.type, len(info.payload)) == (47, 128)
        assert int.from_bytes(info.payload[24:28], "little") == 4
        assert int.from_bytes(info.payload[68:76], "little") == 4_000_000_000


async def test_a_repeated_packet_is_dropped_whoever_sends_it() -> None:
    async with (
        running_devnet() as server,
        connected(server) as client,
        connected(server) as other,
    ):
        client.send(header(8, 27, 5))
        assert (await client.receive()).dejavu == 5
        client.send(header(8, 27, 5))
        assert await client.nothing_comes()
        other.send(header(8, 27, 5) + header(8, 27, 6))
        assert (await other.receive()).dejavu == 6


async def test_many_requests_in_one_segment_and_one_in_many() -> None:
    async with running_devnet() as server, connected(server) as client:
        client.send(b"".join(header(8, 27, dejavu) for dejavu in range(1, 101)))
        assert [(await client.receive()).dejavu for _ in range(100)] == list(range(1, 101))
        for byte in header(8, 27, 1_000):
            client.send(bytes([byte]))
            await client.writer.drain()
            await asyncio.sleep(0)
        assert (await client.receive()).dejavu == 1_000


async def test_a_full_queue_says_try_again_and_the_same_request_is_taken_later() -> None:
    limits = NodeLimits(requests_waiting_max=2)
    async with running_devnet(limits=limits) as server, connected(server) as client:
        client.send(b"".join(header(8, 27, dejavu) for dejavu in range(1, 6)))
        answers = [await client.receive() for _ in range(5)]
        assert sorted((answer.type, answer.dejavu) for answer in answers) == [
            (28, 1),
            (28, 2),
            (54, 3),
            (54, 4),
            (54, 5),
        ]
        client.send(header(8, 27, 3))
        assert (await client.receive()).type == 28


@pytest.mark.parametrize(
    "stream",
    [
        bytes(8),
        header(7, 27, 1),
        header(0xFFFFFF, 27, 1),
        header(9, 27, 1) + b"x",
        header(39, 31, 1) + bytes(31),
        header(16, 42, 1) + bytes([29, 0, 0, 0, 4, 0, 1, 0]),
    ],
)
async def test_a_broken_packet_ends_that_connection_only(stream: bytes) -> None:
    async with (
        running_devnet() as server,
        connected(server) as client,
        connected(server) as other,
    ):
        client.send(stream)
        assert await client.is_cut_off()
        assert await other.nothing_comes()


async def test_unknown_types_and_bad_transactions_meet_silence() -> None:
    async with running_devnet() as server, connected(server) as client:
        client.send(
            header(8, 200, 1) + header(20, 24, 0) + bytes(12) + header(12, 255, 2) + b"1234"
        )
        assert await client.nothing_comes()


async def test_one_connection_too_many_is_closed() -> None:
    limits = NodeLimits(connections_max=1)
    async with running_devnet(limits=limits) as server, connected(server) as client:
        async with connected(server, greeted=False) as other:
            assert await other.is_cut_off()
        assert await client.nothing_comes()
        assert server.node.connections == 1


async def test_who_does_not_read_is_cut_off_and_others_are_served() -> None:
    limits = NodeLimits(output_bytes_max=300_000)
    async with (
        running_devnet(limits=limits) as server,
        connected(server) as greedy,
        connected(server) as other,
    ):
        question = (1_000_000).to_bytes(4, "little")
        greedy.send(b"".join(header(12, 16, at) + question for at in range(1, 200)))
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            while server.node.connections == 2:
                assert await other.nothing_comes()
        assert await other.nothing_comes()
