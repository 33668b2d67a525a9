"""How often one address may ask over REST."""

from typing import Final

from realtime_hub.clock import Clock
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.limits import TokenBucket

ADDRESSES_MAX: Final = 65_536


class RestAdmission:
    """A rate for each address; the address that asked longest ago is forgotten at the bound."""

    def __init__(
        self, clock: Clock, per_s: int, burst: int, *, addresses_max: int = ADDRESSES_MAX
    ) -> None:
        self._clock = clock
        self._per_s = per_s
        self._burst = burst
        self._addresses_max = addresses_max
        self._buckets: dict[str, TokenBucket] = {}

    def __call__(self, address: str) -> None:
        """Count one request; RequestError 106 at the limit."""
        now_s = self._clock.monotonic_s()
        bucket = self._buckets.pop(address, None)
        if bucket is None:
            bucket = TokenBucket(self._per_s, self._burst, now_s=now_s)
        self._buckets[address] = bucket
        if len(self._buckets) > self._addresses_max:
            del self._buckets[next(iter(self._buckets))]
        wait_ms = bucket.take(1, now_s=now_s)
        if wait_ms:
            raise RequestError(
                ErrorCode.RATE_LIMITED,
                f"over {self._per_s} requests a second from one address",
                retry_after_ms=wait_ms,
            )
