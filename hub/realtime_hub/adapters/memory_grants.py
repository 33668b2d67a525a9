"""Grants in this process: for tests, and to see what a store has to do."""

import asyncio
from collections.abc import Callable, Sequence

from realtime_hub.auth.grants import Grants
from realtime_protocol.identity import PublicKey


class MemoryGrants:
    """One hub's grants, gone with it."""

    def __init__(self) -> None:
        self._grants: dict[PublicKey, Grants] = {}

    async def load(self, wallets: Sequence[PublicKey]) -> list[Grants]:
        """Return each wallet's grants."""
        return [self._grants.get(wallet, ()) for wallet in wallets]

    async def swap(self, wallet: PublicKey, before: Grants, after: Grants) -> bool:
        """Put *after* in the place of *before*."""
        if self._grants.get(wallet, ()) != before:
            return False
        if after:
            self._grants[wallet] = after
        else:
            self._grants.pop(wallet, None)
        return True

    async def tell(self, grant_ids: Sequence[bytes]) -> None:
        """There is no other hub."""

    async def follow(self, on_revoked: Callable[[bytes], None]) -> None:
        """Tell nothing: whoever revokes something here is this hub itself."""
        await asyncio.get_running_loop().create_future()
