"""A devnet whose contract lists the measurement's wallets.

``python -m bench.hub.network [TICK_MS]`` prints one line of JSON, the node's address and the
administrator's, and ends with its stdin.
"""

import asyncio
import json
import sys
from typing import Final

from bench.hub.wallets import SCORE, WALLETS, WATCHED, wallet
from realtime_devnet.devnet import Devnet
from realtime_devnet.genesis import make_genesis
from realtime_devnet.network import Network
from realtime_devnet.serving import bound_ports, serving
from realtime_devnet.settings import START_TICK, DevnetSettings
from realtime_devnet.store import MEMORY, Store
from realtime_protocol.qubic.contract_abi import ChainStatus, StatusSetting

TICK_MS: Final = 10_000
"""Where none is named: so long that no order to the contract is processed while it is measured."""
SEED: Final = 4
GENESIS: Final = make_genesis(START_TICK, seed=SEED, now_ms=0)


def open_network(tick_ms: int) -> Devnet:
    """Return a network in memory that lists every wallet."""
    network = Network.begin(GENESIS, tick_ms=tick_ms)
    for number in (*range(WALLETS), WATCHED):
        setting = StatusSetting(wallet(number).public_key, ChainStatus.ACTIVE, SCORE)
        network.contract.list_wallet(setting, START_TICK)
    network.contract.take_fresh()
    store = Store(MEMORY)
    store.create(network)
    devnet = Devnet(network, store)
    devnet.step()  # A hub waits for the first processed tick.
    return devnet


async def serve(tick_ms: int) -> None:
    """Run the network until stdin ends."""
    settings = DevnetSettings(node_port=0, http_port=0, tick_ms=tick_ms)
    devnet = open_network(tick_ms)
    with bound_ports(settings) as ports:
        async with serving(devnet, settings, ports) as server:
            facts = {"node": server.info.node_address, "admin": server.info.admin_identity}
            print(json.dumps(facts), flush=True)
            ticking = asyncio.create_task(server.tick())
            await asyncio.to_thread(sys.stdin.read)
            ticking.cancel()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]) if len(sys.argv) > 1 else TICK_MS))
