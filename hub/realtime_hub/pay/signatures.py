"""Signature checks of transactions, off the event loop and bounded in number."""

import asyncio

from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.transaction import verify_transaction


class TransactionChecks:
    """Verifies in threads; RequestError 107 when *pending_max* wait already."""

    def __init__(self, *, pending_max: int = 1_024) -> None:
        self._pending_max = pending_max
        self._pending = 0

    async def __call__(self, signed_tx: bytes) -> bool:
        """Tell whether this is a whole transaction with its source's signature."""
        if self._pending >= self._pending_max:
            raise RequestError(
                ErrorCode.OVERLOADED,
                f"{self._pending_max} signatures wait for their check",
                retry_after_ms=1_000,
            )
        self._pending += 1
        try:
            return await asyncio.to_thread(verify_transaction, signed_tx)
        finally:
            self._pending -= 1
