"""Follows a trust log in a process of its own, to be stopped and killed by a test.

python follower_process.py URL NETWORK_HEX FLEET_KEY_HEX FILE: one line for each entry that was
delivered, `chain_sequence wallet_hex`; for a beginning `begin`, then its entries.
"""

import asyncio
import sys
from pathlib import Path

from realtime_hub.adapters.redis_servers import connect
from realtime_hub.adapters.redis_trust import RedisTrustLog
from realtime_hub.adapters.system import SystemClock, SystemEntropy
from realtime_hub.auth.model import LogEntry


async def main(url: str, network: str, fleet_key: str, path: str) -> None:
    async def ready() -> None:
        return

    log = RedisTrustLog(
        connect(url),
        network_id=lambda: bytes.fromhex(network),
        fleet_key=bytes.fromhex(fleet_key),
        clock=SystemClock(),
        entropy=SystemEntropy(),
        wait_ready=ready,
    )
    with Path(path).open("a", buffering=1) as out:  # noqa: ASYNC230  (lines of a test)

        def deliver(entry: LogEntry) -> None:
            out.write(f"{entry.chain_sequence} {entry.wallet.hex()}\n")

        def begin(entries: list[LogEntry]) -> None:
            out.write("begin\n")
            for entry in entries:
                deliver(entry)

        await log.follow(deliver, begin)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
