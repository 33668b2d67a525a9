"""The lease of the owner in Redis: a name with a time to live, and a fence that only grows.

The lease belongs to one payment journal. A hub elsewhere, with another journal, can't look up the
idempotency keys of this one, so it is never granted there.
"""

from collections.abc import Callable
from typing import Final

from redis.asyncio import Redis

from realtime_hub.adapters.redis_asking import asked
from realtime_hub.adapters.redis_servers import TAG
from realtime_hub.clock import Clock
from realtime_hub.pay.ports import LeaseUnavailable

LEASE_MS: Final = 2_000
MARGIN_MS: Final = 250
"""So much earlier the lease ends by the holder's own clock."""

_ACQUIRE: Final = """
local journal = redis.call('GET', KEYS[3])
if journal and journal ~= ARGV[4] then return -1 end
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('SET', KEYS[3], ARGV[4])
local fence = math.max(tonumber(redis.call('GET', KEYS[2]) or '0'), tonumber(ARGV[2])) + 1
redis.call('SET', KEYS[2], fence)
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
return fence
"""
_RENEW: Final = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""
_RELEASE: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 0
"""
_OTHER_JOURNAL: Final = -1


class RedisLease:
    """OwnerLease for the workers that share one payment journal."""

    def __init__(
        self,
        redis: Redis,
        *,
        network_id: Callable[[], bytes],
        journal_id: bytes,
        holder: str,
        clock: Clock,
    ) -> None:
        """*holder* names this process and no other, ever."""
        self._network_id = network_id
        self._journal_id = journal_id
        self._holder = holder
        self._clock = clock
        self._ends_s = 0.0
        self._acquire = redis.register_script(_ACQUIRE)
        self._renew = redis.register_script(_RENEW)
        self._release = redis.register_script(_RELEASE)

    @property
    def held(self) -> bool:
        """See OwnerLease."""
        return self._clock.monotonic_s() < self._ends_s

    async def acquire(self, *, floor: int) -> int | None:
        """See OwnerLease."""
        asked_s = self._clock.monotonic_s()
        lease, fence, journal = self._keys()
        granted: int = await asked(
            self._acquire(
                keys=[lease, fence, journal],
                args=[self._holder, floor, LEASE_MS, self._journal_id],
            ),
            LeaseUnavailable,
        )
        if granted == _OTHER_JOURNAL:
            raise LeaseUnavailable(
                "the payments of this network are in another hub's journal; this hub takes none. "
                f"If that journal is gone for good: redis-cli DEL '{journal}'"
            )
        if not granted:
            return None
        self._hold(asked_s)
        return granted

    async def renew(self) -> bool:
        """See OwnerLease."""
        asked_s = self._clock.monotonic_s()
        lease, _, _ = self._keys()
        renewed = await asked(
            self._renew(keys=[lease], args=[self._holder, LEASE_MS]), LeaseUnavailable
        )
        if renewed:
            self._hold(asked_s)
        else:
            self._ends_s = 0.0
        return bool(renewed)

    async def release(self) -> None:
        """See OwnerLease."""
        self._ends_s = 0.0
        lease, _, _ = self._keys()
        await asked(self._release(keys=[lease], args=[self._holder]), LeaseUnavailable)

    def _hold(self, asked_s: float) -> None:
        # It began to run out when Redis was asked, at the latest.
        self._ends_s = asked_s + (LEASE_MS - MARGIN_MS) / 1_000

    def _keys(self) -> tuple[str, str, str]:
        names = f"{TAG}:pay:{self._network_id().hex()[:16]}"
        return f"{names}:owner", f"{names}:fence", f"{names}:journal"
