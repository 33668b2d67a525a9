"""Log a demo wallet in, look at a payee, pay it: `make run` in one terminal, this in another."""

import asyncio
import json
import sys
from pathlib import Path

from realtime_client import Intent, Wallet, connect


async def main(url: str, demo_file: Path) -> None:
    payer, payee = json.loads(demo_file.read_text())["wallets"][:2]
    async with connect(url, Wallet.from_seed(payer["seed"])) as session:
        [trust] = await session.trust.get([payee["identity"]])
        print("payee", trust.status.name, trust.score)
        payment = session.pay(Intent(payee["identity"], 1_000))
        async for status in payment:
            print(status.state.name, "for tick", status.tick)


if __name__ == "__main__":
    url = sys.argv[1] if len(sys.argv) > 1 else "ws://127.0.0.1:8080/v1"
    demo = sys.argv[2] if len(sys.argv) > 2 else ".realtime/devnet/demo.json"
    asyncio.run(main(url, Path(demo)))
