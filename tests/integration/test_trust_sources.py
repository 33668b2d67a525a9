"""L3 over its real protocols: the devnet's nodes and HTTP API, and a registry of another hub."""

import asyncio
import socket
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvicorn
from starlette.applications import Starlette

from devnet_fixture import invocation, running_devnet
from fakes import FakeClock
from realtime_devnet.serving import DevnetServer
from realtime_devnet.settings import DemoWallet
from realtime_hub.adapters.contract_trust import ContractTrust
from realtime_hub.adapters.http_registry import LEASE_S, HttpRegistry
from realtime_hub.adapters.qubic_http import QubicHttp
from realtime_hub.adapters.qubic_node import NodeAddress, QubicNodes
from realtime_hub.adapters.sqlite_registry import SqliteRegistry, check_file
from realtime_hub.adapters.system import SystemClock, SystemEntropy
from realtime_hub.auth.agreement import AgreeingSources
from realtime_hub.auth.ports import SourceUnavailable
from realtime_hub.chain.model import NodeUnavailable
from realtime_hub.chain.network import KnownTick, NetworkRecord
from realtime_hub.chain.second_opinion import SecondOpinion
from realtime_hub.surfaces.kept_registry import registry_route
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import TrustStatus
from realtime_protocol.qubic.contract_abi import ChainStatus, Function, Procedure, StatusSetting
from realtime_protocol.registry import Registry, RegistryError, registry_key
from realtime_protocol.schnorrq import k12, keypair
from realtime_protocol.transaction import build_unsigned, sign_transaction

INDEX = 29
ADMIN = keypair("a" * 55)
WALLET = PublicKey(keypair("w" * 55).public_key)
BLOCKED = StatusSetting(WALLET, ChainStatus.BLOCKED, 0, 7)
ACTIVE = StatusSetting(WALLET, ChainStatus.ACTIVE, 80)


# The contract -----------------------------------------------------------------------------------


def list_on_chain(server: DevnetServer, admin: DemoWallet, setting: StatusSetting) -> None:
    tick = server.devnet.tick + 3
    assert (
        server.devnet.submit(invocation(admin, Procedure.SET_STATUS, setting.encode(), tick))
        is None
    )
    server.step(5)


def node_of(server: DevnetServer) -> QubicNodes:
    address = NodeAddress("127.0.0.1", server.info.node_port)
    return QubicNodes([address], SystemClock(), SystemEntropy())


async def record_of(node: QubicNodes) -> NetworkRecord:
    """Return by what the node's network is known, as the chain watcher would find it."""
    info = await node.tick_info()
    data = await node.tick_data(info.initial_tick)
    assert data is not None
    return NetworkRecord.begin("devnet", KnownTick(info.initial_tick, data.epoch, k12(data.raw)))


async def test_the_http_api_tells_what_the_node_tells() -> None:
    async with running_devnet() as server:
        list_on_chain(server, server.info.admin, ACTIVE)
        node = node_of(server)
        api = QubicHttp(f"http://127.0.0.1:{server.info.http_port}/", timeout_s=2)
        over_tcp, over_http = ContractTrust(node, INDEX), ContractTrust(api, INDEX)
        assert await over_http.info() == await over_tcp.info()
        assert await over_http.changes(0) == await over_tcp.changes(0)
        found = await over_http.statuses([WALLET])
        assert found == await over_tcp.statuses([WALLET])
        record = found[WALLET]
        assert record is not None
        assert record.status is TrustStatus.ACTIVE
        await api.close()
        node.close()


async def test_an_http_api_that_is_not_there_is_an_unavailable_source() -> None:
    api = QubicHttp("http://127.0.0.1:9", timeout_s=1)
    with pytest.raises(SourceUnavailable, match=r"127\.0\.0\.1:9"):
        await ContractTrust(api, INDEX).info()
    await api.close()


async def test_node_and_http_api_agree_before_a_wallet_is_active() -> None:
    async with running_devnet() as server, running_devnet(seed=2) as liar:
        list_on_chain(server, server.info.admin, ACTIVE)
        node = node_of(server)
        record = await record_of(node)
        api = QubicHttp(f"http://127.0.0.1:{server.info.http_port}", timeout_s=2)
        lying = QubicHttp(f"http://127.0.0.1:{liar.info.http_port}", timeout_s=2)
        opinion = ContractTrust(SecondOpinion(node, lambda: record), INDEX)
        both = AgreeingSources([opinion, ContractTrust(api, INDEX)], need=2)
        found = (await both.statuses([WALLET]))[WALLET]
        assert found is not None
        assert found.status is TrustStatus.ACTIVE
        quarrel = AgreeingSources([opinion, ContractTrust(lying, INDEX)], need=2)
        with pytest.raises(SourceUnavailable, match="agree on wallets"):
            await quarrel.statuses([WALLET])
        for opened in (api, lying):
            await opened.close()
        node.close()


async def test_a_node_of_another_network_has_no_second_opinion() -> None:
    async with running_devnet() as server, running_devnet(seed=2) as other:
        ours, theirs = node_of(server), node_of(other)
        server.step(3)
        other.step(3)
        record = await record_of(ours)
        with pytest.raises(NodeUnavailable):
            await SecondOpinion(theirs, lambda: record).call_function(INDEX, Function.GET_INFO, b"")
        answer = await SecondOpinion(ours, lambda: record).call_function(
            INDEX, Function.GET_INFO, b""
        )
        assert answer
        ours.close()
        theirs.close()


