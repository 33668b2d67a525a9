"""One prompt for a key and a spending wallet, then a payment without any, and the rest back home.

    python examples/spend.py [HUB_URL [DEMO_JSON]]

Against `make run` it needs no arguments. Run it twice: the second time the wallet signs nothing.
"""

import asyncio
import json
import sys
from pathlib import Path

from realtime_client import Delegate, Intent, SpendingWallet, Wallet, connect


async def main(url: str, demo_path: Path) -> None:
    demo = json.loads(demo_path.read_bytes())["wallets"]
    wallet, payee = Wallet.from_seed(demo[0]["seed"]), demo[1]["identity"]

    kept = demo_path.parent / "delegated"
    spending = SpendingWallet.at(kept / "spending.json", max_qu=1_000)
    delegate = Delegate.at(kept / "key.json", spending=spending)
    async with connect(url, wallet, delegate=delegate) as session:
        for key in await session.keys.list():
            print("key", key.key.hex()[:16], ", ".join(key.scopes))

        funded = await session.pay(Intent(spending.identity, 500))
        print("funded", funded.state.name)
        paid = await session.pay(Intent(payee, 100), source=spending)
        print("paid", paid.state.name)
        swept = await session.sweep(spending)
        print("swept", swept.state.name if swept else "nothing")


if __name__ == "__main__":
    url = sys.argv[1] if len(sys.argv) > 1 else "ws://127.0.0.1:8080/v1"
    demo_path = Path(sys.argv[2] if len(sys.argv) > 2 else ".realtime/devnet/demo.json")
    asyncio.run(main(url, demo_path))
