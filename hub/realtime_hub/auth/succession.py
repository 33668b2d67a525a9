"""A TurboAuth contract that names its successor: followed only under the same administrator."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from realtime_hub.auth.model import TrustRecord
from realtime_hub.auth.ports import SourceChanges, SourceUnavailable, TrustSource
from realtime_protocol.identity import PublicKey
from realtime_protocol.qubic.contract_abi import ContractInfo

logger = logging.getLogger(__name__)

SUCCESSIONS_MAX: Final = 8
"""Contracts that one hub follows one after the other before somebody must set its index."""


class Succession:
    """The TrustSource of the contract with *index*, then of its successors.

    A successor counts when it is TurboAuth, obeys the same administrator and has reached the last
    sequence of the one before: its records continue the old numbers, or newer ones would lose
    against older ones everywhere.
    """

    def __init__(self, index: int, source_of: Callable[[int], TrustSource]) -> None:
        self._source_of = source_of
        self._source = source_of(index)
        self._path = [index]
        self._said: str | None = None

    @property
    def index(self) -> int:
        """The contract that counts now."""
        return self._path[-1]

    async def info(self) -> ContractInfo:
        """Return what the present contract says of itself, after following its successor."""
        info = await self._source.info()
        following = info.next_contract_index
        if not following or following == self.index:
            return info
        refusal = await self._refusal(following, info)
        if refusal is None:
            logger.warning("contract %d is succeeded by %d", self.index, following)
            self._path.append(following)
            self._source = self._source_of(following)
            return await self._source.info()
        if refusal != self._said:
            logger.warning("contract %d isn't followed to %d: %s", self.index, following, refusal)
            self._said = refusal
        return info

    async def statuses(
        self, wallets: Sequence[PublicKey]
    ) -> Mapping[PublicKey, TrustRecord | None]:
        """See TrustSource."""
        return await self._source.statuses(wallets)

    async def changes(self, since_sequence: int) -> SourceChanges:
        """See TrustSource."""
        return await self._source.changes(since_sequence)

    async def _refusal(self, index: int, before: ContractInfo) -> str | None:
        if index in self._path:
            return "it was followed before"
        if len(self._path) > SUCCESSIONS_MAX:
            return f"{SUCCESSIONS_MAX} were followed; set hub.contract_index"
        try:
            info = await self._source_of(index).info()
        except SourceUnavailable as error:
            return str(error)
        if not info.is_turboauth():
            return "it is not TurboAuth of ABI version 1"
        if info.admin != before.admin:
            return "it obeys another administrator"
        if info.last_sequence < before.last_sequence:
            return "it hasn't taken over all records yet"
        return None
