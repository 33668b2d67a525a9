"""A rate that several sessions use up together: those of a wallet, those of an address.

Whoever is alone needs none: its own rate is lower. So a bucket is made for the second, and the one
that was there before keeps to its own; messages of lone sessions cost nothing more.
"""

from collections.abc import Hashable
from typing import Final

from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.limits import TokenBucket

BURST_S: Final = 2
"""So many seconds' worth may come at once."""
UNLIMITED_PER_S: Final = 100_000
"""More than one process can serve: from here on nothing is counted."""


class SharedRates:
    """One bucket for each group with more than one member."""

    def __init__(self, per_s: int, whose: str) -> None:
        self._per_s = per_s
        self._whose = whose
        self._buckets: dict[Hashable, TokenBucket] = {}

    def __len__(self) -> int:
        return len(self._buckets)

    def join(self, key: Hashable, *, members: int, now_s: float) -> "SharedRate | None":
        """Return the rate for one more member, with whom there are so many; None for a lone one."""
        if members < 2 or self._per_s >= UNLIMITED_PER_S:
            return None
        bucket = self._buckets.get(key)
        if bucket is None:
            burst = BURST_S * self._per_s
            bucket = self._buckets[key] = TokenBucket(self._per_s, burst, now_s=now_s)
        return SharedRate(bucket, self._per_s, self._whose)

    def forget(self, key: Hashable) -> None:
        """The group is empty."""
        self._buckets.pop(key, None)


class SharedRate:
    """A member's view of the rate."""

    __slots__ = ("_bucket", "_per_s", "_whose")

    def __init__(self, bucket: TokenBucket, per_s: int, whose: str) -> None:
        self._bucket = bucket
        self._per_s = per_s
        self._whose = whose

    def take(self, weight: int, *, now_s: float) -> None:
        """Use up *weight*; RequestError 106 when that isn't left."""
        wait_ms = self._bucket.take(weight, now_s=now_s)
        if wait_ms:
            raise RequestError(
                ErrorCode.RATE_LIMITED,
                f"more than {self._per_s} requests a second of {self._whose}",
                retry_after_ms=wait_ms,
            )