# A registry -------------------------------------------------------------------------------------


def begin() -> Registry:
    return Registry("test", PublicKey(ADMIN.public_key))


def order(setting: StatusSetting, *, tick: int = 1_000_010, seed: str = "a") -> bytes:
    keys = keypair(seed * 55)
    unsigned = build_unsigned(
        PublicKey(keys.public_key),
        registry_key("test"),
        0,
        tick,
        input_type=Procedure.SET_STATUS,
        payload=setting.encode(),
    )
    return sign_transaction(unsigned, keys.subseed, keys.public_key)


@asynccontextmanager
async def keeper(kept: SqliteRegistry) -> AsyncIterator[str]:
    """Serve a registry over HTTP; yield the keeper's address."""
    app = Starlette(routes=[registry_route(kept)])
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        serving = asyncio.create_task(server.serve([listening.dup()]))
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await serving


@pytest.fixture
def kept(tmp_path: Path) -> SqliteRegistry:
    return SqliteRegistry(tmp_path / "registry.sqlite3", begin, FakeClock())


async def test_an_order_counts_for_the_keeper_and_for_those_who_follow(
    kept: SqliteRegistry,
) -> None:
    async with keeper(kept) as url:
        followed = HttpRegistry(url, begin(), FakeClock(), timeout_s=2)
        source = ContractTrust(followed, 0)
        assert (await source.info()).admin == ADMIN.public_key
        assert await source.statuses([WALLET]) == {WALLET: None}
        assert await kept.append(order(ACTIVE))
        assert await kept.append(order(BLOCKED))
        assert (await source.info()).last_sequence == 2
        assert await source.statuses([WALLET]) == await ContractTrust(kept, 0).statuses([WALLET])
        assert [r.status for r in (await source.changes(0)).changes] == [
            TrustStatus.ACTIVE,
            TrustStatus.BLOCKED,
        ]
        await followed.close()
    kept.close()


async def test_more_entries_than_a_page_holds_are_followed_to_the_end(kept: SqliteRegistry) -> None:
    for tick in range(300):
        assert await kept.append(order(ACTIVE, tick=1_000_000 + tick))
    async with keeper(kept) as url:
        followed = HttpRegistry(url, begin(), FakeClock(), timeout_s=5)
        assert (await ContractTrust(followed, 0).info()).last_sequence == 300
        await followed.close()
    kept.close()


async def test_a_registry_whose_keeper_is_silent_is_vouched_for_within_its_lease_only(
    kept: SqliteRegistry,
) -> None:
    clock = FakeClock()
    async with keeper(kept) as url:
        followed = HttpRegistry(url, begin(), clock, timeout_s=1)
        source = ContractTrust(followed, 0)
        await source.info()
    with pytest.raises(SourceUnavailable):
        await source.info()
    assert await source.statuses([WALLET]) == {WALLET: None}
    clock.advance_ms(int(LEASE_S * 1000) + 1)
    with pytest.raises(SourceUnavailable, match="hasn't answered"):
        await source.statuses([WALLET])
    await followed.close()
    kept.close()


async def test_a_keeper_that_shows_another_chain_is_not_believed(
    kept: SqliteRegistry, tmp_path: Path
) -> None:
    await kept.append(order(BLOCKED))
    async with keeper(kept) as url:
        followed = HttpRegistry(url, begin(), FakeClock(), timeout_s=2)
        await ContractTrust(followed, 0).info()
        forked = SqliteRegistry(tmp_path / "forked.sqlite3", begin, FakeClock())
        await forked.append(order(ACTIVE))
        async with keeper(forked) as forked_url:
            followed._url = followed._url.replace(url, forked_url)
            with pytest.raises(SourceUnavailable, match="another chain"):
                await ContractTrust(followed, 0).info()
        forked.close()
        await followed.close()
    kept.close()


async def test_a_strangers_order_and_a_repeated_one_change_nothing(kept: SqliteRegistry) -> None:
    assert await kept.append(order(ACTIVE))
    assert await kept.append(order(ACTIVE))
    assert not await kept.append(order(BLOCKED, seed="s"))
    assert kept.table.number == 1
    kept.close()


async def test_workers_of_one_hub_see_each_others_entries(tmp_path: Path) -> None:
    path = tmp_path / "registry.sqlite3"
    first, second = (SqliteRegistry(path, begin, FakeClock()) for _ in range(2))
    assert await first.append(order(ACTIVE))
    assert await second.append(order(BLOCKED))
    assert (await ContractTrust(first, 0).info()).last_sequence == 2
    first.close()
    second.close()


async def test_a_tampered_file_stops_the_hub_from_starting(tmp_path: Path) -> None:
    path = tmp_path / "registry.sqlite3"
    kept = SqliteRegistry(path, begin, FakeClock())
    for tick in range(3):
        await kept.append(order(ACTIVE, tick=1_000_000 + tick))
    kept.close()
    assert check_file(path, begin()).number == 3
    with sqlite3.connect(path) as file:
        file.execute("DELETE FROM registry_entries WHERE number = 2")
    file.close()
    with pytest.raises(RegistryError, match="can't follow entry 1"):
        SqliteRegistry(path, begin, FakeClock())
    with pytest.raises(RegistryError):
        check_file(path, begin())
