"""Reads every living session's wallet again, when a block may have been lost on its way here."""

import asyncio
from typing import TYPE_CHECKING, Final

from realtime_hub.session.ports import SessionAuth
from realtime_hub.session.registry import SessionRegistry
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import TrustReason, TrustStatus

if TYPE_CHECKING:
    from realtime_hub.session.session import LiveSession

WALLETS_PER_READ: Final = 64
PAUSE_S: Final = 1.0
"""Before wallets that nobody could tell about are asked for again."""


class Recheck:
    """One owner runs :meth:`run`; :meth:`all_sessions` asks for a round, and returns at once."""

    def __init__(self, registry: "SessionRegistry[LiveSession]", auth: SessionAuth) -> None:
        self._registry = registry
        self._auth = auth
        self._wanted = asyncio.Event()

    def all_sessions(self) -> None:
        """Have every wallet read that has a session now; a blocked one's sessions are closed."""
        self._wanted.set()

    async def run(self) -> None:
        """Do what is asked for, for ever; a wallet that can't be read is asked for until it can."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            wallets = self._wallets()
            while wallets and not self._wanted.is_set():
                wallets = await self._round(wallets)
                if wallets:
                    await asyncio.sleep(PAUSE_S)

    def _wallets(self) -> list[PublicKey]:
        wallets = (session.machine.wallet for session in self._registry.connections)
        return [wallet for wallet in dict.fromkeys(wallets) if wallet is not None]

    async def _round(self, wallets: list[PublicKey]) -> list[PublicKey]:
        """Read wallets; return those that nobody could tell about."""
        unknown = []
        for start in range(0, len(wallets), WALLETS_PER_READ):
            some = wallets[start : start + WALLETS_PER_READ]
            for wallet, trust in zip(some, await self._auth.get(some), strict=True):
                if trust.status is TrustStatus.BLOCKED:
                    self._auth.delegation.block(wallet, self._auth.position())
                    for session in list(self._registry.sessions_of(wallet)):
                        session.block()
                elif trust.reason == TrustReason.UNAVAILABLE:
                    unknown.append(wallet)
        return unknown
