"""Follow every wallet's trust; the API key is in REALTIME_API_KEY.

python examples/trust_feed.py ws://127.0.0.1:8080/v1 WALLET
"""

import asyncio
import os
import sys

from realtime_client.trust_feed import TrustFeed, WalletState
from realtime_protocol.identity import PublicKey, encode_identity, parse_identity


def show(wallet: PublicKey, state: WalletState) -> None:
    print(encode_identity(wallet), state.status.name, state.score, flush=True)


async def main(url: str, wallet: PublicKey) -> None:
    api_key = os.environ["REALTIME_API_KEY"]
    async with TrustFeed(url, api_key, on_change=show) as feed:
        state = await feed.get(wallet)
        show(wallet, state)
        print(await feed.wait_ended())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], parse_identity(sys.argv[2])))
