"""A devnet as a process: its state outlives kill -9, and its errors are one clear line."""

import asyncio
import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from devnet_fixture import DevnetProcess, transfer
from realtime_devnet.serving import run_devnet
from realtime_devnet.settings import DemoWallet, DevnetInfo, DevnetSettings, PortTaken
from realtime_protocol.identity import parse_identity
from realtime_protocol.qubic import node_wire
from realtime_protocol.qubic.node_wire import (
    EntityPacket,
    Packet,
    PacketReader,
    PacketType,
    TickInfoPacket,
)
from realtime_protocol.transaction import transaction_digest

WAIT_S = 10.0


class Node:
    """One blocking connection to a node."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=WAIT_S)
        self._reader = PacketReader()
        self._packets: list[Packet] = []
        self._dejavu = time.monotonic_ns() & 0xFFFF_FFFF

    def __enter__(self) -> "Node":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def fresh(self) -> int:
        self._dejavu = (self._dejavu + 1) & 0xFFFF_FFFF or 1
        return self._dejavu

    def send(self, stream: bytes) -> None:
        self._socket.sendall(stream)

    def asked(self, stream: bytes) -> Packet:
        self.send(stream)
        wanted = int.from_bytes(stream[4:8], "little")
        while True:
            for packet in self._packets:
                if packet.dejavu == wanted:
                    self._packets.remove(packet)
                    return packet
            self._packets += self._reader.feed(self._socket.recv(65_536))

    def tick(self) -> int:
        packet = self.asked(node_wire.tick_info_request(self.fresh()))
        return TickInfoPacket.decode(packet.payload).tick

    def balance_qu(self, public_key: bytes) -> int:
        packet = self.asked(node_wire.entity_request(public_key, self.fresh()))
        return EntityPacket.decode(packet.payload).balance_qu

    def sum_qu(self, *public_keys: bytes) -> int:
        """Return the sum of balances of one and the same tick."""
        while True:
            questions = [node_wire.entity_request(key, self.fresh()) for key in public_keys]
            found = [EntityPacket.decode(self.asked(question).payload) for question in questions]
            if len({entity.tick for entity in found}) == 1:
                return sum(entity.balance_qu for entity in found)

    def wait_for(self, tick: int) -> None:
        deadline_s = time.monotonic() + WAIT_S
        while self.tick() < tick:
            assert time.monotonic() < deadline_s
            time.sleep(0.005)


def demo_wallets(state: Path) -> list[DemoWallet]:
    demo = json.loads((state / "demo.json").read_text())
    return [
        DemoWallet(wallet["seed"], parse_identity(wallet["identity"]), wallet["balance"])
        for wallet in demo["wallets"]
    ]


@pytest.mark.slow
def test_kill_9_and_a_restart_keep_the_state(tmp_path: Path) -> None:
    with DevnetProcess(tmp_path, tick_ms=20) as process:
        payer, payee, _ = demo_wallets(tmp_path)
        with Node(process.addresses.node_port) as node:
            first = node.asked(node_wire.tick_data_request(1_000_000, node.fresh()))
            tick = node.tick() + 10
            signed = transfer(payer, payee.public_key, 42, tick)
            node.send(node_wire.broadcast_transaction(signed))
            node.wait_for(tick + 1)
            listed = node.asked(node_wire.tick_data_request(tick, node.fresh()))
            assert listed.type == PacketType.TICK_DATA
            reached = node.tick()
        for _ in range(3):
            process.kill()
            process.start()
            with Node(process.addresses.node_port) as node:
                assert node.tick() >= reached
                assert node.balance_qu(payee.public_key) == 1_000_000_042
                question = node_wire.transaction_info_request(
                    transaction_digest(signed), node.fresh()
                )
                assert node.asked(question).payload == signed
                for expected, asked in ((first, 1_000_000), (listed, tick)):
                    answer = node.asked(node_wire.tick_data_request(asked, node.fresh()))
                    assert answer.payload == expected.payload
                reached = node.tick()


@pytest.mark.slow
def test_a_killed_devnet_never_takes_back_what_it_told(tmp_path: Path) -> None:
    """Whatever moment the kill hits, each answer given before holds after."""
    with DevnetProcess(tmp_path, tick_ms=10) as process:
        payer, payee, _ = demo_wallets(tmp_path)
        told = 1_000_000_000
        for pause_ms in (1, 7, 13, 22, 31):
            with Node(process.addresses.node_port) as node:
                tick = node.tick()
                for ahead in range(4, 16):
                    signed = transfer(payer, payee.public_key, 1, tick + ahead)
                    node.send(node_wire.broadcast_transaction(signed))
                node.wait_for(tick + 4)
                time.sleep(pause_ms / 1000)
                told, told_tick = node.balance_qu(payee.public_key), node.tick()
            process.kill()
            process.start()
            with Node(process.addresses.node_port) as node:
                assert node.tick() >= told_tick
                assert node.balance_qu(payee.public_key) >= told
                # Money is neither made nor lost.
                assert node.sum_qu(payer.public_key, payee.public_key) == 2_000_000_000
        assert told > 1_000_000_000


@pytest.mark.slow
def test_ctrl_c_ends_it_within_a_second(tmp_path: Path) -> None:
    with DevnetProcess(tmp_path) as process, Node(process.addresses.node_port) as node:
        node.tick()
        started_s = time.monotonic()
        assert process.stop() == 0
        assert time.monotonic() - started_s < 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--start-tick", "75000000"], "start_tick is 75000000, not in 1..60000000"),
        (["--tick-ms", "0"], "tick_ms is 0"),
        (["--node-port", "99999"], "node_port is 99999"),
        (["--colour"], "--colour"),
    ],
)
def test_bad_options_are_refused_by_name(tmp_path: Path, arguments: list[str], words: str) -> None:
    command = [sys.executable, "-m", "realtime_devnet", "--state", str(tmp_path), *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert ended.returncode == 2
    assert words in ended.stderr.splitlines()[-1]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("setting", ["node_port", "http_port"])
async def test_a_taken_port_is_named_before_anything_is_touched(
    tmp_path: Path, setting: str
) -> None:
    state = tmp_path / "state"
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ports = {"node_port": 0, "http_port": 0, setting: port}
        settings = DevnetSettings(
            state=str(state), node_port=ports["node_port"], http_port=ports["http_port"]
        )
        with pytest.raises(PortTaken, match=f"127.0.0.1:{port} is taken.*{setting}"):
            await run_devnet(settings)
    assert not state.exists()


async def test_run_devnet_tells_where_it_is_and_ends_when_cancelled(tmp_path: Path) -> None:
    settings = DevnetSettings(state=str(tmp_path), node_port=0, http_port=0, tick_ms=10)
    told: asyncio.Future[DevnetInfo] = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(run_devnet(settings, ready=told.set_result))
    info = await asyncio.wait_for(told, WAIT_S)
    assert info.contract_index == 29
    assert [wallet.identity for wallet in info.wallets] == [
        wallet.identity for wallet in demo_wallets(tmp_path)
    ]
    reader, writer = await asyncio.open_connection("127.0.0.1", info.node_port)
    started_s = time.monotonic()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert time.monotonic() - started_s < 1
    writer.close()
    # The same directory can be used again at once.
    again = asyncio.create_task(run_devnet(settings))
    await asyncio.sleep(0)
    again.cancel()
    await asyncio.wait([again])
    assert reader is not None


async def test_time_moves_the_ticks(tmp_path: Path) -> None:
    settings = DevnetSettings(state=str(tmp_path), node_port=0, http_port=0, tick_ms=10)
    told: asyncio.Future[DevnetInfo] = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(run_devnet(settings, ready=told.set_result))
    info = await asyncio.wait_for(told, WAIT_S)
    reached = await asyncio.to_thread(_reach, info.node_port, info.tick + 5)
    assert reached >= info.tick + 5
    running.cancel()
    await asyncio.wait([running])


def _reach(port: int, tick: int) -> int:
    with Node(port) as node:
        node.wait_for(tick)
        return node.tick()
