"""Signature checks, off the event loop and bounded in number, for logins and payments alike."""

import asyncio

from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.schnorrq import verify


class SignatureChecks:
    """Verifies in worker threads; at *pending_max* waiting checks more are refused with 107."""

    def __init__(self, *, pending_max: int = 1_024) -> None:
        self._pending_max = pending_max
        self._pending = 0

    @property
    def pending(self) -> int:
        """How many checks wait or run."""
        return self._pending

    async def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Tell whether the network would take this signature; RequestError 107 at the bound."""
        if self._pending >= self._pending_max:
            raise RequestError(
                ErrorCode.OVERLOADED,
                f"{self._pending_max} signatures wait for their check",
                retry_after_ms=1_000,
            )
        self._pending += 1
        try:
            return await asyncio.to_thread(verify, public_key, message, signature)
        finally:
            self._pending -= 1
